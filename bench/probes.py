"""The row `probes`: what health checks of very many endpoints do to the requests that are served meanwhile.

One hostmesh has a fixed rate of requests with the further endpoints and without them, in turn; so have direct calls to
the upstream, since that answers the probes too and shares its core with the load.  The rate is an eighth of what nginx
can do: at half of it, as in `latency`, that core is so full that direct calls alone took 0.5 to 4 ms.
"""
from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from bench.figures import Column, Sample
from bench.peers.peer import Proxy, put
from bench.processes import wait_until
from bench.rows import Bench, Row, simple
from bench.shapes import apart, full, half_of_nginx, steady
from mesh.shared.layout import Memory
from mesh.shared.slots import SLOT_PROBES
from workers.memory import attach
from workers.report import look, read_status

PROBED, SERVICES = 5000, 50
INTERVAL_S = 5
PROBED_S = 60.0
FILE = "probed.yml"


def probes(bench: Bench, name: str, round: int) -> Sample:
    """p50 and p99 with PROBED further endpoints that are asked each INTERVAL_S, and without them."""
    peer = bench.peers[name]
    figures: dict[str, float] = {}
    wrong = ""
    with apart(bench):
        rate = half_of_nginx(bench) / 4
        with peer.start(bench.fresh(), simple(bench, peer), bench.core) as proxy:
            full(bench, proxy.port, proxy.wanted.host)
            for when, prepare in _in_turn(round):
                prepare(bench, proxy)
                direct = steady(bench, bench.upstream.first, proxy.wanted.host, rate)
                before, probed, began = proxy.child.cost(), _probed(proxy), time.monotonic()
                through = steady(bench, proxy.port, proxy.wanted.host, rate)
                took_s, cost = time.monotonic() - began, proxy.child.cost().since(before)
                agent = read_status(str(proxy.directory / "run"))["agent"]["pid"]
                figures |= {f"{when}_p50_us": through.p50_ms * 1e3, f"{when}_p99_us": through.p99_ms * 1e3,
                            f"{when}_direct_p50_us": direct.p50_ms * 1e3, f"{when}_direct_p99_us": direct.p99_ms * 1e3,
                            f"{when}_agent": cost.by_process[agent] / took_s * 100,
                            f"{when}_worker": max(cost.by_process.values()) / took_s * 100,
                            f"{when}_per_s": through.per_s, f"{when}_probes_per_s": (_probed(proxy) - probed) / took_s}
                wrong = wrong or through.wrong or direct.wrong
    return Sample("probes", name, round, {
        **figures, "ratio": figures["with_p99_us"] / max(figures["without_p99_us"], 1.0)}, wrong)


def _in_turn(round: int) -> list[tuple[str, Callable[[Bench, Proxy], None]]]:
    both: list[tuple[str, Callable[[Bench, Proxy], None]]] = [("without", _without), ("with", _with)]
    return both[::-1] if round % 2 else both


def _with(bench: Bench, proxy: Proxy) -> None:
    """Every endpoint has been asked three times: the first probes, which come all at once, are over."""
    _edit(proxy, probed_file(bench))
    memory = _memory(proxy)
    wait_until(lambda: sum(row >= 3 for row in _rows(memory)) == PROBED, PROBED_S, "not all endpoints are probed")


def _without(_: Bench, proxy: Proxy) -> None:
    _edit(proxy, "http: {}\n")


def probed_file(bench: Bench) -> str:
    """A dynamic file with the further endpoints, all of them the upstream's by other addresses."""
    addresses = bench.upstream.addresses(PROBED)
    each = PROBED // SERVICES
    lines = ["http:", "  services:"]
    for number in range(SERVICES):
        servers = ", ".join(f"{{url: 'http://{one}'}}" for one in addresses[number * each:(number + 1) * each])
        lines += [f"    probed-{number}:", "      loadBalancer:",
                  f"        healthCheck: {{path: /, interval: {INTERVAL_S}s}}", f"        servers: [{servers}]"]
    return "\n".join(lines) + "\n"


def _edit(proxy: Proxy, text: str) -> None:
    """Waits until the worker serves what the file says; one that says the same as before is no edit."""
    file = Path(proxy.directory) / "conf.d" / FILE
    if (file.exists() and file.read_text() == text) or (not file.exists() and "services" not in text):
        return
    memory = _memory(proxy)
    before = memory.plan.generation
    put(file, text)
    wait_until(lambda: min(each.generation for each in look(memory).workers) > before, PROBED_S, "it is not served")


def _memory(proxy: Proxy) -> Memory:
    return attach(str(proxy.directory / "run"))


def _rows(memory: Memory) -> list[int]:
    """Of each slot how many probes in a row were good."""
    return [memory.slots.load(slot, SLOT_PROBES) for slot in range(memory.slots.used)]


def _probed(proxy: Proxy) -> int:
    return sum(_rows(_memory(proxy)))


PROBES = (
    Row("probes", f"{PROBED:,} further endpoints probed each {INTERVAL_S} s, at an eighth of nginx's load", (
        Column("ratio", "p99 with/without", 2), Column("without_p50_us", "p50 us without", 0),
        Column("with_p50_us", "with", 0), Column("without_p99_us", "p99 us without", 0),
        Column("with_p99_us", "with", 0), Column("without_direct_p99_us", "direct p99 without", 0),
        Column("with_direct_p99_us", "with", 0), Column("without_agent", "agent, % of a core, without"),
        Column("with_agent", "with"), Column("without_worker", "worker, % without"), Column("with_worker", "with"),
        Column("with_probes_per_s", "probes/s", 0), Column("with_per_s", "requests/s", 0)), probes,
        contestants=("us",), references=()),
)
