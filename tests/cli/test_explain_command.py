"""hostmesh explain, from files: who takes a request, and why the others do not."""
from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from workers.cli import main

FILES = """\
mesh:
  services:
    orders.shop:
      endpoints: [http://10.0.3.17:8080, {url: http://10.0.3.18:8080, weight: 2}]
http:
  routers:
    api: {rule: "Host(`orders.shop.mesh`) && PathPrefix(`/api`) && Method(`POST`)", service: split}
    tenant: {rule: "Header(`X-Tenant`, `blue`)", service: split, priority: 1}
    near: {rule: "ClientIP(`10.9.0.0/16`) && Path(`/near`)", service: split}
    ops: {rule: "PathPrefix(`/ops`)", service: none, entryPoints: [ops]}
    broken: {rule: "Hots(`a.example`)", service: split}
  services:
    split: {weighted: {services: [{name: orders.shop@mesh, weight: 3}, {name: none}]}}
    none: {loadBalancer: {}}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "shop.yml").write_text(FILES)
    file = tmp_path / "hostmesh.yml"
    file.write_text(f"runtimeDirectory: {tmp_path}/run\n"
                    'entryPoints: {web: {address: "127.0.0.1:8080"}, ops: {address: "127.0.0.1:8081"}}\n')
    return file


def explain(config: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["explain", "--config", str(config), *words])


def taken(config: Path, *words: str) -> str | None:
    """The router that takes a request."""
    return json.loads(explain(config, "--json", *words).stdout)["router"]


@pytest.mark.parametrize("words, router", [
    (["GET", "http://orders.shop.mesh/"], "orders.shop@mesh"),
    (["GET", "http://Orders.Shop.mesh.:8080/"], "orders.shop@mesh"),
    (["POST", "http://orders.shop.mesh/api/1"], "api@file"),
    (["POST", "http://orders.shop.mesh/x/../api/1?a=b#part"], "api@file"),
    (["POST", "/api/1", "-H", "Host: orders.shop.mesh"], "api@file"),
    (["POST", "http://a.example/api/1", "-H", "Host: orders.shop.mesh"], "api@file"),
    (["GET", "http://a.example", "-H", "x-tenant: blue"], "tenant@file"),
    (["GET", "http://a.example/near", "--from", "10.9.8.7"], "near@file"),
    (["GET", "http://a.example:8081/ops"], "ops@file"),
    (["GET", "/ops", "--entrypoint", "ops"], "ops@file"),
    (["GET", "http://a.example/ops"], None),
    (["GET", "http://a.example/near"], None)])
def test_the_router_is_the_one_that_a_worker_would_take(config: Path, words: list[str], router: str | None) -> None:
    assert taken(config, *words) == router
    assert explain(config, *words).exit_code == (0 if router else 1)


def test_the_answer_tells_rule_priority_place_service_and_endpoints(config: Path) -> None:
    told = explain(config, "POST", "http://orders.shop.mesh/api/1").stdout
    assert "as the files are now: no instance runs on this runtime directory" in told
    assert "router   api@file  Host(`orders.shop.mesh`) && PathPrefix(`/api`) && Method(`POST`)" in told
    assert f"priority 64, defined at {config.parent}/conf.d/shop.yml:7:5" in told
    for line in ("split@file  shared by weight", "orders.shop@mesh (weight 3)  wrr, 2 endpoints",
                 "http://10.0.3.18:8080  weight 2", "none@file (weight 1)  wrr, no endpoint: the answer is 503"):
        assert line in told
    assert "matched, but api@file has the higher priority 64" in told
    assert "at other entrypoints alone: ops@file (ops)" in told


def test_a_404_tells_the_nearest_misses_first(config: Path) -> None:
    told = explain(config, "GET", "http://order.shop.mesh/").stdout
    assert "no router takes it: the answer is 404" in told
    nearest = told.partition("nearest misses first:\n")[2].splitlines()
    assert nearest[:2] == ["  orders.shop@mesh  Host(`orders.shop.mesh`)",
                           '      Host is "order.shop.mesh", the rule wants "orders.shop.mesh"']
    told = explain(config, "GET", "http://orders.shop.mes/api").stdout
    assert told.index("orders.shop@mesh") < told.index("tenant@file")


def test_a_router_that_does_not_serve_is_told_with_its_error(config: Path) -> None:
    told = explain(config, "GET", "http://a.example/").stdout
    assert "routers that do not serve:" in told
    assert 'http.routers.broken: rule: there is no matcher Hots (did you mean "Host"?)' in told


def test_many_routers_are_cut_short_unless_all_are_asked_for(config: Path) -> None:
    lines = [f'    r{n}: {{rule: "Host(`h{n}.example`)", service: none}}' for n in range(30)]
    (config.parent / "conf.d" / "many.yml").write_text("http:\n  routers:\n" + "\n".join(lines) + "\n")
    short, whole = (explain(config, "GET", "http://b.example/", *words).stdout for words in ((), ("--all",)))
    assert "more (--all)" in short
    assert short.count("Host(`h") == 10
    assert whole.count("Host(`h") == 30
    assert len(json.loads(explain(config, "--json", "GET", "http://b.example/").stdout)["routers"]) > 30


@pytest.mark.parametrize("words, said", [
    (["GET", "orders.shop.mesh/"], 'did you mean "http://orders.shop.mesh/"?'),
    (["GET", "https://orders.shop.mesh/"], "https is not supported yet"),
    (["GET", "http://orders.shop.mesh/a b"], "write it as %20"),
    (["GET", "http://orders.shop.mesh/%zz"], "refused with 400"),
    (["GET", "http://orders.shop.mesh/", "-H", "X Y: a"], "refused with 400"),
    (["TRACE", "http://orders.shop.mesh/"], "refused with 405"),
    (["GET", "http://orders.shop.mesh/", "--from", "somebody"], "is not an address"),
    (["GET", "http://orders.shop.mesh/", "--entrypoint", "wbe"], 'did you mean "web"?')])
def test_a_question_that_cannot_be_put_is_told_in_one_line(config: Path, words: list[str], said: str) -> None:
    result = explain(config, *words)
    assert result.exit_code == 1
    assert said in result.stdout
    assert result.stdout.count("\n") == 1


def test_a_header_without_a_colon_is_wrong_usage(config: Path) -> None:
    assert explain(config, "GET", "/", "-H", "Host").exit_code == 2
