"""The addresses of names that probes ask for, found without stopping the hub.

Owns a few native threads in which the system's resolver works: it blocks, and a name server that does not answer holds
up these alone.  A name keeps its last addresses when it cannot be resolved any more, or not soon, as the workers' do: a
name server's trouble is no endpoint's.  On the hub; not for other threads.  Floor 3.
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
PATIENCE_S = 0.2        # before the last addresses have to do; a probe's whole time may be short
AT_ONCE = 32            # who is told of a name, and connects, in one turn of the hub
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
        self._asked: dict[str, float] = {}          # names that are being looked up, and since when

    def find(self, host: str, then: Callable[[Addresses], None]) -> None:
        """Calls `then` with the addresses of this name, none where it has none; at once when they are known."""
        known, now, since = self._known.get(host), time.monotonic(), self._asked.get(host)
        is_late = since is not None and now - since >= PATIENCE_S
        if known is not None and (now < known.until or (is_late and known.addresses)):
            then(known.addresses)
            return
        self._waiting.setdefault(host, []).append(then)
        if since is None:
            self._asked[host] = now
            gevent.spawn(self._look, host)
            if known is not None and known.addresses:
                gevent.spawn_later(PATIENCE_S, self._make_do, host)

    def _look(self, host: str) -> None:
        try:
            addresses: Addresses = self._pool.apply(self._look_up, (host,))
            keep_s = KEEP_S
        # ValueError: what is no name at all (an empty or too long label); RuntimeError: no thread is to be had
        except (OSError, ValueError, RuntimeError):
            former = self._known.get(host)
            addresses, keep_s = former.addresses if former is not None else (), AGAIN_S
        if len(self._known) >= MOST_NAMES:
            self._known.clear()
        self._known[host] = _Name(addresses, time.monotonic() + keep_s)
        del self._asked[host]
        self._tell(host, addresses)

    def _make_do(self, host: str) -> None:
        known = self._known.get(host)
        if known is not None:
            self._tell(host, known.addresses)

    def _tell(self, host: str, addresses: Addresses) -> None:
        for number, then in enumerate(self._waiting.pop(host, ()), 1):
            then(addresses)
            if number % AT_ONCE == 0:
                gevent.sleep(0.001)         # thousands may share a name; a timer, so that sockets are looked at


def look_up(host: str) -> Addresses:
    """The addresses that the system's resolver knows, in its order; OSError where it knows none."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(each[4][0]) for each in found))
