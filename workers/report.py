"""How an instance is, as far as its shared memory tells: the one picture that status, API and metrics show.

Owns the reading of the cells (`Picture`) and the dictionary that `hostmesh status --json` and `/api/status` print.  It
asks no process anything, so it tells of a dead or hanging instance as well.  Floor 3.
"""
from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from operator import add
from typing import Any

from mesh.names import PRODUCT
from mesh.providers.published import MISSING, Published, as_dict
from mesh.shared.board import BoardDamaged
from mesh.shared.layout import (
    FACT_AGENT_BEAT_MS,
    FACT_AGENT_PID,
    FACT_AGENT_STARTS,
    FACT_DYNAMIC_FAILURES,
    FACT_DYNAMIC_RELOADS,
    FACT_MASTER_PID,
    FACT_REDIS,
    FACT_STATIC_REFUSED,
    FACT_STATIC_RELOADS,
    FACT_WORDS,
    FACT_WORKER_DEATHS,
    FACT_WORKER_STARTS,
    FACT_WORKERS,
    REDIS_AWAY,
    REDIS_UP,
    Memory,
)
from mesh.shared.series import (
    GAUGE_BEAT_MS,
    GAUGE_CONNECTIONS,
    GAUGE_DRAINING,
    GAUGE_ENTRYPOINTS,
    GAUGE_GENERATION,
    GAUGE_LOG_DROPPED,
    GAUGE_PID,
    ROW_REQUESTS,
    ROW_RETRIES,
)
from workers.about import About, read_about
from workers.memory import attach

LATE_S = 5.0            # a worker beats ten times a second, an agent twice: this is not load any more
ENTRY_POINTS = 16       # that have a gauge of their own


@dataclass(frozen=True, slots=True)
class WorkerSeen:
    """One worker as its column tells; `beat_ms` is CLOCK_MONOTONIC, `by_entry_point` connections in their order."""

    number: int
    pid: int
    generation: int
    connections: int
    is_draining: bool
    beat_ms: int
    by_entry_point: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Picture:
    """The cells at one moment, summed over all columns, those of workers long dead too: what they counted counts.

    `rows` are by labels, as series.pyx draws them.
    """

    facts: tuple[int, ...]
    generation: int = 0
    rows: dict[bytes, list[int]] = field(default_factory=dict)
    workers: tuple[WorkerSeen, ...] = ()
    log_dropped: int = 0


def look(memory: Memory) -> Picture:
    """The picture as it is now.  Not for two threads at once over the same Memory."""
    rows: dict[bytes, list[int]] = {}
    workers: list[WorkerSeen] = []
    dropped = 0
    for column in memory.columns:
        if not column.used:
            continue
        gauges, counted = column.read()
        dropped += gauges[GAUGE_LOG_DROPPED]
        if gauges[GAUGE_PID]:
            workers.append(WorkerSeen(column.number, gauges[GAUGE_PID], gauges[GAUGE_GENERATION],
                                      gauges[GAUGE_CONNECTIONS], bool(gauges[GAUGE_DRAINING]), gauges[GAUGE_BEAT_MS],
                                      tuple(gauges[GAUGE_ENTRYPOINTS:GAUGE_ENTRYPOINTS + ENTRY_POINTS])))
        for labels, words in counted.items():
            rows[labels] = list(map(add, rows[labels], words)) if labels in rows else words
    return Picture(tuple(memory.facts.load(index) for index in range(FACT_WORDS)), memory.plan.generation, rows,
                   tuple(workers), dropped)


def published(memory: Memory) -> Published:
    """What the agent told last; nothing where the board holds nothing that this version can read."""
    try:
        return Published.from_json(memory.sources.read()[1])
    except (BoardDamaged, ValueError):
        return Published()


