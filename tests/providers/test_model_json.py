"""The model's passage through JSON: nothing is lost on the plan board."""
from __future__ import annotations

from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import Place
from mesh.model import (
    Dynamic,
    LoadBalancer,
    Middleware,
    Router,
    Server,
    Service,
    Transport,
    Weighted,
)
from mesh.model_json import Pieces, from_json, read_json, to_json

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
counts = st.integers(0, 2**31)
seconds = st.floats(0, 1e6, allow_nan=False)
texts = st.lists(words, max_size=3).map(tuple)
places = st.builds(Place, words, counts, counts)
options: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-2**53, 2**53) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3), max_leaves=6)
servers = st.builds(Server, words, counts, st.booleans())
balancers = st.builds(LoadBalancer, servers=st.lists(servers, max_size=3).map(tuple), pass_host_header=st.booleans(),
                      strategy=words, transport=words)
weighted = st.builds(Weighted, st.lists(st.tuples(words, counts), max_size=3).map(tuple))
routers = st.builds(Router, words, words, words, texts, texts, st.integers(-2**63, 2**63 - 1), places)
services = st.builds(Service, words, balancers | weighted, places)
middlewares = st.builds(Middleware, words, words, st.dictionaries(words, options, max_size=3), places)
transports = st.builds(Transport, words, words, st.booleans(), texts, counts, seconds, seconds, seconds, places)
dynamics = st.builds(Dynamic, *(st.dictionaries(words, each, max_size=2)
                                for each in (routers, services, middlewares, transports)))


WEB = Dynamic(routers={"web@file": Router("web@file", "Host(`a`)", "web@file")})


@given(dynamics)
def test_a_model_comes_back_from_json_as_it_went(dynamic: Dynamic) -> None:
    assert from_json(to_json(dynamic)) == dynamic


def test_a_read_only_mapping_is_written_like_a_dict() -> None:
    routers = {"web@file": Router("web@file", "Host(`a`)", "web@file")}
    assert from_json(to_json(Dynamic(routers=MappingProxyType(routers)))).routers == routers


@pytest.mark.parametrize("data", [b"", b"nonsense", b"[]", b"{}", b'{"routers": [], "services": []}',
                                  to_json(Dynamic()).replace(b'"priority"', b'"urgency"'),
                                  to_json(WEB).replace(b'["web@file","Host', b'["web@file",1,"Host'),
                                  to_json(WEB).rpartition(b"\n")[0], b"\n".join(to_json(WEB).split(b"\n")[::2])])
def test_bytes_that_are_no_model_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        from_json(data)


def read(data: bytes, before: Pieces) -> tuple[Dynamic, Pieces, int]:
    """The model, its pieces, and how many steps were taken."""
    steps, taken = read_json(data, before), 0
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return *end.value, taken
        taken += 1


def many(count: int) -> Dynamic:
    return Dynamic(routers={name: Router(name, f"Host(`{name}`)", name) for name in (f"r{n}" for n in range(count))})


def test_an_edit_among_thousands_is_decoded_alone_and_all_else_stays_the_same_object() -> None:
    first, pieces, all_steps = read(to_json(many(5000)), Pieces())
    routers = {name: each for name, each in many(5000).routers.items() if name != "r77"}
    routers["r4000"] = Router("r4000", "Host(`other`)", "r4000")
    edited, _, steps = read(to_json(Dynamic(routers=routers)), pieces)
    assert edited.routers == routers
    assert all_steps > 30
    assert steps <= all_steps / 5
    assert sum(each is first.routers[name] for name, each in edited.routers.items()) > 4000


def test_no_step_decodes_more_than_some_hundred_objects() -> None:
    assert max(line.count(b"Host") for line in to_json(many(5000)).split(b"\n")) <= 512
