"""Documents made from the shape tables: for every kind of value what it takes, and for a whole table whole files.

A value is what a JSON reader gives; JSON is YAML, and `toml` writes the same value as TOML.
"""
from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

from mesh.providers import kinds, kinds_health, kinds_redis
from mesh.providers.file import ALL_SECTIONS, OWN_SECTIONS
from mesh.providers.from_yaml import read_yaml
from mesh.providers.kind_rule import Rule
from mesh.providers.shape import Anything, Either, Field, Kind, ListOf, MapOf, Reading, Shape
from mesh.providers.shapes_later import SECTIONS as LATER_SECTIONS
from mesh.providers.shapes_static import STATIC

# What says that a value has the right form: what is not built, or refers to what is not there, has it.
NOT_ABOUT_FORM = {"unsupported", "reference", "unreadable", "spelling"}

RULES = ["Host(`a.example`)", "PathPrefix(`/api`) && !Method(`DELETE`)", 'HostRegexp("^[a-z]+\\\\.example$")']
URLS = ["http://10.0.0.1:8080", "https://a.example", "http://[fd00::1]:80/base/", "h2c://10.0.0.1:80"]
PEM = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True)
MESH_NAMES = st.from_regex(r"[a-z0-9]{1,5}\.[a-z0-9]{1,5}", fullmatch=True)


def values(kind: Kind) -> st.SearchStrategy[Any]:
    """Values that this kind takes."""
    if isinstance(kind, Shape):
        return _mapping(kind)
    if isinstance(kind, Either):
        return st.one_of(values(kind.short), values(kind.long))
    if isinstance(kind, ListOf):
        many = st.lists(values(kind.kind), max_size=3)
        return st.one_of(many, values(kind.kind).filter(lambda one: "," not in str(one))) if kind.lone else many
    if isinstance(kind, MapOf):
        return st.dictionaries(NAMES, values(kind.kind), max_size=3)
    if isinstance(kind, kinds.Text):
        return st.from_regex(kind.pattern, alphabet=_PRINTABLE) if kind.pattern else _TEXTS
    if isinstance(kind, kinds.Whole):
        return st.integers(kind.low, kind.high)
    if isinstance(kind, kinds.Size):
        return st.one_of(st.integers(kind.low, kind.high), st.sampled_from(["64KiB", "1 MB", "70000"]))
    if isinstance(kind, kinds.Choice):
        return st.sampled_from([*kind.built, *kind.warns, *kind.refused])
    if isinstance(kind, kinds.Duration) and kind.low:
        return st.sampled_from([kind.low, 5, "5s", "1m30s", "7"])
    if isinstance(kind, kinds_health.Percent):
        return st.sampled_from([0, 30, "50%", "7", *([0.5, "0.25", "1%"] if kind.ratio else [1, 100])])
    return st.sampled_from(SAMPLES[type(kind)])


_PRINTABLE = st.characters(min_codepoint=33, max_codepoint=126)
_TEXTS = st.one_of(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12), st.integers(0, 99))
SAMPLES: dict[type[Kind], list[Any]] = {
    kinds.Flag: [True, False, "true", "F", 1, 0],
    kinds.Number: [1, 2.5, "7", "1.5", -3],
    kinds.Duration: [0, 5, 1.5, "5s", "1m30s", "100ms", ".5h", "7", "3\u00b5s"],
    kinds.Network: ["10.0.0.0/8", "127.0.0.1", "fd00::/8", "10.0.0.0/255.0.0.0", "::1"],
    kinds.Url: URLS,
    kinds.Listen: [":80", "127.0.0.1:8080", "[::1]:443", "localhost:0", ":53/udp"],
    kinds.FilePath: ["conf.d", "/etc/hostmesh/conf.d", "../a b.yml"],
    kinds.Pem: [PEM, "roots.pem"],
    kinds_health.Percent: [50, "50%"],
    kinds_redis.Secret: ["a: secret", "pa$$ w", 12345],
    kinds_redis.RedisAddress: ["10.0.0.5:6379", "redis.example", "[fd00::5]:6380", "/run/redis.sock", "unix:///r.sock"],
    kinds_redis.RedisUrl: ["redis://10.0.0.5:6379/0", "rediss://a:b%40c@r.example", "unix://:pw@/run/redis.sock?db=1"],
    kinds_redis.TlsFile: ["ca.pem"],
    Rule: RULES,
    Anything: [{}, {"a": [1, {"b": "c"}]}, "x", True],
}


