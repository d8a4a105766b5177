"""The same commands on a host that shares its state through a real Redis."""
from __future__ import annotations

import getpass
import io
import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hosts_seen import A, B, Host, opinions, say, shown_by
from kv_redis import SERVER, RedisRunning, until

from mesh.model import RedisServer
from mesh.shared.layout import FACT_AGENT_PID
from workers.agent.mesh_seen import Mesh
from workers.commands.endpoints import endpoints_seen
from workers.commands.events import events_seen
from workers.commands.hosts import hosts_seen
from workers.commands.paper import Paper
from workers.commands.services import services_seen
from workers.commands.sight import look

pytestmark = pytest.mark.skipif(SERVER is None, reason="no redis-server on this machine")
NOBODYS = RedisServer(("127.0.0.1:1",))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisRunning]:
    with RedisRunning(tmp_path_factory.mktemp("redis")) as redis:
        yield redis


@pytest.fixture
def redis(running: RedisRunning) -> RedisRunning:
    running.client.flushall()
    return running


@pytest.fixture
def host(tmp_path: Path, redis: RedisRunning) -> Iterator[Host]:
    made = Host(tmp_path, redis.server).shares()
    made.memory.facts.store(FACT_AGENT_PID, 2 ** 22 + 1)         # what an agent does is store.py's to show
    yield made
    made.close()


def lines(text: str, words: str) -> list[str]:
    return [line for line in text.split("\n") if words in line]


def test_another_hosts_opinion_is_told_where_it_differs(host: Host, redis: RedisRunning) -> None:
    redis.client.hset("mesh:endpoints:orders.shop", mapping={
        A: opinions("mixed", host_a={"state": "up"}, host_b={"state": "down", "why": "connection refused"}),
        B: opinions("up", host_a={"state": "up"}, host_b={"state": "up"})})
    _, text = shown_by(host.static, endpoints_seen, "orders.shop", False)
    assert len(lines(text, "host-b")) == 1
    assert lines(text, "host-b")[0].strip() == "host-b: down, connection refused"


def test_a_service_of_other_hosts_alone_is_listed_as_that(host: Host, redis: RedisRunning) -> None:
    redis.client.sadd("mesh:services", "stock.shop", "orders.shop")
    redis.client.hset("mesh:endpoints:stock.shop", "http://10.0.9.1:80", opinions("up", host_b={"state": "up"}))
    _, text = shown_by(host.static, services_seen, False)
    assert lines(text, "stock.shop")[0].split()[1:3] == ["1", "up"]
    assert "on other hosts" in lines(text, "stock.shop")[0]
    _, text = shown_by(host.static, endpoints_seen, "stock.shop", False)
    assert "http://10.0.9.1:80" in text
    assert "known to other hosts alone" in text


def test_a_document_that_somebody_spoilt_is_no_fault(host: Host, redis: RedisRunning) -> None:
    redis.client.hset("mesh:endpoints:orders.shop", mapping={A: "{", "http://x:1": '{"inFlight": "many"}'})
    assert shown_by(host.static, endpoints_seen, "orders.shop", False)[0] == 0


def test_a_redis_that_is_away_leaves_what_this_host_sees(tmp_path: Path) -> None:
    host = Host(tmp_path, NOBODYS).shares()
    for command in (services_seen, endpoints_seen):
        words = ("orders.shop", False) if command is endpoints_seen else (False,)
        code, text = shown_by(host.static, command, *words)
        assert code == 0
        assert "orders.shop" in text
        assert "other hosts cannot be asked: Redis (127.0.0.1:1): " in text


def test_a_redis_that_hangs_is_an_answer_soon(tmp_path: Path, redis: RedisRunning) -> None:
    host = Host(tmp_path, redis.server).shares()
    with redis.stopped():
        began = time.monotonic()
        code, text = shown_by(host.static, services_seen, False)
    assert code == 0
    assert "other hosts cannot be asked" in text
    assert time.monotonic() - began < 6.0


