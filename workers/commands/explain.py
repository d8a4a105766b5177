"""hostmesh explain: which router takes a request, and why each other one does not.

Owns the question put to a plan without sending anything: the request is read by the scanner that reads real ones, the
plan is compiled by the code of the workers, from what the running instance serves if one runs on this runtime
directory, else from the files.  Floor 4.
"""
from __future__ import annotations

from dataclasses import dataclass, field
from difflib import SequenceMatcher
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from mesh.errors import ConfigError, Problem, did_you_mean
from mesh.http1.head import RequestHead
from mesh.model import Dynamic, EntryPoint, Service, Static, Weighted
from mesh.model_json import from_json
from mesh.plan import Plan
from mesh.providers.published import as_dict
from mesh.rules.explain import Reason, matches
from mesh.rules.expression import And, Expr, Match, Not, Or
from mesh.rules.language import default_priority, parse
from workers.about import read_about
from workers.agent.sources import read_once
from workers.commands.check import compiled
from workers.commands.paper import Paper, print_json
from workers.machine import read_static
from workers.memory import Refused, attach, master_of
from workers.report import published

_SHOWN = 10                     # routers that do not take the request, unless all are asked for


class Unclear(Exception):
    """The question cannot be put; one line for a person."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The request of the question."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    peer: str = "127.0.0.1"
    entry_point: str = ""


@dataclass(frozen=True, slots=True)
class Ground:
    """Where the answer comes from: a running instance (`pid`, `generation`) or the files (pid 0)."""

    dynamic: Dynamic
    why: dict[str, tuple[Problem, ...]] = field(default_factory=dict)       # what is wrong, by routers/name
    pid: int = 0
    generation: int = 0
    bound: dict[str, str] = field(default_factory=dict)                     # entrypoints as bound
    files_because: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """One router and what it makes of the request."""

    name: str
    rule: str
    priority: int
    place: str
    matched: bool
    why: str
    nearness: float


def explain(asked: Asked, config: str | None, as_json: bool, everything: bool) -> int:
    """Prints the answer; 0 when a router takes the request, 1 when none does or it would be refused."""
    paper = Paper()
    try:
        static, _ = read_static(config)
        try:
            ground = running(static) or from_files(static, "no instance runs on this runtime directory")
        except Refused as refused:
            ground = from_files(static, f"the running instance cannot be asked: {refused}")
        entry_point = _entry_point(asked, static, ground)
        head = _head(asked, entry_point)
    except ConfigError as refused:
        paper.problems(refused.problems)
        return 1
    except Unclear as unclear:
        paper.line(f"hostmesh explain: {unclear}")
        return 1
    plan = compiled(ground.dynamic, static)
    route = plan.tables[entry_point.name].find_for(head)
    told = [_told(reason, ground.dynamic, head) for reason in plan.explain(entry_point.name, head)]
    taken = next((each for each in told if route is not None and each.name == route.router), None)
    others = sorted((each for each in told if each is not taken), key=lambda each: (not each.matched, -each.nearness))
    service = ground.dynamic.services.get(route.service.name) if route is not None else None
    disabled = {key.partition("/")[2]: why for key, why in ground.why.items()
                if key.startswith("routers/") and key.partition("/")[2] not in ground.dynamic.routers}
    if as_json:
        print_json({
            "from": {"running": bool(ground.pid), "pid": ground.pid, "generation": ground.generation},
            "entryPoint": entry_point.name, "host": head.host.decode("latin-1"), "path": head.path.decode("latin-1"),
            "router": taken.name if taken else None, "service": _service_dict(service, ground.dynamic),
            "routers": [_told_dict(each) for each in ([taken] if taken else []) + others],
            "disabled": {name: [as_dict(problem) for problem in why] for name, why in disabled.items()}})
        return 0 if taken else 1
    _answer(paper, asked, entry_point, ground)
    if taken:
        _taken(paper, taken, service, ground.dynamic)
    else:
        paper.line(f"{paper.painted('no router takes it', fg='red', bold=True)}: the answer is 404")
    _others(paper, others, everything, nearest_first=taken is None)
    _elsewhere(paper, ground.dynamic, plan, entry_point)
    if disabled:
        paper.line()
        paper.title("routers that do not serve:")
        for why in disabled.values():
            paper.problems(why)
    return 0 if taken else 1


def running(static: Static) -> Ground | None:
    """What the instance on this runtime directory serves, None where none runs.  Raises Refused."""
    pid = master_of(static.runtime_directory)
    if not pid:
        return None
    memory = attach(static.runtime_directory)
    try:
        generation, data = memory.plan.read()
        dynamic = from_json(data) if data else Dynamic()
    except ValueError as error:         # BoardDamaged is one
        raise Refused(str(error)) from error
    return Ground(dynamic, dict(published(memory).why), pid, generation,
                  dict(read_about(static.runtime_directory).entry_points))


def from_files(static: Static, because: str) -> Ground:
    """What a start with the files as they are would serve, and why it is they that are asked."""
    settled, _ = read_once(static)
    return Ground(settled.dynamic, dict(settled.why), files_because=because)


def _entry_point(asked: Asked, static: Static, ground: Ground) -> EntryPoint:
    """The one that was named, else the one at the port of the URL, else the first that routers use by default."""
    known = static.entry_points
    if asked.entry_point:
        if asked.entry_point not in known:
            hint = did_you_mean(asked.entry_point, known) or f'known: {", ".join(known)}'
            raise Unclear(f'entrypoint "{asked.entry_point}" is not defined ({hint})')
        return known[asked.entry_point]
    port = _port(asked.url)
    for each in known.values():
        if port in (each.port or None, _port(f"//{ground.bound.get(each.name, '')}")):
            return each
    return next((each for each in known.values() if each.as_default), next(iter(known.values())))


def _port(url: str) -> int | None:
    try:
        parts = urlsplit(url)
        return parts.port or (80 if parts.scheme == "http" else None)
    except ValueError:
        return None


def _head(asked: Asked, entry_point: EntryPoint) -> RequestHead:
    """The request as the entrypoint's scanner reads it."""
    url = asked.url
    if not url.startswith("/") and "://" not in url:
        raise Unclear(f'"{url}" is not a URL (did you mean "http://{url}"?)')
    scheme, _, rest = ("", "", url) if url.startswith("/") else url.partition("://")
    if any(letter.isspace() or not letter.isprintable() for letter in url):
        raise Unclear("a space or a control character has no place in a URL; write it as %20 and such")
    if scheme not in ("", "http"):
        raise Unclear(f"{scheme} is not supported yet; wanted a URL such as http://orders.shop.mesh/")
    at = min((rest.find(mark) for mark in "/?#" if mark in rest), default=len(rest))
    authority, target = rest[:at], rest[at:].partition("#")[0]
    if not target.startswith("/"):
        target = f"/{target}"
    headers = list(asked.headers)
    if authority and not any(name.lower() == "host" for name, _ in headers):
        headers.insert(0, ("Host", authority))
    try:
        peer = str(ip_address(asked.peer))
    except ValueError:
        raise Unclear(f'--from "{asked.peer}" is not an address such as 10.0.3.17') from None
    version = "1.1" if any(name.lower() == "host" for name, _ in headers) else "1.0"
    lines = [f"{asked.method} {target} HTTP/{version}", *(f"{name}: {value}" for name, value in headers), "", ""]
    head = RequestHead(entry_point.max_header_bytes, entry_point.max_headers, entry_point.max_target_bytes)
    head.peer = peer.encode()
    data = "\r\n".join(lines).encode("utf-8", "surrogateescape")
    if head.parse_bytes(data) <= 0:
        status, why = head.refusal() or (400, "the request ends within its head")
        raise Unclear(f"no router is asked, the request is refused with {status}: {why}")
    if head.method in (b"CONNECT", b"TRACE"):
        raise Unclear("no router is asked, the request is refused with 405: this proxy takes neither CONNECT nor TRACE")
    return head


