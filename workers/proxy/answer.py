"""What the proxy answers by itself: short, who says it, why, and the id under which the logs know the request.

Owns the form of our own answers; when one is given, the exchange decides.  Floor 3.
"""
from __future__ import annotations

from http import HTTPStatus

from mesh.names import PRODUCT

_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}
_REASONS[414] = b"URI Too Long"             # RFC 9110; older Pythons know older words
_REASONS[413] = b"Content Too Large"
_SERVER = PRODUCT.encode()
ALLOWED = b"Allow: GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH\r\n"
RETRY_SOON = b"Retry-After: 1\r\n"          # the endpoints may be back with the next edit or probe


def own_answer(status: int, why: bytes, request_id: bytes, date: bytes, close: bool, to_head: bool,
               minor: int = 1) -> bytes:
    """The whole message; `date` is a Date line.  Without `why` it has no body (an answer to OPTIONS *)."""
    reason = _REASONS.get(status, b"Unknown")
    body = b"%d %s: %s\n%s, request %s\n" % (status, reason, why, _SERVER, request_id) if why else b""
    more = {405: ALLOWED, 200: ALLOWED, 503: RETRY_SOON}.get(status, b"")
    connection = b"Connection: close\r\n" if close else b"" if minor else b"Connection: keep-alive\r\n"
    kind = b"Content-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n" if body else b""
    return b"HTTP/1.1 %d %s\r\n%sServer: %s\r\n%sContent-Length: %d\r\nX-Request-Id: %s\r\n%s%s\r\n%s" % (
        status, reason, date, _SERVER, kind, len(body), request_id, more, connection, b"" if to_head else body)
