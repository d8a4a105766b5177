"""The rows in which something is done to hostmesh while it serves: SIGHUPs, killed workers, an edit of very many.

Others do not take part: most of them close connections or fail requests by design when the like happens to them.
"""
from __future__ import annotations

import os
import signal
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from bench.clients import Clients, Failure, Told
from bench.figures import Column, Sample
from bench.peers.peer import Proxy
from bench.processes import wait_until
from bench.rows import Bench, Row, many, simple
from bench.shapes import apart
from workers.memory import attach
from workers.report import look, read_status

CLIENTS = 64
LOAD = 0.6              # of what these clients and the proxy can do together
HUPS, HUP_S = 20, 0.5
KILLS, KILL_S = 5, 2.0
FEW_S = 0.05            # a request that was sent so shortly after a kill may have met it on its way
STALL_EDITS, STALL_S = 5, 3.0
STALL_LOAD = 0.3        # beside the one client that asks without a pause
SERVED_S = 30.0


def _full(bench: Bench, proxy: Proxy) -> float:
    with Clients(bench.directory, proxy.port, proxy.wanted.host, CLIENTS, 0, 1.5, bench.other_core) as clients:
        return clients.finish().per_s


def _loaded(bench: Bench, proxy: Proxy, share: float, seconds: float) -> Clients:
    rate = share * _full(bench, proxy)
    return Clients(bench.directory, proxy.port, proxy.wanted.host, CLIENTS, rate, seconds, bench.other_core)


def _status(proxy: Proxy) -> dict[str, Any]:
    return read_status(str(proxy.directory / "run"))


def _in_words(failures: Sequence[Failure]) -> str:
    return f"{len(failures)} requests failed, such as: {failures[0].why}" if failures else ""


def hups(bench: Bench, name: str, round: int) -> Sample:
    """SIGHUPs under a steady load: each replaces the worker, and no request may fail."""
    peer = bench.peers[name]
    with apart(bench), peer.start(bench.fresh(), simple(bench, peer), bench.core) as proxy:
        with _loaded(bench, proxy, LOAD, HUPS * HUP_S + 3.0) as clients:
            time.sleep(1.0)
            before = _status(proxy)["master"]["staticReloads"]
            for _ in range(HUPS):
                proxy.child.process.send_signal(signal.SIGHUP)
                time.sleep(HUP_S)
            told = clients.finish()
        taken = _status(proxy)["master"]["staticReloads"] - before
    return Sample("hups", name, round, {
        "failed": len(told.failures), "hups": HUPS, "taken": taken, "closed_idle": told.closed_idle,
        "answered": told.answered, "per_s": told.per_s, "p99_ms": told.p99_ms}, _in_words(told.failures))


def kills(bench: Bench, name: str, round: int) -> Sample:
    """A worker of two is killed every 2 s: what was under way on it fails, and nothing else."""
    peer = bench.peers[name]
    wanted = replace(simple(bench, peer), options={"workers": "2"})
    at: list[float] = []
    with apart(bench), peer.start(bench.fresh(), wanted, bench.core) as proxy:
        wait_until(lambda: len(_serving(proxy)) == 2, SERVED_S, "not both workers serve")
        with _loaded(bench, proxy, LOAD, KILLS * KILL_S + 2.0) as clients:
            time.sleep(1.0)
            for number in range(KILLS):
                pid = wait_until(lambda: _serving(proxy), KILL_S, "no worker serves")[number % 2 - 1]
                at.append(time.monotonic())
                os.kill(pid, signal.SIGKILL)
                time.sleep(KILL_S)
            told = clients.finish()
        back = len(_serving(proxy))
    others = not_by_a_kill(told.failures, at)
    wrong = _in_words(others) or ("" if back == 2 else f"{back} of 2 workers serve in the end")
    return Sample("kills", name, round, {
        "others": len(others), "in_flight": len(told.failures) - len(others), "kills": KILLS,
        "answered": told.answered, "per_s": told.per_s, "p99_ms": told.p99_ms, "gap_ms": told.gap_ms}, wrong)


