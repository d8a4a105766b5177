"""Traffic that goes on while a test edits: a closed loop over connections that are kept alive, every answer looked at.

    with Traffic(mesh.port, "stay.shop.mesh") as traffic:
        mesh.write(...)
        traffic.goes_on()           # each connection has had answers that were asked for after this call
    assert traffic.wrong == []      # nothing but 200; no connection was closed by the proxy

A connection that fails is opened again, so that one lost route is told as what it is, and not as an end of traffic.
"""
from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Iterable
from types import TracebackType

from running import Endpoint, Mesh, until

MOST_TOLD = 20


class _Connection(threading.Thread):
    """One client: it asks, reads the answer to its end, and asks again on the same connection."""

    def __init__(self, traffic: Traffic, number: int) -> None:
        super().__init__(daemon=True)
        self.traffic, self.number = traffic, number
        self.answers = 0
        self.by: Counter[str] = Counter()
        self.wrong: list[str] = []

    def run(self) -> None:
        while not self.traffic.is_over:
            try:
                with socket.create_connection(("127.0.0.1", self.traffic.port), timeout=10.0) as connection:
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self.ask_on(connection)
            except OSError as error:
                self.complain(f"connection failed: {error!r}")

    def ask_on(self, connection: socket.socket) -> None:
        hosts = self.traffic.hosts
        with connection.makefile("rb") as answers:
            while not self.traffic.is_over:
                host = hosts[(self.answers + self.number) % len(hosts)]
                connection.sendall(b"GET %s HTTP/1.1\r\nHost: %s\r\n\r\n" % (self.traffic.target, host))
                status = answers.readline(65536)
                if not status:
                    self.complain(f"{host.decode()}: the connection was closed instead of an answer")
                    return
                headers = {}
                while (line := answers.readline(65536)) not in (b"\r\n", b""):
                    name, _, value = line.partition(b":")
                    headers[name.lower()] = value.strip()
                body = answers.read(int(headers.get(b"content-length", 0)))
                if not status.startswith(b"HTTP/1.1 200"):
                    self.complain(f"{host.decode()}: {status.decode().strip()} {body[:200]!r}")
                if headers.get(b"connection", b"").lower() == b"close":
                    self.complain(f"{host.decode()}: the connection is to be closed")
                    return
                self.by[headers.get(b"x-by", b"nobody").decode()] += 1
                self.answers += 1

    def complain(self, what: str) -> None:
        self.wrong.append(f"{time.monotonic() - self.traffic.began:.3f} s: {what}")


class Traffic:
    """`wrong` are its complaints, `by` how many answers came from which endpoint, `asked` how many there were."""

    def __init__(self, port: int, *hosts: str, connections: int = 4, target: str = "/bytes?size=20") -> None:
        self.port, self.target = port, target.encode()
        self.hosts = [host.encode() for host in hosts]
        self.is_over = False
        self.began = time.monotonic()
        self._connections = [_Connection(self, number) for number in range(connections)]

    def __enter__(self) -> Traffic:
        for connection in self._connections:
            connection.start()
        self.goes_on()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if kind is None:
            self.goes_on()
        self.is_over = True
        for connection in self._connections:
            connection.join(15.0)

    def goes_on(self) -> None:
        """Waits until every connection has had a few answers to requests that were sent from now on."""
        each = 1 + 2 * len(self.hosts)
        goals = [(connection, connection.answers + each) for connection in self._connections]
        until(lambda: all(connection.answers >= goal for connection, goal in goals), "traffic goes on")

    @property
    def wrong(self) -> list[str]:
        """The first complaints; an empty list is what a test wants to see."""
        return [line for connection in self._connections for line in connection.wrong][:MOST_TOLD]

    @property
    def asked(self) -> int:
        return sum(connection.answers for connection in self._connections)

    @property
    def by(self) -> Counter[str]:
        return sum((connection.by for connection in self._connections), Counter())


def services(by_name: Iterable[tuple[str, str]]) -> str:
    """A dynamic file of mesh services with one endpoint each, in YAML of many lines, as a person writes it."""
    lines = ["mesh:", "  services:"]
    for name, url in by_name:
        lines += [f"    {name}:", "      endpoints:", f"        - {url}"]
    return "\n".join(lines) + "\n"


def serves(mesh: Mesh, host: str, endpoint: Endpoint) -> None:
    """Waits until every worker serves what was published last, and that sends requests for the host there."""
    def is_there() -> bool:
        status = mesh.status()
        same = all(worker["generation"] == status["generation"] for worker in status["workers"]
                   if not worker["draining"])       # what it has accepted it finishes, and accepts no more
        return same and mesh.ask("/bytes?size=1", host).headers["X-By"] == endpoint.name
    until(is_there, f"{host} leads to {endpoint.name}")
