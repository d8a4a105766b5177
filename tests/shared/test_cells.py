"""Cells: what several processes change at once comes out right, and nothing reaches beyond its buffer."""
from __future__ import annotations

import mmap
import os

import pytest

from mesh.shared.cells import Cells

PROCESSES, ROUNDS = 4, 20_000


def in_processes(work) -> None:
    """Runs work(number) in several processes at once; all of them must end well."""
    children = []
    for number in range(PROCESSES):
        pid = os.fork()
        if not pid:
            code = 1
            try:
                work(number)
                code = 0
            finally:
                os._exit(code)
        children.append(pid)
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children] == [0] * PROCESSES


@pytest.fixture
def shared() -> Cells:
    return Cells(mmap.mmap(-1, 4096))


def test_additions_of_several_processes_all_count(shared):
    def work(number: int) -> None:
        for _ in range(ROUNDS):
            shared.add(3, 1)

    in_processes(work)
    assert shared.load(3) == PROCESSES * ROUNDS


def test_compare_and_swap_loses_no_step_between_processes(shared):
    def work(number: int) -> None:
        for _ in range(ROUNDS):
            while not shared.cas(0, seen := shared.load(0), seen + 2):
                pass

    in_processes(work)
    assert shared.load(0) == 2 * PROCESSES * ROUNDS


def test_exactly_one_process_wins_a_swap(shared):
    def work(number: int) -> None:
        for slot in range(1, 400):
            if shared.cas(slot, 0, number + 1):
                shared.add(0, 1)

    in_processes(work)
    assert shared.load(0) == 399


def test_a_swap_that_does_not_find_what_it_saw_changes_nothing(shared):
    shared.store(1, 5)
    assert not shared.cas(1, 4, 9)
    assert shared.load(1) == 5


def test_a_word_holds_the_whole_range(shared):
    for value in (-(1 << 63), -1, 0, (1 << 63) - 1):
        shared.store(0, value)
        assert shared.load(0) == value


@pytest.mark.parametrize("index", [-1, 512, 1 << 40])
def test_no_cell_outside_of_the_buffer(shared, index):
    for operation in (lambda: shared.load(index), lambda: shared.store(index, 1), lambda: shared.add(index, 1),
                      lambda: shared.cas(index, 0, 1)):
        with pytest.raises(IndexError):
            operation()


def test_cells_mapped_for_reading_refuse_to_write():
    cells = Cells(bytes(64))
    assert cells.load(0) == 0
    for operation in (lambda: cells.store(0, 1), lambda: cells.add(0, 1), lambda: cells.cas(0, 0, 1)):
        with pytest.raises(TypeError):
            operation()


def test_an_unaligned_buffer_is_refused():
    with pytest.raises(ValueError):
        Cells(memoryview(bytearray(65))[1:])