def is_alive(pid: int) -> bool:
    """Whether a process with this pid runs."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True             # another user's
    return True


def read_status(runtime_directory: str) -> dict[str, Any]:
    """The status of the instance on this directory; raises workers.memory.Refused where none ever ran."""
    return status(attach(runtime_directory), read_about(runtime_directory))


def status(memory: Memory, about: About, now_ms: int | None = None) -> dict[str, Any]:
    """The status as a dictionary for JSON.  `good` says whether all is as it should be, `why` what is not.

    Ages are in seconds (None: there is no beat yet); `now_ms` is CLOCK_MONOTONIC.
    """
    now_ms = time.monotonic_ns() // 1_000_000 if now_ms is None else now_ms
    seen, said = look(memory), published(memory)
    facts = seen.facts
    master, agent = facts[FACT_MASTER_PID], facts[FACT_AGENT_PID]
    has_master = is_alive(master)
    answer: dict[str, Any] = {
        "product": PRODUCT, "version": about.version, "host": about.host,
        "started": about.started, "upSeconds": _age_s(about.started) if has_master else None,
        "staticFile": about.static_file, "entryPoints": dict(about.entry_points), "admin": about.admin,
        "master": {"pid": master, "alive": has_master, "staticReloads": facts[FACT_STATIC_RELOADS],
                   "staticRefused": facts[FACT_STATIC_REFUSED]},
        "agent": {"pid": agent, "alive": is_alive(agent), "starts": facts[FACT_AGENT_STARTS],
                  "beatAgeSeconds": _beat_age_s(facts[FACT_AGENT_BEAT_MS], now_ms)},
        "workersWanted": facts[FACT_WORKERS], "workerStarts": facts[FACT_WORKER_STARTS],
        "workerDeaths": facts[FACT_WORKER_DEATHS],
        "workers": [{"number": worker.number, "pid": worker.pid, "alive": is_alive(worker.pid),
                     "generation": worker.generation, "connections": worker.connections,
                     "draining": worker.is_draining, "beatAgeSeconds": _beat_age_s(worker.beat_ms, now_ms)}
                    for worker in seen.workers],
        "generation": seen.generation, "reloads": facts[FACT_DYNAMIC_RELOADS],
        "reloadFailures": facts[FACT_DYNAMIC_FAILURES],
        "published": datetime.fromtimestamp(said.reloaded_at).astimezone().isoformat(timespec="seconds")
        if said.reloaded_at else "",
        "connections": sum(worker.connections for worker in seen.workers),
        "requests": {"total": sum(words[ROW_REQUESTS] for words in seen.rows.values()),
                     "errors": sum(words[ROW_REQUESTS] for labels, words in seen.rows.items() if _is_error(labels)),
                     "retries": sum(words[ROW_RETRIES] for words in seen.rows.values())},
        "accessLogDropped": seen.log_dropped,
        "redis": _REDIS.get(facts[FACT_REDIS], ""),
        "objects": counts(said),
        "problems": [as_dict(problem) for problem in said.problems],
        "files": files(said)}
    answer["why"] = list(_complaints(answer))
    answer["good"] = not answer["why"]
    return answer


def counts(said: Published) -> dict[str, dict[str, int]]:
    """By section (routers, services, middlewares, ...): how many objects, and how many with warnings, with errors."""
    counted: dict[str, dict[str, int]] = {
        section: {"total": 0, "warnings": 0, "errors": 0} for section in ("routers", "services", "middlewares")}
    for key, how in said.status.items():
        section = key.partition("/")[0]
        count = counted.setdefault(section, {"total": 0, "warnings": 0, "errors": 0})
        count["total"] += 1
        if how != "enabled":
            count["warnings" if how == "warning" else "errors"] += 1
    return counted


def files(said: Published) -> list[dict[str, Any]]:
    """Every file with its state and what is wrong with it."""
    about: dict[str, list[dict[str, Any]]] = {}
    for problem in said.problems:
        about.setdefault(problem.place.file, []).append(as_dict(problem))
    return [{"file": file, "state": state, "problems": about.get(file, [])} for file, state in said.files.items()]


def _complaints(answer: dict[str, Any]) -> Iterable[str]:
    if not answer["master"]["alive"]:
        yield f"{PRODUCT} does not run: its master (pid {answer['master']['pid']}) is gone"
        return
    agent = answer["agent"]
    if not agent["alive"]:
        yield "the agent does not run: traffic is served, changes are not seen"
    elif agent["beatAgeSeconds"] is not None and agent["beatAgeSeconds"] > LATE_S:
        yield f"the agent (pid {agent['pid']}) has been silent for {agent['beatAgeSeconds']:.0f} s"
    serving = [worker for worker in answer["workers"] if worker["generation"] and not worker["draining"]
               and worker["alive"]]
    if len(serving) < answer["workersWanted"]:
        yield f"{len(serving)} of {answer['workersWanted']} workers serve"
    for worker in serving:
        if worker["beatAgeSeconds"] is not None and worker["beatAgeSeconds"] > LATE_S:
            yield (f"worker {worker['number']} (pid {worker['pid']}) has been silent for"
                   f" {worker['beatAgeSeconds']:.0f} s")
        elif worker["generation"] < answer["generation"]:
            yield (f"worker {worker['number']} (pid {worker['pid']}) serves generation {worker['generation']}, not"
                   f" {answer['generation']} yet")
    if answer["redis"] == "away":
        yield "Redis is away: traffic is served, and this host goes on by itself (its log says why)"
    errors = sum(problem["severity"] == "error" for problem in answer["problems"])
    if errors:
        yield f"the configuration has {errors} error{'s' * (errors > 1)}"
    elif gone := [each["file"] for each in answer["files"] if each["state"] == MISSING]:
        yield f"{gone[0]} is missing"


_REDIS = {REDIS_UP: "up", REDIS_AWAY: "away"}


def _is_error(labels: bytes) -> bool:
    parts = labels.split(b"\x1f")
    return len(parts) > 3 and parts[3].startswith(b"5")


def _beat_age_s(beat_ms: int, now_ms: int) -> float | None:
    return round(max(0, now_ms - beat_ms) / 1000, 3) if beat_ms else None


def _age_s(iso: str) -> float | None:
    try:
        return round(time.time() - datetime.fromisoformat(iso).timestamp(), 1)
    except ValueError:
        return None
