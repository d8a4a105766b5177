"""When to believe what a store of keys says: an object when it has come to rest, a loss when it is no accident.

Owns the decision alone.  Somebody (workers/agent/kv.py) looks at the store, tells what stands there and what time it is
(monotonic, in seconds), and asks for news and for the time of the next look.  No clock, no socket.  Floor 2.

A store has no transactions that a writer must use: a service is a dozen keys, set one by one.  So

    an object (a router, a service: `unit_of` its keys) is taken when its keys were the same in two looks, QUIET_S
        apart.  While anything moves, everything waits, so that a router does not come before its service; after MOST_S
        whatever is quiet is taken, and what goes on moving waits alone.  Until then its last version serves.
    an object without keys is gone, in the same way; an expired key is no other than a deleted one.
    a store without any key has been emptied: that is taken after EMPTY_S.
    after an accident (it did not answer, or is another process than before) losses are doubtful: they are taken after
        DOUBT_S without any change.  That of everything not at all, unless the store had keys since, since a store
        without a disk comes back like that.  A key of the root's own name (SET traefik "") says that empty is meant.
    a store that does not answer for AWAY_S is away: what it said serves.
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mesh.providers.kv import units_of

QUIET_S = 0.5           # a tool that writes a service key by key rarely pauses longer between two of them
MOST_S = 3.0            # a key that is written all the time must not keep everything else from being taken
EMPTY_S = 5.0           # FLUSHDB and a tool that fills it again, or one that deletes all keys and sets them anew
DOUBT_S = 10.0          # to fill a store again that has lost its memory
AWAY_S = 3.0            # a restart takes less; a failover takes longer and is worth telling

Pairs = Mapping[str, str | None]        # key below the root key -> text, None where no text stands


@dataclass(frozen=True, slots=True)
class News:
    """What is to be told to the catalog: `pairs` that serve from now on, or `away`, why the store cannot be read.

    `holds` are the beginnings of dotted paths of which nothing is known yet, whatever their case.  `is_bare`: no key
    stands there, and that is not believed to be meant.
    """

    pairs: Pairs
    holds: tuple[str, ...] = ()
    away: str = ""
    is_bare: bool = False


@dataclass(slots=True)
class _Moving:
    pairs: dict[str, str | None]        # {} is gone
    since: float
    is_quiet: bool = False


class Steady:
    """Looks in, news out.  `seen` or `failed` after each look, then `take`, then `wait_s`."""

    def __init__(self) -> None:
        self._taken: dict[str, dict[str, str | None]] = {}
        self._moving: dict[str, _Moving] = {}
        self._last: Pairs = {}                      # as the last look saw it
        self._changed = float("-inf")               # when a look last saw something else than the one before
        self._burst: float | None = None            # since when anything moves that is not a doubtful loss
        self._run = ""
        self._doubt_since: float | None = None      # an accident, or a start: what is missing may come back
        self._was_filled = False                    # since then something stood there, so it has its memory
        self._failing: float | None = None
        self._away = ""
        self._looked = False
        self._told: News | None = None
        self._is_fresh = False                      # something may have changed since the last `take`
        self._next: float | None = None

    def seen(self, pairs: Pairs, now: float, run: str = "", is_meant_empty: bool = False) -> None:
        """A look that found these pairs; `run` is the process that answered, as far as it says so."""
        had_accident = self._failing is not None or (run and self._run and run != self._run) or not self._looked
        self._run, self._failing, self._away, self._looked = run or self._run, None, "", True
        if had_accident:
            self._doubt_since, self._was_filled = now, False
        self._was_filled = self._was_filled or bool(pairs) or is_meant_empty
        if pairs != self._last:
            self._last, self._changed = pairs, now
        elif not self._moving and self._doubt_since is None:
            self._next = None
            return                                  # as cheap as a comparison, nearly always
        self._is_fresh = True
        units = units_of(pairs)
        for unit in {*units, *self._taken, *self._moving}:
            self._judge(unit, units.get(unit, {}), now)
        self._settle(now)

    def failed(self, why: str, now: float) -> None:
        """A look that came to nothing."""
        if self._failing is None:
            self._failing = now
        # what was seen before the accident is not a look that counts
        self._moving.clear()
        self._burst = None
        if now - self._failing >= AWAY_S or not self._looked:
            self._away = why
        self._next = self._failing + AWAY_S if not self._away else None
        self._is_fresh = True

    def _judge(self, unit: str, pairs: dict[str, str | None], now: float) -> None:
        if pairs == self._taken.get(unit, {}):
            self._moving.pop(unit, None)
            return
        moving = self._moving.get(unit)
        if moving is None or moving.pairs != pairs:
            self._moving[unit] = _Moving(pairs, now)
        elif now - moving.since >= QUIET_S:
            moving.is_quiet = True

    def _settle(self, now: float) -> None:
        doubtful = self._doubtful(now)
        moving = {unit: each for unit, each in self._moving.items() if each.pairs or not doubtful}
        self._burst = (now if self._burst is None else self._burst) if moving else None
        rest = all(each.is_quiet for each in moving.values())
        if rest or (self._burst is not None and now - self._burst >= MOST_S):
            for unit, each in moving.items():
                if each.is_quiet:
                    self._taken[unit] = each.pairs
                    if not each.pairs:
                        del self._taken[unit]
                    del self._moving[unit]
        if rest:
            self._burst = None
        self._next = self._when(now)

    def _doubtful(self, now: float) -> bool:
        """Whether what is missing is not believed to be gone yet."""
        if self._doubt_since is not None:
            quiet_since = max(self._changed, self._doubt_since)
            # with nothing remembered here there may still be what a former agent remembers
            if not self._was_filled or now - quiet_since < DOUBT_S:
                return True
            self._doubt_since = None
        return not self._last and now - self._changed < EMPTY_S

    def _when(self, now: float) -> float | None:
        """When the next look is due, None where only a change makes one."""
        times = [each.since + QUIET_S for each in self._moving.values() if not each.is_quiet]
        if self._doubt_since is not None and self._was_filled:
            times.append(max(self._changed, self._doubt_since) + DOUBT_S)
        if not self._last and self._moving:
            times.append(self._changed + EMPTY_S)
        if self._burst is not None:
            times.append(self._burst + MOST_S)
        return min((each for each in times if each > now), default=None)

    def wait_s(self, now: float) -> float | None:
        """How long no look is needed, unless something happens; None: for ever."""
        return None if self._next is None else max(0.0, self._next - now)

    def take(self) -> News | None:
        """What is new since the last time."""
        if not self._is_fresh:
            return None
        self._is_fresh = False
        pairs = {key: value for unit in self._taken.values() for key, value in unit.items()}
        if self._away:
            news = News({}, away=self._away)
        elif not self._looked:
            return None
        elif self._failing is not None:
            return None                             # what was told last holds
        else:
            news = News(pairs, self._holds(), is_bare=self._doubt_since is not None and not self._last)
        if news == self._told:
            return None
        self._told = news
        return news

    def _holds(self) -> tuple[str, ...]:
        if self._doubt_since is not None:
            return ("",)
        return tuple(sorted(unit.replace("/", ".") for unit in self._moving if unit not in self._taken))

    def __repr__(self) -> str:
        doubt = ", in doubt" if self._doubt_since is not None else ""
        return f"<Steady {len(self._taken)} objects, {len(self._moving)} moving{doubt}>"
