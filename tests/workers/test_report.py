"""What `hostmesh status` and the API tell, from a memory as it may be found."""
from __future__ import annotations

import json
import os
import re
import subprocess

import pytest

from mesh.errors import Place, Problem
from mesh.model import Static
from mesh.providers.published import Published
from mesh.shared.layout import FACT_AGENT_BEAT_MS, FACT_AGENT_PID, FACT_MASTER_PID, FACT_WORKERS
from mesh.shared.series import GAUGE_BEAT_MS, GAUGE_CONNECTIONS, GAUGE_DRAINING, GAUGE_GENERATION
from workers.about import About, read_about
from workers.memory import Refused, SharedMemory, create
from workers.report import read_status, status

SIZES = (1 << 16, 1 << 16, 4, 64)
NOW_MS = 1_000_000
WRONG = Problem(Place("a.yml"), "", "x")


@pytest.fixture
def memory(tmp_path) -> SharedMemory:
    """A service with one worker, where all is well."""
    memory = create(Static(runtime_directory=str(tmp_path / "run")), sizes=SIZES)
    memory.plan.write(b"a plan")
    memory.facts.store(FACT_WORKERS, 1)
    memory.facts.store(FACT_AGENT_PID, os.getpid())
    memory.facts.store(FACT_AGENT_BEAT_MS, NOW_MS - 300)
    serve(memory, 0)
    return memory


def serve(memory: SharedMemory, number: int, generation: int = 1, age_ms: int = 100) -> None:
    column = memory.column(number)
    column.take(os.getpid())
    column.set_gauge(GAUGE_GENERATION, generation)
    column.set_gauge(GAUGE_BEAT_MS, NOW_MS - age_ms)
    column.set_gauge(GAUGE_CONNECTIONS, 3)


def told(memory: SharedMemory) -> dict:
    return status(memory, About(os.getpid(), entry_points={"web": "127.0.0.1:80"}), NOW_MS)


@pytest.fixture
def gone() -> int:
    """The pid of a process that has ended."""
    process = subprocess.Popen(["/bin/true"])
    process.wait()
    return process.pid


def test_where_all_is_well_it_is_good(memory):
    said = told(memory)
    assert (said["good"], said["why"]) == (True, [])
    assert said["workers"] == [{"number": 0, "pid": os.getpid(), "alive": True, "generation": 1, "connections": 3,
                                "draining": False, "beatAgeSeconds": 0.1}]
    assert said["agent"]["beatAgeSeconds"] == 0.3


def test_it_is_a_dictionary_for_json(memory):
    assert json.loads(json.dumps(told(memory))) == told(memory)


def test_requests_and_errors_are_summed(memory):
    for code, count in (("200", 3), ("404", 2), ("502", 4), ("504", 1)):
        for _ in range(count):
            memory.column(0).record(f"web\x1fr\x1fs\x1f{code}\x1fGET\x1fhttp".encode())
    memory.column(0).record(b"odd")
    assert told(memory)["requests"] == {"total": 11, "errors": 5, "retries": 0}


def test_a_master_that_is_gone_is_all_there_is_to_say(memory, gone):
    memory.facts.store(FACT_MASTER_PID, gone)
    said = told(memory)
    assert said["why"] == [f"hostmesh does not run: its master (pid {gone}) is gone"]
    assert said["upSeconds"] is None


@pytest.mark.parametrize("change, why", [
    (lambda memory: memory.facts.store(FACT_AGENT_PID, 0), "the agent does not run"),
    (lambda memory: memory.facts.store(FACT_AGENT_BEAT_MS, NOW_MS - 9_000), "silent for 9 s"),
    (lambda memory: memory.facts.store(FACT_WORKERS, 2), "1 of 2 workers serve"),
    (lambda memory: serve(memory, 0, generation=0), "0 of 1 workers serve"),
    (lambda memory: memory.column(0).set_gauge(GAUGE_DRAINING, 1), "0 of 1 workers serve"),
    (lambda memory: serve(memory, 0, age_ms=7_000), "worker 0 .* silent for 7 s"),
    (lambda memory: memory.plan.write(b"another"), "worker 0 .* serves generation 1, not 2 yet"),
    (lambda memory: memory.sources.write(Published(problems=(WRONG,)).to_json()), "has 1 error$"),
    (lambda memory: memory.sources.write(Published(files={"a.yml": "missing"}).to_json()), "a.yml is missing"),
], ids=["no agent", "silent agent", "too few workers", "serves nothing", "draining", "silent worker", "old generation",
        "errors", "missing file"])
def test_what_is_not_as_it_should_be_is_said(memory, change, why):
    change(memory)
    said = told(memory)
    assert said["good"] is False
    assert len(said["why"]) == 1
    assert re.search(why, said["why"][0])


def test_warnings_alone_are_good(memory):
    memory.sources.write(Published(problems=(Problem(Place("a.yml"), "", "x", "warning"),)).to_json())
    said = told(memory)
    assert (said["good"], len(said["problems"])) == (True, 1)


def test_problems_carry_their_places(memory):
    problem = Problem(Place("a.yml", 3, 7), "http.routers.r", "wrong", hint="so")
    memory.sources.write(Published(problems=(problem,), files={"a.yml": "error"}).to_json())
    said = told(memory)
    assert said["problems"] == [{
        "severity": "error", "code": "bad-value", "file": "a.yml", "line": 3, "column": 7, "object": "http.routers.r",
        "message": "wrong", "hint": "so", "text": "a.yml:3:7: error: http.routers.r: wrong (so)"}]
    assert said["files"] == [{"file": "a.yml", "state": "error", "problems": said["problems"]}]


def test_a_memory_that_cannot_be_understood_is_still_told_of(memory):
    memory.sources.write(b"another version's")
    assert told(memory)["problems"] == []


def test_it_is_read_from_the_directory_alone(memory, tmp_path):
    About(os.getpid(), host="host-a", admin="127.0.0.1:1").write(str(tmp_path / "run"))
    said = read_status(str(tmp_path / "run"))
    assert (said["host"], said["admin"], said["generation"]) == ("host-a", "127.0.0.1:1", 1)
    with pytest.raises(Refused):
        read_status(str(tmp_path))


# about.json

def test_about_is_read_as_it_was_written(tmp_path):
    about = About(7, started="2026-01-01T00:00:00+00:00", static_file="/x", host="h", entry_points={"web": "a:1"},
                  admin="b:2")
    about.write(str(tmp_path))
    about.write(str(tmp_path))
    assert read_about(str(tmp_path)) == about


@pytest.mark.parametrize("said", [None, b"", b"[]", b'{"pid": "x"}', b'{"pid": 1}'])
def test_what_is_no_about_is_an_empty_one(tmp_path, said):
    if said is not None:
        (tmp_path / "about.json").write_bytes(said)
    assert read_about(str(tmp_path)) == About()
