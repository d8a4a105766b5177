"""A request means to rules what mesh.rules.request.Request means, and what was written is what is read."""
import posixpath
import re

import pytest
from http1_cases import cases
from http1_reading import read_request
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mesh.http1.body import Body
from mesh.http1.head import RequestHead, ResponseHead
from mesh.http1.hop import Peer, written_request
from mesh.rules.request import Request, host_key

TOKEN = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
KNOWN = re.compile(rb"(?i)host|content-length|transfer-encoding|connection|expect|upgrade|keep-alive|te|proxy-.*")

tokens = st.text(TOKEN, min_size=1, max_size=20).map(str.encode)
values = st.lists(st.sampled_from([9, *range(32, 127), *range(128, 256)]), max_size=30).map(
    lambda text: bytes(text).strip(b" \t"))
fields = st.lists(st.tuples(tokens.filter(lambda name: not KNOWN.fullmatch(name)), values), max_size=12)
segments = st.lists(st.sampled_from(
    [b".", b"..", b"", b"a", b"b.c", b"...", b".x", b"%2e", b"%2E%2e", b"%2F", b"%41", b"%25", b"~;,"]), max_size=8)
paths = segments.map(lambda parts: b"/" + b"/".join(parts))
queries = st.text("ab=&+%41;?/", max_size=16).map(str.encode)
hosts = st.from_regex(r"[a-zA-Z0-9_~-]{1,8}(\.[a-zA-Z0-9-]{1,5}){0,3}\.?(:[0-9]{0,4})?", fullmatch=True).map(str.encode)


def parsed(message):
    head = RequestHead()
    assert head.parse_bytes(message) == len(message), head.refusal()
    return head


@settings(deadline=None)
@given(tokens, paths, st.none() | queries, hosts, fields)
def test_a_request_is_read_as_it_was_written(method, path, query, host, lines):
    assume(method != b"CONNECT")
    target = path if query is None else path + b"?" + query
    written = b"".join(name + b": " + value + b"\r\n" for name, value in lines)
    head = parsed(method + b" " + target + b" HTTP/1.1\r\nHost: " + host + b"\r\n" + written + b"\r\n")
    facts = head.facts()
    assert (facts["method"], facts["target"], facts["query"], facts["authority"]) == (method, target, query, host)
    assert [(name, value) for name, value, _ in head.field_lines()] == [(b"Host", host), *lines]
    assert not any(is_hop for _, _, is_hop in head.field_lines())


@settings(deadline=None)
@given(hosts, queries, fields, st.sampled_from([b"a", b"b", b"", b"a b", b"A"]))
def test_rules_are_told_what_a_plain_request_tells_them(host, query, lines, key):
    written = b"".join(name + b":" + value + b"\r\n" for name, value in lines)
    head = parsed(b"GET /x?" + query + b" HTTP/1.1\r\nHost: " + host + b"\r\n" + written + b"\r\n")
    plain = Request(host=host_key(host), path=b"/x", headers=[(b"Host", host), *lines], query=query)
    assert (head.host, head.path, head.method) == (plain.host, plain.path, plain.method)
    assert head.query_values(key) == plain.query_values(key)
    for name in {name.lower() for name, _ in lines} | {b"host", b"nothing"}:
        assert head.header_values(name) == plain.header_values(name)


def cleaned_by_hand(path):
    """Traefik's normalizePath and sanitizePath, written with other means."""
    path = re.sub(rb"%[0-9A-Fa-f]{2}", lambda escape: (
        bytes.fromhex(escape[0][1:].decode()) if re.match(rb"[A-Za-z0-9._~-]", bytes.fromhex(escape[0][1:].decode()))
        else escape[0].upper()), path)
    tidy = b"/" + posixpath.normpath(path).lstrip(b"/")
    return tidy + b"/" if path.endswith(b"/") and tidy != b"/" else tidy


@settings(deadline=None, max_examples=400)
@given(paths)
def test_a_path_is_cleaned_as_traefik_cleans_it(path):
    head = parsed(b"GET " + path + b" HTTP/1.1\r\nHost: a\r\n\r\n")
    assert head.path == cleaned_by_hand(path)
    assert head.facts()["plain_path"] <= (head.path == path)


@settings(deadline=None)
@given(paths)
def test_a_clean_path_is_clean(path):
    once = parsed(b"GET " + path + b" HTTP/1.1\r\nHost: a\r\n\r\n").path
    again = parsed(b"GET " + once + b" HTTP/1.1\r\nHost: a\r\n\r\n")
    assert again.path == once
    assert b"/../" not in once + b"/"
    assert again.facts()["plain_path"] or b"%" in once


def test_the_peer_is_what_the_connection_says():
    head = RequestHead()
    head.peer = b"10.0.0.1"
    assert head.peer == b"10.0.0.1"


def test_nothing_of_a_message_is_left_for_the_next():
    head = RequestHead()
    first = (b"OPTIONS http://b.mesh:81/%41?x=1 HTTP/1.0\r\nHost: b\r\nContent-Length: 5\r\n"
             b"Connection: close, upgrade, x-a\r\nUpgrade: websocket\r\nX-A: 1\r\n\r\n")
    assert head.parse_bytes(first) == len(first)
    assert head.query_values(b"x") == [b"1"]
    plain = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    head.start_over()
    head.parse_bytes(plain)
    assert head.facts() == parsed(plain).facts()
    assert head.field_lines() == parsed(plain).field_lines()
    assert head.query_values(b"x") == []


