"""Instances that came by themselves (Redis, systemd), joined to the services that the files name.

Owns what an instance may say and where it belongs: its url joins the endpoints of `<service>@mesh`, behind those that
the file itself names, and a service that no file names is made as the short form would make it, router included.  The
file's word comes first in everything: its options hold for whoever joins, its weight stands, and a service that it
defines and that cannot serve is not made up from instances without the protection that was asked for.  Floor 2.

What an instance says wrong is told as a warning about its service, never raised: it comes from outside, at any time,
and one slip of one instance must turn neither the others nor the status of five hundred hosts.
"""
from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import attrgetter
from typing import Any

import orjson

from mesh.errors import Place, Problem
from mesh.model import Dynamic, LoadBalancer, Router, Server, Service
from mesh.providers.catalog import Settled
from mesh.providers.file import MESH_NAME, short_form
from mesh.providers.shape import WRONG, Kind, Reading
from mesh.providers.shapes_http import ENDPOINT, WEIGHT
from mesh.providers.tree import Scalar

BY_SERVICE = Mapping[str, tuple["Instance", ...]]
DRAIN = "drain"                 # the value of "state" while an instance is about to leave
MOST_BYTES = 4096               # of an instance's value; 20,000 of them are read by every host
MOST_TOLD = 100                 # problems of instances
MOST_OF_ONE = 10                # of one service's: what is wrong in one instance is wrong in all of its kind
_LONGEST = 400                  # characters of what is told about one


@dataclass(frozen=True, slots=True)
class Instance:
    """One endpoint that registered itself.

    `service` is `<service>.<namespace>`, `source` who knows of it (redis, systemd), `id` its name there, `host` where
    it runs ("": not said).  A draining one stays an endpoint, and the table bars it from anything new: what is under
    way and sticky goes on.  `wrong` says why its words cannot be read ("": they can).
    """

    service: str
    url: str
    weight: int = 1
    id: str = ""
    source: str = ""
    host: str = ""
    meta: Mapping[str, str] = field(default_factory=dict, hash=False)
    draining: bool = False
    wrong: str = ""


def read_instance(service: str, id: str, value: str, source: str = "redis") -> Instance:
    """The instance that a value in Redis describes: a plain url, or JSON {"url", "weight", "host", "meta", "state"}.

    Never raises: what cannot be read is an instance that is `wrong`.
    """
    value = value.strip()
    if len(value) > MOST_BYTES:
        return Instance(service, "", id=id, source=source, wrong=f"its value is longer than {MOST_BYTES} bytes")
    if not value.startswith("{"):
        return Instance(service, plain_url(value), id=id, source=source)
    try:
        said = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        return Instance(service, "", id=id, source=source, wrong=f"its value is neither a url nor JSON: {error}")
    wrong = ""
    if unknown := said.keys() - {"url", "weight", "host", "meta", "state"}:
        wrong = f'"{min(unknown)}" is not known; wanted url, weight, host, meta, state'
    elif not isinstance(said.get("url"), str):
        wrong = 'wanted "url": "http://10.0.0.1:8080"'
    elif not isinstance(said.get("weight", 1), int) or isinstance(said.get("weight", 1), bool):
        wrong = 'weight: wanted a whole number such as "weight": 2'
    elif not isinstance(said.get("host", ""), str):
        wrong = "host: wanted text"
    elif not isinstance(said.get("meta", {}), dict):
        wrong = 'meta: wanted a mapping such as "meta": {"version": "7"}'
    elif said.get("state", "") not in ("", "up", DRAIN):
        wrong = f'state: wanted "{DRAIN}" or "up"'
    if wrong:
        return Instance(service, "", id=id, source=source, wrong=wrong)
    return Instance(service, plain_url(said["url"]), said.get("weight", 1), id, source, said.get("host", ""),
                    {key: str(each) for key, each in said.get("meta", {}).items()}, said.get("state") == DRAIN)


def written(instance: Instance) -> str:
    """The value for Redis: a plain url where that says it all, so that a person reads it at a glance."""
    said: dict[str, Any] = {"url": instance.url}
    if instance.weight != 1:
        said["weight"] = instance.weight
    if instance.host:
        said["host"] = instance.host
    if instance.meta:
        said["meta"] = dict(instance.meta)
    if instance.draining:
        said["state"] = DRAIN
    return instance.url if len(said) == 1 else orjson.dumps(said).decode()


def complaint(instance: Instance) -> Problem | None:
    """What is wrong with an instance by itself, or None: the words that `hostmesh register` refuses with, too."""
    at = f"mesh.services.{instance.service}" if MESH_NAME.match(instance.service) else ""
    reading = Reading(instance.source, at, _no_disk)
    if not at:
        reading.wrong(Place(instance.source), f'"{instance.service}" is not a mesh name; wanted <service>.<namespace> '
                      "such as orders.shop", hint="instances join services of the mesh alone")
    elif instance.wrong:
        reading.wrong(Place(instance.source), instance.wrong)
    elif _reads(ENDPOINT, instance.url, "url", reading) and "/" in instance.url.partition("://")[2]:
        reading.wrong(Place(instance.source), f'url: "{instance.url}" has a path, and an instance is a whole server',
                      hint=f"write {'/'.join(instance.url.split('/')[:3])}")
    elif not reading.problems:
        _reads(WEIGHT, instance.weight, "weight", reading)
    if not reading.problems:
        return None
    problem = reading.problems[0]
    return replace(problem, severity="warning", message=_shown(f'instance "{instance.id}": {problem.message}'),
                   hint=_shown(problem.hint))


def with_instances(dynamic: Dynamic, instances: Iterable[Instance]) -> Dynamic:
    """The model with all of these joined, by somebody who does not come again; see Joiner."""
    return Joiner().join(dynamic, grouped(instances))


