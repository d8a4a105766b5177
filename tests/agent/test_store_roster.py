"""Instances in a large mesh (here: of more than one host): the relay keeps rosters, the others follow them."""
from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from store_running import QUICK, Host, RedisProcess, hosts_on, let_pass, until

LARGE = replace(QUICK, direct=1, relay=0.6)
ONE, TWO = "http://10.0.0.1:8080", "http://10.0.0.2:8080"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisProcess]:
    one = RedisProcess(tmp_path).start()
    yield one
    one.kill()


@pytest.fixture
def redis(server: RedisProcess) -> Iterator[Any]:
    with server.client() as client:
        yield client


@pytest.fixture
def three(server: RedisProcess, redis: Any) -> Iterator[list[Host]]:
    with hosts_on(server.reached, "host-a", "host-b", "host-c", pace=LARGE) as hosts:
        until(lambda: sorted(modes(hosts)) == ["relay", "roster", "roster"])
        yield hosts


def modes(hosts: list[Host]) -> list[str]:
    return [host.store.follows for host in hosts]


def everybody_knows(hosts: list[Host], *urls: str) -> bool:
    return all(host.known == set(urls) for host in hosts)


def test_an_instance_reaches_everybody_within_a_second(redis: Any, three: list[Host]) -> None:
    redis.set("mesh:instance:cart.shop:one", ONE, ex=30)
    until(lambda: everybody_knows(three, ONE), within_s=1.0)
    redis.delete("mesh:instance:cart.shop:one")
    until(lambda: everybody_knows(three), within_s=1.0)
    assert not redis.exists("mesh:roster:cart.shop")


def test_a_roster_is_for_people_too(redis: Any, three: list[Host]) -> None:
    redis.set("mesh:instance:cart.shop:one", ONE, ex=30)
    redis.set("mesh:instance:cart.shop:two", '{"url": "http://10.0.0.2:8080", "weight": 2}', ex=30)
    until(lambda: everybody_knows(three, ONE, TWO))
    assert json.loads(redis.get("mesh:roster:cart.shop")) == {
        "one": ONE, "two": '{"url": "http://10.0.0.2:8080", "weight": 2}'}
    assert all({each.weight for each in host.instances.all()} == {1, 2} for host in three)


def test_an_instance_is_gone_for_everybody_at_its_ttl(redis: Any, three: list[Host]) -> None:
    redis.set("mesh:instance:cart.shop:one", ONE, px=800)
    until(lambda: everybody_knows(three, ONE))
    until(lambda: everybody_knows(three))


def test_a_renewal_is_no_news(redis: Any, three: list[Host]) -> None:
    redis.set("mesh:instance:cart.shop:one", ONE, ex=30)
    until(lambda: everybody_knows(three, ONE))
    with redis.pipeline() as unchanged:
        unchanged.watch("mesh:roster:cart.shop")
        for _ in range(50):
            redis.set("mesh:instance:cart.shop:one", ONE, ex=30)
        let_pass(0.3)
        unchanged.multi()
        unchanged.exists("mesh:roster:cart.shop")
        assert unchanged.execute() == [1]           # WatchError: somebody wrote it
    assert everybody_knows(three, ONE)


def test_a_roster_that_somebody_broke_is_mended(redis: Any, three: list[Host]) -> None:
    redis.set("mesh:instance:cart.shop:one", ONE, ex=30)
    until(lambda: everybody_knows(three, ONE))
    redis.set("mesh:roster:cart.shop", "oops")
    until(lambda: everybody_knows(three, ONE) and redis.get("mesh:roster:cart.shop") != "oops")


def test_an_operators_word_needs_no_relay(redis: Any, three: list[Host]) -> None:
    for host in three:
        host.serve("orders.shop", ONE)
    redis.hset("mesh:overrides:orders.shop", ONE, "drain")
    until(lambda: [host.state(ONE) for host in three] == ["drain"] * 3, within_s=1.0)


def test_another_host_takes_over_when_the_relay_is_gone(redis: Any, three: list[Host]) -> None:
    redis.set("mesh:instance:cart.shop:one", ONE, ex=30)
    until(lambda: everybody_knows(three, ONE))
    gone = next(host for host in three if host.store.follows == "relay")
    left = [host for host in three if host is not gone]
    gone.store.close()
    until(lambda: sorted(modes(left)) == ["relay", "roster"])
    assert everybody_knows(left, ONE)
    redis.set("mesh:instance:cart.shop:two", TWO, ex=30)
    until(lambda: everybody_knows(left, ONE, TWO))
    redis.delete("mesh:instance:cart.shop:one")
    until(lambda: everybody_knows(left, TWO))


def test_what_went_while_there_was_no_relay_is_gone(redis: Any, three: list[Host]) -> None:
    redis.set("mesh:instance:cart.shop:one", ONE, ex=30)
    until(lambda: everybody_knows(three, ONE))
    gone = next(host for host in three if host.store.follows == "relay")
    left = [host for host in three if host is not gone]
    gone.store.close()
    redis.delete("mesh:instance:cart.shop:one")
    until(lambda: everybody_knows(left))
    until(lambda: not redis.exists("mesh:roster:cart.shop"))


def test_an_emptied_redis_takes_nobody_out(redis: Any, three: list[Host]) -> None:
    redis.set("mesh:instance:cart.shop:one", ONE, px=1500)
    until(lambda: everybody_knows(three, ONE))
    redis.flushall()
    until(lambda: redis.exists("mesh:hosts"))
    assert everybody_knows(three, ONE)
    redis.set("mesh:instance:cart.shop:one", ONE, ex=30)
    let_pass(2 * LARGE.grace)
    assert everybody_knows(three, ONE)


def test_a_mesh_that_shrinks_follows_directly_again(redis: Any, three: list[Host], server: RedisProcess) -> None:
    redis.set("mesh:instance:cart.shop:one", ONE, ex=30)
    until(lambda: everybody_knows(three, ONE))
    for host in three[1:]:
        host.store.close()
    redis.hdel("mesh:hosts", "host-b", "host-c")
    three[0].store.close()
    with hosts_on(server.reached, "host-a", pace=LARGE) as [alone]:
        until(lambda: alone.known == {ONE})
        assert alone.store.follows == "direct"
