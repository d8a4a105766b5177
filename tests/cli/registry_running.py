"""A real redis-server for registrations, and a program that is an instance and tells what happens to it."""
from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from instances import ROOT, until
from ports import free_port

PROGRAM = '''
import http.server, json, os, pathlib, signal, socket, sys, threading, time
directory, port, code = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
def note(word, value=None):
    with (directory / "noted").open("a") as file:
        file.write(json.dumps([word, value]) + "\\n")
def key_there():
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(directory / "redis.sock"))
        sock.sendall(b"EXISTS mesh:instance:orders.shop:one\\r\\n")
        return sock.recv(100) == b":1\\r\\n"
def end(number, frame):
    if (directory / "deaf").exists():
        return
    note("TERM", key_there())
    os._exit(code)
signal.signal(signal.SIGTERM, end)
for name in ("HUP", "USR1", "USR2", "QUIT", "WINCH"):
    signal.signal(getattr(signal, "SIG" + name), lambda number, frame, name=name: note(name))
note("started", {"pid": os.getpid(), "environ": dict(os.environ), "line": sys.stdin.readline(), "group": os.getpgid(0)})
if os.environ.get("NOTIFY_SOCKET"):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    path = os.environ["NOTIFY_SOCKET"].replace("@", "\\0", 1)
    sock.connect(path)
    socket.send_fds(sock, [b"READY=1\\nMAINPID=%d\\nSTATUS=here" % os.getpid()], [1])
while (directory / "shut").exists():
    time.sleep(0.02)
class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(503 if (directory / "ill").exists() else 204)
        self.end_headers()
    def log_message(self, *words):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", port), Answers).serve_forever()
'''


class Registry:
    """A directory with a redis-server on a socket, and what runs as an instance beside it."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.port = directory, free_port()
        self.socket = directory / "redis.sock"
        self.url = f"http://127.0.0.1:{self.port}"
        (directory / "program.py").write_text(PROGRAM)
        self._redis: subprocess.Popen[bytes] | None = None
        self._ran: list[subprocess.Popen[Any]] = []
        self.client = redis.Redis(unix_socket_path=str(self.socket), decode_responses=True)

    def start_redis(self) -> None:
        self._redis = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", str(self.socket), "--save", "", "--dir",
             str(self.directory)], stdout=subprocess.DEVNULL)
        until(self._answers, "a redis-server that answers")

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.RedisError:
            return False

    def hang_redis(self) -> None:
        assert self._redis is not None
        self._redis.send_signal(signal.SIGSTOP)

    def stop_redis(self) -> None:
        assert self._redis is not None
        self._redis.kill()
        self._redis.wait()

    def words(self, *options: str, code: int = 0) -> list[str]:
        return ["register", "orders.shop", self.url, "--id", "one", "--redis", f"unix://{self.socket}", *options, "--",
                sys.executable, str(self.directory / "program.py"), str(self.directory), str(self.port), str(code)]

    def run(self, *options: str, code: int = 0, environ: dict[str, str] | None = None,
            **popen: Any) -> subprocess.Popen[Any]:
        """hostmesh register around the program; waits until that has started."""
        process = subprocess.Popen(
            [sys.executable, "-m", "workers.cli", *self.words(*options, code=code)], cwd=ROOT, stdin=subprocess.PIPE,
            stderr=(self.directory / "said").open("wb"), env={**os.environ, **(environ or {})}, **popen)
        self._ran.append(process)
        assert process.stdin is not None
        process.stdin.write(b"a line\n")
        process.stdin.close()
        until(lambda: self.noted("started"), "the program")
        return process

    def touch(self, name: str) -> Path:
        (self.directory / name).touch()
        return self.directory / name

    def noted(self, word: str) -> list[Any]:
        """What the program has noted under this word."""
        file = self.directory / "noted"
        lines = file.read_text().splitlines() if file.exists() else []
        return [value for said, value in map(json.loads, lines) if said == word]

    @property
    def said(self) -> str:
        return (self.directory / "said").read_text()

    @property
    def value(self) -> dict[str, Any] | None:
        """What Redis has of the instance."""
        found = self.client.get("mesh:instance:orders.shop:one")
        return None if found is None else json.loads(str(found))

    def tells(self, host: str, state: str, in_flight: int) -> None:
        """What a host says of the instance."""
        said = json.dumps({"opinions": {host: {"state": state, "inFlight": in_flight}}})
        self.client.hset("mesh:endpoints:orders.shop", self.url, said)

    @property
    def program(self) -> int:
        """The program's pid."""
        return self.noted("started")[-1]["pid"]

    def registered(self) -> None:
        until(lambda: self.value, "a registration")

    def close(self) -> None:
        for process in self._ran:
            if process.poll() is None:
                process.kill()
                process.wait()
        for started in self.noted("started"):
            try:
                os.kill(started["pid"], signal.SIGKILL)
            except ProcessLookupError:
                continue
        if self._redis is not None and self._redis.poll() is None:
            self.stop_redis()


@pytest.fixture
def unserved(tmp_path: Path) -> Iterator[Registry]:
    """A registry whose Redis does not run yet."""
    if not shutil.which("redis-server"):
        pytest.skip("no redis-server here")
    made = Registry(tmp_path)
    yield made
    made.close()


@pytest.fixture
def registry(unserved: Registry) -> Registry:
    unserved.start_redis()
    return unserved


__all__ = ["Registry", "registry", "unserved"]
