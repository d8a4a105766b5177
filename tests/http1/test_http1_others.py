"""What we accept, others read in the same way: httptools (llhttp) and h11, over the corpus and over mutations of it.

That they accept more than we do is why we are strict.  Where they accept less or read it differently is listed by name
in fuzz/differences.py; everything else is a defect of ours until it is understood.  `scripts/fuzz` does it for hours.
"""
import pytest
from http1_cases import cases
from http1_others import by_h11, by_llhttp
from http1_reading import read_request, read_response
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fuzz.checks import (
    check_interim,
    check_request,
    check_response,
    check_written_request,
    check_written_response,
)
from fuzz.differences import LISTED
from fuzz.mutations import EDITS, edited

SHORT_REQUESTS = [case.message for case in cases("request") if len(case.message) < 600]
SHORT_RESPONSES = [(case.message, case.to) for case in cases("response") if len(case.message) < 600]

some_edits = st.lists(
    st.tuples(st.integers(0, 700), st.sampled_from([0, 0, 0, 1, 2, 7]), st.sampled_from(EDITS)), max_size=3)
some_cuts = st.lists(st.integers(1, 700), max_size=5)


@pytest.mark.parametrize("reader", [by_llhttp, by_h11])
def test_requests_of_the_corpus_are_read_alike(reader):
    assert sum([check_request(case.message, reader) for case in cases("request")]) > 100


@pytest.mark.parametrize("reader", [by_llhttp, by_h11])
def test_responses_of_the_corpus_are_read_alike(reader):
    assert sum([check_response(case.message, case.to, reader) for case in cases("response")]) > 25


def test_what_is_written_of_the_corpus_is_read_as_what_came():
    assert sum([check_written_request(case.message) for case in cases("request")]) > 100
    assert sum([check_written_response(case.message, case.to) for case in cases("response")]) > 40


def test_interim_answers_of_the_corpus_are_read_alike():
    assert sum([check_interim(case.message) for case in cases("response")]) > 3


def test_every_listed_difference_has_a_name_and_a_reason_of_its_own():
    assert len({each.name for each in LISTED}) == len({each.reason for each in LISTED}) == len(LISTED)


@pytest.mark.parametrize("reader", [by_llhttp, by_h11])
@settings(max_examples=600, deadline=None)
@given(message=st.builds(edited, st.sampled_from(SHORT_REQUESTS), some_edits))
@example(message=b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\t\r\n\r\n0\r\n\r\n")
def test_mutated_requests_are_read_alike(reader, message):
    check_request(message, reader)


@pytest.mark.parametrize("reader", [by_llhttp, by_h11])
@settings(max_examples=400, deadline=None)
@given(chosen=st.sampled_from(SHORT_RESPONSES), edits=some_edits)
@example(chosen=(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\t\r\n\r\n0\r\n\r\n", b"GET"), edits=[])
def test_mutated_responses_are_read_alike(reader, chosen, edits):
    message, to = chosen
    check_response(edited(message, edits), to, reader)


@settings(max_examples=400, deadline=None)
@given(message=st.builds(edited, st.sampled_from(SHORT_REQUESTS), some_edits), cuts=some_cuts)
def test_mutated_requests_have_one_outcome_however_they_arrive(message, cuts):
    assert read_request(message, sorted({min(cut, len(message)) for cut in cuts})) == read_request(message)


@settings(max_examples=400, deadline=None)
@given(chosen=st.sampled_from(SHORT_RESPONSES), edits=some_edits, cuts=some_cuts)
def test_mutated_responses_have_one_outcome_however_they_arrive(chosen, edits, cuts):
    message = edited(chosen[0], edits)
    cuts = sorted({min(cut, len(message)) for cut in cuts})
    assert read_response(message, cuts, chosen[1]) == read_response(message, to=chosen[1])


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.booleans())
def test_no_bytes_do_any_harm(noise, as_body):
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" if as_body else b""
    outcomes = ("accept", "refuse", "more", "broken")
    assert read_request(head + noise)[0] in outcomes
    assert read_response(noise)[0] in outcomes
