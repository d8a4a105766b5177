"""Instances in the agent: known, joined, published, and remembered over its death."""
from __future__ import annotations

import dataclasses
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from agent_running import Running, routes, until

from mesh.model import Redis
from mesh.providers.instances import Instance
from workers.agent.disk import Disk
from workers.agent.instances import Instances

A, B, C = (f"http://127.0.0.1:{port}" for port in (8081, 8082, 8083))


def one(url: str = A, service: str = "orders.shop", id: str = "a", source: str = "redis", **others: Any) -> Instance:
    return Instance(service, url, id=id, source=source, **others)


# What is known

def test_what_a_source_knows_takes_the_place_of_what_it_knew():
    instances = Instances()
    instances.replace("redis", [one(A), one(B, id="b")])
    instances.replace("redis", [one(B, id="b"), one(C, id="c")])
    assert [each.url for each in instances.all()] == [B, C]


def test_sources_do_not_touch_each_other():
    instances = Instances()
    instances.replace("redis", [one(B)])
    instances.replace("systemd", [one(A)])
    assert [(each.url, each.source) for each in instances.all()] == [(A, "systemd"), (B, "redis")]
    instances.replace("redis", [])
    assert [each.url for each in instances.all()] == [A]


def test_the_same_words_in_another_order_are_no_news():
    instances, woken = Instances(), []
    instances.changed = lambda: woken.append(1)
    assert instances.replace("redis", [one(A), one(B, id="b")])
    assert not instances.replace("redis", [one(B, id="b"), one(A)])
    assert (len(woken), instances.version) == (1, 1)


def test_a_service_without_news_keeps_its_tuple():
    instances = Instances()
    instances.replace("redis", [one(A), one(B, "other.shop")])
    before = instances.by_service()["orders.shop"]
    instances.replace("redis", [one(A), one(C, "other.shop")])
    assert instances.by_service()["orders.shop"] is before


def test_an_instance_is_found_by_its_endpoint():
    instances = Instances()
    instances.replace("redis", [one(A, host="host-b"), one(B, id="b")])
    assert instances.find("orders.shop@mesh", A).host == "host-b"
    assert instances.find("orders.shop", B).id == "b"
    assert instances.find("orders.shop", C) is None


def test_draining_endpoints_are_those_that_nobody_else_serves():
    instances = Instances()
    instances.replace("redis", [one(A, draining=True), one(A, id="b"), one(B, id="c", draining=True)])
    assert instances.draining() == {("orders.shop@mesh", B)}


def test_what_a_former_agent_knew_stays_until_its_source_speaks():
    former, now = Instances(), Instances()
    former.replace("redis", [one(A, meta={"version": "7"})])
    former.replace("systemd", [one(B)])
    now.replace("systemd", [])
    now.restore(former.to_json(), ["redis", "systemd"])
    assert now.all() == (one(A, meta={"version": "7"}),)
    now.replace("redis", [])
    assert now.all() == ()


def test_what_a_source_knew_that_nobody_asks_any_more_is_forgotten():
    former, now = Instances(), Instances()
    former.replace("systemd", [one(B)])
    now.restore(former.to_json(), ["redis"])
    assert now.all() == ()


@pytest.mark.parametrize("data", [b"{", b"3", b"[3]", b'[{"url":1}]', b'[["a"]]'])
def test_what_is_no_memory_of_instances_is_refused(data):
    with pytest.raises(ValueError):
        Instances().restore(data, ["redis"])


# What is published

