"""Columns: counters outlive the worker that made them, and nothing that is counted is lost."""
from __future__ import annotations

import mmap
import os
import signal
from itertools import pairwise

import pytest

from mesh.shared.series import (
    BUCKET_BOUNDS_US,
    GAUGE_CONNECTIONS,
    GAUGE_LOG_DROPPED,
    GAUGE_PID,
    LABEL_BYTES,
    OVERFLOW,
    ROW_BUCKETS,
    ROW_BYTES_IN,
    ROW_BYTES_OUT,
    ROW_DURATION_US,
    ROW_REQUESTS,
    ROW_WORDS,
    Column,
    column_size,
)

CAPACITY = 64
LABELS = b"web\x1fshop@file\x1forders@file\x1fGET\x1f200\x1fhttp"


def memory(capacity: int = CAPACITY) -> bytearray:
    return bytearray(column_size(capacity))


def taken(buffer, pid: int = 1, capacity: int = CAPACITY) -> Column:
    column = Column(buffer, 0, capacity)
    column.take(pid)
    return column


def requests(column: Column) -> dict[bytes, int]:
    return {labels: words[ROW_REQUESTS] for labels, words in column.read()[1].items()}


def test_a_request_is_counted_in_its_row():
    column = taken(memory())
    column.record(LABELS, 1500, 10, 200)
    column.record(LABELS, 700, 1, 2)
    words = column.read()[1][LABELS]
    assert (words[ROW_REQUESTS], words[ROW_DURATION_US]) == (2, 2200)
    assert (words[ROW_BYTES_IN], words[ROW_BYTES_OUT]) == (11, 202)


@pytest.mark.parametrize("bucket", range(len(BUCKET_BOUNDS_US) + 1))
def test_a_duration_falls_into_the_bucket_that_ends_at_it_or_above(bucket):
    column = taken(memory())
    bound = BUCKET_BOUNDS_US[bucket] if bucket < len(BUCKET_BOUNDS_US) else BUCKET_BOUNDS_US[-1] + 1
    column.record(LABELS, bound)
    assert column.read()[1][LABELS][ROW_BUCKETS:].index(1) == bucket


def test_the_buckets_and_infinity_fit_into_a_row():
    assert ROW_BUCKETS + len(BUCKET_BOUNDS_US) + 1 <= ROW_WORDS
    assert all(low < high for low, high in pairwise(BUCKET_BOUNDS_US))


def test_a_successor_counts_on_and_begins_with_fresh_gauges():
    buffer = memory()
    first = taken(buffer, pid=100)
    first.record(LABELS)
    first.set_gauge(GAUGE_CONNECTIONS, 7)
    first.set_gauge(GAUGE_LOG_DROPPED, 3)
    second = taken(buffer, pid=200)
    second.record(LABELS)
    second.record(LABELS + b"2")
    gauges, _ = second.read()
    assert requests(second) == {LABELS: 2, LABELS + b"2": 1}
    assert (gauges[GAUGE_PID], gauges[GAUGE_CONNECTIONS]) == (200, 0)
    assert gauges[GAUGE_LOG_DROPPED] == 3, "a counter among the gauges: it never goes down"


def test_a_full_column_counts_in_its_overflow_row():
    column = taken(memory(4), capacity=4)
    for number in range(10):
        column.record(b"row %d" % number)
    assert requests(column) == {b"row 0": 1, b"row 1": 1, b"row 2": 1, OVERFLOW: 7}


def test_labels_of_the_longest_length_have_a_row_and_longer_ones_are_counted_in_the_overflow_row():
    column = taken(memory())
    longest, too_long = b"x" * LABEL_BYTES, b"x" * (LABEL_BYTES + 1)
    column.record(longest)
    column.record(too_long)
    assert requests(column) == {longest: 1, OVERFLOW: 1}


def test_a_reader_follows_rows_that_are_added_later():
    buffer = memory()
    writer, reader = taken(buffer), Column(buffer, 0, CAPACITY)
    assert requests(reader) == {}
    writer.record(b"one")
    assert requests(reader) == {b"one": 1}
    writer.record(b"two")
    assert requests(reader) == {b"one": 1, b"two": 1}


def test_a_column_that_is_forgotten_begins_anew_for_its_readers_too():
    buffer = memory()
    writer, reader = taken(buffer), Column(buffer, 0, CAPACITY)
    writer.record(b"old")
    assert requests(reader) == {b"old": 1}
    writer.forget()
    assert requests(reader) == {}
    taken(buffer).record(b"new")
    assert requests(reader) == {b"new": 1}


def test_rows_without_memory_behind_them_are_counted_in_the_overflow_row():
    def reserve(offset: int, length: int) -> None:
        if allowed[0] <= 0:
            raise OSError(28, "No space left on device")
        allowed[0] -= 1

    allowed = [3]           # what `take` asks for: the gauges' page, the first rows, their directory
    column = Column(memory(), 0, CAPACITY, reserve)
    column.take(1)
    for number in range(20):
        column.record(b"row %d" % number)
    assert requests(column)[OVERFLOW] == 5
    assert sum(requests(column).values()) == 20


def test_a_column_mapped_for_reading_refuses_to_count():
    column = Column(bytes(memory()), 0, CAPACITY)
    for operation in (lambda: column.take(1), lambda: column.record(LABELS), lambda: column.set_gauge(0, 1),
                      column.release, column.forget):
        with pytest.raises(TypeError):
            operation()


def test_a_worker_killed_while_it_adds_rows_leaves_none_by_half():
    """Each row that can be seen has whole labels; the successor adds its own behind them."""
    capacity = 4096
    shared = mmap.mmap(-1, column_size(capacity))
    for attempt in range(5):
        told, tell = os.pipe()
        pid = os.fork()
        if not pid:
            try:
                column = taken(shared, os.getpid(), capacity)
                for number in range(100_000):
                    column.record(b"%d:%s" % (attempt, str(number).encode() * 30))
                    if number == 20:
                        os.write(tell, b".")
                signal.pause()
            finally:
                os._exit(1)
        os.read(told, 1)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(told)
        os.close(tell)
    for labels in Column(shared, 0, capacity).read()[1]:
        if labels != OVERFLOW:
            _, _, number = labels.partition(b":")
            assert number == number[:len(number) // 30] * 30
    survivor = taken(shared, 1, capacity)
    before = sum(requests(survivor).values())
    survivor.record(b"after")
    assert sum(requests(survivor).values()) == before + 1


@pytest.mark.parametrize("size", [0, 4096, column_size(CAPACITY) - 1])
def test_a_buffer_that_is_too_small_is_refused(size):
    with pytest.raises(ValueError, match="aligned bytes"):
        Column(bytearray(size), 0, CAPACITY)
