"""What an operator's machine does to a service: directories taken, ports in use, disks full, descriptors gone."""
from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from load import Load
from running import ORDERS, ROOT, Endpoint, Mesh, free_address, orders, resident, until


def run(config: Path) -> subprocess.CompletedProcess[str]:
    """A start that is to be refused."""
    return subprocess.run([sys.executable, "-m", "workers.cli", "run", "--config", str(config)], timeout=20,
                          env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)


def test_a_second_instance_on_the_same_directory_is_refused(start: Callable[..., Mesh]) -> None:
    mesh = start()
    second = run(mesh.config)
    assert second.returncode == 1
    said = second.stderr + "\n".join(mesh.log)
    assert f"another hostmesh (pid {mesh.master}) runs on {mesh.run_directory}" in said
    assert mesh.ask("/").status == 200
    assert mesh.status()["good"]


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = "{}:{}".format(*taken.getsockname())
        mesh = Mesh(tmp_path, {}, {"entryPoints": {"web": {"address": address}}, "log": None})
        refused = run(mesh.config)
    assert refused.returncode == 1
    assert f"entrypoint web: {address}: is in use by another program" in refused.stderr


def test_a_broken_static_file_starts_nothing_and_says_where(tmp_path: Path) -> None:
    mesh = Mesh(tmp_path)
    mesh.config.write_text("entryPoints:\n  web: {adress: ':0'}\n")
    refused = run(mesh.config)
    assert refused.returncode == 1
    assert "hostmesh.yml:2:" in refused.stderr
    assert "address" in refused.stderr
    assert not mesh.run_directory.exists()


