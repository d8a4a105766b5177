"""The service with the endpoint table laid open: services of any option, and the cells of their endpoints.

    with Table(directory, workers=2) as table:
        service = table.serve(balanced("web", one.url, two.url, strategy="p2c"))     # returns when all workers serve it
        service.in_flight(one.url), service.word(one.url, SLOT_FAILURES)             # read from the shared memory
        service.mark(one.url, STATE_DRAIN)                                            # as the agent would
        service.host                                                                  # that leads to it
"""
from __future__ import annotations

import mmap
import os
import pickle
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1] / "live"))
from running import Mesh, until

from mesh.model import Dynamic, EntryPoint, LoadBalancer, Router, Server, Service, Transport, Weighted
from mesh.names import MEMORY_FILE
from mesh.shared.layout import Memory
from mesh.shared.slots import SLOT_FAILURES, SLOT_REQUESTS, key_of

WEB = EntryPoint("web", "127.0.0.1", 0)


def balanced(name: str, *servers: str | tuple[str, int], **options: Any) -> Service:
    """A load balancer; servers are urls, or (url, weight)."""
    return Service(f"{name}@file", LoadBalancer(tuple(
        Server(each) if isinstance(each, str) else Server(*each) for each in servers), **options))


def weighted(name: str, *children: tuple[str, int], **options: Any) -> Service:
    return Service(f"{name}@file", Weighted(tuple((f"{child}@file", weight) for child, weight in children), **options))


@dataclass(frozen=True, slots=True)
class Served:
    """One service that is served, and its endpoints' cells."""

    table: Table
    name: str

    @property
    def host(self) -> bytes:
        return f"{self.name.removesuffix('@file')}.test".encode()

    def slot(self, url: str) -> int:
        slot = self.table.memory.slots.find(key_of(self.name, url))
        assert slot >= 0, f"{url} has no slot"
        return slot

    def in_flight(self, url: str) -> int:
        return self.table.memory.slots.in_flight(self.slot(url))

    def word(self, url: str, word: int) -> int:
        return self.table.memory.slots.load(self.slot(url), word)

    def told(self, url: str) -> tuple[int, int]:
        """How many tries have ended, and how many of them failed."""
        return self.word(url, SLOT_REQUESTS), self.word(url, SLOT_FAILURES)

    def words(self, url: str) -> list[int]:
        """All cells of an endpoint."""
        return [self.word(url, word) for word in range(16)]

    def mark(self, url: str, bits: int, mask: int | None = None) -> None:
        """Sets these bits of its state, or takes them back where only the mask has them."""
        self.table.memory.slots.set_state(self.slot(url), bits, bits if mask is None else mask)


class Table(Mesh):
    """A Mesh whose agent publishes what `serve` says."""

    def __init__(self, directory: Path, workers: int = 1, entry_points: dict[str, Any] | None = None) -> None:
        self.services: dict[str, Service] = {}
        self.transports: dict[str, Transport] = {}
        super().__init__(directory, {}, {
            "host": {"workers": workers},
            "entryPoints": {name: {"address": "127.0.0.1:0", **more} for name, more in (entry_points or {}).items()}},
            program=(str(Path(__file__).with_name("table_agent.py")),))
        self._publish()

    def start(self, wait: bool = True) -> Table:
        super().start(wait)
        file = os.open(self.run_directory / MEMORY_FILE, os.O_RDWR)
        try:
            self.memory = Memory(mmap.mmap(file, 0))        # for writing: tests do what the agent does
        finally:
            os.close(file)
        return self

    def serve(self, *services: Service, transports: tuple[Transport, ...] = ()) -> Served:
        """Adds services, or says them anew; the first of them, once every worker serves them."""
        self.services.update((each.name, each) for each in services)
        self.transports.update((each.name, each) for each in transports)
        before = self.memory.plan.generation
        self._publish()
        self.wait_for_generation(before + 1)
        return Served(self, services[0].name)

    def _publish(self) -> None:
        dynamic = Dynamic({f"{name}": Router(name, f"Host(`{name.removesuffix('@file')}.test`)", name)
                           for name in self.services}, self.services, transports=self.transports)
        fresh = self.directory / "model.new"
        fresh.write_bytes(pickle.dumps(dynamic))
        fresh.rename(self.directory / "model")

    def address(self, entry_point: str = "web") -> tuple[str, int]:
        return "127.0.0.1", self.port_of(entry_point)

    def rest(self, *served: Served) -> None:
        """Waits until nothing is under way on any endpoint of these services (of all, where none is named)."""
        names = [each.name for each in served] or list(self.services)
        slots = [slot for slot, key in self.memory.slots.items() if key.partition("\x1f")[0] in names]
        until(lambda: not any(map(self.memory.slots.in_flight, slots)), "nothing is under way")
