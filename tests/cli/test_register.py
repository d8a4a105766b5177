"""hostmesh register around a real program, with a real redis-server."""
from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from instances import ROOT, until
from registry_running import Registry

from workers.cli import main

QUICK = ("--ttl", "2s", "--drain", "100ms")


def hostmesh(*words: str) -> Result:
    return CliRunner().invoke(main, words, prog_name="hostmesh")


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


# The beginning

def test_a_program_is_registered_when_it_takes_connections_and_not_before(registry: Registry) -> None:
    shut = registry.touch("shut")
    registry.run("--weight", "3", "--meta", "version=7")
    assert registry.value is None
    shut.unlink()
    registry.registered()
    assert registry.value is not None
    registry.value.pop("host", None)
    assert {"url": registry.url, "weight": 3, "meta": {"version": "7"}}.items() <= registry.value.items()
    assert 0 < registry.client.pttl("mesh:instance:orders.shop:one") <= 15_000


def test_with_a_health_path_a_program_that_is_ill_is_not_registered(registry: Registry) -> None:
    ill = registry.touch("ill")
    registry.run("--health", "/health")
    until(lambda: answers(registry.port), "a program that takes connections")
    assert registry.value is None
    ill.unlink()
    registry.registered()


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def test_a_heartbeat_keeps_it_registered_beyond_its_ttl(registry: Registry) -> None:
    registry.run("--ttl", "1s")
    registry.registered()
    until_s = time.monotonic() + 2.5
    while time.monotonic() < until_s:
        assert registry.value is not None
        time.sleep(0.05)                    # watched for longer than two TTLs, not waited


def test_the_command_has_our_environment_and_input_and_a_group_of_its_own(registry: Registry) -> None:
    registry.run(environ={"MARK": "there"})
    started, = registry.noted("started")
    assert (started["environ"]["MARK"], started["line"]) == ("there", "a line\n")
    assert started["group"] == started["pid"]


# The end

def test_term_drains_then_deregisters_then_stops(registry: Registry) -> None:
    process = registry.run("--drain", "700ms")
    registry.registered()
    process.send_signal(signal.SIGTERM)
    until(lambda: (registry.value or {}).get("state") == "drain", "a mark")
    assert answers(registry.port), "it serves on while it is drained"
    assert process.wait(10) == 0
    assert registry.noted("TERM") == [False], "the key had gone before the program was asked to end"


def test_a_drain_ends_when_no_host_has_anything_under_way(registry: Registry) -> None:
    process = registry.run("--drain", "1h")
    registry.registered()
    registry.client.hset("mesh:hosts", "host-a", '{"state": "up"}')
    registry.tells("host-a", "drain", 2)
    process.send_signal(signal.SIGTERM)
    until(lambda: (registry.value or {}).get("state") == "drain", "a mark")
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1.5)
    registry.tells("host-a", "drain", 0)
    assert process.wait(10) == 0
    assert registry.noted("TERM") == [False]


def test_ctrl_c_does_the_same(registry: Registry) -> None:
    process = registry.run(*QUICK)
    registry.registered()
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0
    assert registry.noted("TERM") == [False]


def test_who_is_asked_twice_does_not_wait_for_the_drain(registry: Registry) -> None:
    process = registry.run("--drain", "1h")
    registry.registered()
    process.send_signal(signal.SIGTERM)
    until(lambda: (registry.value or {}).get("state") == "drain", "a mark")
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert registry.noted("TERM") == [False]


def test_a_program_that_somebody_else_stops_while_it_is_drained_is_told(registry: Registry) -> None:
    process = registry.run("--drain", "1h")
    registry.registered()
    process.send_signal(signal.SIGTERM)
    until(lambda: (registry.value or {}).get("state") == "drain", "a mark")
    os.kill(registry.program, signal.SIGTERM)           # as systemd does with KillMode=control-group
    assert process.wait(10) == 0
    assert "KillMode=mixed" in registry.said
    assert registry.value is None


def test_a_program_that_was_never_registered_is_stopped_at_once(registry: Registry) -> None:
    registry.touch("shut")
    process = registry.run("--drain", "1h")
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0


def test_a_program_that_does_not_end_is_killed(registry: Registry) -> None:
    registry.touch("deaf")
    process = registry.run(*QUICK, "--stop-timeout", "200ms")
    registry.registered()
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == -signal.SIGKILL
    assert not is_alive(registry.program)


