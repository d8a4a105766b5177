"""The configuration as plain frozen data: what providers produce, what plans are compiled from.

Owns the words of DESIGN section 2 as types.  It reads no file and checks no reference: `mesh/providers` fills it,
`mesh/plan.pyx` compiles it, `mesh/model_json.py` carries it from the agent to the workers.  Floor 0.

Names of routers, services, middlewares and transports are qualified by where they come from, as Traefik does it:
`web@file` for an object of the file provider, `orders.shop@mesh` for one made from the `mesh.services` short form.
Durations are seconds as float, sizes are bytes as int.
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

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
    body_idle_timeout: float = 60.0         # ours: between two pieces of a request's body, or of an answer being taken
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
