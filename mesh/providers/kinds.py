"""The kinds of single values: text, truth, numbers, durations, sizes, networks, addresses, files.

Owns how a plain value is written.  Where Traefik reads something generously (a bare number of seconds, a truth in
quotes), so do we; what could be meant in two ways is refused.  Floor 2.
"""
from __future__ import annotations

import re
from ipaddress import ip_network
from math import isfinite
from typing import Any
from urllib.parse import urlsplit

from mesh.errors import did_you_mean
from mesh.providers.shape import Kind, Reading
from mesh.providers.tree import Node, Scalar, masked, quoted

_UNITS = {"ns": 1e-9, "us": 1e-6, "\u00b5s": 1e-6, "\u03bcs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:ns|us|\u00b5s|\u03bcs|ms|s|m|h)"
_DURATION = re.compile(rf"(?:{_PART})+\Z")
_ONE = re.compile(r"([0-9.]+)([^0-9.]+)")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]*)?\Z")
_WHOLE = re.compile(r"[-+]?[0-9]{1,30}\Z")
_SIZES = {"": 1, "B": 1, "kB": 1000, "KB": 1000, "MB": 1000**2, "GB": 1000**3,
          "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_SIZE = re.compile(r"([0-9]{1,18}) ?(|B|kB|KB|MB|GB|KiB|MiB|GiB)\Z")
_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")
_OLD_TRUTHS = {"yes": "true", "on": "true", "no": "false", "off": "false"}      # of YAML 1.1
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\Z")

MAX_DURATION = 10 * 365 * 86400.0


class Text(Kind):
    """Text; a number is taken as it is written.  `pattern` bounds it, `words` says so."""

    def __init__(self, words: str = "text", pattern: str = "", empty: bool = True, hint: str = "") -> None:
        self.words = words
        self.pattern = pattern or ("" if empty else r"\S")
        self.hint = hint
        self._match = re.compile(self.pattern)

    def read(self, node: Node, at: str, reading: Reading) -> Any:
        if not isinstance(node, Scalar) or node.value is None or isinstance(node.value, bool):
            return reading.wanted(node, at, self.words)
        return node.text if self._match.search(node.text) else reading.wanted(node, at, self.words, self.hint)

    def schema(self) -> dict[str, Any]:
        # JSON Schema's expressions are ECMA-262's, which has other words for the two ends of a text
        pattern = self.pattern.replace(r"\A", "^").replace(r"\Z", "$")
        if not pattern:
            return {"type": ["string", "number"]}
        said = {"type": "string", "pattern": pattern}
        if not self._match.search("5"):
            return said
        number = {"type": "number"} if self._match.search("-5") else {"type": "number", "minimum": 0}
        return {"anyOf": [said, number]}


class Flag(Kind):
    """True or false; the spellings that Traefik takes from text are taken too."""

    words = "true or false"

    def read(self, node: Node, at: str, reading: Reading) -> Any:
        if isinstance(node, Scalar) and node.text in _TRUE:
            return True
        if isinstance(node, Scalar) and node.text in _FALSE:
            return False
        old = isinstance(node, Scalar) and _OLD_TRUTHS.get(node.text.lower(), "")
        return reading.wanted(node, at, self.words, f"write {old}" if old else "")

    def schema(self) -> dict[str, Any]:
        # the other spellings as a pattern: an editor would offer each of an enum for completion
        return {"anyOf": [{"type": "boolean"}, {"type": "integer", "minimum": 0, "maximum": 1},
                          {"type": "string", "pattern": f"^({'|'.join((*_TRUE, *_FALSE))})$"}]}


class Whole(Kind):
    """A whole number within bounds; digits in quotes are taken too."""

    def __init__(self, low: int = -2**63, high: int = 2**63 - 1) -> None:
        self.low, self.high = low, high
        if low == -2**63 and high >= 2**31 - 1:
            self.words = "a whole number"
        elif high >= 2**31 - 1:
            self.words = f"a whole number from {low}"
        else:
            self.words = f"a whole number from {low} to {high}"

    def read(self, node: Node, at: str, reading: Reading) -> Any:
        if isinstance(node, Scalar) and not isinstance(node.value, bool):
            value = node.value
            if isinstance(value, str) and _WHOLE.match(value):
                value = int(value)
            if isinstance(value, float) and value.is_integer():
                value = int(value)
            if isinstance(value, int) and self.low <= value <= self.high:
                return value
            if isinstance(value, int):
                return reading.wrong(node, f"{at}: {quoted(node)} is out of bounds; wanted {self.low} to {self.high}")
        return reading.wanted(node, at, self.words)

    def schema(self) -> dict[str, Any]:
        # Digits in quotes are taken too, but an expression knows no bounds: the schema asks for the number itself.
        return {"type": "integer", "minimum": self.low, "maximum": self.high}


class Number(Kind):
    """A number; digits in quotes are taken too."""

    words = "a number"

    def read(self, node: Node, at: str, reading: Reading) -> Any:
        if isinstance(node, Scalar) and not isinstance(node.value, bool):
            if isinstance(node.value, str) and _NUMBER.match(node.value):
                return float(node.value)
            if isinstance(node.value, (int, float)) and isfinite(node.value):
                return float(node.value)
        return reading.wanted(node, at, self.words)

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [{"type": "number"}, {"type": "string", "pattern": r"^[0-9]+(\.[0-9]*)?$"}]}


