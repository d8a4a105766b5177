"""One file of fifty is broken, in every way in which files break: the others serve, and so does what was good in it.

One service for all the ways, one after another: each breaks shop-17.yml, looks everywhere where an operator would look,
mends it, and looks again.
"""
from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner, Result
from running import Endpoint, Mesh, ask, orders, until

from mesh.providers.tree import MAX_BYTES
from workers.cli import main

FILES = 50
BROKEN = 17


def text(number: int, endpoint: Endpoint) -> str:
    """A file of two routers and a service, as a person writes it; `also` stands beside `shop`."""
    return f"""\
http:
  routers:
    also-{number}:
      rule: Host(`also-{number}.example`)
      service: shop-{number}
    shop-{number}:
      rule: Host(`shop-{number}.example`) && PathPrefix(`/`)
      service: shop-{number}
      middlewares: []
  services:
    shop-{number}:
      loadBalancer:
        servers:
          - url: "{endpoint.url}"
"""


class Way(NamedTuple):
    """A way to break a file, and where and with which words it must be told."""

    do: Callable[[Path], object]
    at: str                         # line:column, "" for the file as a whole
    words: str
    hint: str = ""
    alone: bool = False             # one router of the file is meant, the others of it are untouched


def said(old: str, new: str) -> Callable[[Path], object]:
    """Breaks a file by a slip of the pen."""
    def slip(path: Path) -> None:
        good = path.read_text()
        assert good.count(old) == 1, old
        path.write_text(good.replace(old, new))
    return slip


def a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def a_link_to_nowhere(path: Path) -> None:
    path.unlink()
    path.symlink_to("/nonexistent/shop.yml")


def a_device(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


ROUTER = "    shop-17:\n      rule: Host"
WAYS = {
    "a tab": Way(said("      service: shop-17\n    shop", "\tservice: shop-17\n    shop"), "5:1", "a tab",
                 "YAML is indented with spaces"),
    "an unclosed quote": Way(said('"http', '"\'http'), "14:18", "is not a URL such as"),
    "an open quote": Way(lambda path: path.write_text(path.read_text().rstrip()[:-1]), "14:18", "not YAML",
                         "the file ends in the middle"),
    "an unknown field": Way(said("      middlewares: []", "      middleware: []"), "9:7",
                            "middleware is not a known field", 'did you mean "middlewares"?', alone=True),
    "a misspelt field that is required": Way(
        said("service: shop-17\n      mid", "servise: shop-17\n      mid"), "8:7", "servise is not a known field",
        'did you mean "service"?', alone=True),
    "a misspelt section": Way(said("  services:", "  servces:"), "10:3", "servces is not a known section",
                              'did you mean "services"?'),
    "a wrong type": Way(said("middlewares: []", "priority: high"), "9:17", '"high" is not a whole number', alone=True),
    "a bad rule": Way(said("&& PathPrefix", "&& PathPrefx"), "7:40", "there is no matcher PathPrefx",
                      'did you mean "PathPrefix"?', alone=True),
    "a rule that does not end": Way(said("Prefix(`/`)", "Prefix(`/`"), "7:50", "never closed", alone=True),
    "an unknown service": Way(said("service: shop-17\n      mid", "service: shop-177\n      mid"), "8:16",
                              'service "shop-177" is not defined', 'did you mean "shop-17"?', alone=True),
    "an unknown middleware": Way(said("middlewares: []", "middlewares: [auth]"), "9:21",
                                 'middleware "auth" is not defined', alone=True),
    "a key twice": Way(said("middlewares: []", "service: shop-17"), "9:7", "service is said twice, first in line 8",
                       alone=True),
    "a bad url": Way(said('"http://', '"htp://'), "14:18", "is not a URL such as", 'did you mean "http"?'),
    "no mapping": Way(lambda path: path.write_text("http: all\n"), "1:7", "wanted a mapping of names"),
    "emptied": Way(lambda path: path.write_text(""), "", "the file is empty", "delete it, or write"),
    "binary garbage": Way(lambda path: path.write_bytes(b"http:\n\x89PNG\r\n\x1a\n\0\0\0\rIHDR\xff"), "2:1",
                          "not UTF-8 text"),
    "cut in the middle of a word": Way(lambda path: path.write_text(path.read_text()[:190]), "9:7",
                                       "wanted a key and a colon"),
    "cut behind a key": Way(lambda path: path.write_text(path.read_text().partition("\n        servers")[0]), "12:20",
                            "nothing stands here"),
    "a directory": Way(a_directory, "", "it is a directory"),
    "a link to nowhere": Way(a_link_to_nowhere, "", "a symbolic link to /nonexistent/shop.yml, which does not exist"),
    "a pipe": Way(a_device, "", "it is not a regular file"),
    "too large": Way(lambda path: os.truncate(path, MAX_BYTES + 1), "", "larger than 64 MiB"),
}


class Shops:
    """Fifty files in a running service, and the places where an operator looks."""

    def __init__(self, mesh: Mesh, endpoint: Endpoint) -> None:
        self.mesh, self.endpoint = mesh, endpoint
        self.file = mesh.conf / f"shop-{BROKEN}.yml"

    def hostmesh(self, *words: str) -> Result:
        command, *others = words
        return CliRunner().invoke(main, [command, "--config", str(self.mesh.config), *others])

    def api(self, path: str) -> Any:
        return ask(self.mesh.admin, path).json

    @property
    def state(self) -> str:
        return next((each["state"] for each in self.api("/api/files") if each["file"] == str(self.file)), "")

    @property
    def is_good(self) -> bool:
        status = self.mesh.status()
        return bool(status["good"]) and self.state == "ok"

    def mend(self) -> None:
        if self.file.is_dir():
            self.file.rmdir()
        else:
            self.file.unlink(missing_ok=True)
        self.file.write_text(text(BROKEN, self.endpoint))
        until(lambda: self.is_good, "all is good again")

    def asked(self) -> dict[str, int]:
        """Status by host, of every host that a file names."""
        answers = {}
        connection = HTTPConnection("127.0.0.1", self.mesh.port, timeout=10)
        for number in range(FILES):
            for what in ("shop", "also"):
                host = f"{what}-{number}.example"
                connection.request("GET", "/bytes?size=1", headers={"Host": host})
                with connection.getresponse() as answer:
                    answer.read()
                    answers[host] = answer.status
        connection.close()
        return answers


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shops]:
    with Endpoint("shops") as endpoint:
        files = {f"shop-{number}.yml": text(number, endpoint) for number in range(FILES)}
        with Mesh(tmp_path_factory.mktemp("shops"), files) as mesh:
            yield Shops(mesh, endpoint)