def test_a_refused_head_stays_refused_until_it_starts_over():
    head = RequestHead()
    assert head.parse_bytes(b"\0") == head.parse_bytes(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") == -1
    assert head.refusal() == (400, "the method is not a name")
    head.start_over()
    assert head.refusal() is None
    assert head.parse_bytes(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") == 27


def test_limits_are_what_they_were_set_to():
    def outcome(target_length=1, lines=1, filler=0, **limits):
        message = (b"GET /" + b"a" * (target_length - 1) + b" HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * (lines - 1)
                   + b"X: " + b"y" * filler + b"\r\n" + b"\r\n")
        became, facts, _ = read_request(message, **limits)
        return facts[0] if became == "refuse" else became

    assert outcome(target_length=10, max_target=10) == "accept"
    assert outcome(target_length=11, max_target=10) == 414
    assert outcome(lines=4, max_lines=5) == "accept"
    assert outcome(lines=5, max_lines=5) == 431
    assert outcome(filler=100, max_bytes=132) == "accept"
    assert outcome(filler=100, max_bytes=131) == 431


@pytest.mark.parametrize("limits", [{"max_bytes": 0}, {"max_bytes": 2**31}, {"max_lines": 0}])
def test_limits_that_cannot_be_held_are_refused(limits):
    for kind in (RequestHead, ResponseHead):
        with pytest.raises(ValueError, match="a head has"):
            kind(**limits)


# A scan that looked at old bytes again would take minutes here: 2**20 calls over half a MiB each.
def test_a_large_head_that_comes_byte_by_byte_is_not_read_again_and_again():
    message = b"GET / HTTP/1.1\r\nHost: a\r\nX-A: " + b"a" * 1_000_000 + b"\r\n\r\n"
    head = RequestHead()
    assert not any(head.parse_bytes(message, upto) for upto in range(1, len(message)))
    assert head.parse_bytes(message) == len(message)


@settings(deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=40), max_size=8), st.lists(st.integers(1, 200), max_size=6),
       st.binary(max_size=5))
def test_chunks_are_joined_however_they_arrive(chunks, cuts, behind):
    message = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    body = Body()
    body.begin(True, -1)
    payload = b""
    for start, stop in zip([0, *sorted(cuts)], [*sorted(cuts), len(message + behind)]):
        payload += body.feed_bytes((message + behind)[start:stop])[1]
    assert payload == b"".join(chunks)
    assert body.facts()["done"]


def test_a_body_that_is_done_takes_nothing_more():
    body = Body()
    body.begin(False, 3)
    assert body.feed_bytes(b"abcdef") == (3, b"abc")
    assert body.feed_bytes(b"def") == (0, b"")


def test_a_body_without_a_length_never_ends_by_itself():
    body = Body()
    body.begin(False, -1)
    assert body.feed_bytes(b"abc") == (3, b"abc")
    assert not body.facts()["done"]


def test_a_broken_body_stays_broken():
    body = Body()
    body.begin(True, -1)
    assert body.feed_bytes(b"x")[0] == body.feed_bytes(b"1\r\n")[0] == -1
    assert body.facts()["why"] == "a chunk size is not a hexadecimal number"


def accepts(message):
    return RequestHead().parse_bytes(message) == len(message)


@pytest.mark.parametrize("byte", range(256))
def test_every_byte_has_its_place(byte):
    one, is_token = bytes((byte,)), chr(byte) in TOKEN
    for filler in (b"", b"0123", b"01234567", b"0123456789abcdef"):         # values are read eight bytes at a time
        text = filler + one + filler[::-1]
        assert accepts(b"GET / HTTP/1.1\r\nHost: a\r\nX: y" + text + b"y\r\n\r\n") == (byte == 9 or 32 <= byte != 127)
        assert accepts(b"GET / HTTP/1.1\r\nHost: a\r\nX" + text + b"y: z\r\n\r\n") == (is_token or one == b":")
        assert accepts(b"G" + text + b"T / HTTP/1.1\r\nHost: a\r\n\r\n") == is_token
        assert accepts(b"GET /" + filler + one + b"x HTTP/1.1\r\nHost: a\r\n\r\n") == (
            32 < byte < 127 and one not in b"#%\\")
        assert accepts(b"GET /?" + text + b"x HTTP/1.1\r\nHost: a\r\n\r\n") == (32 < byte < 127 and one != b"#")
        assert accepts(b"GET / HTTP/1.1\r\nHost: a" + text + b"a\r\n\r\n") == (one.isalnum() or one in b"-._~")


NAMED = [
    b"host", b"content-length", b"transfer-encoding", b"connection", b"keep-alive", b"proxy-connection", b"te",
    b"upgrade", b"expect", b"proxy-authenticate", b"proxy-authorization"]


@pytest.mark.parametrize("name", NAMED)
def test_names_that_matter_are_known_in_any_case_and_no_others_are(name):
    def read(name):
        head = RequestHead()
        head.parse_bytes(b"POST / HTTP/1.1\r\nHost: a\r\n" + name + b": nonsense\r\n\r\n")
        return head.refusal() or head.field_lines()[-1][2]

    plain = read(b"x-other")
    assert read(name) == read(name.upper()) == read(name.title()) != plain
    for other in (name + b"x", name[:-1], b"x" + name, name[:-1] + b"_", name.replace(b"-", b"_") + b"_"):
        assert read(other) == plain


@pytest.mark.parametrize("name", ["te-trailers-in-a-list", "te-trailers-second-line", "te-no-trailers",
                                  "upgrade-first-line-empty", "max-forwards", "max-forwards-get",
                                  "max-forwards-listed-in-connection"])
def test_an_endpoint_gets_what_the_case_says(name):
    [case] = [case for case in cases("request") if case.name == f"request/{name}"]
    written = written_request(parsed(case.message), Peer(b"10.0.0.1", b"host-a", False))
    assert [said for said in case.upstream if said not in written] == []
    assert [said for said in case.upstream_not if said in written] == []
