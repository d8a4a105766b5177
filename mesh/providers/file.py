"""One dynamic file, or what another provider says in the same words: from bytes to objects, each with its problems.

Owns the isolation of objects from each other: what is wrong inside a router is told about that router, and everything
else in the file loads.  A part of the file that cannot be told apart (a misspelt section, one that is a list) is named
in `holds`, so that whatever served from there before goes on serving.  References are not followed here (`settle` does)
and no disk is touched but through `read`.  Floor 2.
"""
from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any
from urllib.parse import urlsplit

from mesh.errors import Place, Problem, did_you_mean
from mesh.model import LoadBalancer, Middleware, Router, Server, Service, Transport, Weighted
from mesh.names import MESH_ZONE
from mesh.providers.shape import WRONG, Built, Kind, PlaceOf, Read, Reading, Shape
from mesh.providers.shapes_balancing import balancing, cookie
from mesh.providers.shapes_http import MESH_SERVICE, ROUTER, SERVICE, SERVICE_KINDS, TRANSPORT
from mesh.providers.shapes_later import SECTIONS as LATER_SECTIONS
from mesh.providers.shapes_middlewares import MIDDLEWARE
from mesh.providers.shapes_static import STATIC
from mesh.providers.source import read_tree
from mesh.providers.tree import Item, Mapping, Node, Refused, Scalar, Sequence, kind_of

Model = Router | Service | Middleware | Transport

# The sections of a file, and the collection of the model that their objects join.
OWN_SECTIONS: dict[str, tuple[str, Shape]] = {
    "http.routers": ("routers", ROUTER), "http.services": ("services", SERVICE),
    "http.middlewares": ("middlewares", MIDDLEWARE), "http.serversTransports": ("transports", TRANSPORT),
    "mesh.services": ("services", MESH_SERVICE)}
ALL_SECTIONS = (*OWN_SECTIONS, *LATER_SECTIONS)

NAME = re.compile(r"[^\s@]{1,200}\Z")
MESH_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\Z")


@dataclass(slots=True)
class Said:
    """One object as one file says it.

    `now` is what it says now (None: it cannot be used, see `problems`), `good` the version that served last.
    `refused`: it is understood and asks for something that is not built, so no older version takes its place.
    `held`: the file or its section could not be read this time, and this is from before.
    """

    section: str                # routers, services, middlewares, transports; "tcp.routers" and such are not built
    name: str                   # qualified: web@file
    path: str                   # as the file has it: http.routers.web
    place: Place
    now: Model | None
    good: Model | None = None
    refused: bool = False
    held: bool = False
    problems: tuple[Problem, ...] = ()
    places: dict[str, Place] = field(default_factory=dict)      # of its references, by "section/qualified name"

    @property
    def key(self) -> str:
        return f"{self.section}/{self.name}"


@dataclass(slots=True)
class FileSaid:
    """What one version of a file says.  `holds` are the beginnings of paths that could not be read ("": the file)."""

    objects: list[Said] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    holds: list[str] = field(default_factory=list)


def read_file(data: bytes, file: str, read: Read) -> FileSaid:
    """Everything that the bytes of a file say; never raises for what stands in them."""
    try:
        tree = read_tree(data, file)
    except Refused as refused:
        return FileSaid(problems=list(refused.problems), holds=[""])
    if tree is None:
        empty = Problem(Place(file), "", "the file is empty", code="empty",
                        hint="delete it, or write `http: {}`, to take its routes away")
        return FileSaid(problems=[empty], holds=[""])
    return read_said(tree, file, read)


def read_said(tree: Mapping, file: str, read: Read, provider: str = "file", place_of: PlaceOf = Place) -> FileSaid:
    """Everything that a tree says, whichever provider it comes from; its objects are named after that provider."""
    return _File(file, read, provider, place_of).read_tree(tree)


def qualified(name: str, provider: str = "file") -> str:
    """A name as an object says it, with its provider."""
    return name if "@" in name else f"{name}@{provider}"


