r"""The messages of tests/corpus/http1, one file each, and what is to become of them.  Plain Python, for all tests.

A file is a block of `key: value` lines, an empty line, and the message.  In the message line breaks of the file mean
nothing; \r \n \t \\ \xHH are bytes, and \{TEXT*N} is TEXT, N times (and so on inside).  Values that are bytes
are written in the same way.  Keys that may stand several times are marked with a +.

    kind             request | response
    story            one line
    expect           accept         the head is taken, the body ends where the facts say
                     refuse STATUS  the head is refused
                     broken         the head is taken, the framing of the body is not
                     more           the message is cut: what is there is fine
    to               of a response: the method that it answers (GET)
    interim          of a response: statuses of the interim answers before the one that the facts are about

    Facts about the message; what is not said is not tested, but `body` and `next` are empty unless they are said:
    method host authority path query target reason trailers body next (bytes)   `next`: what follows the message
    status minor length max_forwards                                (numbers)   -1: none was said
    chunked close upgrade expect_continue absolute until_close no_body (yes, no)
    hop              the names of the lines that end at this hop, in their order, as they were written

    For tests of the running proxy:
    forwarded        yes | no | partly  does the endpoint (of a response: the client) get the message?  partly: at most
                     a part of it, and no clean end.  Said only where `expect` implies something else: accept yes,
                     refuse no, the others partly
    client           the statuses that the client may see; 404 where not every router would take it (no host, or *)
    upstream +       bytes that must be in what the endpoint receives
    upstream-not +   bytes that must not
    client-has +     bytes that must be in what the client receives
    client-not +     bytes that must not
"""
from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

HERE = Path(__file__).with_name("http1")

BYTES = {"method", "host", "authority", "path", "query", "target", "reason", "trailers", "body", "next"}
NUMBERS = {"status", "minor", "length", "max_forwards"}
ANSWERS = {"chunked", "close", "upgrade", "expect_continue", "absolute", "until_close", "no_body"}
SEVERAL = {"upstream", "upstream-not", "client-has", "client-not"}
OTHERS = {"kind", "story", "expect", "to", "interim", "hop", "forwarded", "client"}

_PIECE = re.compile(r"\\x([0-9a-f]{2})|\\([rnt\\])|(\\\{)|\*([0-9]+)\}|\n|([^\\])")
_ESCAPES = {"r": b"\r", "n": b"\n", "t": b"\t", "\\": b"\\"}
_IMPLIED = {"accept": "yes", "refuse": "no", "broken": "partly", "more": "partly"}


@dataclass(frozen=True, slots=True)
class Case:
    """One file."""

    name: str                   # request/te-cl
    kind: str
    story: str
    expect: str                 # accept, refuse, broken or more
    status: int                 # to refuse with, else 0
    message: bytes
    facts: dict[str, object]
    to: bytes
    interim: tuple[int, ...]
    forwarded: str
    client: tuple[int, ...]     # (): whatever the rest implies
    upstream: tuple[bytes, ...]
    upstream_not: tuple[bytes, ...]
    client_has: tuple[bytes, ...]
    client_not: tuple[bytes, ...]

    def __str__(self) -> str:
        return self.name


def unescaped(text: str) -> bytes:
    r"""The bytes that a text of the corpus stands for.

    >>> unescaped(r"a\x00\{b\r*2}")
    b'a\x00b\rb\r'
    """
    parts: list[bytearray] = [bytearray()]
    at = 0
    while at < len(text):
        piece = _PIECE.match(text, at)
        if piece is None:
            raise ValueError(f"no escape: {text[at:at + 10]!r}")
        at = piece.end()
        if piece[1]:
            parts[-1].append(int(piece[1], 16))
        elif piece[2]:
            parts[-1] += _ESCAPES[piece[2]]
        elif piece[3]:
            parts.append(bytearray())
        elif piece[4] and len(parts) > 1:
            repeated = parts.pop()
            parts[-1] += repeated * int(piece[4])
        elif piece[0] != "\n":
            parts[-1] += piece[0].encode("ascii")
    if len(parts) > 1:
        raise ValueError("a repetition has no end")
    return bytes(parts[0])


def read(text: str, name: str) -> Case:
    """One file's content; ValueError where a person made a mistake."""
    block, _, message = text.partition("\n\n")
    said: dict[str, str] = {}
    several: dict[str, tuple[bytes, ...]] = dict.fromkeys(SEVERAL, ())
    facts: dict[str, object] = {}
    for line in block.splitlines():
        key, colon, value = line.partition(":")
        value = value.removeprefix(" ")
        if key in SEVERAL:
            several[key] += (unescaped(value),)
        elif key in BYTES:
            facts[key] = unescaped(value)
        elif key in NUMBERS:
            facts[key] = int(value)
        elif key in ANSWERS:
            facts[key] = {"yes": True, "no": False}[value]
        elif key in OTHERS and colon and key not in said:
            said[key] = value
        else:
            raise ValueError(f"{name}: {line!r} says nothing")
    if "hop" in said:
        facts["hop"] = tuple(said["hop"].encode("ascii").split())
    expect, _, status = said["expect"].partition(" ")
    return Case(name, said["kind"], said["story"], expect, int(status or 0), unescaped(message), facts,
                said.get("to", "GET").encode("ascii"), tuple(map(int, said.get("interim", "").split())),
                said.get("forwarded", _IMPLIED[expect]), tuple(map(int, said.get("client", "").split())),
                several["upstream"], several["upstream-not"], several["client-has"], several["client-not"])


@cache
def cases(kind: str) -> tuple[Case, ...]:
    """All `request`s or all `response`s, by name."""
    return tuple(read(path.read_text("ascii"), f"{kind}/{path.stem}") for path in sorted((HERE / kind).glob("*.http")))
