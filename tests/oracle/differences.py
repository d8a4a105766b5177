"""The differences from Traefik that are meant, each with its row in docs/differences.md, under "Request by request".

A difference is known by its title, which is the first cell of its row.  What it explains is said as narrowly as it can
be: an aspect that no entry explains fails the comparison, and so does an entry that explains nothing any more.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from aspects import Aspect
from requests_made import Case

PAGE = Path(__file__).resolve().parents[2] / "docs" / "differences.md"
_HEADING = "## Request by request"
_ODD_CHARACTERS = '"<>^`{}|'


@dataclass(frozen=True, slots=True)
class Listed:
    title: str
    explains: Callable[[Case, Aspect], bool]

    def __str__(self) -> str:
        return self.title


def rows() -> list[str]:
    """The first cells of the tables under the heading of the page."""
    text = PAGE.read_text("utf-8").partition(f"{_HEADING}\n")[2].partition("\n## ")[0]
    cells = [line.split(" | ")[0].removeprefix("| ") for line in text.splitlines() if line.startswith("| ")]
    return [cell for cell in cells if cell not in ("what", "---")]


def _status(aspect: Aspect, theirs: int | tuple[int, ...], ours: int) -> bool:
    given = theirs if isinstance(theirs, tuple) else (theirs,)
    return aspect.what == "status" and aspect.theirs in given and aspect.ours == ours


def _has(case: Case, name: str) -> bool:
    return any(said.lower() == name for said, _ in case.lines)


def _values(case: Case, name: str) -> list[str]:
    return [value for said, value in case.lines if said.lower() == name]


def _path(case: Case) -> str:
    return case.target.partition("?")[0]


def _only_ours(aspect: Aspect, header: str) -> bool:
    return aspect.what == f"header {header}" and aspect.theirs == [] and aspect.ours != []


def _trusted(case: Case) -> bool:
    return case.entry == "open" or (case.entry == "web" and case.source != "127.0.0.1")


def _semicolons(case: Case, aspect: Aspect) -> bool:
    query = case.target.partition("?")[2]
    if ";" not in query:
        return False
    if aspect.what == "target":
        path, _, ours = str(aspect.ours).partition("?")
        return ours == query and aspect.theirs == f"{path}?{query.replace(';', '&')}"
    return case.kind == "query" and _status(aspect, 200, 404)


def _odd_characters(case: Case, aspect: Aspect) -> bool:
    escaped = "".join(f"%{ord(char):02X}" if char in _ODD_CHARACTERS else char for char in _path(case))
    return aspect.what == "target" and aspect.ours == case.target and aspect.theirs == escaped != case.target


def _joined(case: Case, aspect: Aspect) -> bool:
    return (aspect.what == "header x-forwarded-for" and isinstance(aspect.ours, list) and len(aspect.ours) > 1
            and aspect.theirs == [", ".join(aspect.ours)])


def _unknown_family(case: Case, aspect: Aspect) -> bool:
    name = aspect.what.removeprefix("header ")
    return (name in ("x-forwarded-other", "x-forwarded-ssl", "x-forwarded-scheme") and not _trusted(case)
            and aspect.theirs == _values(case, name) and aspect.ours == [])


def _length(case: Case, aspect: Aspect) -> bool:
    if aspect.what != "header content-length" or not isinstance(aspect.ours, list):
        return False
    said = _values(case, "content-length")
    return aspect.ours == said and (aspect.theirs, said) in ((["0"], []), ([], ["0"]), (["4"], ["004"]))



def _trailer(case: Case, aspect: Aspect) -> bool:
    said = _values(case, "trailer")
    return (aspect.what == "header trailer" and aspect.ours == said
            and (aspect.theirs == [] or aspect.theirs == [value.title() for value in said]))


_MALFORMED = ("two-lengths", "strange-length", "strange-coding", "control-character", "no-name", "bad-status",
              "low-status", "garbage", "half-a-head")
_TWO_WAYS = ("folded", "two-equal-lengths", "length-and-chunks", "bare-line-feeds", "space-before-colon", "high-status",
             "http-2", "http-1-2")

LISTED = (
    # Rules
    Listed("equal priorities", lambda case, aspect: aspect.what == "service" and case.kind == "equal"
           and (aspect.theirs, aspect.ours) == (f"{(case.host or '')[:7]}2", f"{(case.host or '')[:7]}1")),
    Listed("``Host(`**.example.com`)``", lambda case, aspect: _status(aspect, 404, 200) and case.host in (
        "a.stars.example", "a.b.stars.example", "a.b.depth.example")),
    Listed("``Host(`[fd00::1]`)``", lambda case, aspect: _status(aspect, 404, 200)
           and (case.host or "").lower().startswith("[fd00::1]")),
    Listed("a trailing dot and `HostRegexp`", lambda case, aspect: _status(aspect, 404, 200)
           and case.host == "re-abc.example."),
    Listed("capital letters in `HostRegexp`", lambda case, aspect: _status(aspect, 404, 200)
           and case.host in ("cap-abc.example", "Cap-abc.Example")),
    Listed("`%20`, `%C3%A9`, `%2f` in `Path`", lambda case, aspect: _status(aspect, 404, 200)
           and case.host == "paths.example" and case.target.lower() in ("/th%c3%a9", "/c%20d", "/g%2fh")),
    Listed("`{id}` in `Path`", lambda case, aspect: _status(aspect, 200, 404) and case.target in ("/{id}",
                                                                                                  "/%7Bid%7D")),
    Listed("`=` in the key of `Query`", lambda case, aspect: _status(aspect, 200, 404)
           and case.target == "/?mobile%3Dtrue"),
    Listed("``Header(`Host`, ...)``", lambda case, aspect: _status(aspect, 404, 200) and case.kind == "header-host"),
    Listed("a line break before `&&`", lambda case, aspect: _status(aspect, 404, 200) and case.host == "lines.example"
           and case.target == "/broken"),
    # The request line
    Listed("`;` in a query", _semicolons),
    Listed('`"<>^{}` and the like in a path', _odd_characters),
    Listed("a backslash in a path", lambda case, aspect: _status(aspect, 200, 400) and "\\" in _path(case)),
    Listed("bytes above 127 in a target", lambda case, aspect: _status(aspect, 200, 400) and not case.target.isascii()),
    Listed("`#` in a target", lambda case, aspect: _status(aspect, (200, 404), 400) and "#" in case.target),
    Listed("`*` without OPTIONS", lambda case, aspect: _status(aspect, 200, 400) and case.target == "*"
           and case.method != "OPTIONS"),
    Listed("a target of more than 16 KiB", lambda case, aspect: _status(aspect, 200, 414) and len(case.target) > 16384),
    Listed("an absolute target that is no `http://host`", lambda case, aspect: _status(aspect, (200, 404), 400)
           and case.kind == "absolute" and (not case.target.lower().startswith(("http://", "https://"))
                                            or "@" in case.target or case.target.startswith("http:///"))),
    Listed("TRACE", lambda case, aspect: _status(aspect, 200, 405) and case.method == "TRACE"),
    Listed("CONNECT", lambda case, aspect: case.method == "CONNECT" and (
        _status(aspect, 501, 405) if ":" in case.target else _status(aspect, 501, 400))),
    Listed("a method of more than 64 characters", lambda case,
           aspect: _status(aspect, 200, 501) and len(case.method) > 64),
    Listed("HTTP/1.2", lambda case, aspect: _status(aspect, 200, 505) and case.version == "1.2"),
    Listed("a `Host` that names no host", lambda case, aspect: _status(aspect, (200, 404), 400)
           and case.kind == "host syntax"),
    # Header lines
    Listed("a folded header line", lambda case, aspect: _status(aspect, 200, 400) and _has(case, "x-fold")),
    Listed("more than 200 header lines", lambda case, aspect: _status(aspect, 200, 431) and len(case.lines) > 200),
    Listed("two equal `Content-Length`", lambda case, aspect: _status(aspect, 200, 400)
           and len(_values(case, "content-length")) == 2),
    Listed("`Content-Length` beside `Transfer-Encoding`", lambda case, aspect: _status(aspect, 200, 400)
           and _has(case, "content-length") and _has(case, "transfer-encoding")),
    Listed("a `Transfer-Encoding` that is not understood", lambda case, aspect: _status(aspect, 501, 400)
           and _has(case, "transfer-encoding")),
    Listed("`Transfer-Encoding` in HTTP/1.0", lambda case, aspect: _status(aspect, 200, 400) and case.version == "1.0"
           and _has(case, "transfer-encoding")),
    Listed("`Expect` in HTTP/1.0", lambda case, aspect: case.version == "1.0" and _has(case, "expect") and (
        _status(aspect, 417, 200) or (aspect.what == "header expect" and aspect.ours == []))),
    # What the endpoint gets
    Listed("`Via`", lambda case, aspect: aspect.what == "header via" and isinstance(aspect.ours, list)
           and aspect.ours == [*_values(case, "via"), f"{case.version} hostmesh"] and aspect.theirs == _values(case,
                                                                                                               "via")),
    Listed("`X-Request-Id`", lambda case, aspect: _only_ours(aspect, "x-request-id")),
    Listed("`Accept-Encoding`", lambda case, aspect: aspect.what == "header accept-encoding"
           and aspect.ours == _values(case, "accept-encoding") and not any(aspect.ours)
           and aspect.theirs == [*aspect.ours, "gzip"]),
    Listed("`Content-Length: 0`", _length),
    Listed("`TE: trailers`", lambda case, aspect: _has(case, "te") and (
        (_only_ours(aspect, "te") and aspect.ours == ["trailers"])
        or (_only_ours(aspect, "connection") and aspect.ours == ["TE"]))),
    Listed("`Trailer`", _trailer),
    Listed("trailers of a request", lambda case, aspect: aspect.what == "trailers" and aspect.theirs == b""
           and isinstance(aspect.ours, bytes) and aspect.ours != b"" and aspect.ours in case.body),
    Listed("`Trailer: Content-Length`", lambda case, aspect: _status(aspect, 400, 200)
           and _values(case, "trailer") == ["Content-Length"]),
    Listed("`Max-Forwards` of OPTIONS", lambda case, aspect: case.kind == "max-forwards" and case.method == "OPTIONS"
           and (aspect.what in ("service", "header max-forwards") or _status(aspect, 200, 400))),
    Listed("`Upgrade` in several lines", lambda case, aspect: aspect.what == "header upgrade"
           and (aspect.theirs, aspect.ours) == (["tea"], ["tea, cake"])),
    Listed("`X-Forwarded-For` in several lines", _joined),
    Listed("an empty `X-Forwarded-For` of a trusted peer", lambda case, aspect: _trusted(case)
           and aspect.what == "header x-forwarded-for" and case.lines == (("X-Forwarded-For", ""),)
           and (aspect.theirs, aspect.ours) == ([f", {case.source}"], [case.source])),
    Listed("`X-Forwarded-Server` of a trusted peer", lambda case, aspect: aspect.what == "header x-forwarded-server"
           and _trusted(case) and aspect.ours == _values(case, "x-forwarded-server")),
    Listed("other names that begin with `X-Forwarded-`", _unknown_family),
    # What the client gets
    Listed("an endpoint's certificate that cannot be verified", lambda case, aspect: _status(aspect, 500, 502)
           and case.kind == "service tls-refused"),
    Listed("a service whose endpoints cannot be reached", lambda case, aspect: _status(aspect, 502, 503)
           and case.kind == "service dead"),
    Listed("an answer that is malformed", lambda case, aspect: case.kind.removeprefix("answer ") in _MALFORMED
           and _status(aspect, (0, 500), 502)),
    Listed("an answer that can be read in two ways", lambda case, aspect: case.kind.removeprefix("answer ") in _TWO_WAYS
           and _status(aspect, (200, 999), 502)),
    Listed("what the `Connection` of an answer lists", lambda case, aspect: aspect.what == "answer header x-hop"
           and (aspect.theirs, aspect.ours) == (["1"], [])),
    Listed("an answer in gzip that nobody asked for", lambda case, aspect: case.kind == "answer encoded" and (
        _status(aspect, 0, 200) or (aspect.what, aspect.ours) in (
            ("answer body", b"body"), ("answer header content-encoding", ["gzip"])))),
    Listed("`Content-Type` behind `100 Continue`", lambda case, aspect: case.kind == "answer continue-first"
           and aspect.what == "answer header content-type" and aspect.ours == []),
    Listed("`Connection: close`", lambda case, aspect: aspect.what == "answer header connection"
           and (aspect.theirs, aspect.ours) == ([], ["close"])
           and (case.version == "1.0" or "close" in ",".join(_values(case, "connection")))),
)

# Mistakes of ours that the comparison has found and nobody has mended yet; no row of the page excuses them.
MISTAKES: tuple[Listed, ...] = ()


def explained(case: Case, aspect: Aspect) -> Listed | None:
    """The entry that explains the aspect."""
    return next((each for each in (*LISTED, *MISTAKES) if each.explains(case, aspect)), None)
