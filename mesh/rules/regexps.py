"""Regular expressions whose time is linear in the text, whoever wrote the text: RE2, which is Go's syntax.

Owns how a rule's regular expression is compiled, bounded and run: unanchored unless it has ^ and $, on bytes that are
read as UTF-8.  A byte that is no UTF-8 counts as one U+FFFD, as Go does it (RE2 alone would let no `.` match it, so
that an odd byte could slip past a rule).  Nothing is captured.  Floor 1.
"""
from __future__ import annotations

import re
from collections.abc import Callable

import re2

# What one expression may take for its automata while it runs.  Beyond it RE2 throws states away and, where that does
# not help, follows all alternatives in parallel: slower, but linear still.
MAX_MEMORY = 1 << 20

# Bytes of an expression; RE2 takes 1.5 s to find out that `a?` 30,000 times is too large.
MAX_PATTERN = 4096

# Instructions of the compiled form.  Ordinary expressions have 10 to 200, a class of Unicode such as `\pL` alone 1,200.
MAX_PROGRAM = 4000

# Instructions times bytes.  In parallel mode each byte costs up to 6 ns for each instruction, so that no match can take
# more than about 0.1 s: 16 KiB (the longest target) against 1,000 instructions, 600 KiB (a header line may have them)
# against an ordinary 27.  Without this, 1 MiB of header and an expression like `x.{900}y` stop a worker for 6 s.
MAX_COST = 1 << 24

# An escape, or a stretch that \Q makes literal; \C, one byte whatever it is, is RE2's own and unknown to Go.
_ESCAPE = re.compile(rb"\\Q.*?(?:\\E|\Z)|\\.", re.DOTALL)
_ONE_BYTE = rb"\C"

_REPLACED = dict.fromkeys(range(0xDC80, 0xDD00), "\ufffd")


class BadRegexp(ValueError):
    """An expression that RE2 refuses: the message, and the piece of it that is at fault ("" where RE2 names none)."""

    def __init__(self, message: str, piece: str = "") -> None:
        super().__init__(message)
        self.piece = piece


class TextTooLong(Exception):
    """A text that is too long to be searched by this expression."""


def compile_regexp(pattern: str, fold_case: bool = False) -> Callable[[bytes], bool]:
    """A test whether the pattern is found in a text; BadRegexp where it cannot be used.

    The test raises TextTooLong where its answer might cost more than MAX_COST.
    """
    data = pattern.encode("utf-8", "surrogateescape")
    if len(data) > MAX_PATTERN:
        raise BadRegexp(f"the regular expression has {len(data)} bytes, the most allowed is {MAX_PATTERN}")
    options = re2.Options()
    options.log_errors = False                      # RE2 would write to standard error
    options.max_mem = MAX_MEMORY
    options.never_capture = True
    options.case_sensitive = not fold_case
    try:
        compiled = re2.compile(data, options)
    except re2.error as error:
        raise _bad(error) from None
    if _ONE_BYTE in _ESCAPE.findall(data):
        raise BadRegexp(r"the regular expression is wrong: invalid escape sequence: \C", r"\C")
    if compiled.programsize > MAX_PROGRAM:
        raise BadRegexp(f"the regular expression compiles to {compiled.programsize} instructions, "
                        f"the most allowed is {MAX_PROGRAM}")
    search, longest = compiled.search, MAX_COST // compiled.programsize

    def found(text: bytes) -> bool:
        if len(text) > longest:
            raise TextTooLong(len(text))
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
