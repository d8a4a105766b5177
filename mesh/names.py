"""Every name that an outsider sees and more than one room writes.

Owns the spelling of metric names, of files in the runtime directory and of the mesh's own DNS suffix, so that a
dashboard, an alert or a script never breaks by a typing slip.  Floor 0.
"""

PRODUCT = "hostmesh"
VERSION = "0.1.0"

MESH_ZONE = "mesh"                          # orders.shop.mesh

MEMORY_FILE = "memory"                      # in the runtime directory: the shared memory
LOCK_FILE = "lock"                          # in the runtime directory: record locks, see workers/memory.py
ABOUT_FILE = "about.json"                   # in the runtime directory: pid, version, entrypoints and admin as bound

# Keys in Redis, behind the prefix (mesh:).  docs/redis.md is the same list for people.
KEY_HOSTS = "hosts"                         # hash: host -> JSON
KEY_HOST = "host:{host}"                    # string with a TTL: the heartbeat
KEY_SERVICES = "services"                   # set of names
KEY_ENDPOINTS = "endpoints:{service}"       # hash: url -> JSON
KEY_OVERRIDES = "overrides:{service}"       # hash: url -> drain, disable, weight=N
KEY_INSTANCE = "instance:{service}:{id}"    # string with a TTL: url, or JSON with url, weight, host, meta
KEY_EVENTS = "events"                       # stream, capped
KEY_BORN = "born"                           # string: unix ms of when this Redis was found empty
KEY_TOLD = "told"                           # hash: "service url" -> override: which are in mesh:events already
KEY_TELLS = "tells:{what}"                  # string with a TTL: the host that tells of it, of all that see the same
KEY_RELAY = "relay"                         # string with a TTL: the host that keeps the rosters of a large mesh
KEY_ROSTER = "roster:{service}"             # string: JSON, id -> value of every instance of a service
KEY_WATCH = "watch"                         # string with a TTL: the host that looks after the others just now

SERVER = PRODUCT                            # the Server header of every answer that is our own
READY_HOST = f"ready.{PRODUCT}"             # whom /ready asks for at each entrypoint: no router of anybody's

# Every metric: its kind, its labels in the order of Traefik's documentation, and what it says.  docs/metrics.md is the
# same table for people, and a test holds the two together.
_CODE = ("code", "method", "protocol")
_REQUESTS = {
    "requests_total": ("counter", "Requests that ended, by the status that the client got."),
    "request_duration_seconds": ("histogram", "From the first byte of a request to the last of its answer."),
    "requests_bytes_total": ("counter", "Bytes of request bodies received from clients."),
    "responses_bytes_total": ("counter", "Bytes of response bodies sent to clients."),
}
METRICS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "mesh_build_info": ("info", ("version",), "Which version runs; always 1."),
    "mesh_config_reloads_total": ("counter", (), "Generations of the dynamic configuration that were published."),
    "mesh_config_reload_failures_total": ("counter", (), "Changes of the configuration that had an error in them."),
    "mesh_config_last_reload_success": ("gauge", (), "When the present generation was published (unix time, seconds)."),
    "mesh_config_problems": ("gauge", ("severity", "file"), "What is wrong with the configuration now, by file; file is"
                             " empty for all beyond the first hundred files."),
    "mesh_static_reloads_total": ("counter", (), "Reloads of the static file that took effect."),
    "mesh_static_reloads_refused_total": ("counter", (), "Reloads that were refused for the static file's errors."),
    "mesh_plan_generation": ("gauge", (), "The generation that is published to the workers."),
    "mesh_open_connections": ("gauge", ("entrypoint", "protocol"), "Client connections that are open."),
    **{f"mesh_entrypoint_{name}": (kind, (*_CODE, "entrypoint"), said) for name, (kind, said) in _REQUESTS.items()},
    **{f"mesh_router_{name}": (kind, (*_CODE, "router", "service"), said) for name, (kind, said) in _REQUESTS.items()},
    **{f"mesh_service_{name}": (kind, (*_CODE, "service"), said) for name, (kind, said) in _REQUESTS.items()},
    "mesh_service_retries_total": ("counter", ("service",), "Tries of a request beyond its first."),
    "mesh_service_server_up": ("gauge", ("service", "url"), "Whether an endpoint is well: 0 where its probes or its"
                               " requests say that it is not."),
    "mesh_workers": ("gauge", (), "Workers that run."),
    "mesh_workers_wanted": ("gauge", (), "Workers that should run."),
    "mesh_worker_generation": ("gauge", ("worker",), "The generation that a worker serves; 0 while it serves none."),
    "mesh_worker_starts_total": ("counter", (), "Workers that were started."),
    "mesh_worker_deaths_total": ("counter", (), "Workers that ended unasked."),
    "mesh_agent_starts_total": ("counter", (), "Agents that were started."),
    "mesh_access_log_dropped_total": ("counter", (), "Access log lines that could not be written in time."),
    "mesh_redis_up": ("gauge", (), "Whether the Redis that hosts share answers and takes what is written; 1 or 0."),
    "mesh_redis_latency_seconds": ("gauge", (), "How long the last heartbeat took to Redis and back."),
}


def for_people(service: str) -> str:
    """The name of a service in Redis, in events and on the command line: `orders.shop` for `orders.shop@mesh`."""
    return service.removesuffix("@mesh")


def qualified(service: str) -> str:
    """The name of the same service in the model; a name with a provider has one already."""
    return service if "@" in service else f"{service}@mesh"
