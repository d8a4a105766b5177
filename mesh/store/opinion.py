"""What this host says of an endpoint in Redis: the two pieces of JSON that the scripts put into its document.

Owns which facts are told, in which words, and what counts as a change worth telling at once.  Times are UTC as people
write them; counters are this host's own.  Floor 2.
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import orjson

UP = "up"
_OUT = ("drain", "disabled")            # nothing new is sent there
_UNSAID = {"ejected": "its requests failed", "waits": "not probed yet", "drain": "the instance is about to leave"}


class Seen(Protocol):
    """An endpoint as the table tells of it (workers/agent/states.py has it in full); times are unix ms."""

    @property
    def service(self) -> str: ...
    @property
    def url(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def weight(self) -> int: ...
    @property
    def override(self) -> str: ...
    @property
    def since_ms(self) -> int: ...
    @property
    def in_flight(self) -> int: ...
    @property
    def requests(self) -> int: ...
    @property
    def failures(self) -> int: ...
    @property
    def latency_us(self) -> int: ...
    @property
    def error(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def local(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Opinion:
    """`facts` and `core` are told at once when they change, `numbers` when there is time."""

    facts: tuple[tuple[str, Any], ...]
    core: tuple[tuple[str, Any], ...]
    numbers: tuple[tuple[str, Any], ...]

    def facts_json(self) -> bytes:
        """What holds for all hosts."""
        return orjson.dumps(dict(self.facts))

    def opinion_json(self) -> bytes:
        """What is this host's."""
        return orjson.dumps(dict((*self.core, *self.numbers)))

    def is_same_but_numbers(self, other: Opinion) -> bool:
        return self.facts == other.facts and self.core == other.core

    @property
    def is_out(self) -> bool:
        """Somebody may wait for the last request there to end."""
        return self.core[0][1] in _OUT

    @property
    def in_flight(self) -> int:
        return int(self.numbers[0][1])

    @property
    def is_plain(self) -> bool:
        """Nothing is wrong and nobody said anything: others may speak for us."""
        return self.core[0] == ("state", UP)


def opinion_of(seen: Seen, host: str) -> Opinion:
    """The opinion of this host, as the table has it."""
    why = "" if seen.state == UP else seen.override or seen.error or _UNSAID.get(seen.state, "")
    facts: tuple[tuple[str, Any], ...] = (
        ("weight", seen.weight), ("override", seen.override), ("source", seen.source), ("host", seen.host),
        ("since", spelled(seen.since_ms)))
    if seen.error:              # it stays, as the last one, until another takes its place
        facts = (*facts, ("lastError", f"{seen.error} (seen by {host})"))
    core = (("state", seen.state), ("why", why), ("at", spelled(seen.since_ms)))
    numbers = (("inFlight", seen.in_flight), ("requests", seen.requests), ("failures", seen.failures),
               ("latencyMs", round(seen.latency_us / 1000, 2)))
    return Opinion(facts, core, numbers)


def spelled(unix_ms: float) -> str:
    """2026-11-25T01:40:00Z; "" for a time that is not known."""
    return datetime.fromtimestamp(unix_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if unix_ms > 0 else ""


@dataclass(frozen=True, slots=True)
class HostSaid:
    """A host in mesh:hosts.  `state` is up, or down where another host has missed its heartbeat."""

    address: str = ""
    version: str = ""
    workers: int = 0
    generation: int = 0
    load: float = 0.0
    capacity: int = 0               # cores
    started: str = ""
    last_seen: str = ""
    state: str = UP
    twin: str = ""                  # the address of another host of the same name

    def to_json(self) -> str:
        return spaced({"state": self.state, "address": self.address, "version": self.version, "workers": self.workers,
                       "generation": self.generation, "load": self.load, "capacity": self.capacity,
                       "lastSeen": self.last_seen, "started": self.started,
                       **({"twin": self.twin} if self.twin else {})})


def host_went_down(text: str, now_ms: float) -> str:
    """The same host, down since now; "" where it is said already.  What cannot be read is as good as nothing."""
    said = read_object(text)
    if said.get("state") == "down":
        return ""
    return spaced({**said, "state": "down", "down": spelled(now_ms)})


def is_forgotten(text: str, now_ms: float, after_s: float) -> bool:
    """Whether a host has been down for so long that nobody asks for it any more."""
    down = read_object(text).get("down", "")
    return isinstance(down, str) and bool(down) and down < spelled(now_ms - after_s * 1000)


def has_drained(document: str, hosts: Mapping[str, str]) -> bool:
    """Whether every host says of an endpoint that it sends nothing new there and has nothing under way.

    `hosts` is the whole of mesh:hosts.  Where one that is up says nothing (only some of many do), it is False.
    """
    opinions = read_object(document).get("opinions")
    if not isinstance(opinions, dict) or not opinions:
        return False
    silent = [name for name, said in hosts.items() if name not in opinions and not is_down(said)]
    return not silent and all(isinstance(each, dict) and each.get("state") in _OUT and each.get("inFlight") == 0
                              for each in opinions.values())


def is_down(text: str) -> bool:
    return read_object(text).get("state") == "down"


def read_object(text: str) -> Mapping[str, Any]:
    """A JSON object that somebody may have changed by hand; empty where it is none."""
    try:
        said = orjson.loads(text) if text else {}
    except orjson.JSONDecodeError:
        return {}
    return said if isinstance(said, dict) else {}


def spaced(said: Mapping[str, Any]) -> str:
    """JSON in one line, with the spaces that make it easy to read."""
    return "{" + ", ".join(f'"{name}": {orjson.dumps(value).decode()}' for name, value in said.items()) + "}"
