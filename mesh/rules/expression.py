"""What a parsed rule is: four kinds of frozen values, and the one exception that tells what is wrong with a rule.

Owns the shape of rules and their way back to text (`parse(str(expression)) == expression`).  It refuses to know which
matchers exist and what they take: that is arguments.py.  Floor 1.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


class RuleError(Exception):
    """A rule that cannot be used: what is wrong, the column (from 1) where it stands, and how to write it instead."""

    def __init__(self, message: str, column: int, hint: str = "") -> None:
        self.message, self.column, self.hint = _told(message), column, _told(hint)
        super().__init__(self.message, column, self.hint)

    def __str__(self) -> str:
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.message}, at column {self.column}{hint}"


def _told(text: str) -> str:
    """What a log line and a table can hold, though a rule may have 64 KiB."""
    return text if len(text) <= 400 else f"{text[:200]} ... {text[-100:]}"


@dataclass(frozen=True, slots=True)
class Match:
    """One matcher with its arguments, such as PathPrefix(`/api`); bytes that are no UTF-8 are surrogate escapes."""

    matcher: str
    args: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.matcher}({', '.join(map(quoted, self.args))})"


@dataclass(frozen=True, slots=True)
class Not:
    part: Expr

    def __str__(self) -> str:
        return f"!{_inside(self.part)}"


@dataclass(frozen=True, slots=True)
class And:
    """All of at least two parts, none of which is itself an And."""

    parts: tuple[Expr, ...]

    def __str__(self) -> str:
        return " && ".join(map(_inside, self.parts))


@dataclass(frozen=True, slots=True)
class Or:
    """Any of at least two parts, none of which is itself an Or."""

    parts: tuple[Expr, ...]

    def __str__(self) -> str:
        return " || ".join(map(str, self.parts))    # && binds tighter, so only an Or would need parentheses


Expr: TypeAlias = Match | Not | And | Or


def all_of(parts: list[Expr]) -> Expr:
    """Their And, without an And inside an And; a single part stands for itself."""
    flat = [each for part in parts for each in (part.parts if isinstance(part, And) else (part,))]
    return flat[0] if len(flat) == 1 else And(tuple(flat))


def any_of(parts: list[Expr]) -> Expr:
    """Their Or, without an Or inside an Or; a single part stands for itself."""
    flat = [each for part in parts for each in (part.parts if isinstance(part, Or) else (part,))]
    return flat[0] if len(flat) == 1 else Or(tuple(flat))


def quoted(text: str) -> str:
    """The text as an argument: in back-ticks where they can hold it, else in double quotes with Go's escapes.

    >>> quoted("/api"), quoted("a`b")
    ('`/api`', '"a`b"')
    """
    if "`" not in text and text.isprintable():
        return f"`{text}`"
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(char: str) -> str:
    if char in '"\\':
        return "\\" + char
    if char.isprintable():
        return char
    point = ord(char)
    if 0xDC80 <= point <= 0xDCFF:                   # a byte that is no UTF-8
        return f"\\x{point - 0xDC00:02x}"
    return f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"


def _inside(part: Expr) -> str:
    return f"({part})" if isinstance(part, And | Or) else str(part)
