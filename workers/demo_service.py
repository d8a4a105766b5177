"""One small real HTTP service, as the demo starts three of: python -m workers.demo_service NAME INSTANCE PARENT

Owns its answers: every one says which instance gave it.  It prints its port as its first line and lives until it is
told to stop, or until the process PARENT is gone.  Stdlib alone; it knows nothing of the mesh.  Floor 4.

    GET /               who answers, and what arrived
    GET /slow?seconds=2 the same, later
    GET /events?count=5 server-sent events, one every half second
    POST /              what was sent, as it comes
"""
from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

PIECE = 65536
EVENT_S = 0.5
MOST_S = 60.0               # for /slow
MOST_EVENTS = 1000
_PR_SET_PDEATHSIG = 1


class Answerer(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    service = instance = ""

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        if asked.path == "/slow":
            time.sleep(_number(asked.query, "seconds", 2.0, MOST_S))
        if asked.path == "/events":
            self._events(int(_number(asked.query, "count", 5, MOST_EVENTS)))
        else:
            self._json({"service": self.service, "instance": self.instance, "method": self.command, "path": self.path,
                        "host": self.headers.get("Host", ""), "client": self.headers.get("X-Forwarded-For", "")})

    do_HEAD = do_GET
    do_DELETE = do_GET

    def do_POST(self) -> None:
        """Sends the body back while it still comes, with the length or the chunks that it came with."""
        length = self.headers.get("Content-Length")
        self.send_response(200)
        self.send_header("X-Instance", self.instance)
        self.send_header("Content-Type", self.headers.get("Content-Type", "application/octet-stream"))
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for piece in self._chunks():
                self._chunk(piece)
            self._chunk(b"")
        else:
            self.send_header("Content-Length", length or "0")
            self.end_headers()
            left = int(length or 0)
            while left and (piece := self.rfile.read(min(left, PIECE))):
                self.wfile.write(piece)
                left -= len(piece)

    do_PUT = do_POST
    do_PATCH = do_POST

    def log_message(self, *said: object) -> None:
        """The proxy keeps the log."""

    def _json(self, said: dict[str, str]) -> None:
        body = json.dumps(said).encode() + b"\n"
        self.send_response(200)
        self.send_header("X-Instance", self.instance)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if self.headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in self.headers:
            self.send_header("Connection", "close")         # a body that we do not read is not the next request
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _events(self, count: int) -> None:
        self.send_response(200)
        self.send_header("X-Instance", self.instance)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if self.command == "HEAD":
            return
        for number in range(1, count + 1):
            said = json.dumps({"instance": self.instance, "number": number, "of": count})
            self._chunk(f"id: {number}\ndata: {said}\n\n".encode())
            if number < count:
                time.sleep(EVENT_S)
        self._chunk(b"")

    def _chunk(self, piece: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline(1024).split(b";")[0], 16):
            while size and (piece := self.rfile.read(min(size, PIECE))):
                yield piece
                size -= len(piece)
            self.rfile.readline(1024)
        while self.rfile.readline(PIECE).strip():       # trailers
            continue


class Server(ThreadingHTTPServer):
    """A thread per connection; clients that go away are no news."""

    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)   # type: ignore[arg-type]


def _number(query: str, name: str, usual: float, most: float) -> float:
    try:
        return min(max(0.0, float(parse_qs(query)[name][0])), most)
    except (KeyError, ValueError):
        return usual


def main(service: str, instance: str, parent: int) -> None:
    """Serves until SIGTERM."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        return                  # it died before we asked to be told
    Answerer.service, Answerer.instance = service, instance
    with Server(("127.0.0.1", 0), Answerer) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)    # the terminal's Ctrl-C reaches us too, but the demo ends us
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
