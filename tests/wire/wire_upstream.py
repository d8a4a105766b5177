"""An endpoint that does as a script says, and keeps every byte that it was sent.

Owns the other side of the proxy in these tests: each connection is one thread that follows one script from top to
bottom.  It reads requests by itself, strictly: what the proxy sends must have one meaning only.
"""
from __future__ import annotations

import contextlib
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

SHOWN = 2000
PATIENCE_S = 10.0           # longer than anything that a script waits for

_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!-~]+) HTTP/1\.1\Z")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[\t ]*"
                    rb"((?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?)[\t ]*\Z")
_CHUNK = re.compile(rb"[0-9a-f]{1,16}\Z")


class Ended(Exception):
    """The other side ended before what was waited for had come."""


@dataclass(slots=True)
class Seen:
    """One message as it came; `fields` have lower-case names."""

    method: bytes
    target: bytes
    fields: list[tuple[bytes, bytes]]
    head: bytes
    body: bytes = b""
    tail: bytes = b""               # of a chunked body: from the last chunk on
    trailers: list[tuple[bytes, bytes]] = field(default_factory=list)
    connection: int = 0             # on which connection of the endpoint it came, from 0

    def values(self, name: bytes) -> list[bytes]:
        return [value for said, value in self.fields if said == name]

    def value(self, name: bytes) -> bytes | None:
        """The value of a field that stands once, or None."""
        values = self.values(name)
        assert len(values) < 2, f"{name!r} stands {len(values)} times in {self.head!r}"
        return values[0] if values else None


def fields_of(lines: list[bytes]) -> list[tuple[bytes, bytes]]:
    fields = []
    for line in lines:
        match = _FIELD.match(line)
        assert match, f"no header field: {line!r}"
        fields.append((match[1].lower(), match[2]))
    return fields


