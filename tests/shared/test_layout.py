"""The layout: parts do not overlap, and another program's memory is refused by name."""
from __future__ import annotations

import pytest

from mesh.shared.layout import FACT_WORDS, FACT_WORKERS, LayoutMismatch, Memory
from mesh.shared.series import OVERFLOW

SIZES = {"plan": 5000, "sources": 9000, "columns": 3, "rows": 20, "slots": 30}


def formatted() -> bytearray:
    buffer = bytearray(Memory.size(**SIZES))
    Memory.format(buffer, **SIZES)
    return buffer


def test_every_part_can_be_filled_without_touching_another():
    buffer = formatted()
    memory = Memory(buffer)
    for number in range(FACT_WORDS):
        memory.facts.store(number, number + 1)
    for column in memory.columns:
        column.take(column.number + 1)
        for row in range(30):
            column.record(b"%d %d" % (column.number, row))
    for value in (b"a", b"b"):
        memory.plan.write(value * memory.plan.capacity)
        memory.sources.write(value * memory.sources.capacity)
    again = Memory(buffer)
    assert [again.facts.load(number) for number in range(FACT_WORDS)] == list(range(1, FACT_WORDS + 1))
    assert again.plan.read() == (2, b"b" * memory.plan.capacity)
    assert again.sources.read() == (2, b"b" * memory.sources.capacity)
    for column in again.columns:
        _, rows = column.read()
        assert set(rows) == {b"%d %d" % (column.number, row) for row in range(19)} | {OVERFLOW}


def test_capacities_are_at_least_what_was_asked_for():
    memory = Memory(formatted())
    assert memory.plan.capacity >= 5000
    assert memory.sources.capacity >= 9000
    assert len(memory.columns) == 3
    assert memory.sizes == (5000, 9000, 3, 20, 30)


@pytest.mark.parametrize("spoil, says", [
    (lambda buffer: buffer.__setitem__(0, 0), "no shared memory of hostmesh"),
    (lambda buffer: buffer.__setitem__(8, 99), "layout version 99, this program reads version 2"),
    (lambda buffer: buffer.__setitem__(16, buffer[16] ^ 1), "another drawing"),
    (lambda buffer: buffer.__setitem__(40, 4), "another drawing"),
    (lambda buffer: buffer.extend(bytes(4096)), "where the header says"),
    (lambda buffer: buffer.__delitem__(slice(100, None)), "no shared memory of hostmesh"),
    (lambda buffer: buffer.clear(), "no shared memory of hostmesh"),
])
def test_another_memory_is_refused_and_told_why(spoil, says):
    buffer = formatted()
    spoil(buffer)
    with pytest.raises(LayoutMismatch, match=says):
        Memory(buffer)


def test_parts_ask_for_their_own_bytes_of_the_whole():
    asked: list[tuple[int, int]] = []
    memory = Memory(formatted(), lambda offset, length: asked.append((offset, length)))
    memory.sources.write(b"x" * 100)
    memory.column(1).take(1)
    assert all(offset > 0 and offset + length <= Memory.size(**SIZES) for offset, length in asked)
    assert len({offset for offset, _ in asked}) == len(asked) == 4


def test_a_mapping_for_reading_can_be_read_and_nothing_else():
    buffer = formatted()
    Memory(buffer).plan.write(b"plan")
    memory = Memory(bytes(buffer))
    assert memory.plan.read() == (1, b"plan")
    with pytest.raises(TypeError):
        memory.facts.store(FACT_WORKERS, 1)
    with pytest.raises(TypeError):
        memory.plan.write(b"other")
