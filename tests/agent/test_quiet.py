"""The decision when to look and what to leave alone, as data: times in, answers out."""
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.providers.quiet import MOST_S, OPEN_MOST_S, OPEN_S, QUIET_S, Quiet

KINDS = ("happened", "modified", "closed")


@pytest.fixture
def quiet() -> Quiet:
    return Quiet()


def test_without_news_there_is_nothing_to_wait_for(quiet):
    assert quiet.wait_s(0) is None
    assert not quiet.is_due(1e9)


def test_a_look_is_due_after_the_quiet_time(quiet):
    quiet.happened("a", 10)
    assert quiet.wait_s(10) == pytest.approx(QUIET_S)
    assert not quiet.is_due(10 + QUIET_S / 2)
    assert quiet.is_due(10 + QUIET_S)
    assert quiet.begin(10 + QUIET_S) == {"a"}
    assert quiet.wait_s(11) is None


def test_every_news_prolongs_the_wait_but_not_beyond_the_most(quiet):
    now = 0.0
    while not quiet.is_due(now):
        quiet.happened("a", now)
        now += QUIET_S / 2
    assert MOST_S <= now <= MOST_S + QUIET_S


def test_a_burst_over_several_paths_is_one_look(quiet):
    quiet.happened("router.yml", 0)
    quiet.closed("service.yml", QUIET_S * 0.9)
    assert not quiet.is_due(QUIET_S)
    assert quiet.begin(2 * QUIET_S) == {"router.yml", "service.yml"}


def test_a_file_that_was_modified_is_open_until_it_is_closed(quiet):
    quiet.modified("a", 0)
    quiet.begin(QUIET_S)
    assert quiet.is_open("a")
    quiet.closed("a", 1)
    assert not quiet.is_open("a")
    assert quiet.is_due(1 + QUIET_S)


def test_a_held_file_is_no_reason_to_look_until_it_is_closed(quiet):
    quiet.modified("a", 0)
    quiet.begin(QUIET_S)
    quiet.hold("a", QUIET_S)
    quiet.modified("a", 3)
    assert not quiet.is_due(3 + QUIET_S)
    quiet.closed("a", 4)
    assert quiet.is_due(4 + QUIET_S)
    assert quiet.begin(4 + QUIET_S) == {"a"}
    assert not quiet.is_held("a")


def test_a_held_file_does_not_delay_the_others(quiet):
    quiet.modified("a", 0)
    quiet.begin(QUIET_S)
    quiet.hold("a", QUIET_S)
    quiet.happened("b", 1)
    quiet.modified("a", 1 + QUIET_S * 0.9)
    assert quiet.is_due(1 + QUIET_S)
    assert quiet.begin(1 + QUIET_S) == {"b"}
    assert quiet.is_held("a")


def test_a_file_that_is_never_closed_is_read_after_the_deadline(quiet):
    quiet.modified("a", 0)
    quiet.begin(QUIET_S)
    quiet.hold("a", QUIET_S)
    quiet.modified("a", 5)
    assert quiet.wait_s(5) == pytest.approx(OPEN_S)
    quiet.begin(5 + OPEN_S)
    assert quiet.is_overdue("a")
    assert not quiet.is_open("a")
    assert quiet.wait_s(5 + OPEN_S) is None


def test_writing_on_for_ever_does_not_hide_a_file_for_ever(quiet):
    quiet.modified("a", 0)
    quiet.begin(QUIET_S)
    quiet.hold("a", QUIET_S)
    now = 0.0
    while not quiet.is_due(now):
        quiet.modified("a", now)
        now += OPEN_S / 2
    assert OPEN_MOST_S <= now <= OPEN_MOST_S + OPEN_S
    quiet.begin(now)
    assert quiet.is_overdue("a")


def test_a_replaced_file_is_not_open_whoever_wrote_the_old_one(quiet):
    quiet.modified("a", 0)
    quiet.begin(QUIET_S)
    quiet.hold("a", QUIET_S)
    quiet.happened("a", 1)
    assert not quiet.is_open("a")
    assert quiet.begin(1 + QUIET_S) == {"a"}


def test_a_missing_file_is_believed_when_it_still_is_missing_after_the_quiet_time(quiet):
    quiet.begin(0)
    assert not quiet.is_lasting("a", 0)
    assert quiet.is_due(QUIET_S)
    quiet.begin(QUIET_S)
    assert quiet.is_lasting("a", QUIET_S)
    assert quiet.wait_s(QUIET_S) is None


def test_a_file_that_came_back_was_never_missing(quiet):
    quiet.begin(0)
    assert not quiet.is_lasting("a", 0)
    quiet.begin(QUIET_S)        # it is there: nobody asks
    quiet.begin(10)
    assert not quiet.is_lasting("a", 10)


def test_a_file_that_came_and_went_again_between_two_looks_is_missing_anew(quiet):
    # Somebody saves in two steps, over and over: two looks that both meet a gap have not met the same one.
    quiet.happened("a", 0)
    quiet.begin(QUIET_S)
    assert not quiet.is_lasting("a", QUIET_S)
    quiet.happened("a", 1.5 * QUIET_S)
    quiet.begin(3 * QUIET_S)
    assert not quiet.is_lasting("a", 3 * QUIET_S)
    quiet.begin(5 * QUIET_S)
    assert quiet.is_lasting("a", 5 * QUIET_S)


def test_lost_news_make_a_look(quiet):
    quiet.lost(0)
    assert quiet.is_due(QUIET_S)


events = st.lists(st.tuples(st.floats(0, 3), st.sampled_from(KINDS), st.sampled_from("abc")), max_size=40)


@given(events)
def test_every_close_and_replacement_is_looked_at_within_the_most(events):
    quiet, now, waiting = Quiet(), 0.0, {}
    for pause, kind, path in events:
        end = now + pause
        while (wait := quiet.wait_s(now)) is not None and now + wait <= end:
            now += wait
            for seen in quiet.begin(now):
                waiting.pop(seen, None)
                if quiet.is_open(seen):
                    quiet.hold(seen, now)
        now = end
        getattr(quiet, kind)(path, now)
        if kind != "modified":
            waiting.setdefault(path, now)
        assert all(now - since <= MOST_S + 1e-6 for since in waiting.values())


@given(events)
def test_nothing_is_remembered_for_ever(events):
    quiet, now = Quiet(), 0.0
    for pause, kind, path in events:
        now += pause
        getattr(quiet, kind)(path, now)
        if quiet.is_due(now):
            for seen in quiet.begin(now):
                if quiet.is_open(seen):
                    quiet.hold(seen, now)
    for _ in range(10):
        if (wait := quiet.wait_s(now)) is None:
            break
        now += wait
        for seen in quiet.begin(now):
            if quiet.is_open(seen):
                quiet.hold(seen, now)
    assert quiet.wait_s(now) is None
