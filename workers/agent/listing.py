"""Which files the file provider reads, where their bytes really lie, and how to read one while nobody writes it.

Owns the walk over a directory (as Traefik does it: with its sub-directories) and the way through symbolic links: every
directory whose entry decides where a path leads is told, so that a switch of a link (`conf.d -> releases/42`,
`..data -> ..2026_11_24`) can be noticed.  It decides nothing about what to do with a file.  Floor 3.

Not read: names that begin with a dot (editors' swap files, `.#lock`, the `..2026_11_24` of a mounted volume; links
that lead there are followed), and whatever does not end in .yml, .yaml or .toml (backups, `4913`, `x.yml~`).
"""
from __future__ import annotations

import errno
import fcntl
import os
import signal
import stat
from collections import deque
from dataclasses import dataclass, field

from mesh.providers.source import ENDINGS
from mesh.providers.tree import MAX_BYTES

MAX_FILES = 10_000
MAX_DEPTH = 16          # of sub-directories
MAX_LINKS = 40          # on the way to one file; Linux has the same bound

Stamp = tuple[int, int, int, int, int]          # device, inode, size, modified, changed: another stamp, another text


@dataclass(frozen=True, slots=True)
class Found:
    """A file as it was found: the place of its bytes once all links are followed, and its stamp."""

    real: str
    stamp: Stamp


@dataclass(slots=True)
class Listing:
    """All that was found: files by their path as configured, what cannot be read and why, and what to watch.

    `entries` are directory entries that lead to the files (links, and names above the provider's directory), by
    directory; `directories` those whose every readable name counts.  All of them are real paths.
    """

    files: dict[str, Found] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    entries: dict[str, set[str]] = field(default_factory=dict)
    directories: set[str] = field(default_factory=set)

    def follow(self, path: str) -> str:
        """The real path, "" where it leads nowhere; notes on which entries that depends."""
        steps, real = trail(path)
        for directory, name in steps:
            self.entries.setdefault(directory, set()).add(name)
        return real


def is_readable_name(name: str) -> bool:
    """Whether a file of this name is one of the provider's."""
    return name.endswith(ENDINGS) and not name.startswith(".")


def trail(path: str) -> tuple[list[tuple[str, str]], str]:
    """The entries (directory, name) that decide where an absolute path leads, and where that is ("": nowhere).

    They are every symbolic link on the way, and the last name, or the first that is missing.
    """
    steps: list[tuple[str, str]] = []
    parts = deque(path.split("/"))
    here, links = "/", 0
    while parts:
        name = parts.popleft()
        if name in ("", "."):
            continue
        if name == "..":
            here = os.path.dirname(here)            # what is behind us has no links any more
            continue
        entry = os.path.join(here, name)
        try:
            link = os.readlink(entry)
        except OSError as error:
            if error.errno != errno.EINVAL:         # not even a link: nothing is there, or it may not be looked at
                steps.append((here, name))
                return steps, ""
            here = entry
            continue
        steps.append((here, name))
        links += 1
        if links > MAX_LINKS:
            return steps, ""
        if link.startswith("/"):
            here = "/"
        parts.extendleft(reversed(link.split("/")))
    if here != "/":
        steps.append(os.path.split(here))
    return steps, here


def list_file(path: str) -> Listing:
    """The listing of one file by its name."""
    listing = Listing()
    _add(listing, path, listing.follow(path))
    return listing


def list_directory(top: str) -> Listing:
    """The listing of a directory with its sub-directories."""
    listing = Listing()
    seen: set[tuple[int, int]] = set()              # a link to a directory above is no reason to walk for ever
    left = [(top, listing.follow(top), 0)]
    while left:
        path, real, depth = left.pop()
        try:
            this = os.stat(real or path)
            if (this.st_dev, this.st_ino) in seen:
                continue
            seen.add((this.st_dev, this.st_ino))
            with os.scandir(real or path) as entries:
                children = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            listing.refused[path] = _why(error)
            continue
        listing.directories.add(real)
        for entry in children:
            if entry.name.startswith("."):
                continue
            child = os.path.join(path, entry.name)
            is_link = entry.is_symlink()
            at = listing.follow(child) if is_link else os.path.join(real, entry.name)
            if entry.name.endswith(ENDINGS):
                if len(listing.files) >= MAX_FILES:
                    listing.refused[top] = f"holds more than {MAX_FILES} files"
                    return listing
                _add(listing, child, at)
            elif entry.is_dir():
                if depth < MAX_DEPTH:
                    left.append((child, at, depth + 1))
                else:
                    listing.refused[child] = f"directories more than {MAX_DEPTH} deep are not read"
    return listing


def _add(listing: Listing, path: str, real: str) -> None:
    try:
        path.encode()
    except UnicodeEncodeError:
        listing.refused[os.fsencode(path).decode(errors="backslashreplace")] = "its name is not UTF-8"
        return
    try:
        this = os.stat(real or path)
    except OSError as error:
        dangling = error.errno == errno.ENOENT and os.path.islink(path)
        if dangling:
            listing.refused[path] = f"it is a symbolic link to {os.readlink(path)}, which does not exist"
        elif error.errno != errno.ENOENT:
            listing.refused[path] = _why(error)
        return
    if stat.S_ISREG(this.st_mode):
        listing.files[path] = Found(real, stamp_of(this))
    else:
        listing.refused[path] = "it is a directory" if stat.S_ISDIR(this.st_mode) else "it is not a regular file"


def stamp_of(this: os.stat_result) -> Stamp:
    return this.st_dev, this.st_ino, this.st_size, this.st_mtime_ns, this.st_ctime_ns


def _why(error: OSError) -> str:
    return (error.strerror or "unknown error").lower()


class Unreadable(Exception):
    """The file cannot be read; says why."""


class BeingWritten(Exception):
    """Somebody has the file open for writing."""


def read_whole(path: str, is_open: bool = False, anyway: bool = False) -> tuple[bytes, Stamp]:
    """The bytes of a file that nobody is writing, and its stamp; raises BeingWritten, Unreadable.

    Whether somebody writes is asked of the kernel, by a read lease: it is refused while anyone has the file open for
    writing, and while we hold it a writer's open() waits for us, so that what is read is never half of a save.  A lease
    needs our own files or CAP_LEASE, and a file system that knows leases; where it cannot be had, `is_open` (what
    the watcher's events say) decides.  `anyway` reads in any case.
    """
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        raise Unreadable(_why(error)) from None
    try:
        before = os.fstat(file)
        if not stat.S_ISREG(before.st_mode):
            raise Unreadable("it is not a regular file")
        alone = _lease(file)
        if not anyway and (alone is False or (alone is None and is_open)):
            raise BeingWritten
        data = _read(file)
        return data, stamp_of(before)
    except OSError as error:
        raise Unreadable(_why(error)) from None
    finally:
        os.close(file)          # gives the lease back, too


def _lease(file: int) -> bool | None:
    """True: it is ours, nobody writes.  False: somebody has the file open for writing.  None: it cannot be known."""
    try:
        # A writer that comes while we read is announced by a signal; this one is ignored unless somebody asks for it
        # (the default SIGIO would end the process).
        fcntl.fcntl(file, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return False if error.errno == errno.EAGAIN else None
    return True


def _read(file: int) -> bytes:
    parts = []
    left = MAX_BYTES + 1        # one more than is taken, so that the reader can tell
    while left > 0 and (part := os.read(file, min(left, 1 << 20))):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)
