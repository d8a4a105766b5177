"""Ejections that workers decided, and their ends, told as events.

Owns the memory of which endpoints are ejected now.  A worker writes an end time into a cell and nothing else, and an
ejection ends by itself; so both are noticed here, by looking a few times a second.  Floor 3.
"""
from __future__ import annotations

from mesh.health.events import ENDPOINT_EJECTED, ENDPOINT_RETURNED, Event
from mesh.names import for_people
from mesh.shared.slots import DIVIDER, SLOT_CHANGED_MS, SLOT_EJECTIONS, SLOT_STATE, Slots
from workers.agent.eventlog import EventLog
from workers.agent.states import word_of


class Ejections:
    """Who is ejected; what was so before we came is no news."""

    def __init__(self, slots: Slots, events: EventLog) -> None:
        self._slots, self._events = slots, events
        self._ejected: dict[int, int] | None = None

    def look(self, now_ms: int, unix_ms: int) -> None:
        """Tells what has changed since the last look, and dates the ends (CLOCK_MONOTONIC and unix time in ms)."""
        now: dict[int, int] = self._slots.ejected(now_ms)
        before, self._ejected = self._ejected, now
        if before is None or (not before and not now):
            return
        for slot, until_ms in now.items():
            if slot not in before:
                times = self._slots.load(slot, SLOT_EJECTIONS)
                again = f", time {times} in a row" if times > 1 else ""
                self._tell(ENDPOINT_EJECTED, slot, "ejected",
                           f"its requests failed, for {(until_ms - now_ms) / 1000:.3g} s{again}")
        for slot in before:
            if slot not in now:
                self._slots.store(slot, SLOT_CHANGED_MS, unix_ms)
                self._tell(ENDPOINT_RETURNED, slot, word_of(self._slots.load(slot, SLOT_STATE), 0),
                           "its ejection is over")

    def forget(self, slot: int) -> None:
        """The slot is another endpoint's now, or nobody's."""
        if self._ejected is not None:
            self._ejected.pop(slot, None)

    def _tell(self, kind: str, slot: int, what: str, why: str) -> None:
        service, divider, url = self._slots.key(slot).partition(DIVIDER)
        if divider:
            self._events.add(Event(kind, for_people(service), url, what, why))
