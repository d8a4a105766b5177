"""The static file, field by field.

Owns the vocabulary of `hostmesh.yml`: Traefik's words where Traefik has them, ours for what it does not know.  What is
Traefik's and not built yet is named here too, so that nobody's line is ignored in silence.  Floor 2.
"""
from __future__ import annotations

from mesh.model import AccessLog, EntryPoint, Static
from mesh.providers.kinds import Choice, Duration, FilePath, Flag, Listen, Network, Size, Text, Whole
from mesh.providers.shape import Anything, Built, Field, ListOf, MapOf, Shape
from mesh.providers.shapes_redis import REDIS, REDIS_PROVIDER

LATER = Built.WARNS
REFUSED = Built.REFUSED

_RESPONDING = Shape(
    Field("readTimeout", Duration(), "One request from its first byte to the last of its body; 0 is no limit.",
          "read_timeout"),
    Field("writeTimeout", Duration(), "The answer from its first byte to its last; 0 is no limit.", "write_timeout"),
    Field("idleTimeout", Duration(), "A connection between two requests; 0 is no limit.", "idle_timeout"),
    Field("headerTimeout", Duration(), "The head of a request alone, against slow senders (not in Traefik).",
          "header_timeout"),
    Field("bodyIdleTimeout", Duration(),
          "Between two pieces of a request's body, or of an answer being taken (not in Traefik).", "body_idle_timeout"),
    Field("totalTimeout", Duration(), "One request from its first byte to the last of its answer (not in Traefik).",
          "total_timeout"),
    model=EntryPoint)

_LIFE = Shape(
    Field("graceTimeOut", Duration(), "How long requests under way may take at a stop.", "grace_timeout"),
    Field("requestAcceptGraceTimeout", Duration(), "Keep accepting for this long after SIGTERM.", built=LATER),
    model=EntryPoint)

_TRANSPORT = Shape(
    Field("respondingTimeouts", _RESPONDING, "Time-outs towards clients.", ""),
    Field("lifeCycle", _LIFE, "How the entrypoint ends.", ""),
    Field("keepAliveMaxRequests", Whole(0, 2**31 - 1), "Requests on one connection before it is closed; 0 is no limit.",
          "keep_alive_max_requests"),
    Field("keepAliveMaxTime", Duration(), "Age of a connection at which it is closed after a request; 0 is no limit.",
          "keep_alive_max_time"),
    model=EntryPoint)

_HTTP = Shape(
    Field("maxHeaderBytes", Size(1024, 2**30), "Size of a request's head; a larger one is answered 431.",
          "max_header_bytes"),
    Field("maxHeaders", Whole(1, 100000), "Header lines of a request; more are answered 431 (not in Traefik).",
          "max_headers"),
    Field("maxTargetBytes", Size(256, 2**30), "Size of a request target; a longer one is answered 414, not in Traefik.",
          "max_target_bytes"),
    Field("sanitizePath", Flag(), "Remove `.`, `..` and `//` from the path before it is matched and sent on.",
          "sanitize_path"),
    Field("underscoreHeadersStrategy", Choice("keep", refused=("delete", "reject")), "Header names that hold `_`.",
          "underscore", default="keep"),
    Field("encodeQuerySemicolons", Flag(), "Encode `;` in queries.", built=REFUSED),
    Field("encodedCharacters", Anything(), "Encoded characters that are let through in a path.", built=REFUSED),
    Field("redirections", Anything(), "Send clients to another entrypoint.", built=REFUSED),
    Field("middlewares", ListOf(Text()), "Middlewares before every router of the entrypoint.", built=REFUSED),
    Field("tls", Anything(), "Serve TLS.", built=REFUSED),
    model=EntryPoint)

_FORWARDED = Shape(
    Field("insecure", Flag(), "Trust `X-Forwarded-*` and `X-Real-Ip` from everybody.", "forwarded_insecure"),
    Field("trustedIPs", ListOf(Network()), "Trust them from these clients alone.", "trusted_ips"),
    Field("connection", ListOf(Text()), "Headers listed in `Connection` that are kept.", built=LATER),
    Field("notAppendXForwardedFor", Flag(), "Do not add the client to `X-Forwarded-For`.", built=LATER),
    Field("addXForwardedSchemeHeaders", Flag(), "Also send `X-Forwarded-Scheme` and `X-Scheme`.", built=LATER),
    model=EntryPoint)