class Duration(Kind):
    """A span of time as Go writes it, in seconds as float; a bare number is seconds, as in Traefik."""

    def __init__(self, low: float = 0.0) -> None:
        self.low = low
        self.words = "a duration such as 5s, 100ms or 1m30s" + (f", at least {low:g}s" if low else "")

    def read(self, node: Node, at: str, reading: Reading) -> Any:
        seconds, hint = -1.0, ""
        if isinstance(node, Scalar) and not isinstance(node.value, bool):
            if isinstance(node.value, (int, float)):
                seconds = float(node.value) if abs(node.value) < 1e18 else MAX_DURATION * 2
            elif isinstance(node.value, str):
                seconds = duration(node.value)
                near = "".join(node.value.lower().split())
                if seconds < 0 <= duration(near):
                    hint = f'did you mean "{near}"?'
            if seconds > MAX_DURATION:
                return reading.wanted(node, at, "a duration of at most ten years")
        return seconds if seconds >= self.low else reading.wanted(node, at, self.words, hint)

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [{"type": "number", "minimum": self.low, "maximum": MAX_DURATION},
                          {"type": "string", "pattern": rf"^((?:{_PART})+|[0-9]+(\.[0-9]*)?)$"}]}

    def written(self, default: Any) -> Any:
        return f"{default:g}s" if isinstance(default, float) else None


def duration(text: str) -> float:
    """Seconds of a duration such as 1m30s, or of a bare number; -1 when the text is neither."""
    if _NUMBER.match(text):
        return min(float(text), 1e18)
    if not _DURATION.match(text):
        return -1.0
    return round(min(sum(float(count) * _UNITS[unit] for count, unit in _ONE.findall(text)), 1e18), 9)


class Size(Kind):
    """A number of bytes; KiB, MiB, GiB (1024) and kB, MB, GB (1000) may be written."""

    words = "a size in bytes such as 65536 or 64KiB"

    def __init__(self, low: int = 0, high: int = 2**53) -> None:
        self.low, self.high = low, high

    def read(self, node: Node, at: str, reading: Reading) -> Any:
        value: object = node.value if isinstance(node, Scalar) else None
        if isinstance(value, str) and (match := _SIZE.match(value)):
            value = int(match[1]) * _SIZES[match[2]]
        if not isinstance(value, int) or isinstance(value, bool):
            return reading.wanted(node, at, self.words)
        if self.low <= value <= self.high:
            return value
        return reading.wrong(node, f"{at}: {quoted(node)} is out of bounds; wanted {self.low} to {self.high} bytes")

    @property
    def told(self) -> str:
        return f"{self.words}, at least {self.low}" if self.low else self.words

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [{"type": "integer", "minimum": self.low, "maximum": self.high},
                          {"type": "string", "pattern": "^[0-9]{1,18} ?(|B|kB|KB|MB|GB|KiB|MiB|GiB)$"}]}