@pytest.mark.parametrize("name", WAYS)
def test_a_broken_file_is_shown_everywhere_and_everything_serves(shops: Shops, name: str) -> None:
    way, mesh = WAYS[name], shops.mesh
    failures, lines = mesh.status()["reloadFailures"], len(mesh.log)
    try:
        way.do(shops.file)
        until(lambda: shops.state == "error", "the error is seen")
        where = f"{shops.file}:{way.at}" if way.at else str(shops.file)
        # traffic: every host of every file, those of the broken one too
        assert set(shops.asked().values()) == {200}
        # the API
        problems = next(each["problems"] for each in shops.api("/api/files") if each["file"] == str(shops.file))
        problem = next(each for each in problems if way.words in each["message"])
        assert problem["text"].startswith(f"{where}: error: ")
        assert way.hint in problem["hint"]
        assert "still serves" in problem["message"] or "last good version serves" in problem["message"]
        # it is told of what is wrong, not of what follows from it, and so once
        assert len(problems) == 1, [each["text"] for each in problems]
        raw = shops.api("/api/rawdata")
        assert all(raw["routers"][f"also-{number}@file"]["status"] == "enabled" for number in range(FILES)
                   if number != BROKEN)
        broken = raw["routers"][f"shop-{BROKEN}@file"]
        assert broken["status"] in ("warning", "enabled")
        if way.alone:
            assert broken["error"] == [problem["text"]]
            assert raw["routers"][f"also-{BROKEN}@file"]["status"] == "enabled"
        # hostmesh check, which knows no older version
        told = shops.hostmesh("check")
        assert told.exit_code == 1
        line = next(line for line in told.stdout.splitlines() if line.startswith(f"{where}: error: "))
        assert way.words in line
        assert way.hint in line
        checked = json.loads(shops.hostmesh("check", "--json").stdout)
        found = next(each for each in checked["problems"] if way.words in each["message"])
        assert (found["file"], found["severity"]) == (str(shops.file), "error")
        assert f"{found['line']}:{found['column']}" == (way.at or "0:0")
        assert way.hint in found["hint"]
        # hostmesh status
        shown = shops.hostmesh("status")
        assert shown.exit_code == 1
        assert any(line.startswith(f"{where}: error: ") and way.words in line for line in shown.stdout.splitlines())
        assert "the configuration has 1 error" in shown.stdout
        # metrics
        assert mesh.metric("mesh_config_problems", severity="error", file=str(shops.file)) == 1
        assert mesh.metric("mesh_config_problems", severity="error") == 1
        assert mesh.status()["reloadFailures"] == failures + 1
        # the log: once, however often the agent looks again
        mesh.edit("other.yml", orders(shops.endpoint))
        mesh.edit("other.yml", "http: {}\n")
        assert len([line for line in mesh.log[lines:] if where in line and way.words in line]) == 1
    finally:
        shops.mend()
    assert shops.hostmesh("check").exit_code == 0
    assert shops.hostmesh("status").exit_code == 0
    assert set(shops.asked().values()) == {200}
    assert mesh.metric("mesh_config_problems", severity="error") == 0
    assert [line for line in mesh.log[lines:] if "mended: " in line and where in line]


