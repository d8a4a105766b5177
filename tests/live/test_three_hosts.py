"""Three hosts and one Redis: who comes, who goes and what an operator types is known everywhere within a second."""
from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPException
from pathlib import Path

import pytest
from hosts import NAMES, EndpointThere, Host, Network, RedisOfAll, every
from running import ROOT, until

WITHIN_S = 3.0      # what it takes is printed (pytest -s): a second is the promise, a busy machine is no defect
CHECKED = {"path": "/", "interval": "300ms", "timeout": "200ms", "unhealthyThreshold": 2, "healthyThreshold": 1}


class There:
    """The network, the Redis, the hosts."""

    def __init__(self, network: Network, redis: RedisOfAll, hosts: list[Host]) -> None:
        self.network, self.redis, self.hosts = network, redis, hosts
        self.a, self.b, self.c = hosts


@pytest.fixture
def there(tmp_path: Path) -> Iterator[There]:
    with ExitStack() as stack:
        network = stack.enter_context(Network())
        redis = stack.enter_context(network.redis(tmp_path / "redis"))
        conf = {"orders.yml": json.dumps({"mesh": {"services": {"orders.shop": {"healthCheck": CHECKED}}}})}
        hosts = [stack.enter_context(network.host(name, tmp_path, conf, redis.url)) for name in NAMES]
        yield There(network, redis, hosts)


class Registered:
    """`hostmesh register orders.shop URL -- endpoint.py`, on a host."""

    def __init__(self, host: Host, name: str, port: int) -> None:
        self.url = f"http://{host.address}:{port}"
        self.process = subprocess.Popen(
            [*host.network.command(host.name), sys.executable, "-m", "workers.cli", "register", "orders.shop", self.url,
             "--ttl", "3s", "--drain", "1s", "--config", str(host.mesh.config), "--", sys.executable,
             str(Path(__file__).with_name("endpoint.py")), name, host.address, str(port)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)})

    def __enter__(self) -> Registered:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> None:
        """kill -9 of the whole unit, as systemd would: nobody can say goodbye."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


class Asking:
    """Requests from one host without a pause; `failed` has what was not answered by 200, `by` who answered when."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.failed: list[str] = []
        self.by: list[tuple[float, str]] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def __enter__(self) -> Asking:
        self._thread.start()
        until(lambda: len(self.by) > 20, "it is answered")
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(20)
        assert not self._thread.is_alive()

    def _ask(self) -> None:
        connection = self.host.connect()
        while not self._over.wait(0.002):
            sent = time.monotonic()
            try:
                connection.request("GET", "/", headers={"Host": "orders.shop.mesh"})
                answer = connection.getresponse()
                answer.read()
                if answer.status == 200:
                    self.by.append((sent, answer.headers["X-By"]))
                else:
                    self.failed.append(f"{answer.status} after {time.monotonic() - sent:.3f} s")
            except (OSError, HTTPException) as error:
                self.failed.append(repr(error))
                connection.close()
                connection = self.host.connect()
        connection.close()

    def last_of(self, name: str) -> float:
        """When the last request that this one answered was sent."""
        return max((at for at, by in self.by if by == name), default=0.0)


def free_port(host: Host) -> int:
    with EndpointThere(host, "port") as endpoint:
        return endpoint.port


def knows(host: Host, name: str) -> bool:
    answer = host.ask()
    return answer.status == 200 and answer.headers["X-By"] == name


def test_an_instance_started_on_one_host_serves_another_within_a_second(there: There) -> None:
    port = free_port(there.a)
    assert there.c.ask().status == 503
    with Registered(there.a, "a1", port) as registered:
        until(lambda: answers(there.a, port), "the instance listens")
        listens = time.monotonic()
        until(lambda: knows(there.c, "a1"), "host c is served by host a's instance")
        took = time.monotonic() - listens
        print(f"from listening on a to serving c: {took:.3f} s")
        assert took < WITHIN_S
        # and when it is asked to leave, nobody is told of it by a failure
        with Registered(there.b, "b1", free_port(there.b)):
            until(every(there.hosts, lambda host: knows(host, "b1")), "all hosts know both")
            with Asking(there.a) as a, Asking(there.c) as c:
                registered.process.terminate()
                registered.process.wait(20)
                until(lambda: registered.url not in there.redis.client.hgetall("mesh:endpoints:orders.shop"), "it left")
            assert a.failed == c.failed == []


def answers(host: Host, port: int) -> bool:
    with host.network.inside(host.name):
        with socket.socket() as sock:
            return sock.connect_ex((host.address, port)) == 0


