"""The configuration as plain frozen data: what providers produce, what plans are compiled from.

Owns the words of DESIGN section 2 as types, and their passage through JSON (the plan board carries it).  It reads no
file and checks no reference: `mesh/providers` fills it, `mesh/plan.py` compiles it.  Floor 0.

Names of routers, services, middlewares and transports are qualified by where they come from, as Traefik does it:
`web@file` for an object of the file provider, `orders.shop@mesh` for one made from the `mesh.services` short form.
Durations are seconds as float, sizes are bytes as int.
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import orjson

from mesh.errors import Place

NOWHERE = Place("")


@dataclass(frozen=True, slots=True)
class Router:
    """A rule that sends requests to a service; `priority` 0 means the length of the rule."""

    name: str
    rule: str
    service: str                            # qualified
    entry_points: tuple[str, ...] = ()      # empty: every default entry point
    middlewares: tuple[str, ...] = ()       # qualified, in order
    priority: int = 0
    place: Place = NOWHERE


@dataclass(frozen=True, slots=True)
class Server:
    """One endpoint of a load balancer as the file names it."""

    url: str
    weight: int = 1
    preserve_path: bool = False


@dataclass(frozen=True, slots=True)
class LoadBalancer:
    """Endpoints behind one strategy (Traefik: loadBalancer)."""

    servers: tuple[Server, ...] = ()
    pass_host_header: bool = True
    strategy: str = "wrr"
    transport: str = ""                     # qualified; "" is the default transport


@dataclass(frozen=True, slots=True)
class Weighted:
    """Services behind weights (Traefik: weighted); children are qualified names."""

    children: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Service:
    name: str
    how: LoadBalancer | Weighted
    place: Place = NOWHERE


@dataclass(frozen=True, slots=True)
class Middleware:
    """A step between router and service: its kind in Traefik's spelling, and its options as said."""

    name: str
    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)
    place: Place = NOWHERE


@dataclass(frozen=True, slots=True)
class Transport:
    """How a worker talks to endpoints (Traefik: serversTransports); seconds, 0 means no limit.

    `root_cas` holds PEM texts (files are read by the provider, so that a plan needs no disk).
    """

    name: str = ""
    server_name: str = ""
    insecure_skip_verify: bool = False
    root_cas: tuple[str, ...] = ()
    max_idle_conns_per_host: int = 200
    dial_timeout: float = 30.0
    response_header_timeout: float = 0.0
    idle_conn_timeout: float = 90.0
    place: Place = NOWHERE


@dataclass(frozen=True, slots=True)
class Dynamic:
    """Everything that the providers say, merged: name -> object."""

    routers: Mapping[str, Router] = field(default_factory=dict)
    services: Mapping[str, Service] = field(default_factory=dict)
    middlewares: Mapping[str, Middleware] = field(default_factory=dict)
    transports: Mapping[str, Transport] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EntryPoint:
    """A listening address and how its clients are treated; timeouts in seconds, 0 means none."""

    name: str
    host: str
    port: int                               # 0: the system chooses (seen in `hostmesh status`)
    as_default: bool = False
    forwarded_insecure: bool = False
    trusted_ips: tuple[str, ...] = ()
    read_timeout: float = 60.0              # Traefik respondingTimeouts.readTimeout: the whole request with its body
    write_timeout: float = 0.0
    idle_timeout: float = 180.0
    header_timeout: float = 10.0            # ours: the head alone (slow-loris); Traefik has only readTimeout
    body_idle_timeout: float = 60.0         # ours: between two pieces of a body, either direction
    total_timeout: float = 0.0              # ours: one request from its first byte to the last of its answer
    max_header_bytes: int = 1048576
    max_headers: int = 200                  # ours: header lines in one head
    max_target_bytes: int = 16384           # ours: request target; longer is 414
    sanitize_path: bool = True
    keep_alive_max_requests: int = 0
    keep_alive_max_time: float = 0.0
    grace_timeout: float = 10.0             # Traefik lifeCycle.graceTimeOut


@dataclass(frozen=True, slots=True)
class AccessLog:
    file_path: str = ""                     # "": standard output
    format: str = "common"                  # common | json