class _File:
    def __init__(self, file: str, read: Read, provider: str, place_of: PlaceOf) -> None:
        self.file = file
        self.read = read
        self.provider = provider
        self.place_of = place_of
        self.said = FileSaid()

    def read_tree(self, tree: Mapping) -> FileSaid:
        roots = dict.fromkeys(path.split(".")[0] for path in ALL_SECTIONS)
        for root, item in self.known(tree, "", roots):
            if not isinstance(item.node, Mapping):
                self.hold(item.node, root, f"{root}.")
                continue
            inside = {path.split(".")[1]: path for path in ALL_SECTIONS if path.startswith(f"{root}.")}
            for name, section in self.known(item.node, f"{root}.", inside):
                self.read_section(f"{root}.{name}", section.node)
        # A key with nothing behind it is what half a file looks like: then what is missing has not been taken away.
        problems = chain(self.said.problems, *(each.problems for each in self.said.objects))
        if any(problem.code == "empty" for problem in problems):
            self.said.holds.append("")
        return self.said

    def known(self, node: Mapping, prefix: str, words: dict[str, Any]) -> Iterator[tuple[str, Item]]:
        """The known keys of a level above the objects; of the others is told, and what stood there is held."""
        reading = self.reading(prefix.rstrip("."))
        lower = {word.lower(): word for word in words}
        seen: dict[str, Item] = {}
        for again in node.twice:
            reading.twice(again, prefix + again.key, node.items[again.key])
        for key, item in node.items.items():
            word = lower.get(key.lower())
            if word is None:
                hint = did_you_mean(key, words) or f"known here: {', '.join(words)}"
                if not prefix and key in STATIC.fields:
                    hint = "it belongs into the static file, hostmesh.yml"
                reading.wrong(item, f"{key} is not a known section", "unknown-field", hint)
            elif word in seen:
                reading.twice(item, prefix + key, seen[word])
            else:
                seen[word] = item
                if key != word:
                    reading.warn(item, f"{key} is read as {word}", "spelling", f'write "{word}"')
        if reading.is_broken:
            self.said.holds.append(prefix)
        self.said.problems += reading.problems
        yield from seen.items()

    def reading(self, path: str) -> Reading:
        return Reading(self.file, path, self.read, place_of=self.place_of)

    def hold(self, node: Node, path: str, prefix: str) -> None:
        """A section that is no mapping: told, and what stood there is held."""
        if isinstance(node, Scalar) and node.value is None:
            message, code = "nothing stands here", "empty"
            hint = f"write `{path.split('.')[-1]}: {{}}` if you mean none"
        else:
            message, code, hint = f"wanted a mapping of names, not {kind_of(node)}", "bad-value", ""
        place = self.place_of(self.file, node.line, node.column)
        self.said.problems.append(Problem(place, path, message, code=code, hint=hint))
        self.said.holds.append(prefix)

    def read_section(self, path: str, node: Node) -> None:
        if isinstance(node, Sequence) and path == "tls.certificates":
            kind = LATER_SECTIONS[path].kind
            for index, each in enumerate(node.items):
                self.read_later(path, f"{path}[{index}]", str(index), Item("", each.line, each.column, each), kind)
            return
        if not isinstance(node, Mapping):
            self.hold(node, path, f"{path}.")
            return
        twice = {again.key: again for again in node.twice}
        for name, item in node.items.items():
            if path in OWN_SECTIONS:
                self.read_object(path, name, item, twice.get(name))
            else:
                self.read_later(path, f"{path}.{name}", name, item, LATER_SECTIONS[path].kind)

    def read_later(self, section: str, path: str, name: str, item: Item, kind: Kind) -> None:
        """An object of a section that is not built: one line says so, and slips of the pen are told today."""
        reading = self.reading(path)
        kind.read(item.node, "", reading)
        reading.wrong(item, f"{section.split('.')[0]} is not supported yet", "unsupported")
        self.said.objects.append(Said(section, f"{name}@{self.provider}", path, reading.place(item), None, refused=True,
                                      problems=tuple(reading.problems)))

    def read_object(self, path: str, name: str, item: Item, again: Item | None) -> None:
        section, shape = OWN_SECTIONS[path]
        reading = self.reading(f"{path}.{name}")
        is_mesh = path == "mesh.services"
        if is_mesh and not MESH_NAME.match(name):
            reading.wrong(item, f'"{name}" is not a mesh name; wanted <service>.<namespace> such as orders.shop')
        elif not NAME.match(name) or not name.isprintable():
            reading.wrong(item, f'"{name}" is not a name; wanted up to 200 characters without spaces and @')
        if again is not None:
            reading.twice(again, name, item)
        values = shape.read(item.node, "", reading)
        refused = _tell_later(reading, is_middleware=section == "middlewares")
        said = Said(section, f"{name}@{'mesh' if is_mesh else self.provider}", reading.object, reading.place(item),
                    None, refused=refused,
                    places=_references(reading, values, self.provider) if values is not WRONG else {})
        if values is not WRONG:
            _tell_lost_paths(reading, values)
        if values is not WRONG and not reading.is_broken:
            said.now = _MAKE[path](said.name, values, said.place, self.provider)
        said.problems = tuple(reading.problems)
        self.said.objects.append(said)
        if is_mesh:
            router = None if said.now is None else _mesh_router(name, said.place)
            self.said.objects.append(Said("routers", said.name, said.path, said.place, router, refused=refused,
                                          problems=said.problems))


