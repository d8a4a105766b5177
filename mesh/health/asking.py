"""What an HTTP probe sends, and how much of the answer it reads: as data.

Owns the bytes of the request, the strict reading of a status line (RFC 9112 section 4), and where a redirect leads.  Of
an answer only that is read; the length of its body does not matter to a probe, which closes its connection.  It opens
nothing (workers/agent/probe.py does).  Floor 1.
"""
from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, urljoin, urlsplit

from mesh.model import HealthCheck
from mesh.names import PRODUCT

MOST_HEAD_BYTES = 16384         # of an answer: interim ones together with the last
MOST_REDIRECTS = 3
REDIRECTS = (301, 302, 303, 307, 308)

_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])(?: [\t\x20-\x7e\x80-\xff]*)?\r?\n")
_LONGEST_LINE = 1024
_BEGIN = b"HTTP/1."
_LOCATION = re.compile(rb"\n[Ll][Oo][Cc][Aa][Tt][Ii][Oo][Nn]:[ \t]*([^\r\n]*?)[ \t]*\r?\n")
_END = re.compile(rb"\n\r?\n")
_SAFE = "/%?&=:@!$'()*+,;~[]-._"


@dataclass(frozen=True, slots=True)
class Asked:
    """One request of a probe: where to connect, and what to send there."""

    scheme: str                     # http | https
    host: str                       # to connect to: an address or a name
    port: int
    target: str                     # path and query
    authority: str                  # the Host header
    method: str
    headers: tuple[tuple[str, str], ...]
    head: bytes                     # the request, whole: made once, sent for years


def _asked(scheme: str, host: str, port: int, target: str, authority: str, method: str,
           headers: tuple[tuple[str, str], ...]) -> Asked:
    given = {name.lower() for name, _ in headers}
    lines = [f"{method} {target} HTTP/1.1"]
    for name, value in (("Host", authority), ("User-Agent", f"{PRODUCT}-health"), ("Accept", "*/*")):
        if name.lower() not in given:
            lines.append(f"{name}: {value}")
    lines += [f"{name}: {value}" for name, value in headers
              if name.lower() not in ("connection", "content-length", "transfer-encoding")]
    if method in ("POST", "PUT", "PATCH"):
        lines.append("Content-Length: 0")
    lines.append("Connection: close")
    head = "".join(f"{_one_line(line)}\r\n" for line in (*lines, "")).encode("utf-8", "surrogatepass")
    return Asked(scheme, host, port, target, authority, method, headers, head)


def asked_of(url: str, check: HealthCheck) -> Asked:
    """The request for this endpoint; ValueError for a url that leads nowhere."""
    parts = urlsplit(url)
    scheme = check.scheme or parts.scheme
    host, port = parts.hostname or "", check.port or parts.port or _port_of(scheme)
    if not host:
        raise ValueError(f"{url} has no host")
    # as Traefik: the check's path stands in the place of the url's, its host and port go on to hold
    path = check.path if check.path.startswith("/") else f"/{check.path}"
    return _asked("https" if scheme == "https" else "http", host, port, quote(path, safe=_SAFE),
                  check.hostname or _authority(host, port, scheme), check.method.upper() or "GET", check.headers)


def redirected(asked: Asked, status: int, location: str) -> Asked:
    """The request that follows a redirect; ValueError where it leads nowhere.

    To another host go neither the check's hostname nor its headers, which may hold a secret.
    """
    parts = urlsplit(urljoin(f"{asked.scheme}://{_authority(asked.host, asked.port, asked.scheme)}{asked.target}",
                             location))
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{location} is no url of HTTP")
    port = parts.port or _port_of(parts.scheme)
    is_same = (parts.hostname, port) == (asked.host, asked.port)
    method = asked.method if status in (307, 308) or asked.method == "HEAD" else "GET"
    target = quote((parts.path or "/") + (f"?{parts.query}" if parts.query else ""), safe=_SAFE)
    return _asked(parts.scheme, parts.hostname, port, target,
                  asked.authority if is_same else _authority(parts.hostname, port, parts.scheme), method,
                  asked.headers if is_same else ())


def read_answer(data: bytes, wants_location: bool) -> tuple[int, str] | None:
    """Status and Location ("": none) of an answer; None: more bytes are needed.  ValueError: this is not HTTP.

    The location is only waited for in the answer of a redirect, and where somebody wants it.
    """
    while True:
        line = _STATUS.match(data)
        if line is None:
            if b"\n" in data[:_LONGEST_LINE] or len(data) >= _LONGEST_LINE or data[:7] != _BEGIN[:len(data)]:
                raise ValueError("not a status line of HTTP/1")
            return None
        status = int(line[1])
        is_interim = status < 200 and status != 101
        if not is_interim and not (wants_location and status in REDIRECTS):
            return status, ""
        end = _END.search(data, line.end() - 1)
        if end is None:
            return None
        if not is_interim:
            found = _LOCATION.search(data[:end.end()], line.end() - 1)
            return status, found[1].decode("utf-8", "replace") if found is not None else ""
        data = data[end.end():]         # 100, 103: the answer is still to come


def _one_line(line: str) -> str:
    return line.replace("\r", " ").replace("\n", " ")


def _port_of(scheme: str) -> int:
    return 443 if scheme == "https" else 80


def _authority(host: str, port: int, scheme: str) -> str:
    name = f"[{host}]" if ":" in host else host
    return name if port == _port_of(scheme) else f"{name}:{port}"
