"""The addresses of names that probes ask for, found without stopping the hub.

Owns a few native threads in which the system's resolver works: it blocks, and a name server that does not answer holds
up these alone.  A name keeps its last addresses when it cannot be resolved any more, as the workers' do: a name
server's trouble is no endpoint's.  On the hub; not for other threads.  Floor 3.
"""
from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

import gevent
from gevent.threadpool import ThreadPool

Addresses = tuple[str, ...]

KEEP_S = 10.0           # an answer is as good as new
AGAIN_S = 2.0           # after a failure
THREADS = 4
MOST_NAMES = 10_000


@dataclass(slots=True)
class _Name:
    addresses: Addresses
    until: float


class Names:
    """What names lead to, remembered for a while."""

    def __init__(self, look: Callable[[str], Addresses] | None = None) -> None:
        self._look_up = look or look_up
        self._pool = ThreadPool(THREADS)
        self._known: dict[str, _Name] = {}
        self._waiting: dict[str, list[Callable[[Addresses], None]]] = {}

    def find(self, host: str, then: Callable[[Addresses], None]) -> None:
        """Calls `then` with the addresses of this name, none where it has none; at once when they are known."""
        known = self._known.get(host)
        if known is not None and time.monotonic() < known.until:
            then(known.addresses)
        elif host in self._waiting:
            self._waiting[host].append(then)
        else:
            self._waiting[host] = [then]
            gevent.spawn(self._look, host)

    def _look(self, host: str) -> None:
        try:
            addresses: Addresses = self._pool.apply(self._look_up, (host,))
            keep_s = KEEP_S
        except (OSError, ValueError):       # the latter: what is no name at all (an empty or too long label)
            former = self._known.get(host)
            addresses, keep_s = former.addresses if former is not None else (), AGAIN_S
        if len(self._known) >= MOST_NAMES:
            self._known.clear()
        self._known[host] = _Name(addresses, time.monotonic() + keep_s)
        for then in self._waiting.pop(host, ()):
            then(addresses)


def look_up(host: str) -> Addresses:
    """The addresses that the system's resolver knows, in its order; OSError where it knows none."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(each[4][0]) for each in found))
