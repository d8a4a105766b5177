"""Settling after an edit: the outcome of settling everything anew, for the price of the edit."""
from __future__ import annotations

import json
from typing import Any

import pytest

pytest.importorskip("mesh.rules.language")

from hypothesis import example, given, settings
from hypothesis import strategies as st

from mesh.model_json import Writer, to_json
from mesh.providers import settling
from mesh.providers.catalog import Catalog, Settled

DIRECTORY = "/etc/hostmesh/conf.d"
FILES = [f"{DIRECTORY}/{name}.yml" for name in "abcd"]
News = tuple[str, bytes | str | None]


def no_disk(path: str) -> bytes:
    raise FileNotFoundError(2, "No such file or directory", path)


def routers() -> st.SearchStrategy[dict[str, Any]]:
    names = st.sampled_from(["a", "b", "c", "d", "orders.shop@mesh", "api@internal"])
    return st.fixed_dictionaries(
        {"rule": st.sampled_from(["Host(`a.example`)", "Path(`/b`)", "Hots(`c.example`)"]), "service": names},
        optional={"middlewares": st.lists(st.sampled_from(["one", "other", "none"]), max_size=2),
                  "entryPoints": st.lists(st.sampled_from(["web", "wbe", "admin"]), min_size=1, max_size=2),
                  "priority": st.sampled_from([1, "x"])})


def services() -> st.SearchStrategy[dict[str, Any]]:
    children = st.lists(st.fixed_dictionaries({"name": st.sampled_from("abcd"), "weight": st.integers(0, 2)}),
                        min_size=1, max_size=2)
    balancer = st.fixed_dictionaries(
        {"servers": st.lists(st.fixed_dictionaries({"url": st.sampled_from(["http://10.0.0.1:80", "http://", "x"])}),
                             max_size=2)}, optional={"serversTransport": st.sampled_from(["slow", "slwo"])})
    return st.one_of(balancer.map(lambda each: {"loadBalancer": each}),
                     children.map(lambda each: {"weighted": {"services": each}}))