@st.composite
def _mapping(draw: st.DrawFn, shape: Shape) -> dict[str, Any]:
    names = {name for name in shape.fields if draw(st.integers(0, 3)) == 0} - set(shape.exactly_one)
    names |= {field.name for field in shape.fields.values() if field.required}
    if shape.exactly_one:
        names.add(draw(st.sampled_from(shape.exactly_one)))
    return {name: draw(values(field.kind)) for name, field in shape.fields.items() if name in names}


@st.composite
def dynamic_documents(draw: st.DrawFn) -> dict[str, Any]:
    """Whole dynamic files, with some objects in some sections."""
    document: dict[str, Any] = {}
    for path in draw(st.lists(st.sampled_from(ALL_SECTIONS), max_size=4, unique=True)):
        root, _, name = path.partition(".")
        if path in OWN_SECTIONS:
            names = MESH_NAMES if path == "mesh.services" else NAMES
            section = draw(st.dictionaries(names, values(OWN_SECTIONS[path][1]), max_size=3))
        else:
            section = draw(values(LATER_SECTIONS[path]))
        document.setdefault(root, {})[name] = section
    return document


def static_documents() -> st.SearchStrategy[dict[str, Any]]:
    """Whole static files."""
    return values(STATIC)


def strange_documents() -> st.SearchStrategy[Any]:
    """Anything at all under keys that mean something."""
    words = sorted({name for path, _ in fields() for name in path.split(".")})
    leaves = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5), st.sampled_from([*RULES, *URLS]))
    return st.recursive(leaves, lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(words), inner, max_size=4)), max_leaves=12)


def example(kind: Kind) -> Any:
    """One value that this kind takes, the simplest."""
    if isinstance(kind, Shape):
        one = kind.exactly_one[:1]
        return {name: example(field.kind) for name, field in kind.fields.items() if field.required or name in one}
    if isinstance(kind, Either):
        return example(kind.short)
    if isinstance(kind, (ListOf, MapOf)):
        return [example(kind.kind)] if isinstance(kind, ListOf) else {"a": example(kind.kind)}
    if isinstance(kind, kinds.Text):
        return "a" if re.search(kind.pattern, "a") else "/a"
    if isinstance(kind, (kinds.Whole, kinds.Size)):
        return max(kind.low, 0)
    if isinstance(kind, kinds.Duration):
        return kind.low or 0
    return kind.built[0] if isinstance(kind, kinds.Choice) else SAMPLES[type(kind)][0]


def fields() -> Iterator[tuple[str, Field]]:
    """Every field of every table, by a path that says where it stands."""
    tables: list[tuple[str, Kind]] = [("static", STATIC), *((path, shape) for path, (_, shape) in OWN_SECTIONS.items()),
                                      *LATER_SECTIONS.items()]
    seen: set[int] = set()
    while tables:
        path, kind = tables.pop(0)
        if isinstance(kind, (ListOf, MapOf)):
            tables.append((path, kind.kind))
        elif isinstance(kind, Either):
            tables.append((path, kind.long))
        elif isinstance(kind, Shape) and id(kind) not in seen:
            seen.add(id(kind))
            for field in kind.fields.values():
                yield f"{path}.{field.name}", field
                tables.append((f"{path}.{field.name}", field.kind))


def problems_of_form(kind: Kind, value: Any) -> list[str]:
    """What the loader finds wrong with the form of one value."""
    node = read_yaml(json.dumps(value), "/f.yml")
    reading = Reading("/f.yml", "", _no_disk)
    if node is None:        # a document that is null says nothing, which is not what is asked here
        node = next(iter(read_yaml('{"k": null}', "/f.yml").items.values())).node      # type: ignore[union-attr]
    kind.read(node, "here", reading)
    return [problem.message for problem in reading.problems
            if problem.severity == "error" and problem.code not in NOT_ABOUT_FORM]


def _no_disk(path: str) -> bytes:
    raise FileNotFoundError(2, "No such file or directory", path)


def toml(value: Any) -> str:
    """A mapping as a TOML document of inline tables; values that TOML has not (null) must not be in it."""
    return "".join(f"{json.dumps(key)} = {_inline(each)}\n" for key, each in value.items())


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_inline(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    return json.dumps(value)
