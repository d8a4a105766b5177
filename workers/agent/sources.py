"""From the files of the file provider to what serves: the one path that a start, a reload and `hostmesh check` take.

Owns the marriage of Files (what is new on the disk), Watch (when to look) and Catalog (what was said, and what served
last).  It publishes nothing; agent.py does.  Floor 3.
"""
from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Protocol

from mesh.model import Static
from mesh.providers.catalog import Catalog, Settled
from mesh.providers.quiet import Quiet
from workers.agent.files import Files
from workers.agent.listing import Listing
from workers.agent.watch import Inbox, Watch


class Followable(Protocol):
    """Files, and a way to take in what is new of them."""

    files: Files

    def look(self, now: float, anyway: bool = False, watch: Watch | None = None) -> list[str]:
        """Takes in all that is new; answers the paths that it was about."""


def listed(files: Files, watch: Watch | None) -> Listing:
    """What is there now, watched from now on."""
    listing = files.find()
    if watch is not None:
        top = os.path.realpath(files.directory) if files.directory else ""
        for _ in range(3):              # what changed while the watch was set up is seen by listing once more
            if not watch.follow(listing, top):
                break
            listing = files.find()
    return listing


def nothing() -> None:
    """What is done between two files where nobody wants anything done."""


class Sources:
    """Everything that the providers of this static configuration say.

    `former` is what a former agent left on the sources board (b"": nothing); ValueError when it cannot be read.
    `between` is called after each file: reading thousands of them must not look like silence.
    """

    def __init__(self, static: Static, former: bytes = b"", between: Callable[[], None] = nothing) -> None:
        self.files = Files(static.file_directory, static.file_filename, Quiet())
        self.catalog = Catalog.from_json(former, self.files.read_named) if former else Catalog(self.files.read_named)
        self.files.remember(self.catalog.files)
        self._entry_points = static.entry_points
        self._between = between

    def look(self, now: float, anyway: bool = False, watch: Watch | None = None) -> list[str]:
        """Takes in all that is new; answers the paths that it was about."""
        news = self.files.look(listed(self.files, watch), now, anyway)
        for path, said in news:
            self.files.naming(path)
            self.catalog.said(path, said)
            self._between()
        return [path for path, _ in news]

    def settle(self) -> Settled:
        """One model of all that was said, and what is wrong with it."""
        return self.catalog.settle(self._entry_points)


def read_once(static: Static) -> tuple[Settled, tuple[str, ...]]:
    """What a start with these files would serve, and which files that are."""
    sources = Sources(static)
    sources.look(0.0, anyway=True)
    return sources.settle(), sources.catalog.files


class Followed:
    """Sources that are looked at whenever there is a reason to: `wait`, then `turn`, for ever."""

    def __init__(self, sources: Followable, follow: bool, inbox: Inbox,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._sources, self._inbox, self._clock = sources, inbox, clock
        self._quiet = sources.files.quiet
        self._watch = Watch(inbox) if follow else None
        self._next = clock()

    def wait(self, most_s: float) -> None:
        """Waits for news, at most so long."""
        now = self._clock()
        until = [most_s]
        if (wait_s := self._quiet.wait_s(now)) is not None:
            until.append(wait_s)        # the slow look waits for this too, and its time may have come already
        elif self._watch is not None:
            until.append(self._next - now)
        self._inbox.wait(max(0.0, min(until)))

    def turn(self) -> list[str]:
        """Takes in the events and looks if it is time to; answers the paths of files with news."""
        now = self._clock()
        if self._watch is not None:
            self._watch.feed(self._quiet, now)
        else:
            self._inbox.take()
        # the slow look keeps out of a burst: what it would find now has not come to rest
        slow = now >= self._next and self._quiet.wait_s(now) is None
        if not (slow or self._quiet.is_due(now)):
            return []
        paths = self._sources.look(now, watch=self._watch)
        self._next = now + (self._watch.interval_s if self._watch is not None else float("inf"))
        return paths

    def close(self) -> None:
        if self._watch is not None:
            self._watch.close()
