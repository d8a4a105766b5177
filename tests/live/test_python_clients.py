"""Python's clients through the proxy: http.client and raw sockets, requests, aiohttp."""
from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator

import aiohttp
import requests
from running import ORDERS, Endpoint, Mesh, digest, pattern, until

HOST = {"Host": ORDERS}


def exchange(port: int, *requests: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Head and body of each answer to pipelined requests; the last of them must ask for the end."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock, sock.makefile("rb") as file:
        sock.sendall(b"".join(requests))
        while line := file.readline():
            head = line
            while line != b"\r\n":
                head += (line := file.readline())
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            yield head, file.read(length)


def get(target: str, *lines: str, method: str = "GET", body: bytes = b"") -> bytes:
    more = [f"Content-Length: {len(body)}"] if body else []
    return "\r\n".join([f"{method} {target} HTTP/1.1", f"Host: {ORDERS}", *lines, *more, "", ""]).encode() + body


def test_pipelined_requests_are_answered_in_order(shared_mesh: Mesh) -> None:
    wanted = [f"/{number}" for number in range(50)]
    last = get("/last", "Connection: close")
    answers = list(exchange(shared_mesh.port, *map(get, wanted), last))
    assert [json.loads(body)["target"] for _, body in answers] == [*wanted, "/last"]


def test_pipelined_bodies_do_not_run_into_each_other(shared_mesh: Mesh) -> None:
    bodies = [pattern(size) for size in (1, 70_000, 3, 16_384, 200_000)]
    asked = [get(f"/{len(body)}", method="PUT", body=body) for body in bodies]
    answers = list(exchange(shared_mesh.port, *asked, get("/last", "Connection: close")))
    assert [json.loads(body)["digest"] for _, body in answers] == [*map(digest, bodies), digest(b"")]


def test_a_pipeline_sent_byte_by_byte_is_read_as_sent(shared_mesh: Mesh) -> None:
    asked = get("/a", method="POST", body=b"12345") + get("/b", "Connection: close")
    with socket.create_connection(("127.0.0.1", shared_mesh.port), timeout=20) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(len(asked)):
            sock.sendall(asked[at:at + 1])
        said = b"".join(iter(lambda: sock.recv(65536), b""))
    assert said.count(b"HTTP/1.1 200 OK\r\n") == 2
    assert digest(b"12345").encode() in said


def test_a_session_of_requests_uses_one_connection(shared_mesh: Mesh) -> None:
    until(lambda: shared_mesh.metric("mesh_open_connections") == 0, "no other test's connection is open")
    with requests.Session() as session:
        for size in (0, 1, 65536, 1_000_000):
            address = f"http://127.0.0.1:{shared_mesh.port}/"
            with session.post(address, data=pattern(size), headers=HOST, timeout=20) as got:
                assert got.json()["digest"] == digest(pattern(size))
            assert shared_mesh.metric("mesh_open_connections") == 1


def test_requests_streams_an_upload_from_a_generator(shared_mesh: Mesh) -> None:
    pieces = [pattern(size) for size in (1, 1000, 100_000, 17)]
    got = requests.put(f"http://127.0.0.1:{shared_mesh.port}/", data=iter(pieces), headers=HOST, timeout=20).json()
    assert (got["framing"], got["digest"]) == ("chunked", digest(b"".join(pieces)))


def test_requests_follows_nothing_and_changes_nothing_of_an_answer(shared_mesh: Mesh) -> None:
    got = requests.get(f"http://127.0.0.1:{shared_mesh.port}/bytes?size=1000&chunked=1", headers=HOST, timeout=20)
    assert (got.status_code, got.content, got.headers["X-By"]) == (200, pattern(1000), "shared")


def test_a_hundred_requests_of_aiohttp_at_once(shared_mesh: Mesh, shared_endpoint: Endpoint) -> None:
    async def one(session: aiohttp.ClientSession, number: int) -> str:
        async with session.post(f"/{number}", data=pattern(number * 997), headers={"X-Id": f"a{number}"}) as answer:
            return str((await answer.json())["digest"])

    async def all_of_them() -> list[str]:
        connector = aiohttp.TCPConnector(limit=100)
        base = f"http://127.0.0.1:{shared_mesh.port}"
        async with aiohttp.ClientSession(base, connector=connector, headers=HOST) as session:
            return await asyncio.gather(*(one(session, number) for number in range(100)))

    assert asyncio.run(all_of_them()) == [digest(pattern(number * 997)) for number in range(100)]
    assert shared_endpoint.seen["twice"] == []


def test_aiohttp_streams_up_and_down_at_once(shared_mesh: Mesh) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(200):
            yield pattern(10_000)

    async def talk() -> bytes:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{shared_mesh.port}", headers=HOST) as session:
            async with session.post("/echo", data=pieces()) as answer:
                return await answer.read()

    assert digest(asyncio.run(talk())) == digest(pattern(10_000) * 200)