def test_a_bad_router_is_disabled_alone_when_it_never_was_good(shops: Shops) -> None:
    mesh, url = shops.mesh, shops.endpoint.url
    mesh.edit("new.yml", f"""\
http:
  routers:
    good: {{rule: "Host(`good.example`)", service: s}}
    bad-rule: {{rule: "Hst(`bad-rule.example`)", service: s}}
    bad-field: {{rule: "Host(`bad-field.example`)", service: s, colour: red}}
    bad-service: {{rule: "Host(`bad-service.example`)", service: t}}
    bad-middleware: {{rule: "Host(`bad-middleware.example`)", service: s, middlewares: [m]}}
    names-a-bad-one: {{rule: "Host(`names-a-bad-one.example`)", service: u}}
  middlewares:
    m: {{nothing: {{}}}}
  services:
    s: {{loadBalancer: {{servers: [{{url: "{url}"}}]}}}}
    u: {{loadBalancer: {{servers: [{{url: "nowhere"}}]}}}}
""")
    raw = shops.api("/api/rawdata")["routers"]
    for name in ("bad-rule", "bad-field", "bad-service", "bad-middleware", "names-a-bad-one"):
        assert mesh.ask("/", f"{name}.example").status == 404
        assert raw[f"{name}@file"]["status"] == "disabled"
        assert len(raw[f"{name}@file"]["error"]) == 1
    assert mesh.ask("/", "good.example").status == 200
    assert raw["good@file"]["status"] == "enabled"
    (mesh.conf / "new.yml").unlink()
    until(lambda: mesh.status()["good"], "all is good again")
    assert mesh.ask("/", "good.example").status == 404


def test_deleting_the_last_route_works(start: Callable[..., Mesh], endpoint: Endpoint) -> None:
    mesh = start()
    assert mesh.ask("/").status == 200
    (mesh.conf / "orders.yml").unlink()
    mesh.wait_for_generation(2)
    assert mesh.ask("/").status == 404
    assert mesh.status()["good"]
    mesh.edit("orders.yml", f"mesh: {{services: {{orders.shop: {{endpoints: ['{endpoint.url}']}}}}}}")
    assert mesh.ask("/").status == 200
    mesh.edit("orders.yml", "http: {}\n")
    assert mesh.ask("/").status == 404
    assert mesh.status()["good"]


def test_the_whole_directory_may_go_and_what_it_said_serves_on(start: Callable[..., Mesh]) -> None:
    mesh = start()
    shutil.move(mesh.conf, mesh.directory / "elsewhere")
    until(lambda: mesh.status()["problems"], "it is told")
    assert [each["message"] for each in mesh.status()["problems"]] == ["cannot be read: no such file or directory"]
    assert mesh.ask("/").status == 200
    shutil.move(mesh.directory / "elsewhere", mesh.conf)
    until(lambda: mesh.status()["good"], "all is good again")
    assert mesh.ask("/").status == 200


def without_roots_privilege() -> tuple[str, ...]:
    """The command before the service so that rights mean something to it, even where it is root's."""
    if os.geteuid() != 0:
        return ()
    if shutil.which("setpriv") is None:
        pytest.skip("root may read everything, and setpriv (util-linux) is not installed")
    return ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")


def test_a_file_without_rights_keeps_its_last_good_version(start: Callable[..., Mesh]) -> None:
    mesh = start(command=without_roots_privilege())
    file = mesh.conf / "orders.yml"
    file.chmod(0)
    until(lambda: mesh.status()["problems"], "it is told")
    assert [each["text"] for each in mesh.status()["problems"]] == [
        f"{file}: error: cannot be read: permission denied; what served from here before still serves"]
    assert mesh.ask("/").status == 200
    file.chmod(0o644)
    until(lambda: mesh.status()["good"], "all is good again")
    assert mesh.generation == 1
