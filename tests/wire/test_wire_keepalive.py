"""Connections that carry several requests, on both sides."""
from __future__ import annotations

import threading

from wire_client import soon
from wire_upstream import OK, answering


def test_one_connection_to_the_endpoint_carries_the_requests_of_several_clients(group, connect):
    group.a.follow(answering())
    for _ in range(3):
        assert connect().get(group.one).answer().status == 200
    assert [seen.connection for seen in group.a.requests] == [0, 0, 0]


def test_one_connection_of_a_client_carries_several_requests(group, connect):
    group.a.follow(answering())
    client = connect()
    for _ in range(3):
        assert client.get(group.one).answer().body == b"ok"
    assert len(group.a.requests) == 3


def test_pipelined_requests_are_answered_in_order(group, connect):
    def script(conversation):
        while True:
            seen = conversation.request()
            conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(seen.target), seen.target))
    group.a.follow(script)
    client = connect()
    client.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: %s\r\n\r\n" % (number, group.one) for number in range(50)))
    assert [client.answer().body for _ in range(50)] == [b"/%d" % number for number in range(50)]


def test_a_client_that_pipelines_does_not_keep_the_worker_from_others(connect, service):
    # A thousand requests stood in the socket, and all were served before anybody else's one.
    request = b"GET /%s HTTP/1.1\r\nHost: nowhere.test\r\n\r\n"
    before, flood, behind = clients = [connect() for _ in range(3)]
    for client in clients:
        client.send(request % b"").answer()
    with service.stopped():
        before.send(request % b"other")
        flood.send(request % b"flood" * 1000)
        behind.send(request % b"other")
    for _ in range(1000):
        flood.answer()
    lines = soon(lambda: service.lines_of(clients, 1005))
    served = [number for number, line in enumerate(lines) if line["RequestPath"] == "/other"]
    assert max(served) < 100


def test_answers_without_a_body_leave_the_connections_usable(group, connect):
    answers = iter([
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n",             # to HEAD
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",       # to HEAD
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"])

    def script(conversation):
        for answer in answers:
            conversation.request()
            conversation.send(answer)
    group.a.follow(script)
    client = connect()
    for method, status in [(b"HEAD", 200), (b"HEAD", 200), (b"GET", 204), (b"GET", 304), (b"GET", 200)]:
        answer = client.get(group.one, method=method).answer(method)
        assert answer.status == status
    assert answer.body == b"ok"
    assert {seen.connection for seen in group.a.requests} == {0}


def test_a_head_answer_keeps_the_length_that_it_speaks_of(group, connect):
    group.a.follow(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"))
    assert connect().get(group.one, method=b"HEAD").answer(b"HEAD").value(b"content-length") == b"1000"


def test_a_connection_that_the_client_wants_closed_is_closed(group, connect):
    group.a.follow(answering())
    client = connect()
    assert client.get(group.one, more=b"Connection: close\r\n").answer().value(b"connection") == b"close"
    assert client.ended() == "end"


def test_an_endpoint_that_wants_its_connection_closed_does_not_close_the_clients(group, connect):
    group.a.follow(answering(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", times=1))
    client = connect()
    for _ in range(3):
        assert client.get(group.one).answer().value(b"connection") is None
    assert [seen.connection for seen in group.a.requests] == [0, 1, 2]


def test_a_client_of_1_0_is_kept_if_it_asks_for_it(group, connect):
    group.a.follow(answering())
    client = connect()
    for _ in range(2):
        client.send(b"GET / HTTP/1.0\r\nHost: %s\r\nConnection: keep-alive\r\n\r\n" % group.one)
        assert client.answer().value(b"connection") == b"keep-alive"
    client.send(b"GET / HTTP/1.0\r\nHost: %s\r\n\r\n" % group.one)
    assert client.answer().value(b"connection") == b"close"
    assert client.ended() == "end"


def test_after_the_most_requests_the_connection_is_closed(group, connect):
    group.a.follow(answering())
    client = connect("few")
    said = [client.get(group.one).answer().value(b"connection") for _ in range(3)]
    assert said == [None, None, b"close"]
    assert client.ended() == "end"


def test_after_its_longest_time_a_connection_is_closed_with_an_answer(group, connect):
    group.a.follow(answering())
    client = connect("aged")
    assert client.get(group.one).answer().value(b"connection") is None
    soon(lambda: client.get(group.one).answer().value(b"connection") == b"close")
    assert client.ended() == "end"


def test_empty_lines_behind_a_body_are_no_request(group, connect):
    # Old clients send a CRLF behind a POST.  It used to begin a request: after headerTimeout came a 408 for nothing.
    group.a.follow(answering())
    client = connect("quick")
    assert client.post(group.one, b"body").answer().status == 200
    client.send(b"\r\n")
    assert client.ended() == "end"


def test_an_idle_client_is_closed_without_a_word(group, connect):
    group.a.follow(answering())
    assert connect("quick").get(group.one).answer().status == 200
    client = connect("quick")
    assert client.get(group.one).answer().status == 200
    assert client.ended() == "end"


def test_bytes_on_an_idle_connection_to_an_endpoint_are_nobodys_answer(group, connect):
    def poisoner(conversation):
        conversation.request()
        conversation.send(OK)
        conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
        assert conversation.ended() in ("end", "reset")
    group.a.follow(poisoner, answering())
    client = connect()
    assert client.get(group.one).answer().body == b"ok"
    group.a.threads[0].join(5)
    assert client.get(group.one).answer().body == b"ok"
    assert [seen.connection for seen in group.a.requests] == [0, 1]


def test_bytes_behind_an_answer_are_nobodys_answer(group, connect):
    def poisoner(conversation):
        conversation.request()
        conversation.send(OK + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
        conversation.ended()
    group.a.follow(poisoner, answering())
    client = connect()
    client.get(group.one)
    client.get(group.one)
    assert [client.answer().body, client.answer().body] == [b"ok", b"ok"]
    assert [seen.connection for seen in group.a.requests] == [0, 1]


def test_bytes_that_are_there_when_an_idle_connection_is_taken_are_nobodys_answer(group, connect, service):
    # The worker is stopped while both the poison and the next request arrive, so that it sees them in one go, the
    # client's first.  Without a look at the connection before it is used, the poison was the answer.
    served, go = threading.Event(), threading.Event()

    def poisoner(conversation):
        conversation.request()
        conversation.send(OK)
        conversation.until(served)
        conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
        go.set()
        conversation.ended()
    group.a.follow(poisoner, answering())
    client = connect()
    assert client.get(group.one).answer().body == b"ok"
    with service.stopped():
        client.get(group.one)
        served.set()
        assert go.wait(5)
    assert client.answer().body == b"ok"
    assert [seen.connection for seen in group.a.requests] == [0, 1]


def test_a_connection_that_ended_while_idle_is_not_used_again(group, connect, service):
    served = threading.Event()

    def closer(conversation):
        conversation.request()
        conversation.send(OK)
        conversation.until(served)
        conversation.close()
    group.a.follow(closer, answering())
    client = connect()
    client.get(group.one).answer()
    with service.stopped():
        client.post(group.one, b"x")
        served.set()
        group.a.threads[0].join(5)
    assert client.answer().status == 200
    assert [(seen.method, seen.connection) for seen in group.a.requests] == [(b"GET", 0), (b"POST", 1)]