def _told(reason: Reason, dynamic: Dynamic, head: RequestHead) -> Told:
    router = dynamic.routers[reason.name]
    rule = parse(router.rule)
    return Told(reason.name, router.rule, router.priority or default_priority(router.rule, rule), str(router.place),
                reason.matched, reason.why, nearness(rule, head))


def nearness(rule: Expr, head: RequestHead) -> float:
    """How much of a rule a request satisfies, 0 to 1; a host or path that is nearly the right one counts in part."""
    if isinstance(rule, And):
        return sum(nearness(part, head) for part in rule.parts) / len(rule.parts)
    if isinstance(rule, Or):
        return max(nearness(part, head) for part in rule.parts)
    if matches(rule, head):
        return 1.0
    if isinstance(rule, Not) or not isinstance(rule, Match):
        return 0.0
    said = {"Host": head.host, "Path": head.path, "PathPrefix": head.path}.get(rule.matcher)
    if said is None:
        return 0.0
    alike = SequenceMatcher(None, said.decode("latin-1")[:200], rule.args[0][:200].lower()).ratio()
    return 0.8 * alike if alike > 0.6 else 0.0


# What a person sees.

def _answer(paper: Paper, asked: Asked, entry_point: EntryPoint, ground: Ground) -> None:
    where = ground.bound.get(entry_point.name, f"{entry_point.host}:{entry_point.port}")
    paper.title(f"{asked.method} {asked.url} at entrypoint {entry_point.name} ({where}), from {asked.peer}")
    paper.line(f"as the running instance serves it (pid {ground.pid}, generation {ground.generation})" if ground.pid
               else f"as the files are now: {ground.files_because}")
    paper.line()


