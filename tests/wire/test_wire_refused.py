"""Requests that we answer by ourselves: what the page says, and what becomes of the connection."""
from __future__ import annotations

import pytest
from wire_client import Client
from wire_upstream import answering

GET = b"GET / HTTP/1.1\r\nHost: nowhere.test\r\n\r\n"
PAGES = [
    ("web", 404, "keeps", GET),
    ("web", 404, "keeps", b"POST / HTTP/1.1\r\nHost: nowhere.test\r\nContent-Length: 4\r\n\r\nbody"),
    ("web", 404, "keeps", b"POST / HTTP/1.1\r\nHost: nowhere.test\r\nTransfer-Encoding: chunked\r\n\r\n"
     b"1\r\nx\r\n0\r\n\r\n"),
    ("web", 404, "ends", b"POST / HTTP/1.1\r\nHost: nowhere.test\r\nContent-Length: 4\r\n\r\nbo"),
    ("web", 404, "ends", b"POST / HTTP/1.1\r\nHost: nowhere.test\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\nz"),
    ("web", 405, "keeps", b"TRACE / HTTP/1.1\r\nHost: nowhere.test\r\n\r\n"),
    ("web", 405, "keeps", b"CONNECT nowhere.test:443 HTTP/1.1\r\nHost: nowhere.test:443\r\n\r\n"),
    ("web", 200, "keeps", b"OPTIONS * HTTP/1.1\r\nHost: nowhere.test\r\n\r\n"),
    ("web", 400, "ends", b"GET / HTTP/1.1\r\n\r\n"),
    ("web", 417, "ends", b"GET / HTTP/1.1\r\nHost: nowhere.test\r\nExpect: miracles\r\n\r\n"),
    ("web", 501, "ends", b"POST / HTTP/1.1\r\nHost: nowhere.test\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"),
    ("web", 505, "ends", b"GET / HTTP/2.0\r\nHost: nowhere.test\r\n\r\n"),
    ("small", 414, "ends", b"GET /" + 300 * b"a" + b" HTTP/1.1\r\nHost: nowhere.test\r\n\r\n"),
    ("small", 414, "ends", b"GET /" + 1000 * b"a"),
    ("small", 431, "ends", b"GET / HTTP/1.1\r\nHost: nowhere.test\r\nLong: " + 2048 * b"a" + b"\r\n\r\n"),
    ("small", 431, "ends", b"GET / HTTP/1.1\r\nHost: nowhere.test\r\n" + 10 * b"a: b\r\n" + b"\r\n"),
    ("small", 404, "keeps", b"GET /" + 255 * b"a" + b" HTTP/1.1\r\nHost: nowhere.test\r\n" + 9 * b"a: b\r\n" + b"\r\n"),
    ("web", 404, "ends", b"GET / HTTP/1.0\r\n\r\n"),
    ("web", 404, "ends", b"GET / HTTP/1.1\r\nHost: nowhere.test\r\nConnection: close\r\n\r\n"),
]


@pytest.mark.parametrize(("entry_point", "status", "then", "request_"), PAGES)
def test_a_page_of_our_own_is_short_and_says_who_answered(connect, entry_point, status, then, request_):
    client = connect(entry_point)
    answer = client.send(request_).answer()
    request_id = answer.value(b"x-request-id")
    assert (answer.status, answer.value(b"server"), len(request_id)) == (status, b"hostmesh", 32)
    assert answer.value(b"connection") == (b"close" if then == "ends" else None)
    assert len(answer.body) < 400
    if status != 200:
        assert all(said in answer.body for said in (b"%d" % status, b"hostmesh", request_id))
        assert answer.value(b"content-type") == b"text/plain; charset=utf-8"
    if then == "keeps":
        assert client.send(GET).answer().status == 404
    else:
        assert client.ended() == "end"


def test_a_405_says_which_methods_there_are(connect):
    answer = connect().send(b"TRACE / HTTP/1.1\r\nHost: nowhere.test\r\n\r\n").answer()
    assert answer.value(b"allow") == b"GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH"


def test_a_page_for_head_has_no_body(connect):
    client = connect().send(b"HEAD / HTTP/1.1\r\nHost: nowhere.test\r\n\r\n")
    assert client.answer(b"HEAD").status == 404
    assert client.send(GET).answer().status == 404


def test_the_id_of_the_request_is_the_clients_own(connect):
    answer = connect().get(b"nowhere.test", more=b"X-Request-Id: mine\r\n").answer()
    assert answer.value(b"x-request-id") == b"mine"


def test_nothing_is_answered_behind_a_refusal(group, connect):
    group.a.follow(answering())
    good = b"GET /smuggled HTTP/1.1\r\nHost: %s\r\n\r\n" % group.one
    client = connect().send(b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n" + good + good)
    assert client.answer().status == 400
    client.send(good)
    assert client.ended() == "end"
    assert group.a.requests == []


def test_bytes_behind_a_refused_head_stay_within_the_buffer(service, connect):
    # The refused head's length, -1, used to be where these bytes were read to: one before the buffer.  More of these
    # connections than buffers are kept, so that some are given back to malloc, which looks at that byte.
    worker, clients = service.worker.pid, [Client(service.addresses["web"]) for _ in range(400)]
    for client in clients:
        client.send(b"GET / HTTP/9.9\r\n\r\n")
    for client in clients:
        assert client.answer().status == 505
    for client in clients:
        client.send(b"\xff" * 20000)
    for client in clients:
        client.close()
    assert connect().send(GET).answer().status == 404
    assert service.present_worker().pid == worker


def test_what_a_refused_client_still_sends_does_not_take_the_page_from_it(connect):
    # a close with unread bytes would be a reset, which overtakes the page
    client = connect().send(b"POST / HTTP/1.1\r\nHost: a b\r\nContent-Length: 3000000\r\n\r\n")
    for _ in range(30):
        client.send(100000 * b"x")
    assert client.answer().status == 400
    assert client.ended() == "end"
