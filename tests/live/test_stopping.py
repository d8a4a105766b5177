"""TERM lets finish what is under way, INT and QUIT do not; and the other signals that an operator may send."""
from __future__ import annotations

import re
import signal
import socket
import threading
import time
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException

import pytest
from load import Load
from running import ORDERS, Endpoint, Mesh, ask, pids_on, until

GRACE_1_S = {"entryPoints": {"web": {"transport": {"lifeCycle": {"graceTimeOut": "1s"}}}}}


def waiting(mesh: Mesh, endpoint: Endpoint, target: str = "/held?gate=g") -> HTTPConnection:
    """A request that waits at the gate g."""
    connection = HTTPConnection("127.0.0.1", mesh.port, timeout=20)
    connection.request("GET", target, headers={"Host": ORDERS})
    until(lambda: endpoint.waits_at("g"), "it is at the endpoint")
    return connection


def is_refused(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) != 0


def test_term_lets_a_request_finish_and_takes_no_new_connection(start: Callable[..., Mesh], endpoint: Endpoint) -> None:
    mesh = start()
    port = mesh.port
    connection = waiting(mesh, endpoint)
    mesh.signal(signal.SIGTERM)
    until(lambda: is_refused(port), "new connections are refused")
    endpoint.open("g")
    assert connection.getresponse().read()
    connection.close()
    assert mesh.ended() == 0


def test_term_ends_when_the_last_request_has(start: Callable[..., Mesh], endpoint: Endpoint) -> None:
    mesh = start()
    connection = waiting(mesh, endpoint, "/halves?gate=g&size=100000")
    mesh.signal(signal.SIGTERM)
    until(lambda: mesh.told_of("stopping"), "it stops")
    assert mesh.is_running
    endpoint.open("g")
    assert len(connection.getresponse().read()) == 100_000
    connection.close()
    before = time.monotonic()
    assert mesh.ended() == 0
    assert time.monotonic() - before < 2, "it waits for nobody"


def test_after_the_grace_time_what_is_under_way_is_cut_off(start: Callable[..., Mesh], endpoint: Endpoint) -> None:
    mesh = start(static=GRACE_1_S)
    connection = waiting(mesh, endpoint)
    before = time.monotonic()
    assert mesh.stop() == 0
    assert 0.9 < time.monotonic() - before < 4
    with pytest.raises((HTTPException, OSError)):
        connection.getresponse()
    connection.close()
    assert mesh.told_of("cut off", "grace")


def test_term_under_load_loses_no_request_that_was_taken(start: Callable[..., Mesh], endpoint: Endpoint) -> None:
    mesh = start()
    port = mesh.port
    with Load(port, clients=6, stops_when_refused=True) as load:
        assert mesh.stop() == 0
        until(load.is_over, "every client has been refused")
    assert pids_on([port]) == set()
    assert endpoint.seen["ids"] == len(load.answered)
    assert endpoint.seen["twice"] == []
    assert load.failed == []


def test_who_comes_while_it_stops_is_served_or_refused_and_never_reset(
        start: Callable[..., Mesh], endpoint: Endpoint) -> None:
    mesh = start()
    port, served, refused, others = mesh.port, [], [], []

    def come_anew() -> None:
        while True:
            try:
                served.append(ask(port, "/", ORDERS, Connection="close").status)
            except ConnectionRefusedError:
                refused.append(True)
                return
            except (OSError, HTTPException) as error:
                others.append(error)
                return

    clients = [threading.Thread(target=come_anew, daemon=True) for _ in range(12)]
    for client in clients:
        client.start()
    until(lambda: len(served) > 100, "they are served")
    assert mesh.stop() == 0
    for client in clients:
        client.join(20)
    assert others == []
    assert len(refused) == len(clients)
    assert set(served) == {200}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT], ids=["INT", "QUIT"])
def test_int_and_quit_end_at_once_whatever_is_under_way(
        start: Callable[..., Mesh], endpoint: Endpoint, number: int) -> None:
    mesh = start()
    connection = waiting(mesh, endpoint)
    before = time.monotonic()
    assert mesh.stop(number) == 0
    assert time.monotonic() - before < 3
    with pytest.raises((HTTPException, OSError)):
        connection.getresponse()
    connection.close()