def test_an_admin_port_in_use_costs_no_request(start: Callable[..., Mesh]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = "{}:{}".format(*taken.getsockname())
        mesh = start(static={"api": {"address": address}}, wait=False)
        until(lambda: mesh.about.entry_points, "about.json")
        until(lambda: mesh.ask("/").status == 200, "it serves")
        assert mesh.told_of("api.address", address, "in use")
    until(lambda: mesh.about.admin == address, "the admin address opens when it can")


def test_a_full_disk_under_the_access_log_costs_lines_and_nothing_else(start: Callable[..., Mesh]) -> None:
    mesh = start(static={"accessLog": {"filePath": "/dev/full"}})
    with Load(mesh.port) as load:
        load.goes_on(200)
    assert load.failed == []
    until(lambda: mesh.told_of("access log", "/dev/full", "No space left"), "it says so")
    assert mesh.stop() == 0
    assert mesh.status()["accessLogDropped"] == len(load.answered)
    assert len(mesh.told_of("access log", "/dev/full")) <= 4, "once for each worker, and at most once at its end"


def test_an_access_log_that_cannot_be_opened_costs_nothing_else(start: Callable[..., Mesh]) -> None:
    mesh = start(static={"accessLog": {"filePath": "nowhere/access.log"}})
    with Load(mesh.port) as load:
        load.goes_on()
    assert load.failed == []
    assert mesh.told_of("nowhere/access.log")


def test_an_access_log_whose_reader_has_stopped_reading_costs_no_request(
        start: Callable[..., Mesh], tmp_path: Path) -> None:
    """A pipe to a log shipper that hangs: writing to it would block for ever."""
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        mesh = start(static={"accessLog": {"filePath": "pipe"}})
        with Load(mesh.port) as load:
            load.goes_on(2000)
        assert load.failed == []
        assert mesh.stop() == 0
    finally:
        os.close(reader)


def test_a_full_disk_under_the_process_log_costs_nothing_else(start: Callable[..., Mesh]) -> None:
    mesh = start(static={"log": {"filePath": "/dev/full"}})
    with Load(mesh.port) as load:
        mesh.reload({"log": {"filePath": "/dev/full"}, "host": {"workers": 3}})
        load.goes_on()
    assert load.failed == []


def test_without_descriptors_those_who_are_in_are_served_and_the_others_wait(start: Callable[..., Mesh]) -> None:
    mesh = start(command=("prlimit", "--nofile=64:64"), static={"host": {"workers": 1}})
    first = socket.create_connection(("127.0.0.1", mesh.port), timeout=20)
    asked = f"GET / HTTP/1.1\r\nHost: {ORDERS}\r\n\r\n".encode()
    first.sendall(asked)
    assert first.recv(65536).startswith(b"HTTP/1.1 200 ")
    with ExitStack() as stack:
        crowd = [stack.enter_context(socket.create_connection(("127.0.0.1", mesh.port), timeout=20))
                 for _ in range(100)]
        until(lambda: mesh.told_of("no descriptors"), "it says so")
        # its endpoint's connection is kept, so this one needs no descriptor
        first.sendall(asked)
        assert first.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert len(crowd) == 100
    first.close()
    until(lambda: mesh.metric("mesh_open_connections") == 0, "the crowd has left")
    assert mesh.ask("/").status == 200
    assert len(mesh.told_of("no descriptors")) < 60


def test_a_runtime_directory_that_everybody_may_write_to_is_refused(tmp_path: Path) -> None:
    mesh = Mesh(tmp_path, static={"log": None})
    mesh.run_directory.mkdir()
    mesh.run_directory.chmod(0o777)
    refused = run(mesh.config)
    assert refused.returncode == 1
    assert str(mesh.run_directory) in refused.stderr


def test_a_damaged_memory_is_replaced_and_serves(start: Callable[..., Mesh]) -> None:
    mesh = start()
    assert mesh.stop() == 0
    memory, = (file for file in mesh.run_directory.iterdir() if file.stat().st_size > 1 << 20)
    with memory.open("r+b") as file:
        file.write(b"\xff" * 4096)
    mesh.start()
    assert mesh.ask("/").status == 200


def test_a_file_that_went_while_nothing_ran_takes_its_routes_along(
        start: Callable[..., Mesh], endpoint: Endpoint) -> None:
    mesh = start()
    mesh.ask("/")
    assert mesh.stop() == 0
    (mesh.conf / "orders.yml").unlink()
    mesh.start()
    until(lambda: mesh.ask("/").status == 404, "its routes are gone")
    mesh.edit("orders.yml", orders(endpoint))
    assert mesh.ask("/").status == 200


def test_endpoints_that_all_refuse_are_told_of_at_once(start: Callable[..., Mesh]) -> None:
    mesh = start({"orders.yml": orders(f"http://{free_address()}", f"http://{free_address()}")})
    answer = mesh.ask("/", within_s=2.0)
    assert answer.status == 503
    assert "refused the connection" in answer.text
    assert "hostmesh" in answer.text
    assert answer.headers["X-Request-Id"] in answer.text


def test_a_service_without_endpoints_says_when_to_come_again(start: Callable[..., Mesh]) -> None:
    mesh = start({"orders.yml": orders()})
    answer = mesh.ask("/", within_s=2.0)
    assert answer.status == 503
    assert answer.headers["Retry-After"] == "1"
    assert "no endpoint" in answer.text


def test_an_endpoint_that_is_down_is_passed_over(start: Callable[..., Mesh], endpoint: Endpoint) -> None:
    mesh = start({"orders.yml": orders(f"http://{free_address()}", endpoint)})
    for number in range(20):
        assert mesh.ask("/", method="POST", body=b"x", X_Id=str(number)).status == 200
    assert (endpoint.seen["ids"], endpoint.seen["twice"]) == (20, [])


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_a_request_that_may_have_been_received_is_sent_again_only_if_that_is_safe(
        start: Callable[..., Mesh], endpoint: Endpoint, method: str) -> None:
    with Endpoint("two") as two:
        mesh = start({"orders.yml": orders(endpoint, two)})
        assert mesh.ask("/once", method=method, X_Id="a").status == 502
        received = endpoint.seen["paths"].get("/once", 0) + two.seen["paths"].get("/once", 0)
        assert received == (1 if method == "POST" else 2)


def test_a_killed_endpoint_among_two_costs_only_what_it_had(start: Callable[..., Mesh], endpoint: Endpoint) -> None:
    with Endpoint("two") as two:
        mesh = start({"orders.yml": orders(endpoint, two)})
        with Load(mesh.port) as load:
            two.process.send_signal(signal.SIGKILL)
            load.goes_on(200)
        assert load.failed == [], "GET is idempotent: all are tried elsewhere"


def test_two_thousand_silent_clients_cost_little_memory_and_hold_up_nobody(start: Callable[..., Mesh]) -> None:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if most < 2500:
        pytest.skip(f"only {most} descriptors here")
    mesh = start()
    before = sum(map(resident, mesh.workers))
    with ExitStack() as stack:
        for _ in range(2000):
            stack.enter_context(socket.create_connection(("127.0.0.1", mesh.port), timeout=20))
        until(lambda: mesh.metric("mesh_open_connections") == 2000, "all are open")
        assert mesh.ask("/bytes?size=100000").status == 200
        assert (sum(map(resident, mesh.workers)) - before) / 2000 < 4096
    until(lambda: mesh.metric("mesh_open_connections") == 0, "all have left")
