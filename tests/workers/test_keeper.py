"""How soon a child that died is started again."""
from __future__ import annotations

import signal

import pytest

from workers.keeper import Backoff, how_it_ended


def delays(lives: list[float]) -> list[float]:
    backoff = Backoff()
    return [backoff.died(life, 0.0) for life in lives]


def test_the_first_early_death_costs_nothing_and_the_next_ones_ever_more_up_to_5_s():
    assert delays([0.1] * 9) == [0, 0.2, 0.4, 0.8, 1.6, 3.2, 5, 5, 5]


def test_a_life_worth_the_name_is_followed_at_once():
    assert delays([0.1, 0.1, 0.1, 60, 0.1, 0.1]) == [0, 0.2, 0.4, 0, 0, 0.2]


def test_it_is_over_when_the_delay_has_passed():
    backoff = Backoff()
    backoff.died(0.1, 100.0)
    backoff.died(0.1, 100.0)
    assert not backoff.is_over(100.1)
    assert backoff.is_over(100.2)


@pytest.mark.parametrize("status, words", [
    (0, "ended with exit code 0"), (3 << 8, "ended with exit code 3"),
    (signal.SIGKILL, "was killed by SIGKILL"), (signal.SIGRTMIN + 2, "was killed by signal 36")])
def test_an_end_is_told_in_words(status, words):
    assert how_it_ended(status) == words
