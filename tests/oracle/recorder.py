"""Endpoints that tell in their answer who they are and what they received, byte for byte.

One thread serves all of them.  Every answer has `X-By`, the name of the endpoint, and `X-Received`, the request as it
arrived: its head, an empty line, and the body without its chunks, deflated and in base64.  `X-Trailers` is what came
behind the last chunk, in base64.  So nothing is remembered between requests.  The body of an answer is `by NAME`, with
its length; HEAD gets none.
"""
from __future__ import annotations

import asyncio
import base64
import contextlib
import re
import ssl
import threading
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:\s*chunked", re.IGNORECASE)
_LONGEST_HEAD = 1 << 21


@dataclass(frozen=True, slots=True)
class Received:
    """A request as an endpoint saw it; `lines` in their order, names as they were written."""

    by: str
    method: str
    target: str
    version: str
    lines: tuple[tuple[str, str], ...]
    body: bytes
    trailers: bytes

    def values(self, name: str) -> list[str]:
        return [value for said, value in self.lines if said.lower() == name.lower()]


def read_received(by: str, text: str, trailers: str) -> Received:
    """What an endpoint wrote in X-Received and X-Trailers."""
    head, _, body = zlib.decompress(base64.b64decode(text)).partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, version = first.split(" ", 2)
    pairs = (line.partition(":") for line in lines)
    return Received(by, method, target, version, tuple((name, value.strip(" \t")) for name, _, value in pairs), body,
                    base64.b64decode(trailers))


async def _body(reader: asyncio.StreamReader, head: bytes) -> tuple[bytes, bytes]:
    """The body, and the trailer section."""
    if _CHUNKED.search(head):
        body = b""
        while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        trailers = b""
        while (line := await reader.readuntil(b"\r\n")) != b"\r\n":
            trailers += line
        return body, trailers
    length = _LENGTH.search(head)
    return (await reader.readexactly(int(length[1])) if length else b""), b""


class Recorder:
    """A block in which endpoints of these names listen on loopback, those in `secure` with TLS; `ports` by name."""

    def __init__(self, names: Iterable[str], secure: Iterable[str] = (), tls: ssl.SSLContext | None = None) -> None:
        self._names, self._secure, self._tls = tuple(names), frozenset(secure), tls
        self.ports: dict[str, int] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._servers: list[asyncio.Server] = []

    def __enter__(self) -> Recorder:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def url(self, name: str, path: str = "") -> str:
        return f"http{'s' if name in self._secure else ''}://127.0.0.1:{self.ports[name]}{path}"

    async def _listen(self) -> None:
        for name in self._names:
            async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str = name) -> None:
                with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                    await self._serve(name, reader, writer)
                writer.close()
            server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=_LONGEST_HEAD, backlog=64,
                                                ssl=self._tls if name in self._secure else None)
            self._servers.append(server)
            self.ports[name] = server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        waiting = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    async def _serve(self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            body, trailers = await _body(reader, head)
            said = b"by " + name.encode()
            answer = (b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-By: " + name.encode()
                      + b"\r\nX-Received: " + base64.b64encode(zlib.compress(head + body))
                      + b"\r\nX-Trailers: " + base64.b64encode(trailers)
                      + b"\r\nContent-Length: %d\r\n\r\n" % len(said))
            writer.write(answer if head.startswith(b"HEAD ") else answer + said)
            await writer.drain()
