"""Which hosts can satisfy a rule: the analysis behind the matcher's index.

Owns the division of a rule into pieces, each with the one host key (an exact host, the suffix of a wildcard, or none)
under which it is filed and with what remains to be asked of a request that came by that key.  `Host(a) || Host(b) &&
Path(/x)` becomes `a: nothing`, `b: Path(/x)`.  It refuses to know priorities and routers.  Floor 1.
"""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from mesh.rules.expression import Expr, Match, Not, Or
from mesh.rules.regexps import compile_regexp

# Kinds of keys: a.example, *.example (one label), **.example (one or more), no host in particular.
EXACT, ONE, DEEP, ANY = range(4)

# Dividing a rule costs up to the number of its keys times its size; what would cost more (about 10 ms) stays whole,
# which is right as well, but then one request may have to be asked about all of it.
MOST_WORK = 20_000


@dataclass(frozen=True, slots=True)
class Hosts:
    """Host(...) || Host(...) || ...: the hosts by kind, so that one of thousands is found at once."""

    exact: frozenset[bytes] = frozenset()
    one: frozenset[bytes] = frozenset()
    deep: frozenset[bytes] = frozenset()
    every: bool = False                 # Host(`*`), which no host satisfies too, as in Traefik

    def has(self, host: bytes) -> bool:
        return (host in self.exact or (bool(self.one) and host.partition(b".")[2] in self.one)
                or self.every
                or (bool(self.deep) and any(suffix in self.deep for suffix in parents(host))))


# A rule whose Host matchers are Hosts and whose negation stands at the leaves alone.

@dataclass(frozen=True, slots=True)
class No:
    leaf: Match | Hosts


@dataclass(frozen=True, slots=True)
class All:
    parts: tuple[Plain, ...]


@dataclass(frozen=True, slots=True)
class Some:
    parts: tuple[Plain, ...]


Plain: TypeAlias = Match | Hosts | No | All | Some
Key: TypeAlias = tuple[int, bytes]


@dataclass(frozen=True, slots=True)
class Piece:
    kind: int
    key: bytes
    rest: Plain | bool                  # True: nothing remains to be asked


def parents(host: bytes) -> Iterator[bytes]:
    """Every suffix of the host behind a dot, the longest first.

    >>> list(parents(b"a.b.c"))
    [b'b.c', b'c']
    """
    at = host.find(b".")
    while at >= 0:
        yield host[at + 1:]
        at = host.find(b".", at + 1)


def plain(rule: Expr, positive: bool = True) -> Plain:
    """The rule, or its contrary, in the form above; hosts that stand beside each other in an Or are joined."""
    if isinstance(rule, Not):
        return plain(rule.part, not positive)
    if isinstance(rule, Match):
        leaf = _hosts(rule.args[0]) if rule.matcher == "Host" else rule
        return leaf if positive else No(leaf)
    either = isinstance(rule, Or) is positive
    names: list[Hosts] = []
    parts: list[Plain] = []
    for part in rule.parts:
        each = plain(part, positive)
        for one in each.parts if isinstance(each, Some if either else All) else (each,):
            if either and isinstance(one, Hosts):
                names.append(one)
            else:
                parts.append(one)
    if names:
        parts.insert(0, Hosts(frozenset().union(*(each.exact for each in names)),
                              frozenset().union(*(each.one for each in names)),
                              frozenset().union(*(each.deep for each in names)), any(each.every for each in names)))
    if len(parts) == 1:
        return parts[0]
    return Some(tuple(parts)) if either else All(tuple(parts))


def pieces(rule: Plain) -> Iterator[Piece]:
    """The rule divided; it is true exactly when one of the pieces filed under a key of the request's host is."""
    for part in _alternatives(rule):
        keys = _keys(part)
        if keys is None:
            yield Piece(ANY, b"", part)
            continue
        divided = len(keys) * _size(part) <= MOST_WORK
        for kind, key in keys:
            rest = given(part, kind, key) if divided else part
            if rest is not False:
                yield Piece(kind, key, rest)


def _alternatives(rule: Plain) -> Iterator[Plain]:
    """Rules of which at least one is true exactly when `rule` is: (a || b) && c is told as a && c, b && c."""
    if isinstance(rule, Some):
        for part in rule.parts:
            yield from _alternatives(part)
        return
    if isinstance(rule, All):
        for part in rule.parts:
            others = tuple(other for other in rule.parts if other is not part)
            if isinstance(part, Some) and _keys(part) and len(part.parts) * _size(All(others)) <= MOST_WORK:
                for each in part.parts:
                    yield All((*(each.parts if isinstance(each, All) else (each,)), *others))
                return
    yield rule


def given(part: Plain, kind: int, key: bytes) -> Plain | bool:
    """What remains of a rule once the host is known to be of this key; True or False where nothing does."""
    if isinstance(part, Hosts):
        if kind == EXACT:
            return part.has(key)
        return True if part.every or key in (part.one if kind == ONE else part.deep) else part
    if isinstance(part, Match):
        if kind == EXACT and part.matcher == "HostRegexp":
            return compile_regexp(part.args[0], fold_case=True)(key)
        return part
    if isinstance(part, No):
        leaf = given(part.leaf, kind, key)
        return not leaf if isinstance(leaf, bool) else part
    neutral = isinstance(part, All)                     # what changes nothing: True in an All, False in a Some
    kept: list[Plain] = []
    for each in part.parts:
        rest = given(each, kind, key)
        if not isinstance(rest, bool):
            kept.append(rest)
        elif rest is not neutral:
            return rest
    if len(kept) < 2:
        return kept[0] if kept else neutral
    return All(tuple(kept)) if neutral else Some(tuple(kept))


def _hosts(said: str) -> Hosts:
    host = said.lower().encode()
    if host == b"*":
        return Hosts(every=True)
    if host.startswith(b"**."):
        return Hosts(deep=frozenset((host[3:].removesuffix(b"."),)))
    if host.startswith(b"*."):
        return Hosts(one=frozenset((host[2:].removesuffix(b"."),)))
    if b":" in host:
        host = b"[" + host.strip(b"[]") + b"]"          # an address of v6
    return Hosts(frozenset((host.removesuffix(b"."),)))


def _keys(part: Plain) -> list[Key] | None:
    """Keys of which the host must have one for the part to be true; None where there is no such list."""
    if isinstance(part, Hosts):
        if part.every:
            return None
        return [*((EXACT, key) for key in part.exact), *((ONE, key) for key in part.one),
                *((DEEP, key) for key in part.deep)]
    if isinstance(part, Match | No):
        return None
    lists = [_keys(each) for each in part.parts]
    known = [each for each in lists if each is not None]
    if isinstance(part, All):
        # Any of the lists is right: exact keys first (the cheapest look-up), then the fewest.
        return min(known, key=lambda keys: (any(kind != EXACT for kind, _ in keys), len(keys)), default=None)
    return list(dict.fromkeys(key for keys in known for key in keys)) if len(known) == len(lists) else None


def _size(part: Plain) -> int:
    return 1 + sum(map(_size, part.parts)) if isinstance(part, All | Some) else 1
