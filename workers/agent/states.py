"""An endpoint as people and other hosts see it, made of its cells.

Owns the words for a state and which of several comes first.  Floor 3.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mesh.health.override import DRAIN, Override
from mesh.health.verdict import words
from mesh.names import for_people
from mesh.shared.slots import (
    SLOT_CHANGED_MS,
    SLOT_EJECTED_MS,
    SLOT_FAILED_MS,
    SLOT_FAILURES,
    SLOT_LATENCY,
    SLOT_PROBE_US,
    SLOT_PROBE_WHY,
    SLOT_PROBED_MS,
    SLOT_PROBES,
    SLOT_REQUESTS,
    SLOT_STATE,
    SLOT_WORDS,
    STATE_DISABLED,
    STATE_DOWN,
    STATE_DRAIN,
    STATE_LOCAL,
    STATE_WAITS,
    WEIGHT_SHIFT,
)

UP, DOWN, EJECTED, DRAINING, DISABLED, WAITS = "up", "down", "ejected", DRAIN, "disabled", "waits"

_IN_FLIGHT = SLOT_WORDS             # behind the words of Slots.words
_NO_CELLS = (0,) * (SLOT_WORDS + 1)


@dataclass(frozen=True, slots=True)
class Registered:
    """What an instance says of itself: by whom (redis, systemd), its host, and `drain` where it wants to leave."""

    source: str
    host: str = ""
    word: str = ""
    meta: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EndpointState:
    """One endpoint of the plan at one moment; times are unix ms, 0 means never.

    `state` is up, down, ejected, drain, disabled or waits; what an operator said comes before what was found out.
    `is_well` is what was found out alone: neither down nor ejected, and not waiting for its first probe.
    """

    service: str                    # its name for people
    url: str
    slot: int                       # -1: it has no cells
    state: str
    weight: int                     # that holds: the operator's, or the file's
    override: str = ""              # "drain by ann: disk is full"
    since_ms: int = 0               # of the last change of what it is
    in_flight: int = 0
    requests: int = 0
    failures: int = 0
    latency_us: int = 0
    checked: bool = False           # it is probed
    probed_ms: int = 0
    probe_us: int = 0
    probes: int = 0                 # in a row: above 0 good, below 0 bad
    error: str = ""                 # why the last probe failed
    failed_ms: int = 0              # the last request that failed
    ejected_ms: int = 0             # left of an ejection
    source: str = ""                # file, redis, systemd, ...
    host: str = ""                  # that registered it
    local: bool = False
    qualified: str = ""             # the service's name in the model
    is_well: bool = True


def state_of(name: str, url: str, slot: int, cells: Sequence[int] | None, weight: int, checked: bool,
             override: Override | None, registered: Registered | None, now_ms: int) -> EndpointState:
    """The state of an endpoint of service `name`; `cells` as Slots.words gives them, `now_ms` CLOCK_MONOTONIC."""
    seen = _NO_CELLS if cells is None else cells
    bits = seen[SLOT_STATE]
    left_ms = max(0, seen[SLOT_EJECTED_MS] - now_ms)
    override_weight = (bits >> WEIGHT_SHIFT) - 1
    return EndpointState(
        for_people(name), url, slot, word_of(bits, left_ms), override_weight if override_weight >= 0 else weight,
        str(override) if override is not None else "", seen[SLOT_CHANGED_MS], seen[_IN_FLIGHT], seen[SLOT_REQUESTS],
        seen[SLOT_FAILURES], latency_us(seen[SLOT_LATENCY]), checked, seen[SLOT_PROBED_MS], seen[SLOT_PROBE_US],
        seen[SLOT_PROBES], words(seen[SLOT_PROBE_WHY]), seen[SLOT_FAILED_MS], left_ms,
        registered.source if registered is not None else _source(name),
        registered.host if registered is not None else "", bool(bits & STATE_LOCAL), name,
        not (bits & (STATE_DOWN | STATE_WAITS) or left_ms))


def word_of(bits: int, left_ms: int) -> str:
    """The state that a SLOT_STATE and the rest of an ejection make."""
    if bits & STATE_DISABLED:
        return DISABLED
    if bits & STATE_DRAIN:
        return DRAINING
    if bits & STATE_DOWN:
        return DOWN
    if bits & STATE_WAITS:
        return WAITS
    return EJECTED if left_ms else UP


def _source(name: str) -> str:
    """Of an endpoint that did not register itself; the short form, `@mesh`, stands in files."""
    provider = name.rpartition("@")[2]
    return "file" if provider == "mesh" else provider


def latency_us(word: int) -> int:
    """The moving average in a SLOT_LATENCY, its lower half (mesh/balance/leasttime.pyx); 0 where nothing is known."""
    return word & 0xffffffff
