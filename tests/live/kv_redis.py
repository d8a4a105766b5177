"""A real redis-server for a test, on a port of its own, that can be killed, stopped and started again."""
from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import redis
from ports import free_port

from mesh.model import RedisServer

SERVER = shutil.which("redis-server") or shutil.which("valkey-server")
WITHIN_S = 10.0
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


def _dies_with_us() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def until(condition: Callable[[], Any], what: object = "", within_s: float = WITHIN_S) -> Any:
    """What the condition answers once that is true."""
    deadline = time.monotonic() + within_s
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"not within {within_s:g} s: {what or condition}"
        time.sleep(0.01)
    return answer


class RedisRunning:
    """`options` are further words of its command line; nothing is kept on the disk unless they say so."""

    def __init__(self, directory: Path, *options: str) -> None:
        self.port = free_port()
        self.directory, self.options = directory, options
        directory.mkdir(parents=True, exist_ok=True)
        self.process: subprocess.Popen[bytes] | None = None
        self.program = [SERVER or "", "--save", ""]
        self.server = RedisServer((f"127.0.0.1:{self.port}",))
        self.client = redis.Redis(port=self.port, decode_responses=True)

    def __enter__(self) -> RedisRunning:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.kill()

    def start(self) -> RedisRunning:
        """Starts it, and waits until it answers."""
        with (self.directory / "redis.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self.program, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.directory),
                 *self.options], stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=_dies_with_us)
        until(self.answers, "redis-server answers")
        return self

    def answers(self) -> bool:
        with contextlib.suppress(redis.RedisError, OSError):
            return bool(self.client.ping())
        return False

    def kill(self) -> None:
        """kill -9, whatever it does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def signal(self, number: int) -> None:
        assert self.process is not None
        os.kill(self.process.pid, number)

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """It hangs for so long: it has the connections, and does not answer."""
        self.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.signal(signal.SIGCONT)

    def put(self, **pairs: str) -> None:
        """Keys below traefik/http, `__` for the slashes."""
        for key, value in pairs.items():
            self.client.set(f"traefik/http/{key.replace('__', '/')}", value)

    def routes(self, *names: str) -> None:
        """A router and a service for each name."""
        for name in names:
            self.put(**{f"services__{name}__loadbalancer__servers__0__url": "http://127.0.0.1:1",
                        f"routers__{name}__rule": f"Host(`{name}.example`)", f"routers__{name}__service": name})
