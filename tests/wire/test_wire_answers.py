"""Answers with bodies: every framing to clients of both versions, and answers that are cut."""
from __future__ import annotations

import contextlib
import socket
import threading

import pytest
from wire_client import CutOff
from wire_upstream import OK, answering

CHUNKED = (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Sum\r\n\r\n"
           b"5\r\nhello\r\n6;x=\"y\"\r\n world\r\n0\r\nSum: 42\r\n\r\n")
UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\n\r\nhello world"
OLD = b"HTTP/1.0 200 OK\r\nServer: old\r\n\r\nhello world"


def once(answer, how="close"):
    def script(conversation):
        conversation.request()
        conversation.send(answer)
        getattr(conversation, how)()
    return script


def old(group, connect):
    """A client of 1.0 with its request."""
    return connect().send(b"GET / HTTP/1.0\r\nHost: %s\r\n\r\n" % group.one)


def test_a_chunked_answer_arrives_chunked_with_its_trailers(group, connect):
    group.a.follow(answering(CHUNKED))
    client = connect()
    for _ in range(2):
        answer = client.get(group.one, more=b"TE: trailers\r\nConnection: TE\r\n").answer()
        assert (answer.body, answer.trailers) == (b"hello world", [(b"sum", b"42")])
        assert (answer.value(b"trailer"), answer.value(b"connection")) == (b"Sum", None)
    assert [seen.connection for seen in group.a.requests] == [0, 0]


def test_a_chunked_answer_to_a_client_of_1_0_ends_with_the_connection(group, connect):
    group.a.follow(answering(CHUNKED))
    answer = old(group, connect).answer()
    assert (answer.body, answer.unframed, answer.value(b"connection")) == (b"hello world", True, b"close")


@pytest.mark.parametrize("said", [UNTIL_CLOSE, OLD])
def test_an_answer_until_the_close_is_chunked_for_1_1(group, connect, said):
    group.a.follow(once(said))
    client = connect()
    for _ in range(2):
        answer = client.get(group.one).answer()
        assert (answer.body, answer.value(b"transfer-encoding")) == (b"hello world", b"chunked")
    assert [seen.connection for seen in group.a.requests] == [0, 1]


@pytest.mark.parametrize("said", [UNTIL_CLOSE, OLD])
def test_an_answer_until_the_close_ends_with_the_connection_for_1_0(group, connect, said):
    group.a.follow(once(said))
    client = old(group, connect)
    assert (client.answer().body, client.ended()) == (b"hello world", "end")


def test_the_first_bytes_of_an_answer_do_not_wait_for_the_others(group, connect):
    go = threading.Event()

    def script(conversation):
        conversation.request()
        conversation.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        conversation.until(go)
        conversation.send(b"4\r\nlast\r\n0\r\n\r\n")
    group.a.follow(script)
    client = connect().get(group.one)
    client.head()
    assert client.reader.exactly(10) == b"5\r\nfirst\r\n"
    go.set()
    assert client.reader.chunks()[0] == b"last"


CUT = [
    (b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhello", "close"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhello", "reset"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "close"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n", "close"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", "reset"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nz\r\n", "close"),
    (b"HTTP/1.1 200 OK\r\n\r\nhello", "reset"),
]


@pytest.mark.parametrize(("said", "how"), CUT)
@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
def test_an_answer_that_is_cut_never_looks_whole(group, connect, service, said, how, version):
    ready = threading.Event()

    def script(conversation):
        conversation.request()
        conversation.send(said[:said.index(b"hel") + 3])
        conversation.until(ready)
        conversation.send(said[said.index(b"hel") + 3:])
        getattr(conversation, how)()
    group.a.follow(script)
    target = b"/cut-%d" % group.number
    client = connect().send(b"GET %s HTTP/%s\r\nHost: %s\r\n\r\n" % (target, version, group.one))
    client.sock.settimeout(5)
    client.sock.recv(1, socket.MSG_PEEK)        # the answer has begun; broken from the first it would be a 502
    ready.set()
    with pytest.raises(CutOff):
        client.answer()
    assert len(group.a.requests) == 1           # an answer that has begun is never asked for again


def test_an_answer_whose_first_chunk_is_broken_is_a_502(group, connect):
    group.a.follow(once(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhello\r\n"))
    answer = connect().get(group.one).answer()
    assert (answer.status, answer.value(b"server")) == (502, b"hostmesh")


def test_a_head_that_is_cut_is_a_502_and_no_second_try(group, connect):
    group.a.follow(once(b"HTTP/1.1 200 OK\r\nContent-Le"))
    assert connect().get(group.one).answer().status == 502
    assert len(group.a.requests) == 1


def test_a_client_that_does_not_read_holds_back_the_endpoint(group, connect):
    sent = []

    def script(conversation):
        conversation.request()
        conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 90000000\r\n\r\n")
        conversation.sock.settimeout(0.5)
        try:
            while sum(sent) < 90000000:
                sent.append(conversation.sock.send(bytes(100000)))
        except TimeoutError:
            held.set()
        conversation.sock.settimeout(10)
        conversation.send(bytes(90000000 - sum(sent)))
    held = threading.Event()
    group.a.follow(script)
    client = connect().get(group.one)
    assert held.wait(10)
    assert sum(sent) < 60000000         # what the kernel holds on the way: some 10 MB, at times 30
    assert len(client.answer().body) == 90000000


def test_a_fast_answer_does_not_keep_the_worker_from_others(group, connect):
    # Both sides of a transfer may always be ready; it still has to let the others have their turn.
    going, done = threading.Event(), threading.Event()
    block = bytes(1 << 20)

    def script(conversation):
        conversation.request()
        conversation.send(b"HTTP/1.1 200 OK\r\n\r\n")
        going.set()
        while not done.is_set():
            conversation.send(block)
        conversation.close()
    group.a.follow(script)
    group.b.follow(answering())
    client = connect().get(group.one)

    def swallow():
        with contextlib.suppress(OSError):
            while client.sock.recv(1 << 20):
                pass
    reader = threading.Thread(target=swallow, daemon=True)
    reader.start()
    assert going.wait(5)
    other = connect()
    other.sock.settimeout(2)
    for _ in range(20):
        assert other.get(b"nowhere.test").answer().status == 404
    done.set()
    client.sock.shutdown(socket.SHUT_RDWR)
    reader.join(5)


def test_an_answer_is_not_upgraded_to_what_the_endpoint_did_not_say(group, connect):
    group.a.follow(answering(b"HTTP/1.1 200 OK\r\nUpgrade: websocket\r\nConnection: upgrade, X-Hop\r\n"
                             b"X-Hop: 1\r\n"
                             b"Keep-Alive: timeout=5\r\nProxy-Connection: x\r\nContent-Length: 2\r\nX-Kept: 1\r\n"
                             b"\r\nok"))
    answer = connect().get(group.one).answer()
    assert (answer.value(b"x-kept"), answer.body) == (b"1", b"ok")
    for name in (b"upgrade", b"connection", b"x-hop", b"keep-alive", b"proxy-connection"):
        assert answer.value(name) is None


def test_a_date_is_added_where_the_endpoint_says_none(group, connect):
    group.a.follow(answering(OK))
    assert connect().get(group.one).answer().value(b"date").endswith(b" GMT")
