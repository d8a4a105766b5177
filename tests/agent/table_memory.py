"""A table over a memory of its own, and a clock that is put forward by hand."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mesh.health.events import RELOAD
from mesh.model import Dynamic, HealthCheck, LoadBalancer, Server, Service, Static
from mesh.shared.layout import Memory
from mesh.shared.slots import SLOT_STATE, key_of
from workers.agent.states import EndpointState
from workers.agent.table import Table

SIZES = (1 << 16, 1 << 16, 4, 64, 64)
A, B, C = (f"http://10.9.8.{number}:80" for number in (1, 2, 3))


class Clock:
    """CLOCK_MONOTONIC of a test, in seconds."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def memory_of(buffer: bytearray | None = None, sizes: tuple[int, ...] = SIZES) -> Memory:
    if buffer is None:
        buffer = bytearray(Memory.size(*sizes))
        Memory.format(buffer, *sizes)
    return Memory(buffer)


def service(name: str, *urls: str, check: HealthCheck | None = None, **how: Any) -> Service:
    servers = tuple(Server(url) for url in urls)
    return Service(name, LoadBalancer(servers, health_check=check, **how))


def dynamic(*services: Service) -> Dynamic:
    return Dynamic(services={each.name: each for each in services})


class Host:
    """One agent's table, and its successors over the same memory."""

    def __init__(self, static: Static | None = None, memory: Memory | None = None) -> None:
        self.memory, self.clock, self.static = memory or memory_of(), Clock(), static or Static()
        self.generation = 0
        self.begin()

    def begin(self) -> None:
        """The agent is another one now."""
        self.table = Table(self.memory, self.static, self.clock)

    def publish(self, *services: Service) -> dict[str, tuple[int, ...]]:
        slots = dict(self.table.assign(dynamic(*services)).slots)
        self.generation += 1
        self.table.published(self.generation)
        return slots

    def slot(self, name: str, url: str) -> int:
        return int(self.memory.slots.find(key_of(name, url)))

    def state(self, name: str, url: str) -> int:
        return int(self.memory.slots.load(self.slot(name, url), SLOT_STATE))

    def word(self, name: str, url: str, word: int) -> int:
        return int(self.memory.slots.load(self.slot(name, url), word))

    def seen(self, url: str) -> EndpointState:
        found, = (each for each in self.table.endpoints() if each.url == url)
        return found

    def told(self, *kinds: str) -> list[str]:
        """The events so far, as lines."""
        return [str(event) for _, event in self.table.events.after(0)
                if event.kind != RELOAD and (not kinds or event.kind in kinds)]

    def states(self) -> Mapping[str, str]:
        return {each.url: each.state for each in self.table.endpoints()}
