"""What may differ between two outcomes of one request, each difference named: status, service, target, a header, ..."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from proxies import Outcome
from recorder import Received

# Lines of answers that are compared elsewhere, or are clocks.
_NEVER = frozenset(("date", "content-length", "x-received", "x-trailers", "x-by"))


@dataclass(frozen=True, slots=True)
class Aspect:
    """One thing that differs: what Traefik made of it, what we did."""

    what: str
    theirs: object
    ours: object

    def __str__(self) -> str:
        return f"{self.what}: Traefik {self.theirs!r}, we {self.ours!r}"


def differences(theirs: Outcome, ours: Outcome, of_the_endpoint: bool = False) -> Iterator[Aspect]:
    """Nothing when both did the same.  Answers are compared where an endpoint gave them, which told so or is known."""
    if theirs.status != ours.status:
        yield Aspect("status", theirs.status, ours.status)
        return
    if theirs.by != ours.by:
        yield Aspect("service", theirs.by, ours.by)
    if theirs.received is not None and ours.received is not None:
        yield from _received(theirs.received, ours.received)
    elif not of_the_endpoint:
        return
    if theirs.body != ours.body and theirs.by == ours.by:
        yield Aspect("answer body", theirs.body, ours.body)
    told, tell = dict(theirs.headers), dict(ours.headers)
    for name in sorted({*map(str.lower, told), *map(str.lower, tell)} - _NEVER):
        one, other = _named(theirs.headers, name), _named(ours.headers, name)
        if one != other:
            yield Aspect(f"answer header {name}", one, other)


def _received(theirs: Received, ours: Received) -> Iterator[Aspect]:
    for what in ("method", "target", "version", "body", "trailers"):
        one, other = getattr(theirs, what), getattr(ours, what)
        if one != other:
            yield Aspect(what, one, other)
    for name in sorted({name.lower() for each in (theirs, ours) for name, _ in each.lines}):
        one, other = theirs.values(name), ours.values(name)
        if one != other:
            yield Aspect(f"header {name}", one, other)


def _named(lines: tuple[tuple[str, str], ...], name: str) -> list[str]:
    return [value for said, value in lines if said.lower() == name]
