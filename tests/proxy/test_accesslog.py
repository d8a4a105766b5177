"""The access log: nothing makes a request wait for it, and what is lost is counted."""
from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from lines_built import DEADLINE_S, Heard, outcome, until

from mesh.model import AccessLog as Told
from mesh.shared.series import GAUGE_LOG_DROPPED, Column, column_size
from workers.proxy.accesslog import CALM_S, AccessLog

BUFFER_BYTES = 1 << 20      # of either buffer
WHERE = [str(Path(__file__).parent), os.getcwd()]       # what a process of its own imports us from


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def column() -> Column:
    return Column(bytearray(column_size(4)), 0, 4)


# Files.

def test_a_tick_writes_what_has_gathered(tmp_path, heard):
    path = tmp_path / "access.log"
    log = AccessLog(Told(str(path), "json"), None, heard)
    log.tell(outcome())
    until(lambda: path.exists() and path.read_bytes().count(b"\n") == 1, log.tick)
    assert path.stat().st_mode & 0o777 == 0o640
    log.close()


def test_a_busy_log_writes_without_waiting_for_a_tick(tmp_path, heard):
    path = tmp_path / "access.log"
    log = AccessLog(Told(str(path), "json"), None, heard)
    log.tell_often(outcome(), 300)
    until(lambda: path.exists() and path.stat().st_size > 0)
    log.close()
    assert path.read_bytes().count(b"\n") == 300


def test_without_a_file_lines_go_to_standard_output():
    code = ("import logging, sys; sys.path[:0] = sys.argv[1:]; import lines_built as t\n"
            "log = t.AccessLog(t.Told('', 'json'), None, logging.getLogger()); log.tell_often(t.outcome(), 50)\n"
            "log.reopen(); log.close()")
    told = subprocess.run([sys.executable, "-c", code, *WHERE], capture_output=True, text=True,
                          timeout=DEADLINE_S)
    assert [json.loads(line)["RequestCount"] for line in told.stdout.splitlines()] == list(range(1, 51))


def test_after_a_rotation_lines_go_to_a_new_file_of_the_old_name(tmp_path, heard):
    path, old = tmp_path / "access.log", tmp_path / "access.log.1"
    log = AccessLog(Told(str(path), "json"), None, heard)
    log.tell(outcome(request_id=b"before"))
    until(lambda: path.exists() and path.stat().st_size, log.tick)
    path.rename(old)
    log.reopen()
    until(path.exists, log.tick)
    log.tell(outcome(request_id=b"after"))
    log.close()
    assert [json.loads(file.read_bytes())["RequestId"] for file in (old, path)] == ["before", "after"]
    assert heard.said == []


def test_a_rotation_that_fails_goes_on_in_the_old_file(tmp_path, heard):
    folder, moved = tmp_path / "logs", tmp_path / "moved"
    folder.mkdir()
    log = AccessLog(Told(str(folder / "access.log"), "json"), None, heard)
    assert (folder / "access.log").exists()
    folder.rename(moved)
    log.reopen()
    until(lambda: heard.said, log.tick)
    log.tell(outcome())
    log.close()
    assert (moved / "access.log").read_bytes().count(b"\n") == 1
    assert log.dropped == 0


# A disk that is full, slow or gone.

def test_a_full_disk_drops_and_counts_and_is_reported_once(heard, column):
    log = AccessLog(Told("/dev/full", "json"), column, heard)
    log.tell_often(outcome(), 20_000)
    until(lambda: heard.said, log.tick)
    log.tell_often(outcome(), 20_000)
    log.tick()
    assert 0 < log.dropped < 40_000
    assert column.gauge(GAUGE_LOG_DROPPED) == log.dropped
    log.close()
    assert log.dropped == column.gauge(GAUGE_LOG_DROPPED) == 40_000
    assert len(heard.said) == 1


def test_a_disk_that_is_well_again_gets_what_was_kept_and_that_is_reported_once(tmp_path, heard):
    path, good = tmp_path / "access.log", tmp_path / "good"
    path.symlink_to("/dev/full")
    log = AccessLog(Told(str(path), "json"), None, heard)
    log.tell_often(outcome(), 20_000)
    until(lambda: heard.said, log.tick)
    path.unlink()
    path.symlink_to(good)
    began = time.monotonic()
    log.reopen()
    until(lambda: len(heard.said) == 2, log.tick)
    assert time.monotonic() - began > CALM_S / 2    # not after every pause between two losses
    dropped = log.dropped
    assert dropped > 0
    log.tell(outcome())
    log.close()
    counts = [json.loads(line)["RequestCount"] for line in good.read_bytes().splitlines()]
    assert len(counts) == 20_001 - dropped == 20_001 - log.dropped
    assert counts == sorted(set(counts))
    assert len(heard.said) == 2
    assert str(dropped) in heard.said[1]


def test_a_file_that_cannot_be_made_is_tried_again(tmp_path, heard):
    path = tmp_path / "missing" / "access.log"
    log = AccessLog(Told(str(path), "json"), None, heard)
    log.tell(outcome())
    until(lambda: heard.said, log.tick)
    path.parent.mkdir()
    until(lambda: path.exists() and path.stat().st_size, log.tick)
    log.close()
    assert log.dropped == 0
    assert len(heard.said) == 1


