"""The endpoint table of this host as its shared memory tells it, for whoever looks from outside.

Owns the reading of plan, cells, instances and overrides.json together.  It asks no process anything: a dead agent makes
no difference but that what it would have changed is not changed.  Floor 3.
"""
from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from mesh.model import Dynamic, HealthCheck, LoadBalancer, Service, Static
from mesh.model_json import from_json
from mesh.names import for_people
from mesh.providers.published import Published
from mesh.shared.board import BoardDamaged
from mesh.shared.layout import FACT_AGENT_PID, FACT_MASTER_PID, Memory
from mesh.shared.slots import key_of
from workers.agent import overrides
from workers.agent.instances import Instances
from workers.agent.states import DISABLED, DOWN, DRAINING, EJECTED, UP, WAITS, EndpointState, Registered, state_of
from workers.memory import attach
from workers.report import is_alive

STATES = (UP, WAITS, DRAINING, DISABLED, EJECTED, DOWN)     # the order in which they are counted for people


@dataclass(frozen=True, slots=True)
class ServiceSeen:
    """A service by its name for people.  A weighted one has `children` (name, weight) and no endpoints."""

    name: str
    qualified: str
    strategy: str                           # wrr, p2c, hrw, leasttime, or weighted
    endpoints: tuple[EndpointState, ...] = ()
    children: tuple[tuple[str, int], ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """How many endpoints are in which state, those in none left out."""
        counted = {state: sum(each.state == state for each in self.endpoints) for state in STATES}
        return {state: count for state, count in counted.items() if count}


@dataclass(frozen=True, slots=True)
class HostSeen:
    """What this host knows.  `said` are the operators' words, those about endpoints that are not there too."""

    services: Mapping[str, ServiceSeen] = field(default_factory=dict)
    said: Mapping[tuple[str, str], str] = field(default_factory=dict)
    generation: int = 0
    serves: bool = False                    # its master runs
    has_agent: bool = False


def read_host(static: Static) -> HostSeen:
    """How this host sees its endpoints; raises workers.memory.Refused where none ever ran on the runtime directory."""
    memory = attach(static.runtime_directory)
    return seen(memory, said_here(static), int(time.monotonic() * 1000))


def said_here(static: Static) -> overrides.Overrides:
    """The operators' words as they stand on this host's disk: its own ones, or what Redis said last."""
    if not static.state_directory:
        return {}
    try:
        return overrides.read(overrides.path_of(static.state_directory))[0]
    except (OSError, ValueError):
        return {}               # another user's, or damaged: the cells have what counts


def seen(memory: Memory, said: overrides.Overrides, now_ms: int) -> HostSeen:
    """The same from a memory; `now_ms` is CLOCK_MONOTONIC."""
    dynamic, registered, facts = _plan(memory), _registered(memory), memory.facts
    services = {}
    for name, service in sorted(dynamic.services.items()):
        services[for_people(name)] = _service(service, dynamic, memory, said, registered, now_ms)
    return HostSeen(services, {key: str(each) for key, each in said.items()}, memory.plan.generation,
                    is_alive(facts.load(FACT_MASTER_PID)), is_alive(facts.load(FACT_AGENT_PID)))


def _plan(memory: Memory) -> Dynamic:
    try:
        data = memory.plan.read()[1]
        return from_json(data) if data else Dynamic()
    except (BoardDamaged, ValueError):
        return Dynamic()


def _registered(memory: Memory) -> Mapping[tuple[str, str], Registered]:
    """Who registered itself, as the agent has published it."""
    instances = Instances()
    try:
        instances.restore(Published.from_json(memory.sources.read()[1]).instances)
    except (BoardDamaged, ValueError):
        return {}
    return instances.registered()


def _service(service: Service, dynamic: Dynamic, memory: Memory, said: overrides.Overrides,
             registered: Mapping[tuple[str, str], Registered], now_ms: int) -> ServiceSeen:
    name, how = for_people(service.name), service.how
    if not isinstance(how, LoadBalancer):
        children = tuple((for_people(child), weight) for child, weight in how.children)
        return ServiceSeen(name, service.name, "weighted", children=children)
    slots = dynamic.slots.get(service.name, ())
    found: dict[str, EndpointState] = {}
    for index, server in enumerate(how.servers):
        if server.url not in found:
            slot = slots[index] if index < len(slots) else -1
            # its slot may have been given to another one while the plan was read
            is_its = slot >= 0 and memory.slots.key(slot) == key_of(service.name, server.url)
            found[server.url] = state_of(
                service.name, server.url, slot, memory.slots.words(slot) if is_its else None, server.weight,
                isinstance(how.health_check, HealthCheck), said.get((name, server.url)),
                registered.get((name, server.url)), now_ms)
    return ServiceSeen(name, service.name, how.strategy, tuple(found.values()))


def why(each: EndpointState) -> str:
    """Why an endpoint is in its state, in words; "" where there is nothing to say."""
    _, _, who_and_why = each.override.partition(" ")
    if each.state in (DRAINING, DISABLED):
        return who_and_why or ("" if each.override else "it says so itself, and is about to leave")
    if each.state == DOWN:
        row = f"{-each.probes:,} probes failed in a row" if each.probes < -1 else ""
        return ", ".join(filter(None, (each.error, row)))
    if each.state == EJECTED:
        return f"its requests failed; it is tried again in {max(1, round(each.ejected_ms / 1000))} s"
    if each.state == WAITS:
        return "not probed yet"
    if each.override:
        return f"weight {each.weight} {who_and_why}".rstrip()
    if each.checked and each.probes < 0:
        return f"the last {_probes(-each.probes)} failed: {each.error}"
    return ""


def _probes(count: int) -> str:
    return "probe" if count == 1 else f"{count:,} probes"
