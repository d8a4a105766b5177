"""A request is never lost and never doubled by us: the endpoints count."""
from __future__ import annotations

import pytest
from wire_upstream import OK, answering

IDEMPOTENT = [b"GET", b"PUT", b"DELETE", b"OPTIONS", b"HEAD"]
OTHERS = [b"POST", b"PATCH", b"BREW"]


def then(*actions):
    """One connection: each action takes one request."""
    def script(conversation):
        for action in actions:
            conversation.request()
            if action == "close":
                conversation.close()
                return
            if action == "reset":
                conversation.reset()
                return
            conversation.send(action)
        conversation.ended()
    return script


def on_reused(group, client, send, *scripts):
    """The answer to what `send` sends on a connection that has carried a request; the proxy does not always reuse one.

    How old an idle connection may be for that depends on what it has seen of the endpoint, in other tests too.
    """
    for _ in range(30):
        group.a.follow(*scripts)
        assert client.get(group.one).answer().status == 200
        answer = send()
        if group.a.requests[1].connection == 0:
            return answer
        group.a.stop()
    pytest.fail("no connection was used again")


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("method", IDEMPOTENT)
def test_a_reused_connection_that_ends_at_the_next_request_costs_an_idempotent_one_nothing(group, connect, method, how):
    client = connect()
    answer = on_reused(group, client, lambda: client.get(group.one, b"/again", method=method).answer(method),
                       then(OK, how), answering())
    assert answer.status == 200
    assert [(seen.target, seen.connection) for seen in group.a.requests] == [(b"/", 0), (b"/again", 0), (b"/again", 1)]


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("method", OTHERS)
def test_a_reused_connection_that_ends_after_the_endpoint_read_a_request_that_must_not_be_doubled_is_a_502(
        group, connect, method, how):
    client = connect()
    answer = on_reused(group, client, lambda: client.post(group.one, b"body", method=method, target=b"/again").answer(),
                       then(OK, how), answering())
    assert answer.status == 502
    assert [(seen.target, seen.connection) for seen in group.a.requests] == [(b"/", 0), (b"/again", 0)]


@pytest.mark.parametrize("method", OTHERS)
def test_a_request_whose_connection_was_closed_before_is_sent_on_a_fresh_one(group, connect, method):
    group.a.follow(answering(times=1))
    client = connect()
    client.get(group.one).answer()
    group.a.threads[0].join(5)
    assert client.post(group.one, b"body", method=method).answer().status == 200
    assert [(seen.method, seen.connection) for seen in group.a.requests] == [(b"GET", 0), (method, 1)]


def test_a_small_body_is_sent_again_with_its_idempotent_request(group, connect):
    client = connect()
    answer = on_reused(group, client, lambda: client.post(group.one, b"small body", method=b"PUT").answer(),
                       then(OK, "close"), answering())
    assert answer.status == 200
    assert [(seen.connection, seen.body) for seen in group.a.requests[1:]] == [(0, b"small body"), (1, b"small body")]


def test_a_small_chunked_body_is_sent_again_with_its_trailers(group, connect):
    client = connect()

    def send():
        client.send(b"PUT / HTTP/1.1\r\nHost: %s\r\nTransfer-Encoding: chunked\r\n\r\n"
                    b"3\r\nabc\r\n3\r\ndef\r\n0\r\nSum: 1\r\n\r\n" % group.one)
        return client.answer()

    assert on_reused(group, client, send, then(OK, "close"), answering()).status == 200
    assert [(seen.connection, seen.body, seen.trailers) for seen in group.a.requests[1:]] == [
        (0, b"abcdef", [(b"sum", b"1")]), (1, b"abcdef", [(b"sum", b"1")])]


def test_a_body_that_was_streamed_is_not_sent_again(group, connect):
    client = connect()
    answer = on_reused(group, client, lambda: client.post(group.one, bytes(300000), method=b"PUT").answer(),
                       then(OK, "close"), answering())
    assert answer.status == 502
    assert [seen.connection for seen in group.a.requests] == [0, 0]


def test_a_second_end_on_a_fresh_connection_is_told_the_client(group, connect):
    client = connect()
    answer = on_reused(group, client, lambda: client.get(group.one).answer(),
                       then(OK, "close"), then("close"), answering())
    assert (answer.status, answer.value(b"connection")) == (502, None)
    assert [seen.connection for seen in group.a.requests] == [0, 0, 1]


@pytest.mark.parametrize("method", [*IDEMPOTENT, *OTHERS])
def test_an_endpoint_that_refuses_connections_is_passed_over(group, connect, method):
    group.b.follow(answering())
    client = connect()
    for _ in range(4):
        client.post(group.two, b"", method=method)
        assert client.answer(method).status == 200
    assert len(group.b.requests) == 4


def test_a_body_goes_to_the_endpoint_that_takes_connections(group, connect):
    group.c.follow(answering())
    client = connect()
    for number in range(3):
        assert client.post(group.three, b"%d" % number * 100000).answer().status == 200
    assert [seen.body for seen in group.c.requests] == [b"%d" % number * 100000 for number in range(3)]


@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_endpoints_that_all_refuse_connections_are_a_503_at_once(group, connect, method):
    client = connect()
    client.sock.settimeout(1)
    for _ in range(3):
        answer = client.post(group.three, b"body", method=method).answer()
        assert (answer.status, answer.value(b"retry-after"), answer.value(b"connection")) == (503, b"1", None)


@pytest.mark.parametrize("how", ["close", "reset"])
def test_an_endpoint_that_ends_a_fresh_connection_costs_an_idempotent_request_nothing(group, connect, how):
    group.a.follow(then(how))
    group.b.follow(answering())
    for number in range(4):
        assert connect().get(group.two, b"/%d" % number).answer().status == 200
    assert [seen.target for seen in group.b.requests] == [b"/0", b"/1", b"/2", b"/3"]
    tried = [seen.target for seen in group.a.requests]
    assert tried
    assert len(tried) == len(set(tried))


@pytest.mark.parametrize("how", ["close", "reset"])
def test_an_endpoint_that_ends_a_fresh_connection_after_reading_costs_another_request_a_502(group, connect, how):
    group.a.follow(then(how))
    group.b.follow(then(how))
    assert connect().post(group.two, b"body").answer().status == 502
    assert len(group.a.requests) + len(group.b.requests) == 1


def test_a_request_goes_to_three_endpoints_at_most_and_to_none_twice(group, connect):
    for upstream in group.all:
        upstream.follow(then("close"))
    assert connect().get(group.three).answer().status == 502
    assert [len(upstream.requests) for upstream in group.all] == [1, 1, 1]


def test_an_answer_that_has_begun_is_not_asked_for_again(group, connect):
    def script(conversation):
        conversation.request()
        conversation.send(b"H")
        conversation.close()
    group.a.follow(script)
    group.b.follow(script)
    assert connect().get(group.two).answer().status == 502
    assert len(group.a.requests) + len(group.b.requests) == 1


def test_a_late_answer_is_a_504_and_no_second_try(group, connect):
    def script(conversation):
        conversation.request()
        conversation.ended()
    group.a.follow(script)
    group.b.follow(script)
    assert connect().get(group.host("quick-two")).answer().status == 504
    assert len(group.a.requests) + len(group.b.requests) == 1
