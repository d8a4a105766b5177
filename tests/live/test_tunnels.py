"""WebSockets through the proxy, with the websockets package on both sides: an Upgrade becomes a tunnel of bytes."""
from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from running import ORDERS, Mesh, ask, orders, pattern, until
from websockets.asyncio.client import ClientConnection, connect

SERVER = """
import asyncio, websockets
from websockets.asyncio.server import serve

async def talk(peer):
    if peer.request.path == "/push":
        for number in range(100):
            await peer.send(f"news {number}")
        await peer.close(4000, "that was all")
        return
    if peer.request.path == "/close":
        await peer.recv()
        await peer.close(4001, "enough")
        return
    async for message in peer:
        await peer.send(message)

async def main():
    async with serve(talk, "127.0.0.1", 0, max_size=None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def echo() -> Iterator[int]:
    """The port of a WebSocket server in a process of its own."""
    with subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.kill()


@pytest.fixture(scope="module")
def mesh(echo: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    with Mesh(tmp_path_factory.mktemp("tunnels"), {"orders.yml": orders(f"http://127.0.0.1:{echo}")}) as mesh:
        yield mesh


def talk(mesh: Mesh, path: str, conversation: Callable[[ClientConnection], object]) -> object:
    """What the conversation answers; it has 20 s."""
    async def run() -> object:
        address = f"ws://{ORDERS}{path}"
        async with asyncio.timeout(20):
            async with connect(address, host="127.0.0.1", port=mesh.port, max_size=None, proxy=None) as peer:
                return await conversation(peer)     # type: ignore[misc]
    return asyncio.run(run())


def test_text_and_binary_come_back_as_they_were(mesh: Mesh) -> None:
    async def conversation(peer: ClientConnection) -> None:
        for message in ("", "gr\u00fc\u00dfe", b"", b"\x00\xff", pattern(65_535), pattern(65_537)):
            await peer.send(message)
            assert await peer.recv() == message

    talk(mesh, "/", conversation)


def test_messages_of_a_megabyte_pass_in_both_directions_at_once(mesh: Mesh) -> None:
    async def conversation(peer: ClientConnection) -> None:
        async def send() -> None:
            for _ in range(8):
                await peer.send(pattern(1 << 20))

        sending = asyncio.create_task(send())
        for _ in range(8):
            assert await peer.recv() == pattern(1 << 20)
        await sending

    talk(mesh, "/", conversation)


def test_a_ping_is_answered_by_the_other_side(mesh: Mesh) -> None:
    async def conversation(peer: ClientConnection) -> None:
        await (await peer.ping(b"there?"))

    talk(mesh, "/", conversation)


def test_the_server_may_speak_first(mesh: Mesh) -> None:
    async def conversation(peer: ClientConnection) -> list[object]:
        return [message async for message in peer]

    with pytest.raises(Exception, match="4000"):
        talk(mesh, "/push", conversation)

    async def hundred(peer: ClientConnection) -> list[object]:
        return [await peer.recv() for _ in range(100)]

    assert talk(mesh, "/push", hundred) == [f"news {number}" for number in range(100)]


def test_a_close_by_the_server_reaches_the_client_with_its_reason(mesh: Mesh) -> None:
    async def conversation(peer: ClientConnection) -> tuple[int | None, str | None]:
        await peer.send("go")
        await peer.wait_closed()
        return peer.close_code, peer.close_reason

    assert talk(mesh, "/close", conversation) == (4001, "enough")


def test_a_close_by_the_client_is_answered(mesh: Mesh) -> None:
    async def conversation(peer: ClientConnection) -> int | None:
        await peer.close(1000, "bye")
        return peer.close_code

    assert talk(mesh, "/", conversation) == 1000


def test_fifty_tunnels_at_once(mesh: Mesh) -> None:
    async def one(number: int) -> None:
        async with connect(f"ws://{ORDERS}/", host="127.0.0.1", port=mesh.port, proxy=None) as peer:
            await peer.send(f"{number}" * 1000)
            assert await peer.recv() == f"{number}" * 1000

    async def all_of_them() -> None:
        async with asyncio.timeout(30):
            await asyncio.gather(*map(one, range(50)))

    asyncio.run(all_of_them())


def test_a_tunnel_is_one_request_with_status_101(mesh: Mesh) -> None:
    async def conversation(peer: ClientConnection) -> None:
        await peer.send("x")
        await peer.recv()

    until(lambda: mesh.metric("mesh_open_connections") == 0, "no other test's tunnel is open")
    before = mesh.metric("mesh_entrypoint_requests_total", code="101")
    talk(mesh, "/", conversation)
    until(lambda: mesh.metric("mesh_entrypoint_requests_total", code="101") == before + 1, "it is counted")
    assert mesh.metric("mesh_open_connections") == 0


def test_a_tunnel_survives_an_edit_of_its_service(mesh: Mesh, echo: int) -> None:
    async def conversation(peer: ClientConnection) -> None:
        await asyncio.to_thread(mesh.edit, "orders.yml", orders("http://127.0.0.1:1"))
        await peer.send("still there")
        assert await peer.recv() == "still there"

    try:
        talk(mesh, "/", conversation)
    finally:
        mesh.edit("orders.yml", orders(f"http://127.0.0.1:{echo}"))


def test_an_upgrade_that_the_endpoint_refuses_is_an_ordinary_answer(mesh: Mesh) -> None:
    answer = ask(mesh.port, "/", ORDERS, Connection="Upgrade", Upgrade="websocket")
    assert answer.status == 400


def test_both_ends_of_a_tunnel_end_with_a_killed_server(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with Mesh(tmp_path, {"orders.yml": orders(f"http://127.0.0.1:{port}")}) as mesh:
            async def conversation(peer: ClientConnection) -> None:
                await peer.send("x")
                await peer.recv()
                process.kill()
                await peer.wait_closed()
                assert peer.close_code == 1006

            talk(mesh, "/", conversation)
            until(lambda: mesh.metric("mesh_open_connections") == 0, "the tunnel is over")
