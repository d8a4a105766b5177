"""Active health: who is probed, when, and how many at once.

Owns the clock of the probes: the first at once, then each interval with a jitter of its own, until the plan has the
endpoint no more.  What a probe does stands in probe.py, what its outcome leads to in table.py.

Everything runs on the agent's hub in small pieces.  At most MOST_AT_ONCE probes are under way; of these, endpoints that
did not answer the last time have MOST_SLOW, so that a rack that is silent cannot hold up the probes of all others.
Trouble of our own (no descriptor left) is told in the log and counts for no endpoint.  Floor 3.
"""
from __future__ import annotations

import logging
import random
import resource
import ssl
import time
from collections import deque
from collections.abc import Callable, Mapping
from heapq import heappop, heappush

import gevent
from gevent import Greenlet

from mesh.health.asking import Asked, asked_of
from mesh.health.verdict import NAME_TIMED_OUT, NO_SOCKET, NOT_CONNECTED, TIMED_OUT, left_s, wait_s
from mesh.model import HealthCheck, Transport
from mesh.names import PRODUCT
from mesh.shared.slots import SLOT_PROBED_MS, SLOT_STATE, STATE_DOWN, STATE_WAITS, Slots
from workers.agent.probe import Finder, Probe
from workers.agent.probe_names import Names
from workers.agent.table import Assigned, Plan, Table
from workers.tls import context_of

MOST_AT_ONCE = 4096     # and never more than half of the descriptors that this process may have
MOST_SLOW = 3072
MOST_A_TURN = 32        # probes that begin in one turn: some 3 ms, then others have the hub
FOLLOW_S = 0.25         # at most between two turns
SWEEP_S = 0.05          # between two looks for probes whose time is over
STALLED_S = 0.5         # a turn that comes so late: we stood still, and what probes wait for may be there already
FEW = 128               # endpoints that are taken up at a time
COMPLAIN_S = 60.0

log = logging.getLogger(f"{PRODUCT}.probes")

_SILENT = (NAME_TIMED_OUT, NOT_CONNECTED, TIMED_OUT)


class _Target:
    """One endpoint that is probed; `due` is its next probe (None: one is under way), `turn` tells its entries apart."""

    __slots__ = ("asked", "check", "due", "host", "is_first", "is_gone", "is_silent", "port", "probe", "server_name",
                 "service", "slot", "transport", "turn", "url")

    def __init__(self, service: str, url: str) -> None:
        self.service, self.url = service, url
        self.is_first = True
        self.is_silent = self.is_gone = False
        self.probe: Probe | None = None
        self.due: float | None = None
        self.turn = 0
        self.slot = -1

    def set_up(self, slot: int, check: HealthCheck, transport: Transport | None) -> None:
        """ValueError for a url that leads nowhere."""
        asked = asked_of(self.url, check)
        self.slot, self.check, self.transport = slot, check, transport
        self.asked: Asked | None = None if check.mode == "tcp" else asked
        self.host, self.port = asked.host, asked.port
        self.server_name = transport.server_name if transport is not None else ""


