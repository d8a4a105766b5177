"""Answers before the answer: 100 and the other 1xx."""
from __future__ import annotations

import threading

from wire_upstream import OK

EXPECT = b"Expect: 100-continue\r\n"
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"


def upload(group, client, length):
    client.send(b"POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n%s\r\n" % (group.one, length, EXPECT))


def test_an_expected_100_is_the_endpoints(group, connect):
    def script(conversation):
        seen = conversation.head()
        assert seen.value(b"expect") == b"100-continue"
        conversation.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        conversation.body(seen)
        conversation.send(OK)
    group.a.follow(script)
    client = connect()
    upload(group, client, 5)
    assert client.head().status == 100
    client.send(b"hello")
    assert client.answer().status == 200
    assert group.a.requests[0].body == b"hello"


def test_a_client_that_was_refused_at_once_does_not_send_its_body(group, connect):
    def script(conversation):
        conversation.head()
        conversation.send(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno")
        conversation.ended()
    group.a.follow(script)
    client = connect()
    upload(group, client, 5)
    answer = client.answer()
    assert (answer.status, answer.body) == (413, b"no")
    assert answer.value(b"connection") == b"close"      # the body may still come
    assert client.ended() == "end"


def test_a_body_is_passed_on_also_if_no_100_comes(group, connect):
    def script(conversation):
        conversation.request()
        conversation.send(OK)
    group.a.follow(script)
    client = connect()
    upload(group, client, 5)
    client.send(b"hello")
    assert client.answer().status == 200
    assert group.a.requests[0].body == b"hello"


def test_a_page_of_our_own_does_not_wait_for_the_body(connect):
    client = connect()
    client.send(b"POST / HTTP/1.1\r\nHost: nowhere.test\r\nContent-Length: 5\r\n" + EXPECT + b"\r\n")
    answer = client.answer()
    assert (answer.status, answer.value(b"connection"), answer.interims) == (404, b"close", [])


def test_interim_answers_are_passed_on(group, connect):
    seen = threading.Event()

    def script(conversation):
        conversation.request()
        conversation.send(HINTS, HINTS)
        conversation.until(seen)
        conversation.send(OK)
    group.a.follow(script)
    client = connect().get(group.one)
    assert [client.head().value(b"link") for _ in range(2)] == [b"</a.css>; rel=preload"] * 2
    seen.set()
    assert client.answer().status == 200


def test_an_answer_that_came_in_one_piece_with_interim_ones_does_not_wait(group, connect):
    # What stood behind the first 1xx was looked at only when more bytes came: never.
    def script(conversation):
        for _ in range(2):
            conversation.request()
            conversation.send(HINTS + HINTS + b"HTTP/1.1 102 Processing\r\n\r\n" + OK)
        conversation.ended()
    group.a.follow(script)
    client = connect()
    for _ in range(2):
        client.sock.settimeout(3)
        answer = client.get(group.one).answer()
        assert [each.status for each in answer.interims] == [103, 103, 102]
        assert (answer.status, answer.body) == (200, b"ok")
    assert [each.connection for each in group.a.requests] == [0, 0]


def test_an_answer_behind_an_interim_one_is_not_lost_with_the_connection(group, connect):
    def script(conversation):
        conversation.request()
        conversation.send(HINTS + b"HTTP/1.1 200 OK\r\n\r\nall of it")
        conversation.close()
    group.a.follow(script)
    answer = connect().get(group.one).answer()
    assert (answer.status, answer.body) == (200, b"all of it")


def test_many_interim_answers_that_fill_the_buffer_are_all_passed_on(group, connect):
    def script(conversation):
        conversation.request()
        conversation.send(HINTS * 2000 + OK)
    group.a.follow(script)
    answer = connect().get(group.one).answer()
    assert (len(answer.interims), answer.status) == (2000, 200)


def test_a_client_of_1_0_gets_no_interim_answers(group, connect):
    def script(conversation):
        conversation.request()
        conversation.send(HINTS, HINTS + OK)
    group.a.follow(script)
    client = connect()
    client.send(b"GET / HTTP/1.0\r\nHost: %s\r\n\r\n" % group.one)
    answer = client.answer()
    assert (answer.status, answer.interims) == (200, [])


def test_an_expectation_of_1_0_is_not_passed_on(group, connect):
    def script(conversation):
        assert conversation.request().value(b"expect") is None
        conversation.send(OK)
    group.a.follow(script)
    client = connect()
    client.send(b"POST / HTTP/1.0\r\nHost: %s\r\nContent-Length: 2\r\n%s\r\nhi" % (group.one, EXPECT))
    assert client.answer().status == 200


def test_an_end_after_an_interim_answer_is_a_502_and_no_second_try(group, connect):
    def script(conversation):
        conversation.request()
        conversation.send(HINTS)
        conversation.close()
    group.a.follow(script)
    client = connect().get(group.one)
    answer = client.answer()
    assert ([each.status for each in answer.interims], answer.status) == ([103], 502)
    assert len(group.a.requests) == 1
