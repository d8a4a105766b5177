"""A slow side holds back the other: a worker's memory does not grow with what waits to be taken."""
from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from http.client import HTTPConnection

from running import ORDERS, Endpoint, Mesh, pattern, resident, until

MIB = 1 << 20
LARGE = 256 * MIB
MOST_GROWN = 8 * MIB


def has_stalled(progress: Callable[[], int]) -> Callable[[], bool]:
    """A condition for `until`: the number has stood still for ten looks."""
    seen = [0, 0]

    def looks() -> bool:
        now = progress()
        seen[:] = [now, seen[1] + 1 if now == seen[0] and now else 0]
        return seen[1] >= 10

    return looks


def test_a_slow_reader_of_a_large_download(start: Callable[..., Mesh], endpoint: Endpoint) -> None:
    mesh = start(static={"host": {"workers": 1}})
    mesh.ask("/bytes?size=3000000")
    worker, = mesh.workers
    before = resident(worker)
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        sock.settimeout(20)
        sock.connect(("127.0.0.1", mesh.port))
        sock.sendall(f"GET /bytes?size={LARGE} HTTP/1.1\r\nHost: {ORDERS}\r\n\r\n".encode())
        until(has_stalled(lambda: endpoint.seen["sent"]), "the endpoint is held back")
        assert endpoint.seen["sent"] < LARGE
        assert resident(worker) - before < MOST_GROWN
        room, got = bytearray(MIB), 0
        while got < LARGE:
            got += sock.recv_into(room)
            if got % (64 * MIB) < MIB // 16:
                assert resident(worker) - before < MOST_GROWN
    assert resident(worker) - before < MOST_GROWN


def test_fifty_slow_readers(start: Callable[..., Mesh], endpoint: Endpoint) -> None:
    mesh = start(static={"host": {"workers": 1}})
    mesh.ask("/bytes?size=3000000")
    worker, = mesh.workers
    before = resident(worker)
    readers = []
    for _ in range(50):
        sock = socket.create_connection(("127.0.0.1", mesh.port), timeout=20)
        sock.sendall(f"GET /bytes?size={LARGE} HTTP/1.1\r\nHost: {ORDERS}\r\n\r\n".encode())
        readers.append(sock)
    until(has_stalled(lambda: endpoint.seen["sent"]), "the endpoint is held back")
    assert mesh.ask("/bytes?size=1000").body == pattern(1000)
    # a window of 128 KiB and heads of 16 KiB in either direction for each
    assert resident(worker) - before < 50 * 192 * 1024
    for sock in readers:
        sock.close()
    until(lambda: mesh.metric("mesh_open_connections") == 0, "all have left")


def test_a_slow_endpoint_of_a_large_upload(start: Callable[..., Mesh], endpoint: Endpoint) -> None:
    mesh = start(static={"host": {"workers": 1}})
    mesh.ask("/", method="POST", body=pattern(3_000_000))
    worker, = mesh.workers
    before = resident(worker)
    length = 128 * MIB
    connection = HTTPConnection("127.0.0.1", mesh.port, timeout=30)
    sent = [0]

    def send() -> None:
        piece = pattern(MIB)
        connection.putrequest("PUT", "/late?gate=up", skip_host=True)
        connection.putheader("Host", ORDERS)
        connection.putheader("Content-Length", str(length))
        connection.endheaders()
        for _ in range(length // MIB):
            connection.send(piece)
            sent[0] += 1

    sending = threading.Thread(target=send)
    sending.start()
    until(has_stalled(lambda: sent[0]), "the client is held back")
    assert sent[0] < length // MIB
    assert resident(worker) - before < MOST_GROWN
    endpoint.open("up")
    sending.join(30)
    assert b'"length": %d' % length in connection.getresponse().read()
    assert resident(worker) - before < MOST_GROWN
    connection.close()


def test_a_slow_reader_does_not_hold_up_others(start: Callable[..., Mesh], endpoint: Endpoint) -> None:
    mesh = start(static={"host": {"workers": 1}})
    with socket.create_connection(("127.0.0.1", mesh.port), timeout=20) as slow:
        slow.sendall(f"GET /bytes?size={LARGE} HTTP/1.1\r\nHost: {ORDERS}\r\n\r\n".encode())
        until(has_stalled(lambda: endpoint.seen["sent"]), "the slow one is held back")
        for _ in range(20):
            assert mesh.ask("/bytes?size=100000").body == pattern(100_000)
