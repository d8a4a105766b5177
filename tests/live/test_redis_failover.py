"""A failover of Redis under Sentinels while a service has traffic: no request fails, and every word holds on."""
from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis as redis_py
from kv_redis import SERVER, RedisRunning
from running import ORDERS, Endpoint, Mesh, orders, until
from traffic import Traffic

CLI = shutil.which("redis-cli") or shutil.which("valkey-cli")
SENTINELS = 3
DOWN_AFTER_MS = 700
FAILOVER_S = 30.0           # patience; it takes some 2 s
FOLLOWED_S = 7.0            # it takes 2 s; a master that an operator relieves answers as master for 11 s more
REGISTERED = "mesh:instance:orders.shop:more"

pytestmark = pytest.mark.skipif(SERVER is None or CLI is None, reason="no redis-server and redis-cli here")


class Sentinel(RedisRunning):
    """One of those that watch over the set named mesh."""

    def __init__(self, directory: Path, master: RedisRunning) -> None:
        super().__init__(directory, "--sentinel")
        (directory / "sentinel.conf").write_text(
            f"sentinel monitor mesh 127.0.0.1 {master.port} 2\n"
            f"sentinel down-after-milliseconds mesh {DOWN_AFTER_MS}\n"
            "sentinel failover-timeout mesh 3000\n")
        self.program = [SERVER or "", str(directory / "sentinel.conf")]

    def sees_all(self) -> bool:
        """It knows the replica and the other Sentinels."""
        with contextlib.suppress(redis_py.RedisError):
            seen = self.client.sentinel_master("mesh")
            [replica] = self.client.sentinel_slaves("mesh")
            return bool(seen["num-other-sentinels"] == SENTINELS - 1 and replica["role-reported"] == "slave"
                        and replica["master-link-status"] == "ok")
        return False


