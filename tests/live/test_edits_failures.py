"""What dies while somebody edits, and what is lost of the runtime directory: the last good serves, then the newest."""
from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator

import pytest
from click.testing import CliRunner
from running import Endpoint, Mesh, ask, is_running, orders, until
from traffic import ANOTHER_USER, Traffic, serves

from workers.cli import main

ORDERS, STAY = "orders.shop.mesh", "stay.shop.mesh"
BROKEN = "mesh: {services: {orders.shop: {endpoints: ["


@pytest.fixture(scope="module")
def two() -> Iterator[Endpoint]:
    with Endpoint("two") as endpoint:
        yield endpoint


@pytest.fixture
def mesh(start: Callable[..., Mesh], endpoint: Endpoint) -> Mesh:
    return start({"orders.yml": orders(endpoint), "stay.yml": orders(endpoint, name="stay.shop")})


def kill(mesh: Mesh, pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    until(lambda: not is_running(pid), "it is dead")


def another_agent(mesh: Mesh, former: int) -> None:
    until(lambda: mesh.agent not in (0, former), "another agent runs")


def restarted(mesh: Mesh) -> None:
    """TERM, and a start on the same directories."""
    assert mesh.stop() == 0
    mesh.start()


def killed_and_restarted(mesh: Mesh) -> None:
    """Every process is killed at once, and then it is started again."""
    assert mesh.process is not None
    for pid in mesh.processes:
        os.kill(pid, signal.SIGKILL)
    mesh.process.wait()
    until(lambda: not mesh.processes, "all of it is dead")
    mesh.start()


RESTARTS = pytest.mark.parametrize("again", [restarted, killed_and_restarted], ids=lambda each: each.__name__)


def test_an_agent_killed_in_a_burst_of_edits_has_a_successor_that_publishes_the_newest(
        mesh: Mesh, endpoint: Endpoint, two: Endpoint) -> None:
    with Traffic(mesh.port, STAY) as traffic:
        for _ in range(3):
            agent = mesh.agent
            for turn in range(20):
                mesh.write("orders.yml", orders(two if turn % 2 else endpoint))
                if turn == 10:
                    os.kill(agent, signal.SIGKILL)
            serves(mesh, ORDERS, two)
            another_agent(mesh, agent)
            mesh.edit("orders.yml", orders(endpoint))
            serves(mesh, ORDERS, endpoint)
    assert traffic.wrong == []


@pytest.mark.parametrize("command", [(), ANOTHER_USER], ids=["the files' owner", "another user"])
def test_a_save_under_way_when_the_agent_dies_is_not_read_by_halves(
        start: Callable[..., Mesh], endpoint: Endpoint, two: Endpoint, command: tuple[str, ...]) -> None:
    # `http: {}` comes first, so that half of the file is valid and takes the route away.  The new agent has heard no
    # news of who is writing, and as another user it cannot ask the kernel either.
    if command and (os.geteuid() != 0 or shutil.which("setpriv") is None):
        pytest.skip("it takes root, and setpriv (util-linux), to be another user")
    mesh = start(command=command)
    with Traffic(mesh.port, ORDERS) as traffic:
        with (mesh.conf / "orders.yml").open("w") as out:
            out.write("http: {}\n")
            out.flush()
            agent = mesh.agent
            kill(mesh, agent)
            another_agent(mesh, agent)
            mesh.edit("other.yml", orders(endpoint, name="other.shop"))     # the new agent has looked
            out.write(f"mesh: {{services: {{orders.shop: {{endpoints: ['{two.url}']}}}}}}\n")
        serves(mesh, ORDERS, two)
    assert traffic.wrong == []


@RESTARTS
def test_the_last_good_version_of_a_broken_file_outlives_the_agent_and_the_service(
        mesh: Mesh, two: Endpoint, again: Callable[[Mesh], None]) -> None:
    mesh.edit("orders.yml", orders(two))
    mesh.write("orders.yml", BROKEN)
    until(lambda: mesh.status()["problems"], "it is shown")
    agent = mesh.agent
    kill(mesh, agent)
    another_agent(mesh, agent)
    serves(mesh, ORDERS, two)
    again(mesh)
    serves(mesh, ORDERS, two)
    until(lambda: mesh.status()["problems"], "it is shown again")
    assert "what served from here before still serves" in mesh.status()["problems"][0]["message"]
    again(mesh)                     # and once more: what is remembered is handed on
    serves(mesh, ORDERS, two)
    mesh.write("orders.yml", orders(two, name="orders.shop"))
    until(lambda: mesh.status()["good"], "all is good again")
    serves(mesh, ORDERS, two)


@RESTARTS
def test_what_was_edited_while_nothing_ran_serves_after_the_start(
        mesh: Mesh, endpoint: Endpoint, two: Endpoint, again: Callable[[Mesh], None]) -> None:
    generation = mesh.edit("other.yml", orders(endpoint, name="other.shop"))
    assert mesh.stop() == 0
    mesh.write("orders.yml", orders(two))
    (mesh.conf / "other.yml").unlink()
    mesh.start()
    serves(mesh, ORDERS, two)
    until(lambda: mesh.ask("/", "other.shop.mesh").status == 404, "what was deleted is gone")
    assert mesh.generation > generation
    again(mesh)
    serves(mesh, ORDERS, two)


def test_counters_go_on_over_a_restart(mesh: Mesh) -> None:
    def counted(requests: int) -> bool:
        return mesh.metric("mesh_service_requests_total", service="orders.shop@mesh") == requests

    mesh.ask("/")
    until(lambda: counted(1), "it is counted, which it is when its answer has been sent")
    killed_and_restarted(mesh)
    mesh.ask("/")
    until(lambda: counted(2), "the count goes on")


def test_a_deleted_memory_file_stops_neither_traffic_nor_edits(mesh: Mesh, endpoint: Endpoint, two: Endpoint) -> None:
    # The processes have it mapped; only those that begin by its name, such as hostmesh status, cannot find it.
    agent = mesh.agent
    with Traffic(mesh.port, STAY) as traffic:
        (mesh.run_directory / "memory").unlink()
        mesh.write("orders.yml", orders(two))
        until(lambda: mesh.ask("/").headers["X-By"] == "two", "an edit takes effect")
        os.kill(agent, signal.SIGKILL)
        mesh.write("orders.yml", orders(endpoint))
        until(lambda: mesh.ask("/").headers["X-By"] == "one", "an edit takes effect, by the next agent")
        traffic.goes_on()
    assert traffic.wrong == []
    until(lambda: ask(mesh.admin, "/api/status").json["agent"]["pid"] not in (0, agent), "another agent answers")
    told = CliRunner().invoke(main, ["status", "--config", str(mesh.config)])
    assert told.exit_code == 1
    assert f"memory was deleted while hostmesh (pid {mesh.master}) runs" in told.stdout
    assert mesh.stop() == 0
    mesh.start()
    serves(mesh, ORDERS, endpoint)
    until(lambda: mesh.status()["good"], "all is good")


def damage_the_header(file: bytearray) -> None:
    file[:64] = b"\xff" * 64


def damage_everything(file: bytearray) -> None:
    file[:1 << 20] = os.urandom(1 << 20)


def damage_the_boards(file: bytearray) -> None:
    at = file.index(b'"routers"') if b'"routers"' in file else file.index(b"orders.shop")
    file[at:at + 9] = b"\0" * 9


def cut(file: bytearray) -> None:
    del file[5000:]


def empty(file: bytearray) -> None:
    file.clear()


@pytest.mark.parametrize("damage", [damage_the_header, damage_everything, damage_the_boards, cut, empty],
                         ids=lambda each: each.__name__)
def test_a_damaged_memory_file_is_no_obstacle_to_a_start(
        mesh: Mesh, endpoint: Endpoint, damage: Callable[[bytearray], None]) -> None:
    assert mesh.stop() == 0
    memory = mesh.run_directory / "memory"
    data = bytearray(memory.read_bytes())
    damage(data)
    memory.write_bytes(data)
    mesh.start()
    serves(mesh, ORDERS, endpoint)
    until(lambda: mesh.status()["good"], "all is good")
    mesh.edit("other.yml", orders(endpoint, name="other.shop"))
    assert mesh.ask("/", "other.shop.mesh").status == 200


def test_a_runtime_directory_that_is_gone_is_made_anew_at_a_start(mesh: Mesh, endpoint: Endpoint) -> None:
    assert mesh.stop() == 0
    shutil.rmtree(mesh.run_directory)
    mesh.start()
    serves(mesh, ORDERS, endpoint)


def test_a_runtime_directory_that_is_gone_while_it_runs_stops_no_traffic(
        mesh: Mesh, endpoint: Endpoint, two: Endpoint) -> None:
    # tmpfiles and such may remove it under a running service.
    with Traffic(mesh.port, STAY) as traffic:
        shutil.rmtree(mesh.run_directory)
        mesh.write("orders.yml", orders(two))
        until(lambda: ask_on(traffic.port) == "two", "an edit takes effect")
    assert traffic.wrong == []


def ask_on(port: int) -> str:
    return str(ask(port, "/bytes?size=1", ORDERS).headers["X-By"])
