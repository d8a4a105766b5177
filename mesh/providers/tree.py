"""One positioned tree for YAML and TOML: every key and every value knows where it stands.

Owns the shape of what was said, before anybody asks what it means; `from_yaml` and `from_toml` grow it, `shape` reads
it.  Floor 2.
"""
from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from mesh.errors import ConfigError, Place, Problem

# What one file may ask of the reader.  10,000 routers with their services are about 150,000 values in 2 MB; the bounds
# are a hundred times what people write and stop a file that was made to hurt (aliases of aliases, endless nesting).
MAX_BYTES = 64 * 1024 * 1024
MAX_DEPTH = 40
MAX_VALUES = 5_000_000


@dataclass(slots=True)
class Scalar:
    """A single value; `text` is how it was written, `quote` is how many characters stand before its text.

    `quote` is -1 where a column inside the text cannot be turned into a column of the file (folded or escaped text).
    """

    value: str | int | float | bool | None
    line: int
    column: int
    text: str = ""
    quote: int = -1


@dataclass(slots=True)
class Sequence:
    items: list[Node]
    line: int
    column: int


@dataclass(slots=True)
class Item:
    """One key of a mapping with its value; the position is the key's."""

    key: str
    line: int
    column: int
    node: Node


@dataclass(slots=True)
class Mapping:
    """Keys in the order of the file; `twice` holds the keys that were said again (the first one is in `items`)."""

    items: dict[str, Item]
    line: int
    column: int
    twice: tuple[Item, ...] = ()


Node = Scalar | Sequence | Mapping

_USER_INFO = re.compile(r"://.*@", re.S)


def kind_of(node: Node) -> str:
    """What a value is, in words for a person: "text", "a list", "nothing"."""
    if isinstance(node, Sequence):
        return "a list"
    if isinstance(node, Mapping):
        return "a mapping"
    if node.value is None:
        return "nothing"
    if isinstance(node.value, bool):
        return "true or false"
    return "text" if isinstance(node.value, str) else "a number"


def quoted(node: Node, limit: int = 60) -> str:
    """What was said, short enough for one line: `"chekout"`, `a list of 3`."""
    if isinstance(node, Sequence):
        return f"a list of {len(node.items)}"
    if isinstance(node, Mapping):
        return "a mapping"
    if node.value is None:
        return "nothing"
    text = masked(node.text)
    text = text if len(text) <= limit else text[:limit] + "..."
    return '"' + text.replace("\n", "\\n") + '"'


def masked(text: str) -> str:
    """The same without what stands between `://` and the last `@`: problems are read by more people than files."""
    return _USER_INFO.sub("://***@", text)


def inside(node: Node) -> Iterator[Node]:
    """The values directly inside a node."""
    if isinstance(node, Sequence):
        yield from node.items
    elif isinstance(node, Mapping):
        for item in node.items.values():
            yield item.node


class Refused(ConfigError):
    """A file that cannot be read as a whole."""

    def __init__(self, file: str, message: str, line: int = 0, column: int = 0, code: str = "syntax",
                 hint: str = "") -> None:
        super().__init__([Problem(Place(file, line, column), "", message, code=code, hint=hint)])
