"""A worker, the agent or the master killed with SIGKILL, as by the kernel that runs out of memory."""
from __future__ import annotations

import os
import signal
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException

import psutil
import pytest
from load import Load
from running import ORDERS, Endpoint, Mesh, ask, free_address, is_running, orders, pids_on, until


def worker_of(connection: HTTPConnection, mesh: Mesh) -> int:
    """The worker that has accepted it; 0: none yet."""
    mine = connection.sock.getsockname()[1]
    for pid in mesh.workers:
        for each in psutil.Process(pid).net_connections("tcp"):
            if each.raddr and each.raddr.port == mine:
                return pid
    return 0


def held(mesh: Mesh, endpoint: Endpoint, gate: str) -> dict[int, list[HTTPConnection]]:
    """Requests that wait at the gate, by the worker that has them; each of two workers has some."""
    by_worker: dict[int, list[HTTPConnection]] = {}

    def both() -> bool:
        connection = HTTPConnection("127.0.0.1", mesh.port, timeout=20)
        connection.request("GET", f"/held?gate={gate}", headers={"Host": ORDERS})
        count = sum(map(len, by_worker.values())) + 1
        until(lambda: endpoint.waits_at(gate) == count, "it is at the endpoint")
        by_worker.setdefault(worker_of(connection, mesh), []).append(connection)
        return len(by_worker) == 2

    until(both, "both workers have a request")
    assert 0 not in by_worker
    return by_worker


def is_replaced(mesh: Mesh, former: int) -> bool:
    """Another agent answers at the admin address, which may or may not be the former one's."""
    try:
        return mesh.agent not in (0, former) and ask(mesh.about.admin, "/ping").status == 200
    except OSError:
        return False


def test_a_killed_worker_costs_its_own_requests_only(start: Callable[..., Mesh], endpoint: Endpoint) -> None:
    mesh = start()
    by_worker = held(mesh, endpoint, "g")
    one, other = by_worker
    os.kill(one, signal.SIGKILL)
    for connection in by_worker[one]:
        with pytest.raises((HTTPException, OSError)):
            connection.getresponse()
    endpoint.open("g")
    for connection in by_worker[other]:
        assert connection.getresponse().read()
    for connection in by_worker[one] + by_worker[other]:
        connection.close()


def test_a_killed_worker_is_replaced_at_once_and_told_of(start: Callable[..., Mesh]) -> None:
    mesh = start()
    one = mesh.workers[0]
    os.kill(one, signal.SIGKILL)
    until(lambda: mesh.serves and one not in mesh.workers, "another serves in its place", 3.0)
    assert mesh.told_of(f"pid {one}", "killed by SIGKILL", "at once")
    assert mesh.status()["workerDeaths"] == mesh.metric("mesh_worker_deaths_total") == 1


def test_the_counters_of_a_killed_worker_go_on(start: Callable[..., Mesh]) -> None:
    mesh = start()
    for _ in range(50):
        mesh.ask("/")
    until(lambda: mesh.metric("mesh_entrypoint_requests_total") == 50, "all are counted")
    for pid in mesh.workers:
        os.kill(pid, signal.SIGKILL)
        until(lambda pid=pid: mesh.serves and pid not in mesh.workers, "another serves in its place")
    assert mesh.metric("mesh_entrypoint_requests_total") == 50
    for _ in range(10):
        mesh.ask("/")
    until(lambda: mesh.metric("mesh_entrypoint_requests_total") == 60, "they go on")


def test_the_gauge_of_open_connections_forgets_those_of_a_killed_worker(
        start: Callable[..., Mesh], endpoint: Endpoint) -> None:
    mesh = start()
    by_worker = held(mesh, endpoint, "g")
    one, other = by_worker
    until(lambda: mesh.metric("mesh_open_connections") == sum(map(len, by_worker.values())), "all are open")
    os.kill(one, signal.SIGKILL)
    until(lambda: mesh.metric("mesh_open_connections") == len(by_worker[other]), "the others are open")
    endpoint.open("g")
    for connection in by_worker[one] + by_worker[other]:
        connection.close()
    until(lambda: mesh.metric("mesh_open_connections") == 0, "none is open")


def test_no_connection_is_refused_while_every_worker_is_replaced(start: Callable[..., Mesh]) -> None:
    mesh = start()
    for pid in mesh.workers:
        os.kill(pid, signal.SIGKILL)
    for _ in range(20):
        assert mesh.ask("/").status == 200


