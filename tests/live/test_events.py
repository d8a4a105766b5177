"""Server-sent events: each is with its reader when it is sent, and a reader that leaves is told to the endpoint."""
from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse

from running import ORDERS, Endpoint, Mesh, until


@contextmanager
def reading(mesh: Mesh, target: str, method: str = "GET") -> Iterator[HTTPResponse]:
    """An answer whose head has come."""
    connection = HTTPConnection("127.0.0.1", mesh.port, timeout=20)
    try:
        connection.request(method, target, headers={"Host": ORDERS, "Accept": "text/event-stream"})
        with connection.getresponse() as answer:
            yield answer
    finally:
        connection.close()


def test_the_first_event_arrives_before_the_last_is_sent(shared_mesh: Mesh, shared_endpoint: Endpoint) -> None:
    with reading(shared_mesh, "/events?gate=first&count=3") as answer:
        assert answer.readline() == b"data: 0\n"
        assert shared_endpoint.waits_at("first") == 1
        shared_endpoint.open("first")
        assert answer.read() == b"\ndata: 1\n\ndata: 2\n\n"


def test_half_of_an_answer_with_a_length_is_not_held_back(shared_mesh: Mesh, shared_endpoint: Endpoint) -> None:
    with reading(shared_mesh, "/halves?gate=half&size=10") as answer:
        assert len(answer.read(5)) == 5
        assert shared_endpoint.waits_at("half") == 1
        shared_endpoint.open("half")
        assert len(answer.read()) == 5


def test_a_reader_that_leaves_ends_its_request_at_the_endpoint(shared_mesh: Mesh, shared_endpoint: Endpoint) -> None:
    with reading(shared_mesh, "/events?gate=never&count=3") as answer:
        assert answer.readline() == b"data: 0\n"
    until(lambda: not shared_endpoint.waits_at("never"), "the endpoint notices")


def test_a_client_that_leaves_before_the_answer_ends_its_request(shared_mesh: Mesh, shared_endpoint: Endpoint) -> None:
    before = shared_mesh.metric("mesh_entrypoint_requests_total", code="499")
    with socket.create_connection(("127.0.0.1", shared_mesh.port), timeout=20) as sock:
        sock.sendall(f"GET /held?gate=left HTTP/1.1\r\nHost: {ORDERS}\r\n\r\n".encode())
        until(lambda: shared_endpoint.waits_at("left") == 1, "the request is at the endpoint")
    until(lambda: not shared_endpoint.waits_at("left"), "the endpoint notices")
    until(lambda: shared_mesh.metric("mesh_entrypoint_requests_total", code="499") == before + 1, "it is counted")


def test_a_client_that_half_closes_still_gets_its_answer(shared_mesh: Mesh, shared_endpoint: Endpoint) -> None:
    with socket.create_connection(("127.0.0.1", shared_mesh.port), timeout=20) as sock:
        sock.sendall(f"GET /bytes?size=1000 HTTP/1.1\r\nHost: {ORDERS}\r\nConnection: close\r\n\r\n".encode())
        sock.shutdown(socket.SHUT_WR)
        said = b"".join(iter(lambda: sock.recv(65536), b""))
    assert said.startswith(b"HTTP/1.1 200 OK\r\n")
    assert len(said.partition(b"\r\n\r\n")[2]) == 1000


def test_an_answer_that_breaks_off_is_seen_to_break_off(shared_mesh: Mesh) -> None:
    for target in ("/cut?size=200000", "/cut?size=200000&chunked=1"):
        with socket.create_connection(("127.0.0.1", shared_mesh.port), timeout=20) as sock:
            sock.sendall(f"GET {target} HTTP/1.1\r\nHost: {ORDERS}\r\n\r\n".encode())
            said = b""
            try:
                while piece := sock.recv(65536):
                    said += piece
            except ConnectionResetError:
                pass
        assert b"\r\n0\r\n\r\n" not in said
        assert len(said.partition(b"\r\n\r\n")[2]) < 200_000
