"""From what a look has found to the boards, the log and the counters: each exactly when something changed.

Owns the order of the two writes: the sources first, so that an agent killed in between leaves a memory that knows what
the plan will serve; its successor finds the plan differing and publishes it.  With no change nothing is written, since
a new generation is work for every worker.  What does not fit on a board changes nothing but the problems.  Floor 3.
"""
from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from mesh.errors import Place, Problem
from mesh.health.events import RELOAD, RELOAD_FAILED, Event
from mesh.model import Dynamic
from mesh.model_json import Writer, from_json
from mesh.names import PRODUCT
from mesh.providers.catalog import Settled
from mesh.providers.published import Published, of
from mesh.shared.board import Board, BoardDamaged, BoardFull
from mesh.shared.layout import FACT_DYNAMIC_FAILURES, FACT_DYNAMIC_RELOADS, Memory
from workers.agent.table import Table

MOST_LINES = 100        # of problems told in the log at one change; the status has them all
MOST_NAMED = 5          # files named in one line
_SECTIONS = ("routers", "services", "middlewares", "transports")

log = logging.getLogger(f"{PRODUCT}.agent")


def restore(memory: Memory) -> Published:
    """What a former agent or run told; begins anew, and says so, when that cannot be read."""
    try:
        return Published.from_json(memory.sources.read()[1])
    except (BoardDamaged, ValueError) as error:
        log.warning("the memory of the sources cannot be read (%s): last good versions are forgotten", error)
        return Published()


@dataclass(frozen=True, slots=True)
class Found:
    """What a look has found: everything that is published, and `paths` that the news was about.

    `instances` are those that joined, for the agent that comes next.  `is_shared`: what is new came from Redis
    alone, so every host sees it.
    """

    settled: Settled
    catalog: bytes
    files: Mapping[str, str]
    static_problems: tuple[Problem, ...] = ()
    static_digest: str = ""
    paths: tuple[str, ...] = ()
    instances: bytes = b""
    is_shared: bool = False


