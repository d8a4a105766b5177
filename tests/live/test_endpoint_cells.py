"""What the workers know of endpoints, read from outside while real processes die, leave and come."""
from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from http.client import HTTPConnection
from typing import Any

import pytest
from running import ORDERS, Endpoint, Mesh, orders, until

from mesh.shared.slots import SLOT_EJECTED_MS, SLOT_FAILURES, SLOT_REQUESTS, SLOT_WORDS, key_of
from workers.memory import attach

SERVICE = "orders.shop@mesh"


def cells(mesh: Mesh, url: str) -> tuple[list[int], int]:
    """All words of an endpoint's slot, and how many requests are under way there."""
    slots = attach(mesh.run_directory).slots
    slot = slots.find(key_of(SERVICE, url))
    assert slot >= 0
    return [slots.load(slot, word) for word in range(SLOT_WORDS)], slots.in_flight(slot)


def under_way(mesh: Mesh, url: str) -> int:
    return cells(mesh, url)[1]


def said(*endpoints: str, **options: Any) -> str:
    """A dynamic file with the service and these options."""
    return json.dumps({"mesh": {"services": {"orders.shop": {"endpoints": list(endpoints), **options}}}})


def held(mesh: Mesh, count: int, gate: str = "g") -> list[HTTPConnection]:
    """So many requests that wait at a gate."""
    connections = []
    for _ in range(count):
        connection = HTTPConnection("127.0.0.1", mesh.port, timeout=30)
        connection.request("GET", f"/held?gate={gate}", headers={"Host": ORDERS})
        connections.append(connection)
    return connections


def test_a_worker_killed_with_a_hundred_requests_under_way_leaves_no_count_behind(
        start: Callable[..., Mesh], endpoint: Endpoint) -> None:
    mesh = start(static={"host": {"workers": 1}})
    connections = held(mesh, 100)
    until(lambda: under_way(mesh, endpoint.url) == 100, "all are under way")
    former = mesh.workers
    os.kill(former[0], signal.SIGKILL)
    until(lambda: under_way(mesh, endpoint.url) == 0, "none is left")
    until(lambda: mesh.serves and mesh.workers != former, "another serves")
    assert mesh.ask("/").status == 200
    until(lambda: under_way(mesh, endpoint.url) == 0, "none is left")
    for connection in connections:
        connection.close()


def test_a_drained_worker_s_requests_are_counted_until_they_end(start: Callable[..., Mesh], endpoint: Endpoint) -> None:
    mesh = start()
    connections = held(mesh, 4)
    until(lambda: under_way(mesh, endpoint.url) == 4, "all are under way")
    mesh.signal(signal.SIGHUP)
    until(lambda: mesh.status()["master"]["staticReloads"] == 1, "the reload has begun")
    until(lambda: sum(not worker["draining"] for worker in mesh.status()["workers"]) == 2, "others serve")
    assert under_way(mesh, endpoint.url) == 4
    endpoint.open("g")
    for connection in connections:
        assert connection.getresponse().status == 200
        connection.close()
    until(lambda: under_way(mesh, endpoint.url) == 0, "none is left")


def test_what_is_known_of_endpoints_survives_an_edit_a_reload_and_the_agent_s_death(
        start: Callable[..., Mesh], endpoint: Endpoint) -> None:
    gone = Endpoint("gone")
    gone.kill()
    judged = {"passiveHealthCheck": {"maxFailedAttempts": 2, "ejectionTime": "5m"}}
    mesh = start({"orders.yml": said(endpoint.url, gone.url, **judged)})
    until(lambda: mesh.ask("/").status == 200 and cells(mesh, gone.url)[0][SLOT_EJECTED_MS], "it is ejected")
    assert cells(mesh, gone.url)[0][SLOT_FAILURES] == 2
    connections = held(mesh, 3)
    until(lambda: under_way(mesh, endpoint.url) == 3, "all are under way")

    def seen() -> list[tuple[list[int], int]]:
        return [cells(mesh, each) for each in (endpoint.url, gone.url)]

    before = seen()
    with Endpoint("more") as more:
        mesh.edit("orders.yml", said(endpoint.url, more.url, gone.url, **judged))
        assert seen() == before
        former = mesh.agent
        os.kill(former, signal.SIGKILL)
        until(lambda: mesh.agent not in (0, former), "another agent")
        mesh.edit("orders.yml", said(more.url, endpoint.url, gone.url, **judged))
        assert seen() == before
        mesh.signal(signal.SIGHUP)
        until(lambda: mesh.status()["master"]["staticReloads"] == 1, "the reload has begun")
        until(lambda: sum(not worker["draining"] for worker in mesh.status()["workers"]) == 2, "others serve")
        assert seen() == before
        for _ in range(10):
            assert mesh.ask("/").status == 200
        assert seen()[1] == before[1]           # and the new workers leave it alone
        endpoint.open("g")
        for connection in connections:
            assert connection.getresponse().status == 200
            connection.close()
        until(lambda: under_way(mesh, endpoint.url) == 0, "none is left")


def test_a_client_stays_where_its_cookie_says(start: Callable[..., Mesh], endpoint: Endpoint) -> None:
    with Endpoint("two") as two:
        mesh = start({"orders.yml": said(endpoint.url, two.url, sticky={"cookie": {"name": "seat", "httpOnly": True}})})
        first = mesh.ask("/")
        told = first.headers["Set-Cookie"]
        assert told.startswith("seat=")
        assert told.endswith("; Path=/; HttpOnly")
        for _ in range(6):
            answer = mesh.ask("/", cookie=told.partition(";")[0])
            assert answer.headers["X-By"] == first.headers["X-By"]
            assert answer.headers["Set-Cookie"] is None


def test_an_endpoint_that_dies_under_way_costs_what_it_had_and_gets_no_more(
        start: Callable[..., Mesh], endpoint: Endpoint) -> None:
    dying = Endpoint("dying")
    mesh = start({"orders.yml": orders(endpoint, dying)})
    connections = held(mesh, 10)
    until(lambda: under_way(mesh, endpoint.url) + under_way(mesh, dying.url) == 10, "all are under way")
    dying.kill()
    for _ in range(40):
        assert mesh.ask("/").headers["X-By"] == "one"
    until(lambda: under_way(mesh, dying.url) == 0, "none is left")
    words = cells(mesh, dying.url)[0]
    assert words[SLOT_EJECTED_MS] > 0
    assert words[SLOT_FAILURES] <= words[SLOT_REQUESTS]
    endpoint.open("g")
    # they are GETs: those that waited at the dead one were sent to the other
    for connection in connections:
        assert connection.getresponse().status == 200
        connection.close()
    until(lambda: under_way(mesh, endpoint.url) == 0, "none is left")


@pytest.mark.parametrize("whom", ["the master", "everybody"])
def test_nothing_of_a_killed_run_is_under_way_in_the_next(
        start: Callable[..., Mesh], endpoint: Endpoint, whom: str) -> None:
    mesh = start()
    connections = held(mesh, 20)
    until(lambda: under_way(mesh, endpoint.url) == 20, "all are under way")
    for pid in [mesh.master] if whom == "the master" else [mesh.master, *mesh.workers]:
        os.kill(pid, signal.SIGKILL)
    mesh.ended()
    mesh.start(wait=False)      # former workers may still be about to leave
    until(lambda: under_way(mesh, endpoint.url) == 0, "none is left")
    assert until(lambda: mesh.about.admin and mesh.ask("/"), "the next run serves").status == 200
    until(lambda: under_way(mesh, endpoint.url) == 0, "none is left")
    for connection in connections:
        connection.close()
