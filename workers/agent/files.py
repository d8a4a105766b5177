"""The provider's files as they come, change and go: what is news among them, told once and only when it is whole.

Owns what was last read of every file.  `look` compares the disk with that and answers the news in the form that a
Catalog takes.  When to look, and what is being written, is Quiet's to say; the kernel's events come from watch.py, and
without any event a look still finds every change (a poll, the slow rescan).  Floor 3.
"""
from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable
from hashlib import blake2b

from mesh.names import PRODUCT
from mesh.providers.quiet import Quiet
from workers.agent.listing import (
    BeingWritten,
    Found,
    Listing,
    Stamp,
    Unreadable,
    list_directory,
    list_file,
    read_whole,
    stamp_of,
)

News = tuple[str, bytes | str | None]           # as Catalog.said takes it: a path; bytes, why unreadable, or gone
NO_FILE = "no such file or directory"
MAX_NAMED_BYTES = 4 << 20                       # of a file that a file names, such as a bundle of root certificates

log = logging.getLogger(f"{PRODUCT}.files")


class Files:
    """The files below one directory, or one file by its name, and what was last read of them."""

    def __init__(self, directory: str, filename: str, quiet: Quiet) -> None:
        self.directory, self.filename, self.quiet = directory, filename, quiet
        self._told: dict[str, bytes] = {}                   # path -> digest of what was last told
        self._read: dict[str, tuple[str, Stamp]] = {}       # path -> where and what it was when its bytes were read
        self._seen: dict[str, tuple[str, Stamp]] = {}       # the same, when it was last looked at
        self._moving: dict[str, float] = {}                 # changed without any event, and since when
        self._named: dict[str, dict[str, Stamp | None]] = {}    # path -> the files that it names, as they were read
        self._naming: dict[str, Stamp | None] | None = None
        self._unsure: set[str] = set()                      # written while no news were to be had: open, perhaps
        self._looked = False

    def remember(self, paths: Iterable[str]) -> None:
        """These were told of in a former life: if they are gone now, that is news."""
        self._told.update(dict.fromkeys(paths, b""))

    def find(self) -> Listing:
        """What is there now."""
        if self.directory:
            return list_directory(self.directory)
        return list_file(self.filename) if self.filename else Listing()

    def look(self, listing: Listing, now: float, anyway: bool = False) -> list[News]:
        """What is new since the last look.  `anyway`: at once, whoever may be writing (for a single look)."""
        touched = self.quiet.begin(now)
        news: list[News] = []
        for path, found in listing.files.items():
            if anyway or self._is_worth_reading(path, found, touched, now):
                self._take(path, found, now, anyway, news)
        for path in [path for path in self._seen if path not in listing.files]:
            del self._seen[path]
            self._moving.pop(path, None)
        for path, why in self._missing(listing).items():
            is_known = why and self._told.get(path) == _digest(why)
            real, _ = self._read.get(path, (path, None))
            if not is_known and (anyway or self.quiet.is_lasting(path, now, real)):
                self._tell_missing(path, why, news)
        self._looked = True
        return news

    def read_named(self, path: str) -> bytes:
        """The bytes of a file that a provider's file names; for Catalog.  A change of it is news of the naming file."""
        if self._naming is not None:
            self._naming[path] = _stamp(path)
        try:
            data, _ = read_whole(path)
        except BeingWritten:
            raise OSError("somebody is writing it") from None
        except Unreadable as error:
            raise OSError(str(error)) from None
        if len(data) > MAX_NAMED_BYTES:
            raise OSError(f"larger than {MAX_NAMED_BYTES >> 20} MiB")
        return data

    def naming(self, path: str) -> None:
        """From now on, files that are read by name are named by this file."""
        self._naming = self._named[path] = {}

    def _is_worth_reading(self, path: str, found: Found, touched: frozenset[str], now: float) -> bool:
        now_there = (found.real, found.stamp)
        seen, self._seen[path] = self._seen.get(path), now_there
        if self.quiet.is_held(found.real) and seen != now_there:
            self.quiet.modified(found.real, now)        # where no event tells that he goes on writing
        if found.real in touched or self.quiet.is_held(found.real) or self.quiet.is_overdue(found.real):
            return True
        if self._read.get(path) == now_there:
            return self._names_something_new(path)
        if not self._looked:
            return True
        # It changed, and no event said so: it may be changing still.  It is read when two looks find it the same.
        since = self._moving.setdefault(path, now)
        if (since == now or seen != now_there) and now - since < self.quiet.open_most_s:
            self.quiet.lost(now)
            return False
        return True

    def _missing(self, listing: Listing) -> dict[str, str]:
        """What was told and is not there any more, or cannot be read, with the reason ("": it is gone)."""
        missing = dict(listing.refused)
        for path in self._told:
            if path not in listing.files and path not in missing and not _is_below(path, listing.refused):
                missing[path] = ""
        if self.filename and self.filename not in listing.files and not missing.get(self.filename):
            missing[self.filename] = NO_FILE
        return missing

    def _names_something_new(self, path: str) -> bool:
        return any(_stamp(named) != stamp for named, stamp in self._named.get(path, {}).items())

    def _take(self, path: str, found: Found, now: float, anyway: bool, news: list[News]) -> None:
        overdue = self.quiet.is_overdue(found.real)
        if self._may_be_open(path, found):
            self._unsure.add(found.real)
            self.quiet.modified(found.real, now)
        said: bytes | str
        try:
            said, stamp = read_whole(found.real, self.quiet.is_open(found.real), anyway or overdue)
        except BeingWritten:
            log.debug("%s is being written: it is read when it is closed", path)
            self.quiet.hold(found.real, now)
            return
        except Unreadable as error:
            said, stamp = str(error), found.stamp
            if said == NO_FILE:
                return                  # it went away under our hands: the next look sees whether for good
        if overdue and found.real not in self._unsure:
            log.warning("%s has been open for writing for long: it is read as it is", path)
        self._read[path] = (found.real, stamp)
        self._moving.pop(path, None)
        self._unsure.discard(found.real)
        self.quiet.was_read(found.real)
        if self._told.get(path) != _digest(said) or self._names_something_new(path):
            self._tell(path, said, news)

    def _may_be_open(self, path: str, found: Found) -> bool:
        """Whether somebody may have begun to write this file while no agent heard the news of it.

        Only for one whose former version serves: another one has nothing to lose.  A lease, where it is to be had,
        tells better, and then this makes no difference.
        """
        is_remembered = self._told.get(path) == b""
        return not self._looked and is_remembered and 0 <= time.time() - found.stamp[3] / 1e9 < self.quiet.open_s

    def _tell(self, path: str, said: bytes | str, news: list[News]) -> None:
        self._told[path] = _digest(said)
        news.append((path, said))

    def _tell_missing(self, path: str, why: str, news: list[News]) -> None:
        self._read.pop(path, None)
        if not why or (path == self.filename and why == NO_FILE):
            self._told.pop(path, None)
            self._named.pop(path, None)
            news.append((path, None))
        if why:
            self._tell(path, why, news)


def _is_below(path: str, directories: Iterable[str]) -> bool:
    return any(path.startswith(f"{directory}/") for directory in directories)


def _digest(said: bytes | str) -> bytes:
    return blake2b(said if isinstance(said, bytes) else b"\0" + said.encode(), digest_size=16).digest()


def _stamp(path: str) -> Stamp | None:
    try:
        return stamp_of(os.stat(path))
    except OSError:
        return None
