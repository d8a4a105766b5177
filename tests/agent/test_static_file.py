"""The static file followed: a good change is the master's to take up, a broken one is told and nothing else."""
from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from agent_running import routes, until

from workers.machine import read_static

STATIC = """
runtimeDirectory: run
providers: {{file: {{directory: conf.d}}}}
entryPoints: {{web: {{address: "127.0.0.1:0"}}}}
api: {{address: "127.0.0.1:0"}}
host: {{workers: {workers}}}
"""


@pytest.fixture
def hups() -> Iterator[list[int]]:
    """The SIGHUPs that this process, as the master, has got."""
    got: list[int] = []
    before = signal.signal(signal.SIGHUP, lambda number, _: got.append(number))
    yield got
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def running(agent, tmp_path, hups):
    """An agent of a service that runs by a static file."""
    file = tmp_path / "hostmesh.yml"
    file.write_text(STATIC.format(workers=1))
    static, _ = read_static(str(file))
    made = agent({"a.yml": routes("a")}, **{name: getattr(static, name) for name in (
        "workers", "runtime_directory", "entry_points", "api_address", "host_name", "host_address",
        "state_directory")})
    made.file = file
    return made


def as_of_the_file(running, **also):
    """The same, with exactly what the file says as the configuration that runs."""
    static, _ = read_static(str(running.file))
    running.static = static
    running.start()
    until(lambda: running.said.static_digest)
    return running


def looked(running) -> None:
    """Waits until the agent has looked at files once more."""
    name = f"l{running.memory.plan.generation}"
    (running.conf / f"{name}.yml").write_text(routes(name))
    until(lambda: name in running.names)


def test_a_good_change_makes_a_hup(running, hups):
    as_of_the_file(running)
    running.file.write_text(STATIC.format(workers=2))
    until(lambda: hups)
    assert hups == [signal.SIGHUP]


def test_the_first_look_makes_none(running, hups):
    as_of_the_file(running)
    looked(running)
    assert hups == []


def test_a_change_that_says_the_same_makes_none(running, hups):
    as_of_the_file(running)
    before = running.said.static_digest
    running.file.write_text("# a word in front\n" + STATIC.format(workers=1))
    until(lambda: running.said.static_digest != before)
    looked(running)
    assert hups == []


def test_a_broken_file_is_told_with_every_problem_and_makes_none(running, hups):
    as_of_the_file(running)
    running.file.write_text(STATIC.format(workers=0) + "entrypoint: {}\n")
    problems = until(lambda: running.said.problems)
    assert [problem.place.line for problem in problems] == [6, 7]
    assert all(problem.place.file == str(running.file) for problem in problems)
    assert running.said.files[str(running.file)] == "error"
    until(lambda: running.json("/api/status")["problems"])
    assert f'file="{running.file}"' in running.ask("/metrics").body.decode()
    looked(running)
    assert hups == []
    running.file.write_text(STATIC.format(workers=1))
    until(lambda: not running.said.problems)
    looked(running)
    assert hups == []


def test_a_file_that_is_gone_is_told(running, hups):
    as_of_the_file(running)
    running.file.unlink()
    until(lambda: running.said.problems)
    assert "no such file or directory" in running.said.problems[0].message
    assert running.said.files[str(running.file)] == "missing"
    assert hups == []


def test_one_version_is_told_to_the_master_once_whoever_asks(running, hups):
    as_of_the_file(running)
    running.file.write_text(STATIC.format(workers=2))
    until(lambda: hups)
    running.kill()
    running.start()         # by the same former configuration: the master could not take it
    looked(running)
    assert len(hups) == 1


def test_a_change_while_no_agent_ran_is_seen_by_the_next(running, hups):
    as_of_the_file(running)
    running.kill()
    running.file.write_text(STATIC.format(workers=2))
    running.start()
    until(lambda: hups)


def test_another_runtime_directory_alone_is_no_reason(running, hups):
    as_of_the_file(running)
    before = running.said.static_digest
    running.file.write_text(STATIC.format(workers=1).replace("runtimeDirectory: run", "runtimeDirectory: elsewhere"))
    until(lambda: running.said.static_digest != before)
    looked(running)
    assert hups == []


def test_warnings_of_a_good_file_are_shown(running, hups):
    running.file.write_text(STATIC.format(workers=1) + "dns: {}\n")
    as_of_the_file(running)
    assert [problem.severity for problem in running.said.problems] == ["warning"]
    assert running.said.files[str(running.file)] == "ok"
    looked(running)
    assert running.told("dns") == [], "the master's log says it already"


def test_without_a_static_file_its_absence_is_no_news(agent, hups):
    running = agent({"a.yml": routes("a")}).start()
    until(lambda: running.names == {"a"})
    looked(running)
    assert running.said.problems == ()
    assert str(running.static.file) not in running.said.files


def test_where_files_are_not_watched_the_static_one_is_not_either(running, hups):
    running.file.write_text(STATIC.format(workers=1).replace("conf.d}", "conf.d, watch: false}"))
    static, _ = read_static(str(running.file))
    running.static = static
    running.start()
    until(lambda: running.names == {"a"})
    running.file.write_text(STATIC.format(workers=2))
    running.kill(signal.SIGTERM)
    assert (running.said.static_digest, hups) == ("", [])
