"""Long answers of known length, which go through a pipe: whole, counted, cut, and many at once."""
from __future__ import annotations

import contextlib
import socket
import threading

import pytest
from wire_client import CutOff, soon
from wire_upstream import OK

SIZE = 5_000_000
PATTERN = bytes(range(251)) * (SIZE // 251 + 1)
BODY = PATTERN[:SIZE]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE
HELD = 80               # more than a worker has pipes


def test_a_long_answer_is_whole_and_counted_and_its_connections_are_kept(group, connect, service):
    def script(conversation):
        for answer in (HEAD + BODY, OK, HEAD + BODY, OK):
            conversation.request()
            conversation.send(answer)
        conversation.ended(10)
    group.a.follow(script)
    client = connect()
    for number in range(4):
        answer = client.get(group.one, b"/piped-%d-%d" % (group.number, number)).answer()
        assert answer.body == (OK.partition(b"\r\n\r\n")[2] if number % 2 else BODY)
    assert [seen.connection for seen in group.a.requests] == [0, 0, 0, 0]
    for number in (0, 2):
        told = soon(lambda number=number: service.line(f"/piped-{group.number}-{number}"))
        assert (told["DownstreamContentSize"], told["OriginContentSize"]) == (SIZE, SIZE)


def test_what_has_come_of_a_long_answer_does_not_wait_for_the_rest(group, connect):
    here = threading.Event()

    def script(conversation):
        conversation.request()
        conversation.send(HEAD + BODY[:3_000_001])
        conversation.until(here)
        conversation.send(BODY[3_000_001:])
        conversation.ended(10)
    group.a.follow(script)
    client = connect().get(group.one)
    client.reader.until(b"\r\n\r\n")
    assert client.reader.exactly(3_000_001) == BODY[:3_000_001]
    here.set()
    assert client.reader.exactly(SIZE - 3_000_001) == BODY[3_000_001:]


def test_a_long_answer_that_comes_in_small_parts_and_in_large_ones_is_whole(group, connect, service):
    """Small parts are copied again after some, large ones go through a pipe; in this answer both change place often."""
    taken = threading.Semaphore(0)

    def script(conversation):
        conversation.request()
        conversation.send(HEAD + BODY[:1_000_000])
        at = 1_000_000
        while at < SIZE:
            for part in (7_000, 5_000, 11_000, 3_000, 9_000, 600_000):
                taken.acquire(timeout=10)
                conversation.send(BODY[at:at + part])
                at += part
        conversation.ended(10)
    group.a.follow(script)
    client = connect().get(group.one, b"/parts-%d" % group.number)
    client.reader.until(b"\r\n\r\n")
    assert client.reader.exactly(1_000_000) == BODY[:1_000_000]
    at = 1_000_000
    while at < SIZE:
        for part in (7_000, 5_000, 11_000, 3_000, 9_000, 600_000):
            taken.release()
            expected = BODY[at:at + part]
            assert client.reader.exactly(len(expected)) == expected
            at += part
    told = soon(lambda: service.line(f"/parts-{group.number}"))
    assert (told["DownstreamContentSize"], told["OriginContentSize"]) == (SIZE, SIZE)


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_long_answer_that_is_cut_never_looks_whole(group, connect, how):
    def script(conversation):
        conversation.request()
        conversation.send(HEAD + BODY[:-1])
        getattr(conversation, how)()
    group.a.follow(script)
    with pytest.raises(CutOff):
        connect().get(group.one).answer()
    assert len(group.a.requests) == 1


def test_bytes_behind_a_long_answer_reach_nobody(group, connect):
    def script(conversation):
        conversation.request()
        conversation.send(HEAD + BODY + b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong")
        conversation.ended(10)

    def other(conversation):
        conversation.request()
        conversation.send(OK)
        conversation.ended(10)
    group.a.follow(script, other)
    client = connect()
    assert client.get(group.one).answer().body == BODY
    assert client.get(group.one).answer().body == OK.partition(b"\r\n\r\n")[2]
    assert [seen.connection for seen in group.a.requests] == [0, 1]


def test_a_fast_long_answer_does_not_keep_the_worker_from_others(group, connect):
    going, done = threading.Event(), threading.Event()

    def script(conversation):
        conversation.request()
        conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (1 << 50))
        going.set()
        with contextlib.suppress(OSError):
            while not done.is_set():
                conversation.send(BODY)
        conversation.close()
    group.a.follow(script)
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
    assert not reader.is_alive()


def test_more_long_answers_at_once_than_there_are_pipes_are_all_whole(group, connect):
    def script(conversation):
        conversation.request()
        conversation.send(HEAD + BODY)
        conversation.ended(20)
    group.a.follow(script)
    clients = [connect().get(group.one) for _ in range(HELD)]
    soon(lambda: len(group.a.requests) == HELD)
    assert all(client.answer().body == BODY for client in clients)
