"""The agent's side of the endpoint table: which endpoint has which slot, what its state is, what was said about it.

Owns the bits of SLOT_STATE (probes decide up and down, operators drain, disable and weight), the words of operators,
and the events that all of it makes.  Slots are given and taken back by given.py; workers write the other cells and are
only watched.  It makes no probe (probes.py) and knows no Redis (store.py).

For any thread: one lock is held for the decisions, none for reading, and the thread of its own (`start`) does whatever
waits for the disk.  An agent that restarts finds names, states and streaks in the cells, and goes on.  Floor 3.
"""
from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mesh.health.events import ENDPOINT_DOWN, ENDPOINT_JOINED, ENDPOINT_LEFT, ENDPOINT_UP, OVERRIDE, Event
from mesh.health.override import OVERRIDE_MASK, Override, bits_of, made
from mesh.health.verdict import VERDICT_MASK, at_first, in_a_row, judge, words
from mesh.model import Dynamic, HealthCheck, LoadBalancer, Service, Static, Transport
from mesh.names import PRODUCT, for_people, qualified
from mesh.shared.layout import Memory
from mesh.shared.slots import (
    SLOT_CHANGED_MS,
    SLOT_PROBE_US,
    SLOT_PROBE_WHY,
    SLOT_PROBED_MS,
    SLOT_PROBES,
    SLOT_SINCE_MS,
    SLOT_STATE,
    STATE_DISABLED,
    STATE_DOWN,
    STATE_DRAIN,
    STATE_LOCAL,
)
from workers.agent import overrides
from workers.agent.addresses import is_here, own_addresses
from workers.agent.ejections import Ejections
from workers.agent.eventlog import EventLog
from workers.agent.given import Given
from workers.agent.states import EndpointState, Registered, state_of

TICK_S = 0.25           # between two looks at the cells and at overrides.json
ADDRESSES_S = 30.0      # between two looks at this host's addresses
MOST_TOLD = 500         # events of endpoints that joined or left, for one plan
COMPLAIN_S = 60.0       # between two lines about the same trouble

log = logging.getLogger(f"{PRODUCT}.endpoints")


@dataclass(frozen=True, slots=True)
class Assigned:
    """How a service balances, with the slots of its servers; `by_url` is url -> slot, `is_whole`: all have one."""

    how: LoadBalancer
    slots: tuple[int, ...]
    by_url: Mapping[str, int]
    is_whole: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """What is published: for the prober, which follows it by `number`."""

    number: int = 0
    services: Mapping[str, Assigned] = field(default_factory=dict)
    transports: Mapping[str, Transport] = field(default_factory=dict)


