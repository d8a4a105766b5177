"""An endpoint for tests, as a process: python endpoint.py NAME.  It prints its port and serves until it is killed.

Every answer carries X-By: NAME.  What waits at a gate waits until somebody opens it, or until its client is gone.

    ANY  /               JSON: by, method, target, version, headers (pairs), length, digest, framing, trailers
    GET  /bytes          ?size=N[&chunked=1]: the first N bytes of running.pattern
    GET  /held           ?gate=G: the answer of / when the gate is open
    GET  /halves         ?gate=G&size=N[&chunked=1]: half of /bytes, the other half when the gate is open
    GET  /events         ?gate=G&count=N: server-sent events; the first at once, the others when the gate is open
    GET  /cut            ?size=N[&chunked=1]: half of /bytes, then the connection is reset
    GET  /close          ?size=N: /bytes without a length, ended by the end of the connection
    POST /late           ?gate=G: reads the body when the gate is open, then as /
    POST /echo           the body back as it comes, with its framing
    PUT  /sum            JSON: length, sum (CRC-32, which is quicker than the digest)
    GET  /early          reads no body, answers 413 and closes
    POST /once           reads the head, and closes without an answer

    /-/seen, /-/open?gate=G, /-/forget: for the test, not counted.  Seen are: requests, paths (by path), ids (how many
    different X-Id), twice (those that came again), connections (that brought a request), open (of them now), gone
    (clients that left early), waiting (by gate), bytes and sent (of bodies, received and on their way).
"""
from __future__ import annotations

import contextlib
import hashlib
import json
import select
import socket
import struct
import sys
import threading
import zlib
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

PIECE = 1 << 18
PATTERN = bytes(range(251)) * 4178


class Gone(Exception):
    """The client left."""


