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
class Cookie:
    """Keeps a client on its endpoint (Traefik: sticky.cookie); `name` "" is made of the service's."""

    name: str = ""
    secure: bool = False
    http_only: bool = False
    same_site: str = ""                     # "", none, lax, strict
    max_age: int = 0                        # seconds; 0: as long as the browser runs
    path: str = "/"
    domain: str = ""


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """How endpoints are asked whether they are well (Traefik: healthCheck); seconds.

    An endpoint goes down after `unhealthy_threshold` bad probes in a row and comes back after `healthy_threshold` good
    ones.  Traefik turns it at a single probe; 3 and 2 are HAProxy's (fall 3, rise 2), so that one lost packet moves
    nothing and an instance that is really gone is out after three intervals.
    """

    mode: str = "http"                      # http | tcp
    path: str = "/"
    scheme: str = ""                        # "": the endpoint's
    hostname: str = ""                      # Host of the probe; "": the endpoint's
    port: int = 0                           # 0: the endpoint's
    method: str = "GET"
    status: int = 0                         # 0: 200 to 399
    interval: float = 30.0
    unhealthy_interval: float = 0.0         # while it is down; 0: `interval`
    timeout: float = 5.0
    follow_redirects: bool = True
    headers: tuple[tuple[str, str], ...] = ()
    healthy_threshold: int = 2
    unhealthy_threshold: int = 3
    starts: str = "up"                      # until the first probe: up | down


@dataclass(frozen=True, slots=True)
class Passive:
    """How an endpoint is judged by the requests that it gets (Traefik: passiveHealthCheck); seconds, percent.

    A failure is a try that the endpoint refused, broke off or did not answer in time, and, with `statuses`, an answer
    of 500 or above.  `attempts` failures in a row within `window`, or a `ratio` of failures among at least
    `min_requests` in it, eject the endpoint for `ejection`, twice as long each time in a row, at most `max_ejection`.
    """

    attempts: int = 5                       # Traefik maxFailedAttempts (1 there); 0: rows of failures do not count
    window: float = 10.0                    # Traefik failureWindow
    ratio: int = 0                          # percent; 0: the ratio does not count
    min_requests: int = 20
    statuses: bool = False                  # Traefik: true
    ejection: float = 10.0
    max_ejection: float = 300.0
    max_ejected: int = 50                   # percent of a service's endpoints


@dataclass(frozen=True, slots=True)
class LoadBalancer:
    """Endpoints behind one strategy (Traefik: loadBalancer); seconds, percent."""

    servers: tuple[Server, ...] = ()
    pass_host_header: bool = True
    strategy: str = "wrr"                   # wrr | p2c | hrw | leasttime
    transport: str = ""                     # qualified; "" is the default transport
    sticky: Cookie | None = None
    health_check: HealthCheck | None = None
    passive: Passive = Passive()
    slow_start: float = 0.0                 # an endpoint that joins or returns gets to its share in this time
    locality: str = ""                      # "" | local: endpoints on this host first
    panic_threshold: int = 20               # with fewer healthy endpoints than this share, all are used; 0: never


@dataclass(frozen=True, slots=True)
class Weighted:
    """Services behind weights (Traefik: weighted); children are qualified names."""

    children: tuple[tuple[str, int], ...] = ()
    sticky: Cookie | None = None


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
    """Everything that the providers say, merged: name -> object.

    `slots` has the number of the cells of each endpoint, by service, in the order of its servers; -1: it has none.  No
    provider says it: the agent adds it when it publishes.
    """

    routers: Mapping[str, Router] = field(default_factory=dict)
    services: Mapping[str, Service] = field(default_factory=dict)
    middlewares: Mapping[str, Middleware] = field(default_factory=dict)
    transports: Mapping[str, Transport] = field(default_factory=dict)
    slots: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


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
class RedisServer:
    """How a Redis is reached: one server, a set under Sentinels, or a Cluster; with or without TLS.

    `addresses` are host:port, or unix:///path; more than one are Sentinels where `sentinel` names their set, nodes of a
    Cluster where `cluster` is said, and else tried in turn.
    """

    addresses: tuple[str, ...] = ()
    username: str = ""
    password: str = field(default="", repr=False)
    database: int = 0
    sentinel: str = ""                      # name of the set (Traefik: sentinel.masterName)
    sentinel_username: str = ""
    sentinel_password: str = field(default="", repr=False)
    cluster: bool = False
    tls: bool = False
    tls_ca: str = ""                        # path; "": the system's
    tls_cert: str = ""
    tls_key: str = ""
    tls_insecure: bool = False


@dataclass(frozen=True, slots=True)
class Redis:
    """The state that hosts share.  Without `server.addresses`, a private one is run where `embedded` is true."""

    server: RedisServer = RedisServer()
    prefix: str = "mesh:"
    embedded: bool = True


@dataclass(frozen=True, slots=True)
class RedisProvider:
    """Dynamic configuration in Traefik's KV layout (Traefik: providers.redis)."""

    server: RedisServer = RedisServer(("127.0.0.1:6379",))
    root_key: str = "traefik"


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
    redis: Redis = Redis()
    redis_provider: RedisProvider | None = None
    systemd_provider: bool = False
    api_address: str = "127.0.0.1:9180"
    access_log: AccessLog | None = None
    log_level: str = "INFO"
    log_format: str = "common"
    log_file: str = ""
