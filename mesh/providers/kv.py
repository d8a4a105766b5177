"""What a store of keys says, in Traefik's KV layout: from pairs to the same tree that a YAML file gives.

    traefik/http/routers/web/rule                          Host(`a.example`)
    traefik/http/routers/web/service                       shop
    traefik/http/services/shop/loadbalancer/servers/0/url  http://10.0.3.17:8080

Owns the layout (docs.traefik.io, other-providers/kv): names of fields in any case, lists as numbers or with commas,
"true" for a mapping without options, every value as text.  `mesh.services` stands there in the same way.  What a value
means and how objects are kept apart is file.py's to say, when to believe what a store says kv_quiet.py's.  Every place
names its key as it is written in the store.  Floor 2.

Keys of other programs below the root key are left alone, as Traefik leaves them; one that looks like a slip of the pen
is told.  Where Traefik sorts numbers as text (10 before 2) and refuses everything for one wrong value, we do not.
"""
from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mesh.errors import Place, Problem, did_you_mean
from mesh.providers.file import ALL_SECTIONS, OWN_SECTIONS, FileSaid, read_said
from mesh.providers.shape import Anything, Either, Kind, ListOf, MapOf, Read, Shape
from mesh.providers.shapes_later import SECTIONS as LATER_SECTIONS
from mesh.providers.tree import Item, Node, Scalar, Sequence
from mesh.providers.tree import Mapping as Branch

PROVIDER = "redis"
ROOT_KEY = "traefik"

_DIGITS = re.compile(r"[0-9]{1,9}\Z")
_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")
_ROOTS = tuple(dict.fromkeys(path.split(".")[0] for path in ALL_SECTIONS))
_KINDS: dict[str, Kind] = {**{path: MapOf(shape) for path, (_, shape) in OWN_SECTIONS.items()}, **LATER_SECTIONS}

NO_TEXT = None          # the value of a key that holds a hash, a list or bytes that are no text


def source_of(root_key: str) -> str:
    """The name of this store among the files: in places, in `hostmesh status`, in metrics."""
    return f"{PROVIDER}:{root_key}"


def is_source(name: str) -> bool:
    """Whether a name is that of a store and not of a file; paths of files are absolute."""
    return name.startswith(f"{PROVIDER}:")


def unit_of(key: str) -> str:
    """What a key (below the root key) belongs to: an object such as http/routers/web; objects are believed whole."""
    return "/".join(key.split("/", 3)[:3]).lower()


@dataclass(slots=True)
class _Twig:
    """A part of a key with all that stands behind it; `path` is its key in the spelling that came first."""

    name: str
    path: str
    value: str | None = ""
    is_said: bool = False               # it has a value of its own
    twigs: dict[str, _Twig] = field(default_factory=dict)
    again: _Twig | None = None          # the same in another spelling, with another value


def read_pairs(pairs: Mapping[str, str | None], root_key: str, read: Read, holds: Iterable[str] = ()) -> FileSaid:
    """Everything that these pairs say; keys are below the root key.  Never raises for what stands in them.

    `holds` are the beginnings of dotted paths about which the pairs say nothing for now.
    """
    source = source_of(root_key)
    root = _grow(pairs)
    paths: list[str] = []

    def place_of(file: str, line: int, column: int) -> Place:
        return Place(file, key=paths[line])

    tree = _Fitting(paths).root(root)
    said = read_said(tree, source, read, PROVIDER, place_of)
    # Keys are taken away one by one and on purpose: nothing is held that is not said to be.
    said.holds = list(holds)
    said.problems += _slips(root, source)
    said.problems += [Problem(Place(source, key=key), "", "a hash, a list or bytes that are no text; wanted text",
                              "warning") for key, value in pairs.items() if value is NO_TEXT]
    return said


