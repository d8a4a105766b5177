"""The rows of the bench: what is asked of every proxy, and how one measurement of it is made.

Owns the shapes.  A row is measured once per peer and round, with a proxy that is started for it.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.figures import REFERENCES, Column, Sample
from bench.load import Answered, wrk
from bench.peers.ours import Ours
from bench.peers.peer import CATCH_ALL, Peer, Proxy, Route, Wanted
from bench.processes import Cost
from bench.upstream import Upstream

HOST = "h42.bench.example"
POST = 'wrk.method = "POST"\nwrk.body = string.rep("x", 65536)\n'
CPU = (Column("us", "us/request"), Column("busiest_us", "busiest process"), Column("user_us", "user"),
       Column("system_us", "system"), Column("per_s", "requests/s", 0), Column("p50_ms", "p50 ms", 2),
       Column("p99_ms", "p99 ms", 2), Column("memory_mib", "MiB"))


@dataclass(slots=True)
class Bench:
    """What every measurement needs: a directory, the upstream, the cores and the times."""

    directory: Path
    upstream: Upstream
    core: int
    other_core: int
    warm_s: float
    load_s: float
    files: int
    peers: Mapping[str, Peer]
    count: int = 0
    rate: float = 0.0               # requests a second where all get the same: found by the first that asks

    def fresh(self) -> Path:
        """A directory for one proxy."""
        self.count += 1
        return self.directory / f"{self.count}"


Measure = Callable[[Bench, str, int], Sample]


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the bench: who is measured (nobody named: all peers), how, and what the others are compared with."""

    name: str
    title: str
    columns: Sequence[Column]
    measure: Measure
    contestants: Sequence[str] = ()
    references: Sequence[str] = REFERENCES
    is_ours: bool = False           # the contestants are features or states of ours
    is_bill: bool = False           # and differences are told instead of ratios

    def of(self, peers: Sequence[str]) -> list[str]:
        """Who is measured if these peers take part."""
        if self.is_ours:
            return list(self.contestants) if "us" in peers else []
        return [peer for peer in peers if not self.contestants or peer in self.contestants]


def simple(bench: Bench, peer: Peer, connections: int = 512) -> Wanted:
    """The plain task: everything to one upstream; ours chooses among 100 hosts and two endpoints."""
    first, second = f"127.0.0.1:{bench.upstream.first}", f"127.0.0.1:{bench.upstream.second}"
    if isinstance(peer, Ours):
        return hosts(100, (first, second), connections)
    return Wanted((Route(CATCH_ALL, (first,)),), HOST, connections)


def hosts(count: int, endpoints: tuple[str, ...], connections: int = 512) -> Wanted:
    """So many routes by host, each to the same endpoints; the load asks for one in the middle."""
    return Wanted(tuple(Route(f"h{n}.bench.example", endpoints) for n in range(count)),
                  f"h{42 if count > 42 else 0}.bench.example", connections)


def many(bench: Bench, count: int) -> Wanted:
    """So many routes by host, each to an endpoint of its own."""
    return Wanted(tuple(Route(f"h{n}.bench.example", (address,))
                        for n, address in enumerate(bench.upstream.addresses(count))), HOST)


def costs(cost: Cost, requests: int) -> dict[str, float]:
    """CPU per request, in microseconds."""
    return {"us": cost.cpu / requests * 1e6, "busiest_us": max(cost.by_process.values()) / requests * 1e6,
            "user_us": cost.user / requests * 1e6, "system_us": cost.system / requests * 1e6}


def under_wrk(bench: Bench, proxy: Proxy, target: str, connections: int, script: str = "",
              headers: Sequence[str] = ()) -> tuple[dict[str, float], str]:
    """The figures of a running proxy under wrk on the same core, and what went wrong."""
    def load(seconds: float) -> Answered:
        return wrk(bench.directory, proxy.port, proxy.wanted.host, target, connections, seconds, bench.core, script,
                   (*proxy.wanted.headers, *headers))

    load(bench.warm_s)
    before = proxy.child.cost()
    answered = load(bench.load_s)
    cost = proxy.child.cost().since(before)
    if not answered.requests or not cost.by_process:
        return {}, answered.wrong or "the proxy is gone"
    return {**costs(cost, answered.requests), "requests": answered.requests, "per_s": answered.per_s,
            "p50_ms": answered.p50_ms, "p99_ms": answered.p99_ms,
            "memory_mib": proxy.child.memory_kib() / 1024}, answered.wrong


def by_wrk(name: str, title: str, target: str = "/", connections: int = 64, script: str = "",
           headers: Sequence[str] = (), wanted: Callable[[Bench, Peer], Wanted] = simple) -> Row:
    """A row that wrk can make."""
    def measure(bench: Bench, peer_name: str, round: int) -> Sample:
        peer = bench.peers[peer_name]
        with peer.start(bench.fresh(), wanted(bench, peer), bench.core) as proxy:
            figures, wrong = under_wrk(bench, proxy, target, connections, script, headers)
        return Sample(name, peer.name, round, figures, wrong)

    return Row(name, title, CPU, measure)


BY_WRK = (
    by_wrk("plain", "100 B, keep-alive, 64 connections"),
    by_wrk("10k", "10 KB, keep-alive, 64 connections", "/file/10k"),
    by_wrk("1m", "1 MB, keep-alive, 64 connections", "/file/1m"),
    by_wrk("post64k", "POST of 64 KB, answer of 100 B, 64 connections", script=POST),
    by_wrk("no-keepalive", "100 B, a new connection for each request, 64 at a time", headers=("Connection: close",)),
    by_wrk("routers10k", "100 B, 10,000 routers with an endpoint each", wanted=lambda bench, peer: many(bench, 10_000)),
)
