"""What we accept, others read in the same way: httptools (llhttp) and h11, over the corpus and over mutations of it.

That they accept more than we do is why we are strict.  Where they accept less or read it differently is listed here by name;
everything else is a defect of ours until it is understood.
"""
import pytest
from http1_cases import cases
from http1_others import by_h11, by_llhttp
from http1_reading import read_request, read_response
from hypothesis import example, given, settings
from hypothesis import strategies as st

SHORT_REQUESTS = [case.message for case in cases("request") if len(case.message) < 600]
SHORT_RESPONSES = [(case.message, case.to) for case in cases("response") if len(case.message) < 600]

EDITS = [
    b"", b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b"0", b"1", b"a", b",", b";", b"\0", b"\x0b", b"\xff", b"chunked", b"GET",
    b"Content-Length: 1\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: b\r\n", b"Connection: close\r\n", b"Upgrade: x\r\n",
    b"X: y\r\n", b"/", b"?", b"*", b"%41", b"http://b", b"HTTP/1.0", b"HTTP/1.1", b"204", b"304", b"0\r\n\r\n", b"1\r\nx\r\n",
    b'"', b"=", b"\\", b"@", b"-", b"+", b"_"]

LLHTTP_KNOWS_NO_OTHER_METHODS = set(
    b"GET HEAD POST PUT DELETE OPTIONS PATCH TRACE CONNECT COPY LOCK MKCOL MOVE PROPFIND PROPPATCH SEARCH UNLOCK BIND REBIND "
    b"UNBIND ACL REPORT MKACTIVITY CHECKOUT MERGE M-SEARCH NOTIFY SUBSCRIBE UNSUBSCRIBE PURGE MKCALENDAR LINK UNLINK SOURCE "
    b"QUERY PRI DESCRIBE ANNOUNCE SETUP PLAY PAUSE TEARDOWN GET_PARAMETER SET_PARAMETER REDIRECT RECORD FLUSH".split())


def edited(message, edits):
    for place, removed, inserted in edits:
        at = place % (len(message) + 1)
        message = message[:at] + inserted + message[at + removed:]
    return message


some_edits = st.lists(st.tuples(st.integers(0, 700), st.sampled_from([0, 0, 0, 1, 2, 7]), st.sampled_from(EDITS)), max_size=3)


def plain(lines):
    """Names in lower case, values without the white space around them: llhttp leaves a tab at the end of a value."""
    return [(name.lower(), value.strip(b" \t").lower() if name.lower() == b"transfer-encoding" else value.strip(b" \t"))
            for name, value in lines]


def frames_in_its_trailers(message, end_of_head):
    """We drop framing and routing from trailers; both others refuse some of it."""
    section = message[end_of_head:].lower()
    return any(b"\r\n" + name + b":" in section for name in (b"content-length", b"transfer-encoding", b"host"))


def why_another_refuses(message, facts, reader):
    """The name of a difference that we know, or None."""
    begun = message.lstrip(b"\r\n")
    if facts["chunked"] and frames_in_its_trailers(begun, begun.index(b"\r\n\r\n")):
        return "framing in trailers"
    if reader is by_h11 and begun != message:
        return "an empty line before the request"       # RFC 9112 2.2 asks to skip it
    if reader is by_llhttp and facts.get("method", b"GET") not in LLHTTP_KNOWS_NO_OTHER_METHODS:
        return "an unknown method"
    if reader is by_h11 and facts.get("status") == 101:
        return "a switch that was not asked for"
    return None


def ends_before_its_body(facts, reader):
    """llhttp takes a body behind Upgrade for the new protocol.  Therefore we pass no Upgrade on where there is a body."""
    names = {name.lower() for name, _ in facts["lines"]}
    return reader is by_llhttp and {b"upgrade", b"connection"} <= names and (facts["chunked"] or facts["length"] > 0)


def check_request(message, reader):
    became, facts, end = read_request(message)
    if became != "accept" or facts["method"] == b"CONNECT":         # which we never forward
        return False
    message = message[:end]
    heard = reader(message)
    if heard is None:
        assert why_another_refuses(message, facts, reader), facts
        return True
    method, target, lines, body, is_over = heard
    assert method == facts["method"]
    assert target == message.lstrip(b"\r\n").split(b" ")[1]
    assert plain(lines) == plain(facts["lines"])
    if not ends_before_its_body(facts, reader):
        assert (body, is_over) == (facts["body"], True)
        assert not reader(message[:-1])[-1]                 # and its end is the same byte
    else:
        assert not facts["upgrade"]
    return True


def check_response(message, to, reader):
    became, facts, end, interim = read_response(message, to=to)
    if became != "accept" or interim or facts["status"] == 101 or (to == b"HEAD" and reader is by_llhttp):
        return False        # llhttp cannot be told that it reads the answer to HEAD
    message = message[:end]
    heard = by_llhttp(message, is_request=False) if reader is by_llhttp else by_h11(message, to, facts["until_close"])
    if heard is None:
        assert why_another_refuses(message, facts, reader), facts
        return True
    status, _, lines, body, is_over = heard
    assert (status, plain(lines), body) == (facts["status"], plain(facts["lines"]), facts["body"])
    assert is_over == (reader is by_h11 or not facts["until_close"])    # llhttp is not told of the end of the connection
    return True


@pytest.mark.parametrize("reader", [by_llhttp, by_h11])
def test_requests_of_the_corpus_are_read_alike(reader):
    assert sum([check_request(case.message, reader) for case in cases("request")]) > 100


@pytest.mark.parametrize("reader", [by_llhttp, by_h11])
def test_responses_of_the_corpus_are_read_alike(reader):
    assert sum([check_response(case.message, case.to, reader) for case in cases("response")]) > 25


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
@given(message=st.builds(edited, st.sampled_from(SHORT_REQUESTS), some_edits), cuts=st.lists(st.integers(1, 700), max_size=5))
def test_mutated_requests_have_one_outcome_however_they_arrive(message, cuts):
    assert read_request(message, sorted({min(cut, len(message)) for cut in cuts})) == read_request(message)


@settings(max_examples=400, deadline=None)
@given(chosen=st.sampled_from(SHORT_RESPONSES), edits=some_edits, cuts=st.lists(st.integers(1, 700), max_size=5))
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
