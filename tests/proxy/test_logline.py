"""A line of the access log: what it says, and that nobody can forge one."""
from __future__ import annotations

import json
import logging
import os
import re
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lines_built import BEGAN_US, common_of, json_of, outcome, routed, written

from mesh.model import AccessLog as Told
from mesh.model import Transport
from mesh.plan import Route
from mesh.service import Endpoint, Service
from workers.proxy.accesslog import AccessLog

LINE_BYTES = 16384
PIPE_LINE_BYTES = 4096


@pytest.fixture
def in_zone():
    """Sets the local zone; the zone of before is there again afterwards."""
    before = os.environ.get("TZ")

    def set_zone(name: str | None) -> None:
        os.environ.pop("TZ", None)
        if name is not None:
            os.environ["TZ"] = name
        time.tzset()

    yield set_zone
    set_zone(before)


# What a line says.

def test_a_json_line_has_traefiks_fields_and_the_requests_values(in_zone):
    in_zone("UTC")
    assert json_of(outcome(), outcome()) == {
        "time": "2026-03-01T12:34:56Z", "level": "info", "msg": "",
        "StartUTC": "2026-03-01T12:34:56.123456Z", "StartLocal": "2026-03-01T12:34:56.123456Z",
        "Duration": 12_345_000, "OriginDuration": 12_000_000, "Overhead": 345_000,
        "DownstreamStatus": 200, "DownstreamContentSize": 512, "RequestContentSize": 7,
        "OriginStatus": 200, "OriginContentSize": 512, "RetryAttempts": 0, "RequestCount": 2,
        "entryPointName": "web", "RequestId": "5f2c",
        "ClientAddr": "127.0.0.1:50000", "ClientHost": "127.0.0.1", "ClientPort": "50000", "ClientUsername": "-",
        "RouterName": "orders@file", "ServiceName": "orders.shop@file",
        "ServiceURL": "http://10.0.3.17:8080", "ServiceAddr": "10.0.3.17:8080",
        "RequestAddr": "orders.shop.mesh:8080", "RequestHost": "orders.shop.mesh", "RequestPort": "8080",
        "RequestMethod": "GET", "RequestPath": "/api/1?full=yes", "RequestProtocol": "HTTP/1.1",
        "RequestScheme": "http"}


def test_a_common_line_is_clf_with_traefiks_tail(in_zone):
    in_zone("UTC")
    assert common_of(outcome(), outcome()) == (
        '127.0.0.1 - - [01/Mar/2026:12:34:56 +0000] "GET /api/1?full=yes HTTP/1.1" 200 512 "http://shop.mesh/cart" '
        '"curl/8.5" 2 "orders@file" "http://10.0.3.17:8080" 12ms')


def test_dates_are_in_the_local_zone_and_startutc_is_not(in_zone):
    in_zone("Asia/Kolkata")
    said = json_of(outcome(duration_us=2_000_000))
    assert said["StartUTC"] == "2026-03-01T12:34:56.123456Z"
    assert said["StartLocal"] == "2026-03-01T18:04:56.123456+05:30"
    assert said["time"] == "2026-03-01T18:04:58+05:30"
    assert "[01/Mar/2026:18:04:56 +0530]" in common_of(outcome())


def test_each_second_has_its_own_date(in_zone):
    in_zone("UTC")
    seconds = [*range(40), 3, 39, 0]
    lines = written("json", *(outcome(began_at_us=BEGAN_US + 1_000_000 * s) for s in seconds)).splitlines()
    assert [int(json.loads(line)["StartUTC"][17:19]) for line in lines] == [(56 + s) % 60 for s in seconds]


def test_an_answer_of_our_own_says_why_and_names_no_endpoint():
    said = json_of(outcome(status=404, origin_status=0, route=None, service=None, endpoint=None,
                           why="no router matches this request"))
    assert said["Error"] == "no router matches this request"
    assert not said.keys() & {"RouterName", "ServiceName", "ServiceURL", "ServiceAddr"}
    assert "Error" not in json_of(outcome())
    assert common_of(outcome(route=None, service=None, endpoint=None)).endswith(' 1 "-" "-" 12ms')


def test_a_message_that_was_cut_says_so():
    assert json_of(outcome(cut=True))["Cut"] is True
    assert "Cut" not in json_of(outcome())


def test_of_a_head_that_was_not_understood_nothing_is_told():
    refused = outcome(None, status=400, why="the request line is malformed", route=None, service=None, endpoint=None)
    said = json_of(refused)
    assert not [name for name in said if name.startswith("Request")
                and name not in ("RequestId", "RequestCount", "RequestContentSize")]
    assert (said["DownstreamStatus"], said["Error"]) == (400, "the request line is malformed")
    assert '] "- - -" 400 512 "-" "-" 1 "-" "-" 12ms' in common_of(refused)


