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
class SourceCriterion:
    """Whose request it is, for a limit by source (Traefik: sourceCriterion).

    `by` is address (the client's, or one of X-Forwarded-For), header, host (the request's), or all (everybody is one).
    """

    by: str = "address"
    header: str = ""
    depth: int = 0                          # Traefik ipStrategy.depth: of X-Forwarded-For, from the right; 0: client
    excluded_ips: tuple[str, ...] = ()      # Traefik ipStrategy.excludedIPs: the first from the right that is not there
    ipv6_subnet: int = 0                    # Traefik ipStrategy.ipv6Subnet: bits of an IPv6 address that count; 0: all


@dataclass(frozen=True, slots=True)
class RateLimit:
    """`average` requests in `period` seconds, `burst` at once (Traefik: rateLimit); average 0 is no limit."""

    average: float = 0.0
    period: float = 1.0
    burst: int = 1
    source: SourceCriterion = SourceCriterion()
    scope: str = "host"                     # host | mesh (all hosts together)
    on_store_failure: str = "local"         # scope mesh without Redis: local (an equal share) | allow | deny
    headers: bool = False                   # RateLimit, RateLimit-Policy and X-RateLimit-* on every answer


@dataclass(frozen=True, slots=True)
class InFlightReq:
    """Requests at once (Traefik: inFlightReq); amount 0 is no limit."""

    amount: int = 0
    source: SourceCriterion = SourceCriterion("host")


@dataclass(frozen=True, slots=True)
class CircuitBreaker:
    """Rest for what fails (Traefik: circuitBreaker); seconds."""

    expression: str = ""
    check_period: float = 0.1
    fallback_duration: float = 10.0
    recovery_duration: float = 10.0
    response_code: int = 503
    min_requests: int = 20                  # ours: with fewer in the windows nothing trips (Traefik: a function)
    fallback_service: str = ""              # ours: qualified; takes the requests meanwhile
    per_endpoint: bool = False              # ours: one for each endpoint of the service, which is passed over meanwhile


@dataclass(frozen=True, slots=True)
class Retry:
    """When a request is tried again (Traefik: retry); seconds, bytes, percent."""

    attempts: int = 3                       # tries, the first among them
    initial_interval: float = 0.0
    timeout: float = 0.0                    # no new try after this; 0: none
    max_request_body: int = 2 << 20
    statuses: tuple[tuple[int, int], ...] = ()      # (from, to), both included, that are tried again
    on_network_error: bool = True           # Traefik: not disableRetryOnNetworkError
    non_idempotent: bool = False            # Traefik: retryNonIdempotentMethod
    try_timeout: float = 0.0                # ours: of one try, until the head of its answer; 0: none
    budget: int = 20                        # ours: retries of all requests in 10 s, at most
    budget_floor: int = 10                  # ours: retries in 10 s that are always allowed
    hedge: float = 0.0                      # ours: an idempotent request without an answer for so long is sent twice


@dataclass(frozen=True, slots=True)
class Buffering:
    """Whole bodies before they go on (Traefik: buffering); bytes, 0 is no limit."""

    max_request_body: int = 0
    mem_request_body: int = 1 << 20
    max_response_body: int = 0
    mem_response_body: int = 1 << 20
    request: bool = True                    # Traefik: not disableRequestBuffer
    response: bool = True                   # Traefik: not disableResponseBuffer


@dataclass(frozen=True, slots=True)
class Chain:
    """Several middlewares under one name (Traefik: chain); qualified."""

    middlewares: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AdaptiveConcurrency:
    """A limit of requests at once that follows the measured latency (ours; see docs/limits.md for its source)."""

    algorithm: str = "gradient"             # gradient | aimd
    initial: int = 20
    least: int = 4
    most: int = 1000
    tolerance: float = 1.5                  # gradient: latency above the usual that is no sign of overload
    timeout: float = 5.0                    # aimd: an answer that takes longer is a sign of overload; seconds
    backoff: float = 0.9                    # aimd: what remains of the limit after one


@dataclass(frozen=True, slots=True)
class EndpointLimit:
    """What one endpoint takes (ours); 0 is no limit; seconds."""

    rate_limit: RateLimit | None = None
    max_in_flight: int = 0                  # of this host's requests
    queue: int = 0                          # requests that may wait for any endpoint of the service
    queue_timeout: float = 1.0


@dataclass(frozen=True, slots=True)
class Server:
    """One endpoint of a load balancer as the file names it."""

    url: str
    weight: int = 1
    preserve_path: bool = False
    limit: EndpointLimit | None = None      # instead of the service's for each


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
    rate_limit: RateLimit | None = None     # of the service as a whole
    endpoint_limit: EndpointLimit | None = None
    breaker: CircuitBreaker | None = None
    retry: Retry | None = None
    adaptive: AdaptiveConcurrency | None = None


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
    """A step between router and service: its kind in Traefik's spelling, and what was said of it."""

    name: str
    kind: str
    how: RateLimit | InFlightReq | CircuitBreaker | Retry | Buffering | Chain
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

    `slots` has the number of the cells of each endpoint, by service, in the order of its servers; -1: it has none.
    `limits` has the number of the cells of each limit, by mesh.shared.slots.key_of(kind, name).  No provider says them:
    the agent adds them when it publishes.
    """

    routers: Mapping[str, Router] = field(default_factory=dict)
    services: Mapping[str, Service] = field(default_factory=dict)
    middlewares: Mapping[str, Middleware] = field(default_factory=dict)
    transports: Mapping[str, Transport] = field(default_factory=dict)
    slots: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    limits: Mapping[str, int] = field(default_factory=dict)


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