def _tell_later(reading: Reading, is_middleware: bool) -> bool:
    """One line for all that an object asks for and is not built; True when it must not serve without it."""
    refused = [at for at, _, built in reading.later if built is Built.REFUSED]
    warned = [at for at, _, built in reading.later if built is Built.WARNS]
    if refused:
        place = next(place for _, place, built in reading.later if built is Built.REFUSED)
        so = "routers that name it do not serve" if is_middleware else "it does not serve"
        also = f"; {', '.join(warned)} {_is_are(warned)} not supported either" if warned else ""
        what = f"{', '.join(refused)} {_is_are(refused)} not supported yet"
        reading.wrong(place, f"{what}, so {so}{also}", "unsupported")
    elif warned:
        place = reading.later[0][1]
        reading.problems.append(Problem(
            place, reading.object, f"{', '.join(warned)} {_is_are(warned)} not supported yet and "
            f"{'has' if len(warned) == 1 else 'have'} no effect", "warning", "unsupported"))
    return bool(refused) or any(problem.code == "unsupported" and problem.severity == "error"
                                for problem in reading.problems)


def _tell_lost_paths(reading: Reading, values: dict[str, Any]) -> None:
    """The path of an endpoint's url means nothing without preservePath, in Traefik as well; there in silence."""
    for at, balancer in (("loadBalancer.servers", values.get("loadBalancer")), ("endpoints", values)):
        for index, server in enumerate((balancer or {}).get("servers", ())):
            path = urlsplit(server["url"]).path
            if path.strip("/") and not server.get("preserve_path"):
                place = reading.places.get(f"{at}[{index}].url") or reading.places.get(f"{at}[{index}]")
                if place is not None:
                    reading.problems.append(Problem(
                        place, reading.object, f"the path {path} of the url has no effect", "warning", "bad-value",
                        "preservePath: true puts it before the path of each request"))


def _is_are(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _references(reading: Reading, values: dict[str, Any], provider: str) -> dict[str, Place]:
    """Where an object names others, by what it names."""
    found: dict[str, Place] = {}

    def note(section: str, name: str, at: str) -> None:
        if at in reading.places:
            whole = name if section == "entrypoints" else qualified(name, provider)
            found.setdefault(f"{section}/{whole}", reading.places[at])

    if "rule" in values:
        note("services", values["service"], "service")
        for index, name in enumerate(values.get("middlewares", ())):
            note("middlewares", name, f"middlewares[{index}]")
        for index, name in enumerate(values.get("entry_points", ())):
            note("entrypoints", name, f"entryPoints[{index}]")
    for at, balancer in (("loadBalancer.", values.get("loadBalancer")), ("", values)):
        if balancer and "transport" in balancer:
            note("transports", balancer["transport"], f"{at}serversTransport")
    for index, child in enumerate(values.get("weighted", {}).get("services", ())):
        note("services", child["name"], f"weighted.services[{index}].name")
    return found


def _router(name: str, values: dict[str, Any], place: Place, provider: str) -> Router:
    middlewares = tuple(qualified(each, provider) for each in values.get("middlewares", ()))
    return Router(name, values["rule"], qualified(values["service"], provider), values.get("entry_points", ()),
                  middlewares, values.get("priority", 0), place)


def _service(name: str, values: dict[str, Any], place: Place, provider: str) -> Service:
    kind = next(kind for kind in SERVICE_KINDS if kind in values)
    if kind == "weighted":
        return Service(name, Weighted(tuple((qualified(child["name"], provider), child.get("weight", 1))
                                            for child in values["weighted"]["services"]),
                                      cookie(values["weighted"].get("sticky"))), place)
    return Service(name, _balancer(values["loadBalancer"], provider), place)


def _balancer(values: dict[str, Any], provider: str) -> LoadBalancer:
    values = {key: value for key, value in values.items() if key not in ("port", "traffic")}
    values["servers"] = tuple(Server(**server) for server in values.get("servers", ()))
    said = values.get("transport", "")
    values["transport"] = "" if said in ("", "default@internal") else qualified(said, provider)
    return LoadBalancer(**balancing(values))


def _mesh_service(name: str, values: dict[str, Any], place: Place, provider: str) -> Service:
    return Service(name, _balancer(values, provider), place)


def _mesh_router(name: str, place: Place) -> Router:
    return Router(f"{name}@mesh", f"Host(`{name}.{MESH_ZONE}`)", f"{name}@mesh", place=place)


def short_form(name: str, servers: Iterable[Server], place: Place) -> tuple[Service, Router]:
    """What `mesh.services` makes of a name such as orders.shop and nothing but endpoints."""
    balancer = replace(_balancer({}, "mesh"), servers=tuple(servers))
    return Service(f"{name}@mesh", balancer, place), _mesh_router(name, place)


def _middleware(name: str, values: dict[str, Any], place: Place, provider: str) -> Middleware:
    kind = next(iter(values))
    return Middleware(name, kind, values[kind], place)


def _transport(name: str, values: dict[str, Any], place: Place, provider: str) -> Transport:
    values = {key: value for key, value in values.items() if key != "http1"}
    if values.get("max_idle_conns_per_host") == 0:
        del values["max_idle_conns_per_host"]
    return Transport(name, **values, place=place)


_MAKE: dict[str, Callable[[str, dict[str, Any], Place, str], Model]] = {
    "http.routers": _router, "http.services": _service, "http.middlewares": _middleware,
    "http.serversTransports": _transport, "mesh.services": _mesh_service}
