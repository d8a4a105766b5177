"""A file that says every field of Traefik's dynamic vocabulary: read whole, and one line for what is not built."""
from __future__ import annotations

import json
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from documents import fields
from jsonschema import Draft202012Validator

from mesh.errors import Problem
from mesh.model import Cookie, HealthCheck, LoadBalancer, Passive, Server, Weighted
from mesh.providers.catalog import Catalog, Settled
from mesh.providers.file import OWN_SECTIONS
from mesh.providers.schema import schema
from mesh.providers.shapes_later import SECTIONS as LATER_SECTIONS

CORPUS = Path(__file__).resolve().parents[1] / "corpus" / "traefik"
FORMS = ["dynamic.yml", "dynamic.toml"]
# What serves though something that it asks for has no effect; everything else that is not *-plain does not serve.
SERVE_WITH_A_WARNING = {"http.routers.shop-observed", "http.services.shop-probed", "http.services.shares-sticky",
                        "http.serversTransports.transport-two"}


def settled(name: str) -> Settled:
    catalog = Catalog(no_disk)
    catalog.said(str(CORPUS / name), (CORPUS / name).read_bytes())
    return catalog.settle({"web"})


def no_disk(path: str) -> bytes:
    raise AssertionError(f"{path} is read")


def document(name: str) -> dict[str, Any]:
    text = (CORPUS / name).read_text()
    return tomllib.loads(text) if name.endswith("toml") else yaml.safe_load(text)


def objects() -> set[str]:
    """Every object of the specimen, by its path."""
    found = set()
    for root, sections in document("dynamic.yml").items():
        for section, inside in sections.items():
            names = inside if isinstance(inside, dict) else [f"[{index}]" for index in range(len(inside))]
            found |= {f"{root}.{section}.{name}".replace(".[", "[") for name in names}
    return found


@pytest.mark.parametrize("form", FORMS)
def test_every_object_that_asks_for_what_is_not_built_has_exactly_one_line(form: str) -> None:
    problems = settled(form).problems
    assert Counter(problem.object for problem in problems) == Counter(
        name for name in objects() if not name.endswith("-plain"))
    assert all(_is_clear(problem) for problem in problems), [str(each) for each in problems if not _is_clear(each)]
    assert {problem.object for problem in problems if problem.severity == "warning"} == SERVE_WITH_A_WARNING


def _is_clear(problem: Problem) -> bool:
    return (problem.code == "unsupported" and "not supported yet" in problem.message
            and problem.place.line > 0 and problem.place.column > 0)


@pytest.mark.parametrize("form", FORMS)
def test_what_is_built_serves(form: str) -> None:
    dynamic = settled(form).dynamic
    assert set(dynamic.routers) == {"shop-plain@file", "shop-observed@file"}
    assert set(dynamic.services) == {f"{name}@file" for name in (
        "shop-plain", "judged-plain", "shares-plain", "shop-probed", "shares-sticky")}
    assert dynamic.services["judged-plain@file"].how == LoadBalancer(
        (Server("http://10.1.0.5:8080"),), strategy="leasttime", slow_start=20.0, locality="local", panic_threshold=10,
        health_check=HealthCheck(mode="tcp", healthy_threshold=1, unhealthy_threshold=2, starts="down"),
        passive=Passive(ratio=50, min_requests=10, statuses=False, ejection=5.0, max_ejection=60.0, max_ejected=30))
    probed = dynamic.services["shop-probed@file"].how
    assert isinstance(probed, LoadBalancer)
    assert probed.sticky == Cookie("seat", True, True, "lax", 3600, "/", "shop.example")
    assert probed.health_check == HealthCheck(
        "http", "/health", "http", "probe.example", 8081, "HEAD", 204, 10.0, 2.0, 1.5, False,
        (("X-Probe", "hostmesh"),))
    assert probed.passive == Passive(attempts=4, window=20.0, statuses=True)
    shares = dynamic.services["shares-sticky@file"].how
    assert isinstance(shares, Weighted)
    assert shares.sticky == Cookie("half", False, True, "none", 60, "/", "shop.example")
    assert set(dynamic.transports) == {"transport-plain@file", "transport-two@file"}
    assert not dynamic.middlewares


def test_both_forms_say_the_same() -> None:
    assert json.dumps(document("dynamic.yml"), sort_keys=True) == json.dumps(document("dynamic.toml"), sort_keys=True)
    # the order of what one line names is that of the file
    lines = [{(each.object, *sorted(each.message.replace(",", "").split())) for each in settled(form).problems}
             for form in FORMS]
    assert lines[0] == lines[1]


def test_the_schema_takes_the_specimen() -> None:
    assert not list(Draft202012Validator(schema("dynamic")).iter_errors(document("dynamic.yml")))


def test_the_specimen_says_every_field_of_the_tables() -> None:
    said = set()

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            said.update(node)
        for each in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            walk(each)

    walk(document("dynamic.yml"))
    sections = (*(path for path in OWN_SECTIONS if path != "mesh.services"), *LATER_SECTIONS)
    known = {field.name for path, field in fields() if path.startswith(sections)}
    assert known - said == set()