class Choice(Kind):
    """One of some words.  `warns` and `refused` are words of the vocabulary that are not built yet."""

    def __init__(self, *built: str, warns: tuple[str, ...] = (), refused: tuple[str, ...] = (),
                 fold: bool = False) -> None:
        self.built, self.warns, self.refused, self.fold = built, warns, refused, fold
        self.words = "one of " + ", ".join((*built, *warns, *refused))

    @property
    def told(self) -> str:
        later = (*self.warns, *self.refused)
        return f"{self.words} (not supported yet: {', '.join(later)})" if later else self.words

    def read(self, node: Node, at: str, reading: Reading) -> Any:
        if not isinstance(node, Scalar) or node.value is None:
            return reading.wanted(node, at, self.words)
        known = (*self.built, *self.warns, *self.refused)
        said = node.text
        if self.fold:
            said = {word.lower(): word for word in known}.get(said.lower(), said)
        if said not in known:
            return reading.wanted(node, at, self.words, did_you_mean(node.text, known))
        if said in self.warns:
            reading.warn(node, f"{at}: {said} is not supported yet; {self.built[0]} takes its place", "unsupported")
            return self.built[0]
        if said in self.refused:
            return reading.wrong(node, f"{at}: {said} is not supported yet", "unsupported")
        return said

    def schema(self) -> dict[str, Any]:
        known = (*self.built, *self.warns, *self.refused)
        if not self.fold:
            return {"enum": list(known)}
        return {"enum": list(dict.fromkeys(form for word in known for form in (word, word.upper(), word.lower())))}

    def written(self, default: Any) -> Any:
        return default or None


class Network(Kind):
    """An IP network or a single address, normalised."""

    words = "an IP network such as 10.0.0.0/8"

    def read(self, node: Node, at: str, reading: Reading) -> Any:
        if not isinstance(node, Scalar) or not isinstance(node.value, str):
            return reading.wanted(node, at, self.words)
        try:
            return str(ip_network(node.value, strict=False))
        except ValueError:
            return reading.wanted(node, at, self.words)

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": "^[0-9a-fA-F:.]+(%[^/]+)?(/[0-9.]+)?$"}


class Url(Kind):
    """The address of an endpoint: scheme, host, port, perhaps a path; nothing after it."""

    def __init__(self, *schemes: str, refused: tuple[str, ...] = ()) -> None:
        self.schemes, self.refused = schemes, refused
        self.words = f"a URL such as {schemes[0]}://10.0.0.1:8080"

    def read(self, node: Node, at: str, reading: Reading) -> Any:
        if not isinstance(node, Scalar) or not isinstance(node.value, str):
            return reading.wanted(node, at, self.words)
        scheme, mark, rest = node.value.partition("://")
        if not mark and scheme:
            near = "" if "@" in scheme else f'did you mean "{self.schemes[0]}://{scheme}"?'
            return reading.wanted(node, at, self.words, near)
        if scheme in self.refused:
            return reading.wrong(node, f"{at}: {scheme} is not supported yet; wanted {' or '.join(self.schemes)}",
                                 "unsupported")
        if scheme not in self.schemes:
            return reading.wanted(node, at, self.words, did_you_mean(scheme, self.schemes))
        why = _authority_wrong(rest.partition("/")[0], node.value)
        return reading.wrong(node, f"{at}: \"{masked(node.value)}\" is not {self.words}: {why}") if why else node.value

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": rf"^({'|'.join((*self.schemes, *self.refused))})://[^/?#@\s]+"}


