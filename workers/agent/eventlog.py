"""The last events of this host, numbered, for whoever asks: the store, the API, the log.

Owns their numbers and how many are kept.  A reader remembers the last number that it has seen and asks for what came
after; nobody is called back, so a slow reader holds up nobody.  Numbers only go up, over restarts of the agent too:
they begin with the time in unix ms.  For any thread.  Floor 3.
"""
from __future__ import annotations

import logging
import threading
import time
from collections import deque
from dataclasses import replace

from mesh.health.events import ENDPOINT_DOWN, ENDPOINT_EJECTED, HOST_DOWN, HOST_TWICE, Event
from mesh.names import PRODUCT

MOST_EVENTS = 4096
MOST_LINES = 50         # of the log within LINES_S: when a rack goes, five thousand endpoints go with it
LINES_S = 10.0
_BAD = (ENDPOINT_DOWN, ENDPOINT_EJECTED, HOST_DOWN, HOST_TWICE)

log = logging.getLogger(f"{PRODUCT}.endpoints")


class EventLog:
    """Events in the order in which they came; the oldest make room."""

    def __init__(self, most: int = MOST_EVENTS) -> None:
        self._events: deque[tuple[int, Event]] = deque(maxlen=most)
        self._lock = threading.Lock()
        self._last = time.time_ns() // 1_000_000
        self._lines, self._unsaid, self._until = 0, 0, 0.0

    @property
    def last(self) -> int:
        """The number of the newest event; one that has seen it has seen all."""
        return self._last

    def add(self, event: Event, is_said: bool = True) -> int:
        """Keeps an event, with the present time where it has none, and answers its number.

        `is_said`: it is told in the log, unless too many are.
        """
        if not event.at_ms:
            event = replace(event, at_ms=time.time_ns() // 1_000_000)
        with self._lock:
            self._last += 1
            self._events.append((self._last, event))
            number, unsaid = self._last, 0
            if is_said:
                is_said, unsaid = self._may_say(time.monotonic())
        if unsaid:
            log.warning("and %d more events: hostmesh events shows the last ones", unsaid)
        if is_said:
            log.log(logging.WARNING if event.kind in _BAD else logging.INFO, "%s", event)
        return number

    def after(self, number: int) -> list[tuple[int, Event]]:
        """What came after this number, oldest first; 0: all that is kept."""
        with self._lock:
            found: list[tuple[int, Event]] = []
            for each in reversed(self._events):
                if each[0] <= number:
                    break
                found.append(each)
        found.reverse()
        return found

    def _may_say(self, now: float) -> tuple[bool, int]:
        unsaid = 0
        if now >= self._until:
            self._until, self._lines = now + LINES_S, 0
            unsaid, self._unsaid = self._unsaid, 0
        self._lines += 1
        if self._lines > MOST_LINES:
            self._unsaid += 1
            return False, unsaid
        return True, unsaid
