"""Boards: a reader sees a whole value or the one before it, whatever happens to the writer."""
from __future__ import annotations

import mmap
import os
import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.shared.board import HEADER, Board, BoardDamaged, BoardFull

CAPACITY = 1 << 16


def board(capacity: int = CAPACITY) -> Board:
    return Board(bytearray(Board.size(capacity)))


def test_a_new_board_holds_nothing():
    assert board().read() == (0, b"")


@given(st.lists(st.binary(max_size=300), max_size=8))
def test_the_last_value_is_read_and_generations_count_up(values):
    it = board(304)
    assert [it.write(value) for value in values] == list(range(1, len(values) + 1))
    assert it.read() == (len(values), values[-1] if values else b"")
    assert it.generation == len(values)


def test_a_value_that_does_not_fit_is_refused_and_the_old_one_stands():
    it = board(64)
    it.write(b"x" * 64)
    with pytest.raises(BoardFull, match="65 bytes do not fit on a board of 64 bytes"):
        it.write(b"y" * 65)
    assert it.read() == (1, b"x" * 64)


def test_memory_that_cannot_be_had_is_refused_and_the_old_value_stands():
    def reserve(offset: int, length: int) -> None:
        if length > 10:
            raise OSError(28, "No space left on device")

    it = Board(bytearray(Board.size(64)), reserve)
    it.write(b"small")
    with pytest.raises(BoardFull, match="No space left on device"):
        it.write(b"much larger than that")
    assert it.read() == (1, b"small")


def test_a_successor_of_the_writer_goes_on_where_it_stopped():
    memory = bytearray(Board.size(64))
    Board(memory).write(b"one")
    successor = Board(memory)
    assert successor.write(b"two") == 2
    assert Board(memory).read() == (2, b"two")


@pytest.mark.parametrize("stop", range(1, 5))
def test_a_writer_that_ends_after_any_of_its_stores_leaves_the_old_value(stop):
    """A write is a series of stores; the value changes with the last one alone."""
    class Killed(Exception):
        pass

    class Dying:
        def __init__(self, words):
            self.words, self.left = words, stop

        def load(self, index):
            return self.words.load(index)

        def store(self, index, value):
            self.left -= 1
            if not self.left:
                raise Killed
            self.words.store(index, value)

    memory = bytearray(Board.size(64))
    Board(memory).write(b"old")
    writer = Board(memory)
    writer._words = Dying(writer._words)
    with pytest.raises(Killed):
        writer.write(b"new")
    assert Board(memory).read() == (1, b"old")
    assert Board(memory).write(b"newer") == 2
    assert Board(memory).read() == (2, b"newer")


def test_a_damaged_value_is_told_and_never_returned():
    memory = bytearray(Board.size(64))
    it = Board(memory)
    it.write(b"value")
    memory[HEADER + it.capacity + 2] ^= 1
    with pytest.raises(BoardDamaged):
        it.read()


def test_readers_in_other_processes_never_see_a_torn_value():
    """Values of one repeated byte and varied length, so that any mixture of two of them shows."""
    memory = mmap.mmap(-1, Board.size(CAPACITY))
    writer = Board(memory)
    writer.write(b"\1" * 1000)
    readers = []
    for _ in range(2):
        pid = os.fork()
        if not pid:
            code = 1
            try:
                reader, seen = Board(memory), 0
                while seen < 400:
                    seen, value = reader.read()
                    assert value == bytes([seen & 255]) * len(value)
                    assert len(value) == (1000 if seen == 1 else 1 + seen * 7919 % CAPACITY)
                code = 0
            finally:
                os._exit(code)
        readers.append(pid)
    # the second value on, so that value, length and generation hang together
    for generation in range(2, 401):
        writer.write(bytes([generation & 255]) * (1 + generation * 7919 % CAPACITY))
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in readers] == [0, 0]


def test_a_writer_killed_in_the_middle_leaves_a_whole_value():
    memory = mmap.mmap(-1, Board.size(1 << 20))
    for _ in range(10):
        told, tell = os.pipe()
        pid = os.fork()
        if not pid:
            try:
                writer, count = Board(memory), 0
                while True:
                    writer.write(bytes([writer.generation + 1 & 255]) * (1 << 20))
                    count += 1
                    if count == 5:
                        os.write(tell, b".")
            finally:
                os._exit(1)
        os.read(told, 1)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(told)
        os.close(tell)
        generation, value = Board(memory).read()
        assert generation >= 5
        assert value == bytes([generation & 255]) * (1 << 20)


def test_a_long_value_is_read_in_steps() -> None:
    board = Board(bytearray(Board.size(1 << 21)))
    data = bytes(range(256)) * 4096
    board.write(data)
    found = []

    def reading():
        found.append((yield from board.read_in_steps()))
    assert sum(1 for _ in reading()) == 4
    assert found == [(1, data)]
