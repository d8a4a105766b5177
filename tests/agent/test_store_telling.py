"""Who tells of what in mesh:events: one of all that see the same, each of what it alone sees."""
from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from store_running import QUICK, RedisProcess

from mesh.health.events import (
    ENDPOINT_DOWN,
    ENDPOINT_JOINED,
    ENDPOINT_LEFT,
    OVERRIDE,
    RELOAD,
    Event,
)
from mesh.store.keys import Keys
from workers.agent.eventlog import EventLog
from workers.agent.mesh_seen import Mesh
from workers.agent.store_publish import Teller

ONE = "http://10.0.0.1:8080"
JOINED = Event(ENDPOINT_JOINED, "orders.shop", ONE)
LEFT = Event(ENDPOINT_LEFT, "orders.shop", ONE)
DRAIN = Event(OVERRIDE, "orders.shop", ONE, "drain", "new kernel", "ann")
NO_DRAIN = Event(OVERRIDE, "orders.shop", ONE, "no drain")


class Telling:
    """A host's events on their way to Redis."""

    def __init__(self, redis: Any, name: str) -> None:
        self._redis, self._log = redis, EventLog()
        self._name, self._keys, self._pace = name, Keys("mesh:"), replace(QUICK, tells=60.0)
        self._teller = Teller(name, self._keys, self._pace, self._log)

    def begins_anew(self) -> None:
        """With another store, as when the private Redis comes back at another address."""
        self._teller = Teller(self._name, self._keys, self._pace, self._log, self._teller.told)

    def sees(self, *events: Event) -> None:
        for event in events:
            self._log.add(event)
        self._teller.turn(self._redis, 3)


@pytest.fixture
def hosts(redis: Any) -> list[Telling]:
    return [Telling(redis, name) for name in ("host-a", "host-b", "host-c")]


def told(redis: Any) -> list[str]:
    return [f"{said['host']} {said['kind']} {said.get('what', '')}".rstrip() for _, said in redis.xrange("mesh:events")]


def test_one_host_tells_of_an_endpoint_that_joins(redis: Any, hosts: list[Telling]) -> None:
    for host in hosts:
        host.sees(JOINED)
    assert told(redis) == ["host-a endpoint-joined"]


def test_what_comes_and_goes_and_comes_is_told_each_time(redis: Any, hosts: list[Telling]) -> None:
    for event in (JOINED, LEFT, JOINED):
        for host in hosts:
            host.sees(event)
    assert told(redis) == ["host-a endpoint-joined", "host-a endpoint-left", "host-a endpoint-joined"]


def test_a_host_that_sees_it_late_tells_nothing_again(redis: Any, hosts: list[Telling]) -> None:
    hosts[0].sees(JOINED, LEFT, JOINED)
    hosts[1].sees(JOINED)
    hosts[1].sees(LEFT, JOINED)
    assert told(redis) == ["host-a endpoint-joined", "host-a endpoint-left", "host-a endpoint-joined"]


def test_another_store_tells_nothing_again(redis: Any, hosts: list[Telling]) -> None:
    hosts[0].sees(JOINED)
    hosts[0].begins_anew()
    hosts[0].sees(LEFT)
    assert told(redis) == ["host-a endpoint-joined", "host-a endpoint-left"]


def test_health_is_each_hosts_own_to_tell(redis: Any, hosts: list[Telling]) -> None:
    for host in hosts:
        host.sees(Event(ENDPOINT_DOWN, "orders.shop", ONE, "down"))
    assert told(redis) == [f"host-{name} endpoint-down down" for name in "abc"]


def test_a_change_of_files_is_each_hosts_own_to_tell(redis: Any, hosts: list[Telling]) -> None:
    for host in hosts:
        host.sees(Event(RELOAD, what="generation 2", why="services +1 -0 ~0"))
    assert told(redis) == [f"host-{name} reload generation 2" for name in "abc"]


def test_a_change_that_came_by_redis_is_told_once(redis: Any, hosts: list[Telling]) -> None:
    for generation, host in enumerate(hosts, 2):
        host.sees(Event(RELOAD, what=f"generation {generation}", why="services +1 -0 ~0", is_shared=True))
    assert told(redis) == ["host-a reload generation 2"]


def test_a_word_is_told_once_by_whoever_sees_it_first(redis: Any, hosts: list[Telling]) -> None:
    for host in hosts:
        host.sees(DRAIN)
    assert told(redis) == ["host-a override drain"]


def test_a_host_that_starts_later_tells_no_old_word(redis: Any, hosts: list[Telling]) -> None:
    hosts[0].sees(DRAIN)
    redis.delete(*redis.keys("mesh:tells:*"))       # their time is over
    hosts[1].sees(DRAIN)
    assert told(redis) == ["host-a override drain"]


def test_a_word_taken_back_at_once_is_told_once_too(server: RedisProcess, redis: Any, hosts: list[Telling]) -> None:
    redis.hset("mesh:overrides:orders.shop", ONE, "drain by ann: new kernel")
    hosts[0].sees(DRAIN)
    mesh = Mesh(server.reached, "mesh:")
    mesh.take_back("orders.shop", ONE, "drain", "ben", "", "host-c")
    mesh.close()
    hosts[1].sees(DRAIN, NO_DRAIN)                  # it hears of both only now
    hosts[0].sees(NO_DRAIN)
    assert told(redis) == ["host-a override drain", "host-c override no drain"]


def test_a_word_that_is_gone_already_is_not_taken_back_twice(server: RedisProcess, redis: Any) -> None:
    mesh = Mesh(server.reached, "mesh:")
    mesh.take_back("orders.shop", ONE, "drain", "ben", "", "host-c")
    mesh.close()
    assert told(redis) == []


def test_two_words_in_turn_are_told_as_often_as_they_are_said(redis: Any, hosts: list[Telling]) -> None:
    for event in (DRAIN, NO_DRAIN, DRAIN, NO_DRAIN):
        for host in hosts:
            host.sees(event)
    assert told(redis) == ["host-a override drain", "host-a override no drain"] * 2
