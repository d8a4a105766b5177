"""What the endpoint gets to know of the client, and which names, paths and fields it sees."""
from __future__ import annotations

import pytest
from wire_upstream import answering

CLAIMS = (b"X-Forwarded-For: 9.9.9.9\r\nX-Forwarded-For: 8.8.8.8, 7.7.7.7\r\nX-Forwarded-Proto: https\r\n"
          b"X-Forwarded-Host: evil.test\r\nX-Forwarded-Port: 1\r\nX-Forwarded-Server: evil\r\nX-Real-Ip: 9.9.9.9\r\n"
          b"X-Forwarded-Prefix: /p\r\nX_Forwarded_For: 6.6.6.6\r\n")
FAMILY = (b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-port", b"x-forwarded-proto", b"x-forwarded-server",
          b"x-real-ip", b"x-forwarded-prefix", b"x_forwarded_for")


def asked(group, connect, entry_point="web", more=b"", host=None, target=b"/", version=b"1.1"):
    """What the endpoint sees of a GET."""
    group.a.follow(answering())
    client = connect(entry_point)
    client.send(b"GET %s HTTP/%s\r\nHost: %s\r\n%s\r\n" % (target, version, host or group.one, more))
    assert client.answer().status == 200
    (seen,) = group.a.requests
    return seen


def family(seen):
    return {name: b", ".join(seen.values(name)) for name in FAMILY if seen.values(name)}


def own(group, address=b"127.0.0.1"):
    return {b"x-forwarded-for": address, b"x-real-ip": address, b"x-forwarded-host": group.one,
            b"x-forwarded-port": b"80", b"x-forwarded-proto": b"http", b"x-forwarded-server": b"wire"}


@pytest.mark.parametrize("entry_point", ["web", "trusted", "insecure", "stranger"])
def test_the_endpoint_is_told_who_the_client_is(group, connect, entry_point):
    assert family(asked(group, connect, entry_point)) == own(group)


@pytest.mark.parametrize("entry_point", ["web", "stranger"])
def test_claims_of_a_client_that_is_not_trusted_are_dropped(group, connect, entry_point):
    assert family(asked(group, connect, entry_point, CLAIMS)) == own(group)


@pytest.mark.parametrize("entry_point", ["insecure", "trusted"])
def test_claims_of_a_trusted_client_are_kept_and_the_chain_grows(group, connect, entry_point):
    assert family(asked(group, connect, entry_point, CLAIMS)) == {
        b"x-forwarded-for": b"9.9.9.9, 8.8.8.8, 7.7.7.7, 127.0.0.1", b"x-forwarded-proto": b"https",
        b"x-forwarded-host": b"evil.test", b"x-forwarded-port": b"1", b"x-forwarded-server": b"evil",
        b"x-real-ip": b"9.9.9.9", b"x-forwarded-prefix": b"/p", b"x_forwarded_for": b"6.6.6.6"}


@pytest.mark.parametrize("said", [b"", b" ", b"9.9.9.9 ", b"9.9.9.9\t"])
def test_a_chain_with_white_space_or_nothing_in_it_grows_by_one_address(group, connect, said):
    (value,) = asked(group, connect, "trusted", b"X-Forwarded-For:" + said + b"\r\n").values(b"x-forwarded-for")
    assert value == (said.strip() + b", 127.0.0.1" if said.strip() else b"127.0.0.1")


@pytest.mark.parametrize("proto", [b"https", b"wss"])
def test_the_port_is_443_where_a_trusted_client_says_that_it_speaks_tls(group, connect, proto):
    line = b"X-Forwarded-Proto: " + proto + b"\r\n"
    assert family(asked(group, connect, "trusted", line))[b"x-forwarded-port"] == b"443"


@pytest.mark.parametrize("name", [b"Proto", b"Host", b"Port"])
def test_what_a_trusted_client_says_empty_is_said_anew(group, connect, name):
    assert family(asked(group, connect, "trusted", b"X-Forwarded-" + name + b":\r\n")) == own(group)


def test_an_empty_address_of_a_trusted_client_is_its_own(group, connect):
    assert family(asked(group, connect, "trusted", b"X-Real-Ip:\r\n")) == own(group)


def test_a_client_of_ipv6_is_named_without_brackets(group, connect):
    said = family(asked(group, connect, "six", b"X-Forwarded-For: 2001:db8::1\r\n"))
    assert said == {**own(group, b"::1"), b"x-forwarded-for": b"2001:db8::1, ::1"}


def test_the_port_that_the_client_asked_for_is_told(group, connect):
    seen = asked(group, connect, host=group.one + b":8443")
    assert (seen.value(b"host"), seen.value(b"x-forwarded-host"), seen.value(b"x-forwarded-port")) == (
        group.one + b":8443", group.one + b":8443", b"8443")


def test_a_websocket_is_told_as_its_own_scheme(group, connect):
    seen = asked(group, connect, more=b"Connection: Upgrade\r\nUpgrade: websocket\r\n")
    assert seen.value(b"x-forwarded-proto") == b"ws"


