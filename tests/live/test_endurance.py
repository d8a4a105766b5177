"""What must not pile up: descriptors, memory, children that die again and again."""
from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import struct
from collections.abc import Callable
from http.client import HTTPConnection

import psutil
from load import Load
from running import ORDERS, Endpoint, Mesh, ask, orders, resident, until


def descriptors(mesh: Mesh) -> int:
    return sum(psutil.Process(pid).num_fds() for pid in mesh.workers)


def test_no_descriptor_is_left_by_clients_of_all_kinds(start: Callable[..., Mesh], endpoint: Endpoint) -> None:
    mesh = start(static={"host": {"workers": 1}})

    def crowd() -> None:
        for _ in range(30):
            mesh.ask("/")
            mesh.ask("/", host="nobody")
            for said in (b"", b"GET / HT", b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nHost: orders.shop.mesh\r\n\r\n",
                         b"GET /cut?size=100000 HTTP/1.1\r\nHost: orders.shop.mesh\r\n\r\n",
                         b"POST / HTTP/1.1\r\nHost: orders.shop.mesh\r\nContent-Length: 9\r\n\r\nhalf"):
                with socket.create_connection(("127.0.0.1", mesh.port), timeout=20) as sock:
                    sock.sendall(said)
        until(lambda: mesh.metric("mesh_open_connections") == 0, "all have left")
        until(lambda: endpoint.seen["open"] <= 2, "so have those to the endpoint")

    crowd()
    before = descriptors(mesh)
    crowd()
    assert descriptors(mesh) <= before + 2


def test_many_requests_leave_no_memory_behind(start: Callable[..., Mesh]) -> None:
    mesh = start(static={"host": {"workers": 1}})
    worker, = mesh.workers
    with Load(mesh.port) as load:
        load.goes_on(1000)
        before = resident(worker)
        load.goes_on(4000)
    assert load.failed == []
    assert resident(worker) - before < 1 << 20


def test_many_edits_leave_no_memory_and_no_descriptors_behind(start: Callable[..., Mesh], endpoint: Endpoint) -> None:
    mesh = start(static={"host": {"workers": 1}})
    worker, = mesh.workers
    with Endpoint("two") as two:
        def edits() -> None:
            for _ in range(3):
                mesh.edit("orders.yml", orders(two))
                mesh.ask("/")
                mesh.edit("orders.yml", orders(endpoint))
                mesh.ask("/")
            until(lambda: two.seen["open"] == 0, "the connections to an endpoint that is gone are closed")

        edits()
        before, opened = resident(worker), descriptors(mesh)
        edits()
    assert resident(worker) - before < 1 << 20
    assert descriptors(mesh) <= opened


def test_a_worker_that_is_killed_again_and_again_is_started_again_and_again(start: Callable[..., Mesh]) -> None:
    mesh = start()
    for _ in range(4):
        one = mesh.workers[0]
        os.kill(one, signal.SIGKILL)
        until(lambda one=one: one not in mesh.workers, "it is gone")
        assert mesh.ask("/").status == 200
    until(lambda: mesh.serves, "both serve")
    assert mesh.status()["workerDeaths"] == 4


def test_a_runtime_directory_that_is_swept_away_costs_no_request_and_no_restart(start: Callable[..., Mesh]) -> None:
    """Cleaners of /tmp do that.  The heartbeats of new workers had no place then, and gunicorn's way to say so ended
    the master; a new agent could not find the memory that it had inherited."""
    mesh = start()
    port, workers, agent = mesh.port, mesh.workers, mesh.agent
    with Load(port) as load:
        shutil.rmtree(mesh.run_directory)
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        os.kill(agent, signal.SIGKILL)
        until(lambda: len(mesh.processes) == 4, "two workers, the agent and the master")
        load.goes_on(200)
    assert len(load.failed) <= load.clients
    with Endpoint("two") as two:
        mesh.write("orders.yml", orders(two))
        until(lambda: ask(port, "/", ORDERS).json["by"] == "two", "an edit takes effect")


def test_a_client_that_leaves_with_more_requests_behind_is_noticed(
        start: Callable[..., Mesh], endpoint: Endpoint) -> None:
    """The end of its connection stands behind bytes that nobody reads yet."""
    mesh = start()
    with socket.create_connection(("127.0.0.1", mesh.port), timeout=20) as sock:
        sock.sendall(f"GET /held?gate=left HTTP/1.1\r\nHost: {ORDERS}\r\n\r\n".encode())
        until(lambda: endpoint.waits_at("left") == 1, "the request is at the endpoint")
        sock.sendall(f"GET / HTTP/1.1\r\nHost: {ORDERS}\r\n\r\n".encode())
    until(lambda: not endpoint.waits_at("left"), "the endpoint notices", 5.0)


def test_a_client_that_resets_a_large_upload_is_noticed(start: Callable[..., Mesh], endpoint: Endpoint) -> None:
    """All is full up to the endpoint, so nobody reads.  An end of stream could not even arrive; a reset can."""
    mesh = start()
    connection = HTTPConnection("127.0.0.1", mesh.port, timeout=2)
    connection.putrequest("PUT", "/late?gate=up", skip_host=True)
    connection.putheader("Host", ORDERS)
    connection.putheader("Content-Length", str(1 << 30))
    connection.endheaders()
    with contextlib.suppress(TimeoutError):
        while True:
            connection.send(b"x" * (1 << 20))
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    until(lambda: mesh.metric("mesh_open_connections") == 0, "it is noticed", 5.0)
    endpoint.open("up")
