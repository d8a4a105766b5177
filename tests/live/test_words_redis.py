"""Words about endpoints on a service with a Redis: by command and by redis-cli, with who and why in the events."""
from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner, Result
from kv_redis import SERVER, RedisRunning
from running import Endpoint, Mesh, orders, until

from workers.cli import main

pytestmark = pytest.mark.skipif(SERVER is None, reason="no redis-server on this machine")


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[Endpoint, Endpoint]]:
    with Endpoint("one") as one, Endpoint("two") as two:
        yield one, two


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisRunning]:
    with RedisRunning(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory, redis: RedisRunning,
         pair: tuple[Endpoint, Endpoint]) -> Iterator[Mesh]:
    static = {"redis": {"url": f"redis://{redis.server.addresses[0]}"}}
    with Mesh(Path(tmp_path_factory.mktemp("mesh")), {"orders.yml": orders(*pair)}, static) as running:
        until(lambda: redis.client.exists("mesh:endpoints:orders.shop"), "the host tells Redis of its endpoints")
        yield running


def hostmesh(mesh: Mesh, command: str, *words: str) -> Result:
    return CliRunner().invoke(main, [command, "--config", str(mesh.config), *words])


def who_answers(mesh: Mesh) -> set[str]:
    return {str(mesh.ask("/bytes?size=1").headers["X-By"]) for _ in range(10)}


def test_a_command_and_redis_cli_say_the_same_words(
        mesh: Mesh, redis: RedisRunning, pair: tuple[Endpoint, Endpoint]) -> None:
    one, _ = pair
    assert hostmesh(mesh, "drain", "orders.shop", f":{one.port}", "--why", "new kernel").exit_code == 0
    assert who_answers(mesh) == {"two"}
    redis.client.hdel("mesh:overrides:orders.shop", one.url)
    until(lambda: who_answers(mesh) == {"one", "two"}, "it is taken back")
    redis.client.hset("mesh:overrides:orders.shop", one.url, "disable")
    began = time.monotonic()
    until(lambda: who_answers(mesh) == {"two"}, "a bare word is obeyed")
    assert time.monotonic() - began < 2.0
    result = hostmesh(mesh, "enable", "orders.shop", f":{one.port}")
    assert result.exit_code == 0, result.output
    until(lambda: who_answers(mesh) == {"one", "two"}, "both serve again")      # from a worker's next tick on


def test_events_say_who_and_why_once(mesh: Mesh, pair: tuple[Endpoint, Endpoint]) -> None:
    _, two = pair

    def words() -> list[tuple[str, bool, str]]:
        lines = hostmesh(mesh, "events", "--json", "-n", "200").stdout.splitlines()
        events = [json.loads(line) for line in lines]
        return [(each["what"], "who" in each, each.get("why", "")) for each in events
                if each["kind"] == "override" and each["url"] == two.url]

    hostmesh(mesh, "drain", "orders.shop", f":{two.port}", "--why", "new kernel")
    until(lambda: len(words()) == 1, "the drain is told")
    hostmesh(mesh, "undrain", "orders.shop", f":{two.port}", "--why", "it is new")
    until(lambda: len(words()) == 2, "and its end")
    assert words() == [("drain", True, "new kernel"), ("no drain", True, "it is new")]


def test_the_host_is_listed_with_its_heartbeat(mesh: Mesh) -> None:
    (host,) = json.loads(hostmesh(mesh, "hosts", "--json").stdout)["hosts"]
    assert (host["name"], host["alive"], host["workers"]) == ("host-a", True, 2)


def test_a_word_is_refused_while_the_private_redis_is_away(tmp_path: Path, pair: tuple[Endpoint, Endpoint]) -> None:
    with Mesh(tmp_path, {"orders.yml": orders(*pair)}, {"redis": {"embedded": True}}) as mesh:
        until(lambda: mesh.about.redis and hostmesh(mesh, "hosts").exit_code == 0, "a private Redis runs")
        (mine,) = [each for each in psutil.Process(mesh.agent).children() if "redis" in each.name()]
        data = tmp_path / "state" / "redis"
        data.rename(tmp_path / "aside")                 # it cannot come back
        for place in (data, tmp_path / "run" / "redis"):
            place.touch()
        mine.kill()
        until(lambda: any("cannot hold the private Redis" in line for line in mesh.log), "it is missed")
        let_pass(1.0)                                   # two beats of the agent
        refused = hostmesh(mesh, "drain", "orders.shop", pair[0].url)
        assert (refused.exit_code, refused.output[:20]) == (1, "nothing was changed:")
        data.unlink()
        (tmp_path / "aside").rename(data)
        until(lambda: hostmesh(mesh, "drain", "orders.shop", pair[0].url).exit_code == 0, "it is back")
        until(lambda: who_answers(mesh) == {"two"}, "the word is obeyed")


def let_pass(seconds: float) -> None:
    ends = time.monotonic() + seconds
    until(lambda: time.monotonic() > ends)
