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
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from mesh.errors import Place, Problem, did_you_mean
from mesh.providers.file import ALL_SECTIONS, OWN_SECTIONS, FileSaid, Said, read_said
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

_NAME_AT = 2                                # slashes in the shortest key that says something: http/routers/web
_LIST = "tls/certificates"                  # the one section that is a list, and so has no names
_FILES = "http/serverstransports/"          # what stands there may name files, which change by themselves

NO_TEXT = None          # the value of a key that holds a hash, a list or bytes that are no text


def source_of(root_key: str) -> str:
    """The name of this store among the files: in places, in `hostmesh status`, in metrics."""
    return f"{PROVIDER}:{root_key}"


def is_source(name: str) -> bool:
    """Whether a name is that of a store and not of a file; paths of files are absolute."""
    return name.startswith(f"{PROVIDER}:")


def unit_of(key: str) -> str:
    """What a key (below the root key) belongs to: an object such as http/routers/web; objects are believed whole."""
    unit = "/".join(key.split("/", 3)[:3]).lower()
    return _LIST if unit.startswith(f"{_LIST}/") else unit


def units_of(pairs: Mapping[str, str | None]) -> dict[str, dict[str, str | None]]:
    """The pairs by what they belong to."""
    units: dict[str, dict[str, str | None]] = {}
    for key, value in pairs.items():
        units.setdefault(unit_of(key), {})[key] = value
    return units


@dataclass(slots=True)
class _Twig:
    """A part of a key with all that stands behind it; `path` is its key in the spelling that came first."""

    name: str
    path: str
    value: str | None = ""
    is_said: bool = False               # it has a value of its own
    twigs: dict[str, _Twig] = field(default_factory=dict)
    again: _Twig | None = None          # the same in another spelling, with another value


class KvReader:
    """Reads what the pairs of one store say; an object whose pairs are as they were is not read again (200 us each).

    Never raises for what stands there.  `read` is for files that values name.
    """

    def __init__(self, root_key: str, read: Read) -> None:
        self._source, self._read_file = source_of(root_key), read
        self._kept: dict[str, tuple[dict[str, str | None], list[Said]]] = {}

    def read(self, pairs: Mapping[str, str | None], holds: Iterable[str] = ()) -> FileSaid:
        """Everything that these pairs say; keys are below the root key.

        `holds` are the beginnings of dotted paths about which the pairs say nothing for now.
        """
        units = units_of({key: value for key, value in pairs.items() if key.rstrip("/").count("/") >= _NAME_AT})
        fresh = {unit: said for unit, said in units.items() if unit not in self._kept or self._kept[unit][0] != said}
        read = self._read({key: value for said in fresh.values() for key, value in said.items()})
        objects: dict[str, list[Said]] = {}
        for each in read.objects:
            objects.setdefault(_unit_of_path(each.path), []).append(each)
        kept = {unit: self._kept[unit] for unit in units if unit not in fresh}
        every = {**{unit: said for unit, (_, said) in kept.items()}, **objects}
        # what makes no object has something else to tell, each time
        kept |= {unit: (fresh[unit], said) for unit, said in objects.items() if not unit.startswith(_FILES)}
        self._kept = kept
        problems = [*read.problems, *self._of_keys(pairs)]
        # Keys are taken away one by one and on purpose: nothing is held that is not said to be.
        return FileSaid([each for unit in sorted(every) for each in every[unit]], problems, list(holds))

    def _read(self, pairs: Mapping[str, str | None]) -> FileSaid:
        paths: list[str] = []

        def place_of(file: str, line: int, column: int) -> Place:
            return Place(file, key=paths[line])

        return read_said(_Fitting(paths).root(_grow(pairs)), self._source, self._read_file, PROVIDER, place_of)

    def _of_keys(self, pairs: Mapping[str, str | None]) -> Iterator[Problem]:
        """What is wrong with keys: roots that are ours but for a slip of the pen, values that are no text."""
        slips: dict[str, str] = {}
        for key, value in pairs.items():
            root = key.partition("/")[0]
            if root.lower() not in _ROOTS:
                slips.setdefault(root.lower(), root)
            elif value is NO_TEXT:
                yield Problem(Place(self._source, key=key), "", "a hash, a list or bytes that are no text; wanted text",
                              "warning")
            elif key.rstrip("/").count("/") < _NAME_AT:
                yield Problem(Place(self._source, key=key), "", "nothing is read from this key; wanted keys below it,"
                              " such as http/routers/NAME/rule", "warning")
        for root in slips.values():
            if hint := did_you_mean(root, _ROOTS):
                yield Problem(Place(self._source, key=root), "", f"{root} is not a known section", "warning",
                              "unknown-field", hint)


def read_pairs(pairs: Mapping[str, str | None], root_key: str, read: Read, holds: Iterable[str] = ()) -> FileSaid:
    """The same, once."""
    return KvReader(root_key, read).read(pairs, holds)


def _unit_of_path(path: str) -> str:
    """The unit that an object was made of: its path is http.routers.web, or tls.certificates[0]."""
    return _LIST if path.startswith("tls.certificates[") else unit_of("/".join(path.split(".", 2)))


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
