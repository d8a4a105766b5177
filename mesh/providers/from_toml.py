"""TOML text to the positioned tree.

Owns the places; the values are tomllib's.  tomllib decides what is TOML and forgets where it stood, so a second, light
walk over text that is known to be right finds the line and column of every key and value.  Floor 2.
"""
from __future__ import annotations

import re
import tomllib
from typing import Any

from mesh.providers.tree import MAX_DEPTH, Item, Mapping, Node, Refused, Scalar, Sequence

_AT = re.compile(r" ?\(at (?:line (\d+), column (\d+)|end of document)\)$")
_TWICE = re.compile(r"Cannot declare \((.*)\) twice$")
_NAMES = re.compile(r"'([^']*)'")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_.@/-]*")
_BLANK = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_BASIC = re.compile(r'"(?:[^"\\\n]|\\.)*"')
_LITERAL = re.compile(r"'[^'\n]*'")
_LONG_BASIC = re.compile(r'"""(?:[^\\]|\\.)*?"""(?:""|")?', re.DOTALL)
_LONG_LITERAL = re.compile(r"'''.*?'''(?:''|')?", re.DOTALL)
_PLAIN = re.compile(r"[^,\]}#\n]+")

Path = tuple[str | int, ...]


def read_toml(text: str, file: str) -> Node | None:
    """The tree of a TOML document, or None when the text says nothing at all; raises Refused."""
    text = text.replace("\r\n", "\n")
    try:
        said = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        at = _AT.search(message)
        if at and at[1]:
            line, column = int(at[1]), int(at[2])
        else:
            line, column = text.count("\n") + 1, len(text) - text.rfind("\n")
        hint = "" if (at and at[1]) or "Cannot" in message else "the file ends in the middle: half-written?"
        told = _AT.sub("", message)
        if again := _TWICE.match(told):
            told = f"[{'.'.join(_NAMES.findall(again[1]))}] is said twice"
        elif told == "Invalid value" and (word := _WORD.match(text.split("\n")[line - 1], column - 1)):
            hint = f'text stands in quotes: "{word[0]}"'
        raise Refused(file, f"this is not TOML: {told}", line, column, hint=hint) from error
    except RecursionError:
        raise Refused(file, f"nested deeper than {MAX_DEPTH} levels") from None
    if not said:
        return None
    return _grown(said, (), _Finder(text, file).find(), file, 0)


def _grown(said: Any, path: Path, found: dict[Path, _Found], file: str, depth: int) -> Node:
    here = found.get(path, _TOP)
    if depth > MAX_DEPTH:
        raise Refused(file, f"nested deeper than {MAX_DEPTH} levels", *here.value)
    if isinstance(said, dict):
        items = {}
        for key, value in said.items():
            inner = (*path, key)
            items[key] = Item(key, *found.get(inner, _TOP).key, _grown(value, inner, found, file, depth + 1))
        return Mapping(items, *here.value)
    if isinstance(said, list):
        return Sequence([_grown(each, (*path, index), found, file, depth + 1) for index, each in enumerate(said)],
                        *here.value)
    if isinstance(said, (str, int, float)):
        text = here.text if not isinstance(said, str) else said
        return Scalar(said, *here.value, text, here.quote)
    return Scalar(here.text, *here.value, here.text)        # a date or a time: nothing here wants one, so text


class _Found:
    """Where a key and its value stand, and how the value was written."""

    __slots__ = ("key", "quote", "text", "value")

    def __init__(self, key: tuple[int, int], value: tuple[int, int], text: str = "", quote: int = -1) -> None:
        self.key = key
        self.value = value
        self.text = text
        self.quote = quote


_TOP = _Found((1, 1), (1, 1))


