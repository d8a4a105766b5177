"""Errors that teach: where it stands, what was said, what was wanted, the nearest right word.

Owns the one form in which Hostmesh tells a person that something in a configuration is wrong.  It decides nothing: the
providers, the rule language and the plan find problems, the command line, the log, the API and the metrics show them.
Floor 0: imports nothing of the house.
"""
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches


@dataclass(frozen=True, slots=True)
class Place:
    """Where something was said; line and column count from 1, 0 means "the file as a whole".

    In a store in place of a file, `file` is its name and `key` the key below it, as it is written there.
    """

    file: str
    line: int = 0
    column: int = 0
    key: str = ""

    def __str__(self) -> str:
        if self.key:
            return f"{self.file}/{self.key}"
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, told to a person.

    `severity` is "error" (the object named by `object` does not serve, or its last good version does) or "warning" (it
    serves, but not all that was said has an effect).  `object` is a dotted path as the file has it, such as
    `http.routers.web`; empty for a file as a whole.  `code` is one word for machines: syntax, unknown-field, bad-value,
    missing, unsupported, duplicate, reference, rule, unreadable, empty.
    """

    place: Place
    object: str
    message: str
    severity: str = "error"
    code: str = "bad-value"
    hint: str = ""

    def __str__(self) -> str:
        name = f"{self.object}: " if self.object else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.place}: {self.severity}: {name}{self.message}{hint}"


class ConfigError(Exception):
    """A configuration that cannot be used at all; carries every problem found, not the first alone."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


def did_you_mean(said: str, known: Iterable[str]) -> str:
    """The hint "did you mean ...?" for the nearest known word, or "" when none is near."""
    words = {word.lower(): word for word in known}
    near = get_close_matches(said.lower(), words, n=1, cutoff=0.6)
    return f'did you mean "{words[near[0]]}"?' if near else ""
