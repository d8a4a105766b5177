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
    from_json,
    to_json,
)

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


@given(dynamics)
def test_a_model_comes_back_from_json_as_it_went(dynamic: Dynamic) -> None:
    assert from_json(to_json(dynamic)) == dynamic


def test_a_read_only_mapping_is_written_like_a_dict() -> None:
    routers = {"web@file": Router("web@file", "Host(`a`)", "web@file")}
    assert from_json(to_json(Dynamic(routers=MappingProxyType(routers)))).routers == routers


@pytest.mark.parametrize("data", [b"", b"nonsense", b"[]", b"{}", b'{"routers": [], "services": []}',
                                  to_json(Dynamic()).replace(b'"priority"', b'"urgency"'),
                                  to_json(Dynamic()).replace(b'"routers":[', b'"routers":[["a",[1]]')])
def test_bytes_that_are_no_model_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        from_json(data)
