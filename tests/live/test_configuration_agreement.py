"""What explain names is what serves: every matcher of the rule language, asked of the command and of the service.

Each router leads to a service of its own, and each service to a path prefix of the same endpoint (preservePath), so
that the endpoint itself tells whose router a request came by.
"""
from __future__ import annotations

import json
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner
from running import Endpoint, Mesh

from workers.cli import main

MATCHERS = ("Host(", "HostRegexp(", "Path(", "PathPrefix(", "PathRegexp(", "Method(", "Header(", "HeaderRegexp(",
            "Query(", "QueryRegexp(", "ClientIP(")

# name: rule, and what else the router says
RULES = {
    "host": "Host(`a.example`)",
    "host-or": "Host(`b.example`) || Host(`c.example`)",
    "host-wild": "HostRegexp(`^[a-z]+\\.wild\\.example$`)",
    "host-path": "Host(`a.example`) && Path(`/exact`)",
    "host-prefix": "Host(`a.example`) && PathPrefix(`/api`)",
    "host-prefix-longer": "Host(`a.example`) && PathPrefix(`/api/v2`)",
    "path-regexp": "Host(`a.example`) && PathRegexp(`^/items/[0-9]+$`)",
    "method": "Host(`m.example`) && Method(`POST`)",
    "method-two": "Host(`m.example`) && (Method(`PUT`) || Method(`PATCH`))",
    "method-not": "Host(`m.example`) && !Method(`POST`)",
    "header": "Host(`h.example`) && Header(`X-Kind`, `gold`)",
    "header-regexp": "Host(`h.example`) && HeaderRegexp(`X-Kind`, `^s[a-z]+$`)",
    "header-none": "Host(`h.example`) && !HeaderRegexp(`X-Kind`, `.*`)",
    "query": "Host(`q.example`) && Query(`color`, `red`)",
    "query-regexp": "Host(`q.example`) && QueryRegexp(`color`, `^b.*`)",
    "query-empty": "Host(`q.example`) && Query(`flag`)",
    "client-ip": "Host(`ip.example`) && ClientIP(`127.0.0.0/8`)",
    "client-ip-other": "Host(`ip.example`) && ClientIP(`10.0.0.0/8`) && PathPrefix(`/only-ten-has-a-longer-rule`)",
    "precedence": "Host(`p.example`) && Path(`/x`) || Host(`p.example`) && Path(`/y`) && Method(`POST`)",
    "parentheses": "Host(`p.example`) && (Path(`/g`) || Path(`/h`)) && !(Method(`POST`) || Query(`no`, `1`))",
    "low": ("Host(`prio.example`) && PathPrefix(`/`) && Method(`GET`)", {"priority": 1}),
    "high": ("Host(`prio.example`)", {"priority": 500}),
    "equal-b": "Host(`equal.example`) && Path(`/e`)",
    "equal-a": "Path(`/e`) && Host(`equal.example`)",
    "only-other": ("Host(`both.example`)", {"entryPoints": ["other"]}),
    "only-web": ("Host(`both.example`) && PathPrefix(`/`)", {"entryPoints": ["web"]}),
    "anywhere": ("PathPrefix(`/anywhere`)", {"priority": 2}),
}


class Ask(NamedTuple):
    """A request, and the router that takes it ("": none, and the answer is 404)."""

    router: str
    host: str
    target: str = "/"
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    at: str = "web"


def kind(value: str) -> tuple[tuple[str, str], ...]:
    return (("X-Kind", value),)


ASKED = (
    Ask("host", "a.example"),
    Ask("host", "A.EXAMPLE"),
    Ask("host", "a.example:8080"),
    Ask("host", "a.example."),
    Ask("", "a.example.com"),
    Ask("", "xa.example"),
    Ask("host-or", "b.example"),
    Ask("host-or", "c.example"),
    Ask("", "d.example"),
    Ask("host-wild", "any.wild.example"),
    Ask("host-wild", "ANY.wild.example"),
    Ask("", "any1.wild.example"),
    Ask("", "two.any.wild.example"),
    Ask("host-path", "a.example", "/exact"),
    Ask("host-path", "a.example", "/exact?with=query"),
    Ask("host", "a.example", "/exact/"),
    Ask("host", "a.example", "/Exact"),
    Ask("host-path", "a.example", "/%65xact"),
    Ask("host-prefix", "a.example", "/api"),
    Ask("host-prefix", "a.example", "/api/"),
    Ask("host-prefix", "a.example", "/apiary"),
    Ask("host-prefix", "a.example", "/api/v1"),
    Ask("host-prefix-longer", "a.example", "/api/v2/things"),
    Ask("host", "a.example", "/ap"),
    Ask("host-prefix", "a.example", "/other/../api/x"),
    Ask("host", "a.example", "/api/../other"),
    Ask("path-regexp", "a.example", "/items/42"),
    Ask("path-regexp", "a.example", "/items/42?x=1"),
    Ask("host", "a.example", "/items/42/"),
    Ask("host", "a.example", "/items/many"),
    Ask("method", "m.example", method="POST"),
    Ask("method-two", "m.example", method="PUT"),
    Ask("method-two", "m.example", method="PATCH"),
    Ask("method-not", "m.example"),
    Ask("method-not", "m.example", method="DELETE"),
    Ask("header", "h.example", headers=kind("gold")),
    Ask("header-regexp", "h.example", headers=kind("silver")),
    Ask("", "h.example", headers=kind("GOLD")),
    Ask("header-none", "h.example"),
    Ask("header-regexp", "h.example", headers=(("x-kind", "silver"), ("X-KIND", "gold"))),
    Ask("query", "q.example", "/?color=red"),
    Ask("query", "q.example", "/?a=1&color=red&b=2"),
    Ask("query", "q.example", "/?color=%72ed"),
    Ask("query-regexp", "q.example", "/?color=blue"),
    Ask("", "q.example", "/?color=green"),
    Ask("query-empty", "q.example", "/?flag"),
    Ask("query-empty", "q.example", "/?flag="),
    Ask("", "q.example", "/?flag=1"),
    Ask("", "q.example"),
    Ask("client-ip", "ip.example"),
    Ask("client-ip", "ip.example", "/only-ten-has-a-longer-rule"),
    Ask("precedence", "p.example", "/x"),
    Ask("precedence", "p.example", "/y", "POST"),
    Ask("", "p.example", "/y"),
    Ask("parentheses", "p.example", "/g"),
    Ask("parentheses", "p.example", "/h?no=2"),
    Ask("", "p.example", "/g?no=1"),
    Ask("", "p.example", "/h", "POST"),
    Ask("high", "prio.example"),
    Ask("high", "prio.example", method="POST"),
    Ask("equal-a", "equal.example", "/e"),
    Ask("only-web", "both.example"),
    Ask("only-other", "both.example", at="other"),
    Ask("host", "a.example", at="other"),
    Ask("anywhere", "nobody.example", "/anywhere/at/all"),
    Ask("anywhere", "a.example.com", "/anywhere"),
    Ask("host", "a.example", "/anywhere"),
)


