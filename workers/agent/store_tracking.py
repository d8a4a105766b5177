"""Connections on which Redis says at once which keys have changed (CLIENT TRACKING), without any setting of the server.

Owns one such connection per server, one for each node that has keys in a Cluster.  It subscribes to
`__redis__:invalidate` and has its own invalidations sent there (REDIRECT to itself), in broadcasting mode: nothing need
be read first, and whoever writes below a prefix is told of.  Redis 6 and Valkey have it; it needs no keyspace
notifications.  What is in the keys, it does not know.  Floor 3.
"""
from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from redis import Redis as Client
from redis.cluster import RedisCluster
from redis.exceptions import ConnectionError, NoPermissionError, ResponseError

CHANNEL = "__redis__:invalidate"
SLICE_S = 0.05          # of waiting on one of several connections
MOST_AT_ONCE = 20_000   # keys taken in before they are looked at

EVERYTHING = object()   # among keys: Redis has been emptied, or cannot say which


class NoTracking(Exception):
    """This Redis cannot tell what changes, or may not: too old, a proxy, an ACL."""


@dataclass(slots=True)
class _Ear:
    connection: Any
    pool: Any
    node: str
    heard: float
    asked: float | None = None          # a PING is on its way


class Tracking:
    """Listens for changes of keys; all but `close` raises RedisError or OSError when it is over."""

    def __init__(self, ping_s: float, answer_s: float,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._prefixes: tuple[str, ...] = ()
        self._ping_s, self._answer_s, self._clock = ping_s, answer_s, clock
        self._ears: list[_Ear] = []

    @property
    def is_open(self) -> bool:
        return bool(self._ears)

    def open(self, client: Client, prefixes: Iterable[str]) -> None:
        """Begins to listen for keys below these prefixes, at every node; NoTracking where this cannot be had."""
        self.close()
        self._prefixes = tuple(prefixes)
        try:
            for node, pool in _pools(client):
                self._ears.append(self._ear(node, pool))
        except (ResponseError, NoPermissionError) as error:
            self.close()
            raise NoTracking(str(error)) from error
        except BaseException:
            self.close()
            raise

    def is_of(self, client: Client) -> bool:
        """Whether these are the nodes that there are now."""
        return {ear.node for ear in self._ears} == {node for node, _ in _pools(client)}

    def wait(self, timeout_s: float) -> set[Any]:
        """Keys that have changed, once there are some (EVERYTHING among them: all may have); empty after a while."""
        keys: set[Any] = set()
        until = self._clock() + timeout_s
        while True:
            for ear in self._ears:
                left = max(0.0, until - self._clock())
                waits = 0.0 if keys else left if len(self._ears) == 1 else min(left, SLICE_S)
                self._take(ear, min(waits, self._ping_s), keys)
                self._keep(ear)
            if keys or self._clock() >= until:
                return keys

    def close(self) -> None:
        """Ends the connections."""
        ears, self._ears = self._ears, []
        for ear in ears:
            ear.connection.disconnect()
            ear.pool.release(ear.connection)

    def _ear(self, node: str, pool: Any) -> _Ear:
        connection = pool.get_connection()
        ear = _Ear(connection, pool, node, self._clock())
        try:
            connection.send_command("CLIENT", "ID")
            number = connection.read_response()
            wanted = [word for prefix in self._prefixes for word in ("PREFIX", prefix)]
            connection.send_command("CLIENT", "TRACKING", "ON", "REDIRECT", number, "BCAST", *wanted)
            connection.read_response()
            connection.send_command("SUBSCRIBE", CHANNEL)
            connection.read_response()
        except BaseException:
            connection.disconnect()
            pool.release(connection)
            raise
        return ear

    def _take(self, ear: _Ear, timeout_s: float, keys: set[Any]) -> None:
        while len(keys) < MOST_AT_ONCE and ear.connection.can_read(timeout_s):
            timeout_s = 0.0
            said = ear.connection.read_response()
            ear.heard, ear.asked = self._clock(), None
            if isinstance(said, list) and len(said) == 3 and said[0] == "message":
                keys.update(said[2] if said[2] is not None else [EVERYTHING])

    def _keep(self, ear: _Ear) -> None:
        """A connection that only listens would not notice that the other end is gone, or stands still."""
        now = self._clock()
        if ear.asked is None:
            if now - ear.heard >= self._ping_s:
                ear.connection.send_command("PING")
                ear.asked = now
        elif now - ear.asked > self._answer_s:
            raise ConnectionError(f"{ear.node} does not answer")


def _pools(client: Any) -> list[tuple[str, Any]]:
    """Name and pool of every node that has keys of its own."""
    if isinstance(client, RedisCluster):
        return [(node.name, client.get_redis_connection(node).connection_pool) for node in client.get_primaries()]
    return [("redis", client.connection_pool)]
