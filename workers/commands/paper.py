"""What all commands print on: colour where somebody sees it, problems with the line that they are about.

Owns how things look on a terminal.  Colour is for a terminal alone, and NO_COLOR (no-color.org) turns it off there too;
what is written to a file or a pipe is plain.  Texts come from other people's hands: nothing in them moves the cursor,
and a letter that the terminal does not have ends no command.  Floor 4.
"""
from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TextIO

import click
import orjson

from mesh.errors import Place, Problem

_LONGEST = 160                  # characters of a source line that are shown
_CONTROLS = re.compile(r"(?!\x1b\[[0-9;]*m)[\x00-\x08\x0b-\x1f\x7f-\x9f]")       # but for tabs, lines, and our colours


class Paper:
    """One stream to print on."""

    def __init__(self, stream: TextIO | None = None, colored: bool | None = None) -> None:
        self.stream = stream or sys.stdout
        self.is_colored = _may_be_colored(self.stream) if colored is None else colored
        self._lines: dict[str, list[str]] = {}      # of files that problems point into

    def line(self, text: str = "") -> None:
        encoding = getattr(self.stream, "encoding", None) or "utf-8"
        text = _CONTROLS.sub("?", text).encode(encoding, "replace").decode(encoding)
        click.echo(text, self.stream, color=self.is_colored)

    def painted(self, text: str, **style: Any) -> str:
        """The text in a colour, such as fg="red", bold=True, where there are colours."""
        return click.style(text, **style) if self.is_colored else text

    def title(self, text: str) -> None:
        self.line(self.painted(text, bold=True))

    def problem(self, problem: Problem) -> None:
        """One problem: its line as it stands in logs too, and below it the line of the file with a mark."""
        name = f"{problem.object}: " if problem.object else ""
        severity = self.painted(problem.severity, fg="red" if problem.severity == "error" else "yellow", bold=True)
        hint = f" ({self.painted(problem.hint, fg='cyan')})" if problem.hint else ""
        self.line(f"{self.painted(str(problem.place), bold=True)}: {severity}: {name}{problem.message}{hint}")
        self._source(problem.place)

    def problems(self, problems: Iterable[Problem]) -> None:
        for problem in problems:
            self.problem(problem)

    def _source(self, place: Place) -> None:
        if not place.line:
            return
        if place.file not in self._lines:
            try:
                self._lines[place.file] = Path(place.file).read_text("utf-8-sig", errors="replace").split("\n")
            except OSError:
                self._lines[place.file] = []
        lines = self._lines[place.file]
        if place.line > len(lines):
            return
        text = "".join(char if char.isprintable() or char == "\t" else "\ufffd" for char in lines[place.line - 1])
        column = max(place.column, 1)
        if column > _LONGEST - 20:                  # the mark stays in sight in a line of any length
            text, column = "..." + text[column - 60:], 63
        before = "".join("\t" if char == "\t" else " " for char in text[:column - 1])
        number = f"{place.line:5} | "
        self.line(self.painted(number, fg="blue") + text[:_LONGEST])
        self.line(self.painted(" " * 5 + " | ", fg="blue") + before + self.painted("^", fg="green", bold=True))


def _may_be_colored(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def print_json(said: Any) -> None:
    """One JSON document on standard output, for a program that may also be a person."""
    sys.stdout.write(orjson.dumps(said, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS).decode() + "\n")
