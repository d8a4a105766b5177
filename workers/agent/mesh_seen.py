"""What the mesh says in Redis, for whoever looks from outside: endpoints, hosts, events, and operators' words to write.

Owns the reading of the keys that docs/redis.md lists, as people at a prompt need it: a Redis that does not answer is an
answer within ANSWER_S.  The agent's own traffic with Redis is store.py.  Floor 3.
"""
from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import orjson
from redis import RedisError
from redis.cluster import RedisCluster
from redis.exceptions import OutOfMemoryError

from mesh.health.events import OVERRIDE, Event
from mesh.model import RedisServer, Static
from mesh.store.keys import Keys
from mesh.store.pace import Pace
from workers.about import About
from workers.agent.store_link import about
from workers.agent.store_publish import EVENTS_KEPT, each_of, fields
from workers.stores import client_of

ANSWER_S = 2.0
FOLLOW_MS = 1000        # of one wait for events
_STEP = 500             # events of one answer


class Away(Exception):
    """Redis cannot be asked; one line for a person."""


def server_of(static: Static, about: About) -> RedisServer | None:
    """The Redis that this host shares its state through: the configured one, or the private one that its agent runs.

    None where there is none.
    """
    if static.redis.server.addresses:
        return static.redis.server
    private = str(getattr(about, "redis", ""))
    return RedisServer((private,)) if private else None


class Mesh:
    """The keys of one mesh.  Methods raise Away."""

    def __init__(self, server: RedisServer, prefix: str, answer_s: float = ANSWER_S) -> None:
        self._server, self._keys = server, Keys(prefix)
        self._client: Any = client_of(server, answer_s)
        for attempt in range(1, 1 if server.sentinel or server.cluster else len(server.addresses)):
            with suppress(RedisError, OSError):
                self._client.ping()
                break
            self._client.close()
            self._client = client_of(server, answer_s, attempt)

    @property
    def address(self) -> str:
        return ", ".join(self._server.addresses)

    def services(self) -> set[str]:
        with self._told(self._keys.services):
            return set(self._client.smembers(self._keys.services))

    def endpoints(self, services: Iterable[str]) -> dict[str, dict[str, dict[str, Any]]]:
        """By service and url what all hosts together say, with `opinions` by host."""
        found = self._hashes(self._keys.endpoints, services)
        return {service: {url: _object(text) for url, text in hash_.items()} for service, hash_ in found.items()}

    def overrides(self, service: str) -> dict[str, str]:
        """The operators' words by url."""
        return self._hashes(self._keys.overrides, [service])[service]

    def override(self, service: str, url: str, text: str) -> None:
        """Writes an operator's word: what an agent tells of it in `events` is who and why of the text."""
        with self._told(self._keys.overrides(service)):
            self._client.hset(self._keys.overrides(service), url, text)

    def take_back(self, service: str, url: str, word: str, who: str, why: str, host: str) -> None:
        """Takes a word back, and tells by whom: agents see no more than that it is gone, so they leave that to us.

        A Redis that is full takes the word out all the same; agents tell of it when they can, without a name.
        """
        event = Event(OVERRIDE, service, url, f"no {word}", why, who, time.time_ns() // 1_000_000)
        seen = Event(OVERRIDE, service, url, f"no {word}")          # by the agents
        with self._told():
            with suppress(OutOfMemoryError):
                self._client.set(self._keys.tells(seen), f"{who} on {host}", px=int(Pace().tells * 1000))
                self._client.hset(self._keys.told, f"{service} {url}", f"no {word}  ")  # as store_publish.py spells it
            if self._client.hdel(self._keys.overrides(service), url):       # nobody else was quicker
                with suppress(OutOfMemoryError):
                    self._client.xadd(self._keys.events, fields(event, host), maxlen=EVENTS_KEPT, approximate=True)

    def hosts(self) -> dict[str, dict[str, Any]]:
        """By name what each host says of itself; `alive` while its heartbeat is there.

        `seenS` is how many seconds ago that was renewed, by the clock of Redis: those of hosts differ.
        """
        with self._told(self._keys.hosts):
            said = {name: _object(text) for name, text in self._client.hgetall(self._keys.hosts).items()}
            left = dict(zip(said, each_of(self._client, "pttl", map(self._keys.host, said))))
            return {name: {**each, **_heartbeat(left[name])} for name, each in sorted(said.items())}

    def events(self, last: int) -> tuple[list[tuple[str, dict[str, str]]], str]:
        """The last events, oldest first, each with its number; and the number from which to follow."""
        with self._told(self._keys.events):
            found = list(reversed(self._client.xrevrange(self._keys.events, count=max(last, 1))))
            return found if last else [], found[-1][0] if found else "0-0"

    def follow(self, after: str) -> Iterator[tuple[str, dict[str, str]]]:
        """Events after this number as they come, for ever; ("", {}) each FOLLOW_MS in which none came."""
        key = self._keys.events
        while True:
            with self._told(key):
                answer = self._client.xread({key: after}, count=_STEP, block=FOLLOW_MS)
            if not answer:
                yield "", {}
            for _, events in (answer.items() if isinstance(answer, dict) else answer or ()):
                for number, event in events:
                    after = number
                    yield number, event

    def close(self) -> None:
        self._client.close()

    def _hashes(self, key: Callable[[str], str], services: Iterable[str]) -> dict[str, dict[str, str]]:
        names = list(services)
        with self._told():
            pipeline = (self._client.pipeline() if isinstance(self._client, RedisCluster)
                        else self._client.pipeline(transaction=False))
            for name in names:
                pipeline.hgetall(key(name))
            return dict(zip(names, pipeline.execute() if names else (), strict=True))

    @contextmanager
    def _told(self, key: str = "") -> Iterator[None]:
        try:
            with about(key or "one of its keys"):
                yield
        except (RedisError, OSError) as error:
            raise Away(f"Redis ({self.address}): {' '.join(str(error).split()) or type(error).__name__}") from error


def _heartbeat(left_ms: Any) -> dict[str, Any]:
    if not isinstance(left_ms, int) or left_ms == -2:
        return {"alive": False}
    seen_s = round(Pace().ttl - left_ms / 1000, 1)
    return {"alive": True, **({"seenS": max(0.0, seen_s)} if left_ms >= 0 else {})}


def _object(text: str) -> dict[str, Any]:
    """A JSON object that somebody may have changed by hand; empty where it is none."""
    try:
        said = orjson.loads(text)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def dissent(document: Mapping[str, Any], host: str, state: str) -> list[str]:
    """What other hosts say of an endpoint that this one does not: "host-b: down, connection refused"."""
    opinions = document.get("opinions")
    told = []
    for other, opinion in sorted((opinions if isinstance(opinions, dict) else {}).items()):
        if other != host and isinstance(opinion, dict) and opinion.get("state", state) != state:
            reason = f", {opinion['why']}" if opinion.get("why") else ""
            told.append(f"{other}: {opinion['state']}{reason}")
    return told