def test_a_program_that_dies_is_deregistered_at_once(registry: Registry) -> None:
    process = registry.run("--ttl", "1h")
    registry.registered()
    os.kill(registry.program, signal.SIGKILL)
    assert process.wait(10) == -signal.SIGKILL
    assert registry.value is None


@pytest.mark.parametrize("code", [0, 3, 255])
def test_its_exit_code_is_ours(registry: Registry, code: int) -> None:
    process = registry.run(code=code)
    os.kill(registry.program, signal.SIGTERM)
    assert process.wait(10) == code


def test_the_signal_that_killed_it_kills_us(registry: Registry) -> None:
    process = registry.run()
    os.kill(registry.program, signal.SIGSEGV)
    assert process.wait(10) == -signal.SIGSEGV


def test_nothing_runs_on_when_we_are_killed(registry: Registry) -> None:
    process = registry.run("--ttl", "1s")
    registry.registered()
    process.kill()
    until(lambda: not is_alive(registry.program), "the end of the program")
    until(lambda: registry.value is None, "the end of the TTL")


@pytest.mark.parametrize("name", ["HUP", "USR1", "USR2", "QUIT", "WINCH"])
def test_every_other_signal_is_the_commands(registry: Registry, name: str) -> None:
    process = registry.run()
    registry.registered()
    process.send_signal(getattr(signal, f"SIG{name}"))
    until(lambda: registry.noted(name), name)
    assert process.poll() is None


