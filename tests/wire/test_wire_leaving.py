"""Clients that go away: their request at the endpoint ends, and the log says 499.  Clients that end only their side."""
from __future__ import annotations

import threading
import time

import pytest
from wire_client import soon
from wire_upstream import OK, answering

SOON_S = 7.0        # the grace of a client that may only have ended its side, 1 s, a look at it, and a busy machine


def waiting(ended):
    """A script that takes a request, does not answer, and keeps how the proxy ended the connection."""
    def script(conversation):
        conversation.head()
        ended.append(conversation.ended(8))
    return script


def leave(client, how):
    if how == "reset":
        client.reset()
    else:
        client.close()


@pytest.mark.parametrize("how", ["end", "reset"])
@pytest.mark.parametrize("before", ["nothing", "a request", "accepted late"])
def test_a_client_that_goes_away_while_it_waits_ends_its_request(group, connect, service, how, before):
    # "accepted late": the request is there when the connection is accepted, so that nobody had to wait for it.
    # The end of such a client was not noticed before the endpoint answered.
    ended = []
    group.a.follow(waiting(ended))
    group.b.follow(answering())
    target = f"/{how}-{before}-{group.number}".replace(" ", "-")
    if before == "accepted late":
        with service.stopped():
            client = connect().get(group.one, target.encode())
    else:
        client = connect()
        if before == "a request":
            client.get(b"nowhere.test").answer()
        client.get(group.one, target.encode())
    soon(lambda: group.a.requests)
    began = time.monotonic()
    leave(client, how)
    soon(lambda: ended, 8)
    assert time.monotonic() - began < SOON_S
    assert soon(lambda: service.line(target))["DownstreamStatus"] == 499


@pytest.mark.parametrize("how", ["end", "reset"])
def test_a_client_that_goes_away_behind_a_pipelined_request_ends_its_request(group, connect, how):
    # what stands unread before the end hides it from whoever only waits for bytes
    ended = []
    group.a.follow(waiting(ended))
    client = connect().get(group.one)
    soon(lambda: group.a.requests)
    client.get(group.one).get(group.one)
    began = time.monotonic()
    leave(client, how)
    soon(lambda: ended, 8)
    assert time.monotonic() - began < SOON_S
    assert len(group.a.requests) == 1


@pytest.mark.parametrize("how", ["end", "reset"])
def test_a_client_that_goes_away_in_an_upload_ends_its_request(group, connect, how):
    ended = []
    group.a.follow(waiting(ended))
    client = connect().send(b"POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: 100\r\n\r\nhello" % group.one)
    soon(lambda: group.a.requests)
    leave(client, how)
    soon(lambda: ended, SOON_S)


def test_a_client_that_resets_an_upload_that_is_held_back_ends_its_request(group, connect):
    # (an end would wait behind what we have not read)
    gone, ended = threading.Event(), []

    def script(conversation):
        conversation.head()
        conversation.until(gone)
        # not a byte is read before the proxy has had its time
        began = time.monotonic()
        while time.monotonic() - began < 15 and "closed" not in group.states(group.a.port):
            time.sleep(0.02)
        ended.append("closed" in group.states(group.a.port))
    group.a.follow(script)
    client = connect().send(b"POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: 90000000\r\n\r\n" % group.one)
    client.sock.settimeout(0.4)
    with pytest.raises(TimeoutError):
        client.sock.sendall(bytes(90000000))
    client.reset()
    gone.set()
    soon(lambda: ended, 25)
    assert ended == [True]


@pytest.mark.parametrize("how", ["end", "reset"])
def test_a_client_that_goes_away_in_an_answer_ends_it(group, connect, how):
    ended = []

    def script(conversation):
        conversation.request()
        conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")
        ended.append(conversation.ended(8))
    group.a.follow(script)
    client = connect().get(group.one)
    assert client.head().status == 200
    leave(client, how)
    soon(lambda: ended, SOON_S)


def test_a_client_that_goes_away_in_a_stream_ends_it(group, connect):
    ended = threading.Event()

    def script(conversation):
        conversation.request()
        conversation.send(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            while True:
                conversation.send(b"x")
                ended.wait(0.01)
        except OSError:
            ended.set()
    group.a.follow(script)
    client = connect().get(group.one)
    assert client.head().status == 200
    client.close()
    assert ended.wait(SOON_S)


def test_a_client_that_ends_its_side_still_gets_its_answer(group, connect):
    half = threading.Event()

    def script(conversation):
        conversation.request()
        conversation.until(half)
        conversation.send(OK)
    group.a.follow(script)
    client = connect().get(group.one)
    soon(lambda: group.a.requests)
    client.finish()
    half.set()
    assert client.answer().status == 200
    assert client.ended() == "end"


def test_a_client_that_ends_its_side_with_its_request_gets_its_answer(group, connect):
    group.a.follow(answering())
    client = connect().get(group.one).get(group.one).finish()
    assert [client.answer().status, client.answer().status] == [200, 200]
    assert client.ended() == "end"


def test_a_client_that_ended_its_side_gets_an_answer_that_takes_longer_as_long_as_bytes_flow(group, connect):
    half, step = threading.Event(), threading.Event()

    def script(conversation):
        conversation.request()
        conversation.until(half)
        conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
        for _ in range(10):
            step.wait(0.3)
            conversation.send(b"x")
    group.a.follow(script)
    client = connect().get(group.one)
    soon(lambda: group.a.requests)
    client.finish()
    half.set()
    assert client.answer().body == 10 * b"x"


def test_a_client_that_goes_away_while_the_endpoint_is_dialled_is_not_waited_for(group, connect, service):
    with group.a.full():
        client = connect().get(group.one, b"/dialled-%d" % group.number)
        client.close()
        line = soon(lambda: service.line(f"/dialled-{group.number}"))
        assert line["DownstreamStatus"] == 499
        assert line["Duration"] < SOON_S * 1e9