@pytest.mark.parametrize("entry_point", ["web", "insecure"])
def test_connection_cannot_strip_what_the_proxy_adds(group, connect, entry_point):
    more = (b"Connection: close, X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host, X-Forwarded-Port, "
            b"X-Forwarded-Server, X-Real-Ip, X-Request-Id, Via, Host, Content-Length\r\n"
            b"X-Request-Id: mine\r\nX-Forwarded-For: 9.9.9.9\r\n")
    seen = asked(group, connect, entry_point, more)
    said = own(group)
    if entry_point == "insecure":
        said[b"x-forwarded-for"] = b"9.9.9.9, 127.0.0.1"
    assert family(seen) == said
    assert (seen.value(b"x-request-id"), seen.value(b"via")) == (b"mine", b"1.1 hostmesh")


def test_fields_of_this_hop_end_here(group, connect):
    seen = asked(group, connect, more=b"Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n"
                 b"Proxy-Connection: x\r\nProxy-Authorization: secret\r\nTE: gzip\r\nUpgrade: h2c\r\nX-Kept: 1\r\n")
    assert seen.value(b"x-kept") == b"1"
    for name in (b"connection", b"x-hop", b"keep-alive", b"proxy-connection", b"proxy-authorization", b"te",
                 b"upgrade"):
        assert seen.values(name) == []


@pytest.mark.parametrize(("more", "kept"), [
    (b"X-Request-Id: 0123-abc\r\n", b"0123-abc"), (b"", None), (b"X-Request-Id: a b\r\n", None),
    (b"X-Request-Id:\r\n", None), (b"X-Request-Id: " + 129 * b"a" + b"\r\n", None), (b"X-Request-Id: \xe9\r\n", None),
    (b"X-Request-Id: one\r\nX-Request-Id: two\r\n", None)])
def test_a_request_has_one_id(group, connect, service, more, kept):
    target = f"/id-{group.number}-{len(more)}"
    said = asked(group, connect, more=more, target=target.encode()).value(b"x-request-id")
    assert said == kept if kept else len(said) == 32


def test_every_hop_is_told(group, connect):
    seen = asked(group, connect, more=b"Via: 1.0 other\r\n")
    assert seen.values(b"via") == [b"1.0 other", b"1.1 hostmesh"]


def test_a_hop_of_1_0_is_told_as_one(group, connect):
    assert asked(group, connect, version=b"1.0").values(b"via") == [b"1.0 hostmesh"]


def test_a_service_may_want_its_own_host(group, connect):
    seen = asked(group, connect, host=group.host("own-host"))
    assert seen.value(b"host") == b"127.0.0.1:%d" % group.a.port
    assert seen.value(b"x-forwarded-host") == group.host("own-host")


def test_without_a_host_the_endpoints_own_is_said(service, connect):
    service.corpus.follow(answering())
    try:
        client = connect("any").send(b"GET / HTTP/1.0\r\n\r\n")
        assert client.answer().status == 200
        (seen,) = service.corpus.requests
        assert seen.value(b"host") == b"127.0.0.1:%d" % service.corpus.port
        assert seen.values(b"x-forwarded-host") == []
    finally:
        service.corpus.stop()


def test_the_host_of_an_absolute_target_is_the_one_that_counts(group, connect):
    seen = asked(group, connect, host=b"other.test", target=b"http://%s/a/b?c=d" % group.one)
    assert (seen.target, seen.value(b"host"), seen.value(b"x-forwarded-host")) == (b"/a/b?c=d", group.one, group.one)


@pytest.mark.parametrize(("said", "sent"), [(b"http://%s", b"/"), (b"http://%s?a", b"/?a"), (b"HTTP://%s/", b"/")])
def test_an_absolute_target_is_sent_as_a_path(group, connect, said, sent):
    assert asked(group, connect, target=said % group.one).target == sent


@pytest.mark.parametrize(("said", "clean"), [
    (b"/a/../b", b"/b"), (b"//a///b/", b"/a/b/"), (b"/a/./b?x=/../y", b"/a/b?x=/../y"),
    (b"/%61%2e%2e/%2fb", b"/a../%2Fb"),
    (b"/a/%2e%2E/b", b"/b"), (b"/..", b"/"), (b"/a%20b%ff", b"/a%20b%FF"), (b"/plain?", b"/plain?"),
    (b"/a;b=c", b"/a;b=c")])
def test_a_path_is_sent_as_it_was_matched(group, connect, said, clean):
    assert asked(group, connect, target=said).target == clean


@pytest.mark.parametrize("said", [b"/a/../b", b"//a///b/", b"/%61%2e%2e/%2fb?q", b"/.."])
def test_a_path_may_be_sent_as_it_was_said(group, connect, said):
    assert asked(group, connect, "raw", target=said).target == said


def test_an_unlikely_target_of_many_escapes_is_sent_whole(group, connect):
    said = b"/" + b"%2f%c3%a9/" * 800 + b"?" + b"q" * 4000
    assert asked(group, connect, target=said).target == said.replace(b"%2f", b"%2F").replace(b"%c3%a9", b"%C3%A9")


def test_a_head_as_large_as_may_be_is_sent_whole(group, connect):
    value = b"v" * 900000
    assert asked(group, connect, more=b"X-Large: " + value + b"\r\n").value(b"x-large") == value