def not_by_a_kill(failures: Sequence[Failure], at: Sequence[float]) -> list[Failure]:
    """Those that no kill explains: it must have come while they were under way, on a connection older than it.

    At most FEW_S before them, if they were sent before the end of their connection could be seen.
    """
    return [each for each in failures
            if not any(each.opened < kill <= each.ended and each.began < kill + FEW_S for kill in at)]


def _serving(proxy: Proxy) -> list[int]:
    return [each["pid"] for each in _status(proxy)["workers"]
            if each["alive"] and each["generation"] and not each["draining"]]


def stall(bench: Bench, name: str, round: int) -> Sample:
    """10,000 routers and as many endpoints: how soon an edit serves, and the longest silence that it makes."""
    peer = bench.peers[name]
    took: list[float] = []
    quiet: list[Told] = []
    edited: list[Told] = []
    with apart(bench), peer.start(bench.fresh(), many(bench, 10_000), bench.core) as proxy:
        seconds = (1 + 2 * STALL_EDITS) * (STALL_S + 1.0)
        with _loaded(bench, proxy, STALL_LOAD, seconds):
            for number in range(1, STALL_EDITS + 1):
                for does_edit, into in ((False, quiet), (True, edited)):
                    with _probe(bench, proxy) as probe:
                        time.sleep(0.5)
                        if does_edit:
                            took.append(_edit(proxy, number))
                        into.append(probe.finish())
    failures = [each for told in (*quiet, *edited) for each in told.failures]
    return Sample("stall", name, round, {
        "took_s": max(took), "took_median_s": statistics.median(took),
        "gap_ms": _gap(edited), "gap_most_ms": max(each.gap_ms for each in edited),
        "quiet_gap_ms": _gap(quiet), "quiet_gap_most_ms": max(each.gap_ms for each in quiet),
        "edits": STALL_EDITS, "per_s": statistics.median(each.per_s for each in edited)}, _in_words(failures))


def _gap(probes: Sequence[Told]) -> float:
    return statistics.median(each.gap_ms for each in probes)


def _probe(bench: Bench, proxy: Proxy) -> Clients:
    """One client that asks again at once: between two of its answers, the worker served."""
    return Clients(bench.directory, proxy.port, proxy.wanted.host, 1, 0, STALL_S, bench.other_core)


def _edit(proxy: Proxy, number: int) -> float:
    """Seconds from the save until every worker serves what it says."""
    memory = attach(str(proxy.directory / "run"))
    before = memory.plan.generation
    began = time.monotonic()
    proxy.peer.edit(proxy, number)
    wait_until(lambda: min(each.generation for each in look(memory).workers) > before, SERVED_S,
               f"edit {number} is not served")
    return time.monotonic() - began


OURS = ("us",)
TROUBLE = (
    Row("hups", f"{HUPS} SIGHUPs, one every {HUP_S:g} s, at 60 % of the load", (
        Column("failed", "failed", 0), Column("hups", "HUPs", 0), Column("taken", "taken up", 0),
        Column("closed_idle", "closed idle", 0), Column("answered", "answered", 0), Column("per_s", "requests/s", 0),
        Column("p99_ms", "p99 ms", 2)), hups, contestants=OURS, references=()),
    Row("kills", f"kill -9 of one of two workers every {KILL_S:g} s, at 60 % of the load", (
        Column("others", "failed otherwise", 0), Column("in_flight", "failed with their worker", 0),
        Column("kills", "kills", 0), Column("answered", "answered", 0), Column("per_s", "requests/s", 0),
        Column("p99_ms", "p99 ms", 2), Column("gap_ms", "longest silence ms")), kills, contestants=OURS,
        references=()),
    Row("stall", "one edit of 10,000 routers and endpoints that serve", (
        Column("took_s", "s until all serve it", 2), Column("took_median_s", "median", 2),
        Column("gap_ms", "longest silence ms"), Column("gap_most_ms", "at most"),
        Column("quiet_gap_ms", "without an edit"), Column("quiet_gap_most_ms", "at most"),
        Column("edits", "edits", 0), Column("per_s", "probe/s", 0)), stall, contestants=OURS, references=()),
)
