"""What every proxy has in common: it is given routes, and writes its own configuration for them.

All get one worker (or thread), kept-alive connections to the upstream, X-Forwarded-For, no access log, and room for as
many connections as the bench makes.  Beyond that each has what its own documentation advises for a busy proxy.
"""
from __future__ import annotations

import socket
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.machine import find, free_port
from bench.processes import BenchFailed, Child, wait_until

START_S = 60.0
CATCH_ALL = ""          # as the host of a route: all requests


def put(file: Path, text: str) -> None:
    """Puts a file in place whole, as editors do."""
    new = file.with_name(f".{file.name}.new")
    new.write_text(text)
    new.rename(file)


@dataclass(frozen=True, slots=True)
class Route:
    """Requests for `host` go to these endpoints in turn ("127.0.0.1:8080")."""

    host: str
    endpoints: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a proxy is asked to do; `host` is the one that the load will ask for."""

    routes: tuple[Route, ...]
    host: str
    connections: int = 512
    headers: tuple[str, ...] = ()       # lines that the load sends with each request
    options: Mapping[str, str] = field(default_factory=dict)        # what one kind of proxy alone understands


class Peer(ABC):
    """One proxy; `version` is what it says of itself."""

    name = ""
    program = ""

    def __init__(self) -> None:
        self.path = find(self.program) if self.program else None

    @abstractmethod
    def write(self, directory: Path, port: int, wanted: Wanted) -> None:
        """Writes the configuration into the directory."""

    @abstractmethod
    def argv(self, directory: Path) -> Sequence[str]:
        """How it is started in the foreground."""

    def env(self, directory: Path) -> Mapping[str, str]:
        return {}

    def edit(self, proxy: Proxy, number: int) -> None:
        """Makes a harmless change and lets it take effect, as an operator would; not every peer can without a loss."""
        raise LookupError(f"{self.name} cannot take up an edit without closing connections")

    def edited_host(self, number: int) -> str:
        """A host that is served once the edit of this number has taken effect; "" where an edit adds none."""
        return ""

    def start(self, directory: Path, wanted: Wanted, core: int | None) -> Proxy:
        """Starts it and waits until it serves the wanted host.  Raises BenchFailed."""
        directory.mkdir(parents=True)
        port = free_port()
        self.write(directory, port, wanted)
        proxy = Proxy(self, directory, port, wanted, Child(self.argv(directory), core, directory, self.env(directory)))
        try:
            wait_until(proxy.serves, START_S, f"{self.name} does not serve")
        except BenchFailed as failed:
            said = proxy.child.last_words()
            proxy.child.end()
            raise BenchFailed(f"{failed}; it said:\n{said}") from None
        except BaseException:
            proxy.child.end()
            raise
        return proxy


@dataclass(slots=True)
class Proxy:
    """A peer that runs."""

    peer: Peer
    directory: Path
    port: int
    wanted: Wanted
    child: Child

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.child.end()

    def serves(self) -> bool:
        if self.child.process.poll() is not None:
            raise BenchFailed(f"{self.peer.name} ended with exit code {self.child.process.returncode}")
        return status(self.port, self.wanted.host, self.wanted.headers) == 200


def status(port: int, host: str, headers: Sequence[str] = ()) -> int:
    """The status of one answer; 0 where none comes."""
    try:
        with socket.create_connection(("127.0.0.1", port), 5) as sock:
            lines = ("GET / HTTP/1.1", f"Host: {host}", *headers, "Connection: close", "", "")
            sock.sendall("\r\n".join(lines).encode())
            said = b""
            while len(said) < 12 and (more := sock.recv(4096)):
                said += more
        return int(said[9:12])
    except (OSError, ValueError):
        return 0
