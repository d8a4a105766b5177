"""An operator's word, as it is written and read."""
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.health.override import MOST_WEIGHT, OVERRIDE_MASK, Override, bits_of, made, read_override
from mesh.shared.slots import STATE_DISABLED, STATE_DOWN, STATE_DRAIN, STATE_LOCAL, STATE_WAITS, WEIGHT_SHIFT


@pytest.mark.parametrize("said, override", [
    ("drain", Override("drain")),
    ("  DRAIN ", Override("drain")),
    ("drain by ann: disk is full", Override("drain", "ann", "disk is full")),
    ("drain by ann", Override("drain", "ann")),
    ("drain by ann:", Override("drain", "ann")),
    ("disable: it is broken", Override("disable", "", "it is broken")),
    ("weight=3 by ann: half: no, a third", Override("weight=3", "ann", "half: no, a third")),
    ("weight=007", Override("weight=7")),
    ("weight=0", Override("weight=0")),
    ("", Override()),
])
def test_a_word_is_read_with_who_and_why(said, override):
    assert read_override(said) == override


@pytest.mark.parametrize("said, wanted", [
    ("drained", "drain, disable or weight=N is wanted"), ("weight=", "a whole number"),
    ("weight=-1", "a whole number"), ("weight=1.5", "a whole number"),
    (f"weight={MOST_WEIGHT + 1}", "a whole number"), ("weight=\u0663", "a whole number"),
    ("drain because", "drain, disable or weight=N is wanted")])
def test_a_wrong_word_is_refused_with_the_right_ones(said, wanted):
    with pytest.raises(ValueError, match=wanted):
        read_override(said)


line = st.text(st.sampled_from("ab: \n") | st.characters(blacklist_categories=("Cs",)), max_size=40)


@given(st.sampled_from(["drain", "disable", "weight=0", "weight=12"]), line, line)
def test_what_was_written_is_read_back(word, who, why):
    override = made(word, who, why)
    assert read_override(str(override)) == override
    assert len(str(override).splitlines()) == 1


@pytest.mark.parametrize("word, bits", [
    ("", 0), ("drain", STATE_DRAIN), ("disable", STATE_DISABLED), ("weight=0", 1 << WEIGHT_SHIFT),
    ("weight=3", 4 << WEIGHT_SHIFT), (f"weight={MOST_WEIGHT}", (MOST_WEIGHT + 1) << WEIGHT_SHIFT)])
def test_a_word_is_bits_that_are_its_own(word, bits):
    assert bits_of(word) == bits
    assert bits & OVERRIDE_MASK == bits
    assert not OVERRIDE_MASK & (STATE_DOWN | STATE_WAITS | STATE_LOCAL)
