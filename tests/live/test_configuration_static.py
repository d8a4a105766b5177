"""The static file is edited while it serves: it is taken up by itself, or refused whole and shown."""
from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner
from running import Answer, Endpoint, Mesh, ask, laid_over, orders, until
from traffic import serves

from workers.cli import main


def taken_up(mesh: Mesh, static: dict[str, Any]) -> None:
    """Saves the static file, sends no signal, and waits until only workers of it are left."""
    former = set(mesh.workers)
    before = mesh.status()["master"]["staticReloads"]
    mesh.say(laid_over(mesh.static, static))
    until(lambda: mesh.status()["master"]["staticReloads"] > before, "the static file is taken up")
    until(lambda: mesh.serves and not former & set(mesh.workers), "the former workers have left", 20.0)


def is_refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


def test_an_entrypoint_is_added_and_taken_away(start: Callable[..., Mesh]) -> None:
    mesh = start()
    web = mesh.port
    taken_up(mesh, {"entryPoints": {"other": {"address": "127.0.0.1:0"}}})
    other = mesh.port_of("other")
    assert ask(other, host="orders.shop.mesh").status == 200
    assert mesh.port == web                 # one whose address says the same keeps its socket
    assert mesh.ask("/").status == 200
    assert mesh.metric("mesh_entrypoint_requests_total", entrypoint="other") == 1
    taken_up(mesh, {"entryPoints": {"other": None}})
    assert is_refused(other)
    assert mesh.ask("/").status == 200
    assert "other" not in mesh.about.entry_points


def test_the_number_of_workers_is_changed(start: Callable[..., Mesh]) -> None:
    mesh = start()
    for workers in (3, 1, 2):
        taken_up(mesh, {"host": {"workers": workers}})
        assert len(mesh.workers) == workers
        assert mesh.ask("/").status == 200


def test_the_access_log_is_turned_on_moved_and_turned_off(start: Callable[..., Mesh]) -> None:
    mesh = start()

    def lines(name: str) -> list[str]:
        file = mesh.directory / name
        return file.read_text().splitlines() if file.exists() else []

    taken_up(mesh, {"accessLog": {"filePath": "one.log", "format": "json"}})
    mesh.ask("/one")
    until(lambda: lines("one.log"), "a line in the log")
    assert json.loads(lines("one.log")[0])["RequestPath"] == "/one"
    taken_up(mesh, {"accessLog": {"filePath": "two.log", "format": "common"}})
    mesh.ask("/two")
    until(lambda: lines("two.log"), "a line in the other log")
    assert re.search(r'"GET /two HTTP/1.1" 200 ', lines("two.log")[0])
    taken_up(mesh, {"accessLog": None})
    mesh.ask("/three")
    taken_up(mesh, {"log": {"level": "WARN"}})      # whoever may have written a line has left
    assert (len(lines("one.log")), len(lines("two.log"))) == (1, 1)


def test_the_level_of_the_log_is_changed(start: Callable[..., Mesh], endpoint: Endpoint) -> None:
    mesh = start()
    taken_up(mesh, {"log": {"level": "ERROR"}})
    quiet = len(mesh.log)
    mesh.edit("other.yml", orders(endpoint, name="other.shop"))
    assert mesh.log[quiet:] == []
    taken_up(mesh, {"log": {"level": "INFO"}})
    mesh.edit("other.yml", orders(endpoint, name="another.shop"))
    until(lambda: mesh.told_of("generation 3"), "the change is told")


