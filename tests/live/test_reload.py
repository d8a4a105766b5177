"""HUP: the static file is taken up as a whole or refused as a whole, and no request fails for it either way."""
from __future__ import annotations

import signal
import socket
from collections.abc import Callable
from http.client import HTTPConnection
from typing import Any

import pytest
from load import Load
from running import ORDERS, Endpoint, Mesh, ask, free_address, orders, until


def web(**transport: Any) -> dict[str, Any]:
    """A static file whose entrypoint web has these time-outs."""
    return {"entryPoints": {"web": {"transport": {"respondingTimeouts": transport}}}}


def refused(mesh: Mesh) -> None:
    """HUP, and waits until it has been refused."""
    before = mesh.status()["master"]["staticRefused"]
    mesh.signal(signal.SIGHUP)
    until(lambda: mesh.status()["master"]["staticRefused"] == before + 1, "the reload is refused")


def test_an_added_entrypoint_serves_and_nothing_fails_meanwhile(start: Callable[..., Mesh]) -> None:
    mesh = start()
    port = mesh.port
    with Load(port) as load:
        mesh.reload({"entryPoints": {"more": {"address": "127.0.0.1:0"}}})
        assert ask(mesh.port_of("more"), "/", ORDERS).status == 200
        load.goes_on()
    assert load.failed == []
    assert mesh.port == port


def test_a_removed_entrypoint_is_closed(start: Callable[..., Mesh]) -> None:
    mesh = start(static={"entryPoints": {"more": {"address": "127.0.0.1:0"}}})
    gone = mesh.port_of("more")
    mesh.reload({})
    with pytest.raises(ConnectionRefusedError):
        ask(gone, "/", ORDERS)
    assert mesh.ask("/").status == 200


def test_more_and_fewer_workers_under_load(start: Callable[..., Mesh]) -> None:
    mesh = start()
    with Load(mesh.port) as load:
        for workers in (4, 1, 2):
            mesh.reload({"host": {"workers": workers}})
            assert len(mesh.workers) == workers
            load.goes_on()
    assert load.failed == []


def test_changed_time_outs_hold_after_a_reload(start: Callable[..., Mesh]) -> None:
    mesh = start()
    mesh.reload(web(headerTimeout="200ms"))
    with socket.create_connection(("127.0.0.1", mesh.port), timeout=5) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHos")
        assert sock.recv(1000).startswith(b"HTTP/1.1 408 ")


def test_many_reloads_in_a_row_under_load(start: Callable[..., Mesh], endpoint: Endpoint) -> None:
    mesh = start()
    with Load(mesh.port) as load:
        for number in range(5):
            mesh.reload(web(idleTimeout=f"{100 + number}s"))
        load.goes_on()
    assert load.failed == []
    assert endpoint.seen["twice"] == []


def test_hups_that_come_faster_than_they_can_be_done(start: Callable[..., Mesh]) -> None:
    mesh = start()
    with Load(mesh.port) as load:
        for number in range(10):
            mesh.say(web(idleTimeout=f"{100 + number}s"))
            mesh.signal(signal.SIGHUP)
            load.goes_on(5)
        until(lambda: mesh.serves and mesh.told_of("reloaded:"), "it has settled")
        load.goes_on()
    assert load.failed == []


def test_an_edit_and_a_reload_at_once(start: Callable[..., Mesh]) -> None:
    mesh = start()
    with Endpoint("two") as two:
        with Load(mesh.port) as load:
            mesh.write("orders.yml", orders(two))
            mesh.reload(web(idleTimeout="100s"))
            until(lambda: mesh.ask("/").json["by"] == "two", "the edit takes effect")
            load.goes_on()
        assert load.failed == []


def test_a_request_under_way_finishes_with_its_former_worker(start: Callable[..., Mesh], endpoint: Endpoint) -> None:
    mesh = start()
    connection = HTTPConnection("127.0.0.1", mesh.port, timeout=20)
    connection.request("GET", "/halves?gate=g&size=1000", headers={"Host": ORDERS})
    with connection.getresponse() as answer:
        answer.read(500)
        former = set(mesh.workers)
        mesh.say(web(idleTimeout="100s"))
        mesh.signal(signal.SIGHUP)
        until(lambda: len(set(mesh.workers) - former) == 2, "the new workers serve")
        assert mesh.ask("/").status == 200
        endpoint.open("g")
        assert len(answer.read()) == 500
    connection.close()
    until(lambda: not former & set(mesh.workers), "the former ones leave")


