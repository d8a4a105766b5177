"""The numbered events of a host: bounded, in order, and not too many lines of the log."""
from __future__ import annotations

import logging

from mesh.health.events import ENDPOINT_DOWN, ENDPOINT_UP, Event
from workers.agent.eventlog import MOST_LINES, EventLog


def test_a_reader_gets_what_came_since_it_looked():
    events = EventLog()
    first = events.add(Event(ENDPOINT_UP, "a"))
    seen = events.last
    second = events.add(Event(ENDPOINT_DOWN, "b"))
    assert [(number, event.service) for number, event in events.after(seen)] == [(second, "b")]
    assert [number for number, _ in events.after(0)] == [first, second]
    assert events.after(events.last) == []


def test_the_oldest_make_room():
    events = EventLog(most=3)
    for number in range(5):
        events.add(Event(ENDPOINT_UP, str(number)))
    assert [event.service for _, event in events.after(0)] == ["2", "3", "4"]


def test_numbers_go_on_after_a_restart():
    before = EventLog()
    before.add(Event(ENDPOINT_UP))
    assert EventLog().add(Event(ENDPOINT_UP)) >= before.last


def test_an_event_has_the_time_at_which_it_came_unless_it_says_its_own():
    events = EventLog()
    events.add(Event(ENDPOINT_UP, at_ms=7))
    events.add(Event(ENDPOINT_UP))
    said, now = (event.at_ms for _, event in events.after(0))
    assert said == 7
    assert now > 1.7e12


def test_the_log_has_a_line_for_each_but_not_for_thousands(caplog):
    caplog.set_level(logging.INFO)
    events = EventLog()
    for number in range(1000):
        events.add(Event(ENDPOINT_DOWN, str(number)))
    events.add(Event(ENDPOINT_UP), is_said=False)
    assert len(caplog.messages) == MOST_LINES
    assert caplog.records[0].levelno == logging.WARNING