def documents() -> st.SearchStrategy[dict[str, Any]]:
    def section(names: str, objects: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        return st.dictionaries(st.sampled_from(names.split()), objects, max_size=4)

    middlewares = st.sampled_from([{"addPrefix": {"prefix": "/x"}}, {"basicAuth": {"users": ["a"]}}, {"none": {}}])
    http = st.fixed_dictionaries({}, optional={
        "routers": section("r s t", routers()), "services": section("a b c d", services()),
        "middlewares": section("one other", middlewares),
        "serversTransports": section("slow fast", st.sampled_from([{}, {"maxIdleConnsPerHost": 1}, {"x": 1}]))})
    mesh = st.fixed_dictionaries({}, optional={"services": section("orders.shop", st.sampled_from(
        [{"endpoints": ["http://10.0.0.2:80"]}, {"endpoints": 1}, {}]))})
    return st.fixed_dictionaries({}, optional={"http": http, "mesh": mesh})


def news() -> st.SearchStrategy[News]:
    texts = documents().map(lambda each: json.dumps(each).encode())
    moved = texts.map(lambda text: b"# a line\n" + text)
    broken = st.sampled_from([b"http: [", b"", b"http: {routers: }", b'{"htpp": {}}', b'{"http": {"routers": []}}'])
    return st.one_of(st.tuples(st.sampled_from(FILES), st.one_of(texts, texts, moved, broken, st.none(),
                                                                 st.just("permission denied"))),
                     st.tuples(st.just(DIRECTORY), st.sampled_from(["no such file or directory", None])))


def everything(settled: Settled) -> list[Any]:
    """All that there is to compare, the order of it included: the boards have it."""
    return [to_json(settled.dynamic), settled.problems, list(settled.status.items()), list(settled.why.items())]


def weighted(**children: str) -> bytes:
    return json.dumps({"http": {"services": {
        name: {"weighted": {"services": [{"name": child} for child in of]}} if of else {"loadBalancer": {}}
        for name, of in children.items()}}}).encode()


@settings(max_examples=500)
@given(st.lists(st.lists(news(), min_size=1, max_size=2), min_size=1, max_size=8))
@example([[(FILES[0], weighted(a="b", b="c")), (FILES[1], weighted(c="d", d=""))], [(FILES[1], weighted(c="a", d=""))],
          [(FILES[1], None)], [(FILES[1], weighted(c="d", d=""))]])
@example([[(FILES[1], weighted(a="b", b=""))], [(FILES[0], weighted(a="c"))], [(FILES[2], weighted(c="a"))],
          [(FILES[0], b"http: [")], [(FILES[0], None)]])
def test_an_edit_settles_to_what_settling_everything_gives(edits: list[list[News]]) -> None:
    catalog, writer = Catalog(no_disk), Writer()
    for each in edits:
        for file, said in each:
            catalog.said(file, said)
        anew = Catalog.from_json(catalog.to_json(), no_disk)
        now, whole = catalog.settle({"web", "admin"}), anew.settle({"web", "admin"})
        assert everything(now) == everything(whole)
        assert catalog.to_json() == anew.to_json(), "and remembers the same"
        assert writer.write(now.dynamic) == to_json(whole.dynamic)


def many(count: int, but: str = "") -> bytes:
    return json.dumps({"http": {
        "routers": {f"r{n}": {"rule": f"Host(`h{n}`)", "service": f"s{n}{but}"} for n in range(count)},
        "services": {f"s{n}": {"loadBalancer": {}} for n in range(count)}}}).encode()


def test_what_an_edit_does_not_concern_is_not_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = Catalog(no_disk)
    catalog.said(FILES[0], many(50))
    catalog.said(FILES[1], weighted(a="b", b="", other=""))
    catalog.settle({"web"})
    looked: list[str] = []
    name_of = settling.name_of
    monkeypatch.setattr(settling, "name_of", lambda key, said: looked.append(key) or name_of(key, said))
    catalog.said(FILES[1], weighted(a="b", b="", other="b"))
    catalog.settle({"web"})
    assert sorted(looked) == ["services/b@file", "services/other@file"]


def test_other_entrypoints_settle_everything_anew() -> None:
    catalog = Catalog(no_disk)
    catalog.said(FILES[0], many(3).replace(b'"service": "s0"', b'"service": "s0", "entryPoints": ["web"]'))
    assert "r0@file" in catalog.settle({"web"}).dynamic.routers
    assert "r0@file" not in catalog.settle({"admin"}).dynamic.routers


def test_an_error_inside_leaves_nothing_half_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = Catalog(no_disk)
    catalog.said(FILES[0], many(3))
    catalog.settle({"web"})
    catalog.said(FILES[0], many(4))
    with monkeypatch.context() as patched:
        patched.setattr(settling, "tell", None)
        with pytest.raises(TypeError):
            catalog.settle({"web"})
    assert len(catalog.settle({"web"}).dynamic.routers) == 4


def test_among_many_names_few_are_compared_for_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settling, "WORDS_COMPARED", 100)
    catalog = Catalog(no_disk)
    catalog.said(FILES[0], many(50, but="x"))
    hints = [problem.hint for problem in catalog.settle({"web"}).problems]
    assert len(hints) == 50
    assert sum(map(bool, hints)) == 2, "two names of fifty, each with fifty others"


def test_a_name_that_comes_is_a_hint_for_what_failed_before() -> None:
    catalog = Catalog(no_disk)
    catalog.said(FILES[0], b'{"http": {"routers": {"web": {"rule": "Host(`a`)", "service": "shop"}}}}')
    assert "did you mean" not in str(catalog.settle({"web"}).problems[0])
    catalog.said(FILES[1], b'{"http": {"services": {"shopp": {"loadBalancer": {}}}}}')
    assert 'did you mean "shopp"?' in str(catalog.settle({"web"}).problems[0])
