"""A whole agent with the Redis provider: what stands in the store is published, beside the files, over its deaths."""
from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from agent_running import Running, routes, until
from kv_redis import SERVER, RedisRunning

from mesh.model import RedisProvider

pytestmark = pytest.mark.skipif(SERVER is None, reason="no redis-server on this machine")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RedisRunning]:
    with RedisRunning(tmp_path / "redis") as running:
        yield running


def test_keys_and_files_are_published_side_by_side(agent: Callable[..., Running], store: RedisRunning) -> None:
    store.routes("b")
    running = agent({"a.yml": routes("a")}, redis_provider=RedisProvider(store.server)).start()
    until(lambda: running.names == {"a", "b@redis"}, running.names)
    assert running.said.files["redis:traefik"] == "ok"


def test_a_wrong_key_is_told_in_the_log_and_the_status(agent: Callable[..., Running], store: RedisRunning) -> None:
    store.routes("b")
    store.put(routers__b__priority="high")
    running = agent(redis_provider=RedisProvider(store.server)).start()
    until(lambda: running.told("redis:traefik/http/routers/b/priority: error: http.routers.b: priority"))
    until(lambda: running.said.files.get("redis:traefik") == "error")


def test_an_agent_that_is_killed_while_the_store_is_away_goes_on_with_what_it_said(
        agent: Callable[..., Running], store: RedisRunning) -> None:
    store.routes("b")
    running = agent({"a.yml": routes("a")}, redis_provider=RedisProvider(store.server)).start()
    until(lambda: running.names == {"a", "b@redis"})
    store.kill()
    running.keeper.signal(signal.SIGKILL)
    running.reaped()
    running.start()
    until(lambda: running.told("redis:traefik: error: cannot be read"))
    assert running.names == {"a", "b@redis"}