def test_what_a_request_does_not_have_is_a_dash_in_common():
    line = common_of(outcome(b"GET / HTTP/1.0\r\n\r\n", peer=(None, 0)))
    assert line.startswith("- - - [")
    assert '"GET / HTTP/1.0" 200 512 "-" "-" 1 ' in line


def test_retries_and_big_numbers_are_told_exactly():
    said = json_of(outcome(retries=2, bytes_in=2**62, bytes_out=10**15, origin_bytes=99, duration_us=3_600_000_000_007))
    assert (said["RetryAttempts"], said["RequestContentSize"], said["DownstreamContentSize"], said["OriginContentSize"],
            said["Duration"]) == (2, 2**62, 10**15, 99, 3_600_000_000_007_000)


def test_overhead_is_never_below_zero():
    assert json_of(outcome(duration_us=10, origin_us=11))["Overhead"] == 0


@pytest.mark.parametrize("target, path", [
    (b"/", "/"), (b"/a/../b//c?x=%20&y", "/a/../b//c?x=%20&y"), (b"/?", "/?"), (b"http://other.mesh/a?b", "/a?b"),
    (b"http://other.mesh", "/"), (b"http://other.mesh?b=1", "/?b=1")])
@pytest.mark.parametrize("form", ["json", "common"])
def test_the_path_stands_as_sent_with_its_query_and_without_the_host(target, path, form):
    told = outcome(b"GET " + target + b" HTTP/1.1\r\nHost: other.mesh\r\n\r\n")
    if form == "json":
        assert json_of(told)["RequestPath"] == path
    else:
        assert f'"GET {path} HTTP/1.1"' in common_of(told)


