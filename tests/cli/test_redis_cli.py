"""hostmesh redis-cli: the way to the Redis of this host, by the program that is there or by a prompt of our own."""
from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from instances import ROOT, Instance, until

from mesh.model import RedisServer
from workers.about import read_about
from workers.agent.embedded import find_server
from workers.commands.redis_cli import arguments, environment

SERVER = pytest.mark.skipif(not find_server(), reason="neither redis-server nor valkey-server is here")
TOOL = pytest.mark.skipif(not any(map(shutil.which, ("redis-cli", "valkey-cli"))), reason="no redis-cli here")


def redis_cli(instance: Instance, *words: str, path: str = os.environ["PATH"],
              given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "workers.cli", "redis-cli", "--config", str(instance.config), *words], cwd=ROOT,
        text=True, capture_output=True, input=given, env={**os.environ, "PATH": path}, timeout=30, check=False)


@pytest.fixture
def with_redis(instance: Instance) -> Instance:
    """An instance with its private Redis."""
    instance.say_static("stateDirectory: state\nredis: {embedded: true}\n")
    instance.start()
    until(lambda: read_about(str(instance.directory / "run")).redis, "a private Redis")
    return instance


@SERVER
@TOOL
def test_redis_cli_looks_into_the_private_store_and_writes_to_it(with_redis: Instance) -> None:
    assert redis_cli(with_redis, "HSET", "mesh:overrides:a.b", "http://10.0.0.1:80", "drain").stdout == "1\n"
    assert redis_cli(with_redis, "-3", "--json", "HGETALL", "mesh:overrides:a.b").stdout == (
        '{"http://10.0.0.1:80":"drain"}\n')
    assert redis_cli(with_redis, given="GET nothing\nACL WHOAMI\n").stdout.split() == ["hostmesh"]


@SERVER
def test_without_redis_cli_a_prompt_of_our_own_does_the_same(with_redis: Instance) -> None:
    assert redis_cli(with_redis, "SET", "mesh:a", "two words", path="").stdout == "OK\n"
    answered = redis_cli(with_redis, path="",
                         given='GET mesh:a\n\nSET mesh:b "x y"\nMGET mesh:b mesh:c\nquit\nGET mesh:a\n')
    assert (answered.stdout, answered.returncode) == ("two words\nOK\nx y\n(nil)\n", 0)


@SERVER
def test_our_own_prompt_tells_an_error_and_goes_on(with_redis: Instance) -> None:
    answered = redis_cli(with_redis, path="", given='NO SUCH\nGET "open\nPING\n')
    assert answered.stdout.count("(error)") == 2
    assert answered.stdout.endswith("PONG\n") or answered.stdout.endswith("OK\n")
    assert answered.returncode == 1


@SERVER
def test_the_private_redis_is_told_in_about_json_and_gone_with_the_service(with_redis: Instance) -> None:
    about = read_about(str(with_redis.directory / "run"))
    assert about.redis == f"unix://{with_redis.directory}/run/redis.sock"
    pid = int(re.findall(r"a private Redis runs at .* \(pid ([0-9]+),", with_redis.log)[0])
    assert Path(f"/proc/{pid}").exists()
    assert with_redis.stop() == 0
    assert not Path(f"/proc/{pid}").exists()


def test_without_any_redis_it_says_so(instance: Instance) -> None:
    answered = redis_cli(instance, "PING")
    assert answered.returncode == 1
    assert answered.stderr.startswith("no Redis: none is named in ")


def test_a_redis_that_is_away_is_one_line(instance: Instance) -> None:
    instance.say_static('redis: "redis://:hush@127.0.0.1:1/2"\n')
    answered = redis_cli(instance, "PING", path="")
    assert answered.returncode == 1
    assert "127.0.0.1:1" in answered.stdout + answered.stderr
    assert "hush" not in answered.stdout + answered.stderr
    assert "Traceback" not in answered.stderr


@pytest.mark.parametrize("server, told", [
    (RedisServer(("unix:///run/r.sock",), "ann", "pw"), "-s /run/r.sock --user ann"),
    (RedisServer(("[fd00::5]:7000",), password="pw", database=3), "-h fd00::5 -p 7000 -n 3"),
    (RedisServer(("a:1", "b:2"), cluster=True), "-h a -p 1 -c"),
    (RedisServer(("a:1",), tls=True, tls_ca="/ca", tls_cert="/c", tls_key="/k", tls_insecure=True),
     "-h a -p 1 --tls --cacert /ca --cert /c --key /k --insecure")])
def test_redis_cli_is_told_where_and_no_password(server: RedisServer, told: str) -> None:
    assert arguments(server) == told.split()
    assert environment(server).get("REDISCLI_AUTH", "") == server.password
