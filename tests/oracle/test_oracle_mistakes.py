"""One mistake in one of two files, at a start: what it takes down there, and what serves here."""
from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from proxies import Traefik, head, send
from recorder import Recorder
from running import Mesh, until

REJECTED = {
    "unknown-field": "http: {routers: {bad: {rule: Host(`bad.example`), service: good, colour: red}}}",
    "wrong-type": "http: {routers: {bad: {rule: Host(`bad.example`), service: good, priority: high}}}",
    "broken-yaml": "http:\n  routers:\n    bad: {rule: [\n",
    "a-key-twice": "http:\n  routers:\n    bad: {rule: Path(`/a`), service: good}\n    bad: {rule: Path(`/b`)}\n",
    "nothing-behind-a-key": "http:\n  routers:\n",
    "yes-for-true": "http: {services: {bad: {loadBalancer: {passHostHeader: yes, servers: []}}}}",
}


def good(url: str) -> str:
    """The file without a mistake."""
    return json.dumps({"http": {"routers": {"good": {"rule": "Host(`good.example`)", "service": "good"}},
                                "services": {"good": {"loadBalancer": {"servers": [{"url": url}]}}}}})


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Recorder]:
    """Who answers behind the good file."""
    with Recorder(["good"]) as recorder:
        yield recorder


@pytest.mark.parametrize("mistake", REJECTED)
def test_traefik_rejects_all_files_for_a_mistake_in_one(
        program: str, endpoint: Recorder, tmp_path: Path, mistake: str) -> None:
    conf = tmp_path / "conf"
    conf.mkdir()
    (conf / "good.yml").write_text(good(endpoint.url("good")))
    (conf / "later.yml").write_text(REJECTED[mistake])
    with Traefik(tmp_path / "theirs", conf, {"web": {}}) as theirs:
        until(lambda: "collecting file configs" in theirs.log, "it says so")
        assert send(theirs.ports["web"], head("GET", "/", "good.example")).status == 404


def test_here_the_good_file_serves_beside_every_mistake(endpoint: Recorder, tmp_path: Path) -> None:
    files = {"good.yml": good(endpoint.url("good")), **{f"{name}.yml": text for name, text in REJECTED.items()}}
    with Mesh(tmp_path, files, {"host": {"workers": 1}}) as ours:
        assert send(ours.port, head("GET", "/", "good.example")).by == "good"
        told = {Path(problem["file"]).stem for problem in ours.status()["problems"]}
        assert told == set(REJECTED)


@pytest.mark.parametrize("text", ["", "http: {routers: {good: {rule: Host(`other.example`), service: good}}}"],
                         ids=["an-empty-file", "a-name-that-another-file-has"])
def test_both_serve_the_good_file_beside_what_harms_nobody(
        program: str, endpoint: Recorder, tmp_path: Path, text: str) -> None:
    files = {"good.yml": good(endpoint.url("good")), "later.yml": text}
    with (Mesh(tmp_path / "ours", files, {"host": {"workers": 1}}) as ours,
          Traefik(tmp_path / "theirs", ours.conf, {"web": {}}) as theirs):
        until(lambda: theirs.ask("/api/overview")["http"]["routers"]["total"] > 2, "Traefik's files")
        for port in (theirs.ports["web"], ours.port):
            assert send(port, head("GET", "/", "good.example")).by == "good"
            assert send(port, head("GET", "/", "other.example")).status == 404
