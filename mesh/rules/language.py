"""The rule language of HTTP routers, as Traefik v3 has it: text in, an expression or a RuleError that teaches out.

    rule     = and { "||" and }
    and      = unary { "&&" unary }
    unary    = "!" unary | "(" rule ")" | matcher
    matcher  = name "(" string { "," string } [ "," ] ")"
    string   = "`" anything but a back-tick "`" | '"' Go's escapes '"'

Names of matchers are read in any case.  Length and nesting are bounded; a chain of && or || is one level however long.
It refuses to know what a rule does to a request (matcher.py).  Floor 1.
"""
from __future__ import annotations

import re

from mesh.rules.arguments import MATCHERS, Argument, check, spelled
from mesh.rules.expression import And, Expr, Match, Not, Or, RuleError, all_of, any_of, quoted

__all__ = ["MAX_DEPTH", "MAX_LENGTH", "And", "Expr", "Match", "Not", "Or", "RuleError", "default_priority", "parse"]

MAX_LENGTH = 65536      # characters; a rule of 2,000 hosts has them
MAX_DEPTH = 64          # of parentheses and negations; a person loses track at four

_NAME = re.compile(r"[^\W\d]\w*")
_BARE = re.compile(r"[^\s`\"'(),&|!]+")
_SPACE = frozenset(" \t\r\n")
_SIMPLE = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92, '"': 34}
_DIGITS = {"x": 2, "u": 4, "U": 8}
_WORDS = {"and": "&&", "or": "||", "not": "!"}


def parse(text: str) -> Expr:
    """The rule as an expression; RuleError where it is none.

    >>> str(parse('host("a.example")&&!(PATHPREFIX(`/api`))'))
    'Host(`a.example`) && !PathPrefix(`/api`)'
    """
    if len(text) > MAX_LENGTH:
        raise RuleError(f"the rule has {len(text)} characters, the most allowed is {MAX_LENGTH}", 1,
                        "divide it among several routers of one service, or use HostRegexp")
    reader = _Reader(text)
    if not reader.peek():
        raise RuleError("the rule is empty", 1, "such as Host(`example.com`)")
    expression = reader.rule()
    if reader.peek():
        raise reader.stray()
    return expression


def default_priority(text: str, expression: Expr) -> int:
    """The priority of a router that says none: the length of its rule in bytes.

    The stars of `**.example.com` do not count, so that it stands behind `*.example.com`.
    """
    return len(text.encode("utf-8", "surrogateescape")) - 2 * _deep_hosts(expression, True)


def _deep_hosts(part: Expr, positive: bool) -> int:
    if isinstance(part, Match):
        return positive and part.matcher == "Host" and part.args[0].startswith("**.")
    if isinstance(part, Not):
        return _deep_hosts(part.part, not positive)
    return sum(_deep_hosts(each, positive) for each in part.parts)


