"""Instances in a large mesh: one host follows them and keeps a list of each service's, the others follow the lists.

Every instance renews its key some five times a minute, and Redis tells everybody who follows such keys of each renewal:
with 500 hosts and 20,000 instances that is two million times a second.  So beyond `Pace.direct` hosts one of them, the
relay (whichever gets `relay`, SET NX with a TTL), follows the instances themselves and writes `roster:<service>` when
one has come, gone or changed.  That costs the others as much as happens, and a change one step more.

Owns who is the relay, and the form of a roster: JSON, id -> the instance's own value.  Floor 3.
"""
from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson
from redis.exceptions import ResponseError

from mesh.store.keys import Keys
from mesh.store.opinion import read_object
from mesh.store.pace import Pace

DIRECT, RELAY, ROSTER = "direct", "relay", "roster"     # how a host learns of instances
FEWER = 0.75            # of `direct`: below, everybody follows for himself again


class Roster:
    """For the store's following thread."""

    def __init__(self, host: str, keys: Keys, pace: Pace, clock: Callable[[], float] = time.monotonic) -> None:
        self._host, self._keys, self._pace, self._clock = host, keys, pace, clock
        self._look_at = 0.0
        self._written: dict[str, bytes] = {}
        self.mode = DIRECT

    def look(self, client: Any, hosts: int) -> bool:
        """Decides how to follow, if it is time; True: differently from now on."""
        now = self._clock()
        if now < self._look_at:
            return False
        before = self.mode
        if hosts <= self._pace.direct * (1.0 if before == DIRECT else FEWER):
            self.mode = DIRECT
        else:
            self.mode = RELAY if self._is_relay(client) else ROSTER
        # the relay keeps its lease; of the others some one asks for it soon enough
        wait_s = self._pace.relay / 3
        wait_s = self._pace.stretched(wait_s, hosts) if self.mode == ROSTER else wait_s
        self._look_at = now + wait_s * random.uniform(0.8, 1.0)
        if self.mode != before:
            self._written.clear()
        return self.mode != before

    def again(self) -> None:
        """Redis was away: what was decided and written may not hold."""
        self._look_at = 0.0
        self._written.clear()

    def write(self, client: Any, instances: Iterable[tuple[str, str, str]]) -> None:
        """Brings the lists up to date with these (service, id, value); for the relay."""
        told: dict[str, dict[str, str]] = {}
        for service, id, value in instances:
            told.setdefault(service, {})[id] = value
        for service, values in told.items():
            text = orjson.dumps(values, option=orjson.OPT_SORT_KEYS)
            if self._written.get(service) != text:
                client.set(self._keys.roster(service), text)
                self._written[service] = text
        for service in self._written.keys() - told.keys():
            client.delete(self._keys.roster(service))
            del self._written[service]

    def found(self, key: str, text: str | None) -> None:
        """What really stands in Redis: a relay before us may have written last, or somebody else.  For the relay."""
        self._written[self._keys.service_of_roster(key)] = (text or "").encode()

    def _is_relay(self, client: Any) -> bool:
        ttl_ms = int(self._pace.relay * 1000)
        if client.get(self._keys.relay) == self._host:
            return bool(client.pexpire(self._keys.relay, ttl_ms))
        try:
            return bool(client.set(self._keys.relay, self._host, nx=True, px=ttl_ms))
        except ResponseError:           # it is full: nobody can become the relay, and what is known holds
            return False


def values_of(text: str) -> Mapping[str, str] | None:
    """The instances of a roster by id; None where it cannot be read, which the relay will mend."""
    if text and not text.startswith("{"):
        return None
    return {id: value for id, value in read_object(text).items() if isinstance(value, str)}
