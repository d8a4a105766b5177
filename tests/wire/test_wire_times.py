"""Time-outs: what is answered when, and what is closed without a word.  Never more than a second late."""
from __future__ import annotations

import threading
import time

import pytest
from wire_client import CutOff, soon
from wire_upstream import OK, answering


@pytest.fixture
def within():
    """Asserts at the end that the test took so many seconds, and less than one more (the sweep comes every 0.1 s)."""
    began, said = time.monotonic(), []
    yield said.append
    took = time.monotonic() - began
    assert said[0] - 0.05 <= took < said[0] + 1.2


def silent(conversation):
    """Takes everything and says nothing."""
    conversation.head()
    conversation.ended(8)


def test_a_head_that_does_not_come_is_a_408(connect, within):
    within(0.4)
    client = connect("quick").send(b"GET / HT")
    answer = client.answer()
    assert (answer.status, answer.value(b"connection")) == (408, b"close")
    assert client.ended() == "end"


def test_a_head_that_comes_drop_by_drop_is_a_408(connect, within):
    within(0.4)
    client = connect("quick").send(b"GET / HTTP/1.1\r\n")
    stop = threading.Event()

    def drip():
        while not stop.wait(0.05):
            client.send(b"A: b\r\n")
    dripping = threading.Thread(target=drip, daemon=True)
    dripping.start()
    answer = client.answer()
    stop.set()
    dripping.join()
    assert answer.status == 408


def test_a_body_that_does_not_come_is_a_408(group, connect, within):
    within(0.5)
    group.a.follow(silent)
    client = connect("quick").send(b"POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: 9\r\n\r\nhello" % group.one)
    answer = client.answer()
    assert (answer.status, answer.value(b"connection")) == (408, b"close")
    assert client.ended() == "end"


def test_a_body_that_comes_drop_by_drop_is_a_408_when_the_time_for_reading_is_over(group, connect, within):
    within(2)
    group.a.follow(silent)
    client = connect("quick").send(b"POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: 900\r\n\r\nhello" % group.one)
    stop = threading.Event()

    def drip():
        while not stop.wait(0.1):
            client.send(b"x")
    dripping = threading.Thread(target=drip, daemon=True)
    dripping.start()
    answer = client.answer()
    stop.set()
    dripping.join()
    assert answer.status == 408


def test_an_endpoint_that_does_not_take_the_body_is_a_504(group, connect, within):
    within(0.5)
    go = threading.Event()

    def script(conversation):
        conversation.head()
        conversation.until(go)
    group.a.follow(script)
    client = connect("quick").send(b"POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: 90000000\r\n\r\n" % group.one)
    client.sock.settimeout(1.5)
    with pytest.raises((TimeoutError, ConnectionError)):
        client.sock.sendall(bytes(90000000))
    line = b"HTTP/1.1 504 "
    go.set()
    assert client.reader.until(b" ") + client.reader.until(b" ") == line


def test_an_endpoint_that_takes_no_connection_is_a_504(group, connect, within):
    within(0.4)
    with group.a.full():
        answer = connect().get(group.host("quick")).answer()
    assert (answer.status, answer.value(b"server")) == (504, b"hostmesh")


def test_a_request_goes_on_to_the_endpoint_that_takes_connections(group, connect, within):
    within(0.4)
    group.b.follow(answering())
    with group.a.full():
        client = connect()
        for _ in range(2):
            assert client.post(group.host("quick-two"), b"body").answer().status == 200
    assert len(group.b.requests) == 2


def test_an_answer_that_does_not_begin_is_a_504(group, connect, within):
    within(0.5)
    group.a.follow(silent)
    answer = connect().get(group.host("quick")).answer()
    assert (answer.status, answer.value(b"connection")) == (504, None)


def test_a_head_of_an_answer_that_does_not_end_is_a_504(group, connect, within):
    within(0.5)

    def script(conversation):
        conversation.head()
        conversation.send(b"HTTP/1.1 200 OK\r\nServer:")
        conversation.ended()
    group.a.follow(script)
    assert connect().get(group.host("quick")).answer().status == 504


def test_a_flood_of_interim_answers_does_not_stop_the_clock(group, connect, within):
    within(0.5)

    def script(conversation):
        conversation.head()
        while True:
            conversation.send(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 500)
    group.a.follow(script)
    client = connect().send(b"GET / HTTP/1.0\r\nHost: %s\r\n\r\n" % group.host("quick"))
    assert client.answer().status == 504


def test_a_client_that_does_not_take_its_answer_is_closed(group, connect, within):
    within(0.5)
    ended = []

    def script(conversation):
        conversation.head()
        try:
            conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 90000000\r\n\r\n", bytes(90000000))
        except OSError:
            ended.append(True)
    group.a.follow(script)
    client = connect("quick").get(group.one)
    soon(lambda: ended)
    with pytest.raises(CutOff):
        client.answer()


def test_a_client_that_sends_more_and_does_not_take_its_answer_is_closed(group, connect, within):
    # its unread requests do not count as progress
    within(0.5)
    ended = []

    def script(conversation):
        conversation.head()
        try:
            conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 90000000\r\n\r\n", bytes(90000000))
        except OSError:
            ended.append(True)
    group.a.follow(script)
    client = connect("quick").get(group.one)
    soon(lambda: group.a.requests)
    client.get(group.one)
    soon(lambda: ended)


def test_a_whole_request_has_a_time(group, connect, within):
    within(0.6)
    group.a.follow(silent)
    assert connect("total").get(group.one).answer().status == 504


def test_the_time_of_a_whole_request_ends_its_answer(group, connect, within):
    within(0.6)

    def script(conversation):
        conversation.head()
        conversation.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while True:
                conversation.send(b"1\r\nx\r\n")
                threading.Event().wait(0.05)
        except OSError:
            pass
    group.a.follow(script)
    with pytest.raises(CutOff):
        connect("total").get(group.one).answer()


def test_an_answer_has_a_time_to_be_written_in(group, connect, within):
    within(0.6)

    def script(conversation):
        conversation.head()
        conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        try:
            while True:
                conversation.send(b"x")
                threading.Event().wait(0.05)
        except OSError:
            pass
    group.a.follow(script)
    with pytest.raises(CutOff):
        connect("write").get(group.one).answer()


def test_the_time_for_writing_begins_with_the_answer(group, connect, within):
    within(0.9)
    go = threading.Event()

    def script(conversation):
        conversation.head()
        go.wait(0.9)
        conversation.send(OK)
    group.a.follow(script)
    assert connect("write").get(group.one).answer().status == 200
