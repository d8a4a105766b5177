"""Requests with bodies: both framings, answers that come before the end, sides that stop reading."""
from __future__ import annotations

import threading

from wire_client import soon
from wire_upstream import OK, answering


def test_a_sized_body_arrives_as_it_was_sent(group, connect):
    group.a.follow(answering())
    body = bytes(range(256)) * 2000
    assert connect().post(group.one, body).answer().status == 200
    assert group.a.requests[0].body == body
    assert group.a.requests[0].value(b"content-length") == b"%d" % len(body)


def test_an_empty_body_keeps_its_length(group, connect):
    group.a.follow(answering())
    assert connect().post(group.one, b"").answer().status == 200
    assert group.a.requests[0].value(b"content-length") == b"0"


def test_a_chunked_body_arrives_chunked_with_its_trailers(group, connect):
    group.a.follow(answering())
    client = connect()
    for _ in range(2):
        client.send(b"POST / HTTP/1.1\r\nHost: %s\r\nTransfer-Encoding: chunked\r\nTrailer: Sum\r\nTE: trailers\r\n"
                    b"Connection: TE\r\n\r\n5;a=b\r\nhello\r\n" % group.one,
                    b"1\r\n \r\n5\r\nwo", b"rld\r\n0\r\nSum: 42\r\n\r\n")
        assert client.answer().status == 200
    for seen in group.a.requests:
        assert (seen.body, seen.trailers) == (b"hello world", [(b"sum", b"42")])
        assert (seen.value(b"transfer-encoding"), seen.value(b"te"), seen.value(b"connection")) == (
            b"chunked", b"trailers", b"TE")


def test_a_request_of_each_kind_may_follow_a_body_in_one_piece(group, connect):
    group.a.follow(answering())
    client = connect()
    client.send(b"POST /1 HTTP/1.1\r\nHost: %(h)s\r\nContent-Length: 3\r\n\r\nabc"
                b"POST /2 HTTP/1.1\r\nHost: %(h)s\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ndef\r\n0\r\nT: x\r\n\r\n"
                b"GET /3 HTTP/1.1\r\nHost: %(h)s\r\n\r\n" % {b"h": group.one})
    assert [client.answer().status for _ in range(3)] == [200, 200, 200]
    assert [(seen.target, seen.body) for seen in group.a.requests] == [(b"/1", b"abc"), (b"/2", b"def"), (b"/3", b"")]


def test_a_body_that_breaks_its_framing_is_a_400_and_never_a_whole_request(group, connect):
    def script(conversation):
        seen = conversation.head()
        conversation.body(seen)
        raise AssertionError("the body has an end")
    group.a.follow(script)
    client = connect().send(b"POST / HTTP/1.1\r\nHost: %s\r\nTransfer-Encoding: chunked\r\n\r\n" % group.one,
                            b"5\r\nhello\r\n")
    soon(lambda: group.a.requests)
    client.send(b"5 \r\nworld\r\n0\r\n\r\n")
    answer = client.answer()
    assert (answer.status, answer.value(b"server")) == (400, b"hostmesh")
    assert client.ended() == "end"


def test_an_answer_before_the_end_of_the_body_is_passed_on_and_says_that_it_is_the_last(group, connect):
    # It used not to say so: the client's next request met a closed connection.
    def script(conversation):
        conversation.head()
        conversation.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
        conversation.ended()
    group.a.follow(script)
    client = connect().send(b"POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: 1000\r\n\r\n" % group.one, 10 * b"x")
    answer = client.answer()
    assert (answer.status, answer.body, answer.value(b"connection")) == (403, b"no", b"close")
    client.send(990 * b"x")
    assert client.ended() == "end"


def test_an_early_answer_goes_on_together_with_the_upload(group, connect):
    # an echo: neither side has its end before the other
    def script(conversation):
        seen = conversation.head()
        conversation.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(20):
            conversation.send(b"3e8\r\n" + conversation.reader.exactly(1000) + b"\r\n")
        conversation.send(b"0\r\n\r\n")
        assert seen.value(b"content-length") == b"20000"
        conversation.ended()
    group.a.follow(script)
    client = connect().send(b"POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: 20000\r\n\r\n" % group.one)
    head = client.head()
    assert head.status == 200
    for number in range(20):
        client.send(b"%d" % (number % 10) * 1000)
        assert client.reader.until(b"\r\n") == b"3e8\r\n"
        assert client.reader.exactly(1002) == b"%d" % (number % 10) * 1000 + b"\r\n"
    assert client.reader.exactly(5) == b"0\r\n\r\n"


def test_an_endpoint_that_stops_reading_holds_back_the_client(group, connect):
    go = threading.Event()

    def script(conversation):
        seen = conversation.head()
        conversation.until(go)
        conversation.body(seen)
        conversation.send(OK)
    group.a.follow(script)
    client = connect().send(b"POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: 50000000\r\n\r\n" % group.one)
    client.sock.settimeout(0.5)
    sent = 0
    try:
        while sent < 50000000:
            sent += client.sock.send(bytes(100000))
    except TimeoutError:
        pass
    assert sent < 20000000      # what the kernel holds on both sides
    go.set()
    client.sock.settimeout(10)
    client.sock.sendall(bytes(50000000 - sent))
    assert client.answer().status == 200
    assert len(group.a.requests[0].body) == 50000000


def test_an_endpoint_that_closes_in_the_middle_of_an_upload_may_have_answered(group, connect):
    def script(conversation):
        conversation.head()
        conversation.send(b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno")
        conversation.finish()
        conversation.reader.exactly(100000)
        conversation.close()
    group.a.follow(script)
    client = connect().send(b"POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: 50000000\r\n\r\n" % group.one,
                            bytes(200000))
    answer = client.answer()
    assert (answer.status, answer.body) == (413, b"no")


def test_an_endpoint_that_closes_in_the_middle_of_an_upload_without_an_answer_is_a_502(group, connect):
    def script(conversation):
        conversation.head()
        conversation.reader.exactly(100000)
        conversation.close()
    group.a.follow(script)
    client = connect().send(b"PUT / HTTP/1.1\r\nHost: %s\r\nContent-Length: 3000000\r\n\r\n" % group.one,
                            bytes(2000000))
    assert client.answer().status == 502
    assert len(group.a.requests) == 1
