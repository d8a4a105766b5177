"""The hosts of the mesh in Redis: this one's heartbeat, and a look after the others.

Owns `hosts`, `host:<host>` and `watch`.  A host is up while its heartbeat's key lives; Redis's own clock decides, so
no host's does.  One host at a time looks after the others, whichever gets `watch` (SET NX): it marks in `hosts` who is
gone, by a swap that only one can win, and that one tells of it.  Nobody is judged just after Redis itself was away:
while it stood still, no heartbeat could be renewed.

The heartbeat says whose it is.  Two hosts of one name (a copied file) would speak over each other in every document;
each finds the other's mark where it has put its own, and says so.  Floor 3.
"""
from __future__ import annotations

import logging
import os
import random
import time
from collections.abc import Callable
from typing import Any

from redis.exceptions import ResponseError

from mesh.health.events import HOST_DOWN, HOST_TWICE, HOST_UP, Event
from mesh.model import Static
from mesh.names import PRODUCT, VERSION
from mesh.store.keys import Keys
from mesh.store.opinion import HostSaid, host_went_down, is_down, is_forgotten, spelled
from mesh.store.pace import Pace
from mesh.store.scripts import SWAP
from workers.agent.store_link import about, is_wrong_type
from workers.agent.store_publish import values

FORGETS = 0.98          # of the number of hosts that is believed, at each heartbeat
TWICE = 2               # heartbeats in a row that were not ours: one may be a failover's, which has lost what we wrote

log = logging.getLogger(f"{PRODUCT}.redis")


class Hosts:
    """For the store's writing thread.  `count` is how many hosts are in the mesh, `latency_s` of the last heartbeat."""

    def __init__(self, static: Static, keys: Keys, pace: Pace, generation: Callable[[], int],
                 tell: Callable[[Event], object], clock: Callable[[], float] = time.monotonic) -> None:
        self._static, self._keys, self._pace = static, keys, pace
        self._generation, self._tell, self._clock = generation, tell, clock
        self._me = static.host_name
        self._started = spelled(time.time() * 1000)
        self._mark = f"{self._started} {static.host_address or '?'} {os.urandom(4).hex()}"
        self._strange = 0               # heartbeats in a row that were another's
        self._twin = ""                 # the address of another host of our name
        self._is_first = True
        self._beat_at = 0.0
        self._beats = 0                 # since Redis was away
        self._watch_at = clock() + pace.watch * random.random()
        self._steady_since = clock()
        self.count = 1
        self.latency_s = 0.0
        self.is_taken = True            # what was written last; a Redis that is full takes nothing
        self.is_said = True             # all of the last heartbeat

    def disturbed(self) -> None:
        """Redis was away: heartbeats may have lapsed for no fault of the hosts, and ours is due."""
        self._steady_since = self._clock()
        self._beat_at = 0.0
        self._beats = 0

    @property
    def knows_the_mesh(self) -> bool:
        """Whether `count` means something."""
        return self._beats > 1

    def beat(self, client: Any) -> bool:
        """The heartbeat, if it is time; True: there was none left, so whatever we had put into Redis may be gone.

        It is renewed by PEXPIRE, which a Redis that is full still takes.
        """
        now = self._clock()
        if now < self._beat_at:
            return False
        ttl_ms = int(self._pace.ttl * 1000)
        key = self._keys.host(self._me)
        lives = client.pexpire(key, ttl_ms)
        self.latency_s = self._clock() - now
        self._beats += 1
        # the second comes soon: only then does a host among many that begin together know how many they are
        self._beat_at = now + self._pace.beat * (random.uniform(0.9, 1.0) if self._beats > 1 else 0.2)
        self.is_taken = self.is_said = False
        if not lives:
            self._steady_since = self._clock()
            client.set(key, self._mark, px=ttl_ms)
            former = self._ask(self._keys.hosts, lambda: client.hget(self._keys.hosts, self._me))
            if is_down(former or "") or (self._is_first and not former):
                self._tell(Event(HOST_UP, what="up", who=self._me))
        else:
            self._look_whose(client, key, ttl_ms)
        self._is_first = False
        self._ask(self._keys.hosts, lambda: client.hset(self._keys.hosts, self._me, self._said().to_json()))
        self.is_taken = self.is_said = True
        # a Redis that was emptied has forgotten most of them for a moment
        self.count = max(1, client.hlen(self._keys.hosts), int(self.count * FORGETS))
        return not lives

    def _ask(self, key: str, command: Callable[[], Any]) -> Any:
        """Something else under this key is no sign of a Redis that takes nothing."""
        try:
            with about(key):
                return command()
        except ResponseError as error:
            self.is_taken = is_wrong_type(error)
            raise

    def _look_whose(self, client: Any, key: str, ttl_ms: int) -> None:
        """Whether the heartbeat that lives is our own; the first one may be a former agent's."""
        mark = str(self._ask(key, lambda: client.get(key)) or "")
        if mark == self._mark:
            if self._twin:
                log.info("no other host is called %s any more", self._me)
            self._strange, self._twin = 0, ""
            return
        self._strange += not self._is_first
        if self._strange == TWICE:
            self._twin = [*mark.split(" "), "?", "?"][1]
            self._tell(Event(HOST_TWICE, what="twice", who=self._me, why=f"another host, at {self._twin}, has this name"
                             " too: give each a host.name of its own"))
        client.set(key, self._mark, px=ttl_ms)

    def look_after(self, client: Any) -> list[str] | None:
        """Marks hosts that are gone, if it is time and our turn; answers who lives, None where nobody was looked at."""
        now = self._clock()
        if now < self._watch_at:
            return None
        self._watch_at = now + self._pace.watch * random.uniform(0.9, 1.1)
        if now - self._steady_since < 2 * self._pace.ttl:
            return None
        if not client.set(self._keys.watch, self._me, nx=True, px=max(1, int(self._pace.watch * 900))):
            return None
        said = client.hgetall(self._keys.hosts)
        names = [name for name in said if name != self._me]
        lives = {name for name, beat in zip(names, values(client, [self._keys.host(name) for name in names]))
                 if beat is not None}
        unix_ms = time.time() * 1000
        for name in names:
            if name not in lives:
                self._is_gone(client, name, said[name], unix_ms)
        return [self._me, *sorted(lives)]

    def _is_gone(self, client: Any, name: str, text: str, unix_ms: float) -> None:
        if is_forgotten(text, unix_ms, self._pace.forget):
            client.eval(SWAP, 1, self._keys.hosts, name, text, "")
            return
        marked = host_went_down(text, unix_ms)
        if marked and client.eval(SWAP, 1, self._keys.hosts, name, text, marked):
            self._tell(Event(HOST_DOWN, what="down", who=name, why=f"no heartbeat for {self._pace.ttl:g} s"))

    def _said(self) -> HostSaid:
        return HostSaid(self._static.host_address, VERSION, self._static.workers, self._generation(),
                        round(os.getloadavg()[0], 2), os.cpu_count() or 1, self._started,
                        spelled(time.time() * 1000), twin=self._twin)