def test_an_instance_killed_costs_no_repeatable_request_from_any_host(there: There) -> None:
    with Registered(there.a, "a1", free_port(there.a)) as killed, Registered(there.b, "b1", free_port(there.b)):
        until(every(there.hosts, lambda host: knows(host, "a1")), "all hosts know the first")
        until(every(there.hosts, lambda host: knows(host, "b1")), "all hosts know the second")
        with Asking(there.a) as a, Asking(there.b) as b, Asking(there.c) as c:
            killed.kill()
            gone = time.monotonic()
            until(lambda: killed.url not in there.redis.client.hgetall("mesh:endpoints:orders.shop"), "its time ended")
        for asking in (a, b, c):
            assert asking.failed == []
            assert asking.last_of("a1") < gone + 0.1


def test_a_drain_typed_in_redis_cli_is_obeyed_on_all_hosts_within_a_second(there: There) -> None:
    with Registered(there.a, "a1", free_port(there.a)) as drained, Registered(there.b, "b1", free_port(there.b)):
        until(every(there.hosts, lambda host: knows(host, "a1")), "all hosts know the first")
        until(every(there.hosts, lambda host: knows(host, "b1")), "all hosts know the second")
        with Asking(there.a) as a, Asking(there.b) as b, Asking(there.c) as c:
            typed = time.monotonic()
            there.redis.client.hset("mesh:overrides:orders.shop", drained.url, "drain")
            until(lambda: time.monotonic() > typed + WITHIN_S)
            last = max(asking.last_of("a1") for asking in (a, b, c)) - typed
            print(f"the last request for the drained one was sent {last:.3f} s after the word")
            assert last < WITHIN_S
            there.redis.client.hdel("mesh:overrides:orders.shop", drained.url)
            taken_back = time.monotonic()
            until(lambda: all(asking.last_of("a1") > taken_back for asking in (a, b, c)), "it serves again everywhere")
            assert time.monotonic() - taken_back < WITHIN_S
        assert a.failed == b.failed == c.failed == []


def test_an_operators_word_on_one_host_is_obeyed_on_the_others_and_told_with_name_and_reason(there: There) -> None:
    with Registered(there.a, "a1", free_port(there.a)) as drained, Registered(there.b, "b1", free_port(there.b)):
        until(every(there.hosts, lambda host: knows(host, "a1")), "all hosts know the first")
        until(every(there.hosts, lambda host: knows(host, "b1")), "all hosts know the second")
        said = there.c.cli("drain", "orders.shop", drained.url, "--why", "its disk is full")
        assert said.returncode == 0, said.stderr
        until(every(there.hosts, lambda host: all(knows(host, "b1") for _ in range(4))), "nobody is sent there", 3.0)
        until(lambda: "its disk is full" in str(there.redis.client.xrevrange("mesh:events", count=20)), "it is told")
        assert "its disk is full" in there.b.cli("endpoints", "orders.shop").stdout
        assert there.c.cli("undrain", "orders.shop", drained.url).returncode == 0
        until(every(there.hosts, lambda host: knows(host, "a1")), "it serves again everywhere")
        told = [(each["kind"], each.get("what")) for _, each in there.redis.client.xrange("mesh:events")
                if each.get("url") == drained.url]
        assert sorted(told) == [("endpoint-joined", None), ("override", "drain"), ("override", "no drain")]


def test_hosts_that_disagree_follow_their_own_eyes_and_both_opinions_are_seen(there: There) -> None:
    if not there.network.is_real:
        pytest.skip("one network for all: they cannot see differently")
    with Registered(there.a, "a1", free_port(there.a)) as one, Registered(there.c, "c1", free_port(there.c)):
        until(every(there.hosts, lambda host: knows(host, "a1")), "all hosts know the first")
        until(every(there.hosts, lambda host: knows(host, "c1")), "all hosts know the second")
        subprocess.run(["ip", "-n", there.network.space("b"), "route", "add", "unreachable", there.a.address],
                       check=True)
        until(lambda: seen(there, one.url, "host-b") == "down", "host b sees it down")
        until(lambda: seen(there, one.url, "host-c") == "up", "host c sees it up")
        assert all(knows(there.b, "c1") for _ in range(4))
        until(lambda: knows(there.c, "a1"), "host c still uses it")


def seen(there: There, url: str, host: str) -> str:
    text = there.redis.client.hget("mesh:endpoints:orders.shop", url)
    return str(json.loads(text).get("opinions", {}).get(host, {}).get("state", "")) if text else ""


def test_a_host_that_disappears_is_shown_so(there: There) -> None:
    for process in there.b.mesh.processes:
        os.kill(process, signal.SIGKILL)
    until(lambda: not there.redis.client.exists("mesh:host:host-b"), "its heartbeat ends", 30.0)
    until(lambda: "down" in next(line for line in there.a.cli("hosts").stdout.splitlines() if "host-b" in line),
          "host a shows it", 15.0)
    assert there.a.ask().status == 503
