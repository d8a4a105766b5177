"""From files to the boards: what is published, when, and what is said about it."""
from __future__ import annotations

import os
import signal
import time
from itertools import pairwise

import pytest
from agent_running import routes, until

from mesh.providers.catalog import Catalog
from mesh.shared.layout import FACT_AGENT_BEAT_MS, FACT_AGENT_STARTS, FACT_DYNAMIC_FAILURES, FACT_DYNAMIC_RELOADS
from workers.agent.agent import main

BROKEN = "http: {routers: {x: {rule: Host(`x`), servcie: x}}}\n"


def test_the_first_look_is_published(agent):
    running = agent({"a.yml": routes("a", "b")}).start()
    until(lambda: running.names == {"a", "b"})
    assert running.memory.facts.load(FACT_DYNAMIC_RELOADS) == 1


def test_an_empty_directory_publishes_an_empty_plan(agent):
    running = agent().start()
    until(lambda: running.memory.plan.generation == 1)
    assert running.names == set()


def test_a_missing_directory_publishes_an_empty_plan_and_says_what_is_missing(agent, tmp_path):
    running = agent(file_directory=str(tmp_path / "none")).start()
    until(lambda: running.memory.plan.generation == 1)
    until(lambda: running.said.files == {str(tmp_path / "none"): "missing"})


def test_a_change_is_a_new_generation_and_one_line(agent):
    running = agent({"a.yml": routes("a")}).start()
    until(lambda: running.names == {"a"})
    (running.conf / "b.yml").write_text(routes("b"))
    until(lambda: running.names == {"a", "b"})
    assert running.memory.plan.generation == 2
    line, = until(lambda: running.told("generation 2"))
    assert "routers +1 -0 ~0" in line
    assert "b.yml" in line


def test_a_successor_writes_nothing_where_nothing_changed(agent):
    running = agent({"a.yml": routes("a"), "b.yml": BROKEN}).start()
    until(lambda: len(running.told("generation 1")) == 1)
    before = running.memory.plan.read(), running.memory.sources.read()
    running.kill()
    running.start()
    (running.conf / "c.yml").write_text(routes("c"))        # proof that it has looked
    until(lambda: "c" in running.names)
    assert (running.memory.plan.generation, running.memory.sources.generation) == (before[0][0] + 1, before[1][0] + 1)


def test_what_is_wrong_is_logged_once_when_it_comes_and_once_when_it_goes(agent):
    running = agent({"a.yml": routes("a")}).start()
    until(lambda: running.names == {"a"})
    (running.conf / "b.yml").write_text(BROKEN)
    until(lambda: running.told("servcie"))
    (running.conf / "b.yml").write_text("\n\n" + BROKEN)    # two lines further down, and the same problem
    until(lambda: any(problem.place.line == 3 for problem in running.said.problems))
    running.kill()
    running.start()
    (running.conf / "b.yml").write_text(routes("b"))
    until(lambda: running.names == {"a", "b"})
    until(lambda: running.told("generation 2"))
    assert ["mended" in line for line in running.told("servcie")] == [False, True]
    assert f"{running.conf}/b.yml:1:" in running.told("servcie")[0]


def test_what_went_with_its_file_is_not_told_as_mended(agent):
    running = agent({"a.yml": routes("a"), "b.yml": BROKEN}).start()
    until(lambda: running.told("servcie"))
    (running.conf / "b.yml").unlink()
    line = until(lambda: [line for line in running.told("servcie") if "gone: " in line])[0]
    assert line.endswith("is not a known field")            # what was wrong, without what followed from it


def test_a_change_with_an_error_counts_as_one_failure(agent):
    running = agent({"a.yml": routes("a"), "b.yml": BROKEN}).start()
    until(lambda: running.memory.facts.load(FACT_DYNAMIC_FAILURES) == 1)
    (running.conf / "c.yml").write_text(routes("c"))
    until(lambda: "c" in running.names)
    assert running.memory.facts.load(FACT_DYNAMIC_FAILURES) == 1, "the error of another file is no failure of this one"
    (running.conf / "b.yml").write_text(BROKEN + "\n")
    (running.conf / "d.yml").write_text(routes("d"))
    until(lambda: "d" in running.names)
    until(lambda: running.memory.facts.load(FACT_DYNAMIC_FAILURES) == 2)


def test_the_last_good_version_of_a_broken_file_survives_the_agent(agent):
    running = agent({"a.yml": routes("a")}).start()
    until(lambda: running.names == {"a"})
    (running.conf / "a.yml").write_text("http: [oops")
    until(lambda: running.said.files[f"{running.conf}/a.yml"] == "error")
    running.kill(signal.SIGKILL)
    (running.conf / "b.yml").write_text(routes("b"))
    running.start()
    until(lambda: running.names == {"a", "b"})


def test_a_file_that_went_while_no_agent_ran_takes_its_routes_with_it(agent):
    running = agent({"a.yml": routes("a"), "b.yml": routes("b")}).start()
    until(lambda: running.names == {"a", "b"})
    running.kill()
    (running.conf / "b.yml").unlink()
    running.start()
    until(lambda: running.names == {"a"})


@pytest.mark.parametrize("left", [b"not ours", b'{"form":99}\n', b'{"form":2,"problems":[[1]],"also":[]}\n\n{}',
                                  b'{"form":2,"problems":[],"also":[],"why":{},"status":{},"files":{},"reloaded_at":0,'
                                  b'"static_digest":""}\n\n{"form":1,"files":{"x":{}}}'])
def test_a_memory_of_another_version_is_begun_anew(agent, left):
    running = agent({"a.yml": routes("a")})
    running.memory.sources.write(left)
    running.start()
    until(lambda: running.names == {"a"})
    assert running.told("last good versions are forgotten")


