"""After thousands of requests of every kind nothing of them is left in the worker."""
from __future__ import annotations

import random

from wire_client import Client, CutOff, soon


def endpoint(conversation):
    """Answers as the target says."""
    while True:
        seen = conversation.head()
        kind = seen.target.rpartition(b"/")[2]
        if kind == b"silent":
            conversation.ended(10)
            return
        if kind == b"early":
            conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            conversation.ended(10)
            return
        conversation.body(seen)
        if kind == b"gone":
            return
        if kind == b"cut":
            conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nok")
            return
        if kind == b"odd":
            conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\nContent-Length: 21\r\n\r\nok")
            return
        if kind == b"reset":
            conversation.reset()
            return
        if kind == b"switch":
            conversation.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: test\r\n\r\nhello")
            conversation.ended(10)
            return
        if kind == b"chunks":
            conversation.send(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                              b"2\r\nok\r\n0\r\n\r\n")
            continue
        conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


def one(address, host, kind, way):
    """One connection with one or two requests of a kind, which ends in one of several ways."""
    client = Client(address)
    more = b"Connection: Upgrade\r\nUpgrade: test\r\n" if kind == b"switch" else b""
    body = b"" if kind == b"switch" else way * 700 * b"x"
    try:
        if kind == b"bad":
            client.send(b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n" + body)
        elif kind == b"half":
            client.send(b"GET / HTTP/1.1\r\nHo")
        elif kind == b"early":
            client.send(b"POST /early HTTP/1.1\r\nHost: %s\r\nContent-Length: 90000\r\n\r\n" % host + body)
        elif body:
            client.send(b"PUT /%s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n" % (kind, host, len(body)), body)
        else:
            client.send(b"GET /%s HTTP/1.1\r\nHost: %s\r\n%s\r\n" % (kind, host, more))
        if way == 1:
            client.get(host, b"/good")
        if way == 2:
            client.reset()
            return
        if kind not in (b"silent", b"half"):
            client.answer()
    except (CutOff, ConnectionError):
        pass
    client.close()


def test_nothing_is_left_of_three_thousand_requests(group, service):
    for upstream in group.all:
        upstream.follow(endpoint)
    address, choice = service.addresses["web"], random.Random(1)
    kinds = b"good good chunks cut odd reset gone early switch silent bad half".split()

    def some(count):
        for _ in range(count):
            one(address, group.three, choice.choice(kinds), choice.randrange(4))

    some(3000)                          # what is kept for use again is there
    soon(lambda: service.connections() == 0, 10)
    descriptors, memory = service.worker.num_fds(), service.worker.memory_info().rss
    some(3000)
    soon(lambda: service.connections() == 0, 10)
    soon(lambda: service.worker.num_fds() <= descriptors + 3, 10)       # pools of three endpoints are as they may be
    assert service.worker.memory_info().rss - memory < 2 << 20
    assert service.present_worker().pid == service.worker.pid
    client = Client(address)
    assert client.get(group.three, b"/good").answer().status == 200
    client.close()
