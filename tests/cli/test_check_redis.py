"""hostmesh check where a Redis provider is configured: not looked at unless it is asked for."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from kv_redis import SERVER, RedisRunning

from mesh.model import EntryPoint, RedisProvider, RedisServer, Static
from workers.commands.check import look_at

pytestmark = pytest.mark.skipif(SERVER is None, reason="no redis-server on this machine")
REFERS = "http: {routers: {web: {rule: 'Host(`a.example`)', service: shop@redis}}}"


@pytest.fixture
def static(tmp_path: Path) -> Static:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "a.yml").write_text(REFERS)
    return Static(file_directory=str(tmp_path / "conf.d"), entry_points={"web": EntryPoint("web", "127.0.0.1", 80)},
                  redis_provider=RedisProvider(RedisServer(("127.0.0.1:1",))))


def test_without_a_look_a_reference_into_the_store_is_no_error(static: Static) -> None:
    checked = look_at(static)
    assert (checked.errors, checked.unseen) == (0, "redis:traefik")
    assert [problem.message for problem in checked.problems] == ['service "shop@redis" is not looked for']


def test_a_look_that_finds_the_service_is_content(static: Static, tmp_path: Path) -> None:
    with RedisRunning(tmp_path / "redis") as redis:
        redis.routes("shop")
        checked = look_at(replace(static, redis_provider=RedisProvider(redis.server)), with_redis=True)
    assert (checked.problems, checked.unseen) == ((), "")
    assert checked.counts["routers"] == 2


def test_a_look_tells_what_is_wrong_in_the_store(static: Static, tmp_path: Path) -> None:
    with RedisRunning(tmp_path / "redis") as redis:
        redis.routes("shop")
        redis.put(routers__shop__priority="high")
        checked = look_at(replace(static, redis_provider=RedisProvider(redis.server)), with_redis=True)
    assert [str(problem.place) for problem in checked.problems] == ["redis:traefik/http/routers/shop/priority"]


def test_a_look_at_a_store_that_is_away_is_refused(static: Static) -> None:
    checked = look_at(static, with_redis=True)
    assert any(str(problem).startswith("redis:traefik: error: cannot be read: ") for problem in checked.problems)


def test_a_static_file_without_the_provider_is_checked_as_ever(static: Static) -> None:
    checked = look_at(replace(static, redis_provider=None))
    assert (checked.errors, checked.unseen) == (1, "")
