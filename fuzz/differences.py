"""Where another reader may differ from us, by name and with its reason: the one list of it.

Everything that is not listed is a defect of ours until it is understood.  Another reader may always accept what we
refuse: that they do is why we are strict.  Floor: none, it only compares.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from http1_others import by_h11, by_llhttp

LLHTTP_KNOWS_NO_OTHER_METHODS = frozenset(
    b"GET HEAD POST PUT DELETE OPTIONS PATCH TRACE CONNECT COPY LOCK MKCOL MOVE PROPFIND PROPPATCH SEARCH UNLOCK BIND "
    b"REBIND UNBIND ACL REPORT MKACTIVITY CHECKOUT MERGE M-SEARCH NOTIFY SUBSCRIBE UNSUBSCRIBE PURGE MKCALENDAR LINK "
    b"UNLINK SOURCE QUERY DESCRIBE ANNOUNCE SETUP PLAY PAUSE TEARDOWN GET_PARAMETER SET_PARAMETER "
    b"REDIRECT RECORD FLUSH".split())

Facts = dict[str, Any]


@dataclass(frozen=True)
class Difference:
    """`refused`: the other reader refuses the message; otherwise it sees another body, or another end of it."""

    name: str
    reason: str
    readers: tuple[Callable[..., Any], ...]
    refused: bool
    holds: Callable[[bytes, Facts], bool]       # of the message, and what we read in it


def _names(facts: Facts) -> set[bytes]:
    return {name.lower() for name, _ in facts["lines"]}


def _frames_in_trailers(message: bytes, facts: Facts) -> bool:
    section = message.lstrip(b"\r\n").partition(b"\r\n\r\n")[2].lower()
    section = b"\r\n" + section
    return facts["chunked"] and any(b"\r\n" + name + b":" in section
                                    for name in (b"content-length", b"transfer-encoding", b"host"))


LISTED = (
    Difference(
        "framing in trailers", "we drop framing and routing from trailers (RFC 9110 6.5.1); both refuse some of it",
        (by_llhttp, by_h11), True, _frames_in_trailers),
    Difference(
        "an empty line before the request", "h11 refuses it; RFC 9112 2.2 asks to skip it",
        (by_h11,), True, lambda message, facts: "method" in facts and message.startswith(b"\r\n")),
    Difference(
        "an unknown method", "llhttp has a list of methods; a proxy passes on every token (RFC 9110 9.1)",
        (by_llhttp,), True,
        lambda message, facts: facts.get("method", b"GET") not in LLHTTP_KNOWS_NO_OTHER_METHODS),
    Difference(
        "a switch that was not asked for", "h11 is told of no Upgrade in the request; the exchange checks it, too",
        (by_h11,), True, lambda message, facts: facts.get("status") == 101),
    Difference(
        "the length of an interim answer",
        "llhttp waits for a body; 1xx has none (RFC 9112 6.3), and we drop the length (RFC 9110 8.6)",
        (by_llhttp,), False,
        lambda message, facts: facts.get("status", 200) < 200 and b"content-length" in _names(facts)),
    Difference(
        "a length of more than 20 digits", "h11 refuses it; RFC 9110 8.6 allows any number of zeros in front",
        (by_h11,), True,
        lambda message, facts: any(
            name.lower() == b"content-length" and len(value) > 20 for name, value in facts["lines"])),
    Difference(
        "a body behind Upgrade",
        "llhttp takes it for the new protocol: why we pass no Upgrade on where there is a body",
        (by_llhttp,), False,
        lambda message, facts: ({b"upgrade", b"connection"} <= _names(facts) and not facts["upgrade"]
                                and (facts["chunked"] or facts["length"] > 0))),
)


def why_it_differs(message: bytes, facts: Facts, reader: Callable[..., Any], refused: bool) -> str | None:
    """The name of the listed difference that this is, or None."""
    for each in LISTED:
        if reader in each.readers and each.refused == refused and each.holds(message, facts):
            return each.name
    return None