class Prober:
    """Probes whatever the table has published; `start` on the hub, `close` ends all that is under way.

    `chance` answers numbers from 0 to below 1.
    """

    def __init__(self, table: Table, slots: Slots, chance: Callable[[], float] = random.random,
                 finder: Finder | None = None, most_at_once: int = MOST_AT_ONCE, most_slow: int = MOST_SLOW) -> None:
        self._table, self._slots, self._chance = table, slots, chance
        self._names: Finder | None = finder
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self._most = most_at_once if limit == resource.RLIM_INFINITY else max(8, min(most_at_once, limit // 2))
        self._most_slow = min(most_slow, max(4, self._most * 3 // 4))
        self._plan = Plan()
        self._followed: dict[str, Assigned] = {}
        self._targets: dict[str, dict[str, _Target]] = {}
        self._due: list[tuple[float, int, int, _Target]] = []
        self._number = 0
        self._active: dict[Probe, _Target] = {}
        self._slow = 0
        self._held: deque[_Target] = deque()        # due, but there are enough silent ones under way
        self._swept = time.monotonic()
        self._contexts: dict[str, tuple[Transport | None, ssl.SSLContext | ssl.SSLError]] = {}
        self._complain_at = float("-inf")
        self._greenlet: Greenlet | None = None

    def start(self) -> None:
        """Begins, in a greenlet of its own."""
        if self._names is None:
            self._names = Names()
        self._loop = gevent.get_hub().loop
        self._greenlet = gevent.spawn(self._run)

    def close(self) -> None:
        """Ends; nothing is decided any more."""
        if self._greenlet is not None:
            self._greenlet.kill()
        for probe in list(self._active):
            probe.give_up()
        self._active.clear()

    @property
    def targets(self) -> int:
        """How many endpoints are probed."""
        return sum(map(len, self._targets.values()))

    @property
    def under_way(self) -> int:
        """Probes that have begun and not ended."""
        return len(self._active)

    def _run(self) -> None:
        while True:
            try:
                wait = self._turn(time.monotonic())
            except Exception:
                log.exception("probes do not go on for an error inside hostmesh: once more in 1 s")
                wait = 1.0
            gevent.sleep(wait)

    def _turn(self, now: float) -> float:
        """Whatever is due now; answers how long nothing will be."""
        if self._table.plan is not self._plan:
            self._follow(self._table.plan)
            now = time.monotonic()
        self._sweep(now)
        for _ in range(min(len(self._held), self._most_slow - self._slow)):
            held = self._held.popleft()         # there is a place again, however it came to be free
            if not held.is_gone and held.due is not None:
                self._plan_at(held, held.due)
        due, began = self._due, 0
        while due and due[0][0] <= now and began < MOST_A_TURN and len(self._active) < self._most:
            _, _, turn, target = heappop(due)
            if target.is_gone or target.turn != turn:
                continue
            if target.is_silent and self._slow >= self._most_slow:
                self._held.append(target)
                continue
            self._begin(target)
            began += 1
        if due and due[0][0] <= now:
            return 0.001 if began else 0.01     # enough for this turn, or no place is left
        wait = due[0][0] - now if due else FOLLOW_S
        # what falls due within 2 ms is taken together: a turn costs as much as a quarter of a probe
        return min(max(wait, 0.002), SWEEP_S if self._active else FOLLOW_S)

    # Who

    def _follow(self, plan: Plan) -> None:
        for name in [name for name in self._followed if name not in plan.services]:
            self._drop(name, {})
            del self._followed[name]
        before, now, count = self._plan.transports, plan.transports, 0
        others = {name for name in {*before, *now} if before.get(name) != now.get(name)}
        for name, assigned in plan.services.items():
            if self._followed.get(name) is assigned and assigned.how.transport not in others:
                continue
            self._take_up(name, assigned, plan.transports)
            self._followed[name] = assigned
            count += len(assigned.by_url) if assigned.how.health_check is not None else 0
            if count >= FEW:
                count = 0
                gevent.sleep(0.001)             # a timer: sleep(0) may come back before any socket was looked at
                self._sweep(time.monotonic())
        self._plan = plan

    def _take_up(self, name: str, assigned: Assigned, transports: Mapping[str, Transport]) -> None:
        check = assigned.how.health_check
        wanted = {url: slot for url, slot in assigned.by_url.items() if slot >= 0} if check is not None else {}
        if check is None and name in self._targets:
            self._drop(name, {})
            for slot in assigned.by_url.values():
                if slot >= 0:
                    self._table.unchecked(slot)
            return
        self._drop(name, wanted)
        if check is None or not wanted:
            return
        targets = self._targets.setdefault(name, {})
        transport = transports.get(assigned.how.transport)
        for url, slot in wanted.items():
            target = targets.get(url)
            former = target.check if target is not None else None
            try:
                if target is None:
                    target = _Target(name, url)
                target.set_up(slot, check, transport)
            except ValueError as error:
                self._complain(f"{url} of {name} cannot be probed: {error}")
                continue
            targets[url] = target
            state = self._slots.load(slot, SLOT_STATE)
            if former is None:
                self._plan_at(target, time.monotonic() + self._first_in(slot, state, check))
            elif target.probe is None and (former != check or state & STATE_WAITS):
                wait = 0.0 if state & STATE_WAITS else wait_s(check, bool(state & STATE_DOWN), False, self._chance())
                self._plan_at(target, min(target.due or 0.0, time.monotonic() + wait))

    def _first_in(self, slot: int, state: int, check: HealthCheck) -> float:
        """At once; where a former agent has probed, its rhythm goes on."""
        probed_ms = self._slots.load(slot, SLOT_PROBED_MS)
        if not probed_ms or state & STATE_WAITS:
            return 0.0
        return left_s(check, bool(state & STATE_DOWN), max(0.0, time.time() - probed_ms / 1000), self._chance())

    def _drop(self, name: str, but: Mapping[str, int]) -> None:
        targets = self._targets.get(name)
        if targets is None:
            return
        for url in [url for url in targets if url not in but]:
            target = targets.pop(url)
            target.is_gone = True
            probe = target.probe
            if probe is not None:
                self._ended(probe)
                probe.give_up()
        if not targets:
            del self._targets[name]

    # When

    def _plan_at(self, target: _Target, due: float) -> None:
        target.due = due
        target.turn += 1
        self._number += 1
        heappush(self._due, (due, self._number, target.turn, target))

    def _begin(self, target: _Target) -> None:
        assert self._names is not None
        probe = Probe(self._loop, target.check, target.host, target.port, target.asked,
                      lambda: self._context(target.transport), target.server_name, self._names, self._judge)
        target.probe, target.due = probe, None
        self._active[probe] = target
        self._slow += target.is_silent
        probe.start()

    def _judge(self, probe: Probe, why: int) -> None:
        """What is called when a probe has ended."""
        target = self._active[probe]
        now = time.monotonic()
        self._ended(probe)
        check, is_first = target.check, target.is_first
        try:
            if why == NO_SOCKET:
                self._complain("probes are left out: this host has no socket left for them")
            else:
                target.is_silent, target.is_first = why in _SILENT, False
                self._table.probed(target.service, target.url, target.slot, check, why, int((now - probe.began) * 1e6))
        finally:
            is_down = bool(self._slots.load(target.slot, SLOT_STATE) & STATE_DOWN)
            self._plan_at(target, max(probe.began + wait_s(check, is_down, is_first, self._chance()), now + 0.001))

    def _ended(self, probe: Probe) -> None:
        target = self._active.pop(probe)
        target.probe = None
        self._slow -= target.is_silent

    def _sweep(self, now: float) -> None:
        gap = now - self._swept
        if gap < SWEEP_S:
            return
        self._swept = now
        if gap > STALLED_S:
            # We were stopped, or starved; the answers wait in the sockets.  Their time goes on when they were read.
            for probe in self._active:
                probe.deadline += gap
            return
        for probe in [probe for probe in self._active if probe.deadline <= now]:
            probe.time_out()

    def _context(self, transport: Transport | None) -> ssl.SSLContext:
        name = transport.name if transport is not None else ""
        known = self._contexts.get(name)
        if known is None or known[0] != transport:
            try:
                made: ssl.SSLContext | ssl.SSLError = context_of(transport or Transport())
            except ssl.SSLError as error:
                made = error
                self._complain(f"serversTransport {name}: {error}")
            known = self._contexts[name] = transport, made
        if isinstance(known[1], ssl.SSLError):
            raise known[1].with_traceback(None)     # else it would remember all that it was ever raised for
        return known[1]

    def _complain(self, said: str) -> None:
        now = time.monotonic()
        if now >= self._complain_at:
            self._complain_at = now + COMPLAIN_S
            log.warning("%s", said)
