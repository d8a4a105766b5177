"""A host as its agent leaves it in shared memory, and a Redis beside it, for the commands about endpoints."""
from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mesh.model import Dynamic, LoadBalancer, Redis, RedisServer, Server, Service, Static, Weighted
from mesh.model_json import to_json
from mesh.shared.layout import FACT_AGENT_PID
from workers.agent.table import Table
from workers.commands.override import Asked, Word
from workers.commands.paper import Paper
from workers.commands.sight import Sight, look, shown
from workers.memory import create

SIZES = (1 << 20, 1 << 20, 4, 64, 512)
A, B, C = "http://10.0.3.17:8080", "http://10.0.3.18:8080", "http://10.0.3.18:8081"


def services(**urls: tuple[str, ...]) -> Dynamic:
    """`orders_shop=(A, B)` is orders.shop@mesh."""
    names = {f"{name.replace('_', '.')}@mesh": tuple(map(Server, each)) for name, each in urls.items()}
    return Dynamic(services={name: Service(name, LoadBalancer(each)) for name, each in names.items()})


class Host:
    """This process is its master and its agent at once; `table` is the agent's."""

    def __init__(self, directory: Path, redis: RedisServer | None = None, name: str = "host-a") -> None:
        self.static = Static(host_name=name, runtime_directory=str(directory / "run"),
                             state_directory=str(directory / "state"),
                             redis=Redis(redis or RedisServer(), embedded=False))
        self.memory = create(self.static, sizes=SIZES)
        self.memory.facts.store(FACT_AGENT_PID, os.getpid())
        self.table = Table(self.memory, self.static)

    def serve(self, dynamic: Dynamic) -> Host:
        self.memory.plan.write(to_json(self.table.assign(dynamic)))
        return self

    def shares(self) -> Host:
        """orders.shop with A, B and C, and both@file, which shares among it and users.shop."""
        dynamic = services(orders_shop=(A, B, C), users_shop=("http://10.0.3.20:8080",))
        shared = Service("both@file", Weighted((("orders.shop@mesh", 3), ("users.shop@mesh", 1))))
        return self.serve(Dynamic(services={**dynamic.services, "both@file": shared}))

    def slot(self, url: str, service: str = "orders.shop@mesh") -> int:
        return int(self.memory.slots.find(f"{service}\x1f{url}"))

    def close(self) -> None:
        self.table.close()


def shown_by(static: Static, command: Callable[..., int], *words: Any) -> tuple[int, str]:
    """Exit code and what is printed."""
    stream = io.StringIO()
    code = shown(look(static), Paper(stream), False, lambda sight, paper: command(sight, paper, *words))
    return code, stream.getvalue()


def say(static: Static, word: str, url: str, why: str = "", service: str = "orders.shop") -> tuple[int, str]:
    """An operator's word, as `hostmesh drain` and the others say it."""
    def command(sight: Sight, paper: Paper) -> int:
        return Word(sight, paper, False).say(Asked(word, service, url, why))
    return shown_by(static, command)


def opinions(state: str, **hosts: dict[str, Any]) -> str:
    """The document of an endpoint in Redis."""
    named = {name.replace("_", "-"): each for name, each in hosts.items()}
    return json.dumps({"state": state, "weight": 1, "source": "file", "inFlight": 1, "requests": 30, "failures": 2,
                       "latencyMs": 2.4, "since": "2026-11-25T01:40:00Z", "opinions": named})
