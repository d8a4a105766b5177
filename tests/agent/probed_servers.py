"""Real servers for probes to ask, in native threads of the test: one that speaks HTTP, and one that does anything."""
from __future__ import annotations

import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import gevent
import pytest
from table_memory import Host, service

from mesh.model import Dynamic, HealthCheck, Service, Transport
from workers.agent.probes import Prober

WITHIN_S = 10.0
WEB = "web@file"


def until(condition: Callable[[], Any], what: str = "") -> Any:
    """What the condition answers once that is true; the hub runs meanwhile."""
    deadline = time.monotonic() + WITHIN_S
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"not within {WITHIN_S} s: {what or condition}"
        gevent.sleep(0.005)
    return answer


@dataclass
class Web:
    """A server of HTTP; `status` is what it answers, `seen` what it was asked."""

    url: str = ""
    port: int = 0
    status: int = 200
    locations: dict[str, str] = field(default_factory=dict)     # path -> where to
    seen: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    def paths(self) -> list[str]:
        return [path for _, path, _ in self.seen]


class Quiet(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: Any) -> None:
        """A probe closes when it has seen enough."""


@pytest.fixture
def web() -> Iterator[Callable[..., Web]]:
    """Makes servers of HTTP: `web()`, or with an SSL context for https."""
    servers: list[Quiet] = []

    def make(context: Any = None, host: str = "127.0.0.1") -> Web:
        made = Web()

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                made.times.append(time.monotonic())
                made.seen.append((self.command, self.path, dict(self.headers.items())))
                where = made.locations.get(self.path)
                self.send_response(302 if where else made.status)
                if where:
                    self.send_header("Location", where)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_HEAD = do_POST = do_OPTIONS = answer

            def log_message(self, *_: Any) -> None:
                """The test sees for itself."""

        server = Quiet((host, 0), Handler)
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        made.port = server.server_address[1]
        made.url = f"{'http' if context is None else 'https'}://{host}:{made.port}"
        return made

    yield make
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def odd() -> Iterator[Callable[..., str]]:
    """A server that does with a connection what it is told to; its url."""
    servers: list[socketserver.ThreadingTCPServer] = []

    def make(serve: Callable[[socket.socket], None]) -> str:
        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                serve(self.request)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            request_queue_size = 1024

            def handle_error(self, *_: Any) -> None:
                """A probe closes when it has seen enough."""

        server = Server(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield make
    for server in servers:
        server.shutdown()
        server.server_close()


class Probing(Host):
    """A table with its prober, on the hub of the test."""

    def __init__(self, **prober: Any) -> None:
        super().__init__()
        self._prober_is = prober
        self.transports: dict[str, Transport] = {}
        self.start()

    def start(self) -> None:
        self.prober = Prober(self.table, self.memory.slots, lambda: 0.5, **self._prober_is)
        self.prober.start()

    def begin_anew(self) -> None:
        """The agent was killed, and another one comes."""
        self.prober.close()
        self.begin()
        self.start()

    def probe(self, *urls: str, name: str = WEB, transport: str = "", **check: Any) -> None:
        """Publishes one service; its check is asked often unless it says otherwise."""
        said = HealthCheck(**{"interval": 0.05, "timeout": 2.0, **check})
        self.publish_all(service(name, *urls, check=said, transport=transport))

    def publish_all(self, *services: Service) -> None:
        self.table.assign(Dynamic(services={each.name: each for each in services}, transports=self.transports))
        self.generation += 1
        self.table.published(self.generation)

    def why(self, url: str) -> str:
        """Why the first probe of this endpoint failed; "well" where it did not."""
        until(lambda: self.seen(url).probes, f"a probe of {url}")
        return self.seen(url).error or "well"


@pytest.fixture
def probing() -> Iterator[Callable[..., Probing]]:
    made: list[Probing] = []

    def make(**prober: Any) -> Probing:
        made.append(Probing(**prober))
        return made[-1]

    yield make
    for each in made:
        each.prober.close()


