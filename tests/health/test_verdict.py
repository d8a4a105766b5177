"""Rise and fall, and when the next probe is due, as data."""
from __future__ import annotations

import itertools
import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.health import verdict
from mesh.health.verdict import at_first, in_a_row, is_wanted, judge, left_s, wait_s, words
from mesh.model import HealthCheck
from mesh.shared.slots import STATE_DOWN, STATE_DRAIN, STATE_LOCAL, STATE_WAITS

CHECK = HealthCheck(interval=10.0, healthy_threshold=2, unhealthy_threshold=3)
STARTS_DOWN = replace(CHECK, starts="down")
CODES = [value for name, value in vars(verdict).items() if name.isupper() and isinstance(value, int)
         and name not in ("VERDICT_MASK", "MOST_IN_A_ROW", "STATE_DOWN", "STATE_WAITS", "WELL")]


def after(outcomes: str, check: HealthCheck = CHECK, state: int = 0) -> str:
    """The states after each probe, U or D; `outcomes` of + and -."""
    said, row = "", 0
    for outcome in outcomes:
        row = in_a_row(row, outcome == "+")
        state = judge(state, row, check)
        said += "D" if state & STATE_DOWN else "U"
    return said


@pytest.mark.parametrize("outcomes, states", [
    ("---", "UUD"),
    ("--+--+--", "UUUUUUUU"),           # one good probe begins anew
    ("+-+-+-", "UUUUUU"),
    ("---++", "UUDDU"),
    ("---+-+-++", "UUDDDDDDU"),
    ("---++--", "UUDDUUU"),
])
def test_so_many_in_a_row_move_it_and_fewer_do_not(outcomes, states):
    assert after(outcomes) == states


@given(st.text("+-", max_size=40), st.integers(1, 5), st.integers(1, 5))
def test_a_verdict_is_turned_by_a_whole_row_and_by_nothing_else(outcomes, rise, fall):
    states = "U" + after(outcomes, replace(CHECK, healthy_threshold=rise, unhealthy_threshold=fall))
    for number, (before, now) in enumerate(itertools.pairwise(states)):
        seen = outcomes[:number + 1]
        is_turned = seen.endswith("-" * fall) if before == "U" else seen.endswith("+" * rise)
        assert (before != now) == is_turned


@pytest.mark.parametrize("row, bits", [(1, 0), (-1, STATE_DOWN)])
def test_the_first_probe_of_one_that_waits_decides_alone(row, bits):
    assert judge(STATE_WAITS, row, STARTS_DOWN) == bits


def test_a_row_survives_any_length():
    assert in_a_row(verdict.MOST_IN_A_ROW, True) == verdict.MOST_IN_A_ROW
    assert in_a_row(-verdict.MOST_IN_A_ROW, False) == -verdict.MOST_IN_A_ROW


@pytest.mark.parametrize("state, check, is_new, bits", [
    (0, CHECK, True, 0),
    (0, STARTS_DOWN, True, STATE_WAITS),
    (0, STARTS_DOWN, False, 0),                             # it serves already
    (STATE_WAITS, STARTS_DOWN, False, STATE_WAITS),
    (STATE_DOWN, CHECK, True, STATE_DOWN),                  # out of the file and in again, and still as it was
    (STATE_DOWN, STARTS_DOWN, True, STATE_DOWN),
    (STATE_DOWN | STATE_LOCAL | STATE_DRAIN, CHECK, False, STATE_DOWN),
    (STATE_DOWN, None, False, 0),                           # nobody would ever bring it back
    (STATE_WAITS, None, False, 0),
])
def test_what_is_known_goes_on_to_hold_and_a_newcomer_waits_where_it_should(state, check, is_new, bits):
    assert at_first(state, check, is_new) == bits


@pytest.mark.parametrize("status, wanted, is_good", [
    (200, 0, True), (204, 0, True), (399, 0, True), (199, 0, False), (400, 0, False), (503, 0, False),
    (503, 503, True), (200, 503, False)])
def test_a_status_is_wanted_by_its_range_or_by_its_number(status, wanted, is_good):
    assert is_wanted(status, replace(CHECK, status=wanted)) == is_good


def test_every_reason_has_words_of_its_own():
    said = [words(code) for code in CODES]
    assert len(CODES) == 16
    assert all(said)
    assert not any(each.startswith("reason") for each in said)
    assert len(set(said)) == len(said)
    assert (words(verdict.WELL), words(503)) == ("", "status 503")


chance = st.floats(0, 1, exclude_max=True)


@given(chance)
def test_probes_follow_each_other_by_the_interval_and_a_tenth(jitter):
    assert 9.0 <= wait_s(CHECK, False, False, jitter) <= 11.0
    assert 1.0 <= wait_s(CHECK, False, True, jitter) <= 10.0


def test_what_began_at_once_is_spread_over_the_whole_interval_from_the_second_probe_on():
    chances, every_s = random.Random(1), Counter()
    for _ in range(5000):
        at = wait_s(CHECK, False, True, chances.random())
        while at < 60:
            every_s[int(at)] += 1
            at += wait_s(CHECK, False, False, chances.random())
    assert max(every_s.values()) < 1.3 * 5000 / CHECK.interval


def test_an_endpoint_that_is_down_has_an_interval_of_its_own():
    check = replace(CHECK, unhealthy_interval=2.0)
    assert wait_s(check, True, False, 0.5) == pytest.approx(2.0)
    assert wait_s(check, False, False, 0.5) == pytest.approx(10.0)
    assert wait_s(CHECK, True, False, 0.5) == pytest.approx(10.0)


@given(st.floats(0, 1e6), chance)
def test_what_another_agent_began_is_gone_on_with(since, jitter):
    left = left_s(CHECK, False, since, jitter)
    assert 0 <= left <= 11.0
    assert left == max(0.0, wait_s(CHECK, False, False, jitter) - since)