def _taken(paper: Paper, taken: Told, service: Service | None, dynamic: Dynamic) -> None:
    router = paper.painted("router", fg="green", bold=True)
    paper.line(f"{router}   {paper.painted(taken.name, bold=True)}  {taken.rule}")
    paper.line(f"         priority {taken.priority}, defined at {taken.place}")
    if service is not None:
        _service(paper, service, dynamic, "service  ")


def _service(paper: Paper, service: Service, dynamic: Dynamic, start: str, share: str = "") -> None:
    blank = " " * len(start)
    name = paper.painted(service.name, bold=True)
    if isinstance(service.how, Weighted):
        paper.line(f"{start}{name}{share}  shared by weight")
        for child, weight in service.how.children:
            inner = dynamic.services.get(child)
            if inner is not None:
                _service(paper, inner, dynamic, f"{blank}-> ", f" (weight {weight})")
        return
    servers = service.how.servers
    many = "no endpoint: the answer is 503" if not servers else f"{len(servers)} endpoint{'s' * (len(servers) > 1)}"
    paper.line(f"{start}{name}{share}  {service.how.strategy}, {many}")
    widest = max((len(server.url) for server in servers), default=0)
    for server in servers:
        paper.line(f"{blank}{server.url:<{widest}}  weight {server.weight}")


def _others(paper: Paper, others: list[Told], everything: bool, nearest_first: bool) -> None:
    if not others:
        return
    paper.line()
    paper.title("nearest misses first:" if nearest_first else "why not the others:")
    shown = others if everything else others[:_SHOWN]
    for each in shown:
        paper.line(f"  {paper.painted(each.name, fg='yellow' if each.matched else None)}  {each.rule}")
        paper.line(f"      {each.why}")
    if len(others) > len(shown):
        paper.line(f"  ... and {len(others) - len(shown):,} more (--all)")


def _elsewhere(paper: Paper, dynamic: Dynamic, plan: Plan, entry_point: EntryPoint) -> None:
    here = {route.router for route in plan.tables[entry_point.name].routes}
    elsewhere = [router for name, router in dynamic.routers.items() if name not in here]
    if elsewhere:
        paper.line()
        names = ", ".join(f"{router.name} ({', '.join(router.entry_points)})" for router in elsewhere[:_SHOWN])
        more = f" and {len(elsewhere) - _SHOWN:,} more" if len(elsewhere) > _SHOWN else ""
        paper.line(f"at other entrypoints alone: {names}{more}")


# What a program reads.

def _told_dict(told: Told) -> dict[str, Any]:
    return {"name": told.name, "rule": told.rule, "priority": told.priority, "place": told.place,
            "matched": told.matched, "why": told.why}


def _service_dict(service: Service | None, dynamic: Dynamic) -> dict[str, Any] | None:
    if service is None:
        return None
    if isinstance(service.how, Weighted):
        return {"name": service.name, "services": [
            {"weight": weight, **(_service_dict(dynamic.services.get(child), dynamic) or {"name": child})}
            for child, weight in service.how.children]}
    return {"name": service.name, "strategy": service.how.strategy, "endpoints": [
        {"url": server.url, "weight": server.weight} for server in service.how.servers]}
