"""Long-lived streams: a small server behind the proxies and a client in front of them, for WebSocket and for events.

Both are plain epoll loops.  They cost more CPU than a proxy does; that does not matter, because what is compared is the
proxy's own.  The client reads the proxy's cost itself, when all its connections stand and again at the end.

    python -m bench.talk serve PORT
    python -m bench.talk websocket|events PORT HOST CONNECTIONS SECONDS PID-OF-THE-PROXY
"""
from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import select
import socket
import sys
import time
from collections.abc import Iterator

from bench.load import percentile
from bench.processes import cost_of, parents, tree

PAYLOAD = b"x" * 100
EVENT_S = 0.01                          # between two events on one connection
_KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"        # RFC 6455 4.2.2
ASKS = b"\x82" + bytes([0x80 | len(PAYLOAD)]) + b"\0\0\0\0" + PAYLOAD     # masked, as it must be, by zeros
ANSWERS = b"\x82" + bytes([len(PAYLOAD)]) + PAYLOAD
_EVENT = b"data: " + PAYLOAD + b"\n\n"
CHUNK = b"%x\r\n" % len(_EVENT) + _EVENT + b"\r\n"


def accept_of(key: bytes) -> bytes:
    """The value of Sec-WebSocket-Accept for a key (RFC 6455 4.2.2)."""
    return base64.b64encode(hashlib.sha1(key + _MAGIC).digest())


def serve(port: int) -> None:
    """Answers each WebSocket frame by one of the same size; sends an event every 10 ms to whoever asked for events."""
    poll = select.epoll()
    listener = socket.create_server(("0.0.0.0", port), backlog=1024)
    poll.register(listener, select.EPOLLIN)
    heads: dict[int, tuple[socket.socket, bytes]] = {}
    sockets: dict[int, tuple[socket.socket, int]] = {}          # with the bytes of a frame that is not complete yet
    listening: dict[int, socket.socket] = {}
    tick = time.monotonic()
    while True:
        ready = poll.poll(max(0.0, tick - time.monotonic()) if listening else None)
        for fd, _ in ready:
            if fd == listener.fileno():
                sock, _ = listener.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                heads[sock.fileno()] = sock, b""
                poll.register(sock, select.EPOLLIN)
                continue
            with contextlib.suppress(ConnectionError, BlockingIOError):
                if fd in sockets:
                    sock, held = sockets[fd]
                    got = len(sock.recv(65536, socket.MSG_DONTWAIT))
                    if got:
                        frames, held = divmod(held + got, len(ASKS))
                        sockets[fd] = sock, held
                        if frames:
                            sock.sendall(ANSWERS * frames)
                        continue
                elif fd in heads:
                    sock, head = heads[fd]
                    more = sock.recv(65536)
                    heads[fd] = sock, head + more
                    if b"\r\n\r\n" in head + more:
                        _begin(heads, fd, sockets, listening)
                    if more:
                        continue
            poll.unregister(fd)
            for those in (heads, sockets, listening):
                those.pop(fd, None)
        if listening and time.monotonic() >= tick:
            tick = max(tick + EVENT_S, time.monotonic())
            for fd, sock in list(listening.items()):
                with contextlib.suppress(BlockingIOError):
                    try:
                        sock.send(CHUNK, socket.MSG_DONTWAIT)
                    except ConnectionError:
                        poll.unregister(fd)
                        del listening[fd]


def _begin(heads: dict[int, tuple[socket.socket, bytes]], fd: int, sockets: dict[int, tuple[socket.socket, int]],
           listening: dict[int, socket.socket]) -> None:
    """Answers the head of a request; what the connection is from then on, the request says."""
    sock, head = heads.pop(fd)
    key = next((line.partition(b":")[2].strip() for line in head.split(b"\r\n")
                if line.lower().startswith(b"sec-websocket-key:")), None)
    if key is not None:
        sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     b"Sec-WebSocket-Accept: " + accept_of(key) + b"\r\n\r\n")
        sockets[fd] = sock, 0
    elif b" /events" in head.split(b"\r\n")[0]:
        # nginx gathers small pieces unless an answer says that it should not
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"
                     b"Cache-Control: no-store\r\nX-Accel-Buffering: no\r\n\r\n")
        listening[fd] = sock
    else:
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        heads[fd] = sock, b""


def connect(port: int, host: str, target: str, more: bytes, status: bytes) -> socket.socket:
    """A connection whose answer has begun; the bytes behind its head are dropped."""
    sock = socket.create_connection(("127.0.0.1", port), 10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n".encode() + more + b"\r\n")
    head = b""
    while b"\r\n\r\n" not in head:
        if not (got := sock.recv(1)):
            break
        head += got
    if not head.startswith(b"HTTP/1.1 " + status):
        raise ConnectionError(f"not {status.decode()} but {head[:80]!r}")
    return sock


def talk(kind: str, port: int, host: str, connections: int, seconds: float, pid: int) -> dict[str, object]:
    """Talks for so long; answers the messages that came, the time they took (us), and the proxy's cost."""
    if kind == "websocket":
        upgrade = (b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
                   + _KEY + b"\r\n")
        made = [connect(port, host, "/", upgrade, b"101") for _ in range(connections)]
    else:
        made = [connect(port, host, "/events", b"", b"200") for _ in range(connections)]
    count, took, lost = 0, [], 0
    family = tree(pid, parents())
    size = len(ANSWERS) if kind == "websocket" else len(CHUNK)
    for round_s, counts in ((min(1.0, seconds / 3), False), (seconds, True)):
        before = cost_of(family)
        for got, elapsed, ended in _exchange(kind, made, size, round_s):
            lost += ended
            if counts:
                count += got
                took.append(elapsed)
        cost = cost_of(family).since(before)
    took.sort()
    return {"messages": count, "p50_us": percentile(took, 50) * 1e6, "p99_us": percentile(took, 99) * 1e6,
            "lost": lost, "cpu": cost.cpu, "user": cost.user, "system": cost.system,
            "busiest": max(cost.by_process.values(), default=0.0)}


def _exchange(kind: str, made: list[socket.socket], size: int, seconds: float) -> Iterator[tuple[int, float, bool]]:
    """Of everything that comes in: how many whole messages, after what time, and whether the connection ended."""
    poll = select.epoll()
    asks = kind == "websocket"
    state: dict[int, tuple[socket.socket, int, float]] = {}
    for sock in made:
        poll.register(sock, select.EPOLLIN)
        state[sock.fileno()] = sock, 0, time.perf_counter()
        if asks:
            sock.sendall(ASKS)
    end = time.monotonic() + seconds
    while state and (now := time.monotonic()) < end:
        for fd, _ in poll.poll(end - now):
            sock, held, since = state[fd]
            got = len(sock.recv(65536))
            if not got:
                poll.unregister(fd)
                del state[fd]
                yield 0, 0.0, True
                continue
            whole, held = divmod(held + got, size)
            now = time.perf_counter()
            if asks and whole:
                sock.sendall(ASKS)
            state[fd] = sock, held, now if whole else since
            if whole:
                yield whole, now - since, False
    if asks:                            # what is still on its way belongs to nobody
        for sock, held, _ in state.values():
            while held < size:
                held += len(sock.recv(size - held)) or size
    poll.close()


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(int(sys.argv[2]))
    else:
        _, what, at, asked, many, length, proxy = sys.argv
        print(json.dumps(talk(what, int(at), asked, int(many), float(length), int(proxy))))
