"""Every message of the corpus has the outcome that its file says, however it arrives."""
import doctest

import http1_cases
import pytest
from http1_cases import cases, unescaped
from http1_reading import read_request, read_response

from mesh.http1.head import RequestHead

REQUESTS, RESPONSES = cases("request"), cases("response")
ALL = REQUESTS + RESPONSES


def outcome(case, cuts=()):
    if case.kind == "request":
        return *read_request(case.message, cuts), ()
    return read_response(case.message, cuts, case.to)


def every_cut(message):
    """All of them in short messages; of long ones those near the ends, and some between."""
    length = len(message)
    if length <= 3000:
        return range(1, length)
    return sorted({*range(1, 300), *range(300, length, 4099), *range(length - 300, length)})


@pytest.mark.parametrize("case", ALL, ids=str)
def test_the_outcome_is_what_the_file_says(case):
    became, facts, _, interim = outcome(case)
    assert became == case.expect, facts
    assert interim == case.interim
    if became == "refuse":
        assert facts[0] == case.status
        assert facts[1].isascii()
        assert not set(facts[1]) & set("<>&\r\n")
    elif became != "broken" and facts:
        wanted = {"body": b"", "next": b"", **case.facts}
        assert {key: facts[key] for key in wanted} == wanted


@pytest.mark.parametrize("case", ALL, ids=str)
def test_the_outcome_is_the_same_byte_by_byte(case):
    assert outcome(case, range(1, len(case.message))) == outcome(case)


@pytest.mark.parametrize("case", ALL, ids=str)
def test_the_outcome_is_the_same_wherever_the_message_is_cut(case):
    whole = outcome(case)
    for cut in every_cut(case.message):
        assert outcome(case, (cut,)) == whole, cut


@pytest.mark.parametrize("case", [case for case in REQUESTS if case.expect == "accept" and len(case.message) < 3000],
                         ids=str)
def test_a_head_does_not_care_whether_its_buffer_moves(case):
    head, still = RequestHead(), RequestHead()
    end = still.parse_bytes(case.message)
    for upto in range(1, end):
        assert head.parse_bytes(b"" + bytearray(case.message[:upto])) == 0      # a buffer of its own, freed by the next
    assert head.parse_bytes(case.message) == end
    assert (head.facts(), head.field_lines()) == (still.facts(), still.field_lines())


def test_there_are_enough_cases_of_each_kind():
    assert len(REQUESTS) >= 100
    assert len(RESPONSES) >= 50
    assert {case.expect for case in ALL} == {"accept", "refuse", "broken", "more"}


def test_every_case_stands_where_its_kind_says():
    assert all(case.name.startswith(case.kind + "/") for case in ALL)


def test_the_examples_of_the_corpus_reader_are_true():
    assert doctest.testmod(http1_cases) == (0, 1)


def test_the_corpus_can_hold_any_byte():
    assert unescaped("a\\x00\\xff\\r\\n\\t\\\\\n b*2}") == b"a\x00\xff\r\n\t\\ b*2}"
    assert unescaped("\\{a\\{bc*2}\\r*2}") == b"abcbc\rabcbc\r"
    with pytest.raises(ValueError, match="no escape"):
        unescaped("\\y")
    with pytest.raises(ValueError, match="no end"):
        unescaped("\\{a")
