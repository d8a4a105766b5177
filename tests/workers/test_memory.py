"""The runtime directory: one instance at a time, and the last good configuration survives a restart."""
from __future__ import annotations

import dataclasses
import mmap
import os
import signal
import subprocess
import sys

import pytest

from mesh.model import Static
from mesh.names import LOCK_FILE, MEMORY_FILE
from mesh.shared.layout import FACT_WORKER_STARTS, Memory
from mesh.shared.series import GAUGE_CONNECTIONS, GAUGE_PID, ROW_REQUESTS
from workers.memory import Refused, SharedMemory, attach, create

SIZES = (1 << 16, 1 << 16, 4, 64)

HOLDER = """
import sys
from mesh.model import Static
from workers.memory import create
memory = create(Static(runtime_directory=sys.argv[1]), sizes=tuple(map(int, sys.argv[3:])))
if sys.argv[2] == "column":
    memory.hold_column(1).take(4711)
    memory.hold_boards(0)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def static(tmp_path) -> Static:
    return Static(file=str(tmp_path / "hostmesh.yml"), runtime_directory=str(tmp_path / "run"))


@pytest.fixture
def holder(static):
    """Starts another process that holds the directory, or a column and the boards as well, until the test ends."""
    started: list[subprocess.Popen] = []

    def start(what: str = "instance") -> subprocess.Popen:
        process = subprocess.Popen([sys.executable, "-c", HOLDER, static.runtime_directory, what, *map(str, SIZES)],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def as_successor(static: Static) -> SharedMemory:
    """The memory as the successor of a killed master has it while the children of that one still run."""
    file = os.open(os.path.join(static.runtime_directory, MEMORY_FILE), os.O_RDWR)
    lock = os.open(os.path.join(static.runtime_directory, LOCK_FILE), os.O_RDWR)
    return SharedMemory(mmap.mmap(file, os.fstat(file).st_size), file, lock)


def test_a_restarted_service_finds_both_boards_its_counters_and_no_stale_gauges(static):
    first = create(static, sizes=SIZES)
    first.plan.write(b"plan")
    first.sources.write(b"sources")
    first.facts.add(FACT_WORKER_STARTS, 3)
    column = first.hold_column(0)
    column.take(4711)
    column.set_gauge(GAUGE_CONNECTIONS, 5)
    column.record(b"labels")
    second = create(static, sizes=SIZES)
    assert second.plan.read() == (1, b"plan")
    assert second.sources.read() == (1, b"sources")
    assert second.facts.load(FACT_WORKER_STARTS) == 3
    gauges, rows = second.column(0).read()
    assert (gauges[GAUGE_PID], gauges[GAUGE_CONNECTIONS]) == (0, 0)
    assert rows[b"labels"][ROW_REQUESTS] == 1


def test_a_second_instance_is_refused_with_the_pid_of_the_first(static, holder):
    first = holder()
    with pytest.raises(Refused, match=rf"pid {first.pid}\).*runtimeDirectory"):
        create(static, sizes=SIZES)


def test_an_instance_that_was_killed_does_not_stand_in_the_way(static, holder):
    first = holder()
    first.send_signal(signal.SIGKILL)
    first.wait()
    create(static, sizes=SIZES)


def test_a_column_of_a_worker_that_outlives_its_master_is_not_given_away(static, holder):
    worker = holder("column")
    memory = as_successor(static)
    assert memory.holder(1) == worker.pid
    assert memory.holder(0) == 0
    with pytest.raises(Refused, match=f"held by pid {worker.pid}"):
        memory.hold_column(1)
    assert not memory.hold_boards(0)
    worker.kill()
    worker.wait()
    assert memory.hold_boards(5)
    assert memory.hold_column(1).gauge(GAUGE_PID) == 4711, "its gauges are zeroed by who takes it"


def test_a_child_does_not_inherit_what_its_parent_holds(static):
    memory = create(static, sizes=SIZES)
    memory.hold_column(2)
    pid = os.fork()
    if not pid:
        code = 1
        try:
            code = int(memory.holder(2) != os.getppid())
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.mark.parametrize("content", [b"", b"something else", b"HOSTMESH" + bytes(8000)])
def test_a_memory_that_cannot_be_read_is_rebuilt(static, content):
    create(static, sizes=SIZES).plan.write(b"old")
    os.unlink(path := os.path.join(static.runtime_directory, MEMORY_FILE))
    with open(path, "wb") as file:
        file.write(content)
    memory = create(static, sizes=SIZES)
    assert memory.plan.read() == (0, b"")


def test_a_memory_of_other_sizes_is_rebuilt_and_the_old_file_stays_whole_for_who_still_maps_it(static):
    old = create(static, sizes=SIZES)
    old.plan.write(b"old")
    new = create(static, sizes=(1 << 17, 1 << 16, 4, 64))
    assert new.plan.read() == (0, b"")
    assert old.plan.read() == (1, b"old")


def test_a_damaged_board_is_not_taken_over(static):
    create(static, sizes=SIZES).plan.write(b"the plan")
    path = os.path.join(static.runtime_directory, MEMORY_FILE)
    with open(path, "r+b") as file:
        at = file.read().index(b"the plan")
        file.seek(at)
        file.write(b"X")
    assert create(static, sizes=SIZES).plan.read() == (0, b"")


def test_another_configuration_on_the_same_directory_starts_empty(static, tmp_path):
    create(static, sizes=SIZES).plan.write(b"of the first")
    other = dataclasses.replace(static, file=str(tmp_path / "other.yml"))
    assert create(other, sizes=SIZES).plan.read() == (0, b"")


def test_what_an_orphan_had_under_way_is_taken_back_when_it_has_ended(static, holder):
    worker = holder("column")
    memory = as_successor(static)
    memory.column(1).take(worker.pid)           # as the orphan itself did
    memory.bury_orphans(())
    assert memory.column(1).gauge(GAUGE_PID) == worker.pid, "it lives"
    worker.kill()
    worker.wait()
    memory.bury_orphans({1})
    assert memory.column(1).gauge(GAUGE_PID) == worker.pid, "somebody else looks after it"
    memory.bury_orphans(())
    assert memory.column(1).gauge(GAUGE_PID) == 0


def test_a_column_crowded_by_former_runs_begins_anew(static):
    column = create(static, sizes=SIZES).hold_column(0)
    column.take(1)
    for number in range(40):
        column.record(b"%d" % number)
    assert create(static, sizes=SIZES).column(0).read()[1] == {}


def test_untouched_parts_take_no_memory(static):
    create(static)
    seen = os.stat(os.path.join(static.runtime_directory, MEMORY_FILE))
    assert seen.st_size == Memory.size()
    assert seen.st_blocks * 512 < 1 << 20


def test_the_directory_is_for_its_owner_and_the_memory_too(static):
    create(static, sizes=SIZES)
    assert os.stat(static.runtime_directory).st_mode & 0o777 == (0o755 if os.geteuid() == 0 else 0o700)
    assert os.stat(os.path.join(static.runtime_directory, MEMORY_FILE)).st_mode & 0o777 == 0o600


def test_a_directory_that_everybody_may_write_to_is_refused(static):
    os.mkdir(static.runtime_directory)
    os.chmod(static.runtime_directory, 0o1777)
    with pytest.raises(Refused, match="everybody may write"):
        create(static, sizes=SIZES)


@pytest.mark.parametrize("make", [lambda path: path.write_text(""), lambda path: path.symlink_to("/tmp")])
def test_what_is_not_a_directory_is_refused(static, tmp_path, make):
    make(tmp_path / "run")
    with pytest.raises(Refused, match="not a directory"):
        create(static, sizes=SIZES)


def test_a_path_that_cannot_be_made_is_refused_in_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Refused) as refused:
        create(Static(runtime_directory=str(tmp_path / "file" / "run")), sizes=SIZES)
    assert "runtimeDirectory" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_command_line_reads_and_cannot_write(static):
    create(static, sizes=SIZES).plan.write(b"plan")
    memory = attach(static.runtime_directory)
    assert memory.plan.read() == (1, b"plan")
    with pytest.raises(TypeError):
        memory.plan.write(b"other")


def test_where_nothing_ever_ran_the_command_line_says_so(tmp_path):
    with pytest.raises(Refused, match="hostmesh run"):
        attach(tmp_path)
    (tmp_path / MEMORY_FILE).write_bytes(b"")
    with pytest.raises(Refused, match="another version, or damaged"):
        attach(tmp_path)
