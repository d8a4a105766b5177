"""Names of endpoints turned into addresses, before a plan serves and again while it does: never on a request's way.

Owns what each name last resolved to.  A name that cannot be resolved keeps its last addresses; one that never could is
asked again with the others.  The system's resolver does the work, in gevent's thread pool.  Floor 3.
"""
from __future__ import annotations

import ipaddress
import logging
import socket
import struct
from collections.abc import Iterable, Mapping
from typing import Any

import gevent
import gevent.lock
import gevent.socket

AGAIN_S = 30.0          # between two looks at the names: what a DNS record of a service usually lives
AT_ONCE = 20            # look-ups under way; the thread pool has 10 threads
FIRST_WAIT_S = 2.0      # how long a new plan waits for its names; what comes later is taken when it comes


def packed(address: str, port: int) -> bytes:
    """The sockaddr of an address (no name) as connect(2) takes it."""
    if ":" in address:
        bare, _, zone = address.partition("%")
        scope = socket.if_nametoindex(zone) if zone else 0
        return (struct.pack("=H", socket.AF_INET6) + struct.pack("!HI", port, 0)
                + socket.inet_pton(socket.AF_INET6, bare) + struct.pack("=I", scope))
    return (struct.pack("=H", socket.AF_INET) + struct.pack("!H", port) + socket.inet_pton(socket.AF_INET, address)
            + bytes(8))


def is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class Resolver:
    """The names of all pools of one worker; `pools` have `host`, `port` and `resolved(addresses)`."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._known: dict[str, list[str]] = {}
        self._failing: set[str] = set()
        self._places = gevent.lock.BoundedSemaphore(AT_ONCE)
        self._next = 0.0

    def resolve(self, pools: Iterable[Any]) -> None:
        """Gives every pool its addresses; waits for names that are new, for a short while."""
        by_name: dict[str, list[Any]] = {}
        for number, pool in enumerate(pools):
            host = pool.host.decode()
            if is_address(host):
                self._give(pool, [host])
            else:
                by_name.setdefault(host, []).append(pool)
                self._hand_out(host, [pool])
            if number % 100 == 99:
                gevent.sleep(1e-6)     # not 0: that is no turn of the loop
        fresh = [gevent.spawn(self._ask, host, asking) for host, asking in by_name.items() if host not in self._known]
        gevent.joinall(fresh, timeout=FIRST_WAIT_S)

    def tick(self, now: float, pools: Mapping[Any, Any]) -> None:
        """Asks again for all names when it is time to."""
        if now < self._next:
            return
        self._next = now + AGAIN_S
        by_name: dict[str, list[Any]] = {}
        for pool in pools.values():
            host = pool.host.decode()
            if not is_address(host):
                by_name.setdefault(host, []).append(pool)
        for host, asking in by_name.items():
            gevent.spawn(self._ask, host, asking)

    def _ask(self, host: str, pools: list[Any]) -> None:
        with self._places:
            try:
                found = gevent.socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            except OSError as error:
                if host not in self._failing:
                    self._failing.add(host)
                    self._log.warning("%s: %s%s", host, error.strerror or error,
                                      "; its last addresses serve on" if host in self._known else "")
                return
        self._failing.discard(host)
        self._known[host] = list(dict.fromkeys(str(address[0]) for *_, address in found))
        self._hand_out(host, pools)

    def _hand_out(self, host: str, pools: list[Any]) -> None:
        if host in self._known:
            for pool in pools:
                self._give(pool, self._known[host])

    def _give(self, pool: Any, addresses: Iterable[str]) -> None:
        """Those that can be: one on an interface that is not there cannot, and costs its endpoint alone."""
        found = []
        for address in addresses:
            try:
                found.append(packed(address, pool.port))
            except OSError as error:
                if address not in self._failing:
                    self._failing.add(address)
                    self._log.warning("%s: %s", address, error.strerror or error)
        pool.resolved(found)

