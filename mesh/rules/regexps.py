"""Regular expressions whose time is linear in the text, whoever wrote the text: RE2, which is Go's syntax.

Owns how a rule's regular expression is compiled, bounded and run: unanchored unless it has ^ and $, on bytes that are
read as UTF-8.  A byte that is no UTF-8 counts as one U+FFFD, as Go does it (RE2 alone would let no `.` match it, so
that an odd byte could slip past a rule).  Nothing is captured.  Floor 1.
"""
from __future__ import annotations

from collections.abc import Callable

import re2

# What one expression may take for its automata while it runs.  Beyond it RE2 throws states away and, where that does
# not help, follows all alternatives in parallel: slower, but linear still.
MAX_MEMORY = 1 << 20

# Instructions of the compiled form.  Ordinary expressions have 10 to 200.  In parallel mode each byte of text costs
# about 6 ns for each instruction that is alive: 0.1 s for 16 KiB of hostile text against a hostile expression of 1,000
# instructions, which is the worst that one match can do to a worker.
MAX_PROGRAM = 1000

_REPLACED = dict.fromkeys(range(0xDC80, 0xDD00), "\ufffd")


class BadRegexp(ValueError):
    """An expression that RE2 refuses: the message, and the piece of it that is at fault ("" where RE2 names none)."""

    def __init__(self, message: str, piece: str = "") -> None:
        super().__init__(message)
        self.piece = piece


def compile_regexp(pattern: str, fold_case: bool = False) -> Callable[[bytes], bool]:
    """A test whether the pattern is found in a text; BadRegexp where it cannot be used."""
    options = re2.Options()
    options.log_errors = False                      # RE2 would write to standard error
    options.max_mem = MAX_MEMORY
    options.never_capture = True
    options.case_sensitive = not fold_case
    try:
        compiled = re2.compile(pattern.encode("utf-8", "surrogateescape"), options)
    except re2.error as error:
        raise _bad(error) from None
    if compiled.programsize > MAX_PROGRAM:
        raise BadRegexp(f"the regular expression compiles to {compiled.programsize} instructions, "
                        f"the most allowed is {MAX_PROGRAM}")
    search = compiled.search

    def found(text: bytes) -> bool:
        return search(text if text.isascii() else _readable(text)) is not None

    return found


def _readable(text: bytes) -> bytes:
    try:
        text.decode()
    except UnicodeDecodeError:
        return text.decode("utf-8", "surrogateescape").translate(_REPLACED).encode()
    return text


def _bad(error: Exception) -> BadRegexp:
    said = error.args[0] if error.args else b""
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    what, _, piece = text.partition(": ")
    if what == "pattern too large - compile failed":
        return BadRegexp("the regular expression is too large")
    return BadRegexp(f"the regular expression is wrong: {text}", piece)
