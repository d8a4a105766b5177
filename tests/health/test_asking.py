"""What an HTTP probe sends and reads, as data."""
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.health.asking import asked_of, read_answer, redirected
from mesh.model import HealthCheck

URL = "http://10.0.0.7:8080/base"


def lines(url: str = URL, **check) -> list[str]:
    head = asked_of(url, HealthCheck(**check)).head.decode()
    assert head.endswith("\r\n\r\n")
    return head[:-4].split("\r\n")


def test_the_plainest_probe():
    assert lines(path="/health") == ["GET /health HTTP/1.1", "Host: 10.0.0.7:8080", "User-Agent: hostmesh-health",
                                     "Accept: */*", "Connection: close"]


def test_method_hostname_and_headers_are_the_checks():
    said = lines(method="post", hostname="shop.example", headers=(("X-Token", "secret"), ("Accept", "text/plain")))
    assert said == ["POST / HTTP/1.1", "Host: shop.example", "User-Agent: hostmesh-health", "X-Token: secret",
                    "Accept: text/plain", "Content-Length: 0", "Connection: close"]


def test_a_host_header_is_there_once():
    said = lines(headers=(("host", "a.example"),))
    assert [line for line in said if line.lower().startswith("host:")] == ["host: a.example"]


def test_nothing_in_a_check_makes_another_request_of_it():
    said = lines(path="/a b\r\nx: y", hostname="a\r\nb: c", headers=(("x", "1\r\ny: 2"), ("Connection", "keep-alive"),
                                                                     ("Transfer-Encoding", "chunked")))
    assert said[0] == "GET /a%20b%0D%0Ax:%20y HTTP/1.1"
    assert [line.partition(":")[0] for line in said[1:]] == ["Host", "User-Agent", "Accept", "x", "Connection"]


@pytest.mark.parametrize("url, check, where", [
    ("http://a", {}, ("http", "a", 80, "a")),
    ("https://a", {}, ("https", "a", 443, "a")),
    ("http://a:8080", {"port": 9000}, ("http", "a", 9000, "a:9000")),
    ("http://a:8080", {"scheme": "https"}, ("https", "a", 8080, "a:8080")),
    ("http://a", {"scheme": "https"}, ("https", "a", 443, "a")),
    ("http://[::1]:81", {}, ("http", "::1", 81, "[::1]:81")),
    ("h2c://a", {}, ("http", "a", 80, "a")),
])
def test_scheme_and_port_are_the_checks_or_the_endpoints(url, check, where):
    asked = asked_of(url, HealthCheck(**check))
    assert (asked.scheme, asked.host, asked.port, asked.authority) == where


@pytest.mark.parametrize("url", ["", "http://", "/path", "http://a:99999"])
def test_a_url_that_leads_nowhere_is_refused(url):
    with pytest.raises(ValueError):
        asked_of(url, HealthCheck())


# Answers

@pytest.mark.parametrize("data, answer", [
    (b"", None), (b"HTTP/1", None), (b"HTTP/1.1 200 OK", None),
    (b"HTTP/1.1 200 OK\r\n", (200, "")),
    (b"HTTP/1.0 503 \r\n", (503, "")),
    (b"HTTP/1.1 200\n", (200, "")),
    (b"HTTP/1.1 101 Switching\r\n", (101, "")),
    (b"HTTP/1.1 100 Continue\r\n\r\n", None),
    (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n", (204, "")),
    (b"HTTP/1.1 302 Found\r\nLocation: /x\r\n", None),
    (b"HTTP/1.1 302 Found\r\nA: b\r\nlocation:  /x \r\n\r\n", (302, "/x")),
    (b"HTTP/1.1 302 Found\r\nA: b\r\n\r\nLocation: /body\r\n\r\n", (302, "")),
])
def test_an_answer_is_read_as_far_as_it_says_something(data, answer):
    assert read_answer(data, True) == answer


def test_a_redirect_that_nobody_follows_is_an_answer_by_its_status():
    assert read_answer(b"HTTP/1.1 302 Found\r\n", False) == (302, "")


@pytest.mark.parametrize("data", [
    b"SSH-2.0-OpenSSH\r\n", b"\r\nHTTP/1.1 200 OK\r\n", b"HTTP/2 200\r\n", b"HTTP/1.1  200 OK\r\n",
    b"HTTP/1.1 99 x\r\n", b"HTTP/1.1 600 x\r\n",
    b"HTTP/1.1 2000 x\r\n", b"HTTP/1.1 200\x01\r\n", b"X", b"HTTP/1.1 200 " + b"x" * 2000])
def test_what_is_not_http_is_refused(data):
    with pytest.raises(ValueError):
        read_answer(data, True)


@given(st.binary(max_size=80), st.booleans())
def test_no_bytes_make_it_fail_otherwise(data, wants):
    try:
        answer = read_answer(b"HTTP/1.1 " + data, wants)
    except ValueError:
        return
    assert answer is None or 100 <= answer[0] <= 599


@given(st.integers(0, 60))
def test_the_pieces_of_an_answer_do_not_matter(cut):
    data = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 302 Found\r\nLocation: /x\r\n\r\n"
    assert read_answer(data[:cut], True) is None
    assert read_answer(data, True) == (302, "/x")


# Redirects

ASKED = asked_of("http://10.0.0.7:8080", HealthCheck("http", "/a/b?c", hostname="shop.example", method="POST",
                                                     headers=(("X-Token", "secret"),)))


@pytest.mark.parametrize("location, where", [
    ("/x", ("http", "10.0.0.7", 8080, "/x", "shop.example")),
    ("x?y", ("http", "10.0.0.7", 8080, "/a/x?y", "shop.example")),
    ("http://10.0.0.7:8080/x", ("http", "10.0.0.7", 8080, "/x", "shop.example")),
    ("https://10.0.0.7/x", ("https", "10.0.0.7", 443, "/x", "10.0.0.7")),
    ("//other.example", ("http", "other.example", 80, "/", "other.example")),
])
def test_a_redirect_leads_where_it_says(location, where):
    asked = redirected(ASKED, 302, location)
    assert (asked.scheme, asked.host, asked.port, asked.target, asked.authority) == where


def test_another_host_is_not_told_the_secret():
    assert redirected(ASKED, 302, "/x").headers == (("X-Token", "secret"),)
    assert redirected(ASKED, 302, "http://other.example/").headers == ()


@pytest.mark.parametrize("status, method", [(301, "GET"), (302, "GET"), (303, "GET"), (307, "POST"), (308, "POST")])
def test_the_method_is_kept_by_those_that_keep_it(status, method):
    assert redirected(ASKED, status, "/x").method == method


@pytest.mark.parametrize("location", ["ftp://a/", "https://", "http://a:x/", "http://[/"])
def test_a_redirect_that_leads_nowhere_is_refused(location):
    with pytest.raises(ValueError):
        redirected(ASKED, 302, location)
