"""The kinds of values in health checks and sticky cookies: shares, paths, header lines.

Owns how they are written, and that nothing passes into the head of a probe or of an answer that would end its line.
Floor 2.
"""
from __future__ import annotations

import re
from typing import Any

from mesh.providers.kinds import Choice, Text
from mesh.providers.shape import WRONG, Kind, MapOf, Reading
from mesh.providers.tree import Mapping, Node, Scalar, quoted

_SHARE = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?)(%?)\Z")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}\Z")        # RFC 9110 5.6.2: token
# What a probe says of itself: two such lines, and endpoints disagree on which one counts.
_OWN_LINES = {"host": "hostname names the host of a probe", "content-length": "a probe has no body",
              "transfer-encoding": "a probe has no body", "connection": "a probe's connection is its own"}


class Percent(Kind):
    """A share in whole percent: 50 or 50%; where `ratio`, a fraction too: 0.5."""

    def __init__(self, ratio: bool = False) -> None:
        self.ratio = ratio
        self.words = "a share such as 50% or 0.5" if ratio else "a share such as 50%"

    def read(self, node: Node, at: str, reading: Reading) -> Any:
        if not isinstance(node, Scalar) or isinstance(node.value, bool) or not (found := _SHARE.match(node.text)):
            return reading.wanted(node, at, self.words)
        said, is_percent = float(found[1]), bool(found[2])
        if self.ratio and not is_percent:
            if said == 1:
                return reading.wrong(node, f"{at}: {quoted(node)} could be one percent, or all",
                                     hint="write 1% or 100%")
            said *= 100 if said < 1 else 1
        if said > 100:
            return reading.wrong(node, f"{at}: {quoted(node)} is more than 100%")
        if abs(said - round(said)) > 1e-6:
            return reading.wrong(node, f"{at}: {quoted(node)} is not {self.words}, in whole percent")
        return round(said)

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [{"type": "number" if self.ratio else "integer", "minimum": 0, "maximum": 100},
                          {"type": "string", "pattern": r"^[0-9]{1,3}(\.[0-9]{1,6})?%?$"}]}

    def written(self, default: Any) -> Any:
        return f"{default}%" if isinstance(default, int) else None


class UrlPath(Text):
    """The path of a request, perhaps with a query."""

    def __init__(self) -> None:
        super().__init__("a path such as /health", r"\A/[!-\x22$-~]*\Z")

    def read(self, node: Node, at: str, reading: Reading) -> Any:
        text = node.text if isinstance(node, Scalar) and isinstance(node.value, str) else ""
        if text and not text.startswith("/") and self._match.search(f"/{text}"):
            return reading.wanted(node, at, self.words, f'did you mean "/{text}"?')
        return super().read(node, at, reading)


class Headers(MapOf):
    """Header lines by name, as pairs."""

    def __init__(self) -> None:
        super().__init__(Text("text in one line", r"\A[^\x00-\x08\x0a-\x1f\x7f]*\Z"))
        self.words = "a mapping of header names, each text in one line"

    def read(self, node: Node, at: str, reading: Reading) -> Any:
        wrong = False
        for name, item in node.items.items() if isinstance(node, Mapping) else ():
            if not _HEADER_NAME.match(name):
                wrong = bool(reading.wrong(item, f"{at}: {name!r} is not the name of a header"))
            elif why := _OWN_LINES.get(name.lower()):
                wrong = bool(reading.wrong(item, f"{at}: {name} cannot be said here", hint=why))
        values = super().read(node, at, reading)
        return WRONG if wrong or values is WRONG else tuple(values.items())

    def schema(self) -> dict[str, Any]:
        names = {"pattern": f"^{_HEADER_NAME.pattern.removesuffix(chr(92) + 'Z')}$"}
        own = {"pattern": "^(" + "|".join(_any_case(name) for name in _OWN_LINES) + ")$"}
        return {**super().schema(), "propertyNames": {**names, "not": own}}


def _any_case(word: str) -> str:
    return "".join(f"[{letter.upper()}{letter}]" if letter.isalpha() else letter for letter in word)


class ProbeMode(Choice):
    """How probes speak.  gRPC is known and not built: an HTTP probe in its place would find every endpoint down."""

    def __init__(self) -> None:
        super().__init__("http", "tcp", warns=("grpc",))

    def read(self, node: Node, at: str, reading: Reading) -> Any:
        if isinstance(node, Scalar) and node.text == "grpc":
            reading.warn(node, f"{at}: grpc is not supported yet, so these endpoints are not probed", "unsupported",
                         "tcp asks whether they can be connected to")
            return "grpc"
        return super().read(node, at, reading)
