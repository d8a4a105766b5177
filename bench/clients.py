"""Kept-alive clients that lose nothing without telling: which requests failed, when, and the longest silence.

wrk and h2load count failures; this tells when each request began and when it failed, so that it can be laid beside
what was done to the proxy at that moment.  One plain epoll loop.  Times are CLOCK_MONOTONIC, which all processes share.
With a rate, requests are due at even distances, and whoever is free sends the next; without, each asks again at once.

    python -m bench.clients PORT HOST CLIENTS PER-SECOND SECONDS        (PER-SECOND 0: as fast as it goes)
"""
from __future__ import annotations

import gc
import json
import select
import socket
import subprocess
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.load import percentile
from bench.machine import ROOT
from bench.processes import BenchFailed, Child

LATE_S = 10.0           # an answer that takes longer is a failure
END = b"x\n"            # of the upstream's answer


@dataclass(frozen=True, slots=True)
class Failure:
    """One request without a good answer: when its connection was opened, when it was sent, when that was known."""

    opened: float
    began: float
    ended: float
    why: str


@dataclass(slots=True)
class Told:
    """What the clients saw; `gap_ms` is the longest time between two answers, whoever got them."""

    answered: int = 0
    per_s: float = 0.0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    gap_ms: float = 0.0
    began: float = 0.0
    closed_idle: int = 0            # connections that the proxy closed when nothing was asked on them
    failures: list[Failure] = field(default_factory=list)


@dataclass(slots=True)
class _Client:
    sock: socket.socket
    opened: float
    began: float = 0.0              # of the request under way; 0: none is
    said: bytes = b""

    def is_open(self) -> bool:
        """Whether the other side has not ended it yet: a client looks before it sends."""
        try:
            return bool(self.sock.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return True
        except OSError:
            return False


class _Loop:
    def __init__(self, port: int, host: str, count: int, per_s: float) -> None:
        self.port, self.per_s = port, per_s
        self.asks = f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        self.poll = select.epoll()
        self.told = Told()
        self.took: list[float] = []
        self.last = 0.0                 # when the last answer came
        self.clients: dict[int, _Client] = {}
        self.free: deque[_Client] = deque()
        for _ in range(count):
            self.open()

    def open(self) -> None:
        began = time.monotonic()
        try:
            sock = socket.create_connection(("127.0.0.1", self.port), LATE_S)
        except OSError as error:
            self.told.failures.append(Failure(began, began, time.monotonic(), f"not connected: {error}"))
            return
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)         # with a time-out, recv would wait for it whatever its flags say
        client = _Client(sock, time.monotonic())
        self.clients[sock.fileno()] = client
        self.poll.register(sock, select.EPOLLIN)
        self.free.append(client)

    def again(self, client: _Client) -> None:
        """A connection has ended: another takes its place."""
        self.poll.unregister(client.sock)
        del self.clients[client.sock.fileno()]
        client.sock.close()
        self.open()

    def fail(self, client: _Client, why: str) -> None:
        self.told.failures.append(Failure(client.opened, client.began, time.monotonic(), why))
        self.again(client)

    def send(self, client: _Client, now: float) -> None:
        if not client.is_open():
            self.told.closed_idle += 1
            self.again(client)
            return
        client.began, client.said = now, b""
        try:
            client.sock.send(self.asks)
        except OSError as error:
            self.fail(client, f"not sent: {error}")

    def receive(self, client: _Client) -> None:
        try:
            more = client.sock.recv(65536)
        except OSError as error:
            if client.began:
                self.fail(client, str(error))
                return
            more = b""
        if not more:
            if client.began:
                self.fail(client, "closed instead of an answer")
                return
            self.told.closed_idle += 1
            self.free.remove(client)
            self.again(client)
            return
        client.said += more
        if not client.said.startswith(b"HTTP/1.1 200"[:len(client.said)]):
            self.fail(client, client.said[:60].decode(errors="replace"))
        elif client.said.endswith(END):
            now = time.monotonic()
            self.took.append(now - client.began)
            self.told.gap_ms = max(self.told.gap_ms, (now - self.last) * 1e3)
            self.last, client.began = now, 0.0
            if b"\r\nConnection: close\r\n" in client.said:
                self.again(client)
            elif self.per_s:
                self.free.append(client)
            else:
                self.send(client, now)

    def run(self, seconds: float) -> Told:
        told = self.told
        told.began = due = self.last = time.monotonic()
        end = due + seconds
        look = due + 1.0
        while (now := time.monotonic()) < end:
            while self.free and now >= due:
                if self.per_s:
                    due += 1 / self.per_s
                self.send(self.free.popleft(), now)
            for fd, _ in self.poll.poll(max(0.0, min(due if self.free else end, look) - now)):
                if (client := self.clients.get(fd)) is not None:
                    self.receive(client)
            if now >= look:
                look = now + 1.0
                for client in [each for each in self.clients.values() if each.began and now - each.began > LATE_S]:
                    self.fail(client, f"no answer within {LATE_S:g} s")
        told.answered = len(self.took)
        told.per_s = told.answered / seconds
        self.took.sort()
        told.p50_ms, told.p99_ms = percentile(self.took, 50) * 1e3, percentile(self.took, 99) * 1e3
        return told


class Clients:
    """The same as a process of its own, under way; `finish` waits for its end."""

    def __init__(self, directory: Path, port: int, host: str, count: int, per_s: float, seconds: float,
                 core: int | None) -> None:
        self._seconds = seconds
        self._child = Child([sys.executable, "-m", "bench.clients", str(port), host, str(count), str(per_s),
                             str(seconds)], core, directory, {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE)

    def __enter__(self) -> Clients:
        return self

    def __exit__(self, *_: object) -> None:
        self._child.end()

    @property
    def ended(self) -> bool:
        return self._child.process.poll() is not None

    def finish(self) -> Told:
        try:
            said, _ = self._child.process.communicate(timeout=self._seconds + LATE_S + 30)
        except subprocess.TimeoutExpired:
            raise BenchFailed("the clients did not end") from None
        if self._child.process.returncode:
            raise BenchFailed(f"the clients ended by an error; they said:\n{self._child.last_words()}")
        told = json.loads(said)
        told["failures"] = [Failure(**each) for each in told["failures"]]
        return Told(**told)


if __name__ == "__main__":
    _, at, asked, many, rate, length = sys.argv
    gc.disable()            # a pause of ours is not to be taken for one of the proxy's
    print(json.dumps(asdict(_Loop(int(at), asked, int(many), float(rate)).run(float(length)))))
