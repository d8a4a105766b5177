"""The model's passage through JSON, from the agent to the workers by way of the plan board.

Owns the bytes and how little of them is read.  They are lines, each a piece of some hundred objects of one kind; what
ends a piece is the name of its last object, so an edit changes the pieces that it is in and leaves all others equal to
the byte.  A reader that remembers the pieces of the last generation decodes only what is new, and between two pieces it
can do something else: one edit among 10,000 routers costs a worker 2 ms instead of 100.  Floor 0.
"""
from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, fields
from hashlib import blake2b
from operator import is_
from typing import Any, TypeVar
from zlib import crc32

import orjson

from mesh.errors import Place
from mesh.model import (
    Cookie,
    Dynamic,
    HealthCheck,
    LoadBalancer,
    Middleware,
    Passive,
    Router,
    Server,
    Service,
    Transport,
    Weighted,
)

T = TypeVar("T")
Model = Router | Service | Middleware | Transport
Numbers = tuple[int, ...]               # of the slots of a service's endpoints

# One row per object, its columns named once: half the bytes and half the time of one JSON object each.  The names also
# tell a reader of another version that it must not read this.
_COLUMNS = {kind.__name__: [each.name for each in fields(kind)]
            for kind in (Place, Router, Server, Cookie, HealthCheck, Passive, LoadBalancer, Weighted, Service,
                         Middleware, Transport)}
_SECTIONS = ("routers", "services", "middlewares", "transports", "slots")
_USUAL = Passive()
_FEW = 64               # objects of a piece on average: 0.2 ms to decode
_AT_ONCE = 16           # pieces that are known already, between two yields
_MANY = 512             # at most, whatever the names are


@dataclass(slots=True)
class Pieces:
    """What was decoded of one generation, by the digest of its bytes; for the reader of the next."""

    known: dict[bytes, list[tuple[str, Model | Numbers]]] = field(default_factory=dict)


def to_json(dynamic: Dynamic) -> bytes:
    """The model as JSON lines, for the plan board; `from_json` gives the same model back, keys included."""
    return Writer().write(dynamic)


class Writer:
    """Writes one model after the other; of what is the same objects as before, it has the bytes already."""

    def __init__(self) -> None:
        self._pieces: dict[tuple[str, str], _Piece] = {}        # by the section and its first key

    def write(self, dynamic: Dynamic) -> bytes:
        """As `to_json`."""
        pieces: dict[tuple[str, str], _Piece] = {}
        for section in _SECTIONS:
            of = getattr(dynamic, section)
            keys, values = list(of), list(of.values())
            at = 0
            while at < len(keys):
                piece = self._pieces.get((section, keys[at]))
                if piece is None or not piece.stands_in(keys, values, at):
                    piece = _piece(section, keys, values, at)
                pieces[section, keys[at]] = piece
                at += len(piece.keys)
        self._pieces = pieces
        return b"\n".join((orjson.dumps({"columns": _COLUMNS}), *(piece.line for piece in pieces.values()),
                           orjson.dumps({"pieces": len(pieces)})))


@dataclass(frozen=True, slots=True)
class _Piece:
    """Some objects and their line.  `is_last`: the section ended before the piece did."""

    keys: list[str]
    values: list[Model | Numbers]
    line: bytes
    is_last: bool

    def stands_in(self, keys: list[str], values: list[Model | Numbers], at: int) -> bool:
        end = at + len(self.keys)
        return (keys[at:end] == self.keys and (end == len(keys) or not self.is_last)
                and all(map(is_, values[at:end], self.values)))


def _piece(section: str, keys: list[str], values: list[Model | Numbers], at: int) -> _Piece:
    """The piece that begins there."""
    end = at
    most = min(at + _MANY, len(keys))
    is_ended = False
    while end < most and not is_ended:
        is_ended = crc32(keys[end].encode("utf-8", "surrogatepass")) % _FEW == 0
        end += 1
    rows = [(key, row(each)) for key, each in zip(keys[at:end], values[at:end], strict=True)]
    return _Piece(keys[at:end], values[at:end], orjson.dumps([section, rows], default=_plain),
                  is_last=not is_ended and end - at < _MANY)


def from_json(data: bytes) -> Dynamic:
    """The model that `to_json` wrote; ValueError when the bytes are anything else or of another version."""
    steps = read_json(data, Pieces())
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value[0]


