"""The kernel's news of the files: watchdog on directories, and what to do where that is not to be had.

Owns which directories are watched and the passage from events to Quiet.  It watches directories, never files (editors
rename), the real ones behind links, and the parents whose entries decide where a link leads.  An event only ever says
*when* to look and who is still writing; what has changed, `files.py` sees for itself.  So a lost event costs time
and nothing else: every RESCAN_S there is a look without one, every POLL_S where inotify refuses.  Floor 3.

watchdog's threads do nothing but put a word into `Inbox`; everything else happens in the agent's own thread.
"""
from __future__ import annotations

import logging
import os
import threading
from collections import deque

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileAttribEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers.api import ObservedWatch
from watchdog.observers.inotify import InotifyObserver

from mesh.names import PRODUCT
from mesh.providers.quiet import Quiet
from workers.agent.listing import Listing, is_readable_name

RESCAN_S = 5.0          # the safety net under inotify: network file systems, a full event queue
POLL_S = 1.0            # without inotify
MAX_WATCHES = 64        # each is a thread of watchdog's; sub-directories of the provider's directory are not counted
MAX_WAITING = 4096      # events between two turns of the loop; beyond, all that is known is that something happened

# Not "opened" and "closed without writing": our own reading would tell us that something happens.
_EVENTS: list[type[FileSystemEvent]] = [
    FileCreatedEvent, FileModifiedEvent, FileAttribEvent, FileClosedEvent, FileMovedEvent, FileDeletedEvent,
    DirCreatedEvent, DirMovedEvent, DirDeletedEvent]
# Where only some entries of a directory matter, such as the static file's, others may be written all the time: a log
# that stood there cost the agent 2 us for each request.  A save in place is noticed by its close.
_EVENTS_OF_ENTRIES = [event for event in _EVENTS if event is not FileModifiedEvent]

log = logging.getLogger(f"{PRODUCT}.watch")


class Inbox:
    """Words from other threads to the agent's own, bounded; `wait` returns when there is one."""

    def __init__(self) -> None:
        self._words: deque[tuple[str, str]] = deque(maxlen=MAX_WAITING)
        self._there = threading.Event()

    def put(self, kind: str, path: str) -> None:
        self._words.append((kind, path))
        self._there.set()

    def wake(self) -> None:
        """Something else has come in than words, and whoever waits knows where to look."""
        self._there.set()

    def wait(self, timeout_s: float) -> bool:
        return self._there.wait(timeout_s)

    def take(self) -> tuple[list[tuple[str, str]], bool]:
        """What has come in, and whether some of it was lost."""
        self._there.clear()
        words = [self._words.popleft() for _ in range(len(self._words))]
        return words, len(words) == MAX_WAITING


class _Interest(FileSystemEventHandler):
    """Lets pass what concerns a listing; runs in watchdog's thread."""

    def __init__(self, inbox: Inbox) -> None:
        self.inbox = inbox
        self.listing = Listing()        # replaced whole by the agent's thread

    def on_any_event(self, event: FileSystemEvent) -> None:
        for said in (event.src_path, event.dest_path):
            path = os.fsdecode(said)
            if path and self.concerns(path, event.is_directory):
                self.inbox.put(event.event_type, path)

    def concerns(self, path: str, is_directory: bool) -> bool:
        listing = self.listing
        directory, name = os.path.split(path)
        if name in listing.entries.get(directory, ()) or path in listing.directories:
            return True
        is_inside = any(directory == top or directory.startswith(f"{top}/") for top in listing.directories)
        return is_inside and (is_readable_name(name) or (is_directory and not name.startswith(".")))


class Watch:
    """The watches on all directories of a listing, kept up with it."""

    def __init__(self, inbox: Inbox) -> None:
        self._interest = _Interest(inbox)
        self._inbox = inbox
        self._observer: InotifyObserver | None = None
        # by directory: which one it was when the watch began (its name may be another's now), and whether recursive
        self._watches: dict[str, tuple[tuple[int, int, bool], ObservedWatch]] = {}
        self._complaint = ""

    @property
    def interval_s(self) -> float:
        """How long to go without a look when nothing happens."""
        return POLL_S if self._complaint else RESCAN_S

    def follow(self, listing: Listing, top: str) -> bool:
        """Watches what this listing depends on, `top` (a real path) with its sub-directories.

        True: a new watch began, so what the listing says may be older than the watch; list again.
        """
        self._interest.listing = listing
        wanted: dict[str, tuple[int, int, bool]] = {}
        for directory in sorted({*listing.directories, *listing.entries}):
            is_covered = top and directory != top and directory.startswith(f"{top}/")
            if not is_covered and len(wanted) < MAX_WATCHES and (identity := _identity(directory)):
                wanted[directory] = (*identity, directory == top)
        began, complaint = False, ""
        for directory in [path for path, (former, _) in self._watches.items() if wanted.get(path) != former]:
            self._end(directory)
        for directory, which in wanted.items():
            if directory not in self._watches:
                try:
                    self._begin(directory, which)
                    began = True
                except OSError as error:
                    if _identity(directory) == which[:2]:           # not one that has just gone away
                        complaint = f"{directory}: {(error.strerror or str(error)).lower()}"
        self._say(complaint)
        return began

    def feed(self, quiet: Quiet, now: float) -> None:
        """Tells Quiet what has come in."""
        words, overflow = self._inbox.take()
        tell = {"modified": quiet.modified, "closed": quiet.closed, "attrib": quiet.noticed}
        for kind, path in words:
            tell.get(kind, quiet.happened)(path, now)
        if overflow:
            quiet.lost(now)

    def close(self) -> None:
        """Ends all watches and their threads."""
        if self._observer is not None:
            self._observer.stop()
            self._observer.join()
            self._observer = None
        self._watches.clear()

    def _begin(self, directory: str, which: tuple[int, int, bool]) -> None:
        if self._observer is None:
            observer = InotifyObserver()            # OSError: no inotify instance to be had
            observer.daemon = True
            observer.start()
            self._observer = observer
        events = _EVENTS if directory in self._interest.listing.directories else _EVENTS_OF_ENTRIES
        watch = self._observer.schedule(self._interest, directory, recursive=which[2], event_filter=events)
        self._watches[directory] = (which, watch)

    def _end(self, directory: str) -> None:
        _, watch = self._watches.pop(directory)
        if self._observer is not None:
            try:
                self._observer.unschedule(watch)
            except KeyError:
                log.debug("the watch on %s had ended by itself", directory)

    def _say(self, complaint: str) -> None:
        if complaint and not self._complaint:
            log.warning("changes cannot be watched (%s): looking every %g s instead", complaint, POLL_S)
        elif self._complaint and not complaint:
            log.info("changes are watched again")
        self._complaint = complaint


def _identity(directory: str) -> tuple[int, int] | None:
    try:
        this = os.stat(directory)
    except OSError:
        return None
    return this.st_dev, this.st_ino
