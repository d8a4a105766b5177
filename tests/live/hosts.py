"""Three hosts on one machine: network namespaces with addresses of their own on a bridge, and one Redis between them.

    with Network() as network, network.redis() as redis, network.host("a", directory, ...) as a:
        a.mesh.ask(...)

Where namespaces are not to be had (no root), the hosts are three instances on 127.0.0.11 to 13; `is_real` tells.  All
of it lives in namespaces of this process alone (their names have its pid) and is gone when the block is left.
"""
from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import redis as redis_py
from running import ORDERS, Answer, Endpoint, Mesh, laid_over, until

_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)
NAMES = ("a", "b", "c")


def _run(*words: str) -> None:
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


class Network:
    """The wires: one namespace with a bridge, and one for each host."""

    def __init__(self) -> None:
        self.is_real = os.geteuid() == 0 and shutil.which("ip") is not None
        self.middle = f"hm{os.getpid()}"
        self._made: list[str] = []

    def __enter__(self) -> Network:
        if self.is_real:
            try:
                self._wire()
            except (subprocess.CalledProcessError, OSError):
                self._unwire()
                self.is_real = False
        return self

    def __exit__(self, *_: object) -> None:
        self._unwire()

    def _wire(self) -> None:
        self._space(self.middle)
        _run("ip", "-n", self.middle, "link", "add", "br0", "type", "bridge")
        _run("ip", "-n", self.middle, "addr", "add", "10.88.0.254/24", "dev", "br0")
        _run("ip", "-n", self.middle, "link", "set", "br0", "up")
        for name in NAMES:
            space = self.space(name)
            self._space(space)
            _run("ip", "-n", space, "link", "add", "eth0", "type", "veth", "peer", "name", f"to-{name}", "netns",
                 self.middle)
            _run("ip", "-n", self.middle, "link", "set", f"to-{name}", "master", "br0", "up")
            _run("ip", "-n", space, "addr", "add", f"{self.address(name)}/24", "dev", "eth0")
            _run("ip", "-n", space, "link", "set", "eth0", "up")

    def _space(self, space: str) -> None:
        _run("ip", "netns", "add", space)
        self._made.append(space)
        _run("ip", "-n", space, "link", "set", "lo", "up")

    def _unwire(self) -> None:
        while self._made:
            with contextlib.suppress(subprocess.CalledProcessError):
                _run("ip", "netns", "del", self._made.pop())

    def space(self, name: str) -> str:
        """The namespace of a host; "" is that of Redis."""
        return f"{self.middle}{name}"

    def address(self, name: str) -> str:
        """The address of a host; "" is that of Redis."""
        number = NAMES.index(name) + 11 if name else 254
        return f"10.88.0.{number}" if self.is_real else f"127.0.0.{number}"

    def command(self, name: str) -> tuple[str, ...]:
        """What stands before a command that is to run on a host."""
        return ("ip", "netns", "exec", self.space(name)) if self.is_real else ()

    @contextlib.contextmanager
    def inside(self, name: str) -> Iterator[None]:
        """Sockets that this thread opens meanwhile are the host's."""
        if not self.is_real:
            yield
            return
        home, there = os.open("/proc/thread-self/ns/net", os.O_RDONLY), os.open(
            f"/var/run/netns/{self.space(name)}", os.O_RDONLY)
        try:
            _enter(there)
            yield
        finally:
            _enter(home)
            os.close(home)
            os.close(there)

    @contextlib.contextmanager
    def redis(self, directory: Path) -> Iterator[RedisOfAll]:
        """A redis-server that all hosts reach."""
        server = RedisOfAll(self, directory)
        try:
            server.start()
            yield server
        finally:
            server.kill()

    @contextlib.contextmanager
    def host(self, name: str, directory: Path, files: Mapping[str, str], redis_url: str,
             static: Mapping[str, Any] | None = None) -> Iterator[Host]:
        """One instance of hostmesh on this host."""
        address = self.address(name)
        said = laid_over({
            "host": {"name": f"host-{name}", "address": address}, "redis": {"url": redis_url},
            "entryPoints": {"web": {"address": f"{address}:0"}}}, static or {})
        with self.inside(name):
            mesh = Mesh(directory / name, files, said, command=self.command(name))
        with mesh:
            yield Host(self, name, mesh)


def _enter(space: int) -> None:
    if _LIBC.setns(space, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


class RedisOfAll:
    """The Redis between the hosts; `client` speaks to it as an operator with redis-cli does."""

    def __init__(self, network: Network, directory: Path) -> None:
        self.network, self.directory = network, directory
        self.process: subprocess.Popen[bytes] | None = None
        with network.inside(""):
            with socket.create_server((network.address(""), 0)) as chosen:
                self.port = chosen.getsockname()[1]
        self.url = f"redis://{network.address('')}:{self.port}/0"

    def start(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.process = subprocess.Popen(
            [*self.network.command(""), "redis-server", "--port", str(self.port), "--bind", self.network.address(""),
             "--save", "", "--dir", str(self.directory), "--protected-mode", "no", "--unixsocket",
             str(self.directory / "sock")], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self.client = redis_py.Redis(unix_socket_path=str(self.directory / "sock"), decode_responses=True)
        until(self._answers, "redis answers")

    def _answers(self) -> bool:
        with contextlib.suppress(redis_py.RedisError):
            return bool(self.client.ping())
        return False

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


class Host:
    """One host of the mesh."""

    def __init__(self, network: Network, name: str, mesh: Mesh) -> None:
        self.network, self.name, self.mesh = network, name, mesh
        self.address = network.address(name)

    def connect(self) -> HTTPConnection:
        """A connection to this host's entrypoint, as an application on it makes it."""
        connection = HTTPConnection(self.address, self.mesh.port, timeout=10)
        with self.network.inside(self.name):
            connection.connect()
        return connection

    def ask(self, target: str = "/", host: str = ORDERS, method: str = "GET", **headers: str) -> Answer:
        """One request on a connection of its own."""
        connection = self.connect()
        try:
            connection.request(method, target, headers={"Host": host, **headers})
            with connection.getresponse() as answer:
                return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def cli(self, *words: str) -> subprocess.CompletedProcess[str]:
        """`hostmesh WORDS` on this host."""
        return subprocess.run(
            [*self.network.command(self.name), sys.executable, "-m", "workers.cli", *words, "--config",
             str(self.mesh.config)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])})

    def endpoint(self, name: str) -> EndpointThere:
        """An instance of a service on this host, at an address that all hosts reach."""
        return EndpointThere(self, name)


class EndpointThere(Endpoint):
    """endpoint.py on a host; what it has seen is asked from there."""

    def __init__(self, host: Host, name: str) -> None:
        self.name, self.host = name, host
        self.process = subprocess.Popen(
            [*host.network.command(host.name), sys.executable, str(Path(__file__).with_name("endpoint.py")), name,
             host.address, "0"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    @property
    def url(self) -> str:
        return f"http://{self.host.address}:{self.port}"

    def ask(self, target: str = "/", **said: Any) -> Answer:
        connection = HTTPConnection(self.host.address, self.port, timeout=10)
        with self.host.network.inside(self.host.name):
            connection.connect()
        try:
            connection.request("GET", target)
            with connection.getresponse() as answer:
                return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()


def every(hosts: list[Host], holds: Callable[[Host], bool]) -> Callable[[], bool]:
    """A condition of all hosts, for `until`."""
    return lambda: all(holds(host) for host in hosts)