def read_json(data: bytes, before: Pieces) -> Generator[None, None, tuple[Dynamic, Pieces]]:
    """The same in small steps, yielding between them; what `before` knows is not made again: the same objects."""
    now = Pieces()
    found: dict[str, dict[str, Any]] = {section: {} for section in _SECTIONS}
    first, *lines = data.split(b"\n")
    try:
        if orjson.loads(first)["columns"] != _COLUMNS:
            raise ValueError("this model is of another version")
        if not lines or orjson.loads(lines.pop())["pieces"] != len(lines):
            raise ValueError("this model is not whole")
        for number, line in enumerate(lines):
            if number % _AT_ONCE == 0:
                yield
            digest = blake2b(line, digest_size=16).digest()
            piece = before.known.get(digest)
            section = line[2:line.index(b'"', 2)].decode()
            if piece is None:
                read = _READERS[section]
                piece = [(key, read(each)) for key, each in orjson.loads(line)[1]]
                yield
            now.known[digest] = piece
            found[section].update(piece)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"this is not a model: {error!r}") from error
    return Dynamic(**found), now


def row(each: Model | Numbers) -> list[Any]:
    """One object as a row of its JSON table; `router`, `service`, `middleware`, `transport` read it back."""
    if isinstance(each, tuple):
        return list(each)
    place = (each.place.file, each.place.line, each.place.column, each.place.key)
    if isinstance(each, Router):
        return [each.name, each.rule, each.service, each.entry_points, each.middlewares, each.priority, place]
    if isinstance(each, Middleware):
        return [each.name, each.kind, each.options, place]
    if isinstance(each, Transport):
        return [*(getattr(each, name) for name in _COLUMNS["Transport"][:-1]), place]
    if isinstance(each.how, Weighted):
        return [each.name, "weighted", (each.how.children, _values(each.how.sticky)), place]
    servers = [(server.url, server.weight, server.preserve_path) for server in each.how.servers]
    balancer = each.how
    how = (servers, balancer.pass_host_header, balancer.strategy, balancer.transport, _values(balancer.sticky),
           _values(balancer.health_check), None if balancer.passive == _USUAL else _values(balancer.passive),
           balancer.slow_start, balancer.locality, balancer.panic_threshold)
    return [each.name, "loadBalancer", how, place]


def _values(each: Cookie | HealthCheck | Passive | None) -> list[Any] | None:
    return None if each is None else [getattr(each, name) for name in _COLUMNS[type(each).__name__]]


def router(said: list[Any]) -> Router:
    name, rule, target, entry_points, middlewares, priority, place = said
    return Router(name, rule, target, tuple(entry_points), tuple(middlewares), priority, Place(*place))


def service(said: list[Any]) -> Service:
    name, kind, how, place = said
    if kind == "weighted":
        children, sticky = how
        return Service(name, Weighted(tuple((child, weight) for child, weight in children), _cookie(sticky)),
                       Place(*place))
    servers, passes, strategy, used, sticky, check, passive, *others = how
    return Service(name, LoadBalancer(
        tuple(Server(*each) for each in servers), passes, strategy, used, _cookie(sticky), _health_check(check),
        _USUAL if passive is None else Passive(*passive), *others), Place(*place))


def _cookie(said: list[Any] | None) -> Cookie | None:
    return None if said is None else Cookie(*said)


def _health_check(said: list[Any] | None) -> HealthCheck | None:
    if said is None:
        return None
    values = dict(zip(_COLUMNS["HealthCheck"], said, strict=True))
    return HealthCheck(**{**values, "headers": tuple((name, value) for name, value in values["headers"])})


def middleware(said: list[Any]) -> Middleware:
    name, kind, options, place = said
    return Middleware(name, kind, options, Place(*place))


def transport(said: list[Any]) -> Transport:
    *first, place = said
    values = dict(zip(_COLUMNS["Transport"], first, strict=False))
    return Transport(**{**values, "root_cas": tuple(values["root_cas"]), "place": Place(*place)})


_READERS: dict[str, Callable[[list[Any]], Any]] = {
    "routers": router, "services": service, "middlewares": middleware, "transports": transport, "slots": tuple}


def _plain(value: object) -> object:
    if isinstance(value, Mapping):      # orjson knows dict alone
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