class Set:
    """A master, its replica, and three Sentinels."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.first = stack.enter_context(RedisRunning(directory / "first", "--repl-diskless-sync-delay", "0"))
        self.second = stack.enter_context(
            RedisRunning(directory / "second", "--replicaof", "127.0.0.1", str(self.first.port)))
        until(lambda: role(self.second).get("master_link_status") == "up", "the replica has it all", FAILOVER_S)
        self.sentinels = [stack.enter_context(Sentinel(directory / f"sentinel-{number}", self.first))
                          for number in range(SENTINELS)]
        until(lambda: all(each.sees_all() for each in self.sentinels), "the Sentinels know all", FAILOVER_S)

    def fails_over(self) -> None:
        """Waits until the second is the master for itself and for all Sentinels that live; prints how long it took."""
        began = time.monotonic()
        living = [each for each in self.sentinels if each.process is not None]
        until(lambda: role(self.second)["role"] == "master" and all(
            each.client.sentinel_get_master_addr_by_name("mesh")[1] == self.second.port for each in living),
            "the replica is the master", FAILOVER_S)
        print(f"another is the master after {time.monotonic() - began:.2f} s")


def role(server: RedisRunning) -> dict[str, Any]:
    return dict(server.client.info("replication"))


def redis_cli(server: RedisRunning, *words: str) -> str:
    """What an operator sees who types this."""
    done = subprocess.run([CLI or "", "-p", str(server.port), *words], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=10, check=True)
    assert not done.stdout.startswith(("ERR", "READONLY", "NOGOODSLAVE")), done.stdout
    return done.stdout


class Served:
    """A service with traffic, whose Redis is to fail over: endpoints, mesh, traffic, and what was said before."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.set = Set(directory, stack)
        self.one, self.two, self.drained, self.more = (
            stack.enter_context(Endpoint(name)) for name in ("one", "two", "drained", "more"))
        redis_cli(self.set.first, "HSET", "mesh:overrides:orders.shop", self.drained.url, "drain by ann: before it")
        self.register(self.set.first)
        said = {"redis": {"sentinel": {"masterName": "mesh", "addresses": [
            each.server.addresses[0] for each in self.set.sentinels]}}}
        files = {"orders.yml": orders(self.one, self.two, self.drained)}
        self.mesh = stack.enter_context(Mesh(directory, files, said))
        until(lambda: self.states(self.set.first) == {
            self.one.url: "up", self.two.url: "up", self.drained.url: "drain", self.more.url: "up"}, "all is told")
        self.traffic = stack.enter_context(Traffic(self.mesh.port, ORDERS))
        until(lambda: self.traffic.by.keys() >= {"one", "two", "more"}, "all three serve")
        self.before = self.traffic.by["drained"]        # what came before the agent had heard the word
        until(lambda: self.set.first.client.wait(1, 100), "the replica has heard it all")

    def register(self, server: RedisRunning) -> None:
        server.client.set(REGISTERED, self.more.url, px=15_000)

    def states(self, server: RedisRunning) -> dict[str, str]:
        """The state of each endpoint in the documents there."""
        documents = server.client.hgetall("mesh:endpoints:orders.shop")
        return {url: text.split('"state": "', 1)[1].split('"', 1)[0] for url, text in documents.items()}

    def goes_on_at(self, new: RedisRunning) -> None:
        """The table is whole there, words of before hold, and one that is typed there is obeyed."""
        self.register(new)
        redis_cli(new, "HSET", "mesh:overrides:orders.shop", self.two.url, "drain")
        typed = time.monotonic()
        until(lambda: self.states(new).get(self.two.url) == "drain", "the host tells the new master that it obeys",
              FOLLOWED_S)
        print(f"a word at the new master is obeyed and told after {time.monotonic() - typed:.2f} s")
        self.traffic.goes_on()              # what was under way just then
        two = self.traffic.by["two"]
        self.traffic.goes_on()
        assert self.traffic.by["two"] == two
        until(lambda: new.client.pttl("mesh:host:host-a") > 12_000, "its heart beats there")
        assert self.states(new) == {self.one.url: "up", self.two.url: "drain", self.drained.url: "drain",
                                    self.more.url: "up"}
        assert new.client.smembers("mesh:services") == {"orders.shop"}
        assert new.client.hgetall("mesh:overrides:orders.shop") == {
            self.drained.url: "drain by ann: before it", self.two.url: "drain"}
        assert new.client.hkeys("mesh:hosts") == ["host-a"]
        redis_cli(new, "HDEL", "mesh:overrides:orders.shop", self.two.url)
        until(lambda: self.traffic.by["two"] > two, "it serves again when the word is taken back")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """What no failover may spoil is looked at in the end: no request failed, none came to what is drained."""
    with ExitStack() as stack:
        served = Served(tmp_path, stack)
        yield served
        served.traffic.goes_on()
        assert served.traffic.wrong == []
        assert served.traffic.by["drained"] == served.before
        print(f"{served.traffic.asked} requests, none failed")


def test_a_master_that_is_killed_costs_no_request_and_no_word(served: Served) -> None:
    served.set.sentinels[0].kill()      # it was on the same machine, and is the first that hosts ask
    served.set.first.kill()
    served.set.fails_over()
    served.goes_on_at(served.set.second)
    served.set.first.start()            # it comes back as a master that is not up to date
    until(lambda: role(served.set.first)["role"] == "slave", "it is told to follow", FAILOVER_S)
    served.goes_on_at(served.set.second)


def test_a_failover_that_an_operator_asks_for_costs_no_request_and_no_word(served: Served) -> None:
    assert redis_cli(served.set.sentinels[0], "SENTINEL", "FAILOVER", "mesh").strip() == "OK"
    served.set.fails_over()
    served.goes_on_at(served.set.second)
    until(lambda: role(served.set.first)["role"] == "slave", "the former master follows", FAILOVER_S)


def test_a_master_that_stood_still_and_comes_back_as_master_is_not_believed(served: Served) -> None:
    served.set.first.signal(signal.SIGSTOP)
    served.set.fails_over()
    served.goes_on_at(served.set.second)
    served.set.first.signal(signal.SIGCONT)
    until(lambda: role(served.set.first)["role"] == "slave", "it is told to follow", FAILOVER_S)
    served.goes_on_at(served.set.second)
