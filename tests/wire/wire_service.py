"""The whole service, started once for all of these tests, and the addresses that they use in turn.

Owns the configuration: one worker (so that pools and turns are one), an entrypoint for each set of options, and groups
of three endpoints with a route for everything that a test may ask of them.
"""
from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
from wire_client import Client, soon
from wire_upstream import Upstream

sys.path.append(str(Path(__file__).parents[1] / "live"))
from running import Mesh

GROUPS = 24

ENTRY_POINTS: dict[str, dict[str, Any]] = {
    "web": {},
    "quick": {"transport": {"respondingTimeouts": {
        "headerTimeout": "400ms", "readTimeout": "2s", "bodyIdleTimeout": "500ms", "idleTimeout": "400ms"}}},
    "total": {"transport": {"respondingTimeouts": {"totalTimeout": "600ms"}}},
    "write": {"transport": {"respondingTimeouts": {"writeTimeout": "600ms"}}},
    "few": {"transport": {"keepAliveMaxRequests": 3}},
    "aged": {"transport": {"keepAliveMaxTime": "300ms"}},
    "small": {"http": {"maxHeaderBytes": 2048, "maxHeaders": 10, "maxTargetBytes": 256}},
    "raw": {"http": {"sanitizePath": False}},
    "insecure": {"forwardedHeaders": {"insecure": True}},
    "trusted": {"forwardedHeaders": {"trustedIPs": ["10.0.0.0/8", "127.0.0.0/24"]}},
    "stranger": {"forwardedHeaders": {"trustedIPs": ["10.0.0.0/8", "::1"]}},
    "six": {"address": "[::1]:0", "forwardedHeaders": {"trustedIPs": ["::1/128"]}},
    "any": {"address": "127.0.0.1:0"},
}


class Group:
    """Three endpoints and the hosts that lead to them; for one test at a time."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.a, self.b, self.c = self.all = Upstream(), Upstream(), Upstream()

    def host(self, what: str) -> bytes:
        return f"{what}-{self.number}.test".encode()

    @property
    def one(self) -> bytes:
        return self.host("one")

    @property
    def two(self) -> bytes:
        return self.host("two")

    @property
    def three(self) -> bytes:
        return self.host("three")

    def dynamic(self) -> dict[str, Any]:
        """The routers and services of this group."""
        at = [f"http://127.0.0.1:{upstream.port}" for upstream in self.all]
        services: dict[str, Any] = {
            "one": {"servers": [{"url": at[0]}]},
            "two": {"servers": [{"url": url} for url in at[:2]]},
            "three": {"servers": [{"url": url} for url in at]},
            "quick": {"servers": [{"url": at[0]}], "serversTransport": "quick"},
            "quick-two": {"servers": [{"url": at[0]}, {"url": at[1]}], "serversTransport": "quick"},
            "own-host": {"servers": [{"url": at[0]}], "passHostHeader": False},
            "prefix": {"servers": [{"url": at[0] + "/base/"}]},
        }
        routers = {f"{name}-{self.number}": {"rule": f"Host(`{name}-{self.number}.test`)", "service":
                   f"{name}-{self.number}"} for name in services}
        return {"routers": routers, "services": {f"{name}-{self.number}": {"loadBalancer": said}
                                                 for name, said in services.items()}}

    def states(self, port: int) -> str:
        """"closed" where no end of a connection to the port, other than the endpoint's own, is open any more."""
        ours = [each for each in psutil.net_connections("tcp") if each.raddr and each.raddr.port == port]
        return "open" if any(each.status == psutil.CONN_ESTABLISHED for each in ours) else "closed"

    def stop(self) -> None:
        for upstream in self.all:
            upstream.stop()


class Service:
    """A Mesh with all groups and the corpus's endpoint."""

    def __init__(self, directory: Path) -> None:
        self.groups = [Group(number) for number in range(GROUPS)]
        self.corpus = Upstream()
        self._turn = 0
        self.mesh = Mesh(directory, {"wire.yml": json.dumps(self._dynamic())}, {
            "host": {"name": "wire", "workers": 1},
            "entryPoints": {name: {"address": "127.0.0.1:0", **more} for name, more in ENTRY_POINTS.items()},
            "providers": {"file": {"watch": False}},
            "accessLog": {"filePath": "access.log", "format": "json"}})
        self.mesh.start()
        self.addresses = {name: (said.rpartition(":")[0].strip("[]"), int(said.rpartition(":")[2]))
                          for name, said in self.mesh.about.entry_points.items()}
        self.worker = self.present_worker()

    def _dynamic(self) -> dict[str, Any]:
        http: dict[str, Any] = {
            "routers": {"corpus": {"rule": "PathPrefix(`/`)", "priority": 1, "service": "corpus",
                                   "entryPoints": ["any"]}},
            "services": {"corpus": {"loadBalancer": {"servers": [{"url": f"http://127.0.0.1:{self.corpus.port}"}]}}},
            "serversTransports": {"quick": {"forwardingTimeouts": {
                "dialTimeout": "400ms", "responseHeaderTimeout": "500ms"}}}}
        for group in self.groups:
            for kind, said in group.dynamic().items():
                http[kind].update(said)
        return {"http": http}

    def present_worker(self) -> psutil.Process:
        """The one process that serves."""
        (pid,) = self.mesh.workers
        return psutil.Process(pid)

    def next_group(self) -> Group:
        self._turn += 1
        return self.groups[self._turn % GROUPS]

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """The worker stands still meanwhile; what arrives, it then finds all at once."""
        self.worker.suspend()
        try:
            soon(lambda: self.worker.status() == psutil.STATUS_STOPPED)
            yield
        finally:
            self.worker.resume()

    def connections(self) -> int:
        """How many connections of clients the metrics say are open."""
        return int(self.mesh.metric("mesh_open_connections"))

    def lines_of(self, clients: list[Client], count: int) -> list[dict[str, Any]]:
        """The lines of these clients, in their order, when there are so many; else []."""
        ports = {str(client.sock.getsockname()[1]) for client in clients}
        found = [line for line in self.lines() if line["ClientPort"] in ports]
        return found if len(found) >= count else []

    def line(self, target: str) -> dict[str, Any] | None:
        """What the access log says of the one request for this target, or None."""
        found = [line for line in self.lines() if line.get("RequestPath") == target]
        assert len(found) < 2, found
        return found[0] if found else None

    def lines(self) -> list[dict[str, Any]]:
        """The access log."""
        return [json.loads(line) for line in (self.mesh.directory / "access.log").read_text().splitlines()]

    def stop(self) -> None:
        """Fails if a process is left, or if the log tells of an error inside hostmesh."""
        try:
            self.mesh.__exit__(None)
        finally:
            for group in self.groups:
                group.stop()