ENTRY_POINT = Shape(
    Field("address", Listen(), "Where it listens: `host:port` or `:port`; port 0 lets the system choose.", "address",
          required=True),
    Field("asDefault", Flag(), "Routers that name no entrypoint use it; where none is marked, all are.", "as_default"),
    Field("forwardedHeaders", _FORWARDED, "Whose word about the client counts.", ""),
    Field("transport", _TRANSPORT, "Time-outs and the life of connections.", ""),
    Field("http", _HTTP, "Bounds and rules for HTTP.", ""),
    Field("reusePort", Flag(), "Share the address with other processes.", built=LATER),
    Field("allowACMEByPass", Flag(), "Let other services answer ACME challenges.", built=LATER),
    Field("proxyProtocol", Anything(), "Read the PROXY protocol.", built=REFUSED),
    Field("http2", Anything(), "HTTP/2.", built=LATER),
    Field("http3", Anything(), "HTTP/3.", built=LATER),
    Field("udp", Anything(), "UDP sessions.", built=LATER),
    Field("observability", Anything(), "Access log, metrics and tracing of this entrypoint.", built=LATER),
    words="an entrypoint such as {address: \":80\"}", model=EntryPoint)

_FILE = Shape(
    Field("directory", FilePath(), "A directory of dynamic files (`.yml`, `.yaml`, `.toml`).", "file_directory",
          default="conf.d beside this file"),
    Field("filename", FilePath(), "One dynamic file, instead of a directory.", "file_filename"),
    Field("watch", Flag(), "Follow changes.", "file_watch"),
    Field("debugLogGeneratedTemplate", Flag(), "Templates are not expanded here.", built=LATER),
    words="a mapping such as {directory: conf.d}", model=Static)

_OTHER_PROVIDERS = ("docker", "swarm", "kubernetesIngress", "kubernetesIngressNGINX", "kubernetesCRD",
                    "kubernetesGateway", "knative", "rest", "consulCatalog", "nomad", "ecs", "consul", "etcd",
                    "zooKeeper", "http", "plugin")

_PROVIDERS = Shape(
    Field("file", _FILE, "Dynamic configuration from files.", "file"),
    Field("redis", REDIS_PROVIDER, "Dynamic configuration from Traefik's KV layout in Redis.", "redis"),
    Field("systemd", Shape(words="{}"), "Units of this host that carry `X-Mesh-Service=` are endpoints.", "systemd"),
    *(Field(name, Anything(), "", built=LATER) for name in _OTHER_PROVIDERS),
    Field("providersThrottleDuration", Duration(), "Quiet time between two reloads; ours is 200 ms.", built=LATER),
    Field("precedence", ListOf(Text()), "Which provider wins.", built=LATER),
    words="a mapping such as {file: {directory: conf.d}}")

_API = Shape(
    Field("address", Listen(none=True), "Where the API listens; \"\" turns it off (not in Traefik).", "address",
          default="127.0.0.1:9180"),
    Field("insecure", Flag(), "The API on an entrypoint of its own.", built=LATER),
    Field("dashboard", Flag(), "The dashboard.", built=LATER),
    Field("debug", Flag(), "Debug endpoints.", built=LATER),
    Field("basePath", Text(), "Prefix of the API and the dashboard.", built=LATER),
    Field("disableDashboardAd", Flag(), "There is nothing of the kind here.", "no_ad"),
    Field("dashboardName", Text(), "Name shown in the dashboard.", built=LATER),
    words="a mapping such as {address: \"127.0.0.1:9180\"}")

_PING = Shape(
    Field("entryPoint", Text(), "`/ping` stands at the API's address.", built=LATER),
    Field("manualRouting", Flag(), "Route `/ping` by a router.", built=LATER),
    Field("terminatingStatusCode", Whole(100, 599), "Answer while the process ends.", built=LATER))

_ROTATION = (Field("maxSize", Whole(0), "Rotation is logrotate's, with SIGUSR1.", built=LATER),
             Field("maxAge", Whole(0), "", built=LATER), Field("maxBackups", Whole(0), "", built=LATER),
             Field("compress", Flag(), "", built=LATER))

