"""Connections that switch protocols."""
from __future__ import annotations

import threading

import pytest
from wire_upstream import OK, answering

UPGRADE = b"Connection: Upgrade\r\nUpgrade: test\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: test\r\nX-Kept: 1\r\n\r\n"


def test_bytes_behind_both_heads_belong_to_the_tunnel(group, connect):
    def script(conversation):
        seen = conversation.head()
        assert (seen.value(b"connection"), seen.value(b"upgrade")) == (b"Upgrade", b"test")
        conversation.send(SWITCH + b"from the endpoint")
        assert conversation.reader.exactly(15) == b"from the client"
        conversation.send(b"bye")
        conversation.close()
    group.a.follow(script)
    client = connect().get(group.one, more=UPGRADE).send(b"from the client")
    answer = client.answer()
    assert (answer.status, answer.value(b"upgrade"), answer.value(b"x-kept")) == (101, b"test", b"1")
    assert client.reader.exactly(20) == b"from the endpointbye"
    assert client.ended() == "end"


def test_the_client_may_end_its_side_of_a_tunnel_first(group, connect):
    def script(conversation):
        conversation.head()
        conversation.send(SWITCH)
        assert conversation.ended() == "end"
        conversation.send(conversation.reader.rest + b" to you")
        conversation.close()
    group.a.follow(script)
    client = connect().get(group.one, more=UPGRADE)
    client.answer()
    client.send(b"hello").finish()
    assert client.reader.exactly(12) == b"hello to you"
    assert client.ended() == "end"


def test_the_endpoint_may_end_its_side_of_a_tunnel_first(group, connect):
    received = []

    def script(conversation):
        conversation.head()
        conversation.send(SWITCH + b"hello")
        conversation.finish()
        conversation.ended()
        received.append(conversation.reader.rest)
    group.a.follow(script)
    client = connect().get(group.one, more=UPGRADE)
    client.answer()
    assert client.reader.exactly(5) == b"hello"
    assert client.ended() == "end"
    client.send(b"to you").close()
    group.a.threads[0].join(5)
    assert received == [b"to you"]


@pytest.mark.parametrize("who", ["client", "endpoint"])
def test_a_reset_of_one_side_ends_a_tunnel(group, connect, who):
    ready, ended = threading.Event(), []

    def script(conversation):
        conversation.head()
        conversation.send(SWITCH)
        if who == "endpoint":
            conversation.until(ready)
            conversation.reset()
        else:
            ended.append(conversation.ended())
    group.a.follow(script)
    client = connect().get(group.one, more=UPGRADE)
    client.answer()
    if who == "endpoint":
        ready.set()
        assert client.ended() in ("end", "reset")
    else:
        client.reset()
        group.a.threads[0].join(5)
        assert ended