def test_a_reader_that_does_not_read_costs_lines_and_no_time(tmp_path, heard):
    """A FIFO holds 64 KiB; what does not fit waits in memory, and then is dropped."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    log = AccessLog(Told(str(path), "json"), None, heard)
    slowest = 0.0
    for _ in range(400):
        began = time.monotonic()
        log.tell_often(outcome(), 100)
        slowest = max(slowest, time.monotonic() - began)
    assert log.dropped > 20_000
    assert slowest < 1      # it takes 30 us; the rest is for a busy machine
    until(lambda: heard.said, log.tick)
    began = time.monotonic()
    log.close()
    assert time.monotonic() - began < 5
    with open(reader, "rb") as file:
        kept = file.read()
    # what was in the pipe when nobody read it: whole lines, from the first on
    counts = [json.loads(line)["RequestCount"] for line in kept.splitlines()]
    assert kept.endswith(b"\n")
    assert counts == list(range(1, len(counts) + 1))
    assert log.dropped + len(counts) == 40_000


def test_a_reader_that_reads_again_gets_what_waited_and_what_comes(tmp_path, heard):
    path = tmp_path / "fifo"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    log = AccessLog(Told(str(path), "json"), None, heard)
    pieces: list[bytes] = []

    def read() -> None:
        with contextlib.suppress(BlockingIOError):
            pieces.append(os.read(reader, 1 << 20))

    def tick_and_read() -> None:
        log.tick()
        read()

    log.tell_often(outcome(), 10_000)
    kept = 10_000 - log.dropped
    assert kept < 10_000
    # Without a tick: the first line that comes when the thread is done with one buffer finds no room in the other.
    until(lambda: log.waiting <= BUFFER_BYTES, read)
    told = 10_000
    while log.waiting > BUFFER_BYTES // 2:
        log.tell(outcome())
        told += 1
        read()
    until(lambda: not log.waiting, tick_and_read)
    log.close()
    read()
    os.close(reader)
    counts = [json.loads(line)["RequestCount"] for line in b"".join(pieces).splitlines()]
    assert counts[:kept] == list(range(1, kept + 1))
    assert counts == sorted(set(counts))
    assert counts[-1] == told
    assert len(counts) + log.dropped == told


def test_a_blocking_pipe_on_standard_output_that_nobody_reads_stops_nothing():
    """Standard output is shared with whoever started us, so its flags are not ours: it may block."""
    code = ("import logging, sys; sys.path[:0] = sys.argv[1:]; import lines_built as t\n"
            "log = t.AccessLog(t.Told('', 'json'), None, logging.getLogger()); log.tell_often(t.outcome(), 20_000)\n"
            "log.close(); print(log.dropped, file=sys.stderr, flush=True)")
    told = subprocess.Popen([sys.executable, "-c", code, *WHERE], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE)
    try:
        assert told.wait(DEADLINE_S) == 0
        output, errors = told.communicate()
        assert output.count(b"\n") + int(errors) == 20_000
        assert output.endswith(b"}\n")
    finally:
        told.kill()
        told.wait()


def test_a_line_that_a_full_disk_cut_short_is_finished_before_the_next(tmp_path):
    """RLIMIT_FSIZE cuts a write short just as a disk does that fills up in the middle of it."""
    path = tmp_path / "access.log"
    code = ("import logging, resource, sys; sys.path[:0] = sys.argv[2:]; import lines_built as t\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (10_001, resource.RLIM_INFINITY))\n"
            "heard = t.Heard(); log = t.AccessLog(t.Told(sys.argv[1], 'json'), None, heard)\n"
            "log.tell_often(t.outcome(), 100)\n"
            "t.until(lambda: heard.said, log.tick)\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))\n"
            "t.until(lambda: not log.waiting, log.tick)\n"
            "log.close()")
    subprocess.run([sys.executable, "-c", code, str(path), *WHERE], check=True,
                   timeout=2 * DEADLINE_S)
    assert [json.loads(line)["RequestCount"] for line in path.read_bytes().splitlines()] == list(range(1, 101))


def test_a_line_that_was_cut_short_stands_whole_in_the_file_after_a_rotation(tmp_path):
    path, old = tmp_path / "access.log", tmp_path / "access.log.1"
    code = ("import logging, os, resource, sys; sys.path[:0] = sys.argv[3:]; import lines_built as t\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (10_001, resource.RLIM_INFINITY))\n"
            "heard = t.Heard(); log = t.AccessLog(t.Told(sys.argv[1], 'json'), None, heard)\n"
            "log.tell_often(t.outcome(), 24)\n"
            "t.until(lambda: heard.said, log.tick)\n"
            "os.rename(sys.argv[1], sys.argv[2])\n"
            "log.reopen()\n"
            "t.until(lambda: not log.waiting, log.tick)\n"
            "log.close()")
    subprocess.run([sys.executable, "-c", code, str(path), str(old), *WHERE], check=True,
                   timeout=2 * DEADLINE_S)
    *whole, begun = old.read_bytes().split(b"\n")
    assert begun
    counts = [json.loads(line)["RequestCount"] for line in [*whole, *path.read_bytes().splitlines()]]
    assert counts == list(range(1, 25))


def test_two_workers_that_append_to_one_file_write_whole_lines_only(tmp_path):
    path = tmp_path / "access.log"
    code = ("import logging, sys, time; sys.path[:0] = sys.argv[3:]; import lines_built as t\n"
            "log = t.AccessLog(t.Told(sys.argv[1], 'common'), None, logging.getLogger())\n"
            "told = t.outcome(b'GET /' + sys.argv[2].encode() * 40 + b' HTTP/1.1\\r\\nHost: h\\r\\n\\r\\n')\n"
            "for _ in range(500):\n"
            "    log.tell_often(told, 100)\n"
            "    t.until(lambda: log.waiting < 300_000, log.tick)\n"
            "log.close(); assert log.dropped == 0")
    workers = [subprocess.Popen([sys.executable, "-c", code, str(path), who, *WHERE])
               for who in "ab"]
    try:
        assert [worker.wait(3 * DEADLINE_S) for worker in workers] == [0, 0]
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    told: Counter[str] = Counter()
    for line in path.read_text().splitlines():
        found = re.fullmatch(r'127\.0\.0\.1 - - \[[^]]*\] "GET /(a{40}|b{40}) HTTP/1\.1" 200 512 "-" "-" \d+ '
                             r'"orders@file" "http://10\.0\.3\.17:8080" 12ms', line)
        assert found, line
        told[found[1][0]] += 1
    assert told == {"a": 50_000, "b": 50_000}


def test_two_workers_that_share_a_pipe_as_standard_output_write_whole_lines_only():
    code = ("import logging, sys; sys.path[:0] = sys.argv[2:]; import lines_built as t\n"
            "log = t.AccessLog(t.Told('', 'json'), None, logging.getLogger())\n"
            "told = t.outcome(b'GET /' + sys.argv[1].encode() * 700 + b' HTTP/1.1\\r\\nHost: h\\r\\n\\r\\n')\n"
            "for _ in range(50):\n"
            "    log.tell_often(told, 100)\n"
            "    t.until(lambda: log.waiting < 300_000, log.tick)\n"
            "t.until(lambda: not log.waiting, log.tick); log.close()")
    read, write = os.pipe()
    workers = [subprocess.Popen([sys.executable, "-c", code, who, *WHERE], stdout=write) for who in "ab"]
    os.close(write)
    try:
        with open(read) as file:
            told = Counter(json.loads(line)["RequestPath"] for line in file)
        assert [worker.wait(DEADLINE_S) for worker in workers] == [0, 0]
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    assert told == {"/" + "a" * 700: 5_000, "/" + "b" * 700: 5_000}


# Its life in a worker.

def test_a_closed_log_drops_and_counts(tmp_path, heard, column):
    log = AccessLog(Told(str(tmp_path / "access.log"), "json"), column, heard)
    log.close()
    log.close()
    log.tell(outcome())
    log.tick()
    log.reopen()
    assert log.dropped == column.gauge(GAUGE_LOG_DROPPED) == 1


def test_its_thread_takes_no_signal_and_ends_with_it(tmp_path, heard):
    before = set(os.listdir("/proc/self/task"))
    log = AccessLog(Told(str(tmp_path / "access.log"), "json"), None, heard)
    new, = set(os.listdir("/proc/self/task")) - before
    status = Path(f"/proc/self/task/{new}/status").read_text()
    blocked = int(re.search(r"SigBlk:\s*(\w+)", status)[1], 16)     # type: ignore[index]
    ours = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT, signal.SIGCHLD)
    assert all(blocked >> (number - 1) & 1 for number in ours)
    log.close()
    assert set(os.listdir("/proc/self/task")) == before


def test_its_thread_has_a_table_of_descriptors_of_its_own(tmp_path, heard):
    """Else it would hold what the worker closes, or every recv and send would count references."""
    others = set(os.listdir("/proc/self/task"))
    path = tmp_path / "access.log"
    log = AccessLog(Told(str(path)), None, heard)
    thread, = set(os.listdir("/proc/self/task")) - others
    try:
        assert str(path) not in _open_files("self").values()
        assert [name for fd, name in _open_files(f"self/task/{thread}").items() if fd > 2] == [str(path)]
    finally:
        log.close()


def _open_files(whose):
    """By descriptor, but for what was closed meanwhile."""
    names = {}
    for fd in os.listdir(f"/proc/{whose}/fd"):
        with contextlib.suppress(OSError):
            names[int(fd)] = os.readlink(f"/proc/{whose}/fd/{fd}")
    return names


def test_importing_it_starts_no_thread():
    code = "import os, workers.proxy.accesslog; print(len(os.listdir('/proc/self/task')))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=DEADLINE_S, check=True)
    assert told.stdout == "1\n"