class Table:
    """The endpoint table of this host.  `memory` must be the one whose boards this process holds.

    `clock` is CLOCK_MONOTONIC in seconds.  `start` begins the thread, `close` ends it; the rest works without.
    """

    def __init__(self, memory: Memory, static: Static | None = None,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._memory, self._slots, self._clock = memory, memory.slots, clock
        self._static = static or Static()
        self.events = EventLog()
        self._lock = threading.RLock()
        self._services: dict[str, Assigned] = {}
        self._objects: Mapping[str, Service] = {}   # that were assigned last
        self._transports: Mapping[str, Transport] = {}
        self._plan = Plan()
        self._is_first = True
        self._given = Given(memory)
        self._told = 0
        self._states: dict[tuple[str, str], tuple[tuple[Any, ...], EndpointState]] = {}
        self._overrides: overrides.Overrides = {}
        self._registered: Mapping[tuple[str, str], Registered] = {}
        self._has_master = False                    # somebody else (Redis) says what the overrides are
        self._signature: overrides.Signature = None
        self._complaints: dict[str, float] = {}
        self._own: frozenset[str] = frozenset()
        self._own_until = float("-inf")
        self._ejections = Ejections(self._slots, self.events)
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._is_new = True
        self._look_at_addresses()
        self._look_at_file()
        self._is_new = False

    # What the publisher calls, in the disk thread

    def assign(self, dynamic: Dynamic) -> Dynamic:
        """The same with the slot of every endpoint.  A service that is the same object as before costs nothing."""
        with self._lock:
            before, now, objects = self._services, {}, self._objects
            self._told = 0
            for name, service in dynamic.services.items():
                known = before.get(name)
                if known is not None and known.is_whole and (
                        objects[name] is service or known.how == service.how):     # an edit has moved its lines alone
                    now[name] = known
                elif isinstance(service.how, LoadBalancer):
                    now[name] = self._assigned(name, service.how, known.by_url if known is not None else {})
            for name, known in before.items():
                if (after := now.get(name)) is not known:
                    self._leave(name, known, after.by_url if after is not None else {})
            if self._is_first:
                self._given.leave_all_but({slot for each in now.values() for slot in each.slots})
            self._services, self._objects, self._transports = now, dynamic.services, dynamic.transports
            self._is_first = False
            missing = sum(slot < 0 for each in now.values() if not each.is_whole for slot in each.slots)
        if missing:
            self._complain(f"{missing} endpoints are served without a memory of their health: there are"
                           f" {self._slots.capacity} slots, and a url may have some 400 characters")
        return replace(dynamic, slots={name: each.slots for name, each in now.items()})

    def published(self, generation: int) -> None:
        """What was assigned last is what workers serve from this generation on."""
        with self._lock:
            self._given.published(generation)
            if self._plan.services is not self._services or self._plan.transports is not self._transports:
                self._plan = Plan(self._plan.number + 1, self._services, self._transports)

    def _assigned(self, service: str, how: LoadBalancer, before: Mapping[str, int]) -> Assigned:
        others = self._given.count(service)
        by_url: dict[str, int] = {}
        for server in how.servers:
            url = server.url
            if url in by_url:
                continue
            slot, is_new = before.get(url, -1), False
            if slot < 0:
                slot, is_new = self._join(service, url, others)
            by_url[url] = slot
            if slot >= 0:
                self._set_up(service, url, slot, how.health_check, is_new)
        slots = tuple(by_url[server.url] for server in how.servers)
        return Assigned(how, slots, by_url, -1 not in slots)

    def _join(self, service: str, url: str, others: int) -> tuple[int, bool]:
        """The slot of an endpoint that was not in the last plan, and whether it is new to those who serve."""
        slot, is_new, is_first = self._given.give(service, url)
        # an agent that was killed between giving a slot and setting it up has left it without a date
        if slot < 0 or not (is_new or not self._slots.load(slot, SLOT_CHANGED_MS)):
            return slot, False
        others -= not is_first          # one that comes back was counted
        if others > 0:
            self._slots.store(slot, SLOT_SINCE_MS, self._now_ms())      # slow start: the others had time to warm up
        if not self._is_first or others > 0:
            self._tell_some(Event(ENDPOINT_JOINED, for_people(service), url))
        return slot, True

    def _set_up(self, service: str, url: str, slot: int, check: HealthCheck | None, is_new: bool) -> None:
        """Makes the bits of an endpoint what is known of it now."""
        slots = self._slots
        state = slots.load(slot, SLOT_STATE)
        mask = STATE_LOCAL | OVERRIDE_MASK
        bits = self._bits_said(for_people(service), url) | (STATE_LOCAL if is_here(url, self._own) else 0)
        verdict = at_first(state, check, is_new)
        if verdict != state & VERDICT_MASK:     # else the prober may be about to change it, and we let it
            mask |= VERDICT_MASK
            bits |= verdict
        slots.set_state(slot, bits, mask)
        if is_new or (state ^ bits) & mask & ~STATE_LOCAL:
            slots.store(slot, SLOT_CHANGED_MS, _unix_ms())
        if check is None:
            self._forget_probes(slot)

    def _forget_probes(self, slot: int) -> None:
        if self._slots.load(slot, SLOT_PROBES):
            for word in (SLOT_PROBES, SLOT_PROBED_MS, SLOT_PROBE_US, SLOT_PROBE_WHY):
                self._slots.store(slot, word, 0)

    def _leave(self, service: str, known: Assigned, after: Mapping[str, int]) -> None:
        for url, slot in known.by_url.items():
            if slot >= 0 and url not in after:
                self._given.leave(slot)
                self._tell_some(Event(ENDPOINT_LEFT, for_people(service), url))

    def _tell_some(self, event: Event) -> None:
        self._told += 1
        if self._told <= MOST_TOLD:
            self.events.add(event)

    # What the prober calls, on the hub

    @property
    def plan(self) -> Plan:
        """The services that are published, with their slots."""
        return self._plan

    def probed(self, service: str, url: str, slot: int, check: HealthCheck, why: int, took_us: int) -> int:
        """Takes in the outcome of a probe (`why` of mesh/health/verdict.py); answers the state that it leads to."""
        slots = self._slots
        row = in_a_row(slots.load(slot, SLOT_PROBES), not why)
        slots.store(slot, SLOT_PROBES, row)
        slots.store(slot, SLOT_PROBE_WHY, why)
        slots.store(slot, SLOT_PROBE_US, took_us)
        slots.store(slot, SLOT_PROBED_MS, _unix_ms())
        state = slots.load(slot, SLOT_STATE)
        before, after = state & VERDICT_MASK, judge(state, row, check)
        if before == after:
            return state
        if before & STATE_DOWN or slots.load(slot, SLOT_SINCE_MS):
            slots.store(slot, SLOT_SINCE_MS, self._now_ms())            # it returns, or joins only now: slow start
        slots.set_state(slot, after, VERDICT_MASK)
        slots.store(slot, SLOT_CHANGED_MS, _unix_ms())
        name = for_people(service)
        if after & STATE_DOWN:
            self.events.add(Event(ENDPOINT_DOWN, name, url, "down", f"{words(why)}, {_probes(-row, 'failed')}"))
        else:
            self.events.add(Event(ENDPOINT_UP, name, url, "up", _probes(row, "good")))
        return slots.load(slot, SLOT_STATE)

    def unchecked(self, slot: int) -> None:
        """No probe of this endpoint follows: a verdict that came after its check was taken away would never end."""
        self._slots.set_state(slot, 0, VERDICT_MASK)
        self._forget_probes(slot)

    # Words of operators and of instances, from any thread but the hub's: they wait for the disk

    def override(self, service: str, url: str, word: str, who: str = "", why: str = "") -> None:
        """An operator's word: "drain", "disable", "weight=3", or "" to take it back.  It holds in the cells at once.

        An endpoint that is not there yet gets it when it comes.  ValueError for a wrong word, OSError when it could not
        be written down (it holds all the same, until the host is started anew).
        """
        said = made(word, who, why)
        key = for_people(service), url
        with self._lock:
            self._say({key: said}, who, why)
        if self._static.state_directory:
            overrides.put(self._static.state_directory, *key, said)

    def replace_overrides(self, said: Mapping[tuple[str, str], Override]) -> None:
        """All words that hold, by service (its name for people) and url; from now on the file is only their memory."""
        with self._lock:
            self._has_master = True
            self._replace(said)
            kept = dict(self._overrides)
        if self._static.state_directory:
            try:
                overrides.put_all(self._static.state_directory, kept)
            except OSError as error:
                self._complain(f"{overrides.FILE} cannot be written: {(error.strerror or str(error)).lower()}")

    def overrides(self) -> dict[tuple[str, str], Override]:
        """The words that hold, by service (its name for people) and url."""
        with self._lock:
            return dict(self._overrides)

    def registered(self, said: Mapping[tuple[str, str], Registered]) -> None:
        """What instances say of themselves, all of them, by service (its name for people) and url."""
        with self._lock:
            before, self._registered = self._registered, dict(said)
            for key in {*before, *said}:
                if before.get(key) != said.get(key):
                    self._apply(*key)

    def _replace(self, said: Mapping[tuple[str, str], Override]) -> None:
        gone = {key: Override() for key in self._overrides if key not in said}
        self._say({**gone, **said})

    def _say(self, said: Mapping[tuple[str, str], Override], who: str = "", why: str = "") -> None:
        """Takes words in; who and why are told of one that is taken back, which has none of its own."""
        for key, override in said.items():
            before = self._overrides.get(key, Override())
            if override == before:
                continue
            if override.word:
                self._overrides[key] = override
            else:
                del self._overrides[key]
            self._apply(*key)
            self.events.add(Event(OVERRIDE, *key, override.word or f"no {before.word}", override.why or why,
                                  override.who or who))

    def _apply(self, service: str, url: str) -> None:
        """Makes the cells of one endpoint what is said of it, if it has some."""
        known = self._services.get(qualified(service))
        slot = known.by_url.get(url, -1) if known is not None else -1
        if slot < 0:
            return
        before = self._slots.load(slot, SLOT_STATE)
        bits = self._bits_said(service, url)
        out = STATE_DRAIN | STATE_DISABLED
        if before & out and not bits & out:
            self._slots.store(slot, SLOT_SINCE_MS, self._now_ms())      # it returns: slow start
        if self._slots.set_state(slot, bits, OVERRIDE_MASK):
            self._slots.store(slot, SLOT_CHANGED_MS, _unix_ms())

    def _bits_said(self, service: str, url: str) -> int:
        override, registered = self._overrides.get((service, url)), self._registered.get((service, url))
        bits = bits_of(override.word) if override is not None else 0
        return bits | (bits_of(registered.word) if registered is not None else 0)

    # What everybody may read

    def endpoints(self) -> list[EndpointState]:
        """Every endpoint of the plan as it is now.

        One that has not changed is the same object as the last time, so a reader may compare by `is`.
        """
        now_ms = self._now_ms()
        found: list[EndpointState] = []
        before, kept = self._states, {}
        said, registered = self._overrides, self._registered
        for name, each in self._services.items():
            service, is_checked = for_people(name), each.how.health_check is not None
            weights: dict[str, int] = {}
            for server in each.how.servers:         # one that is listed twice has both weights
                weights[server.url] = weights.get(server.url, 0) + server.weight
            for url, slot in each.by_url.items():
                key = service, url
                cells = self._slots.words(slot) if slot >= 0 else None
                now = name, url, cells, weights[url], is_checked, said.get(key), registered.get(key)
                known = before.get(key)
                if known is None or known[0] != now or known[1].ejected_ms:
                    known = now, state_of(name, url, slot, *now[2:], now_ms)
                kept[key] = known
                found.append(known[1])
        self._states = kept
        return found

    # The thread

    def start(self) -> None:
        """Begins to watch overrides.json, the workers' ejections, and what may be taken back."""
        self._thread = threading.Thread(target=self._run, name="table", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the thread."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(TICK_S):
            try:
                self.tick()
            except Exception:
                log.exception("the endpoint table is not watched for an error inside hostmesh: once more in 5 s")
                self._ended.wait(5.0)

    def tick(self) -> None:
        """One look at all that others may have changed."""
        self._look_at_file()
        self._look_at_addresses()
        with self._lock:
            self._ejections.look(self._now_ms(), _unix_ms())
            for slot in self._given.take_back(self._clock()):
                self._ejections.forget(slot)

    def _look_at_file(self) -> None:
        if self._has_master or not self._static.state_directory:
            return
        path = overrides.path_of(self._static.state_directory)
        try:
            signature = overrides.signature(path)
            if signature == self._signature and not self._is_new:
                return
            said, wrong = overrides.read(path)
        except (OSError, ValueError) as error:
            self._complain(f"{path} cannot be read ({error}): the words that hold go on to hold")
            return
        self._signature = signature
        with self._lock:
            for service, url in wrong:          # a word that nobody understands takes none back
                said.update({key: each for key, each in self._overrides.items()
                             if key[0] == service and url in ("", key[1])})
            if self._is_new:
                self._overrides = said          # what held before we came is no news
            else:
                self._replace(said)
        for (service, url), sentence in wrong.items():
            log.warning("%s: %s %s: %s", path, service, url, sentence)

    def _look_at_addresses(self) -> None:
        if self._clock() < self._own_until:
            return
        self._own_until = self._clock() + ADDRESSES_S
        try:
            own = own_addresses()
        except OSError as error:
            self._complain(f"this host's addresses cannot be told: {(error.strerror or str(error)).lower()}")
            return
        own |= {each.lower() for each in (self._static.host_address, self._static.host_name) if each}
        with self._lock:
            if own == self._own:
                return
            self._own = own
            for each in self._services.values():
                for url, slot in each.by_url.items():
                    if slot >= 0:
                        self._slots.set_state(slot, STATE_LOCAL if is_here(url, own) else 0, STATE_LOCAL)

    def _complain(self, said: str) -> None:
        now = self._clock()
        if now >= self._complaints.get(said, float("-inf")):
            if len(self._complaints) > 100:
                self._complaints.clear()
            self._complaints[said] = now + COMPLAIN_S
            log.warning("%s", said)

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)


def _probes(row: int, how: str) -> str:
    return f"{row} probe{'s' * (row > 1)} {how}" + " in a row" * (row > 1)


def _unix_ms() -> int:
    return time.time_ns() // 1_000_000
