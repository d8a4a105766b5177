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

# Answers to GET /answer/NAME, sent as they stand, and the connection is closed.  A request for one is not told of.
_SIZED = b"Content-Length: 4\r\n\r\nbody"
ANSWERS = {
    "plain": b"HTTP/1.1 200 OK\r\n" + _SIZED,
    "not-found": b"HTTP/1.1 404 Not Found\r\n" + _SIZED,
    "error": b"HTTP/1.1 500 Oh\r\n" + _SIZED,
    "unavailable": b"HTTP/1.1 503 No\r\nRetry-After: 3\r\n" + _SIZED,
    "redirect": b"HTTP/1.1 302 Found\r\nLocation: /elsewhere?a=b#c\r\n" + _SIZED,
    "unknown-status": b"HTTP/1.1 299 Whatever\r\n" + _SIZED,
    "highest-status": b"HTTP/1.1 599 Whatever\r\n" + _SIZED,
    "no-reason": b"HTTP/1.1 200 \r\n" + _SIZED,
    "no-space": b"HTTP/1.1 200\r\n" + _SIZED,
    "old": b"HTTP/1.0 200 OK\r\n" + _SIZED,
    "old-without-length": b"HTTP/1.0 200 OK\r\n\r\nbody",
    "without-length": b"HTTP/1.1 200 OK\r\n\r\nbody",
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n",
    "empty": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "no-content": b"HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n",
    "no-content-with-length": b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
    "not-modified": b'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\nContent-Length: 4\r\n\r\n',
    "hop-by-hop": b"HTTP/1.1 200 OK\r\nConnection: X-Hop, close\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nX-Kept: 1\r\n"
                  b"Proxy-Authenticate: x\r\nTE: x\r\nUpgrade: h2c\r\n" + _SIZED,
    "cookies": b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nX-B: 1\r\nset-cookie: b=2\r\nSet-Cookie: a=1\r\n" + _SIZED,
    "odd-values": b"HTTP/1.1 200 OK\r\nX-Empty:\r\nX-Space:   a  b \r\nX-High: \xe9\r\nx-LOWER: 1\r\n" + _SIZED,
    "about-itself": b"HTTP/1.1 200 OK\r\nServer: one\r\nDate: Tue, 24 Nov 2026 00:00:00 GMT\r\nVia: 1.1 x\r\n" + _SIZED,
    "forwarded-names": b"HTTP/1.1 200 OK\r\nX-Forwarded-For: 1.2.3.4\r\nX-Request-Id: 7\r\n"
                       b"Alt-Svc: h3=\":443\"\r\n" + _SIZED,
    "trailers": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n4\r\nbody\r\n0\r\n"
                b"X-T: 1\r\n\r\n",
    "continue-first": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n" + _SIZED,
    "encoded": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n" + _SIZED,
    "type-unsaid": b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n<html></html>\r\n",
    "folded": b"HTTP/1.1 200 OK\r\nX-Fold: a\r\n b\r\n" + _SIZED,
    "two-lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nbody!",
    "two-equal-lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nbody",
    "length-and-chunks": b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n"
                         b"body\r\n0\r\n\r\n",
    "strange-length": b"HTTP/1.1 200 OK\r\nContent-Length: +4\r\n\r\nbody",
    "strange-coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nbody",
    "bare-line-feeds": b"HTTP/1.1 200 OK\nContent-Length: 4\n\nbody",
    "space-before-colon": b"HTTP/1.1 200 OK\r\nX-A : 1\r\n" + _SIZED,
    "control-character": b"HTTP/1.1 200 OK\r\nX-A: a\x01b\r\n" + _SIZED,
    "no-name": b"HTTP/1.1 200 OK\r\n: 1\r\n" + _SIZED,
    "bad-status": b"HTTP/1.1 20 OK\r\n" + _SIZED,
    "low-status": b"HTTP/1.1 099 OK\r\n" + _SIZED,
    "high-status": b"HTTP/1.1 999 OK\r\n" + _SIZED,
    "http-2": b"HTTP/2.0 200 OK\r\n" + _SIZED,
    "http-1-2": b"HTTP/1.2 200 OK\r\n" + _SIZED,
    "garbage": b"hello\r\n\r\n",
    "nothing": b"",
    "half-a-head": b"HTTP/1.1 200 OK\r\nX-A",
}


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
            path = head.split(b" ", 2)[1].decode("latin-1")
            if path.startswith("/answer/"):
                writer.write(ANSWERS[path.removeprefix("/answer/")])
                await writer.drain()
                return
            said = b"by " + name.encode()
            answer = (b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-By: " + name.encode()
                      + b"\r\nX-Received: " + base64.b64encode(zlib.compress(head + body))
                      + b"\r\nX-Trailers: " + base64.b64encode(trailers)
                      + b"\r\nContent-Length: %d\r\n\r\n" % len(said))
            writer.write(answer if head.startswith(b"HEAD ") else answer + said)
            await writer.drain()