class Told:
    """A disk thread in a forked process, as an agent has it, and what the sources there tell."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self._writes = -1

    def start(self) -> Told:
        reads, self._writes = os.pipe()
        running, master = self.running, os.getpid()

        def follow(lines: int, instances: Instances) -> None:
            with open(lines) as file:
                for line in file:
                    source, *rows = json.loads(line)
                    instances.replace(source, [Instance(*row) for row in rows])

        def live(main: Any) -> None:
            os.close(self._writes)
            instances = Instances()
            threading.Thread(target=follow, args=(reads, instances), daemon=True).start()
            Disk(running.static, running.memory, master, False, instances).run()

        running.keeper.spawn(live)
        os.close(reads)
        until(lambda: running.memory.plan.generation, "the first look")
        return self

    def tell(self, source: str, *instances: Instance) -> None:
        os.write(self._writes, json.dumps([source, *map(dataclasses.astuple, instances)]).encode() + b"\n")

    def close(self) -> None:
        if self._writes >= 0:
            os.close(self._writes)
            self._writes = -1

    @property
    def urls(self) -> list[str]:
        found = self.running.dynamic.services.get("orders.shop@mesh")
        return [server.url for server in found.how.servers] if found else []


@pytest.fixture
def told(agent: Callable[..., Running]) -> Iterator[Callable[..., Told]]:
    made: list[Told] = []

    def start(files: dict[str, str], **static: Any) -> Told:
        made.append(Told(agent(files, **static)))
        return made[-1].start()

    yield start
    for each in made:
        each.close()


def test_an_instance_is_published_within_200_ms(told):
    disk = told({"a.yml": routes("a")})
    began = time.monotonic()
    disk.tell("redis", one(A))
    until(lambda: disk.urls == [A])
    assert time.monotonic() - began < 0.2
    assert disk.running.dynamic.routers["orders.shop@mesh"].rule == "Host(`orders.shop.mesh`)"
    assert disk.running.said.status["services/orders.shop@mesh"] == "enabled"


def test_without_watching_files_instances_are_published_all_the_same(told):
    disk = told({"a.yml": routes("a")}, file_watch=False)
    for url in (A, B, C):
        began = time.monotonic()
        disk.tell("redis", one(url))
        until(lambda url=url: disk.urls == [url])
        assert time.monotonic() - began < 0.2


def test_many_that_come_one_by_one_make_few_generations(told):
    disk = told({"a.yml": routes("a")})
    before, began = disk.running.memory.plan.generation, time.monotonic()
    for number in range(100):
        disk.tell("redis", *(one(f"http://127.0.0.1:{port}", id=str(port)) for port in range(1, number + 2)))
    until(lambda: len(disk.urls) == 100)
    assert disk.running.memory.plan.generation - before <= 2 + (time.monotonic() - began) / 0.1


def test_a_file_and_instances_change_side_by_side(told):
    disk = told({"a.yml": f"mesh: {{services: {{orders.shop: {{endpoints: ['{A}']}}}}}}"})
    disk.tell("redis", one(B))
    until(lambda: disk.urls == [A, B])
    (disk.running.conf / "a.yml").write_text(f"mesh: {{services: {{orders.shop: {{endpoints: ['{C}']}}}}}}")
    until(lambda: disk.urls == [C, B])
    disk.tell("redis")
    until(lambda: disk.urls == [C])


def test_what_is_wrong_with_an_instance_stands_in_the_status_as_a_warning(told):
    disk = told({"a.yml": routes("a")})
    disk.tell("redis", one("nonsense"), one(A, id="b"))
    problem, = until(lambda: disk.running.said.problems)
    assert (problem.severity, problem.place.file) == ("warning", "redis")
    assert disk.urls == [A]


def test_a_successor_serves_what_its_predecessor_knew_until_redis_speaks(told):
    disk = told({"a.yml": routes("a")})
    disk.tell("redis", one(A))
    until(lambda: disk.urls == [A])
    disk.running.kill()
    disk.close()
    (disk.running.conf / "b.yml").write_text(routes("b"))
    disk.start()
    until(lambda: "b@file" in disk.running.dynamic.routers)
    assert disk.urls == [A]
    disk.tell("redis", one(B))
    until(lambda: disk.urls == [B])


def test_where_no_redis_is_asked_any_more_its_instances_are_gone(told):
    disk = told({"a.yml": routes("a")})
    disk.tell("redis", one(A))
    until(lambda: disk.urls == [A])
    disk.running.kill()
    disk.close()
    disk.running.static = replace(disk.running.static, redis=Redis(embedded=False))
    disk.start()
    until(lambda: disk.urls == [])


def test_a_change_by_instances_is_told_as_such(told):
    disk = told({"a.yml": routes("a")})
    disk.tell("redis", one(A))
    line, = until(lambda: disk.running.told("generation 2"))
    assert line.endswith("generation 2: routers +1 -0 ~0, services +1 -0 ~0 (from instances)")