def _grow(pairs: Mapping[str, str | None]) -> _Twig:
    root = _Twig("", "")
    for key in sorted(pairs):
        twig = root
        parts = key.rstrip("/").split("/")
        for index, part in enumerate(parts):
            found = twig.twigs.get(part.lower())
            if found is None:
                found = twig.twigs[part.lower()] = _Twig(part, "/".join(parts[:index + 1]))
            twig = found
        if twig.is_said and twig.value != pairs[key]:
            twig.again = _Twig(parts[-1], key, pairs[key], True)
        elif not twig.is_said:
            twig.value, twig.is_said = pairs[key], True
            twig.path = key.rstrip("/")
    return root


def _slips(root: _Twig, source: str) -> list[Problem]:
    """Roots that are ours but for a slip of the pen."""
    problems = []
    for name, twig in root.twigs.items():
        if name not in _ROOTS and (hint := did_you_mean(name, _ROOTS)):
            problems.append(Problem(Place(source, key=twig.path), "", f"{twig.name} is not a known section", "warning",
                                    "unknown-field", hint))
    return problems


class _Fitting:
    """Makes nodes of twigs by what is wanted there; a node's line is the number of its path."""

    def __init__(self, paths: list[str]) -> None:
        self.paths = paths

    def at(self, twig: _Twig) -> int:
        self.paths.append(twig.path)
        return len(self.paths) - 1

    def root(self, root: _Twig) -> Branch:
        items: dict[str, Item] = {}
        for name in _ROOTS:
            twig = root.twigs.get(name)
            if twig is None or not twig.twigs:          # a plain key of this name is no section
                continue
            line = self.at(twig)
            known = {path.split(".")[1].lower(): path for path in ALL_SECTIONS if path.startswith(f"{name}.")}
            sections: dict[str, Item] = {}
            for lower, each in twig.twigs.items():
                path = known.get(lower, "")
                node = self.fit(_KINDS[path] if path else Anything(), each)
                if node is not None:
                    said = path.split(".")[1] if path else each.name
                    sections[said] = Item(said, self.at(each), 0, node)
            items[name] = Item(name, line, 0, Branch(sections, line, 0))
        return Branch(items, self.at(root), 0)

    def fit(self, kind: Kind, twig: _Twig) -> Node | None:
        """The node of a twig where this kind is wanted; None where it says that nothing is said."""
        if twig.twigs:
            return self.many(kind, twig)
        line, text = self.at(twig), twig.value
        if text is None:
            return Sequence([], line, 0) if not isinstance(kind, ListOf) else Branch({}, line, 0)
        if isinstance(kind, Shape) and text in _TRUE:
            return Branch({}, line, 0)
        if isinstance(kind, Shape) and text in _FALSE:
            return None
        if isinstance(kind, ListOf) and (kind.lone or isinstance(kind.kind, Either)):
            parts = [part.strip() for part in text.split(",")] if text else []
            return Sequence([Scalar(part, line, 0, part, -1) for part in parts], line, 0) if parts else None
        return Scalar(text, line, 0, text, -1)

    def many(self, kind: Kind, twig: _Twig) -> Node:
        line = self.at(twig)
        children = twig.twigs.values()
        is_list = all(_DIGITS.match(each.name) for each in children)
        if is_list and not isinstance(kind, (Shape, MapOf)):
            inner = kind.kind if isinstance(kind, ListOf) else Anything()
            nodes = [self.fit(inner, each) for each in sorted(children, key=lambda each: int(each.name))]
            return Sequence([node for node in nodes if node is not None], line, 0)
        items: dict[str, Item] = {}
        twice: list[Item] = []
        for each in children:
            name, inner = self.wanted(kind, each)
            node = self.fit(inner, each)
            if node is not None:
                items[name] = Item(name, self.at(each), 0, node)
                if each.again is not None:
                    twice.append(Item(name, self.at(each.again), 0, node))
        return Branch(items, line, 0, tuple(twice))

    def wanted(self, kind: Kind, twig: _Twig) -> tuple[str, Kind]:
        """The name of a twig as the vocabulary spells it, and what is wanted there."""
        if isinstance(kind, Either):
            kind = kind.long
        if isinstance(kind, Shape) and (known := kind.lower.get(twig.name.lower())) is not None:
            return known.name, known.kind
        return twig.name, kind.kind if isinstance(kind, MapOf) else Anything()
