"""The kinds of values by which a Redis is reached: its URL, addresses, passwords, files of TLS.

Owns how strictly they are read, and that no error shows a password: what stands in a value of these kinds is never
quoted.  Floor 2.
"""
from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

from mesh.providers.kinds import FilePath, host_wrong
from mesh.providers.shape import Kind, Reading
from mesh.providers.tree import Node, Scalar, kind_of

SCHEMES = ("redis", "rediss", "unix")
_ADDRESS = re.compile(r"(\[[0-9a-fA-F:.%a-z0-9]+\]|[^\s:/\[\]@?#]+)(?::([0-9]{1,5}))?\Z")
_SOCKET = re.compile(r"(?:unix://)?(/[^\s?#@]+)\Z")
_DATABASE = re.compile(r"/?([0-9]{1,5})?\Z")
PORT = 6379


class Secret(Kind):
    """A password: any text in one line."""

    words = "a password"

    def read(self, node: Node, at: str, reading: Reading) -> Any:
        if not isinstance(node, Scalar) or node.value is None or isinstance(node.value, bool):
            return reading.wrong(node, f"{at}: wanted {self.words}, not {kind_of(node)}", hint="write it in quotes")
        if any(ord(letter) < 32 for letter in node.text):
            return reading.wrong(node, f"{at}: a password is one line of text")
        return node.text

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [{"type": "string", "pattern": r"^[^\x00-\x1f]*$"}, {"type": "number"}]}


class RedisAddress(Kind):
    """host, host:port or the path of a socket; as host:port, or unix:///path."""

    words = "an address such as 10.0.0.5:6379 or unix:///run/redis.sock"

    def read(self, node: Node, at: str, reading: Reading) -> Any:
        if not isinstance(node, Scalar) or not isinstance(node.value, str):
            return reading.wrong(node, f"{at}: wanted {self.words}, not {kind_of(node)}")
        text = node.value
        if found := _SOCKET.match(text):
            return f"unix://{found[1]}"
        if "@" in text:
            return reading.wrong(node, f"{at}: user names and passwords have no place in an address",
                                 hint="say username and password beside it")
        if "://" in text:
            return reading.wrong(node, f"{at}: wanted {self.words}, not a URL",
                                 hint="write host:port; tls stands beside")
        if "," in text:
            return reading.wrong(node, f"{at}: wanted {self.words}, and here are several",
                                 hint="write a list: [one, two]")
        found = _ADDRESS.match(text)
        if found is None or host_wrong(found[1]):
            return reading.wrong(node, f"{at}: this is not {self.words}")
        port = int(found[2] or PORT)
        if not 0 < port < 65536:
            return reading.wrong(node, f"{at}: {port} is not a port; wanted 1 to 65535")
        return f"{found[1]}:{port}"

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": r"^((\[[0-9a-fA-F:.%a-z0-9]+\]|[^\s:/\[\]@?#,]+)(:[0-9]{1,5})?|"
                                             r"(unix://)?/[^\s?#@]+)$"}


class RedisUrl(Kind):
    """redis://user:password@host:port/database, rediss:// for TLS, unix:///path?db=1; as fields of RedisServer."""

    words = "a URL such as redis://10.0.0.5:6379/0, rediss:// for TLS, unix:///run/redis.sock"

    def read(self, node: Node, at: str, reading: Reading) -> Any:
        if not isinstance(node, Scalar) or not isinstance(node.value, str):
            return reading.wrong(node, f"{at}: wanted {self.words}, not {kind_of(node)}")
        try:
            return redis_url(node.value)
        except ValueError as error:
            hint = ""
            if (found := _ADDRESS.match(node.value)) and found[2]:
                hint = f'did you mean "redis://{node.value}"?'
            return reading.wrong(node, f"{at}: this is not {self.words}: {error}", hint=hint)

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": r"^(rediss?://[^\s/?#]+(/[0-9]{0,5})?|unix://([^\s/?#@]*@)?/[^\s?#]+"
                                             r"(\?db=[0-9]{1,5})?)$"}


def redis_url(text: str) -> dict[str, Any]:
    """What a URL says, as fields of mesh.model.RedisServer; ValueError says why it cannot be read, without its words.

    As redis-py reads it (IANA registered redis and rediss), but for queries, of which only unix://...?db= is known.
    """
    scheme, mark, rest = text.partition("://")
    if not mark or scheme not in SCHEMES:
        raise ValueError("it must begin with redis://, rediss:// or unix://")
    if any(letter.isspace() or ord(letter) < 33 for letter in text) or not text.isascii():
        raise ValueError("spaces and letters beyond ASCII must be percent-encoded")
    if "#" in text:
        raise ValueError("a # must be written %23")
    authority = rest.partition("/")[0]
    if "@" in rest and "@" not in authority:
        raise ValueError("a / in a password must be written %2F")
    if authority.count("@") > 1:
        raise ValueError("an @ in a password must be written %40")
    who, _, where = authority.rpartition("@")
    name, _, password = who.partition(":")
    values: dict[str, Any] = {}
    if name:
        values["username"] = unquote(name)
    if password:
        values["password"] = unquote(password)
    if any(ord(letter) < 32 for value in values.values() for letter in value):
        raise ValueError("a user name and a password are one line of text")
    path, _, query = rest[len(authority):].partition("?")
    if scheme == "unix":
        if where or not path or path == "/":
            raise ValueError("the path of the socket is missing; it begins with a third slash")
        if query and not re.fullmatch("db=[0-9]{1,5}", query):
            raise ValueError("nothing but ?db=NUMBER may follow the path")
        return {**values, "addresses": (f"unix://{unquote(path)}",), **({"database": int(query[3:])} if query else {})}
    if "?" in text:
        raise ValueError("options stand beside the URL, not behind a ?")
    found = _ADDRESS.match(where)
    if found is None:
        raise ValueError("it names no host" if not where else "host and port cannot be read")
    if host_wrong(found[1]):
        raise ValueError("its host is no host name")
    if not 0 < int(found[2] or PORT) < 65536:
        raise ValueError("its port is not 1 to 65535")
    number = _DATABASE.match(path)
    if number is None:
        raise ValueError("what follows the host is the number of a database")
    return {**values, "addresses": (f"{found[1]}:{found[2] or PORT}",), **({"tls": True} if scheme == "rediss" else {}),
            **({"database": int(number[1])} if number[1] else {})}


class TlsFile(FilePath):
    """The path of a PEM file; the text itself is refused without a word of it, for it may be a key."""

    words = "the path of a PEM file"

    def read(self, node: Node, at: str, reading: Reading) -> Any:
        if isinstance(node, Scalar) and "-----BEGIN" in node.text:
            return reading.wrong(node, f"{at}: wanted {self.words}, not what stands in it")
        return super().read(node, at, reading)
