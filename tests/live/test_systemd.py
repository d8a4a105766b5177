"""What systemd is told and what it passes: sd_notify states on a real socket, and sockets it has opened itself."""
from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from load import Load
from running import ORDERS, Endpoint, Mesh, ask, free_address, until

from mesh.names import LOCK_FILE


class Told:
    """The states that arrived at a NOTIFY_SOCKET, one dictionary per datagram."""

    def __init__(self, path: str) -> None:
        self.path, self.directory = path, Path(path).parent
        self.states: list[dict[str, str]] = []
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind(path)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while datagram := self._sock.recv(4096):
            self.states.append(dict(line.split("=", 1) for line in datagram.decode().splitlines()))

    def ready(self, start: Callable[..., Mesh]) -> Mesh:
        """A service that has said READY here."""
        mesh = start(environ={"NOTIFY_SOCKET": self.path})
        until(lambda: self.words() == ["READY"], "READY")
        return mesh

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self.path)
        self._thread.join(5)
        self._sock.close()

    def words(self) -> list[str]:
        """The states without the STATUS lines: READY, RELOADING, STOPPING."""
        return [key for state in self.states for key in state if key in ("READY", "RELOADING", "STOPPING")]

    @property
    def status(self) -> str:
        return next((state["STATUS"] for state in reversed(self.states) if "STATUS" in state), "")


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Told]:
    told = Told(str(tmp_path / "notify"))
    yield told
    told.close()


def test_ready_is_told_when_a_worker_serves(start: Callable[..., Mesh], told: Told) -> None:
    mesh = told.ready(start)
    until(lambda: told.status == "generation 1, 2 of 2 workers serving", f"the status: {told.status}")
    assert mesh.ask("/").status == 200


def test_ready_is_not_told_before_a_configuration_is_published(start: Callable[..., Mesh], told: Told) -> None:
    """The test holds the boards, as the agent of a killed master would: there is nothing to serve yet."""
    (told.directory / "run").mkdir(mode=0o755)
    with (told.directory / "run" / LOCK_FILE).open("wb") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX, 1, 1)
        mesh = start(environ={"NOTIFY_SOCKET": told.path}, wait=False)
        until(lambda: "0 of 2 workers serving" in told.status, "a status")
        assert told.words() == []
    until(lambda: told.words() == ["READY"], "READY")
    assert mesh.ask("/").status == 200


def test_a_reload_is_told_with_its_time_and_ends_with_ready(start: Callable[..., Mesh], told: Told) -> None:
    mesh = told.ready(start)
    mesh.reload({"host": {"workers": 3}})
    until(lambda: told.words() == ["READY", "RELOADING", "READY"], f"the states: {told.words()}")
    stamped, = (state for state in told.states if "RELOADING" in state)
    assert stamped["MONOTONIC_USEC"].isdigit()
    until(lambda: "3 of 3 workers serving" in told.status, told.status)


def test_a_refused_reload_ends_with_ready_too(start: Callable[..., Mesh], told: Told) -> None:
    mesh = told.ready(start)
    mesh.config.write_text("nonsense: 1")
    mesh.signal(signal.SIGHUP)
    until(lambda: told.words() == ["READY", "RELOADING", "READY"], f"the states: {told.words()}")


def test_the_end_is_told_before_it_is_there(start: Callable[..., Mesh], endpoint: Endpoint, told: Told) -> None:
    mesh = told.ready(start)
    asking = threading.Thread(target=mesh.ask, args=("/held?gate=g",))
    asking.start()
    until(lambda: endpoint.waits_at("g"), "a request is under way")
    mesh.signal(signal.SIGTERM)
    until(lambda: told.words() == ["READY", "STOPPING"], f"the states: {told.words()}")
    assert mesh.is_running
    endpoint.open("g")
    asking.join(10)
    assert mesh.ended() == 0


def test_the_watchdog_is_fed_in_time(start: Callable[..., Mesh], told: Told) -> None:
    start(environ={"NOTIFY_SOCKET": told.path, "WATCHDOG_USEC": "1000000"})
    until(lambda: sum("WATCHDOG" in state for state in told.states) >= 3, "it is fed", 3.0)


def test_a_systemd_that_does_not_listen_is_no_reason_to_stop(start: Callable[..., Mesh], tmp_path: Path) -> None:
    mesh = start(environ={"NOTIFY_SOCKET": str(tmp_path / "nobody")})
    mesh.reload()
    assert mesh.ask("/").status == 200


@pytest.mark.skipif(not shutil.which("systemd-socket-activate"), reason="systemd-socket-activate is not installed")
@pytest.mark.parametrize("name", ["web", "somehow"])
def test_a_socket_of_systemd_s_is_taken_over(
        start: Callable[..., Mesh], endpoint: Endpoint, name: str) -> None:
    """The service starts with the first connection, which is answered; by the name of the socket or by its address."""
    address = free_address()
    mesh = start(static={"entryPoints": {"web": {"address": address}}}, command=(
        "systemd-socket-activate", "-E", f"PYTHONPATH={Path(__file__).parents[2]}", f"--fdname={name}", "-l", address),
        wait=False)
    until(lambda: not is_refused(address), "systemd listens")
    assert ask(address, "/", ORDERS).json["by"] == "one"
    until(lambda: mesh.serves, "it serves")
    assert mesh.port == int(address.rpartition(":")[2])


@pytest.mark.skipif(not shutil.which("systemd-socket-activate"), reason="systemd-socket-activate is not installed")
def test_an_inherited_socket_survives_reloads(start: Callable[..., Mesh]) -> None:
    address = free_address()
    mesh = start(static={"entryPoints": {"web": {"address": address}}}, command=(
        "systemd-socket-activate", "-E", f"PYTHONPATH={Path(__file__).parents[2]}", "--fdname=web", "-l", address),
        wait=False)
    until(lambda: not is_refused(address), "systemd listens")
    ask(address, "/", ORDERS)
    until(lambda: mesh.serves, "it serves")
    with Load(mesh.port) as load:
        mesh.reload({"entryPoints": {"web": {"address": address}}, "host": {"workers": 3}})
        load.goes_on()
    assert load.failed == []


def test_a_socket_kept_by_systemd_refuses_nobody_across_a_restart(
        start: Callable[..., Mesh], endpoint: Endpoint) -> None:
    """What hostmesh.socket is for: this test is systemd, and holds the socket while the service is restarted."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        address = "{}:{}".format(*listener.getsockname())
        passing = ("bash", "-c", f'exec 3<&{listener.fileno()}; export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=web;'
                               ' exec "$@"', "bash")
        mesh = start(static={"entryPoints": {"web": {"address": address}}}, command=passing,
                     fds=(listener.fileno(),))
        with Load(mesh.port) as load:
            mesh.stop()
            mesh.start()
            load.goes_on()
        # an idle kept connection may be closed just as its next request leaves; a new one is never refused
        assert not [line for line in load.failed if "refused" in line]
        assert len(load.failed) <= load.clients
    assert os.path.exists(mesh.config)


def is_refused(address: str) -> bool:
    host, _, port = address.rpartition(":")
    listening = f"{port_hex(host, int(port))} 00000000:0000 0A"
    return listening not in Path("/proc/net/tcp").read_text()


def port_hex(host: str, port: int) -> str:
    """An address as /proc/net/tcp spells it: looked up there, because a connection would start the service."""
    return f"{int.from_bytes(socket.inet_aton(host), 'little'):08X}:{port:04X}"