def test_under_load_a_killed_worker_fails_no_more_than_it_had(start: Callable[..., Mesh], endpoint: Endpoint) -> None:
    mesh = start()
    with Load(mesh.port, clients=6) as load:
        os.kill(mesh.workers[0], signal.SIGKILL)
        load.goes_on(200)
    assert len(load.failed) <= load.clients
    assert endpoint.seen["twice"] == []


def test_a_killed_agent_costs_no_request(start: Callable[..., Mesh]) -> None:
    mesh = start()
    with Load(mesh.port) as load:
        former = mesh.agent
        os.kill(former, signal.SIGKILL)
        until(lambda: is_replaced(mesh, former), "another agent", 3.0)
        load.goes_on()
    assert load.failed == []
    assert mesh.told_of(f"agent (pid {former})", "killed by SIGKILL")


def test_a_new_agent_answers_within_a_second_or_so(start: Callable[..., Mesh]) -> None:
    mesh = start()
    former = mesh.agent
    os.kill(former, signal.SIGKILL)
    until(lambda: is_replaced(mesh, former), "the admin address is open again", 3.0)
    assert mesh.metric("mesh_agent_starts_total") == 2


def test_edits_take_effect_after_and_around_the_death_of_an_agent(
        start: Callable[..., Mesh], endpoint: Endpoint) -> None:
    mesh = start()
    before = mesh.generation
    with Endpoint("two") as two:
        os.kill(mesh.agent, signal.SIGKILL)
        mesh.write("orders.yml", orders(two))
        until(lambda: mesh.ask("/").json["by"] == "two", "an edit made without an agent takes effect")
        assert mesh.generation > before
        mesh.edit("orders.yml", orders(endpoint))
        assert mesh.ask("/").json["by"] == "one"


def test_the_death_of_an_agent_publishes_nothing_new(start: Callable[..., Mesh]) -> None:
    mesh = start()
    before, former = mesh.generation, mesh.agent
    os.kill(former, signal.SIGKILL)
    until(lambda: is_replaced(mesh, former), "another agent")
    assert mesh.generation == before


def test_an_agent_that_hangs_costs_no_request(start: Callable[..., Mesh]) -> None:
    mesh = start()
    os.kill(mesh.agent, signal.SIGSTOP)
    try:
        for _ in range(20):
            assert mesh.ask("/").status == 200
    finally:
        os.kill(mesh.agent, signal.SIGCONT)


def test_the_workers_of_a_killed_master_leave_and_free_the_port(start: Callable[..., Mesh]) -> None:
    mesh = start()
    port, children = mesh.port, [*mesh.workers, mesh.agent]
    mesh.signal(signal.SIGKILL)
    assert mesh.ended() == -signal.SIGKILL
    until(lambda: not any(map(is_running, children)), "all have left", 5.0)
    assert pids_on([port]) == set()
    assert mesh.told_of("the master is gone")


def test_a_killed_master_s_workers_finish_what_they_have(start: Callable[..., Mesh], endpoint: Endpoint) -> None:
    mesh = start()
    connection = HTTPConnection("127.0.0.1", mesh.port, timeout=20)
    connection.request("GET", "/held?gate=g", headers={"Host": ORDERS})
    until(lambda: endpoint.waits_at("g"), "it is at the endpoint")
    mesh.signal(signal.SIGKILL)
    mesh.ended()
    until(lambda: mesh.told_of("the master is gone"), "the workers have noticed")
    endpoint.open("g")
    assert connection.getresponse().status == 200
    connection.close()


def test_a_new_start_after_a_killed_master_takes_over_port_and_counters(
        start: Callable[..., Mesh], endpoint: Endpoint) -> None:
    mesh = start(static={"entryPoints": {"web": {"address": free_address()}}})
    for _ in range(30):
        mesh.ask("/")
    until(lambda: mesh.metric("mesh_entrypoint_requests_total") == 30, "all are counted")
    generation = mesh.generation
    mesh.signal(signal.SIGKILL)
    mesh.ended()
    mesh.start()                # at once, as systemd would: the former workers are still about to leave
    assert mesh.ask("/").json["by"] == "one"
    until(lambda: mesh.metric("mesh_entrypoint_requests_total") == 31, "the counters go on")
    assert mesh.generation >= generation
