"""A client that sends exactly the bytes it is given, and reads answers as strictly as the endpoint reads requests."""
from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from wire_upstream import PATIENCE_S, Ended, Reader, fields_of, reset

_STATUS = re.compile(rb"HTTP/1\.1 ([1-5][0-9][0-9]) ([\t -~\x80-\xff]*)\Z")


def soon(holds: Callable[[], Any], within_s: float = 5.0) -> Any:
    """What `holds` answers as soon as that is true."""
    deadline = time.monotonic() + within_s
    while not (answer := holds()):
        assert time.monotonic() < deadline, f"not within {within_s:g} s"
        time.sleep(0.005)
    return answer


class CutOff(Exception):
    """The answer ended before its end; `how` says "end" or "reset", `answer` holds what came."""

    def __init__(self, how: str, answer: Answer | None, raw: bytearray) -> None:
        super().__init__(f"{how} in the middle of an answer: {bytes(raw)!r}")
        self.how, self.answer, self.raw = how, answer, raw


@dataclass(slots=True)
class Answer:
    """One final answer and the interim ones before it; `fields` have lower-case names."""

    status: int
    reason: bytes
    fields: list[tuple[bytes, bytes]]
    head: bytes
    body: bytes = b""
    tail: bytes = b""               # of a chunked body: from the last chunk on
    trailers: list[tuple[bytes, bytes]] = field(default_factory=list)
    interims: list[Answer] = field(default_factory=list)
    unframed: bool = False          # it ended with the connection

    def values(self, name: bytes) -> list[bytes]:
        return [value for said, value in self.fields if said == name]

    def value(self, name: bytes) -> bytes | None:
        """The value of a field that stands once, or None."""
        values = self.values(name)
        assert len(values) < 2, f"{name!r} stands {len(values)} times in {self.head!r}"
        return values[0] if values else None


class Client:
    """One connection to an entrypoint."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.sock = socket.create_connection(address, timeout=PATIENCE_S)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = Reader(self.sock)

    def send(self, *parts: bytes) -> Client:
        for part in parts:
            self.sock.sendall(part)
        return self

    def get(self, host: bytes, target: bytes = b"/", more: bytes = b"", method: bytes = b"GET") -> Client:
        return self.send(b"%s %s HTTP/1.1\r\nHost: %s\r\n%s\r\n" % (method, target, host, more))

    def post(self, host: bytes, body: bytes, more: bytes = b"", method: bytes = b"POST",
             target: bytes = b"/") -> Client:
        """With its whole body, in one piece."""
        return self.send(b"%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n%s\r\n%s" % (
            method, target, host, len(body), more, body))

    def head(self) -> Answer:
        """The next head, interim or final."""
        raw = self.reader.until(b"\r\n\r\n")
        lines = raw[:-4].split(b"\r\n")
        start = _STATUS.match(lines[0])
        assert start, f"no status line: {lines[0]!r}"
        answer = Answer(int(start[1]), start[2], fields_of(lines[1:]), raw)
        assert len(answer.values(b"content-length")) + len(answer.values(b"transfer-encoding")) <= 1, raw
        return answer

    def answer(self, method: bytes = b"GET", version: bytes = b"1.1") -> Answer:
        """The next final answer.  Raises CutOff where it is not whole."""
        interims, answer = [], None
        try:
            while (answer := self.head()).status < 200 and answer.status != 101:
                interims.append(answer)
            answer.interims = interims
            length = answer.value(b"content-length")
            if method == b"HEAD" or answer.status in (101, 204, 304):
                return answer
            if answer.value(b"transfer-encoding") == b"chunked":
                answer.body, answer.trailers, answer.tail = self.reader.chunks()
            elif length is not None:
                answer.body = self.reader.exactly(int(length))
            else:
                answer.unframed = True
                if self.reader.end(PATIENCE_S) == "reset":
                    raise CutOff("reset", answer, self.reader.all)
                answer.body, self.reader.rest = self.reader.rest, b""
        except Ended:
            raise CutOff(self.reader.how, answer, self.reader.all) from None
        return answer

    def finish(self) -> Client:
        """Ends our side alone."""
        self.sock.shutdown(socket.SHUT_WR)
        return self

    def ended(self, within_s: float = 3.0) -> str:
        """How the proxy ends the connection, without another byte."""
        how = self.reader.end(within_s)
        assert self.reader.rest == b"", f"bytes that nobody asked for: {self.reader.rest[:300]!r}"
        return how

    def reset(self) -> None:
        reset(self.sock)

    def close(self) -> None:
        self.sock.close()