class _Finder:
    """One walk over valid TOML; nothing is checked here, tomllib has done that."""

    def __init__(self, text: str, file: str) -> None:
        self.text = text
        self.file = file
        self.at = 0
        self.line = 1
        self.counted = 0
        self.found: dict[Path, _Found] = {}
        self.tables: dict[Path, int] = {}       # array of tables: how many so far

    def find(self) -> dict[Path, _Found]:
        inside: Path = ()
        self.skip(_BLANK)
        while self.at < len(self.text):
            if self.text[self.at] == "[":
                inside = self.header()
            else:
                self.pair(inside, 0)
            self.skip(_BLANK)
        return self.found

    def skip(self, what: re.Pattern[str]) -> str:
        match = what.match(self.text, self.at)
        assert match is not None, f"at {self.at}"
        self.at = match.end()
        return match[0]

    def place(self) -> tuple[int, int]:
        self.line += self.text.count("\n", self.counted, self.at)
        self.counted = self.at
        return self.line, self.at - self.text.rfind("\n", 0, self.at)

    def key(self) -> list[tuple[str, tuple[int, int]]]:
        parts = []
        while True:
            self.skip(_SPACE)
            place = self.place()
            first = self.text[self.at]
            if first == '"':
                raw = self.skip(_BASIC)
                name = str(tomllib.loads("k=" + raw)["k"]) if "\\" in raw else raw[1:-1]
            elif first == "'":
                name = self.skip(_LITERAL)[1:-1]
            else:
                name = self.skip(_BARE)
            parts.append((name, place))
            self.skip(_SPACE)
            if not self.text.startswith(".", self.at):
                return parts
            self.at += 1

    def walk(self, inside: Path, parts: list[tuple[str, tuple[int, int]]]) -> Path:
        """The path below `inside`; a name that stands for an array of tables means its last table."""
        path = inside
        for name, place in parts:
            path = (*path, name)
            self.found.setdefault(path, _Found(place, place))
            if path in self.tables:
                path = (*path, self.tables[path])
        return path

    def header(self) -> Path:
        start = self.place()
        double = self.text.startswith("[[", self.at)
        self.at += 2 if double else 1
        parts = self.key()
        self.at += 2 if double else 1
        if not double:
            path = self.walk((), parts)
            if self.found[path].value == self.found[path].key:
                self.found[path].value = start
            return path
        path = (*self.walk((), parts[:-1]), parts[-1][0])
        self.found.setdefault(path, _Found(parts[-1][1], start))
        self.tables[path] = self.tables.get(path, -1) + 1
        path = (*path, self.tables[path])
        self.found[path] = _Found(parts[-1][1], start)
        return path

    def pair(self, inside: Path, depth: int) -> None:
        parts = self.key()
        self.at += 1                            # =
        self.skip(_SPACE)
        path = self.walk(inside, parts)
        self.value(path, parts[-1][1], depth)

    def value(self, path: Path, key: tuple[int, int], depth: int) -> None:
        place = self.place()
        if depth > MAX_DEPTH:
            raise Refused(self.file, f"nested deeper than {MAX_DEPTH} levels", *place)
        first = self.text[self.at]
        if first in "\"'":
            if self.text.startswith(first * 3, self.at):
                self.skip(_LONG_BASIC if first == '"' else _LONG_LITERAL)
                self.found[path] = _Found(key, place)
            else:
                raw = self.skip(_BASIC if first == '"' else _LITERAL)
                self.found[path] = _Found(key, place, raw, -1 if first == '"' and "\\" in raw else 1)
        elif first == "[":
            self.found[path] = _Found(key, place)
            self.at += 1
            index = 0
            while self.next_in("]"):
                here = self.place()
                self.value((*path, index), here, depth + 1)
                index += 1
        elif first == "{":
            self.found[path] = _Found(key, place)
            self.at += 1
            while self.next_in("}"):
                self.pair(path, depth + 1)
        else:
            self.found[path] = _Found(key, place, self.skip(_PLAIN).strip(), 0)

    def next_in(self, end: str) -> bool:
        """Move to the next element; False behind the closing bracket."""
        self.skip(_BLANK)
        if self.text[self.at] == ",":
            self.at += 1
            self.skip(_BLANK)
        if self.text[self.at] == end:
            self.at += 1
            return False
        return True
