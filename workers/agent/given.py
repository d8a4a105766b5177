"""Which slots are given, and when one may be given to another endpoint.

Owns the agent's side of the directory in mesh/shared/slots.pyx.  A slot is taken back QUIET_S after its endpoint left:
for so long every worker has served a plan without it, and nothing was under way there.  A request that holds an older
plan might still try it until then, and must not count for a stranger.  Not for two threads at once.  Floor 3.
"""
from __future__ import annotations

from dataclasses import dataclass

from mesh.shared.layout import Memory
from mesh.shared.series import GAUGE_GENERATION, GAUGE_PID
from mesh.shared.slots import DIVIDER, KEPT_MS, key_of

QUIET_S = KEPT_MS / 1000


@dataclass(slots=True)
class _Leaving:
    """A slot whose endpoint is in no plan any more; `generation` is the first plan without it, once there is one."""

    generation: int | None = None
    quiet_since: float | None = None


class Given:
    """The slots that have a name.  What a former agent gave is taken over."""

    def __init__(self, memory: Memory) -> None:
        self._memory, self._slots = memory, memory.slots
        self._leaving: dict[int, _Leaving] = {}
        self._counts: dict[str, int] = {}           # by service, leaving ones too
        for _, key in self._slots.items():
            self._count(key, 1)

    def count(self, service: str) -> int:
        """How many slots the endpoints of a service have, those that have just left too."""
        return self._counts.get(service, 0)

    def give(self, service: str, url: str) -> tuple[int, bool, bool]:
        """The slot of an endpoint (-1: there is none left); whether it is new to who serves, and whether to the memory.

        It is not new when a former agent gave it, or when no plan was published yet that lacks it.
        """
        key = key_of(service, url)
        is_known = self._slots.find(key) >= 0
        slot = self._slots.give(key)
        if slot < 0:
            return -1, False, False
        if is_known:
            left = self._leaving.pop(slot, None)
            return slot, left is not None and left.generation is not None, False
        self._count(key, 1)
        return slot, True, True

    def leave(self, slot: int) -> None:
        """The next plan has this endpoint no more."""
        self._leaving[slot] = _Leaving()

    def leave_all_but(self, used: set[int]) -> None:
        """What a former agent gave and the first plan of this one does not have."""
        self._leaving.update({slot: _Leaving() for slot, _ in self._slots.items() if slot not in used})

    def published(self, generation: int) -> None:
        """The plan of this generation is the first without those that left since the last."""
        for each in self._leaving.values():
            if each.generation is None:
                each.generation = generation

    def take_back(self, now: float) -> list[int]:
        """Takes back what nobody can use any more (`now` in seconds), and answers which slots those are."""
        if not self._leaving:
            return []
        oldest = min((column.gauge(GAUGE_GENERATION) for column in self._memory.columns
                      if column.used and column.gauge(GAUGE_PID)), default=None)
        taken: list[int] = []
        for slot, each in self._leaving.items():
            is_known = each.generation is None or (oldest is not None and oldest < each.generation)
            if is_known or self._slots.in_flight(slot):
                each.quiet_since = None
            elif each.quiet_since is None:
                each.quiet_since = now
            elif now - each.quiet_since >= QUIET_S:
                taken.append(slot)
        for slot in taken:
            del self._leaving[slot]
            self._count(self._slots.key(slot), -1)
            self._slots.take_back(slot)
        return taken

    def _count(self, key: str, more: int) -> None:
        service = key.partition(DIVIDER)[0]
        self._counts[service] = self._counts.get(service, 0) + more
        if not self._counts[service]:
            del self._counts[service]
