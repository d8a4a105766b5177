"""The mesh between hosts: what this one knows goes into Redis, what Redis says of operators and instances comes back.

Owns two native threads, since redis-py blocks and the agent's hub must not: one writes (store_hosts.py,
store_publish.py), one follows (store_follow.py).  A Redis that is away, slow or full costs neither a request nor more
than a line in the log; everything is put right again when it is back.  Floor 3.
"""
from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from mesh.model import RedisServer, Static
from mesh.names import PRODUCT
from mesh.store.keys import Keys
from mesh.store.opinion import Seen
from mesh.store.pace import Pace
from workers.agent.store_follow import Follower, Gathering, Words
from workers.agent.store_hosts import Hosts
from workers.agent.store_link import FAILURES, Link, RedisSeen, Trouble, is_refusal, is_wrong_type
from workers.agent.store_publish import Log, Publisher, Teller
from workers.stores import ANSWER_S

PACE = Pace()
LEAVE_S = 1.0           # beyond an answer's time-out, for a thread to end

log = logging.getLogger(f"{PRODUCT}.redis")


class Endpoints(Words, Protocol):
    """The endpoint table as the store needs it (workers/agent/table.py)."""

    @property
    def events(self) -> Log: ...
    def endpoints(self) -> Sequence[Seen]: ...


class Store:
    """The whole traffic with Redis of one host; `start` begins it, `close` ends it.

    `changes` answers something else whenever an endpoint's state may have changed; without one the table is looked at
    every second.  `generation` is what is published to the workers.  `told` is what a former one has told of events.
    """

    def __init__(self, static: Static, server: RedisServer, table: Endpoints, instances: Gathering,
                 generation: Callable[[], int] = lambda: 0, changes: Callable[[], object] | None = None,
                 pace: Pace = PACE, answer_s: float = ANSWER_S, told: int = 0) -> None:
        self._pace, self._answer_s = pace, answer_s
        keys = Keys(static.redis.prefix)
        self._closing = threading.Event()
        self._away = Trouble("Redis is away: this host goes on by itself", "Redis is back")
        self._refusing = Trouble("Redis refuses what this host writes", "Redis takes what this host writes")
        self._unfollowed = Trouble("Redis cannot be followed: what it said last holds", "Redis is followed again")
        self._link = Link(server, pace, self._away, answer_s)
        self._hosts = Hosts(static, keys, pace, generation, table.events.add)
        self._publisher = Publisher(static.host_name, keys, pace, table.endpoints, changes or _every_second)
        self._teller = Teller(static.host_name, keys, pace, table.events, told)
        self._follower = Follower(static.host_name, Link(server, pace, self._unfollowed, answer_s), keys, pace, table,
                                  instances, table.events, lambda: self._hosts.count,
                                  lambda: not self._hosts.is_taken, self._closing, answer_s)
        self._sweep_at = time.monotonic() + pace.sweep
        self._steps = {"beat": self._beat, "events": self._tell, "endpoints": self._publish, "hosts": self._look_after}
        self._refused: dict[str, Exception] = {}        # by step, what Redis refuses now
        self._paused: dict[str, float] = {}             # by step, until when it is not tried
        self._life = 0
        self._is_up = False
        self._threads = [threading.Thread(target=self._write, name="redis", daemon=True),
                         threading.Thread(target=self._follower.run, name="redis-follow", daemon=True)]

    def start(self) -> None:
        """Begins; returns at once, whether there is a Redis or not."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Ends both threads; waits for them no longer than for one answer.

        The heartbeat is left to its TTL: an agent that comes back before it is over was never gone.
        """
        self._closing.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(self._answer_s + LEAVE_S)

    @property
    def seen(self) -> RedisSeen:
        """How Redis does now; for any thread."""
        return RedisSeen(self._is_up, self._hosts.latency_s, self._hosts.count)

    @property
    def follows(self) -> str:
        """How instances are learned of: "direct", or in a large mesh "relay" or "roster" (store_roster.py)."""
        return self._follower.mode

    @property
    def is_told_of_changes(self) -> bool:
        """Whether Redis tells what changes; else it is asked again and again."""
        return self._follower.is_told_of_changes

    @property
    def told(self) -> int:
        """The number of the last event that was told, or left to others."""
        return self._teller.told

    @property
    def written(self) -> int:
        """How many endpoints were told to Redis, ever."""
        return self._publisher.written

    def _write(self) -> None:
        while not self._closing.wait(max(self._pace.tick, self._link.wait_s())):
            try:
                self._turn(self._link.client())
                self._link.worked()
            except FAILURES as error:
                self._failed(error)
            except Exception as error:
                log.exception("Redis gets nothing for an error inside hostmesh: it is tried again")
                self._failed(error)
        self._link.close()

    def _failed(self, error: Exception) -> None:
        self._is_up = False
        self._link.failed(error)

    def _turn(self, client: Any) -> None:
        if self._life != self._link.life:
            self._life = self._link.life
            self._refused.clear()
            self._paused.clear()
            self._hosts.disturbed()
            self._publisher.forget()
        for name, step in self._steps.items():
            if time.monotonic() < self._paused.get(name, 0.0):
                continue
            try:
                step(client)
            except FAILURES as error:
                if not is_refusal(error):
                    raise
                self._refused[name] = error
                # where one key is something else, all others have their turn; a heartbeat is tried again when it is due
                pauses = [name] if is_wrong_type(error) else list(self._steps)
                until = time.monotonic() + self._pace.retry_most
                self._paused |= {each: until for each in pauses if each != "beat"}
            else:
                if name != "beat" or self._hosts.is_said:
                    self._refused.pop(name, None)
        if self._refused:
            self._is_up = False
            self._refusing.begin(next(iter(self._refused.values())))
        elif self._hosts.is_taken:      # there may have been nothing else to write
            self._is_up = True
            self._refusing.end()

    def _beat(self, client: Any) -> None:
        if self._hosts.beat(client):
            self._publisher.forget()

    def _tell(self, client: Any) -> None:
        self._teller.turn(client, self._hosts.count)

    def _publish(self, client: Any) -> None:
        if self._hosts.knows_the_mesh:
            self._publisher.turn(client, self._hosts.count)

    def _look_after(self, client: Any) -> None:
        lives = self._hosts.look_after(client)
        if lives is not None and time.monotonic() >= self._sweep_at:
            self._sweep_at = time.monotonic() + self._pace.sweep
            self._publisher.sweep(client, lives)


def _every_second() -> object:
    return int(time.monotonic())
