"""Fifty hosts on one Redis: what the store costs it, and how long a change takes to be everywhere.

    python -m bench.hosts                       # 50 hosts, 2,000 endpoints in 100 services, 200 instances
    python -m bench.hosts --hosts 16 --seconds 10

Each host is a real Store (workers/agent/store.py) over a table of numbers in memory, a dozen to a process, since what
is measured is Redis and the way to it.  What the table says of Redis is its own count (INFO): commands (those inside of
scripts too), bytes, seconds on the CPU.  Times are CLOCK_MONOTONIC, which all processes of a machine share.
docs/scale.md has the figures.
"""
from __future__ import annotations

import argparse
import multiprocessing
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for
from typing import Any

import redis

from mesh.health.events import Event
from mesh.health.override import Override
from mesh.model import Redis, RedisServer, Static
from mesh.providers.instances import Instance
from workers.agent.store import Store

PER_PROCESS = 13
RENEW_S = 5.0           # how often an instance renews its TTL of 15 s
TRIES = 20              # of overrides and of instances that are timed


@dataclass(slots=True)
class Endpoint:
    """What a table would say of an endpoint."""

    service: str
    url: str
    state: str = "up"
    weight: int = 1
    override: str = ""
    since_ms: int = 1_795_000_000_000
    in_flight: int = 0
    requests: int = 0
    failures: int = 0
    latency_us: int = 0
    error: str = ""
    source: str = "file"
    host: str = ""
    local: bool = False


class Events:
    """Nobody asks for them here but the store."""

    def __init__(self) -> None:
        self.events: list[tuple[int, Event]] = []

    def after(self, number: int) -> list[tuple[int, Event]]:
        return self.events[number:]

    def add(self, event: Event) -> int:
        self.events.append((len(self.events) + 1, event))
        return len(self.events)


@dataclass
class Table:
    """Endpoints of one host, and the pipe on which it tells when it has seen a change."""

    all: list[Endpoint]
    tell: Callable[[str, str], None]
    events: Events = field(default_factory=Events)
    changes: int = 0
    said: dict[tuple[str, str], Override] = field(default_factory=dict)
    ids: set[str] = field(default_factory=set)

    def endpoints(self) -> list[Endpoint]:
        return self.all

    def overrides(self) -> dict[tuple[str, str], Override]:
        return dict(self.said)

    def replace_overrides(self, said: Mapping[tuple[str, str], Override]) -> None:
        for key in said.keys() - self.said.keys():
            self.tell("override", key[1])
        self.said = dict(said)

    def replace(self, source: str, instances: Iterable[Instance]) -> None:
        ids = {each.id for each in instances}
        for id in ids - self.ids:
            self.tell("instance", id)
        self.ids = ids