def test_large_volumes_pass_a_tunnel_in_both_directions_at_once(group, connect):
    size = 30_000_000
    down, up = b"down" * (size // 4), b"up__" * (size // 4)
    received = []

    def script(conversation):
        conversation.head()
        sender = threading.Thread(target=conversation.send, args=(SWITCH, down), daemon=True)
        sender.start()
        received.append(conversation.reader.exactly(size))
        sender.join()
        conversation.close()
    group.a.follow(script)
    client = connect().get(group.one, more=UPGRADE)
    client.answer()
    sender = threading.Thread(target=client.send, args=(up,), daemon=True)
    sender.start()
    assert client.reader.exactly(size) == down
    sender.join(10)
    group.a.threads[0].join(10)
    assert received == [up]


@pytest.mark.parametrize("status", [200, 400, 426])
def test_an_endpoint_that_refuses_the_upgrade_leaves_the_connection_as_it_was(group, connect, status):
    group.a.follow(answering(b"HTTP/1.1 %d Because\r\nContent-Length: 2\r\n\r\nno" % status))
    client = connect()
    for _ in range(2):
        answer = client.get(group.one, more=UPGRADE).answer()
        assert (answer.status, answer.body, answer.value(b"connection")) == (status, b"no", None)
    assert client.get(group.one).answer().status == status
    assert [seen.connection for seen in group.a.requests] == [0, 0, 0]


def test_an_answer_that_requires_an_upgrade_says_which(group, connect):
    """RFC 9110 15.5.22; only a switch, or its refusal by 426, is between this client and that endpoint."""
    group.a.follow(answering(b"HTTP/1.1 426 Upgrade Required\r\nConnection: Upgrade\r\nUpgrade: test/1\r\n"
                             b"Upgrade: other\r\nContent-Length: 2\r\n\r\nno"))
    client = connect()
    for _ in range(2):
        answer = client.get(group.one).answer()
        assert (answer.status, answer.body) == (426, b"no")
        assert (answer.value(b"upgrade"), answer.value(b"connection")) == (b"test/1, other", b"Upgrade")


@pytest.mark.parametrize("more, proto", [
    (b"Upgrade: websocket\r\n", b"ws"), (b"Upgrade: test\r\nUpgrade: WebSocket\r\n", b"ws"),
    (b"Upgrade: test, websocket/13\r\n", b"ws"), (b"Upgrade: websockets\r\n", b"http")])
def test_what_asks_for_a_websocket_among_others_is_forwarded_as_one(group, connect, more, proto):
    group.a.follow(answering())
    client = connect().get(group.one, more=b"Connection: Upgrade\r\n" + more)
    assert client.answer().status == 200
    assert group.a.requests[0].value(b"x-forwarded-proto") == proto


@pytest.mark.parametrize("more", [b"", b"Upgrade: test\r\n", b"Connection: Upgrade\r\n",
                                  b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n"])
def test_a_switch_that_nobody_asked_for_is_a_502(group, connect, more):
    def script(conversation):
        seen = conversation.head()
        assert (seen.value(b"upgrade"), seen.value(b"connection"), seen.value(b"http2-settings")) == (None, None, None)
        conversation.send(SWITCH)
        conversation.ended()
    group.a.follow(script, answering())
    client = connect()
    answer = client.get(group.one, more=more).answer()
    assert (answer.status, answer.value(b"server")) == (502, b"hostmesh")
    assert client.get(group.one).answer().status == 200
    assert [seen.connection for seen in group.a.requests] == [0, 1]


def test_a_switch_without_a_protocol_is_a_502(group, connect):
    def script(conversation):
        conversation.head()
        conversation.send(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
        conversation.ended()
    group.a.follow(script)
    assert connect().get(group.one, more=UPGRADE).answer().status == 502


def test_a_request_with_a_body_is_not_asked_to_switch(group, connect):
    def script(conversation):
        assert conversation.request().value(b"upgrade") is None
        conversation.send(OK)
    group.a.follow(script)
    assert connect().post(group.one, b"body", more=UPGRADE).answer().status == 200


def test_a_reused_connection_that_ends_before_it_switches_costs_nothing(group, connect):
    def first(conversation):
        conversation.request()
        conversation.send(OK)
        conversation.request()
        conversation.close()

    def second(conversation):
        conversation.request()
        conversation.send(SWITCH + b"hello")
        conversation.close()
    group.a.follow(first, second)
    client = connect()
    client.get(group.one).answer()
    assert client.get(group.one, more=UPGRADE).answer().status == 101
    assert client.reader.exactly(5) == b"hello"


def test_half_a_tunnel_is_closed_when_it_has_been_idle(group, connect):
    ended = []

    def script(conversation):
        conversation.head()
        conversation.send(SWITCH)
        conversation.finish()
        ended.append(conversation.ended())
    group.a.follow(script)
    client = connect("quick").get(group.one, more=UPGRADE)
    assert client.answer().status == 101
    assert client.ended() == "end"
    group.a.threads[0].join(5)
    assert ended == ["end"]