def _authority_wrong(authority: str, url: str) -> str:
    """Why the host and port of a URL cannot be used, or ""."""
    if any(letter in url for letter in "?#@") or any(letter.isspace() or ord(letter) < 33 for letter in url):
        return "user names, queries, fragments and spaces have no place in it"
    if not url.isascii():
        return "it must be ASCII (a name in punycode, a path percent-encoded)"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        return str(error)[:1].lower() + str(error)[1:]
    if not host or authority.endswith(":"):
        return "it names no host" if not host else "the port is missing"
    if port == 0:
        return "port 0 is no port"
    return host_wrong(host)


def host_wrong(host: str) -> str:
    """Why this is neither a host name nor an address, or ""."""
    if ":" not in host and not all(_LABEL.match(label) for label in host.removesuffix(".").split(".")):
        return f"{host} is not a host name"
    return ""


class Listen(Kind):
    """A listening address `[host]:port[/tcp|/udp]`, as (host, port, protocol); no host means every IPv4 address."""

    words = "an address such as 127.0.0.1:80 or :80"
    pattern = r"^(\[[0-9a-fA-F:.%a-z0-9]+\]|[^\s:/\[\]]*):[0-9]{1,5}(/tcp|/udp)?$"

    def __init__(self, none: bool = False) -> None:
        self.none = none                # may be "": nothing listens
        self._match = re.compile(self.pattern)

    def read(self, node: Node, at: str, reading: Reading) -> Any:
        if not isinstance(node, Scalar) or node.value is None:
            return reading.wanted(node, at, self.words)
        if self.none and node.text == "":
            return "", 0, "tcp"
        if not self._match.match(node.text):
            hint = f'did you mean ":{node.text}"?' if node.text.isdigit() else ""
            return reading.wanted(node, at, self.words, hint)
        address, _, protocol = node.text.partition("/")
        host, _, port = address.rpartition(":")
        host = host.strip("[]")
        if int(port) > 65535:
            return reading.wrong(node, f"{at}: {port} is not a port; wanted 0 to 65535")
        return host or "0.0.0.0", int(port), protocol or "tcp"

    def schema(self) -> dict[str, Any]:
        pattern = self.pattern if not self.none else f"{self.pattern}|^$"
        return {"type": "string", "pattern": pattern}

    def written(self, default: Any) -> Any:
        return default if isinstance(default, str) and self._match.match(default) else None


class FilePath(Kind):
    """A path, made absolute from where its file stands."""

    words = "a path"

    def read(self, node: Node, at: str, reading: Reading) -> Any:
        if not isinstance(node, Scalar) or not isinstance(node.value, str) or not node.value or "\0" in node.value:
            return reading.wanted(node, at, self.words)
        return reading.resolve(node.value)

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "minLength": 1}


class Pem(Kind):
    """Certificates: PEM text itself, or the path of a file that holds it; the text either way."""

    words = "a PEM certificate or the path of one"

    def read(self, node: Node, at: str, reading: Reading) -> Any:
        if not isinstance(node, Scalar) or not isinstance(node.value, str) or not node.value or "\0" in node.value:
            return reading.wanted(node, at, self.words)
        text, where = node.value, ""
        if "-----BEGIN" not in text:
            where = reading.resolve(text)
            try:
                text = reading.read(where).decode("ascii")
            except OSError as error:
                return reading.wrong(node, f"{at}: {where} cannot be read: {error.strerror or error}", "unreadable")
            except UnicodeDecodeError:
                text = ""
        if "-----BEGIN CERTIFICATE-----" not in text or "-----END CERTIFICATE-----" not in text:
            return reading.wrong(node, f"{at}: {where or 'this text'} holds no PEM certificate")
        return text

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "minLength": 1}

