"""When to look at files again: a burst of news waits for quiet, a file that is being written for its close.

Owns the decision alone.  Somebody (workers/agent/watch.py) tells what happened to which path and what time it is, and
asks when to look and what may be read.  Paths are any names, as long as they are always the same; no clock, no disk.
Floor 2.

    news ---> burst: quiet for QUIET_S, or MOST_S since its first news ---> a look
                  |
                  +-- a path that was modified and not closed is held back: from then on only its close is news, or
                      OPEN_S without any modification, or OPEN_MOST_S since the first

A path that is not as it was (missing, unreadable) is believed only when it still is so QUIET_S later and no news of it
came meanwhile: a replacement by two steps (delete, then rename) never shows its gap, however often it is done.
"""
from __future__ import annotations

QUIET_S = 0.2           # an editor's save is several events within a few milliseconds; a `cp -r` has one each few
MOST_S = 2.0            # a stream of edits that never pauses is looked at this often
# A program that writes a file in parts rarely pauses longer than this between two of them; one that keeps a file open
# for ever (a shell with `exec >file`) must not hide what it has written for longer.
OPEN_S = 10.0
OPEN_MOST_S = 60.0      # and not by writing on for ever, either


class Quiet:
    """News in, looks out; every method takes the time (monotonic, in seconds)."""

    def __init__(self, quiet_s: float = QUIET_S, most_s: float = MOST_S, open_s: float = OPEN_S,
                 open_most_s: float = OPEN_MOST_S) -> None:
        self.quiet_s, self.most_s, self.open_s, self.open_most_s = quiet_s, most_s, open_s, open_most_s
        self._burst: tuple[float, float] | None = None          # first and last news since the last look
        self._touched: set[str] = set()                         # whom they were about
        self._open: dict[str, tuple[float, float]] = {}         # modified and not closed: first and last time
        self._held: set[str] = set()                            # of these, those that a look has put off
        self._overdue: set[str] = set()                         # for the present look: waited for long enough
        self._missing: dict[str, float] = {}                    # not as it was, and since when
        self._before: dict[str, float] = {}                     # the same, as the look before the present one had it
        self._stirred: frozenset[str] = frozenset()             # for the present look: whom the news were about

    # What happened

    def happened(self, path: str, now: float) -> None:
        """Created, moved here or away, deleted: whoever wrote the old file there does not write what is there now."""
        self._forget(path)
        self._news(path, now)

    def noticed(self, path: str, now: float) -> None:
        """Other rights, another time: news, but none of who is writing."""
        self._news(path, now)

    def modified(self, path: str, now: float) -> None:
        """Somebody writes the file and has not closed it yet."""
        first, _ = self._open.get(path, (now, now))
        self._open[path] = (first, now)
        if path not in self._held:
            self._news(path, now)

    def closed(self, path: str, now: float) -> None:
        """Whoever wrote it has closed it."""
        self._forget(path)
        self._news(path, now)

    def lost(self, now: float) -> None:
        """News were lost: anything may have happened."""
        self._news("", now)

    def _news(self, path: str, now: float) -> None:
        self._burst = (now if self._burst is None else self._burst[0], now)
        self._touched.add(path)

    def _forget(self, path: str) -> None:
        self._open.pop(path, None)
        self._held.discard(path)

    # When to look

    def wait_s(self, now: float) -> float | None:
        """How long nothing is to be done if nothing happens meanwhile; None is for ever."""
        times = [self._deadline(path) for path in self._held]
        times += [since + self.quiet_s for since in self._missing.values()]
        if self._burst is not None:
            first, last = self._burst
            times.append(min(last + self.quiet_s, first + self.most_s))
        return max(0.0, min(times) - now) if times else None

    def is_due(self, now: float) -> bool:
        """Whether it is time for a look."""
        return self.wait_s(now) == 0.0

    def _deadline(self, path: str) -> float:
        first, last = self._open[path]
        return min(last + self.open_s, first + self.open_most_s)

    # Looking

    def begin(self, now: float) -> frozenset[str]:
        """A look begins, and with it a new burst; answers the paths that the old one was about."""
        touched = self._stirred = frozenset(self._touched)
        self._touched.clear()
        self._burst = None
        # Whatever this look does not ask for again is forgotten with it: a path of no interest, one that came back.
        self._before, self._missing = self._missing, {}
        self._overdue = {path for path in self._open if now >= self._deadline(path)}
        for path in self._overdue:
            self._forget(path)
        return touched

    def is_open(self, path: str) -> bool:
        """Whether somebody is still writing this file, as far as the news tell, and it is worth waiting for him."""
        return path in self._open

    def is_held(self, path: str) -> bool:
        """Whether a look has put this file off, and nothing has ended that yet."""
        return path in self._held

    def is_overdue(self, path: str) -> bool:
        """Whether it has been waited for long enough: the file is to be read as it is."""
        return path in self._overdue

    def hold(self, path: str, now: float) -> None:
        """The look leaves this file alone because somebody writes it; its close or its deadline makes the next look."""
        self._open.setdefault(path, (now, now))
        self._held.add(path)

    def was_read(self, path: str) -> None:
        """The look has read this file; what is modified in it from now on is a new story."""
        self._forget(path)

    def is_lasting(self, path: str, now: float, real: str = "") -> bool:
        """For a path that is not as it was: whether that has lasted.  If not, there will be another look.

        `real` is the name by which the news tell of it, if that is another one.
        """
        since = now if (real or path) in self._stirred else self._before.get(path, now)
        if now - since >= self.quiet_s:
            return True
        self._missing[path] = since
        return False

    def __repr__(self) -> str:
        return f"<Quiet {len(self._touched)} news, {len(self._held)} held, {len(self._missing)} missing>"
