"""The cookie of a sticky service: what is read of it, and how it is written."""
from __future__ import annotations

import hashlib

import pytest

from mesh.http1.head import RequestHead
from mesh.model import Cookie
from workers.proxy.sticky import Sticky


def read(*lines: bytes, name: str = "stick") -> bytes | None:
    """What a service with this cookie's name understands of a request with these lines."""
    head = RequestHead()
    raw = b"GET / HTTP/1.1\r\nHost: a\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n"
    assert head.parse_bytes(raw, len(raw)) == len(raw)
    return Sticky(Cookie(name), "web@file").read(head)


@pytest.mark.parametrize(("line", "value"), [
    (b"Cookie: stick=0123", b"0123"),
    (b"cookie:stick=0123", b"0123"),
    (b"COOKIE: stick=0123; other=1", b"0123"),
    (b"Cookie: other=1; stick=0123", b"0123"),
    (b"Cookie: other=1;stick=0123;more=2", b"0123"),
    (b"Cookie: other=1;\tstick=0123 ; more=2", b"0123"),
    (b'Cookie: stick="0123"', b"0123"),
    (b"Cookie: stick=01=23", b"01=23"),
    (b"Cookie: stick=", b""),
    (b'Cookie: stick="', b'"'),
    (b"Cookie: ;;; stick=0123", b"0123"),
    (b"Cookie: stick=first; stick=second", b"first"),
])
def test_the_value_is_found(line: bytes, value: bytes) -> None:
    assert read(line) == value


@pytest.mark.parametrize("line", [
    b"Cookie:", b"Cookie: stick", b"Cookie: stic=1; sticky=2", b"Cookie: Stick=1", b"Cookie: other=stick=1",
    b"Cookie: a=1; xstick=2", b"Set-Cookie: stick=1", b"Cookies: stick=1", b"X-Cook: stick=1", b"Cookie: stick =1",
])
def test_nothing_else_is_taken_for_it(line: bytes) -> None:
    assert read(line) is None


def test_it_is_found_on_any_of_several_lines() -> None:
    assert read(b"Cookie: a=1", b"X-Other: b", b"Cookie: b=2; stick=3") == b"3"


def test_a_request_without_cookies_has_none() -> None:
    assert read(b"Accept: */*") is None


@pytest.mark.parametrize(("cookie", "attributes"), [
    (Cookie("s"), b"; Path=/"),
    (Cookie("s", path=""), b""),
    (Cookie("s", path="/shop", domain="example.org"), b"; Path=/shop; Domain=example.org"),
    (Cookie("s", secure=True, http_only=True), b"; Path=/; HttpOnly; Secure"),
    (Cookie("s", max_age=60), b"; Path=/; Max-Age=60"),
    (Cookie("s", max_age=-1), b"; Path=/; Max-Age=0"),
    (Cookie("s", same_site="none"), b"; Path=/; SameSite=None"),
    (Cookie("s", same_site="lax"), b"; Path=/; SameSite=Lax"),
    (Cookie("s", same_site="strict"), b"; Path=/; SameSite=Strict"),
    (Cookie("s", path="/\r\nX-Evil: 1; Secure"), b"; Path=/X-Evil: 1 Secure"),
])
def test_the_attributes_are_written_as_said(cookie: Cookie, attributes: bytes) -> None:
    assert Sticky(cookie, "web@file").written(b"00ff") == b"Set-Cookie: s=00ff" + attributes + b"\r\n"


def test_without_a_name_it_is_made_of_the_service_s_as_traefik_makes_it() -> None:
    name = "_" + hashlib.sha1(b"web@file").hexdigest()[:5]
    assert Sticky(Cookie(), "web@file").name == name.encode()


def test_what_may_not_stand_in_a_name_is_replaced() -> None:
    assert Sticky(Cookie("a b;c=d"), "web@file").name == b"a_b_c_d"
