"""Why a router takes a request, or does not: the rule evaluated in words.

Owns the sentences of `hostmesh explain`.  It goes through rules as they are written, without the matcher's index, so it
also is a second opinion on what the matcher finds (a test holds the two together).  Floor 1.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from mesh.rules.expression import And, Expr, Match, Not, Or
from mesh.rules.hosts import plain
from mesh.rules.predicates import REGEXPS, predicate, routing_path
from mesh.rules.request import Asked

_SHOWN = 200            # characters of a value
_NAMED = 3              # alternatives of an ||


@dataclass(frozen=True, slots=True)
class Reason:
    name: str
    matched: bool
    why: str


def reasons(entries: Iterable[tuple[str, int, Expr]], request: Asked) -> list[Reason]:
    """A reason for each (name, priority, rule), which come in the order in which they are asked."""
    told: list[Reason] = []
    winner: tuple[str, int] | None = None
    for name, priority, rule in entries:
        if not matches(rule, request):
            told.append(Reason(name, False, why_not(rule, request)))
        elif winner is None:
            winner = name, priority
            told.append(Reason(name, True, f"matched, as the first in order of priority ({priority})"))
        elif winner[1] == priority:
            told.append(Reason(name, True, f"matched, but {winner[0]} has the same priority {priority} and comes first "
                                           "by its name"))
        else:
            told.append(Reason(name, True, f"matched, but {winner[0]} has the higher priority {winner[1]}"))
    return told


def matches(rule: Expr, request: Asked) -> bool:
    """Whether the request satisfies the rule."""
    return predicate(plain(rule))(request)


def why_not(rule: Expr, request: Asked) -> str:
    """The first thing that keeps the request from satisfying the rule, which it does not satisfy."""
    if isinstance(rule, And):
        return why_not(next(part for part in rule.parts if not matches(part, request)), request)
    if isinstance(rule, Not):
        return _excluded(rule.part, request)
    if isinstance(rule, Or):
        return _none_of(rule, request)
    return _too_long(rule, request) or _WORDS[rule.matcher](request, *rule.args)


def _excluded(part: Expr, request: Asked) -> str:
    if isinstance(part, Not):
        return why_not(part.part, request)
    if isinstance(part, Or):
        part = next((each for each in part.parts if not matches(Not(each), request)), part)
    if isinstance(part, Match) and (why := _too_long(part, request)):
        return why
    return f"the rule excludes {_short(str(part))}"


def _too_long(leaf: Match, request: Asked) -> str:
    """What is told where a regular expression cannot be asked, else ""."""
    if leaf.matcher not in REGEXPS or matches(leaf, request) or matches(Not(leaf), request):
        return ""
    return f"{leaf.matcher} cannot be asked: the text is too long to be searched for {_shown(leaf.args[-1])}"


def _none_of(rule: Or, request: Asked) -> str:
    hosts = [part.args[0] for part in rule.parts if isinstance(part, Match) and part.matcher == "Host"]
    told = [_host(request, *hosts)] if hosts else []
    others = [part for part in rule.parts if not (isinstance(part, Match) and part.matcher == "Host")]
    told += list(dict.fromkeys(why_not(part, request) for part in others[:_NAMED - len(told)]))
    left = len(others) - (_NAMED - (1 if hosts else 0))
    if left > 0:
        told.append(f"and {left:,} more alternatives fail")
    return "; ".join(told)


# One sentence for each matcher.

def _host(request: Asked, *wanted: str) -> str:
    names = [f'"{each}"' for each in wanted[:_NAMED]]
    if len(wanted) > _NAMED:
        names.append(f"one of {len(wanted) - _NAMED:,} more")
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
    host = request.host
    return f"Host is {_value(host)}, the rule wants {listed}" if host else f"there is no Host, the rule wants {listed}"


def _host_regexp(request: Asked, pattern: str) -> str:
    return f"HostRegexp({_shown(pattern)}) is not found in {_value(request.host)}"


def _path(request: Asked, wanted: str) -> str:
    return f"Path is {_value(routing_path(request.path))}, the rule wants {_shown(wanted)}"


def _path_prefix(request: Asked, prefix: str) -> str:
    return f"PathPrefix({_shown(prefix)}) does not begin {_value(routing_path(request.path))}"


def _path_regexp(request: Asked, pattern: str) -> str:
    return f"PathRegexp({_shown(pattern)}) is not found in {_value(routing_path(request.path))}"


def _method(request: Asked, wanted: str) -> str:
    return f"Method is {_value(request.method)}, the rule wants {_shown(wanted.upper())}"


def _header(request: Asked, name: str, wanted: str) -> str:
    values = request.header_values(name.lower().encode())
    if not values:
        return f"there is no header {name}, the rule wants {_shown(wanted)}"
    return f"header {name} is {_values(values)}, the rule wants {_shown(wanted)}"


def _header_regexp(request: Asked, name: str, pattern: str) -> str:
    values = request.header_values(name.lower().encode())
    if not values:
        return f"there is no header {name}, the rule wants one in which {_shown(pattern)} is found"
    return f"HeaderRegexp({_shown(pattern)}) is not found in {name}: {_values(values)}"


def _query(request: Asked, key: str, wanted: str = "") -> str:
    values = request.query_values(key.encode("utf-8", "surrogateescape"))
    said = _shown(wanted) if wanted else "it without a value"
    if not values:
        return f"there is no query parameter {key}, the rule wants {said}"
    return f"query parameter {key} is {_values(values)}, the rule wants {said}"


def _query_regexp(request: Asked, key: str, pattern: str = "") -> str:
    values = request.query_values(key.encode("utf-8", "surrogateescape"))
    if not pattern or not values:
        return _query(request, key, pattern)
    return f"QueryRegexp({_shown(pattern)}) is not found in {key}: {_values(values)}"


def _client_ip(request: Asked, wanted: str) -> str:
    return f"ClientIP is {_value(request.peer)}, the rule wants {_shown(wanted)}"


_WORDS: dict[str, Callable[..., str]] = {
    "Host": _host, "HostRegexp": _host_regexp, "Path": _path, "PathPrefix": _path_prefix, "PathRegexp": _path_regexp,
    "Method": _method, "Header": _header, "HeaderRegexp": _header_regexp, "Query": _query,
    "QueryRegexp": _query_regexp, "ClientIP": _client_ip,
}


def _values(values: list[bytes]) -> str:
    more = f" and {len(values) - _NAMED:,} more" if len(values) > _NAMED else ""
    return ", ".join(map(_value, values[:_NAMED])) + more


def _value(data: bytes) -> str:
    return _shown(data[:4 * _SHOWN].decode("utf-8", "surrogateescape"))


def _shown(text: str) -> str:
    """In double quotes, on one line whatever a client sent, and not too long."""
    return '"' + "".join(char if char.isprintable() else f"\\x{ord(char) & 0xFF:02x}" for char in _short(text)) + '"'


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