class Reader:
    """Bytes from a socket, up to a mark or of a length; Ended where they end before."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.rest = b""
        self.all = bytearray()      # the first of them, for messages
        self.how = ""               # "end" or "reset", as soon as it is known

    def more(self) -> None:
        try:
            data = self.sock.recv(1 << 18)
        except ConnectionError:
            self.how = "reset"
            raise Ended(f"reset after {bytes(self.all)!r}") from None
        if not data:
            self.how = "end"
            raise Ended(f"the end after {bytes(self.all)!r}")
        self.rest += data
        self.all += data[:max(0, SHOWN - len(self.all))]

    def until(self, mark: bytes) -> bytes:
        while mark not in self.rest:
            self.more()
        found, _, self.rest = self.rest.partition(mark)
        return found + mark

    def exactly(self, count: int) -> bytes:
        parts, have = [], 0
        while have < count:
            if not self.rest:
                self.more()
            taken, self.rest = self.rest[:count - have], self.rest[count - have:]
            parts.append(taken)
            have += len(taken)
        return b"".join(parts)

    def chunks(self) -> tuple[bytes, list[tuple[bytes, bytes]], bytes]:
        """A chunked body, without extensions; its trailers; and the end of it, from the last chunk on, as it came."""
        parts = []
        while True:
            size = self.until(b"\r\n")[:-2]
            assert _CHUNK.match(size), f"no chunk size: {size!r}"
            if int(size, 16) == 0:
                break
            parts.append(self.exactly(int(size, 16)))
            assert self.exactly(2) == b"\r\n"
        lines = []
        while line := self.until(b"\r\n")[:-2]:
            lines.append(line)
        return b"".join(parts), fields_of(lines), b"\r\n".join([b"0", *lines, b"", b""])

    def end(self, within_s: float = 3.0) -> str:
        """How the other side ends, "end" or "reset"; what comes before goes to `rest`."""
        self.sock.settimeout(within_s)
        try:
            while not self.how:
                self.more()
        except Ended:
            pass
        except TimeoutError:
            raise AssertionError(f"the connection was not ended within {within_s:g} s") from None
        self.sock.settimeout(PATIENCE_S)
        return self.how


def reset(sock: socket.socket) -> None:
    """Closes with a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class Conversation:
    """One connection to the endpoint, as its script sees it."""

    def __init__(self, upstream: Upstream, sock: socket.socket, number: int, port: int) -> None:
        self.upstream, self.sock, self.number, self.port = upstream, sock, number, port     # port: the other side's
        self.reader = Reader(sock)
        sock.settimeout(PATIENCE_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def head(self) -> Seen:
        """The next request's head, which is counted as soon as it is whole."""
        raw = self.reader.until(b"\r\n\r\n")
        lines = raw[:-4].split(b"\r\n")
        start = _LINE.match(lines[0])
        assert start, f"no request line: {lines[0]!r}"
        assert not {*b"\r\n"} & {*raw.replace(b"\r\n", b"")}, raw
        seen = Seen(start[1], start[2], fields_of(lines[1:]), raw, connection=self.number)
        assert len(seen.values(b"host")) == 1, raw
        assert len(seen.values(b"content-length")) + len(seen.values(b"transfer-encoding")) <= 1, raw
        self.upstream.requests.append(seen)
        return seen

    def body(self, seen: Seen) -> Seen:
        length = seen.value(b"content-length")
        if seen.value(b"transfer-encoding") == b"chunked":
            seen.body, seen.trailers, seen.tail = self.reader.chunks()
        elif length is not None:
            seen.body = self.reader.exactly(int(length))
        return seen

    def request(self) -> Seen:
        """The next request, with its body."""
        return self.body(self.head())

    def send(self, *parts: bytes) -> None:
        for part in parts:
            self.sock.sendall(part)

    def until(self, event: threading.Event) -> None:
        assert event.wait(PATIENCE_S), "what the script waited for did not happen"

    def ended(self, within_s: float = 3.0) -> str:
        """How the proxy ends the connection."""
        return self.reader.end(within_s)

    def finish(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.sock.close()

    def reset(self) -> None:
        reset(self.sock)


Script = Callable[[Conversation], None]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def answering(answer: bytes = OK, times: int = 1 << 30) -> Script:
    """A script that gives every request the same answer, and closes after so many."""
    def script(conversation: Conversation) -> None:
        for _ in range(times):
            conversation.request()
            conversation.send(answer)
        conversation.close()
    return script


class Upstream:
    """One address.  It refuses connections until `follow`; scripts are for connections in the order in which they come,
    the last one also for all that come later."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        # a port that was asked for by its number stays ours when we stop to listen
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.bind(("127.0.0.1", self.port))
        self._clear()

    def _clear(self) -> None:
        self.requests: list[Seen] = []
        self.conversations: list[Conversation] = []
        self.failures: list[BaseException] = []
        self.threads: list[threading.Thread] = []
        self.accepting: threading.Thread | None = None
        self.closing = False

    def follow(self, *scripts: Script) -> Upstream:
        """From now on connections are accepted."""
        assert self.accepting is None
        self.sock.listen(64)
        self.accepting = threading.Thread(target=self._accept, args=(scripts,), daemon=True)
        self.accepting.start()
        return self

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        """Meanwhile it takes no connection: its queue is full, and nobody accepts."""
        self.sock.listen(0)
        waiting = []
        for _ in range(2):          # one more than the backlog
            waiting.append(socket.socket())
            waiting[-1].setblocking(False)
            waiting[-1].connect_ex(("127.0.0.1", self.port))
        try:
            yield
        finally:
            for sock in waiting:
                sock.close()
            self.sock.shutdown(socket.SHUT_RDWR)

    def _accept(self, scripts: tuple[Script, ...]) -> None:
        while True:
            try:
                sock, address = self.sock.accept()
            except OSError:
                return
            if self.closing:
                sock.close()
                return
            number = len(self.conversations)
            conversation = Conversation(self, sock, number, address[1])
            self.conversations.append(conversation)
            thread = threading.Thread(target=self._converse, daemon=True,
                                      args=(scripts[min(number, len(scripts) - 1)], conversation))
            self.threads.append(thread)
            thread.start()

    def _converse(self, script: Script, conversation: Conversation) -> None:
        try:
            script(conversation)
        except (Ended, ConnectionError):
            pass                    # the proxy ended; what had come is in `requests`
        except OSError as error:
            if not self.closing:
                self.failures.append(error)
        except BaseException as error:
            self.failures.append(error)
        conversation.sock.close()

    def fail_if_failed(self) -> None:
        if self.failures:
            raise self.failures[0]

    def stop(self) -> None:
        """Ends all connections and refuses new ones; then it is as new."""
        self.closing = True
        if self.accepting is not None:
            self.sock.shutdown(socket.SHUT_RDWR)
            self.accepting.join(PATIENCE_S)
        for conversation in self.conversations:
            try:
                conversation.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass                # it is closed
        for thread in self.threads:
            thread.join(PATIENCE_S)
        self._clear()