def test_options_of_everything_is_told_as_sent():
    assert json_of(outcome(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"))["RequestPath"] == "*"


@pytest.mark.parametrize("authority, host, port", [
    (b"a.mesh", "a.mesh", "-"), (b"a.mesh:80", "a.mesh", "80"), (b"[::1]:80", "::1", "80"), (b"[::1]", "::1", "-"),
    (b"a.mesh:", "a.mesh", "-"), (b"", "", "-")])
def test_the_host_is_told_with_and_without_its_port(authority, host, port):
    said = json_of(outcome(b"GET / HTTP/1.1\r\nHost: " + authority + b"\r\n\r\n"))
    assert (said["RequestAddr"], said["RequestHost"], said["RequestPort"]) == (authority.decode(), host, port)


def test_an_address_of_version_6_stands_in_brackets_before_its_port():
    said = json_of(outcome(peer=(b"2001:db8::7", 443)))
    assert (said["ClientAddr"], said["ClientHost"], said["ClientPort"]) == ("[2001:db8::7]:443", "2001:db8::7", "443")


# What nobody can do to a line.

COMMON = re.compile(
    r'\S+ - - \[[^]]+\] "(?:[^"\\]|\\["\\]|\\x[0-9a-f]{2})*" \d+ \d+ "(?:[^"\\]|\\["\\]|\\x[0-9a-f]{2})*" '
    r'"(?:[^"\\]|\\["\\]|\\x[0-9a-f]{2})*" \d+ "(?:[^"\\]|\\["\\]|\\x[0-9a-f]{2})*" "[^"\\]*" \d+ms\n')


def is_one_safe_line(line: bytes) -> bool:
    return line.endswith(b"\n") and all(0x20 <= byte < 0x7f for byte in line[:-1])


def unescaped(text: str) -> bytes:
    return re.sub(rb'\\(?:x([0-9a-f]{2})|(["\\]))',
                  lambda found: bytes.fromhex(found[1].decode()) if found[1] else found[2], text.encode("ascii"))


@given(name=st.text(st.characters(exclude_categories=["Cs"]), max_size=20))      # 12 bytes each at most, of 256
@example('","DownstreamStatus":200,"x":"')
@example("a\nb\r\x00\x7f\x85\u2028\U0001f600")
@settings(max_examples=150, deadline=None)
def test_any_name_is_told_exactly_and_in_one_line(name):
    told = outcome(**routed(router=name, service=name[::-1]))
    line = written("json", told)
    assert is_one_safe_line(line)
    assert (json.loads(line)["RouterName"], json.loads(line)["ServiceName"]) == (name, name[::-1])
    line = written("common", told)
    assert is_one_safe_line(line)
    assert COMMON.fullmatch(line.decode())


@given(sent=st.binary(max_size=10))
@example(b"\xff\xfe plain")
@example(b"\xed\xa0\x80\xc0\x80")
@example(b"\xf4\x90\x80\x80\xe2\x82")
@settings(max_examples=150, deadline=None)
def test_any_bytes_give_valid_json_and_what_is_no_utf_8_is_marked(sent):
    line = written("json", outcome(request_id=sent, peer=(sent, 1)))
    assert is_one_safe_line(line)
    told = json.loads(line)["RequestId"]
    try:
        assert told == sent.decode()
    except UnicodeDecodeError:
        assert "\ufffd" in told
        # what is plain stands as it was
        assert [c for c in told if c < "\x80"] == [chr(byte) for byte in sent if byte < 0x80]


ANY_LINE = st.binary(max_size=60).filter(lambda sent: not set(sent) & set(b"\r\n\x00"))


@given(target=st.binary(max_size=80), agent=ANY_LINE, referer=ANY_LINE, host=ANY_LINE, method=st.binary(max_size=12))
@example(b"/\" 200 5 \"\\", b'"\\" \x1b[31m \xff\x80', b"\t\x7f", b"a", b"GET")
@settings(max_examples=300, deadline=None)
def test_no_request_whatever_its_bytes_forges_or_breaks_a_line(target, agent, referer, host, method):
    raw = (method + b" /" + target + b" HTTP/1.1\r\nHost: " + host + b"\r\nUser-Agent: " + agent + b"\r\nReferer: "
           + referer + b"\r\n\r\n")
    try:
        told = outcome(raw)
    except ValueError:      # refused: then nothing of it is told
        told = outcome(None, status=400, why="refused")
    line = written("json", told)
    assert is_one_safe_line(line)
    assert json.loads(line)["DownstreamStatus"] in (200, 400)
    line = written("common", told)
    assert is_one_safe_line(line)
    assert COMMON.fullmatch(line.decode())


@given(agent=st.binary(max_size=60).filter(lambda sent: not set(sent) & {*range(0x20), 0x7f}))
@settings(max_examples=150, deadline=None)
def test_a_header_in_common_can_be_read_back_exactly(agent):
    agent = b"(" + agent + b")"     # white space around a value is no part of it
    line = common_of(outcome(b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: " + agent + b"\r\n\r\n"))
    told = re.search(r'"-" "((?:[^"\\]|\\.)*)" 1 ', line)
    assert told
    assert unescaped(told[1]) == agent


@pytest.mark.parametrize("form", ["json", "common"])
@pytest.mark.parametrize("length", [*range(11_000, 11_016), 16_300])
def test_a_long_target_is_cut_with_a_mark_and_the_line_is_bounded(form, length):
    told = outcome(b"GET /" + b"a" * length + b" HTTP/1.1\r\nHost: h\r\n\r\n")
    line = written(form, told)
    assert len(line) <= LINE_BYTES
    assert is_one_safe_line(line)
    path = json.loads(line)["RequestPath"] if form == "json" else line.split(b" ")[6].decode()
    assert path == "/" + "a" * length or re.fullmatch(r"/a{7000,}\[\.\.\.\]", path)
    assert (length < 16_000) or path.endswith("[...]")


@pytest.mark.parametrize("form", ["json", "common"])
@pytest.mark.parametrize("byte", [b'"', b"\xff", b"a"])
def test_the_worst_line_is_no_longer_than_what_a_pipe_takes_whole(form, byte):
    read, write = os.pipe()
    many = 500 * byte
    name = "\x01" * 500
    route, service = Route("web", name, None), Service(name, None, (), None, ())
    endpoint = Endpoint("http://" + "h" * 500 + ".mesh:8080", False, Transport())
    raw = (b"M" * 30 + b" /" + b"a" * 8000 + b" HTTP/1.1\r\nHost: " + b"h" * 240 + b":65535\r\nUser-Agent: " + many
           + b"\r\nReferer: " + many + b"\r\n\r\n")
    big = 2**62
    told = outcome(raw, route=route, service=service, endpoint=endpoint, request_id=many, peer=(many, 65535), cut=True,
                   why="\x01" * 500, entry_point=name, bytes_in=big, bytes_out=big, origin_bytes=big, duration_us=2**52,
                   origin_us=2**52, retries=2**30)
    log = AccessLog(Told(f"/proc/self/fd/{write}", form), None, logging.getLogger("test"))
    log.tell(told)
    log.close()
    os.close(write)
    with open(read, "rb") as file:
        line = file.read()
    assert is_one_safe_line(line)
    assert 1500 < len(line) <= PIPE_LINE_BYTES
    if form == "json":
        assert json.loads(line)["RequestPath"].endswith("[...]")
