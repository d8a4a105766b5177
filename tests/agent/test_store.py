"""The store on a real Redis that is well: what stands in it, and what comes back from it."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from store_running import QUICK, Host, RedisProcess, document, events, hosts_on, let_pass, until

ONE, TWO = "http://10.0.0.1:8080", "http://10.0.0.2:8080"


@pytest.fixture
def host(server: RedisProcess, redis: Any) -> Iterator[Host]:
    with hosts_on(server.reached, "host-a") as [one]:
        one.serve("orders.shop", ONE, TWO)
        until(lambda: document(redis, "orders.shop", ONE))
        until(lambda: one.store.seen.is_up)
        yield one


@pytest.fixture
def two(server: RedisProcess, redis: Any) -> Iterator[list[Host]]:
    with hosts_on(server.reached, "host-a", "host-b") as both:
        for one in both:
            one.serve("orders.shop", ONE, TWO)
        until(lambda: len(document(redis, "orders.shop", ONE).get("opinions", ())) == 2)
        yield both


def test_an_endpoint_reads_as_english(redis: Any, host: Host) -> None:
    host.probe("orders.shop", ONE, is_good=False)
    until(lambda: document(redis, "orders.shop", ONE)["state"] == "down")
    text = redis.hget("mesh:endpoints:orders.shop", ONE)
    assert text.startswith('{"state": "down", "why": "host-a: connection refused", "since": "20')
    assert '"source": "file"' in text


def test_the_services_are_named(redis: Any, host: Host) -> None:
    until(lambda: redis.smembers("mesh:services") == {"orders.shop"})


def test_an_endpoint_that_left_leaves_redis(redis: Any, host: Host) -> None:
    host.serve("orders.shop", TWO)
    until(lambda: not document(redis, "orders.shop", ONE))
    assert document(redis, "orders.shop", TWO)["state"] == "up"


def test_a_service_without_endpoints_leaves_redis(redis: Any, host: Host) -> None:
    host.serve("cart.shop", ONE)
    until(lambda: redis.smembers("mesh:services") == {"orders.shop", "cart.shop"})
    host.serve("orders.shop")
    until(lambda: redis.smembers("mesh:services") == {"cart.shop"})
    assert not redis.exists("mesh:endpoints:orders.shop")


def test_two_hosts_that_disagree_are_both_heard(redis: Any, two: list[Host]) -> None:
    two[1].probe("orders.shop", ONE, is_good=False)
    until(lambda: document(redis, "orders.shop", ONE)["state"] == "mixed")
    said = document(redis, "orders.shop", ONE)
    assert (said["opinions"]["host-a"]["state"], said["opinions"]["host-b"]["state"]) == ("up", "down")
    assert said["why"] == "host-b: connection refused"
    assert (two[0].state(ONE), two[1].state(ONE)) == ("up", "down")


def test_an_endpoint_stays_while_one_host_has_it(redis: Any, two: list[Host]) -> None:
    two[0].serve("orders.shop", TWO)
    until(lambda: list(document(redis, "orders.shop", ONE)["opinions"]) == ["host-b"])


def test_counts_are_sums_and_the_latency_is_by_requests(redis: Any, two: list[Host]) -> None:
    for host, requests, latency_us in ((two[0], 30, 1000), (two[1], 10, 5000)):
        slot = host.memory.slots.find(f"orders.shop@mesh\x1f{ONE}")
        host.memory.slots.add(slot, 5, requests)
        host.memory.slots.store(slot, 4, latency_us)
    until(lambda: document(redis, "orders.shop", ONE)["requests"] == 40)
    assert document(redis, "orders.shop", ONE)["latencyMs"] == 2.0


def test_what_does_not_change_is_not_written(redis: Any, host: Host) -> None:
    until(lambda: host.store.written >= 2)
    before = host.store.written
    beats = redis.hget("mesh:hosts", "host-a")
    until(lambda: redis.hget("mesh:hosts", "host-a") != beats)      # a second has gone by
    assert host.store.written == before


def test_a_document_that_somebody_broke_begins_anew(redis: Any, host: Host) -> None:
    redis.hset("mesh:endpoints:orders.shop", ONE, "oops")
    host.probe("orders.shop", ONE, is_good=False)
    until(lambda: redis.hget("mesh:endpoints:orders.shop", ONE).startswith('{"state": "down"'))


def test_an_endpoint_that_somebody_deleted_comes_back(redis: Any, host: Host) -> None:
    redis.delete("mesh:endpoints:orders.shop")
    until(lambda: document(redis, "orders.shop", ONE))
    assert document(redis, "orders.shop", TWO)


def test_one_key_of_a_wrong_type_does_not_hold_up_the_others(redis: Any, host: Host) -> None:
    redis.set("mesh:endpoints:wrong.shop", "a string")
    host.serve("wrong.shop", ONE)
    host.serve("cart.shop", TWO)
    until(lambda: document(redis, "cart.shop", TWO))
    redis.delete("mesh:endpoints:wrong.shop")
    until(lambda: document(redis, "wrong.shop", ONE))


@pytest.mark.parametrize("key", ["hosts", "services", "events", "told", "host:host-a", "born"])
def test_a_key_that_is_something_else_is_named_and_holds_up_no_other(
        server: RedisProcess, redis: Any, caplog: pytest.LogCaptureFixture, key: str) -> None:
    redis.lpush(f"mesh:{key}", "somebody's")
    with hosts_on(server.reached, "host-a") as [one]:
        one.serve("orders.shop", ONE)
        redis.hset("mesh:overrides:orders.shop", ONE, "drain")
        until(lambda: document(redis, "orders.shop", ONE).get("state") == "drain")
        redis.set("mesh:instance:cart.shop:one", ONE, px=500)
        until(lambda: one.known == {ONE})
        until(lambda: one.known == set(), within_s=3.0)
        until(lambda: f"mesh:{key} is something else" in caplog.text)
        redis.delete(f"mesh:{key}")
        until(lambda: one.store.seen.is_up)


def test_what_a_former_agent_told_is_taken_back(server: RedisProcess, redis: Any, host: Host) -> None:
    host.store.close()
    with hosts_on(server.reached, "host-a") as [again]:
        again.serve("orders.shop", TWO)
        until(lambda: not document(redis, "orders.shop", ONE))
        assert document(redis, "orders.shop", TWO)["opinions"].keys() == {"host-a"}


# Hosts

def test_a_host_says_who_it_is(redis: Any, host: Host) -> None:
    text = until(lambda: redis.hget("mesh:hosts", "host-a"))
    assert text.startswith('{"state": "up", "address": "10.9.9.9", "version": ')
    assert '"workers": 2, "generation": 7, "load": ' in text
    assert 0 < redis.pttl("mesh:host:host-a") <= 1500


def test_a_host_that_disappears_is_down_and_that_is_told_once(server: RedisProcess, redis: Any) -> None:
    with hosts_on(server.reached, "host-a", "host-b", "host-c") as hosts:
        for one in hosts:
            one.serve("orders.shop", ONE)
        until(lambda: len(document(redis, "orders.shop", ONE).get("opinions", ())) == 3)
        hosts[2].store.close()
        until(lambda: '"state": "down"' in redis.hget("mesh:hosts", "host-c"))
        until(lambda: document(redis, "orders.shop", ONE)["opinions"].keys() == {"host-a", "host-b"})
        [said] = until(lambda: events(redis, "host-down"))
        assert (said["who"], said["what"], said["why"]) == ("host-c", "down", "no heartbeat for 1.5 s")
        assert said["host"] in ("host-a", "host-b")
        hosts[2] = Host("host-c", server.reached).serve("orders.shop", ONE).start()
        until(lambda: len(document(redis, "orders.shop", ONE)["opinions"]) == 3)
        until(lambda: [each["who"] for each in events(redis, "host-up")].count("host-c") == 2)
        assert len(events(redis, "host-down")) == 1
        hosts[2].store.close()


def test_two_hosts_of_one_name_are_told(server: RedisProcess, redis: Any) -> None:
    with hosts_on(server.reached, "host-a", "host-a"):
        [said, *_] = until(lambda: events(redis, "host-twice"))
        assert (said["who"], said["why"]) == (
            "host-a", "another host, at 10.9.9.9, has this name too: give each a host.name of its own")
        assert '"twin": "10.9.9.9"' in redis.hget("mesh:hosts", "host-a")


def test_an_agent_that_comes_after_another_is_no_second_host(server: RedisProcess, redis: Any, host: Host) -> None:
    host.store.close()
    mark = redis.get("mesh:host:host-a")
    with hosts_on(server.reached, "host-a"):
        until(lambda: redis.get("mesh:host:host-a") != mark)
        let_pass(5 * QUICK.beat)
        assert events(redis, "host-twice") == []
        assert '"twin"' not in redis.hget("mesh:hosts", "host-a")


def test_a_host_that_went_for_good_is_forgotten(server: RedisProcess, redis: Any) -> None:
    quick = {**{name: getattr(QUICK, name) for name in QUICK.__slots__}, "forget": 0.5}
    redis.hset("mesh:hosts", "host-x", '{"state": "up"}')
    with hosts_on(server.reached, "host-a", pace=type(QUICK)(**quick)):
        until(lambda: not redis.hexists("mesh:hosts", "host-x"))


# Words of operators

def test_a_drain_typed_by_hand_is_obeyed_everywhere_within_a_second(redis: Any, two: list[Host]) -> None:
    redis.hset("mesh:overrides:orders.shop", ONE, "drain")
    until(lambda: [host.state(ONE) for host in two] == ["drain", "drain"], within_s=1.0)
    redis.hdel("mesh:overrides:orders.shop", ONE)
    until(lambda: [host.state(ONE) for host in two] == ["up", "up"], within_s=1.0)


def test_a_word_is_told_once_with_who_and_why(redis: Any, two: list[Host]) -> None:
    redis.hset("mesh:overrides:orders.shop", ONE, "drain by ann: disk is full")
    until(lambda: [host.state(ONE) for host in two] == ["drain", "drain"])
    until(lambda: document(redis, "orders.shop", ONE)["state"] == "drain")
    redis.delete("mesh:overrides:orders.shop")
    said = until(lambda: (found := events(redis, "override"))[1:] and found)
    assert [(each["what"], each["url"], each.get("who"), each.get("why")) for each in said] == [
        ("drain", ONE, "ann", "disk is full"), ("no drain", ONE, None, None)]


def test_the_document_says_who_drained_it(redis: Any, host: Host) -> None:
    redis.hset("mesh:overrides:orders.shop", ONE, "drain by ann: disk is full")
    until(lambda: document(redis, "orders.shop", ONE)["state"] == "drain")
    assert document(redis, "orders.shop", ONE)["override"] == "drain by ann: disk is full"


def test_a_weight_holds(redis: Any, host: Host) -> None:
    redis.hset("mesh:overrides:orders.shop", ONE, "weight=5")
    until(lambda: document(redis, "orders.shop", ONE)["weight"] == 5)


def test_an_unknown_word_teaches_and_takes_nothing_back(redis: Any, host: Host) -> None:
    redis.hset("mesh:overrides:orders.shop", ONE, "drain")
    until(lambda: host.state(ONE) == "drain")
    redis.hset("mesh:overrides:orders.shop", mapping={ONE: "drian", TWO: "disable"})
    until(lambda: host.state(TWO) == "disabled")
    [said] = until(lambda: [each for each in events(redis, "override") if each["what"] == "not understood"])
    assert '"drian" is no word for an endpoint' in said["why"]
    assert 'did you mean "drain"?' in said["why"]
    assert host.state(ONE) == "drain"


def test_a_key_of_overrides_that_is_no_hash_hurts_nobody(redis: Any, host: Host) -> None:
    redis.set("mesh:overrides:cart.shop", "drain")
    redis.hset("mesh:overrides:orders.shop", ONE, "drain")
    until(lambda: host.state(ONE) == "drain")


def test_a_service_by_its_qualified_name_is_answered_with_the_other(redis: Any, host: Host) -> None:
    redis.hset("mesh:overrides:orders.shop@mesh", ONE, "disable")
    redis.hset("mesh:overrides:orders.shop", ONE, "weight=3")
    [said] = until(lambda: [each for each in events(redis, "override") if each["what"] == "not understood"])
    assert said["why"] == "a service is called here as people do: mesh:overrides:orders.shop"
    until(lambda: document(redis, "orders.shop", ONE)["weight"] == 3)
    assert host.state(ONE) == "up"


def test_bytes_that_are_no_text_hide_nothing_else(redis: Any, host: Host) -> None:
    redis.set(b"mesh:instance:cart.shop:\xff\xfe", ONE)
    redis.set("mesh:instance:cart.shop:latin", b"http://10.0.0.7/\xfc")
    redis.hset("mesh:overrides:orders.shop", TWO, b"drain by J\xfcrg")
    redis.set("mesh:instance:cart.shop:well", ONE)
    until(lambda: ONE in host.known and host.state(TWO) == "drain", within_s=3.0)
    until(lambda: document(redis, "orders.shop", TWO)["state"] == "drain")


def test_a_word_is_there_for_an_endpoint_that_comes_later(redis: Any, host: Host) -> None:
    redis.hset("mesh:overrides:cart.shop", TWO, "disable")
    until(lambda: ("cart.shop", TWO) in host.table.overrides())
    host.serve("cart.shop", TWO)
    until(lambda: document(redis, "cart.shop", TWO).get("state") == "disabled")


# Instances

def test_an_instance_registered_by_hand_is_seen_everywhere_within_a_second(redis: Any, two: list[Host]) -> None:
    redis.set("mesh:instance:cart.shop:one", ONE, ex=30)
    until(lambda: [host.known for host in two] == [{ONE}, {ONE}], within_s=1.0)
    redis.delete("mesh:instance:cart.shop:one")
    until(lambda: [host.known for host in two] == [set(), set()], within_s=1.0)


def test_an_instance_in_json_is_understood(redis: Any, host: Host) -> None:
    redis.set("mesh:instance:cart.shop:a:1", '{"url": "http://10.0.0.9:80", "weight": 3, "host": "host-z"}', ex=30)
    [said] = until(host.instances.all)
    assert (said.service, said.id, said.url, said.weight, said.host) == (
        "cart.shop", "a:1", "http://10.0.0.9:80", 3, "host-z")


def test_an_instance_is_gone_at_its_ttl(redis: Any, host: Host) -> None:
    redis.set("mesh:instance:cart.shop:one", ONE, px=600)
    until(lambda: host.known == {ONE})
    until(lambda: host.known == set(), within_s=2.0)


def test_an_instance_that_renews_itself_stays(redis: Any, host: Host) -> None:
    redis.set("mesh:instance:cart.shop:one", ONE, px=600)
    until(lambda: host.known == {ONE})
    for _ in range(5):
        ends = redis.pttl("mesh:instance:cart.shop:one")
        until(lambda ends=ends: redis.pttl("mesh:instance:cart.shop:one") < ends - 200)
        redis.set("mesh:instance:cart.shop:one", ONE, px=600)
        assert host.known == {ONE}


def test_an_instance_that_changes_is_taken_anew(redis: Any, host: Host) -> None:
    redis.set("mesh:instance:cart.shop:one", ONE, ex=30)
    until(lambda: host.known == {ONE})
    redis.set("mesh:instance:cart.shop:one", f'{{"url": "{ONE}", "state": "drain"}}', ex=30)
    until(lambda: [each.draining for each in host.instances.all()] == [True], within_s=1.0)


# Without tracking

def test_where_redis_cannot_tell_of_changes_it_is_asked(server: RedisProcess, redis: Any) -> None:
    redis.acl_setuser("plain", enabled=True, passwords=["+secret"], keys=["*"], channels=[],
                      commands=["+@all", "-client|tracking"])
    told = type(server.reached)((server.address,), "plain", "secret")
    with hosts_on(told, "host-p") as [host]:
        host.serve("orders.shop", ONE)
        until(lambda: document(redis, "orders.shop", ONE))
        redis.hset("mesh:overrides:orders.shop", ONE, "drain")
        redis.set("mesh:instance:cart.shop:one", TWO, ex=30)
        until(lambda: host.state(ONE) == "drain" and host.known == {TWO})
        redis.delete("mesh:instance:cart.shop:one", "mesh:overrides:orders.shop")
        until(lambda: host.state(ONE) == "up" and not host.known)
        assert not host.store.is_told_of_changes


def test_a_user_with_the_rights_that_the_page_gives_is_enough(server: RedisProcess, redis: Any) -> None:
    page = (Path(__file__).parents[2] / "docs/redis.md").read_text()
    [line] = [line.split() for line in page.splitlines() if "ACL SETUSER" in line]
    redis.execute_command(*line)
    told = type(server.reached)((server.address,), "hostmesh", "secret")
    with hosts_on(told, "host-p") as [host]:
        host.serve("orders.shop", ONE)
        until(lambda: document(redis, "orders.shop", ONE))
        redis.hset("mesh:overrides:orders.shop", ONE, "drain")
        redis.set("mesh:instance:cart.shop:one", TWO, ex=30)
        until(lambda: host.state(ONE) == "drain" and host.known == {TWO}, within_s=1.0)
        until(lambda: host.store.seen.is_up and events(redis, "override"))
        assert host.store.is_told_of_changes
    redis.acl_deluser("hostmesh")