@pytest.mark.parametrize("command, code", [("/no/such/program", 127), ("/etc/hostname", 126)])
def test_what_cannot_be_run_is_told_as_shells_tell_it(registry: Registry, command: str, code: int) -> None:
    words = ["register", "orders.shop", registry.url, "--redis", f"unix://{registry.socket}", "--", command]
    done = subprocess.run([sys.executable, "-m", "workers.cli", *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == code
    assert command in done.stderr
    assert not registry.client.keys()


# Redis away

def test_without_redis_the_command_runs_and_is_registered_when_redis_comes(unserved: Registry) -> None:
    unserved.run()
    until(lambda: "Redis cannot be told" in unserved.said, "a word about Redis")
    assert is_alive(unserved.program)
    unserved.start_redis()
    unserved.registered()


def test_after_a_restart_of_redis_it_is_registered_again(registry: Registry) -> None:
    registry.run("--ttl", "1s")
    registry.registered()
    registry.stop_redis()
    until(lambda: "Redis cannot be told" in registry.said, "a word about Redis")
    registry.start_redis()
    registry.registered()
    assert is_alive(registry.program)


def test_with_redis_away_the_end_does_not_wait_for_it(registry: Registry) -> None:
    process = registry.run(*QUICK)
    registry.registered()
    registry.stop_redis()
    process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    until(lambda: process.poll() is not None, "the end")
    assert time.monotonic() - began < 4


def test_a_redis_that_hangs_delays_neither_signals_nor_the_end(registry: Registry) -> None:
    process = registry.run(*QUICK)
    registry.registered()
    registry.hang_redis()
    process.send_signal(signal.SIGHUP)
    until(lambda: registry.noted("HUP"), "HUP")
    os.kill(registry.program, signal.SIGKILL)
    began = time.monotonic()
    assert process.wait(10) == -signal.SIGKILL
    assert time.monotonic() - began < 4


# Under systemd

def test_notifications_come_from_us_with_their_files_and_without_mainpid(registry: Registry, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        systemd.settimeout(10)
        process = registry.run(*QUICK, environ={"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_PID": "1"})
        data, ancillary, _, _ = systemd.recvmsg(4096, 1024)
        assert data == b"READY=1\nSTATUS=here"
        kinds = {kind: value for _, kind, value in ancillary}
        assert int.from_bytes(kinds[socket.SCM_CREDENTIALS][:4], "little") == process.pid
        os.close(int.from_bytes(kinds[socket.SCM_RIGHTS][:4], "little"))
        assert "WATCHDOG_PID" not in registry.noted("started")[0]["environ"]
        registry.registered()
        process.send_signal(signal.SIGTERM)
        assert systemd.recv(4096) == b"STOPPING=1\nSTATUS=draining for 0.1 s"
        assert process.wait(10) == 0


def test_sockets_of_systemd_are_the_commands(registry: Registry, tmp_path: Path) -> None:
    code = "import os; print(os.environ['LISTEN_PID'] == str(os.getpid()), os.read(3, 9))"
    (tmp_path / "three").write_text("the socket")
    words = ["-m", "workers.cli", "register", "orders.shop", registry.url, "--", sys.executable, "-c", code]
    done = subprocess.run(["sh", "-c", 'export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@" 3<"$0"', str(tmp_path / "three"),
                           sys.executable, *words], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "True b'the socke'\n", done.stderr


# For scripts

@pytest.fixture
def told(registry: Registry) -> list[str]:
    return ["--redis", f"unix://{registry.socket}"]


def test_without_a_command_it_is_registered_once_for_its_ttl(registry: Registry, told: list[str]) -> None:
    result = hostmesh("register", "orders.shop", "http://10.0.0.5:8080/", "--ttl", "20s", *told)
    assert (result.exit_code, result.stdout) == (
        0, "orders.shop http://10.0.0.5:8080 is registered for 20 s (mesh:instance:orders.shop:10.0.0.5:8080)\n")
    assert 19_000 < registry.client.pttl("mesh:instance:orders.shop:10.0.0.5:8080") <= 20_000


def test_without_a_ttl_it_stays(registry: Registry, told: list[str]) -> None:
    assert hostmesh("register", "orders.shop", ":8080", "--id", "a", "--no-ttl", *told).exit_code == 0
    assert registry.client.pttl("mesh:instance:orders.shop:a") == -1


def test_one_that_does_not_answer_its_health_path_is_refused(registry: Registry, told: list[str]) -> None:
    result = hostmesh("register", "orders.shop", registry.url, "--health", "/", *told)
    assert (result.exit_code, "connection refused" in result.stderr) == (1, True)
    assert not registry.client.keys()


@pytest.mark.parametrize("said", ["http://10.0.0.5:8080", "http://10.0.0.5:8080/", "a*b"])
def test_an_instance_is_deregistered_by_url_or_id(registry: Registry, told: list[str], said: str) -> None:
    registry.client.set("mesh:instance:orders.shop:a*b", "http://10.0.0.5:8080")
    registry.client.set("mesh:instance:orders.shop:axb", "http://10.0.0.6:8080")
    assert hostmesh("deregister", "orders.shop", said, *told).exit_code == 0
    assert registry.client.keys() == ["mesh:instance:orders.shop:axb"]


def test_a_key_of_another_type_hides_no_instance(registry: Registry, told: list[str]) -> None:
    registry.client.hset("mesh:instance:orders.shop:odd", "a", "b")
    registry.client.set("mesh:instance:orders.shop:one", registry.url)
    assert hostmesh("deregister", "orders.shop", registry.url, *told).exit_code == 0
    assert registry.value is None


def test_one_that_is_not_there_is_told_its_neighbour(registry: Registry, told: list[str]) -> None:
    registry.client.set("mesh:instance:orders.shop:a", "http://10.0.0.5:8080")
    result = hostmesh("deregister", "orders.shop", "http://10.0.0.5:808", "--json", *told)
    assert result.exit_code == 1
    assert 'did you mean "http://10.0.0.5:8080"?' in json.loads(result.stdout)["message"]


def test_the_redis_of_the_static_file_is_found_and_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "hostmesh.yml").write_text("runtimeDirectory: run\n")
    result = hostmesh("register", "orders.shop", ":8080", "--config", str(tmp_path / "hostmesh.yml"))
    assert result.exit_code == 1
    assert "no Redis is known" in result.stderr


@pytest.mark.parametrize("words, told", [
    (["orders", ":8080"], "is not a mesh name"),
    (["orders.shop", "10.0.0.5:8080"], 'did you mean "http://10.0.0.5:8080"?'),
    (["orders.shop", "http://h:1/base"], "write http://h:1"), (["orders.shop", ":1", "--ttl", "soon"], "span of time"),
    (["orders.shop", ":1", "--ttl", "10ms"], "1s at least"), (["orders.shop", ":1", "--meta", "x"], "KEY=VALUE"),
    (["orders.shop", ":1", "--no-ttl", "--", "true"], "without COMMAND"),
    (["orders.shop", ":1", "--health", "h"], "wanted /h"),
    (["orders.shop", ":1", "--redis", "redis://h:1/2"], "wanted host:port")])
def test_what_makes_no_sense_is_refused_before_anything_runs(words: list[str], told: str) -> None:
    result = hostmesh("register", *words)
    assert result.exit_code == 2
    assert told in result.stderr