def test_a_word_goes_to_redis_with_who_and_why(host: Host, redis: RedisRunning) -> None:
    code, text = say(host.static, "drain", A, "new kernel")
    (word,) = redis.client.hgetall("mesh:overrides:orders.shop").values()
    assert code == 0
    assert word.startswith("drain by ")
    assert word.endswith(": new kernel")
    assert "on this host alone" not in text
    assert not (Path(host.static.state_directory) / "overrides.json").exists()


def test_a_bare_word_typed_in_redis_cli_is_taken_back(host: Host, redis: RedisRunning) -> None:
    redis.client.hset("mesh:overrides:orders.shop", A, "drain")
    assert say(host.static, "undrain", "10.0.3.17")[1].startswith(f"orders.shop {A} is drained no more\n")
    assert not redis.client.exists("mesh:overrides:orders.shop")


def test_a_word_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    host = Host(tmp_path, NOBODYS).shares()
    code, text = say(host.static, "drain", A)
    assert code == 1
    assert text.startswith("nothing was changed: Redis (127.0.0.1:1): ")
    assert "until it is back, take the endpoint out of the files that name it, or stop it" in text


def test_an_endpoint_of_other_hosts_alone_can_be_drained(host: Host, redis: RedisRunning) -> None:
    redis.client.sadd("mesh:services", "stock.shop")
    redis.client.hset("mesh:endpoints:stock.shop", "http://10.0.9.1:80", opinions("up", host_b={"state": "up"}))
    assert say(host.static, "drain", "10.0.9.1", service="stock.shop")[0] == 0
    assert redis.client.hkeys("mesh:overrides:stock.shop") == ["http://10.0.9.1:80"]


def test_hosts_are_up_while_their_heartbeat_lives(host: Host, redis: RedisRunning) -> None:
    said = {"state": "up", "address": "10.0.3.2", "version": "0.1.0", "workers": 4, "generation": 12, "load": 0.3,
            "capacity": 4, "started": "2026-11-24T01:00:00Z", "lastSeen": "2026-11-25T01:40:00Z"}
    redis.client.hset("mesh:hosts", mapping={"host-a": json.dumps(said), "host-b": json.dumps(said)})
    redis.client.set("mesh:host:host-a", "x", ex=15)
    code, text = shown_by(host.static, hosts_seen, False)
    assert code == 0
    assert lines(text, "host-a (here)")[0].split()[0] == "up"
    assert lines(text, "host-b")[0].split()[0] == "down"
    assert "0.3 of 4" in text


def test_when_a_host_was_seen_is_told_by_the_clock_of_redis(host: Host, redis: RedisRunning) -> None:
    redis.client.hset("mesh:hosts", "host-c", '{"lastSeen": "2026-01-01T00:00:00Z"}')
    redis.client.set("mesh:host:host-c", "x", px=13_950)        # of 16 s
    assert lines(shown_by(host.static, hosts_seen, False)[1], "host-c")[0].endswith("  2 s ago")


def test_two_hosts_of_one_name_have_a_line_of_their_own(host: Host, redis: RedisRunning) -> None:
    redis.client.hset("mesh:hosts", "host-a", '{"address": "10.0.3.2", "twin": "10.0.3.9"}')
    assert "two hosts are called host-a: 10.0.3.2 and 10.0.3.9;" in shown_by(host.static, hosts_seen, False)[1]


def test_hosts_of_a_redis_that_is_away_cannot_be_told(tmp_path: Path) -> None:
    code, text = shown_by(Host(tmp_path, NOBODYS).static, hosts_seen, False)
    assert code == 1
    assert text.startswith("Redis (127.0.0.1:1): ")


def test_events_are_told_oldest_first_as_many_as_are_wanted(host: Host, redis: RedisRunning) -> None:
    for number in range(4):
        redis.client.xadd("mesh:events", {"at": "2026-11-25T01:40:00Z", "kind": "override", "service": "orders.shop",
                                          "url": A, "what": "drain", "who": "ann", "why": f"reason {number}",
                                          "host": "host-b"})
    code, text = shown_by(host.static, events_seen, 2, False, False)
    assert code == 0
    assert [line.rpartition(": ")[2] for line in text.strip().split("\n")] == [
        "reason 2  [host-b]", "reason 3  [host-b]"]
    assert f"override           orders.shop {A} drain by ann: reason 2" in text