class Publisher:
    """The one writer of the boards.

    `former` is what is on the sources board, `told` the problems that this service's log has told already.  Warnings
    about `static_file` are not logged here: the master does that when it takes the file up.  `table` gives endpoints
    their slots.
    """

    def __init__(self, memory: Memory, former: Published, told: Iterable[Problem], static_file: str,
                 table: Table) -> None:
        self._memory, self._table = memory, table
        self._before = former
        self._static_file = static_file
        self._told = self._to_tell(told)
        self._dynamic = _dynamic_on(memory.plan)
        self._writer, self._plan = Writer(), _value(memory.plan)
        self.is_refused = False         # the last change did not fit; room may come (a disk that was full)

    def publish(self, found: Found) -> int:
        """Puts on the boards what is new; answers the generation that is published now."""
        before, board = self._before, self._memory.plan
        plan = self._writer.write(self._table.assign(found.settled.dynamic))
        has_new_plan = plan != self._plan
        reloaded_at = time.time() if has_new_plan or not before.reloaded_at else before.reloaded_at
        wanted = of(found.settled, found.catalog, found.files, found.static_problems, reloaded_at, found.static_digest,
                    found.instances)
        self.is_refused = False
        try:
            if len(plan) > board.capacity:
                raise BoardFull(f"{len(plan)} bytes do not fit on a board of {board.capacity} bytes")
            has_new_sources = self._write_sources(wanted)
            if has_new_plan:
                board.write(plan)
                self._plan = plan
        except BoardFull as full:
            wanted, has_new_plan, has_new_sources = self._refuse(found, before, full), False, True
            self.is_refused = True
        else:
            self._table.published(board.generation)
        if has_new_plan or has_new_sources:
            self._count_failure(wanted.problems, found.paths, found.is_shared)
        self._tell(wanted.problems, found.files)
        if has_new_plan:
            self._memory.facts.add(FACT_DYNAMIC_RELOADS, 1)
            self._tell_change(found)
        return self._memory.plan.generation

    def _write_sources(self, wanted: Published) -> bool:
        if wanted == self._before and self._memory.sources.generation:
            return False
        self._memory.sources.write(wanted.to_json())
        self._before = wanted
        return True

    def _refuse(self, found: Found, before: Published, full: BoardFull) -> Published:
        """The plan and the memory stay as they were; the problem is told beside them."""
        where = found.paths[0] if len(found.paths) == 1 else ""
        problem = Problem(Place(where), "", f"the configuration does not fit: {full}; what served before still serves",
                          code="too-large")
        others = (problem, *found.static_problems, *found.settled.problems)
        told = replace(before, problems=others, static_digest=found.static_digest)
        try:
            self._write_sources(told)
        except BoardFull:
            log.error("not even the problems fit on the board: hostmesh status shows older ones")
        return told

    def _count_failure(self, problems: Collection[Problem], paths: Collection[str], is_shared: bool) -> None:
        """A change with an error in it: one that is new, or one of a file that changed."""
        new = [problem for problem in problems if problem.severity == "error"
               and (_same(problem) not in self._told or problem.place.file in paths)]
        if new:
            self._memory.facts.add(FACT_DYNAMIC_FAILURES, 1)
            more = f" and {len(new) - 1} more" if len(new) > 1 else ""
            self._table.events.add(Event(RELOAD_FAILED, why=f"{new[0]}{more}", is_shared=is_shared), is_said=False)

    def _to_tell(self, problems: Iterable[Problem]) -> dict[tuple[str, ...], Problem]:
        return {_same(problem): problem for problem in problems
                if problem.severity == "error" or problem.place.file != self._static_file}

    def _tell(self, problems: Collection[Problem], files: Collection[str]) -> None:
        """Each problem once when it is new, once when it has gone; one that moved to another line is the same."""
        before, self._told = self._told, self._to_tell(problems)
        new = [problem for key, problem in self._told.items() if key not in before]
        for problem in new[:MOST_LINES]:
            log.log(logging.ERROR if problem.severity == "error" else logging.WARNING, "%s", problem)
        mended = [problem for key, problem in before.items() if key not in self._told]
        for problem in mended[:MOST_LINES]:
            is_gone = problem.place.file and not any(file.startswith(problem.place.file) for file in files)
            log.info("%s: %s", "gone" if is_gone else "mended", _in_short(problem))
        if (more := max(0, len(new) - MOST_LINES) + max(0, len(mended) - MOST_LINES)):
            log.warning("and %d more problems came or went: hostmesh status shows all that there are", more)

    def _tell_change(self, found: Found) -> None:
        before, self._dynamic = self._dynamic, found.settled.dynamic
        said = ", ".join(filter(None, (changes(section, getattr(before, section), getattr(self._dynamic, section))
                                       for section in _SECTIONS)))
        named = ", ".join(found.paths[:MOST_NAMED])
        more = f" and {len(found.paths) - MOST_NAMED} more" if len(found.paths) > MOST_NAMED else ""
        told = f"{said or 'the same objects'}{f' (from {named}{more})' if named else ''}"
        generation = self._memory.plan.generation
        log.info("generation %d: %s", generation, told)
        self._table.events.add(Event(RELOAD, what=f"generation {generation}", why=told, is_shared=found.is_shared),
                               is_said=False)


def changes(section: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What changed in one section: "routers +1 -0 ~2", or "" when nothing did but the place in the file."""
    came, gone = len(now.keys() - before.keys()), len(before.keys() - now.keys())
    # most are the same objects as before, and `replace` makes new ones: 7 us each
    others = [(before[name], each) for name, each in now.items() if before.get(name, each) is not each]
    other = sum(replace(one, place=each.place) != each for one, each in others)
    return f"{section} +{came} -{gone} ~{other}" if came or gone or other else ""


def _same(problem: Problem) -> tuple[str, ...]:
    """What makes a problem the same one after an edit above it."""
    return problem.place.file, problem.object, problem.message, problem.severity, problem.code


def _in_short(problem: Problem) -> str:
    """What was wrong and where; what followed from it, and what to do, are over."""
    name = f"{problem.object}: " if problem.object else ""
    return f"{problem.place}: {name}{problem.message.partition('; ')[0]}"


def _value(board: Board) -> bytes | None:
    try:
        return board.read()[1]
    except BoardDamaged:
        return None


def _dynamic_on(board: Board) -> Dynamic:
    """What serves now; nothing where the board has nothing, or nothing of this version."""
    try:
        return from_json(board.read()[1])
    except (BoardDamaged, ValueError):
        return Dynamic()