class Seen:
    """The instances of a host: what they are is taken in by its table."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def replace(self, source: str, instances: Iterable[Instance]) -> None:
        self._table.replace(source, instances)

    def all(self) -> list[Instance]:
        return []


def hosts(numbers: list[int], port: int, services: int, each: int, pipe: Connection) -> None:
    """A process with some hosts; ends when the pipe does.  It is told "move" (numbers) or "flip URL" (states)."""
    def tell(kind: str, name: str) -> None:
        pipe.send((kind, name, time.monotonic()))

    server = RedisServer((f"127.0.0.1:{port}",))
    tables, stores = [], []
    for number in numbers:
        table = Table([Endpoint(f"s{service}.shop", f"http://10.{service // 250}.{service % 250}.{one}:8080")
                       for service in range(services) for one in range(each)], tell)
        static = Static(host_name=f"host-{number}", host_address=f"10.255.0.{number}", redis=Redis(server))
        tables.append(table)
        stores.append(Store(static, server, table, Seen(table), changes=lambda table=table: table.changes))  # type: ignore[misc]
    for store in stores:
        store.start()
    try:
        while True:
            word, *rest = pipe.recv()
            for table in tables:
                for endpoint in table.all:
                    if word == "move":
                        endpoint.requests += 7
                        endpoint.latency_us = 1500 + endpoint.requests % 100
                    elif endpoint.url in rest:
                        endpoint.state, endpoint.error = word, "connection refused" if word == "down" else ""
                table.changes += word != "move"
    except EOFError:
        for store in stores:
            store.close()


class Bench:
    def __init__(self, said: argparse.Namespace) -> None:
        self.said = said
        self.port = said.port
        self.client: Any = redis.Redis(port=self.port, decode_responses=True)
        self.pipes: list[Connection] = []
        self.processes: list[Any] = []

    def begin(self) -> None:
        spawn = multiprocessing.get_context("spawn")
        for start in range(0, self.said.hosts, PER_PROCESS):
            ours, theirs = spawn.Pipe()
            numbers = list(range(start, min(start + PER_PROCESS, self.said.hosts)))
            process = spawn.Process(target=hosts, args=(numbers, self.port, self.said.services, self.said.each, theirs))
            process.start()
            theirs.close()
            self.pipes.append(ours)
            self.processes.append(process)

    def end(self) -> None:
        for pipe in self.pipes:
            pipe.close()
        for process in self.processes:
            process.join(10)

    def phase(self, name: str, seconds: float, each_s: Callable[[], None] | None = None) -> None:
        """Lets so long a time pass, and prints what Redis did in it."""
        before, began = self.client.info(), time.monotonic()
        while (now := time.monotonic()) < began + seconds:
            if each_s is not None:
                each_s()
            time.sleep(max(0.0, min(1.0, began + seconds - now)))
        self.show(name, before, time.monotonic() - began)

    def show(self, name: str, before: Mapping[str, Any], took_s: float) -> None:
        after = self.client.info()

        def per_s(field: str) -> float:
            return float((after[field] - before[field]) / took_s)
        cpu = per_s("used_cpu_user") + per_s("used_cpu_sys")
        print(f"| {name} | {per_s('total_commands_processed'):,.0f} | {per_s('total_net_input_bytes') / 1024:,.0f} |"
              f" {per_s('total_net_output_bytes') / 1024:,.0f} | {cpu * 100:.1f} % |", flush=True)

    def until(self, condition: Callable[[], bool], most_s: float = 120.0) -> float:
        began = time.monotonic()
        while not condition():
            if time.monotonic() > began + most_s:
                raise SystemExit("this takes too long")
            time.sleep(0.05)
        return time.monotonic() - began

    def settle(self) -> None:
        """Until the hosts write next to nothing."""
        def quiet() -> bool:
            before = self.client.info("commandstats").get("cmdstat_evalsha", {}).get("calls", 0)
            time.sleep(2.0)
            return bool(self.client.info("commandstats")["cmdstat_evalsha"]["calls"] - before < self.said.hosts / 10)
        self.until(quiet)

    def documents(self) -> int:
        pipeline = self.client.pipeline(transaction=False)
        for service in range(self.said.services):
            pipeline.hlen(f"mesh:endpoints:s{service}.shop")
        return sum(pipeline.execute())

    def timed(self, kind: str, change: Callable[[int], str], undo: Callable[[int], Any]) -> list[float]:
        """How long each of TRIES changes took to each host, in ms."""
        took: list[float] = []
        for number in range(TRIES):
            self.hear()
            began = time.monotonic()
            name = change(number)
            heard = 0
            while heard < self.said.hosts and time.monotonic() < began + 10:
                for each in wait_for(self.pipes, 0.1):
                    said = each.recv()                  # type: ignore[union-attr, call-arg]
                    if said[:2] == (kind, name):
                        took.append((said[2] - began) * 1000)
                        heard += 1
            if heard < self.said.hosts:
                raise SystemExit(f"{name} was seen by {heard} hosts only")
            undo(number)
            time.sleep(0.2)
        return sorted(took)

    def hear(self) -> None:
        while ready := wait_for(self.pipes, 0.0):
            for each in ready:
                each.recv()                             # type: ignore[union-attr, call-arg]

    def renew(self) -> None:
        began = time.monotonic()
        for number in range(self.said.instances):       # evenly, one by one: they are many programs
            time.sleep(max(0.0, began + number * RENEW_S / self.said.instances - time.monotonic()))
            self.client.set(f"mesh:instance:s{number % self.said.services}.shop:{number}", f"http://10.9.0.{number}:80",
                            ex=15)

    def tell_all(self, *words: str) -> None:
        for pipe in self.pipes:
            pipe.send(words)

    def run(self) -> None:
        said, many = self.said, self.said.services * self.said.each
        print(f"{said.hosts} hosts, {many} endpoints in {said.services} services, {said.instances} instances;"
              f" {self.client.info()['redis_version']}\n")
        before, began = self.client.info(), time.monotonic()
        self.begin()
        self.until(lambda: self.client.hlen("mesh:hosts") == said.hosts and self.documents() == many)
        print("| | commands/s | KiB/s in | KiB/s out | CPU of Redis |\n| --- | --- | --- | --- | --- |")
        took_s = time.monotonic() - began
        self.show(f"all begin at once; all is there after {took_s:.1f} s", before, took_s)
        self.settle()
        self.phase("nothing happens", said.seconds)
        self.phase("all endpoints have traffic", said.seconds, lambda: self.tell_all("move"))
        url = "http://10.0.0.0:8080"
        flips = iter(["down", "up"] * 1000)
        self.settle()
        self.phase("an endpoint goes down or comes back each second", said.seconds,
                   lambda: self.tell_all(next(flips), url))
        if said.instances:
            self.renew()
            self.phase("instances renew themselves", max(said.seconds, 2 * RENEW_S), self.renew)
        before, began = self.client.info(), time.monotonic()
        self.client.flushall()
        self.until(lambda: self.client.hlen("mesh:hosts") == said.hosts and self.documents() == many)
        took_s = time.monotonic() - began
        self.show(f"emptied; all is there again after {took_s:.1f} s", before, took_s)
        print()
        self.settle()
        key = "mesh:overrides:s0.shop"
        took = self.timed("override", lambda n: (self.client.hset(key, f"http://u{n}", "drain"), f"http://u{n}")[1],
                          lambda n: self.client.delete(key))
        show_times("a drain is known to a host", took)
        took = self.timed("instance", lambda n: (self.client.set(f"mesh:instance:s1.shop:n{n}", f"http://10.8.0.{n}:80",
                                                                 ex=15), f"n{n}")[1],
                          lambda n: self.client.delete(f"mesh:instance:s1.shop:n{n}"))
        show_times("an instance is known to a host", took)


def show_times(name: str, took: list[float]) -> None:
    print(f"{name} after {took[len(took) // 2]:.0f} ms (median), {took[int(len(took) * 0.99)]:.0f} ms (99 %),"
          f" {took[-1]:.0f} ms at most, of {len(took)}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.hosts", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--hosts", type=int, default=50)
    parser.add_argument("--services", type=int, default=100)
    parser.add_argument("--each", type=int, default=20, help="endpoints of a service")
    parser.add_argument("--instances", type=int, default=200, help="that register and renew themselves")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long each state is watched")
    parser.add_argument("--port", type=int, default=16390, help="of the redis-server that is started for this")
    said = parser.parse_args()
    binary = shutil.which("redis-server", path="/usr/bin:/usr/sbin:/usr/local/bin")
    if binary is None:
        sys.exit("redis-server is needed")
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen([binary, "--port", str(said.port), "--bind", "127.0.0.1", "--save", "", "--dir",
                                   folder, "--maxclients", "4096"], stdout=subprocess.DEVNULL)
        bench = Bench(said)
        try:
            bench.until(lambda: answers(bench.client), 10)
            bench.run()
        finally:
            bench.end()
            server.terminate()
            server.wait()


def answers(client: Any) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


if __name__ == "__main__":
    main()