_ACCESS_LOG = Shape(
    Field("filePath", FilePath(), "Where it is written; standard output where nothing is said.", "file_path"),
    Field("format", Choice("common", "json", warns=("genericCLF",)), "One line per request.", "format"),
    Field("bufferingSize", Whole(0), "Lines held in memory; writing never blocks here.", built=LATER),
    Field("filters", Anything(), "Which requests are logged.", built=LATER),
    Field("fields", Anything(), "Which fields are logged.", built=LATER),
    Field("addInternals", Flag(), "Log our own services too.", built=LATER),
    Field("dualOutput", Flag(), "", built=LATER),
    Field("otlp", Anything(), "Send it by OpenTelemetry.", built=LATER),
    model=AccessLog)

LEVELS = {"TRACE": "DEBUG", "DEBUG": "DEBUG", "INFO": "INFO", "WARN": "WARNING", "WARNING": "WARNING", "ERROR": "ERROR",
          "FATAL": "CRITICAL", "PANIC": "CRITICAL"}

_LOG = Shape(
    Field("level", Choice(*LEVELS, fold=True), "The least that is logged.", "log_level"),
    Field("format", Choice("common", "json"), "Lines for people or for machines.", "log_format"),
    Field("filePath", FilePath(), "Where it is written; standard error where nothing is said.", "log_file"),
    Field("noColor", Flag(), "", built=LATER),
    *_ROTATION,
    Field("otlp", Anything(), "Send it by OpenTelemetry.", built=LATER),
    model=Static)

_PROMETHEUS = Shape(
    *(Field(name, Anything(), "", built=LATER)
      for name in ("entryPoint", "manualRouting", "addEntryPointsLabels", "addRoutersLabels", "addServicesLabels",
                   "buckets", "headerLabels")))

_METRICS = Shape(
    Field("prometheus", _PROMETHEUS, "`/metrics` at the API's address.", "prometheus"),
    *(Field(name, Anything(), "", built=LATER) for name in ("influxDB2", "datadog", "statsD", "otlp", "addInternals")))

_HOST = Shape(
    Field("name", Text("a host name", r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,252}\Z"), "How this host is called in the mesh.",
          "host_name", default="the hostname"),
    Field("address", Text("an address", r"\A[A-Za-z0-9][A-Za-z0-9.:_-]{0,252}\Z"), "Where other hosts reach it.",
          "host_address", default="its first address"),
    Field("workers", Whole(1, 512), "Worker processes.", "workers", default="one per core"),
    words="a mapping such as {name: host-a, workers: 4}")

_OTHERS = {"tracing": "OpenTelemetry traces.", "dns": "The DNS server.",
           "serversTransport": "Defaults towards endpoints; say them in `http.serversTransports`.",
           "tcpServersTransport": "", "certificatesResolvers": "", "experimental": "", "hub": "", "spiffe": "",
           "core": "", "ocsp": "", "hostResolver": "", "global": ""}

STATIC = Shape(
    Field("host", _HOST, "This host.", ""),
    Field("stateDirectory", FilePath(), "What outlives a restart: words of operators and the private Redis.",
          "state_directory", default="/var/lib/hostmesh"),
    Field("runtimeDirectory", FilePath(), "Shared memory and `about.json`.", "runtime_directory",
          default="$RUNTIME_DIRECTORY, or /run/hostmesh for root, or $XDG_RUNTIME_DIR/hostmesh, or /tmp/hostmesh-UID"),
    Field("entryPoints", MapOf(ENTRY_POINT), "Listening addresses by name.", "entry_points",
          default="web at 127.0.0.1:80"),
    Field("providers", _PROVIDERS, "Where dynamic configuration comes from.", "providers"),
    Field("redis", REDIS, "The state shared between hosts.", "redis"),
    Field("api", _API, "The admin address: ping, metrics, API.", "api"),
    Field("ping", _PING, "Always there, at the API's address.", "ping"),
    Field("accessLog", _ACCESS_LOG, "One line per request; `{}` turns it on.", "access_log"),
    Field("log", _LOG, "Our own log.", ""),
    Field("metrics", _METRICS, "Always there, at the API's address.", "metrics"),
    *(Field(name, Anything(), doc, built=LATER) for name, doc in _OTHERS.items()),
    elsewhere=dict.fromkeys(("http", "mesh", "tcp", "udp", "tls"), "it belongs into a dynamic file below conf.d"),
    words="a mapping such as {entryPoints: {web: {address: \":80\"}}}", model=Static)
