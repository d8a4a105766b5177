"""Cookies: found strictly, told as Traefik tells them, and kept as long as their endpoint may serve."""
from hashlib import sha1, sha256

import pytest
from balances_built import NOW, Host, fail, picked, url
from hypothesis import given
from hypothesis import strategies as st

from mesh.balance.sticky import Sticky, cookie_in, cookie_name, cookie_value
from mesh.model import Cookie
from mesh.shared.slots import STATE_DISABLED, STATE_DOWN, STATE_DRAIN, STATE_WAITS


def sticky(weights=(1, 1, 1), **options):
    host = Host()
    return host, host.worker(0, weights, sticky=Cookie(), **options)


# Names and values

def test_names_and_values_are_traefiks():
    assert cookie_name("web@file") == "_" + sha1(b"web@file").hexdigest()[:5]
    assert cookie_value("http://10.0.0.1:80") == sha256(b"http://10.0.0.1:80").hexdigest()[:16].encode()


def test_a_cookie_is_told_with_what_was_configured():
    assert Sticky(Cookie(), "web@file").told(b"12ab") == cookie_name("web@file").encode() + b"=12ab; Path=/"
    assert Sticky(Cookie("stay", True, True, "lax", 60, "/shop", "shop.example"), "s").told(b"1") == (
        b"stay=1; Path=/shop; Domain=shop.example; Max-Age=60; HttpOnly; Secure; SameSite=Lax")
    assert Sticky(Cookie("stay", max_age=-1, path=""), "s").told(b"1") == b"stay=1; Max-Age=0"


@pytest.mark.parametrize("cookie", [
    Cookie("a b"), Cookie("a;b"), Cookie("a="), Cookie("a\r\nX: y"), Cookie("a", path="/;x"), Cookie("a", path="/\r\n"),
    Cookie("a", domain="x\n"), Cookie("a", same_site="sometimes")])
def test_what_cannot_stand_in_a_header_is_refused(cookie):
    with pytest.raises(ValueError):
        Sticky(cookie, "s")


# Finding one

@pytest.mark.parametrize("line, value", [
    (b"a=1", b"1"), (b"x=2; a=1", b"1"), (b"x=2;a=1;y=3", b"1"), (b"a=1; a=2", b"1"), (b"  a=1  ", b"1"),
    (b"x=a=7; a=1", b"1"), (b"a=1=2", b"1=2"), (b"\ta=1\t;b", b"1"), (b"x; ; a=1", b"1"), (b'a="1"', b'"1"'),
    (b"", None), (b"a", None), (b"a=", None), (b"A=1", None), (b"aa=1", None), (b"ba=1", None), (b"a =1", None),
    (b"x=a", None), (b"x=1,a=2", None), (b"a=" + b"1" * 64, b"1" * 64), (b"a=" + b"1" * 65, None), (b"=1", None),
    (b";;;", None), (b"a=;a=2", None)])
def test_a_cookie_is_found_by_its_exact_name(line, value):
    assert cookie_in(line, b"a") == value


pieces = st.text("ab= \t;\"", max_size=12).map(str.encode)


@given(st.lists(pieces, max_size=6), st.sampled_from([b"a", b"ab", b"b"]))
def test_finding_agrees_with_taking_the_line_apart(some, name):
    line = b";".join(some)
    expected = None
    for part in line.split(b";"):
        found, mark, value = part.lstrip(b" \t").partition(b"=")
        if mark and found == name:
            expected = value.rstrip(b" \t") or None
            break
    assert cookie_in(line, name) == expected


def test_the_lines_of_a_client_are_asked_in_turn():
    kept = Sticky(Cookie("a"), "s")
    assert kept.find([b"x=1", b"a=2", b"a=3"]) == b"2"
    assert kept.find([]) is None


# Keeping a client

def test_a_client_stays_where_its_cookie_says():
    _, balance = sticky()
    for index in range(3):
        assert balance.cookie_of(index) == cookie_value(url(index))
        assert balance.kept(balance.cookie_of(index), NOW) == index


@pytest.mark.parametrize("value", [b"", b"0" * 16, b"http://10.0.0.0:8080", b"\xff\x00"])
def test_a_value_that_names_nobody_keeps_nobody(value):
    _, balance = sticky()
    assert balance.kept(value, NOW) == -1


def test_a_service_without_a_cookie_keeps_nobody():
    balance = Host().worker(0, [1])
    assert balance.cookie_of(0) is None
    assert balance.kept(cookie_value(url(0)), NOW) == -1


@pytest.mark.parametrize("bit, kept", [
    (STATE_DOWN, -1), (STATE_DISABLED, -1), (STATE_WAITS, -1), (STATE_DRAIN, 1), (STATE_DRAIN | STATE_DOWN, -1)])
def test_only_a_drained_endpoint_keeps_its_clients(bit, kept):
    host, balance = sticky()
    host.mark(1, bit)
    assert balance.kept(balance.cookie_of(1), NOW) == kept
    assert 1 not in picked(balance, 20)


def test_an_ejected_endpoint_keeps_nobody_until_it_is_back():
    _, balance = sticky()
    fail(balance, 1, NOW, 5)
    assert balance.kept(balance.cookie_of(1), NOW) == -1
    assert balance.kept(balance.cookie_of(1), NOW + 10_000) == 1


def test_a_weight_of_nothing_keeps_nobody():
    host, balance = sticky((1, 0, 1))
    assert balance.kept(balance.cookie_of(1), NOW) == -1
    host.weigh(1, 2)
    assert balance.kept(balance.cookie_of(1), NOW) == 1
    host.weigh(2, 0)
    assert balance.kept(balance.cookie_of(2), NOW) == -1


def test_in_a_panic_a_client_stays_with_an_endpoint_that_seems_to_be_down():
    host, balance = sticky((1, 1))
    host.mark(0, STATE_DOWN)
    host.mark(1, STATE_DOWN)
    balance.refresh(NOW)
    assert balance.kept(balance.cookie_of(1), NOW) == 1


def test_a_client_of_another_host_stays_there_for_all_that_is_local():
    _, balance = sticky(locality="local")
    assert balance.kept(balance.cookie_of(2), NOW) == 2