@pytest.mark.parametrize("text, where, words", [
    ('{"entryPoints": {"web": {"adress": "127.0.0.1:0"}}}', ":1:26: error: ", 'did you mean "address"?'),
    ('{"host": {"workers": "many"}}', ":1:22: error: ", '"many" is not a whole number'),
    ("entryPoints: [", ":1:", "not YAML"),
    ("", ": error: ", "empty"),
    ("\0\xff", ":1:", ""),
])
def test_a_broken_static_file_changes_nothing_and_is_shown(
        start: Callable[..., Mesh], endpoint: Endpoint, text: str, where: str, words: str) -> None:
    mesh = start()
    workers, good = mesh.workers, mesh.config.read_text()
    mesh.config.write_text(text, "latin-1")
    until(lambda: mesh.status()["problems"], "it is shown")
    shown = mesh.status()["problems"][0]
    assert f"{mesh.config}{where}" in shown["text"]
    assert words in shown["text"]
    assert any(shown["text"] in line for line in mesh.log)
    assert not mesh.status()["good"]
    told = CliRunner().invoke(main, ["check", "--config", str(mesh.config)])
    assert told.exit_code == 1
    assert f"{mesh.config}{where}" in told.stdout
    # a reload by hand is refused too, and dynamic files go on being taken up
    before = mesh.status()["master"]["staticRefused"]
    mesh.signal(1)
    until(lambda: mesh.status()["master"]["staticRefused"] == before + 1, "the reload is refused")
    mesh.edit("other.yml", orders(endpoint, name="other.shop"))
    assert mesh.ask("/", "other.shop.mesh").status == 200
    assert mesh.workers == workers
    assert mesh.metric("mesh_config_problems", severity="error", file=str(mesh.config)) >= 1
    # mended, with what it said before: nothing to reload, and all is good
    mesh.config.write_text(good)
    until(lambda: mesh.status()["good"], "all is good again")
    assert mesh.workers == workers
    assert mesh.status()["master"]["staticReloads"] == 0


def test_an_address_that_cannot_be_had_changes_nothing_and_is_told(start: Callable[..., Mesh]) -> None:
    mesh = start()
    workers = mesh.workers
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        mesh.say({"entryPoints": {"other": {"address": f"127.0.0.1:{port}"}}})
        until(lambda: mesh.status()["master"]["staticRefused"] == 1, "the reload is refused")
    assert mesh.workers == workers
    assert mesh.ask("/").status == 200
    assert mesh.told_of("entrypoint other", str(port), "in use")
    assert mesh.told_of("reload refused: everything serves on as before")


def test_edits_take_effect_while_a_reload_is_under_way(start: Callable[..., Mesh], endpoint: Endpoint) -> None:
    # The reload cannot end: a request of a former worker is under way until the gate is open.
    mesh = start()
    answers: list[Answer] = []
    held = threading.Thread(target=lambda: answers.append(mesh.ask("/held?gate=reload")))
    held.start()
    until(lambda: endpoint.waits_at("reload"), "a request is under way")
    with Endpoint("two") as two:
        before = mesh.status()["master"]["staticReloads"]
        mesh.say(laid_over(mesh.static, {"host": {"workers": 3}}))
        mesh.write("orders.yml", orders(two))
        mesh.write("other.yml", orders(two, name="other.shop"))
        until(lambda: mesh.status()["master"]["staticReloads"] > before, "the reload has begun")
        serves(mesh, "orders.shop.mesh", two)
        serves(mesh, "other.shop.mesh", two)
        until(lambda: any(worker["draining"] for worker in mesh.status()["workers"]), "a worker is leaving")
        mesh.write("other.yml", orders(endpoint, name="other.shop"))
        serves(mesh, "other.shop.mesh", endpoint)
        endpoint.open("reload")
        held.join(20)
    assert [answer.status for answer in answers] == [200]


def test_another_directory_of_dynamic_files_is_taken_up(start: Callable[..., Mesh]) -> None:
    mesh = start()
    (mesh.directory / "elsewhere").mkdir()
    with Endpoint("two") as two:
        (mesh.directory / "elsewhere" / "orders.yml").write_text(orders(two))
        taken_up(mesh, {"providers": {"file": {"directory": "elsewhere"}}})
        serves(mesh, "orders.shop.mesh", two)
        assert [each["file"] for each in ask(mesh.admin, "/api/files").json if each["state"] != "ok"] == []


def test_a_static_file_that_says_the_same_is_no_reload(start: Callable[..., Mesh], endpoint: Endpoint) -> None:
    mesh = start()
    workers = mesh.workers
    mesh.config.write_text(f"# a comment\n{mesh.config.read_text()}")
    mesh.config.touch()
    mesh.edit("other.yml", orders(endpoint, name="other.shop"))
    mesh.edit("other.yml", orders(endpoint, name="another.shop"))
    assert mesh.workers == workers
    assert mesh.status()["master"]["staticReloads"] == 0