class Seen:
    """What this endpoint received; one lock for all of it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.gates: dict[str, threading.Event] = {}
        self.open = self.connections = 0
        self.forget()

    def forget(self) -> None:
        self.requests = self.gone = self.bytes = self.sent = 0
        self.connections = self.open
        self.paths: Counter[str] = Counter()
        self.ids: Counter[str] = Counter()
        self.waiting: Counter[str] = Counter()

    def gate(self, name: str) -> threading.Event:
        with self.lock:
            return self.gates.setdefault(name, threading.Event())

    def told(self) -> dict[str, object]:
        with self.lock:
            return {"requests": self.requests, "paths": self.paths, "ids": len(self.ids), "connections":
                    self.connections, "twice": [each for each, count in self.ids.items() if count > 1], "open":
                    self.open, "gone": self.gone, "waiting": +self.waiting, "bytes": self.bytes,
                    "sent": self.sent}


SEEN = Seen()


def pieces(start: int, end: int) -> Iterator[bytes | memoryview]:
    """The bytes of the pattern from start to end."""
    view = memoryview(PATTERN)
    while start < end:
        at = start % len(PATTERN)
        piece = view[at:at + min(PIECE, end - start)]
        yield piece
        start += len(piece)


class Answerer(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 65536                    # a small answer is one write
    name = ""

    is_counted = False

    def finish(self) -> None:
        with contextlib.suppress(OSError):
            super().finish()
        with SEEN.lock:
            SEEN.open -= self.is_counted

    def handle(self) -> None:
        try:
            super().handle()
        except (Gone, OSError):
            with SEEN.lock:
                SEEN.gone += 1

    def parse_request(self) -> bool:
        if not super().parse_request():
            return False
        self.asked = urlsplit(self.path)
        self.query = {name: said[0] for name, said in parse_qs(self.asked.query).items()}
        self.is_chunked = "chunked" in self.headers.get("Transfer-Encoding", "").lower()
        self.trailers: list[list[str]] = []
        if self.asked.path.startswith("/-/"):
            self.close_connection = True
            return True
        with SEEN.lock:
            SEEN.connections += not self.is_counted
            SEEN.open += not self.is_counted
            self.is_counted = True
            SEEN.requests += 1
            SEEN.paths[self.asked.path] += 1
            if said := self.headers.get("X-Id"):
                SEEN.ids[said] += 1
        return True

    def handle_expect_100(self) -> bool:
        super().handle_expect_100()
        self.wfile.flush()
        return True

    def do_GET(self) -> None:
        path = self.asked.path
        if path == "/-/seen":
            self.whole(SEEN.told())
        elif path == "/-/open":
            SEEN.gate(self.query["gate"]).set()
            self.whole({})
        elif path == "/-/forget":
            with SEEN.lock:
                SEEN.forget()
            self.whole({})
        else:
            getattr(self, f"on_{path.strip('/').replace('-', '_')}", self.on_any)()
        self.wfile.flush()

    do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_GET

    def on_any(self) -> None:
        length, seen = 0, hashlib.sha256()
        for piece in self.body():
            length += len(piece)
            seen.update(piece)
        framing = "chunked" if self.is_chunked else "length" if "Content-Length" in self.headers else "none"
        self.whole({"by": self.name, "method": self.command, "target": self.path, "version": self.request_version,
                    "headers": self.headers.items(), "length": length, "digest": seen.hexdigest(),
                    "framing": framing, "trailers": self.trailers})

    def on_sum(self) -> None:
        length = value = 0
        for piece in self.body():
            length += len(piece)
            value = zlib.crc32(piece, value)
        self.whole({"length": length, "sum": value})

    def on_bytes(self) -> None:
        self.sent(int(self.query["size"]), "")

    def on_halves(self) -> None:
        self.sent(int(self.query["size"]), self.query["gate"])

    def on_held(self) -> None:
        self.wait(self.query["gate"])
        self.on_any()

    def on_late(self) -> None:
        self.wait(self.query["gate"], watching=False)
        self.on_any()

    def on_cut(self) -> None:
        size = int(self.query["size"])
        self.begin(None if "chunked" in self.query else size)
        for piece in pieces(0, size // 2):
            self.piece(piece)
        self.wfile.flush()
        self.reset()

    def on_close(self) -> None:
        self.close_connection = True
        self.send_response(200)
        self.send_header("X-By", self.name)
        self.send_header("Connection", "close")
        self.end_headers()
        for piece in pieces(0, int(self.query["size"])):
            self.wfile.write(piece)

    def on_events(self) -> None:
        self.begin(None, "text/event-stream")
        for number in range(int(self.query["count"])):
            self.piece(b"data: %d\n\n" % number)
            self.wfile.flush()
            if not number:
                self.wait(self.query["gate"])
        self.end()

    def on_echo(self) -> None:
        self.begin(None if self.is_chunked else int(self.headers.get("Content-Length", "0")))
        for piece in self.body():
            self.piece(piece)
            self.wfile.flush()
        self.end()

    def on_early(self) -> None:
        self.close_connection = True
        self.send_response(413)
        self.send_header("X-By", self.name)
        self.send_header("Content-Length", "0")
        self.send_header("Connection", "close")
        self.end_headers()

    def on_once(self) -> None:
        for _ in self.body():
            pass
        self.close_connection = True

    # Parts of an answer

    def whole(self, said: object) -> None:
        body = json.dumps(said).encode()
        self.begin(len(body), "application/json")
        if self.command != "HEAD":
            self.piece(body)

    def sent(self, size: int, gate: str) -> None:
        is_chunked = self.query.get("chunked")
        self.begin(None if is_chunked else size)
        if self.command == "HEAD":
            return
        for piece in pieces(0, size // 2):
            self.piece(piece)
        if gate:
            self.wfile.flush()
            self.wait(gate)
        for piece in pieces(size // 2, size):
            self.piece(piece)
        self.end()

    def begin(self, length: int | None, kind: str = "application/octet-stream") -> None:
        self.in_chunks = length is None and self.request_version == "HTTP/1.1"
        self.send_response(200)
        self.send_header("X-By", self.name)
        self.send_header("Content-Type", kind)
        if length is not None:
            self.send_header("Content-Length", str(length))
        elif self.in_chunks:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.close_connection = True
        self.end_headers()

    def piece(self, piece: bytes | memoryview) -> None:
        if not piece:
            return
        with SEEN.lock:
            SEEN.sent += 0 if self.asked.path.startswith("/-/") else len(piece)
        if self.in_chunks:
            self.wfile.write(b"%x\r\n" % len(piece))
            self.wfile.write(piece)
            self.wfile.write(b"\r\n")
        else:
            self.wfile.write(piece)

    def end(self) -> None:
        if self.in_chunks:
            self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()

    def body(self) -> Iterator[bytes]:
        for piece in self.chunks() if self.is_chunked else self.counted(int(self.headers.get("Content-Length", "0"))):
            with SEEN.lock:
                SEEN.bytes += len(piece)
            yield piece

    def counted(self, left: int) -> Iterator[bytes]:
        while left:
            piece = self.rfile.read1(min(left, PIECE))
            if not piece:
                raise Gone
            yield piece
            left -= len(piece)

    def chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline(1024).split(b";")[0] or b"0", 16):
            yield from self.counted(size)
            if self.rfile.readline(1024) != b"\r\n":
                raise Gone
        while (line := self.rfile.readline(PIECE)).strip():
            self.trailers.append([part.strip() for part in line.decode("latin-1").split(":", 1)])
        if not line:
            raise Gone

    def wait(self, gate: str, watching: bool = True) -> None:
        """Until the gate is open; raises Gone when the client leaves first."""
        event = SEEN.gate(gate)
        with SEEN.lock:
            SEEN.waiting[gate] += 1
        try:
            while not event.wait(0.01):
                if watching and self.has_gone():
                    raise Gone
        finally:
            with SEEN.lock:
                SEEN.waiting[gate] -= 1

    def has_gone(self) -> bool:
        return bool(select.select([self.connection], [], [], 0)[0]) and not self.connection.recv(1, socket.MSG_PEEK)

    def reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True

    def log_message(self, *said: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 4096

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)       # type: ignore[arg-type]

    def shutdown_request(self, request: socket.socket) -> None:     # type: ignore[override]
        # a plain close: a shutdown() first would send FIN where `reset` wants RST
        self.close_request(request)


if __name__ == "__main__":
    # a name, and where it listens unless that is any port of 127.0.0.1
    Answerer.name, address, port = (*sys.argv[1:], *("", "127.0.0.1", "0")[len(sys.argv) - 1:])
    with Server((address, int(port)), Answerer) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever(poll_interval=60)