def test_what_does_not_fit_leaves_everything_as_it_was_and_is_told(agent):
    running = agent({"a.yml": routes("a")}, sizes=(1 << 13, 1 << 16, 4, 64)).start()
    until(lambda: running.names == {"a"})
    (running.conf / "b.yml").write_text(routes(*(f"large{number}" for number in range(80))))
    until(lambda: any(problem.code == "too-large" for problem in running.said.problems))
    assert running.names == {"a"}
    assert running.memory.facts.load(FACT_DYNAMIC_FAILURES) == 1
    (running.conf / "b.yml").write_text(routes("small"))
    until(lambda: running.names == {"a", "small"})
    assert not running.said.problems


def test_what_did_not_fit_on_the_sources_board_is_told_too(agent):
    running = agent({"a.yml": routes("a")}, sizes=(1 << 16, 1 << 13, 4, 64)).start()
    until(lambda: running.names == {"a"})
    (running.conf / "b.yml").write_text(routes(*(f"large{number}" for number in range(40))))
    until(lambda: any(problem.code == "too-large" for problem in running.said.problems))
    assert running.names == {"a"}
    running.kill()
    (running.conf / "b.yml").unlink()
    running.start()
    until(lambda: not running.said.problems)
    assert running.names == {"a"}


def test_a_change_of_places_alone_is_no_change_of_objects(agent):
    running = agent({"a.yml": routes("a")}).start()
    until(lambda: running.names == {"a"})
    (running.conf / "a.yml").write_text("# a word in front\n" + routes("a"))
    until(lambda: running.dynamic.routers["a@file"].place.line == 4)
    assert until(lambda: running.told("generation 2"))[0].count("the same objects") == 1


# The life of the process

def test_term_ends_it_at_once(agent):
    running = agent({"a.yml": routes("a")}).start()
    started = time.monotonic()
    assert running.kill(signal.SIGTERM) == 0
    assert time.monotonic() - started < 1.0


def test_it_beats_at_least_each_second(agent):
    running = agent().start()
    for _ in range(3):
        before = running.memory.facts.load(FACT_AGENT_BEAT_MS)
        started = time.monotonic()
        until(lambda before=before: running.memory.facts.load(FACT_AGENT_BEAT_MS) != before)
        assert time.monotonic() - started < 1.0


def test_it_beats_while_it_reads_many_files(agent):
    running = agent({f"{number}.yml": routes(*(f"r{number}-{i}" for i in range(20))) for number in range(200)},
                    sizes=(1 << 22, 1 << 22, 4, 64)).start()
    beats = set()
    deadline = time.monotonic() + 20
    while not running.memory.plan.generation:
        assert time.monotonic() < deadline
        beats.add(running.memory.facts.load(FACT_AGENT_BEAT_MS))
        time.sleep(0.02)
    assert len(running.names) == 4000
    in_order = sorted(beats)
    assert all(later - sooner < 1000 for sooner, later in pairwise(in_order))


def test_it_stops_to_beat_when_its_files_hang(agent, monkeypatch):
    monkeypatch.setattr("workers.agent.agent.STUCK_S", 0.2)
    monkeypatch.setattr("workers.agent.sources.Sources.look", lambda *_, **__: time.sleep(60))
    running = agent({"a.yml": routes("a")}).start()
    assert running.ask("/ping").code == 200
    until(lambda: time.monotonic() - running.memory.facts.load(FACT_AGENT_BEAT_MS) / 1000 > 1.5)


def test_an_error_inside_is_logged_and_begun_anew(agent, monkeypatch):
    settle, calls = Catalog.settle, []

    def fail_once(self, entry_points):
        calls.append(1)
        if len(calls) == 2:
            raise ZeroDivisionError
        return settle(self, entry_points)

    monkeypatch.setattr(Catalog, "settle", fail_once)
    running = agent({"a.yml": routes("a")}).start()
    until(lambda: running.names == {"a"})
    (running.conf / "b.yml").write_text(routes("b"))
    until(lambda: running.names == {"a", "b"})
    assert "ZeroDivisionError" in running.log_file.read_text()
    assert running.memory.facts.load(FACT_AGENT_STARTS) == 1


def test_usr1_opens_its_log_anew(agent):
    running = agent({"a.yml": routes("a")}).start()
    until(lambda: running.told("generation 1"))
    running.log_file.rename(running.log_file.with_name("rotated"))
    running.keeper.signal(signal.SIGUSR1)
    until(running.log_file.exists)
    (running.conf / "b.yml").write_text(routes("b"))
    until(lambda: running.told("generation 2"))


def test_it_leaves_when_its_master_is_gone(agent):
    running = agent({"a.yml": routes("a")})
    reads, writes = os.pipe()
    master = os.fork()
    if not master:
        try:
            if not os.fork():
                os.close(reads)
                try:
                    running.memory.hold_boards(5)
                    main(running.static, running.memory, running.bound, os.getppid())
                finally:
                    os._exit(0)         # the pipe ends with it
            os.close(writes)
            signal.pause()
        finally:
            os._exit(0)
    os.close(writes)
    try:
        until(lambda: running.names == {"a"})
    finally:
        os.kill(master, signal.SIGKILL)
        os.waitpid(master, 0)
    with open(reads, "rb") as file:
        assert file.read() == b"", "it ended: nobody holds the other end any more"


def test_an_agent_that_comes_back_after_a_kill_serves_on_by_the_same_generation(agent):
    running = agent({"a.yml": routes("a")}).start()
    until(lambda: running.names == {"a"})
    for _ in range(3):
        running.kill()
        running.start()
        assert running.address
    assert running.memory.plan.generation == 1
