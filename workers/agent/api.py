"""The answers of `/api`: pure functions from what was published to dictionaries, in Traefik's shapes where it has them.

Owns the spelling of fields (camelCase, as Traefik's JSON) and nothing of HTTP.  docs/api.md says the same for people.
Floor 3.
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from mesh.model import Dynamic, LoadBalancer, Router, Service, Static, Weighted
from mesh.names import VERSION
from mesh.providers.published import Published
from mesh.rules.language import default_priority, parse
from workers.about import About
from workers.agent import api_balancing as balancing
from workers.agent.states import EndpointState
from workers.report import counts

_PLAIN = ("routers", "services", "middlewares")
_NONE = {"total": 0, "warnings": 0, "errors": 0}


def version(about: About) -> dict[str, Any]:
    """`/api/version`."""
    return {"Version": VERSION, "Codename": "hostmesh", "startDate": about.started}


def entry_points(static: Static, bound: Mapping[str, str]) -> list[dict[str, Any]]:
    """`/api/entrypoints`: `address` is what the file says, `bound` where it really listens."""
    defaults = default_entry_points(static)
    return [{"name": each.name, "address": f"[{each.host}]:{each.port}" if ":" in each.host
             else f"{each.host}:{each.port}", "bound": bound.get(each.name, ""), "asDefault": each.name in defaults,
             "transport": {"respondingTimeouts": {
                 "readTimeout": each.read_timeout, "writeTimeout": each.write_timeout,
                 "idleTimeout": each.idle_timeout}},
             "forwardedHeaders": {"insecure": each.forwarded_insecure, "trustedIPs": list(each.trusted_ips)}}
            for each in static.entry_points.values()]


def default_entry_points(static: Static) -> tuple[str, ...]:
    """The entrypoints of a router that names none: those marked so, or all."""
    marked = tuple(name for name, each in static.entry_points.items() if each.as_default)
    return marked or tuple(static.entry_points)


def overview(said: Published, static: Static) -> dict[str, Any]:
    """`/api/overview`."""
    counted = counts(said)
    return {
        "http": {section: counted[section] for section in _PLAIN},
        **{kind: {section: counted.get(f"{kind}.{section}", _NONE) for section in _PLAIN if
                  kind == "tcp" or section != "middlewares"} for kind in ("tcp", "udp")},
        "features": {"tracing": "", "metrics": "Prometheus", "accessLog": static.access_log is not None},
        "providers": [name for name, is_there in (
            ("File", static.file_directory or static.file_filename), ("Redis", static.redis_provider is not None),
            ("Systemd", static.systemd_provider)) if is_there]}


def endpoints(states: Iterable[EndpointState]) -> list[dict[str, Any]]:
    """`/api/endpoints`: every endpoint as EndpointState has it; what is not known is null."""
    return [{"service": each.service, "url": each.url, "state": each.state, "weight": each.weight,
             "override": each.override, "since": _time(each.since_ms), "inFlight": each.in_flight,
             "requests": each.requests, "failures": each.failures, "lastFailure": _time(each.failed_ms),
             "latencyUs": each.latency_us or None, "ejectedMs": each.ejected_ms,
             "healthCheck": {"last": _time(each.probed_ms), "durationUs": each.probe_us, "inARow": each.probes,
                             "error": each.error} if each.checked else None,
             "local": each.local, "source": each.source, "host": each.host, "qualifiedService": each.qualified,
             "slot": each.slot} for each in states]


def _time(unix_ms: int) -> str | None:
    return datetime.fromtimestamp(unix_ms / 1000).astimezone().isoformat(timespec="milliseconds") if unix_ms else None


def rawdata(dynamic: Dynamic, said: Published, static: Static) -> dict[str, Any]:
    """`/api/rawdata`: every object by its name, with its status, its errors, and who uses it.

    `dynamic` is the plan that serves; what is disabled is not in it and shows its status, its place and why.
    """
    users = _users(dynamic)
    defaults = default_entry_points(static)
    described: dict[str, dict[str, dict[str, Any]]] = {
        "routers": {name: _router(each, defaults) for name, each in dynamic.routers.items()},
        "middlewares": {name: {each.kind: dict(each.options), "type": each.kind.lower()}
                        for name, each in dynamic.middlewares.items()},
        "services": {name: _service(each) for name, each in dynamic.services.items()}}
    answer: dict[str, Any] = {}
    for section, objects in described.items():
        of_model = getattr(dynamic, section)
        names = {**dict.fromkeys(objects), **{
            key.partition("/")[2]: None for key in said.status if key.partition("/")[0] == section}}
        answer[section] = {}
        for name in names:
            key = f"{section}/{name}"
            one = objects.get(name, {})
            one["status"] = said.status.get(key, "enabled") if name in objects else "disabled"
            if why := said.why.get(key):
                one["error"] = [str(problem) for problem in why]
            if section != "routers" and (used := users.get(key)):
                one["usedBy"] = sorted(used)
            one["provider"] = name.rpartition("@")[2]
            if name in of_model:
                place = of_model[name].place
                one["place"] = {"file": place.file, "line": place.line, "column": place.column,
                                **({"key": place.key} if place.key else {})}
            answer[section][name] = one
    return answer


def _router(each: Router, defaults: Iterable[str]) -> dict[str, Any]:
    names = list(each.entry_points or defaults)
    one: dict[str, Any] = {"entryPoints": names, "rule": each.rule,
                           "priority": each.priority or default_priority(each.rule, parse(each.rule)),
                           "service": each.service, "using": names}
    if each.middlewares:
        one["middlewares"] = list(each.middlewares)
    return one


def _service(each: Service) -> dict[str, Any]:
    if isinstance(each.how, Weighted):
        return {"type": "weighted", "weighted": {
            "services": [{"name": name, "weight": weight} for name, weight in each.how.children],
            **balancing.sticky(each.how.sticky)}}
    balancer: LoadBalancer = each.how
    described: dict[str, Any] = {
        "servers": [{"url": server.url, "weight": server.weight,
                     **({"preservePath": True} if server.preserve_path else {})} for server in balancer.servers],
        "strategy": balancer.strategy, "passHostHeader": balancer.pass_host_header, **balancing.described(balancer)}
    if balancer.transport:
        described["serversTransport"] = balancer.transport
    return {"type": "loadbalancer", "loadBalancer": described}


def _users(dynamic: Dynamic) -> dict[str, set[str]]:
    """By "section/name" of a service or middleware: the routers that lead to it, through weighted services too."""
    users: dict[str, set[str]] = {}
    for router in dynamic.routers.values():
        for name in router.middlewares:
            users.setdefault(f"middlewares/{name}", set()).add(router.name)
        left, seen = [router.service], set()
        while left:
            name = left.pop()
            if name in seen:
                continue
            seen.add(name)
            users.setdefault(f"services/{name}", set()).add(router.name)
            service = dynamic.services.get(name)
            if service is not None and isinstance(service.how, Weighted):
                left += [child for child, _ in service.how.children]
    return users