def test_events_are_told_as_json_each_in_a_line(host: Host, redis: RedisRunning) -> None:
    redis.client.xadd("mesh:events", {"kind": "host-down", "who": "host-c"})
    _, text = shown_by(host.static, events_seen, 20, False, True)
    assert json.loads(text)["who"] == "host-c"


def test_events_are_followed(host: Host, redis: RedisRunning) -> None:
    redis.client.xadd("mesh:events", {"kind": "reload", "why": "before"})
    mesh = Mesh(redis.server, "mesh:")
    _, newest = mesh.events(0)
    found: list[str] = []

    def follow() -> None:
        for number, event in mesh.follow(newest):
            if number:
                found.append(event["why"])
            if found[-1:] == ["last"]:
                return

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    redis.client.xadd("mesh:events", {"kind": "reload", "why": "first"})
    until(lambda: found, "the first one")
    redis.client.xadd("mesh:events", {"kind": "reload", "why": "last"})
    thread.join(5.0)
    assert found == ["first", "last"]
    mesh.close()


class UntilCtrlC(io.StringIO):
    """A terminal at which somebody types Ctrl-C once he has seen enough."""

    is_over = False

    def flush(self) -> None:
        if self.is_over:
            raise KeyboardInterrupt


def test_following_outlives_a_restart_of_redis(tmp_path: Path) -> None:
    with RedisRunning(tmp_path / "redis", "--appendonly", "yes") as own:
        host = Host(tmp_path, own.server)
        stream = UntilCtrlC()
        sight = look(host.static)
        thread = threading.Thread(target=lambda: events_seen(sight, Paper(stream), 20, True, False), daemon=True)
        thread.start()
        own.client.xadd("mesh:events", {"kind": "reload", "why": "before"})
        until(lambda: "before" in stream.getvalue(), "an event")
        own.kill()
        own.start()
        own.client.xadd("mesh:events", {"kind": "reload", "why": "after"})
        until(lambda: "after" in stream.getvalue(), "an event after the restart")
        assert stream.getvalue().count("before") == 1
        stream.is_over = True
        own.client.xadd("mesh:events", {"kind": "reload", "why": "last"})
        thread.join(5.0)
        assert not thread.is_alive()


def test_who_takes_a_word_back_is_told_once(host: Host, redis: RedisRunning) -> None:
    say(host.static, "drain", A)
    say(host.static, "undrain", A, "the kernel is new")
    events = [event for _, event in redis.client.xrange("mesh:events")]
    who = os.environ.get("SUDO_USER") or getpass.getuser()
    assert [(each["kind"], each["url"], each["what"], each["who"], each["why"]) for each in events] == [
        ("override", A, "no drain", who, "the kernel is new")]
    assert redis.client.hget("mesh:told", f"orders.shop {A}") == "no drain  "


def test_a_word_is_taken_back_where_redis_is_full(host: Host, redis: RedisRunning) -> None:
    say(host.static, "drain", A)
    redis.client.config_set("maxmemory", 1)
    try:
        code, text = say(host.static, "drain", B)
        assert (code, text[:20]) == (1, "nothing was changed:")
        assert say(host.static, "undrain", A)[0] == 0
        assert not redis.client.exists("mesh:overrides:orders.shop")
    finally:
        redis.client.config_set("maxmemory", 0)


def test_of_several_addresses_one_that_answers_is_taken(tmp_path: Path, redis: RedisRunning) -> None:
    host = Host(tmp_path, RedisServer(("127.0.0.1:1", *redis.server.addresses))).shares()
    assert say(host.static, "drain", A)[0] == 0
    assert redis.client.exists("mesh:overrides:orders.shop")
