"""Slots: a name keeps its cells, a killed worker leaves nothing under way, and nothing is torn."""
import pytest

from mesh.shared.slots import (
    SLOT_REQUESTS,
    SLOT_STATE,
    STATE_DOWN,
    STATE_DRAIN,
    Slots,
    key_of,
    slots_size,
)

KEY = key_of("orders.shop@mesh", "http://10.0.0.1:8080")
OTHER = key_of("orders.shop@mesh", "http://10.0.0.2:8080")


@pytest.fixture
def buffer():
    return bytearray(slots_size(40, 8))


@pytest.fixture
def slots(buffer):
    return Slots(buffer, 40, 8)


def test_a_name_keeps_its_slot(slots):
    slot = slots.give(KEY)
    assert slots.give(OTHER) != slot
    assert slots.give(KEY) == slot


def test_a_successor_finds_the_names_and_what_their_cells_say(buffer, slots):
    slots.give(OTHER)
    slot = slots.give(KEY)
    slots.add(slot, SLOT_REQUESTS, 7)
    after = Slots(buffer, 40, 8)
    assert after.give(KEY) == slot
    assert after.load(slot, SLOT_REQUESTS) == 7
    assert after.find(KEY) == slot


def test_a_slot_that_was_given_back_is_given_again_and_remembers_nothing(slots):
    slot = slots.give(KEY)
    slots.add(slot, SLOT_REQUESTS, 7)
    slots.take_back(slot)
    assert slots.key(slot) == ""
    assert slots.give(OTHER) == slot
    assert slots.load(slot, SLOT_REQUESTS) == 0
    assert slots.find(KEY) == -1


def test_a_name_that_is_damaged_is_no_name_and_its_slot_is_free(buffer, slots):
    slot, used = slots.give(KEY), slots.give(OTHER)
    at = buffer.index(b"http://10.0.0.1:8080")
    buffer[at] = 0xff
    after = Slots(buffer, 40, 8)
    assert after.items() == [(used, OTHER)]
    assert after.give(KEY) == slot


def test_more_names_than_slots_are_refused_and_harm_nobody(slots):
    given = [slots.give(f"a\x1fhttp://10.0.0.{number}") for number in range(40)]
    assert sorted(given) == list(range(40))
    assert slots.give(KEY) == -1
    assert slots.give("a\x1fhttp://10.0.0.3") == given[3]


def test_a_key_that_is_too_long_has_no_slot(slots):
    assert slots.give("a" * 505) == -1
    assert slots.give("a" * 504) >= 0


def test_a_change_of_state_touches_its_own_bits_and_is_told_once(slots):
    slot = slots.give(KEY)
    before = slots.changes
    assert slots.set_state(slot, STATE_DOWN, STATE_DOWN)
    assert slots.set_state(slot, STATE_DRAIN, STATE_DRAIN)
    assert not slots.set_state(slot, STATE_DOWN, STATE_DOWN)
    assert slots.load(slot, SLOT_STATE) == STATE_DOWN | STATE_DRAIN
    assert slots.set_state(slot, 0, STATE_DOWN)
    assert slots.load(slot, SLOT_STATE) == STATE_DRAIN
    assert slots.changes == before + 3


def test_memory_that_cannot_be_had_leaves_the_endpoint_without_a_slot(buffer):
    def full(offset, length):
        raise OSError("no space left")
    assert Slots(buffer, 40, 8, full).give(KEY) == -1


def test_cells_mapped_for_reading_refuse_to_be_written(buffer, slots):
    slot = slots.give(KEY)
    reader = Slots(memoryview(buffer).toreadonly(), 40, 8)
    assert reader.find(KEY) == slot
    with pytest.raises(TypeError):
        reader.set_state(slot, STATE_DOWN, STATE_DOWN)
    with pytest.raises(TypeError):
        reader.clear_column(0)


def test_a_slot_beyond_the_last_is_an_error_not_a_crash(slots):
    for number in (-1, 40):
        with pytest.raises(IndexError):
            slots.load(number, SLOT_STATE)
