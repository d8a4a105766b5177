"""A real redis-server is followed as the agent does it; `history` has every set of routers that ever served."""
from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from kv_redis import SERVER, RedisRunning, until

from mesh.model import EntryPoint, RedisProvider, RedisServer, Static
from mesh.providers import kv_quiet
from workers.agent import kv
from workers.agent.kv import Kv
from workers.agent.sources import Sources
from workers.agent.watch import Inbox

pytestmark = pytest.mark.skipif(SERVER is None, reason="no redis-server on this machine")
WITHIN_S = 10.0


class Following:
    """What the disk thread does with a store."""

    def __init__(self, server: RedisServer, former: bytes = b"", root_key: str = "traefik") -> None:
        provider = RedisProvider(server, root_key)
        entry_points = {"web": EntryPoint("web", "127.0.0.1", 80)}
        self.sources = Sources(Static(entry_points=entry_points, redis_provider=provider), former)
        self.inbox = Inbox()
        self.kv = Kv(provider, self.inbox.wake)
        self.history: list[set[str]] = [self._routers()]
        self.problems: list[str] = []

    def _routers(self) -> set[str]:
        self.settled = self.sources.settle()
        return {name.removesuffix("@redis") for name in self.settled.dynamic.routers}

    def turn(self) -> None:
        if self.sources.store_said(self.kv.take()):
            self.history.append(self._routers())
            self.problems = [str(problem) for problem in self.settled.problems]

    @property
    def now(self) -> set[str]:
        return self.history[-1]

    def until(self, condition: Callable[[], object], within_s: float = WITHIN_S) -> float:
        """Follows until the condition holds; how long that took."""
        began = time.monotonic()
        while not condition():
            assert time.monotonic() - began < within_s, f"not within {within_s} s: {self.history}, {self.problems}"
            self.inbox.wait(0.05)
            self.inbox.take()
            self.turn()
        return time.monotonic() - began

    def until_it_is_told_away(self) -> None:
        self.until(lambda: any("cannot be read" in problem for problem in self.problems))

    def until_it_is_read_again(self) -> None:
        self.until(lambda: not any("cannot be read" in problem for problem in self.problems))


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What lasts seconds for good reasons need not last so long here."""
    monkeypatch.setattr(kv_quiet, "EMPTY_S", 1.0)
    monkeypatch.setattr(kv_quiet, "DOUBT_S", 2.0)
    monkeypatch.setattr(kv_quiet, "AWAY_S", 0.5)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RedisRunning]:
    with RedisRunning(tmp_path / "redis") as running:
        yield running


@pytest.fixture
def follow(store: RedisRunning) -> Iterator[Callable[..., Following]]:
    begun: list[Following] = []

    def begin(former: bytes = b"", root_key: str = "traefik", server: RedisServer | None = None) -> Following:
        following = Following(server or store.server, former, root_key)
        following.kv.start()
        begun.append(following)
        return following

    yield begin
    for each in begun:
        each.kv.close()


Follow = Callable[..., Following]


def test_what_stands_there_serves(store: RedisRunning, follow: Follow) -> None:
    store.routes("a", "b")
    following = follow()
    following.until(lambda: following.now == {"a", "b"})
    assert not following.problems


def test_a_change_is_seen_at_once_where_the_store_tells_of_it(
        store: RedisRunning, follow: Follow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kv, "TOLD_S", 60.0)
    store.routes("a")
    following = follow()
    following.until(lambda: following.now == {"a"})
    following.until(lambda: following.kv._steady._doubt_since is None)
    store.routes("b")
    assert following.until(lambda: following.now == {"a", "b"}) < 5.0


def test_a_change_is_seen_without_being_told(tmp_path: Path, follow: Follow) -> None:
    with RedisRunning(tmp_path / "old", "--rename-command", "CLIENT", "") as old:
        old.routes("a")
        following = follow(server=old.server)
        following.until(lambda: following.now == {"a"})
        old.routes("b")
        following.until(lambda: following.now == {"a", "b"})
        old.client.delete("traefik/http/routers/a/rule", "traefik/http/routers/a/service")
        following.until(lambda: following.now == {"b"})


def test_a_service_that_is_written_key_by_key_never_serves_by_half(store: RedisRunning, follow: Follow) -> None:
    following = follow()
    for index in range(20):
        store.client.set(f"traefik/http/services/shop/loadbalancer/servers/{index}/url", f"http://10.0.0.{index}:80")
        following.inbox.wait(0.05)
        following.turn()
    store.put(routers__shop__rule="Host(`shop.example`)", routers__shop__service="shop")
    following.until(lambda: following.now)
    assert len(following.settled.dynamic.services["shop@redis"].how.servers) == 20
    assert following.history == [set(), {"shop"}] or following.history == [set(), set(), {"shop"}]


def test_an_expired_key_takes_its_endpoint_away(store: RedisRunning, follow: Follow) -> None:
    store.routes("a")
    following = follow()
    store.client.set("traefik/http/services/a/loadbalancer/servers/1/url", "http://127.0.0.1:2", px=2500)

    def servers() -> int:
        service = following.settled.dynamic.services.get("a@redis")
        return len(service.how.servers) if service else 0

    following.until(lambda: servers() == 2)
    following.until(lambda: servers() == 1)
    assert following.now == {"a"}


def test_the_last_key_takes_the_last_route_away(store: RedisRunning, follow: Follow) -> None:
    store.routes("a")
    following = follow()
    following.until(lambda: following.now == {"a"} and following.kv._steady._doubt_since is None)
    for key in store.client.keys("traefik/*"):
        store.client.delete(key)
    following.until(lambda: not following.now)
    assert not following.problems


def test_a_wrong_value_is_told_with_its_key_and_the_rest_serves(store: RedisRunning, follow: Follow) -> None:
    store.routes("a", "b")
    store.put(routers__b__priority="high")
    following = follow()
    following.until(lambda: following.now == {"a"})
    assert following.problems == [
        'redis:traefik/http/routers/b/priority: error: http.routers.b: priority: "high" is not a whole number']


def test_a_wrong_edit_keeps_the_last_good_version(store: RedisRunning, follow: Follow) -> None:
    store.routes("a")
    following = follow()
    following.until(lambda: following.now == {"a"})
    store.put(routers__a__rule="Hst(`a.example`)")
    following.until(lambda: following.problems)
    assert following.now == {"a"}
    assert "its last good version serves" in following.problems[0]


def test_a_killed_store_keeps_what_it_said(store: RedisRunning, follow: Follow) -> None:
    store.routes("a")
    following = follow()
    following.until(lambda: following.now == {"a"})
    store.kill()
    following.until_it_is_told_away()
    assert following.now == {"a"}


def test_a_store_that_comes_back_empty_keeps_what_it_said(store: RedisRunning, follow: Follow) -> None:
    store.routes("a")
    following = follow()
    following.until(lambda: following.now == {"a"})
    store.kill()
    following.until_it_is_told_away()
    store.start()
    following.until(lambda: any("no key stands there" in problem for problem in following.problems))
    assert following.now == {"a"}
    assert "what stood there before still serves" in following.problems[0]


def test_a_store_that_is_filled_again_after_a_restart_serves_what_it_says(
        store: RedisRunning, follow: Follow) -> None:
    store.routes("a", "b")
    following = follow()
    following.until(lambda: following.now == {"a", "b"})
    store.kill()
    store.start()
    store.routes("b", "c")
    following.until(lambda: following.now == {"b", "c"})
    assert all("b" in routers for routers in following.history[following.history.index({"a", "b"}):])


def test_the_mark_of_an_empty_store_is_obeyed_after_a_restart(store: RedisRunning, follow: Follow) -> None:
    store.routes("a")
    following = follow()
    following.until(lambda: following.now == {"a"})
    store.kill()
    store.start()
    store.client.set("traefik", "")
    following.until(lambda: not following.now)


def test_it_is_told_of_changes_again_after_a_restart(
        store: RedisRunning, follow: Follow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kv, "TOLD_S", 60.0)
    following = follow()
    following.until(lambda: following.kv._store.is_told)
    store.kill()
    following.until(lambda: not following.kv._store.is_told)
    store.start()
    following.until(lambda: following.kv._store.is_told)
    store.routes("a")
    assert following.until(lambda: following.now == {"a"}) < 5.0


def test_a_store_that_hangs_keeps_what_it_said_and_is_read_again(
        store: RedisRunning, follow: Follow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kv, "ANSWER_S", 0.3)
    monkeypatch.setattr(kv, "TOLD_S", 0.5)
    store.routes("a")
    following = follow()
    following.until(lambda: following.now == {"a"})
    store.signal(signal.SIGSTOP)
    following.until_it_is_told_away()
    store.signal(signal.SIGCONT)
    following.until_it_is_read_again()
    assert following.now == {"a"}


def test_a_store_that_was_never_there_is_told(follow: Follow) -> None:
    following = follow(server=RedisServer(("127.0.0.1:1",)))
    following.until_it_is_told_away()
    assert following.problems[0].startswith("redis:traefik: error: cannot be read: ")


def test_an_agent_that_starts_anew_goes_on_from_what_the_former_one_knew(
        store: RedisRunning, follow: Follow) -> None:
    store.routes("a", "b")
    first = follow()
    first.until(lambda: first.now == {"a", "b"})
    former = first.sources.catalog.to_json()
    first.kv.close()
    store.client.delete("traefik/http/routers/b/rule", "traefik/http/routers/b/service")
    second = follow(former)
    assert second.now == {"a", "b"}
    second.until(lambda: second.now == {"a"})


def test_a_provider_that_is_not_configured_any_more_takes_its_objects_away(
        store: RedisRunning, follow: Follow) -> None:
    store.routes("a")
    following = follow()
    following.until(lambda: following.now == {"a"})
    static = Static(entry_points={"web": EntryPoint("web", "127.0.0.1", 80)})
    assert not Sources(static, following.sources.catalog.to_json()).settle().dynamic.routers


def test_another_root_key_is_another_store(store: RedisRunning, follow: Follow) -> None:
    store.routes("a")
    store.client.set("prod*/http/routers/b/rule", "Host(`b`)")
    store.client.set("prod*/http/routers/b/service", "b")
    store.client.set("prod*/http/services/b/loadbalancer/servers/0/url", "http://10.0.0.1:80")
    following = follow(root_key="prod*")
    following.until(lambda: following.now == {"b"})


def test_a_password_is_said_to_the_store(tmp_path: Path, follow: Follow) -> None:
    with RedisRunning(tmp_path / "closed") as closed:
        closed.routes("a")
        closed.client.config_set("requirepass", "secret")
        following = follow(server=closed.server)
        following.until_it_is_told_away()
        assert "uthentication" in following.problems[0]
        other = follow(server=replace(closed.server, password="secret"))
        other.until(lambda: other.now == {"a"})


def test_a_cluster_is_followed(tmp_path: Path, follow: Follow) -> None:
    with RedisRunning(tmp_path / "cluster", "--cluster-enabled", "yes") as node:
        node.client.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
        following = follow(server=replace(node.server, cluster=True))
        following.until(lambda: node.client.execute_command("CLUSTER INFO")["cluster_state"] == "ok")
        node.routes("a")
        following.until(lambda: following.now == {"a"})


@pytest.mark.parametrize("is_asked_for", [False, True], ids=["killed", "asked for"])
def test_a_failover_of_sentinel_is_followed(is_asked_for: bool, tmp_path: Path, follow: Follow) -> None:
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(RedisRunning(tmp_path / "first"))
        second = stack.enter_context(RedisRunning(
            tmp_path / "second", "--replicaof", "127.0.0.1", str(first.port), "--repl-diskless-sync-delay", "0"))
        watch = RedisRunning(tmp_path / "sentinel")
        config = tmp_path / "sentinel" / "sentinel.conf"
        config.write_text(f"sentinel monitor mesh 127.0.0.1 {first.port} 1\n"
                          "sentinel down-after-milliseconds mesh 300\nsentinel failover-timeout mesh 3000\n")
        watch.program = [str(SERVER), str(config), "--sentinel"]
        stack.enter_context(watch)
        first.routes("a")
        until(lambda: second.client.exists("traefik/http/routers/a/rule"), "the replica has the keys")
        until(lambda: watch.client.execute_command("SENTINEL REPLICAS", "mesh"), "Sentinel knows the replica")
        following = follow(server=RedisServer(watch.server.addresses, sentinel="mesh"))
        following.until(lambda: following.now == {"a"})
        if is_asked_for:                # then the former master goes on as master for ten seconds
            watch.client.execute_command("SENTINEL FAILOVER", "mesh")
        else:
            first.kill()
        until(lambda: second.client.info("replication")["role"] == "master", "the replica takes over", 20.0)
        second.routes("b")
        following.until(lambda: following.now == {"a", "b"}, 8.0)
        assert all("a" in routers for routers in following.history[following.history.index({"a"}):])


def test_a_key_that_holds_no_text_is_told_beside_what_serves(store: RedisRunning, follow: Follow) -> None:
    store.routes("a")
    store.client.hset("traefik/http/routers/a/priority", "x", "y")
    store.client.set("traefik/http/routers/a/entrypoints", b"\xff\xfe")
    following = follow()
    following.until(lambda: following.problems)
    assert {problem.partition(": ")[0] for problem in following.problems} == {
        "redis:traefik/http/routers/a/priority", "redis:traefik/http/routers/a/entrypoints"}
