"""Redis in every kind of trouble under a service with traffic: no request fails for it, and no word is lost."""
from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kv_redis import SERVER, RedisRunning
from running import ORDERS, Endpoint, Mesh, orders, until
from traffic import Traffic

REGISTERED = "mesh:instance:orders.shop:more"


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisRunning]:
    if not SERVER:
        pytest.skip("no redis-server here")
    with RedisRunning(tmp_path / "redis") as one:
        yield one


@pytest.fixture
def mesh(tmp_path: Path, redis: RedisRunning) -> Iterator[Mesh]:
    """One endpoint from a file, one that is drained, one that registered itself; with traffic from then on."""
    with Endpoint("one") as one, Endpoint("drained") as drained, Endpoint("more") as more:
        redis.client.hset("mesh:overrides:orders.shop", drained.url, "drain by ann: a test")
        redis.client.set(REGISTERED, more.url, px=15_000)
        static = {"redis": {"url": f"redis://127.0.0.1:{redis.port}/0"}}
        with Mesh(tmp_path, {"orders.yml": orders(one, drained)}, static) as mesh:
            until(lambda: redis.client.hlen("mesh:endpoints:orders.shop") == 3)
            until(lambda: '"state": "drain"' in redis.client.hget("mesh:endpoints:orders.shop", drained.url))
            with Traffic(mesh.port, ORDERS) as traffic:
                until(lambda: traffic.by["more"])
                before = traffic.by["drained"]
                yield mesh
                redis.client.set(REGISTERED, more.url, px=15_000)
                until(lambda: redis.client.hlen("mesh:endpoints:orders.shop") == 3, "all is told again")
                after = traffic.by["more"]
                traffic.goes_on()
                until(lambda: traffic.by["more"] > after)
            assert traffic.wrong == []
            assert traffic.by["drained"] == before
            assert traffic.by.keys() == {"one", "more"}



def lasts(seconds: float) -> None:
    ends = time.monotonic() + seconds
    until(lambda: time.monotonic() > ends, within_s=seconds + 5)


def test_killed_and_restarted_empty(mesh: Mesh, redis: RedisRunning) -> None:
    redis.kill()
    lasts(3)
    redis.start()


def test_emptied(mesh: Mesh, redis: RedisRunning) -> None:
    redis.client.flushall()


def test_standing_still(mesh: Mesh, redis: RedisRunning) -> None:
    with redis.stopped():
        lasts(20)                       # longer than the instance's TTL


def test_full(mesh: Mesh, redis: RedisRunning) -> None:
    redis.client.config_set("maxmemory", "1")
    lasts(7)                            # a heartbeat and more
    redis.client.config_set("maxmemory", "0")


def test_five_seconds_for_every_answer(mesh: Mesh, redis: RedisRunning) -> None:
    for _ in range(2):
        redis.client.client_pause(5000, all=True)
        lasts(5.1)
