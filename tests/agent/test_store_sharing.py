"""Hosts of a large mesh share what is to be told, and what Redis bears: the publisher alone, told of many hosts."""
from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

from store_running import QUICK, document, until

from mesh.store.keys import Keys
from mesh.store.pace import Pace
from workers.agent.states import EndpointState
from workers.agent.store_publish import Publisher

MANY = 1000                 # hosts: one in sixty speaks of an endpoint


class Telling:
    """A publisher, its endpoints, and a clock that is set."""

    def __init__(self, redis: Any, hosts: int, pace: Pace = QUICK, many: int = 200, host: str = "host-a") -> None:
        self.redis, self.hosts, self.now = redis, hosts, 1000.0
        self.endpoints = [EndpointState("orders.shop", f"http://10.0.{n}.1:80", n, "up", 1) for n in range(many)]
        self.changes = 0
        self.publisher = Publisher(host, Keys("mesh:"), pace, lambda: self.endpoints, lambda: self.changes,
                                   lambda: self.now)

    def turn(self, after_s: float = 0.1) -> int:
        """One turn; answers how many endpoints stand in Redis then."""
        self.now += after_s
        self.publisher.turn(self.redis, self.hosts)
        return int(self.redis.hlen("mesh:endpoints:orders.shop"))

    def becomes(self, number: int, **said: Any) -> str:
        self.endpoints[number] = replace(self.endpoints[number], **said)
        self.changes += 1
        return self.endpoints[number].url


def test_one_of_many_hosts_speaks_of_few_endpoints(redis: Any) -> None:
    assert 0 < Telling(redis, MANY, replace(QUICK, check=1e9)).turn() < 20


def test_whoever_sees_trouble_speaks(redis: Any) -> None:
    telling = Telling(redis, MANY, replace(QUICK, check=1e9))
    telling.turn()
    urls = [telling.becomes(number, state="down", error="timed out") for number in range(0, 200, 50)]
    telling.turn()
    assert [document(redis, "orders.shop", url)["state"] for url in urls] == ["down"] * 4


def test_whoever_saw_trouble_is_silent_when_it_is_over(redis: Any) -> None:
    telling = Telling(redis, MANY, replace(QUICK, check=1e9))
    before = telling.turn()
    for state in ("down", "up"):
        for number in range(0, 200, 10):
            telling.becomes(number, state=state)
        telling.turn(1.0)
    assert telling.turn(1.0) == before


def test_requests_under_way_at_an_endpoint_that_drains_are_told_at_once(redis: Any) -> None:
    telling = Telling(redis, 2, replace(QUICK, numbers=1e9), many=2)
    telling.turn()
    url = telling.becomes(0, state="drain", in_flight=3)
    for left in (3, 1, 0):
        telling.endpoints[0] = replace(telling.endpoints[0], in_flight=left)    # no change that anybody hears of
        telling.turn(1.0)
        assert document(redis, "orders.shop", url)["inFlight"] == left


def test_what_is_here_is_always_spoken_of(redis: Any) -> None:
    telling = Telling(redis, MANY, replace(QUICK, check=1e9))
    url = telling.becomes(0, local=True)
    telling.turn()
    assert document(redis, "orders.shop", url)["opinions"].keys() == {"host-a"}


def test_an_endpoint_of_which_nobody_spoke_is_found(redis: Any) -> None:
    telling = Telling(redis, MANY)
    until(lambda: telling.turn(1.0) == 200)


def test_a_mesh_that_grows_lets_others_speak(redis: Any) -> None:
    telling = Telling(redis, 1, replace(QUICK, check=1e9))
    until(lambda: telling.turn(1.0) == 200)
    telling.hosts = MANY
    until(lambda: telling.turn(1.0) < 20)


def test_at_most_sixteen_of_one_state_are_listed(redis: Any) -> None:
    for number in range(20):
        Telling(redis, 20, replace(QUICK, check=1e9), 1, f"host-{number:02}").turn(1.0)
    telling = Telling(redis, 20, replace(QUICK, check=1e9), 1, "host-99")
    url = telling.becomes(0, state="down")
    telling.turn(1.0)
    said = document(redis, "orders.shop", url)
    assert said["state"] == "mixed"
    assert len(said["opinions"]) <= 17
    assert said["opinions"]["host-99"]["state"] == "down"


def test_all_hosts_together_tell_no_more_than_redis_bears(redis: Any) -> None:
    telling = Telling(redis, 10, replace(QUICK, check=1e9, rate=100.0))
    seen = [telling.turn(1.0) for _ in range(4)]
    assert seen[0] <= 60
    assert [after - before for before, after in pairwise(seen)] == [10, 10, 10]


def test_what_is_wrong_is_told_first(redis: Any) -> None:
    telling = Telling(redis, 10, replace(QUICK, check=1e9, rate=100.0))
    urls = [telling.becomes(number, state="down") for number in range(160, 200)]
    telling.turn(1.0)
    assert all(document(redis, "orders.shop", url) for url in urls)
