"""The rows that need more than wrk on one core: idle connections, streams, a fixed rate, edits under load."""
from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

from bench.figures import Column, Sample
from bench.load import Answered, Steady, wrk
from bench.machine import ROOT, free_port
from bench.peers.nginx import Nginx
from bench.peers.ours import Ours
from bench.peers.peer import CATCH_ALL, START_S, Proxy, Route, Wanted, status
from bench.processes import BenchFailed, Child, wait_until
from bench.rows import HOST, Bench, Row, hosts, simple

IDLE = 10_000
STREAMS = 64
EDIT_S = 0.3            # more often, several would be taken up at once: a burst is looked at when it is quiet
EDIT_LOAD = 0.6         # of what the proxy can do
TAKES_EFFECT_S = 10.0


# Idle connections

def idle(bench: Bench, name: str, round: int) -> Sample:
    """Memory of the proxy's processes per connection that has carried one request and is kept."""
    peer = bench.peers[name]
    count = min(IDLE, (bench.files - 1000) // 2)
    held: list[socket.socket] = []
    with peer.start(bench.fresh(), simple(bench, peer, count), bench.core) as proxy:
        wrk(bench.directory, proxy.port, proxy.wanted.host, "/", 64, bench.warm_s, bench.core)
        before = proxy.child.memory_kib()
        wrong = ""
        try:
            for _ in range(count):
                held.append(socket.create_connection(("127.0.0.1", proxy.port), 10))
                if not _asks(held[-1], proxy.wanted.host):
                    wrong = f"connection {len(held)} is not answered"
                    break
            time.sleep(1.0)
            after = proxy.child.memory_kib()
            if not wrong and not all(_asks(sock, proxy.wanted.host) for sock in held[::count // 50]):
                wrong = "idle connections were closed"
        except OSError as error:
            wrong = f"connection {len(held) + 1}: {error}"
        finally:
            for sock in held:
                sock.close()
    if wrong:
        return Sample("idle", name, round, {}, wrong)
    return Sample("idle", name, round, {"kib": (after - before) / count, "connections": count,
                                        "before_mib": before / 1024, "after_mib": after / 1024})


def _asks(sock: socket.socket, host: str) -> bool:
    """One request on a kept connection; its answer is read whole."""
    sock.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    said = b""
    while not said.endswith(b"x\n"):
        if not (more := sock.recv(4096)):
            return False
        said += more
    return said.startswith(b"HTTP/1.1 200")


# Streams

def streams(kind: str) -> Row:
    title = ("WebSocket: 100 B there and back, 64 connections" if kind == "websocket"
             else "server-sent events: 106 B every 10 ms, 64 connections")

    def measure(bench: Bench, name: str, round: int) -> Sample:
        peer = bench.peers[name]
        port = free_port()
        endpoint = f"127.0.0.1:{port}"
        wanted = (hosts(100, (endpoint, f"127.0.0.2:{port}")) if isinstance(peer, Ours)
                  else Wanted((Route(CATCH_ALL, (endpoint,)),), HOST, options={"streams": "yes"}))
        place = bench.fresh()
        place.mkdir()
        python = {"PYTHONPATH": str(ROOT)}
        with Child([sys.executable, "-m", "bench.talk", "serve", str(port)], bench.core, place, python):
            wait_until(lambda: status(port, HOST) == 200, START_S, "the server of streams does not serve")
            with peer.start(bench.fresh(), wanted, bench.core) as proxy, \
                    Child([sys.executable, "-m", "bench.talk", kind, str(proxy.port), proxy.wanted.host, str(STREAMS),
                           str(bench.load_s), str(proxy.child.process.pid)], bench.core, place, python,
                          stdout=subprocess.PIPE) as client:
                try:
                    said, _ = client.process.communicate(timeout=bench.load_s + 60)
                except subprocess.TimeoutExpired:
                    raise BenchFailed("the client of streams did not end") from None
                memory = proxy.child.memory_kib()
        if not said:
            return Sample(kind, name, round, {}, client.last_words().strip().splitlines()[-1])
        told = json.loads(said)
        count = told["messages"]
        if not count:
            return Sample(kind, name, round, {}, "no message came back")
        return Sample(kind, name, round, {
            "us": told["cpu"] / count * 1e6, "busiest_us": told["busiest"] / count * 1e6,
            "user_us": told["user"] / count * 1e6, "system_us": told["system"] / count * 1e6,
            "per_s": count / bench.load_s, "p50_ms": told["p50_us"] / 1e3, "p99_ms": told["p99_us"] / 1e3,
            "memory_mib": memory / 1024}, f"{told['lost']} connections ended" if told["lost"] else "")

    return Row(kind, title, (
        Column("us", "us/message"), Column("busiest_us", "busiest process"), Column("user_us", "user"),
        Column("system_us", "system"), Column("per_s", "messages/s", 0), Column("p50_ms", "p50 ms", 2),
        Column("p99_ms", "p99 ms", 2), Column("memory_mib", "MiB")), measure)


# A fixed rate, with the proxy alone on its core

@contextlib.contextmanager
def apart(bench: Bench) -> Iterator[None]:
    """The upstream on the other core, where the load is too."""
    bench.upstream.pin(bench.other_core)
    try:
        yield
    finally:
        bench.upstream.pin(bench.core)


def full(bench: Bench, port: int, host: str) -> float:
    """Requests a second as fast as it goes; warms up as well."""
    return wrk(bench.directory, port, host, "/", 64, bench.warm_s, bench.other_core).per_s


def steady(bench: Bench, port: int, host: str, per_s: float) -> Answered:
    """So many requests a second."""
    with Steady(bench.directory, port, host, per_s, bench.load_s, bench.other_core) as load:
        return load.finish()


def half_of_nginx(bench: Bench) -> float:
    """Requests a second: half of what nginx can do with the plain task, found once and the same for all."""
    if not bench.rate:
        nginx = Nginx()
        with nginx.start(bench.fresh(), simple(bench, nginx), bench.core) as proxy:
            bench.rate = full(bench, proxy.port, HOST) / 2
    return bench.rate


def latency(bench: Bench, name: str, round: int) -> Sample:
    """p50 and p99 at half of what nginx can do (of what the proxy itself can, where that is too much for it)."""
    peer = bench.peers[name]
    with apart(bench):
        half = half_of_nginx(bench)
        with peer.start(bench.fresh(), simple(bench, peer), bench.core) as proxy:
            own = full(bench, proxy.port, proxy.wanted.host)
            rate = half if own > 1.5 * half else own / 2
            direct = steady(bench, bench.upstream.first, HOST, rate)
            through = steady(bench, proxy.port, proxy.wanted.host, rate)
    return Sample("latency", name, round, {
        "p50_us": (through.p50_ms - direct.p50_ms) * 1e3, "p99_us": (through.p99_ms - direct.p99_ms) * 1e3,
        "direct_p50_us": direct.p50_ms * 1e3, "direct_p99_us": direct.p99_ms * 1e3,
        "through_p50_us": through.p50_ms * 1e3, "through_p99_us": through.p99_ms * 1e3,
        "per_s": through.per_s, "most_per_s": own}, through.wrong or direct.wrong)


def edits(bench: Bench, name: str, round: int) -> Sample:
    """p99 while the configuration is edited every 300 ms, beside p99 without; nothing may fail."""
    peer = bench.peers[name]
    with apart(bench), peer.start(bench.fresh(), simple(bench, peer), bench.core) as proxy:
        rate = EDIT_LOAD * full(bench, proxy.port, proxy.wanted.host)
        quiet = steady(bench, proxy.port, proxy.wanted.host, rate)
        with Steady(bench.directory, proxy.port, proxy.wanted.host, rate, bench.load_s, bench.other_core) as load:
            time.sleep(load.ramp_s)
            number = 0
            while not load.ended:
                number += 1
                peer.edit(proxy, number)
                time.sleep(EDIT_S)
            edited = load.finish()
        wrong = quiet.wrong or edited.wrong
        if not wrong and not _took_effect(proxy, number):
            wrong = f"edit {number} did not take effect within {TAKES_EFFECT_S:g} s"
    return Sample("edits", name, round, {
        "ratio": edited.p99_ms / quiet.p99_ms if quiet.p99_ms else 0.0, "quiet_p99_ms": quiet.p99_ms,
        "edited_p99_ms": edited.p99_ms, "edited_p50_ms": edited.p50_ms, "quiet_p50_ms": quiet.p50_ms, "edits": number,
        "per_s": edited.per_s}, wrong)


def _took_effect(proxy: Proxy, number: int) -> bool:
    host = proxy.peer.edited_host(number)
    with contextlib.suppress(BenchFailed):
        return not host or bool(wait_until(lambda: status(proxy.port, host) == 200, TAKES_EFFECT_S, ""))
    return False


SHAPES = (
    Row("idle", "memory per idle connection that has carried a request", (
        Column("kib", "KiB each"), Column("connections", "connections", 0), Column("before_mib", "MiB before"),
        Column("after_mib", "MiB after")), idle),
    streams("websocket"),
    streams("events"),
    Row("latency", "what the proxy adds to direct calls, at half of nginx's load", (
        Column("p50_us", "added p50 us", 0), Column("p99_us", "added p99 us", 0),
        Column("direct_p50_us", "direct p50", 0), Column("direct_p99_us", "direct p99", 0),
        Column("per_s", "requests/s", 0), Column("most_per_s", "at most", 0)), latency),
    Row("edits", "an edit of the configuration every 300 ms, at 60 % of its load", (
        Column("ratio", "p99 with/without", 2), Column("quiet_p99_ms", "p99 ms without", 2),
        Column("edited_p99_ms", "with", 2), Column("quiet_p50_ms", "p50 ms without", 2),
        Column("edited_p50_ms", "with", 2), Column("edits", "edits", 0), Column("per_s", "requests/s", 0)), edits,
        contestants=("us", "traefik"), references=("traefik",)),    # the others close connections for an edit
)