class Asked:
    """A service with the rules, and the two ways to ask it."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        self.config = mesh.config

    def served(self, asked: Ask) -> str:
        """The router that a request came by, as the endpoint saw it."""
        connection = HTTPConnection("127.0.0.1", self.mesh.port_of(asked.at), timeout=10)
        connection.putrequest(asked.method, asked.target, skip_host=True, skip_accept_encoding=True)
        for name, value in (("Host", asked.host), *asked.headers, ("Content-Length", "0")):
            connection.putheader(name, value)
        connection.endheaders()
        with connection.getresponse() as answer:
            body = answer.read()
            status = answer.status
        connection.close()
        assert status in (200, 404)
        return "" if status == 404 else str(json.loads(body)["target"]).split("/")[1]

    def explained(self, asked: Ask, config: Path | None = None) -> str:
        """The router that explain names, which must also be first of its list."""
        words = ["explain", "--config", str(config or self.config), "--json", "--entrypoint", asked.at,
                 asked.method, f"http://{asked.host}{asked.target}"]
        for name, value in asked.headers:
            words += ["-H", f"{name}: {value}"]
        told = CliRunner().invoke(main, words)
        said = json.loads(told.stdout)
        assert told.exit_code == (0 if said["router"] else 1)
        return (said["router"] or "").removesuffix("@file")


def file(endpoint: Endpoint) -> str:
    routers, services = {}, {}
    for name, rule in RULES.items():
        said, more = rule if isinstance(rule, tuple) else (rule, {})
        routers[name] = {"rule": said, "service": name, **more}
        services[name] = {"loadBalancer": {"servers": [{"url": f"{endpoint.url}/{name}", "preservePath": True}]}}
    return json.dumps({"http": {"routers": routers, "services": services}}, indent=1)


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    static = {"entryPoints": {"other": {"address": "127.0.0.1:0"}}}
    with Endpoint("rules") as endpoint, \
            Mesh(tmp_path_factory.mktemp("rules"), {"rules.yml": file(endpoint)}, static) as mesh:
        yield Asked(mesh)


def test_every_matcher_stands_in_the_table() -> None:
    said = json.dumps(RULES)
    for matcher in (*MATCHERS, "&&", "||", "!"):
        assert matcher in said
    assert set(RULES) - {each.router for each in ASKED} == {"client-ip-other", "low", "equal-b"}


@pytest.mark.parametrize("request_", ASKED, ids=lambda each: f"{each.method} {each.host}{each.target}")
def test_explain_names_the_router_that_serves(asked: Asked, request_: Ask) -> None:
    assert asked.served(request_) == asked.explained(request_) == request_.router


def test_check_finds_nothing_wrong_with_the_rules(asked: Asked) -> None:
    told = CliRunner().invoke(main, ["check", "--config", str(asked.config), "--json"])
    assert json.loads(told.stdout)["serves"]["routers"] == len(RULES)
    assert told.exit_code == 0


def test_explain_of_the_files_says_the_same_as_explain_of_the_instance(asked: Asked, tmp_path: Path) -> None:
    # Without an instance on its runtime directory, explain compiles the files.
    config = tmp_path / "hostmesh.yml"
    static = {**json.loads(asked.config.read_text()), "runtimeDirectory": str(tmp_path / "run")}
    static["providers"] = {"file": {"directory": str(asked.mesh.conf)}}
    config.write_text(json.dumps(static))
    for each in ASKED:
        assert asked.explained(each, config) == each.router


def test_explain_follows_an_edit_at_once_with_the_service(asked: Asked) -> None:
    request = Ask("newcomer", "newcomer.example")
    assert asked.served(request) == asked.explained(request) == ""
    rules = (asked.mesh.conf / "rules.yml").read_text()
    said = json.loads(rules)
    said["http"]["routers"]["newcomer"] = {"rule": "Host(`newcomer.example`)", "service": "newcomer"}
    former = json.dumps(said["http"]["services"]["host"])
    said["http"]["services"]["newcomer"] = json.loads(former.replace("/host", "/newcomer"))
    asked.mesh.edit("rules.yml", json.dumps(said))
    assert asked.served(request) == asked.explained(request) == "newcomer"
    asked.mesh.edit("rules.yml", rules)
    assert asked.served(request) == asked.explained(request) == ""