def test_an_idle_client_is_let_go_without_a_word(start: Callable[..., Mesh]) -> None:
    mesh = start()
    with socket.create_connection(("127.0.0.1", mesh.port), timeout=10) as sock:
        sock.sendall(f"GET / HTTP/1.1\r\nHost: {ORDERS}\r\n\r\n".encode())
        sock.recv(65536)
        mesh.reload()
        assert sock.recv(1000) == b""


def test_a_request_on_a_kept_connection_during_a_drain_is_the_last_one(
        start: Callable[..., Mesh], endpoint: Endpoint) -> None:
    mesh = start()
    connection = HTTPConnection("127.0.0.1", mesh.port, timeout=20)
    connection.request("GET", "/held?gate=g", headers={"Host": ORDERS})
    until(lambda: endpoint.waits_at("g"), "it is at the endpoint")
    former = set(mesh.workers)
    mesh.signal(signal.SIGHUP)
    until(lambda: all(worker["draining"] for worker in mesh.status()["workers"] if worker["pid"] in former),
          "its worker drains, and the other has perhaps left already")
    endpoint.open("g")
    answer = connection.getresponse()
    assert answer.read()
    assert answer.headers["Connection"] == "close"
    connection.close()


BROKEN = {
    "an unknown word": ('{"entryPoints": {"web": {"adress": "127.0.0.1:0"}}}', "adress"),
    "no YAML": ("entryPoints: [", "hostmesh.yml:"),
    "a wrong type": ('{"host": {"workers": "many"}}', "workers"),
    "an entrypoint that would not be safe": ('{"entryPoints": {"web": {"address": ":0", "http": {"tls": {}}}}}', "tls"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_static_file_is_refused_and_all_serves_on(start: Callable[..., Mesh], what: str) -> None:
    text, word = BROKEN[what]
    mesh = start()
    workers, agent = set(mesh.workers), mesh.agent
    with Load(mesh.port) as load:
        mesh.config.write_text(text)
        refused(mesh)
        load.goes_on()
    assert load.failed == []
    assert (set(mesh.workers), mesh.agent) == (workers, agent)
    assert mesh.told_of("ERROR", word)
    assert mesh.told_of("reload refused")
    assert mesh.metric("mesh_static_reloads_refused_total") == 1
    mesh.reload({})


def test_a_static_file_that_is_gone_is_refused(start: Callable[..., Mesh]) -> None:
    mesh = start()
    mesh.config.unlink()
    refused(mesh)
    assert mesh.ask("/").status == 200


def test_an_address_in_use_refuses_the_reload_and_is_named(start: Callable[..., Mesh]) -> None:
    mesh = start()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = "{}:{}".format(*taken.getsockname())
        mesh.say({"entryPoints": {"more": {"address": address}}})
        refused(mesh)
    assert mesh.told_of("ERROR", "entrypoint more", address, "in use")
    assert mesh.ask("/").status == 200


def test_a_log_file_that_cannot_be_opened_refuses_the_reload(start: Callable[..., Mesh]) -> None:
    mesh = start()
    mesh.say({"log": {"filePath": "nowhere/at/all.log"}, "entryPoints": {"more": {"address": "127.0.0.1:0"}}})
    refused(mesh)
    assert mesh.told_of("ERROR", "nowhere/at/all.log")
    assert mesh.ask("/").status == 200


def test_an_address_that_moves_is_served_at_the_new_place(start: Callable[..., Mesh]) -> None:
    former, new = free_address(), free_address()
    mesh = start(static={"entryPoints": {"web": {"address": former}}})
    mesh.reload({"entryPoints": {"web": {"address": new}}})
    assert ask(new, "/", ORDERS).status == 200
    with pytest.raises(ConnectionRefusedError):
        ask(former, "/", ORDERS)


def test_a_reload_keeps_the_counters_and_the_generation(start: Callable[..., Mesh]) -> None:
    mesh = start()
    for _ in range(10):
        mesh.ask("/")
    generation = mesh.generation
    mesh.reload()
    assert mesh.metric("mesh_entrypoint_requests_total") == 10
    assert mesh.generation >= generation
    assert mesh.metric("mesh_static_reloads_total") == 1
