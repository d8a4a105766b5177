"""An operator's words, typed as commands, as a real service obeys them, over reloads and a killed agent."""
from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from running import ORDERS, Endpoint, Mesh, orders, until

from workers.cli import main


@pytest.fixture
def pair() -> Iterator[tuple[Endpoint, Endpoint]]:
    with Endpoint("one") as one, Endpoint("two") as two:
        yield one, two


@pytest.fixture
def mesh(tmp_path: Path, pair: tuple[Endpoint, Endpoint]) -> Iterator[Mesh]:
    with Mesh(tmp_path, {"orders.yml": orders(*pair)}, {"redis": {"embedded": False}}) as running:
        yield running


def hostmesh(mesh: Mesh, command: str, *words: str) -> Result:
    return CliRunner().invoke(main, [command, "--config", str(mesh.config), *words])


def who_answers(mesh: Mesh, requests: int = 20) -> set[str]:
    answers = [mesh.ask("/bytes?size=1") for _ in range(requests)]
    assert {answer.status for answer in answers} == {200}
    return {answer.headers["X-By"] for answer in answers}


def test_a_drained_endpoint_gets_nothing_new_from_the_moment_the_command_ends(
        mesh: Mesh, pair: tuple[Endpoint, Endpoint]) -> None:
    one, _ = pair
    assert who_answers(mesh) == {"one", "two"}
    assert hostmesh(mesh, "drain", "orders.shop", f":{one.port}").exit_code == 0
    assert who_answers(mesh) == {"two"}
    assert hostmesh(mesh, "undrain", "orders.shop", f":{one.port}").exit_code == 0
    # a worker gives turns to who has returned at its next tick, within 100 ms
    until(lambda: who_answers(mesh) == {"one", "two"}, "both serve again")


def test_a_drain_holds_over_an_edit_a_reload_and_a_killed_agent(mesh: Mesh, pair: tuple[Endpoint, Endpoint]) -> None:
    one, two = pair
    hostmesh(mesh, "drain", "orders.shop", f":{one.port}", "--why", "new kernel")
    mesh.edit("more.yml", orders(two, name="users.shop"))
    assert who_answers(mesh) == {"two"}
    mesh.reload()
    assert who_answers(mesh) == {"two"}
    agent = mesh.agent
    os.kill(agent, signal.SIGKILL)
    assert who_answers(mesh) == {"two"}
    until(lambda: mesh.agent not in (0, agent), "another agent")
    assert who_answers(mesh) == {"two"}
    said = json.loads(hostmesh(mesh, "endpoints", "orders.shop", "--json").stdout)["endpoints"]
    assert [(each["state"], each["override"].rpartition(": ")[2]) for each in said] == [
        ("drain", "new kernel"), ("up", "")]


def test_a_request_under_way_is_seen_and_ends_well_on_a_drained_endpoint(
        mesh: Mesh, pair: tuple[Endpoint, Endpoint]) -> None:
    one, two = pair
    hostmesh(mesh, "disable", "orders.shop", f":{two.port}")
    connection = HTTPConnection("127.0.0.1", mesh.port, timeout=20)
    connection.request("GET", "/held?gate=g", headers={"Host": ORDERS})
    until(lambda: one.waits_at("g"), "it is under way")
    hostmesh(mesh, "drain", "orders.shop", f":{one.port}")
    said = json.loads(hostmesh(mesh, "endpoints", "orders.shop", "--json").stdout)["endpoints"]
    assert (said[0]["state"], said[0]["inFlight"]) == ("drain", 1)
    one.open("g")
    assert connection.getresponse().status == 200
    connection.close()


def test_a_weight_moves_the_shares(mesh: Mesh, pair: tuple[Endpoint, Endpoint]) -> None:
    one, _ = pair
    assert hostmesh(mesh, "weight", "orders.shop", f":{one.port}", "0").exit_code == 0
    until(lambda: who_answers(mesh) == {"two"}, "the weight is taken up")
    assert hostmesh(mesh, "weight", "orders.shop", f":{one.port}", "default").exit_code == 0
    until(lambda: who_answers(mesh) == {"one", "two"}, "the weight of the file is back")


def test_the_numbers_of_a_service_are_those_of_its_requests(mesh: Mesh) -> None:
    who_answers(mesh, 20)
    (service,) = [each for each in json.loads(hostmesh(mesh, "services", "--json").stdout)["services"]
                  if each["name"] == "orders.shop"]
    assert (service["requests"], service["failures"], service["inFlight"]) == (20, 0, 0)