class _Reader:
    """The text and where we stand in it."""

    __slots__ = ("at", "depth", "text")

    def __init__(self, text: str) -> None:
        self.text, self.at, self.depth = text, 0, 0

    # The grammar, a method for each line of it.

    def rule(self) -> Expr:
        parts = [self.both()]
        while self.take("||"):
            parts.append(self.both())
        return any_of(parts)

    def both(self) -> Expr:
        parts = [self.unary()]
        while self.take("&&"):
            parts.append(self.unary())
        return all_of(parts)

    def unary(self) -> Expr:
        char, start = self.peek(), self.at
        if char not in ("!", "("):
            return self.matcher()
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise RuleError(f"more than {MAX_DEPTH} parentheses and negations inside each other", start + 1)
        self.at += 1
        part: Expr
        if char == "!":
            if self.peek() == "=":
                raise RuleError("there is no != in rules", start + 1, "a matcher is negated: !Host(`example.com`)")
            part = Not(self.unary())
        else:
            part = self.rule()
            if not self.take(")"):
                if self.peek():
                    raise self.stray()
                raise RuleError("this parenthesis is never closed", start + 1, 'add ")"')
        self.depth -= 1
        return part

    def matcher(self) -> Expr:
        self.peek()
        start = self.at
        found = _NAME.match(self.text, start)
        if found is None:
            raise self.no_matcher()
        self.at = found.end()
        if self.peek() != "(":
            raise self.no_arguments(found[0], start)
        name, opened = spelled(found[0], start + 1), self.at
        self.at += 1
        arguments: list[Argument] = []
        while not self.take(")"):
            if not self.peek():
                raise RuleError(f"this parenthesis of {name} is never closed", opened + 1, 'add ")"')
            arguments.append(self.argument(name))
            if not self.take(",") and self.peek() not in (")", ""):
                raise RuleError(f"{self.seen()} after an argument of {name}", self.at + 1,
                                "arguments stand between commas, the last one before a )")
        check(name, start + 1, arguments)
        return Match(name, tuple(argument.value for argument in arguments))

    def argument(self, name: str) -> Argument:
        char, start = self.peek(), self.at
        if char == "`":
            end = self.text.find("`", start + 1)
            if end < 0:
                raise RuleError("this back-tick is never closed", start + 1, "add a `")
            self.at = end + 1
            value = self.text[start + 1:end]
            if "\r" in value:                       # Go drops them
                places = [i for i in range(start + 1, end) if self.text[i] != "\r"]
                return Argument(value.replace("\r", ""), start + 1, [place + 1 for place in places])
            return Argument(value, start + 1, range(start + 2, end + 2))
        if char == '"':
            return self.double_quoted()
        if char == "'":
            end = self.text.find("'", start + 1)
            inner = self.text[start + 1:end] if end > 0 else "..."
            raise RuleError("single quotes do not hold an argument", start + 1, f"write {name}({quoted(inner)})")
        bare = _BARE.match(self.text, start)
        if bare is None:
            raise RuleError(f"{self.seen()} where an argument of {name} should stand", start + 1,
                            f"such as {MATCHERS[name].sample}")
        raise RuleError(f"the argument {bare[0]} is not quoted", start + 1, f"write {name}({quoted(bare[0])})")

    def double_quoted(self) -> Argument:
        """Go's interpreted string: escapes make bytes, the bytes are read as UTF-8."""
        text, start = self.text, self.at
        data, columns = bytearray(), []             # a column for each byte
        at = start + 1
        while True:
            char = text[at:at + 1]
            if char == '"':
                break
            if char in ("", "\n"):
                raise RuleError("this double quote is never closed", start + 1, 'add a "')
            if char == "\\":
                piece, length = self.escape(at)
            else:
                piece, length = char.encode("utf-8", "surrogateescape"), 1
            data += piece
            columns += [at + 1] * len(piece)
            at += length
        self.at = at + 1
        value = data.decode("utf-8", "surrogateescape")
        if len(value) != len(data):
            starts = [0]
            for each in value:
                starts.append(starts[-1] + len(each.encode("utf-8", "surrogateescape")))
            columns = [columns[place] for place in starts[:-1]]
        return Argument(value, start + 1, columns)

    def escape(self, at: int) -> tuple[bytes, int]:
        """The bytes of the escape at the backslash, and how many characters it takes."""
        text, kind = self.text, self.text[at + 1:at + 2]
        if kind in _SIMPLE:
            return bytes((_SIMPLE[kind],)), 2
        octal = re.compile("[0-3][0-7]{2}").match(text, at + 1)
        if octal:
            return bytes((int(octal[0], 8),)), 4
        if kind in _DIGITS:
            digits = text[at + 2:at + 2 + _DIGITS[kind]]
            if len(digits) == _DIGITS[kind] and re.fullmatch("[0-9a-fA-F]+", digits):
                point = int(digits, 16)
                if kind == "x":
                    return bytes((point,)), 4
                if point < 0xD800 or 0xE000 <= point <= 0x10FFFF:
                    return chr(point).encode(), 2 + _DIGITS[kind]
        raise RuleError(f"\\{kind} is not an escape of double quotes", at + 1,
                        "in back-ticks a backslash is only a backslash")

    # Where we stand.

    def peek(self) -> str:
        """The next character that is no white space; "" at the end."""
        text, at = self.text, self.at
        while (char := text[at:at + 1]) in _SPACE:
            at += 1
        self.at = at
        return char

    def take(self, sign: str) -> bool:
        if self.peek() != sign[0] or not self.text.startswith(sign, self.at):
            return False
        self.at += len(sign)
        return True

    # What may be wrong.

    def seen(self) -> str:
        char = self.peek()
        if not char:
            return "the rule ends"
        word = _NAME.match(self.text, self.at)
        return f"there is {quoted(word[0] if word else char)}"

    def stray(self) -> RuleError:
        """What is wrong with the thing that follows a complete part."""
        char, column = self.peek(), self.at + 1
        word = _NAME.match(self.text, self.at)
        if word and word[0].lower() in _WORDS:
            return RuleError(f"{self.seen()} between matchers", column, f"write {_WORDS[word[0].lower()]}")
        if char in ("&", "|"):
            return RuleError(f"a single {char}", column, f"write {char * 2}")
        if char == ")":
            return RuleError("this parenthesis was never opened", column, "take it away, or add a ( before")
        if char in (",", ";"):
            return RuleError(f"there is {quoted(char)} between matchers", column, "write && (both) or || (either)")
        return RuleError(f"{self.seen()} where && or || should stand", column)

    def no_matcher(self) -> RuleError:
        char, column = self.peek(), self.at + 1
        if not char:
            return RuleError("the rule ends where a matcher should stand", column, "such as PathPrefix(`/api`)")
        if char in "&|":
            return RuleError(f"{self.text[self.at:self.at + 2]} has nothing on its left", column,
                             "a matcher stands on either side")
        if char in "`\"'":
            return RuleError("there is a string where a matcher should stand", column, "such as Host(`example.com`)")
        return RuleError(f"{self.seen()} where a matcher should stand", column, "such as Host(`example.com`)")

    def no_arguments(self, word: str, start: int) -> RuleError:
        column = start + 1
        if word.lower() in _WORDS:
            return RuleError(f"{word} is not an operator", column, f"write {_WORDS[word.lower()]}")
        name = spelled(word, column)
        if self.take(":"):                          # v1: Host:example.com
            self.peek()
            bare = _BARE.match(self.text, self.at)
            said = f"write {name}({quoted(bare[0])})" if bare else f"such as {MATCHERS[name].sample}"
            return RuleError(f"{name}: is the way of Traefik v1", column, said)
        return RuleError(f"{name} has no arguments", column, f"such as {MATCHERS[name].sample}")