def test_int_hurries_a_term(start: Callable[..., Mesh], endpoint: Endpoint) -> None:
    mesh = start()
    connection = waiting(mesh, endpoint)
    mesh.signal(signal.SIGTERM)
    until(lambda: mesh.told_of("stopping"), "it stops")
    before = time.monotonic()
    assert mesh.stop(signal.SIGINT) == 0
    assert time.monotonic() - before < 3
    connection.close()


def test_two_thousand_idle_connections_do_not_hold_up_the_end(start: Callable[..., Mesh]) -> None:
    mesh = start()
    port, clients = mesh.port, []
    for number in range(2000):
        clients.append(socket.create_connection(("127.0.0.1", port), timeout=20))
        if number % 2:          # every other one has been used
            clients[-1].sendall(f"GET /none HTTP/1.1\r\nHost: nobody\r\nX-Id: {number}\r\n\r\n".encode())
            assert clients[-1].recv(4096).startswith(b"HTTP/1.1 404 ")
    until(lambda: mesh.metric("mesh_open_connections") == 2000, "all are open")
    before = time.monotonic()
    assert mesh.stop() == 0
    assert time.monotonic() - before < 5
    assert [client.recv(100) for client in clients] == [b""] * 2000
    for client in clients:
        client.close()


def test_ttin_adds_a_worker_and_ttou_takes_one_away_under_load(start: Callable[..., Mesh]) -> None:
    mesh = start()
    with Load(mesh.port) as load:
        for number, wanted in ((signal.SIGTTIN, 3), (signal.SIGTTIN, 4), (signal.SIGTTOU, 3), (signal.SIGTTOU, 2)):
            mesh.signal(number)
            until(lambda wanted=wanted: len(mesh.workers) == wanted and mesh.serves, f"{wanted} workers serve")
            load.goes_on()
    assert load.failed == []


def test_the_last_worker_stays(start: Callable[..., Mesh]) -> None:
    mesh = start(static={"host": {"workers": 1}})
    mesh.signal(signal.SIGTTOU)
    mesh.signal(signal.SIGUSR2)
    until(lambda: mesh.told_of("USR2"), "both signals have been seen")
    assert mesh.ask("/").status == 200
    mesh.signal(signal.SIGTTIN)
    until(lambda: len(mesh.workers) == 2, "another worker")


def test_usr1_goes_on_in_new_files_and_loses_no_line(start: Callable[..., Mesh]) -> None:
    mesh = start(static={"accessLog": {"filePath": "access.log"}})
    log, rotated = mesh.directory / "access.log", mesh.directory / "access.log.1"
    with Load(mesh.port) as load:
        log.rename(rotated)
        (mesh.directory / "hostmesh.log").rename(mesh.directory / "hostmesh.log.1")
        mesh.signal(signal.SIGUSR1)
        until(lambda: log.exists() and (mesh.directory / "hostmesh.log").exists(), "new files")
        load.goes_on(200)
    assert load.failed == []
    until(lambda: log.stat().st_size, "lines in the new file")
    until(lambda: len((rotated.read_bytes() + log.read_bytes()).splitlines()) == len(load.answered), "all lines")
    mesh.stop()
    assert any("stopped" in line for line in mesh.log)


def test_usr2_is_refused_with_a_hint_and_nothing_changes(start: Callable[..., Mesh]) -> None:
    mesh = start()
    before = mesh.processes
    mesh.signal(signal.SIGUSR2)
    until(lambda: mesh.told_of("USR2", "restart"), "it says so")
    assert mesh.ask("/").status == 200
    assert mesh.processes == before


def test_winch_of_a_terminal_means_nothing(start: Callable[..., Mesh]) -> None:
    mesh = start()
    before = set(mesh.workers)
    mesh.signal(signal.SIGWINCH)
    mesh.signal(signal.SIGUSR2)
    until(lambda: mesh.told_of("USR2"), "a later signal has been seen")
    assert set(mesh.workers) == before
    assert mesh.ask("/").status == 200


def test_the_log_tells_start_and_stop_in_order(start: Callable[..., Mesh]) -> None:
    mesh = start()
    until(lambda: mesh.told_of("serving"), "the master has noticed that a worker serves")
    assert mesh.stop() == 0
    told = " ".join(mesh.log)
    assert re.search(r"hostmesh .*2 workers.*serving.*stopping.*stopped", told), told
