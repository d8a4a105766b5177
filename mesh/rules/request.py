"""What a rule may ask of a request, and a plain request for everybody who has no connection: explain, check, tests.

The data path's own request head offers the same five answers; nothing here is on its way.  Floor 1.
"""
from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import unquote_to_bytes

_STRAY_PERCENT = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_PORT = re.compile(rb":[0-9]*$")


class Asked(Protocol):
    """A request as rules see it."""

    @property
    def host(self) -> bytes:
        """Lower case, without port and trailing dot, v6 addresses in brackets; b"" where none was said."""

    @property
    def path(self) -> bytes:
        """Cleaned: dot segments resolved, unreserved characters decoded, digits of escapes in upper case."""

    @property
    def method(self) -> bytes: ...

    @property
    def peer(self) -> bytes:
        """The address of the client as text."""

    def header_values(self, lower_name: bytes, /) -> list[bytes]: ...

    def query_values(self, key: bytes, /) -> list[bytes]: ...


@dataclass(frozen=True, slots=True)
class Request:
    """A request made of plain values; `query` is what stands behind the question mark, as sent."""

    host: bytes = b""
    path: bytes = b"/"
    method: bytes = b"GET"
    peer: bytes = b"127.0.0.1"
    headers: Sequence[tuple[bytes, bytes]] = ()
    query: bytes = b""

    def header_values(self, lower_name: bytes) -> list[bytes]:
        return [value for name, value in self.headers if name.lower() == lower_name]

    def query_values(self, key: bytes) -> list[bytes]:
        pairs = (pair.partition(b"=") for pair in self.query.split(b"&") if pair and not _STRAY_PERCENT.search(pair))
        return [_form_decoded(value) for name, _, value in pairs if _form_decoded(name) == key]


def host_key(authority: bytes) -> bytes:
    """The form in which hosts are compared: lower case, without port and trailing dot.

    >>> host_key(b"Orders.Shop.mesh.:8080")
    b'orders.shop.mesh'
    """
    return _PORT.sub(b"", authority).removesuffix(b".").lower()


def _form_decoded(text: bytes) -> bytes:
    return unquote_to_bytes(text.replace(b"+", b" "))