def grouped(instances: Iterable[Instance]) -> dict[str, tuple[Instance, ...]]:
    """Instances by service, in the order in which they join: by url, and of one url the one that stays comes first."""
    ordered = sorted(instances, key=order)
    return {service: tuple(each) for service, each in groupby(ordered, attrgetter("service"))}


def order(instance: Instance) -> tuple[str, str, bool, str, str, int]:
    """The same order for the same instances, in whatever order they are told."""
    return instance.service, instance.url, instance.draining, instance.source, instance.id, instance.weight


@dataclass(slots=True)
class _Made:
    """One service as it was made last, and of what."""

    base: Service | None
    instances: tuple[Instance, ...]
    service: Service | None
    router: Router | None
    problems: tuple[Problem, ...]
    closed: bool = False


class Joiner:
    """Joins instances, and remembers what it made: a service of which nothing changed stays the same object.

    One change among 20,000 instances of 10,000 services costs 10 ms, nearly all of it for looking at the others.
    """

    def __init__(self) -> None:
        self._made: dict[str, _Made] = {}
        self.problems: tuple[Problem, ...] = ()     # of the last join

    def settle(self, settled: Settled, instances: BY_SERVICE) -> Settled:
        """What serves with these instances, and what is wrong with them; `settled` is what the files say."""
        if not instances and not self._made:
            return settled
        serves = settled.dynamic.services
        closed = {name for name in map(_qualified, instances)
                  if name not in serves and settled.status.get(f"services/{name}") == "disabled"}
        dynamic = self.join(settled.dynamic, instances, closed)
        status, why = dict(settled.status), dict(settled.why)
        for made in self._made.values():
            if made.service is None or (made.router is None and not made.problems):
                continue
            name = made.service.name
            keys = [f"services/{name}", *([f"routers/{name}"] if made.router is not None else [])]
            for key in keys:
                if made.router is not None or (made.problems and status.get(key) == "enabled"):
                    status[key] = "warning" if made.problems else "enabled"
                if made.problems:
                    why[key] = (*why.get(key, ()), *made.problems)
        return replace(settled, dynamic=dynamic, problems=(*settled.problems, *self.problems), status=status, why=why)

    def join(self, dynamic: Dynamic, instances: BY_SERVICE, closed: Collection[str] = ()) -> Dynamic:
        """The model with these instances; `closed` are qualified names that a file defines and that cannot serve."""
        if not instances:
            self._made, self.problems = {}, ()
            return dynamic
        services, routers = dict(dynamic.services), dict(dynamic.routers)
        before, now = self._made, {}
        problems: list[Problem] = []
        for service, joining in instances.items():
            name = _qualified(service)
            base = services.get(name)
            former = before.get(service)
            if name in closed:
                made = _Made(None, joining, None, None, (_closed(service, joining[0]),), closed=True)
            elif (former is not None and former.base is base and former.instances is joining and not former.closed):
                made = former
            else:
                made = _make(service, base, joining, former)
            now[service] = made
            problems += made.problems
            if made.service is not None:
                services[name] = made.service
            if made.router is not None:
                routers.setdefault(name, made.router)
        self._made, self.problems = now, _first(problems, MOST_TOLD, "")
        return replace(dynamic, services=services, routers=routers)


def _make(service: str, base: Service | None, joining: tuple[Instance, ...], former: _Made | None) -> _Made:
    problems: list[Problem] = []
    how = base.how if base is not None else LoadBalancer()
    if not isinstance(how, LoadBalancer):
        return _Made(base, joining, base, None, (Problem(
            Place(joining[0].source), f"mesh.services.{service}", "its instances do not join: it is no load balancer",
            "warning"),))
    servers = list(how.servers)
    taken = {plain_url(server.url) for server in servers}
    for instance in joining:
        if (problem := complaint(instance)) is not None:
            problems.append(problem)
        elif instance.url not in taken:
            taken.add(instance.url)
            servers.append(Server(instance.url, instance.weight))
    told = _first(problems, MOST_OF_ONE, f"mesh.services.{service}" if MESH_NAME.match(service) else "")
    if base is not None:
        joined = replace(how, servers=tuple(servers))
        return _Made(base, joining, base if joined == how else replace(base, how=joined), None, told)
    if not servers:
        return _Made(None, joining, None, None, told)
    made, router = short_form(service, servers, Place(joining[0].source))
    if former is not None and former.router == router:
        router = former.router              # an endpoint more is no news for the router
    return _Made(None, joining, made, router, told)


def _first(problems: list[Problem], most: int, at: str) -> tuple[Problem, ...]:
    if len(problems) <= most:
        return tuple(problems)
    place, left = Place(problems[most].place.file), len(problems) - most
    return *problems[:most], Problem(place, at, f"and {left} more like these", "warning")


def _closed(service: str, instance: Instance) -> Problem:
    return Problem(Place(instance.source), f"mesh.services.{service}", "its instances do not serve: a file defines it,"
                   " and what stands there has errors", "warning", "reference", "mend the file; nothing is served"
                   " without what it asks for")


def _shown(text: str) -> str:
    """What somebody else wrote, for one line of a log."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:_LONGEST])


def _qualified(service: str) -> str:
    return f"{service}@mesh"


def plain_url(url: str) -> str:
    """A url with the slash gone that says nothing: one endpoint must have one name."""
    return url[:-1] if url.endswith("/") and url.count("/") == 3 else url


def _reads(kind: Kind, value: str | int, at: str, reading: Reading) -> bool:
    return kind.read(Scalar(value, 0, 0, str(value)), at, reading) is not WRONG


def _no_disk(path: str) -> bytes:
    raise OSError("an instance names no file")