@dataclass(frozen=True, slots=True)
class Static:
    """What is read once at start (the static file); paths are absolute."""

    file: str = ""
    host_name: str = ""
    host_address: str = ""
    workers: int = 1
    state_directory: str = ""
    runtime_directory: str = ""             # shared memory, about.json
    entry_points: Mapping[str, EntryPoint] = field(default_factory=dict)
    file_directory: str = ""                # file provider: at most one of the two
    file_filename: str = ""
    file_watch: bool = True
    api_address: str = "127.0.0.1:9180"
    access_log: AccessLog | None = None
    log_level: str = "INFO"
    log_format: str = "common"
    log_file: str = ""


# The JSON form is one table per kind, columns named once: half the bytes and half the decoding time of one JSON object
# per object.  The names also tell a reader of another version that it must not read this.
_COLUMNS = {kind.__name__: [each.name for each in fields(kind)]
            for kind in (Place, Router, Server, LoadBalancer, Weighted, Service, Middleware, Transport)}


def to_json(dynamic: Dynamic) -> bytes:
    """The model as JSON, for the plan board; `from_json` gives the same model back, keys included."""
    return orjson.dumps({
        "columns": _COLUMNS,
        "routers": [(key, row(each)) for key, each in dynamic.routers.items()],
        "services": [(key, row(each)) for key, each in dynamic.services.items()],
        "middlewares": [(key, row(each)) for key, each in dynamic.middlewares.items()],
        "transports": [(key, row(each)) for key, each in dynamic.transports.items()]}, default=_plain)


def from_json(data: bytes) -> Dynamic:
    """The model that `to_json` wrote; ValueError when the bytes are anything else or of another version."""
    try:
        said = orjson.loads(data)
        if said["columns"] != _COLUMNS:
            raise ValueError("this model is of another version")
        return Dynamic(routers={key: router(each) for key, each in said["routers"]},
                       services={key: service(each) for key, each in said["services"]},
                       middlewares={key: middleware(each) for key, each in said["middlewares"]},
                       transports={key: transport(each) for key, each in said["transports"]})
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"this is not a model: {error!r}") from error


def row(each: Router | Service | Middleware | Transport) -> list[Any]:
    """One object as a row of its JSON table; `router`, `service`, `middleware`, `transport` read it back."""
    place = (each.place.file, each.place.line, each.place.column)
    if isinstance(each, Router):
        return [each.name, each.rule, each.service, each.entry_points, each.middlewares, each.priority, place]
    if isinstance(each, Middleware):
        return [each.name, each.kind, each.options, place]
    if isinstance(each, Transport):
        return [*(getattr(each, name) for name in _COLUMNS["Transport"][:-1]), place]
    if isinstance(each.how, Weighted):
        return [each.name, "weighted", (each.how.children,), place]
    servers = [(server.url, server.weight, server.preserve_path) for server in each.how.servers]
    how = (servers, each.how.pass_host_header, each.how.strategy, each.how.transport)
    return [each.name, "loadBalancer", how, place]


def router(said: list[Any]) -> Router:
    name, rule, target, entry_points, middlewares, priority, place = said
    return Router(name, rule, target, tuple(entry_points), tuple(middlewares), priority, Place(*place))


def service(said: list[Any]) -> Service:
    name, kind, how, place = said
    if kind == "weighted":
        return Service(name, Weighted(tuple((child, weight) for child, weight in how[0])), Place(*place))
    servers, *others = how
    return Service(name, LoadBalancer(tuple(Server(*each) for each in servers), *others), Place(*place))


def middleware(said: list[Any]) -> Middleware:
    name, kind, options, place = said
    return Middleware(name, kind, options, Place(*place))


def transport(said: list[Any]) -> Transport:
    *first, place = said
    values = dict(zip(_COLUMNS["Transport"], first, strict=False))
    return Transport(**{**values, "root_cas": tuple(values["root_cas"]), "place": Place(*place)})


def _plain(value: object) -> object:
    if isinstance(value, Mapping):      # orjson knows dict alone
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
