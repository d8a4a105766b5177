"""Messages that are nearly right: the corpus, changed in ways that readers of HTTP/1 are known to stumble over.

Everything is a function of its arguments and of one random.Random, so that a seed tells a whole run.
"""
from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from http1_cases import cases

EDITS = [
    b"", b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b"0", b"1", b"a", b",", b";", b"\0", b"\x0b", b"\xff", b"chunked",
    b"Content-Length: 1\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: b\r\n", b"Connection: close\r\n", b"X: y\r\n",
    b"Upgrade: x\r\n", b"/", b"?", b"*", b"%41", b"http://b", b"HTTP/1.0", b"HTTP/1.1", b"204", b"304", b"0\r\n\r\n",
    b"1\r\nx\r\n", b"GET", b'"', b"=", b"\\", b"@", b"-", b"+", b"_"]

MORE = [
    *EDITS, b"\x0c", b"\x7f", b"\x80", b"\xa0", b"\x85", b"\x1c", b"[::1]", b"]", b"..", b"/.", b"%2e", b"%2F", b"%",
    b"#", b"HTTP/2.0", b"OPTIONS", b"CONNECT", b"HEAD", b"TRACE", b"PURGE", b"M-SEARCH", b"100", b"101", b"199", b"205",
    b"Content-Length: 0\r\n", b"Content-Length: 3\r\n", b"Content-Length:\r\n", b"Transfer-Encoding: identity\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n", b"Connection: upgrade\r\n", b"Connection: keep-alive, x\r\n",
    b"Connection: transfer-encoding\r\n", b"Connection: content-length\r\n", b"Expect: 100-continue\r\n",
    b"Keep-Alive: timeout=5\r\n", b"TE: trailers\r\n", b"Trailer: x\r\n", b"Proxy-Connection: close\r\n",
    b"Max-Forwards: 0\r\n", b"Via: 1.1 a\r\n", b"X-Forwarded-For: 1\r\n", b"X_Forwarded_For: 1\r\n", b"Date: x\r\n",
    b"X-Request-Id: 7\r\n", b"Upgrade: websocket\r\n", b"Upgrade: h2c\r\n", b";a=b", b';a="b"', b"ffffffffffffffff",
    b"7fffffffffffffff", b"00000000000000001", b"9223372036854775807", b"9223372036854775808", b"0x1", b"1_0", b" \r\n",
    b"\r\n\r\n", b"\r\n ", b" :", b"close", b"keep-alive", b"upgrade", b"trailers", b"x\r\n0\r\n", b"5\r\nhello\r\n"]

CHUNKED_HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

Mutation = Callable[[random.Random, bytes, Sequence[bytes]], bytes]


def edited(message: bytes, edits: Sequence[tuple[int, int, bytes]]) -> bytes:
    """With each (place, bytes removed there, bytes inserted there) in turn."""
    for place, removed, inserted in edits:
        at = place % (len(message) + 1)
        message = message[:at] + inserted + message[at + removed:]
    return message


def _edit(rng: random.Random, message: bytes, others: Sequence[bytes]) -> bytes:
    return edited(message, [(rng.randrange(1 << 16), rng.choice((0, 0, 0, 1, 2, 7)), rng.choice(MORE))])


def _edit_at_a_seam(rng: random.Random, message: bytes, others: Sequence[bytes]) -> bytes:
    """Where one part of a message ends and another begins."""
    seams = [at for at, byte in enumerate(message) if byte in b"\r\n :,;/?="]
    if not seams:
        return message
    return edited(message, [(rng.choice(seams) + rng.randrange(2), rng.choice((0, 0, 1)), rng.choice(MORE))])


def _byte(rng: random.Random, message: bytes, others: Sequence[bytes]) -> bytes:
    if not message:
        return message
    at = rng.randrange(len(message))
    return message[:at] + bytes((message[at] ^ 1 << rng.randrange(8),)) + message[at + 1:]


def _lines(rng: random.Random, message: bytes, others: Sequence[bytes]) -> bytes:
    """One is doubled, left out, moved, or comes from another message."""
    lines = message.splitlines(keepends=True)
    if not lines:
        return message
    at, to, what = rng.randrange(len(lines)), rng.randrange(len(lines) + 1), rng.randrange(4)
    if what == 0:
        lines.insert(to, lines[at])
    elif what == 1:
        del lines[at]
    elif what == 2:
        lines.insert(to, lines.pop(at))
    else:
        lines.insert(to, rng.choice(rng.choice(others).splitlines(keepends=True) or [b""]))
    return b"".join(lines)


def _case(rng: random.Random, message: bytes, others: Sequence[bytes]) -> bytes:
    at = rng.randrange(len(message) + 1)
    end = at + rng.randrange(1, 20)
    return message[:at] + message[at:end].swapcase() + message[end:]


def _repeated(rng: random.Random, message: bytes, others: Sequence[bytes]) -> bytes:
    at = rng.randrange(len(message) + 1)
    end = at + rng.randrange(1, 12)
    return message[:end] + message[at:end] * rng.choice((1, 1, 2, 3, 9, 70)) + message[end:]


def _crossed(rng: random.Random, message: bytes, others: Sequence[bytes]) -> bytes:
    """The head of one with the body of another."""
    return message.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" + rng.choice(others).partition(b"\r\n\r\n")[2]


def _appended(rng: random.Random, message: bytes, others: Sequence[bytes]) -> bytes:
    return message + rng.choice(others)


MUTATIONS: tuple[Mutation, ...] = (
    _edit, _edit, _edit_at_a_seam, _edit_at_a_seam, _edit_at_a_seam, _byte, _lines, _lines, _case, _repeated, _crossed,
    _appended)


def mutated(rng: random.Random, message: bytes, others: Sequence[bytes], most: int = 4096) -> bytes:
    """A few changes, of any kind; `others` are what lines and bodies may come from."""
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 5))):
        message = rng.choice(MUTATIONS)(rng, message, others)
    return message[:most]


def seeds(target: str, most: int = 2000) -> list[bytes]:
    """What the corpus has for a target: whole messages, of at most so many bytes; of `body`, chunked bodies alone."""
    if target == "body":
        return [case.message.partition(b"\r\n\r\n")[2] for kind in ("request", "response") for case in cases(kind)
                if "chunk" in case.name and len(case.message) <= most]
    return [case.message for case in cases(target) if len(case.message) <= most]
