"""Which router takes a request: all rules of an entrypoint, compiled and filed by host.

Owns the order of routers and the way to the first that matches, whose cost depends on the routers of the request's own
host and on those that name no host, not on how many hosts there are:

    exact   {host: routers}             Host(`a.example`)
    one     {suffix: routers}           Host(`*.example`)
    deep    {suffix: routers}           Host(`**.example`)
    rest    routers                     everything that is bound to no host

Each list is in order of priority; a list is left at its first match, and at the first router behind the best so far
(index.pyx, which is all that a request meets of this).
Order: the higher priority first; among equal ones, by name.  (Traefik leaves that to chance.)  It refuses to know what
a router does with the request: a target is any object.  Floor 1.
"""
from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from heapq import merge
from typing import Any, TypeAlias

from mesh.rules.explain import Reason, reasons
from mesh.rules.expression import Expr
from mesh.rules.hosts import ANY, DEEP, EXACT, ONE, Piece, Plain, given, parents, pieces, plain
from mesh.rules.index import Index
from mesh.rules.predicates import Test, predicate
from mesh.rules.request import Asked

__all__ = ["Entry", "Matcher", "Reason"]

Compiled: TypeAlias = "tuple[tuple[Piece, Test | None], ...]"

_SORTED_AT_ONCE = 250           # entries; about 0.1 ms
_FILED_AT_ONCE = 100            # pieces; about 0.2 ms
_COMPILED_AT_ONCE = 25          # rules or pieces; about 0.3 ms
_FREED_AT_ONCE = 500           # things; 0.1 ms
_LOOKED_THROUGH = 8             # routers that are examined to find out that none can come before a certain one


@dataclass(frozen=True, slots=True)
class Entry:
    """A router as the matcher takes it; `target` is what find() answers."""

    name: str
    priority: int
    expr: Expr
    target: Any


class Matcher:
    """The routers of one entrypoint.  Immutable once built; many requests may use it at the same time."""

    __slots__ = ("_compiled", "_entries", "certain", "index")

    # Hosts whose best router matches by the host alone: for these the answer needs no call.
    certain: dict[bytes, Any]

    index: Index            # the rest of find(), for callers in C

    def __init__(self) -> None:
        """A matcher of no routers; build() makes the others."""
        self._entries: list[Entry] = []
        self._compiled: dict[Expr, Compiled] = {}
        self.index = Index()
        self.certain = {}

    @classmethod
    def build(cls, entries: Iterable[Entry], previous: Matcher | None = None) -> Generator[None, None, Matcher]:
        """Builds a matcher in small steps, yielding between them, and returns it.

        What `previous` has compiled is not compiled again, so that one edit among thousands is cheap.
        """
        known = previous._compiled if previous is not None else {}
        self = cls()
        order = yield from _ordered(entries)
        blockers: list[tuple[int, Piece]] = []          # pieces that are bound to no exact host
        filed = fresh = 0
        for rank, entry in enumerate(order):
            self._entries.append(entry)
            compiled = self._compiled.get(entry.expr) or known.get(entry.expr)
            if compiled is None:
                compiled = yield from _compile(entry.expr)
                fresh += 1
                if fresh % _COMPILED_AT_ONCE == 0:
                    yield
            self._compiled[entry.expr] = compiled
            for piece, test in compiled:
                self.index.file(piece.kind, piece.key, rank, test, entry.target)
                if piece.kind != EXACT:
                    blockers.append((rank, piece))
                filed += 1
                if filed % _FILED_AT_ONCE == 0:
                    yield
        self.certain = yield from self._certain(blockers)
        return self

    def find(self, request: Asked) -> Any:
        """The target of the first router, in order of priority, whose rule the request satisfies, or None."""
        return self.index.find(request, request.host)

    def explain(self, request: Asked) -> list[Reason]:
        """For every router in order of priority: whether it matches this request, and why or why not."""
        return reasons(((entry.name, entry.priority, entry.expr) for entry in self._entries), request)

    def let_go(self) -> Generator[None, None, None]:
        """Forgets everything in small steps: freeing 10,000 routers at once takes some milliseconds."""
        index = self.index
        parts: tuple[dict[Any, Any], ...] = (self.certain, self._compiled, index.exact, index.one, index.deep)
        for each in parts:
            while each:
                for _ in range(min(len(each), _FREED_AT_ONCE)):
                    each.popitem()
                yield
        for entries in (self._entries, index.rest):
            while entries:
                del entries[-_FREED_AT_ONCE:]
                yield

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        index = self.index
        return (f"<Matcher {len(self._entries)} routers, {len(index.exact)} hosts ({len(self.certain)} certain), "
                f"{len(index.one) + len(index.deep)} wildcards, {len(index.rest)} without host>")

    def _certain(self, blockers: list[tuple[int, Piece]]) -> Generator[None, None, dict[bytes, Any]]:
        """The hosts whose first candidate asks nothing, and before which no other piece can match."""
        rest = [(rank, piece.rest) for rank, piece in blockers if piece.kind == ANY]
        wild: dict[tuple[int, bytes], list[tuple[int, Plain | bool]]] = {}
        for rank, piece in blockers:
            if piece.kind != ANY:
                wild.setdefault((piece.kind, piece.key), []).append((rank, piece.rest))
        certain = {}
        for number, (host, candidates) in enumerate(self.index.exact.items()):
            rank, test, target = candidates[0]
            if test is None and _is_free(host, rank, rest) and not (wild and any(
                    not _is_free(host, rank, wild.get(key, [])) for key in _wild_keys(host))):
                certain[host] = target
            if number % _FILED_AT_ONCE == 0:
                yield
        return certain


def _ordered(entries: Iterable[Entry]) -> Generator[None, None, Iterable[Entry]]:
    """The entries by priority and name, sorted in portions so that no step is long."""
    portions: list[list[Entry]] = []
    portion: list[Entry] = []
    for entry in entries:
        portion.append(entry)
        if len(portion) == _SORTED_AT_ONCE:
            portion.sort(key=_order)
            portions.append(portion)
            portion = []
            yield
    portion.sort(key=_order)
    return merge(*portions, portion, key=_order)


def _order(entry: Entry) -> tuple[int, str]:
    return -entry.priority, entry.name


def _compile(rule: Expr) -> Generator[None, None, Compiled]:
    """The rule's pieces and their predicates; neighbours with the same remainder share one predicate."""
    compiled: list[tuple[Piece, Test | None]] = []
    rest: Plain | bool = True
    test: Test | None = None
    for number, piece in enumerate(pieces(plain(rule)), 1):
        if piece.rest is not rest:
            rest = piece.rest
            test = None if isinstance(rest, bool) else predicate(rest)
        compiled.append((piece, test))
        if number % _COMPILED_AT_ONCE == 0:
            yield
    return tuple(compiled)


def _wild_keys(host: bytes) -> list[tuple[int, bytes]]:
    return [(ONE, host.partition(b".")[2]), *((DEEP, suffix) for suffix in parents(host))]


def _is_free(host: bytes, rank: int, others: list[tuple[int, Plain | bool]]) -> bool:
    """Whether no other that comes before `rank` can match this host; when in doubt, no."""
    for number, (other, rest) in enumerate(others):
        if other > rank:
            break
        if number == _LOOKED_THROUGH or isinstance(rest, bool) or given(rest, EXACT, host) is not False:
            return False
    return True
