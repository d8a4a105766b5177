"""What is counted and whose turn it is go on over edits, and nobody's connection is closed for another's edit."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.client import HTTPConnection

import pytest
from running import Endpoint, Mesh, ask
from traffic import Traffic, serves, services

STAY = "stay.shop.mesh"
WEIGHTS = (3, 1, 1)


@pytest.fixture(scope="module")
def endpoints() -> Iterator[list[Endpoint]]:
    with ExitStack() as stack:
        yield [stack.enter_context(Endpoint(name)) for name in ("one", "two", "three")]


def weighted(endpoints: list[Endpoint]) -> str:
    lines = [f"        - {{url: {endpoint.url}, weight: {weight}}}"
             for endpoint, weight in zip(endpoints, WEIGHTS, strict=True)]
    return "\n".join(["mesh:", "  services:", "    stay.shop:", "      endpoints:", *lines, ""])


def requests_of(mesh: Mesh, service: str) -> float:
    return mesh.metric("mesh_service_requests_total", service=f"{service}@mesh")


def test_turns_and_counters_go_on_over_edits(start: Callable[..., Mesh], endpoints: list[Endpoint]) -> None:
    # One worker, so that the turns are one sequence: an edit that began it anew would favour the first endpoint.
    mesh = start({"stay.yml": weighted(endpoints)}, {"host": {"workers": 1}})
    for endpoint in endpoints:
        endpoint.ask("/-/forget")
    asked = 0
    connection = HTTPConnection("127.0.0.1", mesh.port, timeout=10)
    for turn in range(25):
        for _ in range(1 + turn % 3):                       # never a whole round of five
            connection.request("GET", "/bytes?size=1", headers={"Host": STAY})
            with connection.getresponse() as answer:
                assert answer.read() == b"\0"
            asked += 1
        mesh.edit("other.yml", services([(f"other-{turn}.shop", endpoints[0].url)]))
    # asked is 49 here: the shares are exact to within one request of each round's end
    for endpoint, weight in zip(endpoints, WEIGHTS, strict=True):
        assert abs(endpoint.seen["requests"] - asked * weight / sum(WEIGHTS)) <= 1
        assert endpoint.seen["connections"] == 1
    assert requests_of(mesh, "stay.shop") == asked
    assert mesh.metric("mesh_open_connections", entrypoint="web") >= 1
    connection.close()


def test_an_edit_of_the_own_service_keeps_the_connections_to_endpoints_that_stay(
        start: Callable[..., Mesh], endpoints: list[Endpoint]) -> None:
    mesh = start({"stay.yml": services([("stay.shop", endpoints[1].url)])}, {"host": {"workers": 1}})
    endpoints[1].ask("/-/forget")
    connection = HTTPConnection("127.0.0.1", mesh.port, timeout=10)
    for turn in range(4):
        connection.request("GET", "/bytes?size=1", headers={"Host": STAY})
        with connection.getresponse() as answer:
            assert answer.read() == b"\0"
        said = f"mesh: {{services: {{stay.shop: {{endpoints: [{{url: {endpoints[1].url}, weight: {turn + 2}}}]}}}}}}"
        mesh.edit("stay.yml", said)
    assert endpoints[1].seen["connections"] == 1
    connection.close()


def test_counters_never_go_back_while_edits_are_made_under_load(
        start: Callable[..., Mesh], endpoints: list[Endpoint]) -> None:
    mesh = start({"stay.yml": weighted(endpoints)})
    for endpoint in endpoints:
        endpoint.ask("/-/forget")
    with Traffic(mesh.port, STAY) as traffic:
        before = 0.0
        for turn in range(8):
            other = f"    other-{turn}.shop: {{endpoints: ['{endpoints[0].url}']}}\n"
            mesh.edit("stay.yml", weighted(endpoints) + other)
            now = requests_of(mesh, "stay.shop")
            assert now >= before
            before = now
            traffic.goes_on()
    assert traffic.wrong == []
    assert sum(endpoint.seen["requests"] for endpoint in endpoints) == traffic.asked == requests_of(mesh, "stay.shop")
    assert mesh.metric("mesh_entrypoint_requests_total", entrypoint="web", code="200") == traffic.asked


def test_a_request_under_way_ends_on_the_plan_that_it_began_with(
        start: Callable[..., Mesh], endpoints: list[Endpoint]) -> None:
    mesh = start({"stay.yml": services([("stay.shop", endpoints[0].url)])})
    connection = HTTPConnection("127.0.0.1", mesh.port, timeout=10)
    connection.request("GET", "/halves?gate=later&size=1000000", headers={"Host": STAY})
    with connection.getresponse() as answer:
        assert len(answer.read(1000)) == 1000
        mesh.edit("stay.yml", services([("other.shop", endpoints[1].url)]))
        assert mesh.ask("/", STAY).status == 404
        endpoints[0].open("later")
        assert len(answer.read()) == 999_000
    # and the connection lives on, into the new plan
    connection.request("GET", "/bytes?size=1", headers={"Host": "other.shop.mesh"})
    with connection.getresponse() as answer:
        assert answer.headers["X-By"] == "two"
    connection.close()


def test_a_service_may_change_its_endpoints_again_and_again(
        start: Callable[..., Mesh], endpoints: list[Endpoint]) -> None:
    mesh = start({"stay.yml": services([("stay.shop", endpoints[0].url)])})
    with Traffic(mesh.port, STAY) as traffic:
        for turn in range(9):
            to = endpoints[turn % 3]
            mesh.edit("stay.yml", services([("stay.shop", to.url), (f"turn-{turn}.shop", to.url)]))
            serves(mesh, STAY, to)
    assert traffic.wrong == []
    assert set(traffic.by) == {"one", "two", "three"}
    assert ask(mesh.admin, "/ready").status == 200
