"""The file behind the shared memory, and who holds what of it.

Owns the runtime directory: it is made fit or refused, one instance at a time runs on it, and a restarted service finds
the boards of the former run there, so that its workers serve before any provider has spoken.  What the bytes mean
stands in mesh/shared/layout.py.  It refuses to follow links, and directories that others may write to.  Floor 3.

Holders are told by record locks (fcntl) on bytes of the file `lock`: the kernel drops them with the process, however it
ends, and a child does not inherit them.

    0           the instance, held by the master: a second one is refused
    1           the boards, held by the agent that writes them: a killed master's agent may outlive it for a moment
    16 + i      column i, held by its worker: the same, so that a column never has two writers

Record locks fall when *any* descriptor of the file is closed by their holder, so the file is opened once per process.
"""
from __future__ import annotations

import contextlib
import errno
import fcntl
import mmap
import os
import stat
import struct
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from zlib import crc32

from mesh.model import Static
from mesh.names import LOCK_FILE, MEMORY_FILE, PRODUCT
from mesh.shared.board import BoardDamaged
from mesh.shared.layout import FACT_MASTER_PID, FACT_ORIGIN, PAGE, LayoutMismatch, Memory, Sizes
from mesh.shared.series import GAUGE_PID, Column

_INSTANCE, _BOARDS, _COLUMNS = 0, 1, 16
_FLOCK = struct.Struct("@hhqqi0q")          # struct flock of Linux: type, whence, start, length, pid


class Refused(Exception):
    """The runtime directory cannot be used; one line that says why and what to do."""


class SharedMemory(Memory):
    """The layout over a mapped file, with the locks of its directory; closing the process lets go of everything."""

    def __init__(self, buffer: mmap.mmap, file: int, lock: int) -> None:
        super().__init__(buffer, lambda offset, length: os.posix_fallocate(file, offset, length) if length else None)
        self._files = (file, lock)
        self._lock = lock

    def another(self) -> Memory:
        """The same memory for reading, as an object of its own, for another thread; needs no file system."""
        return Memory(mmap.mmap(self._files[0], 0, access=mmap.ACCESS_READ))

    def hold_column(self, number: int) -> Column:
        """The column, held by this process until it ends; Refused while another process has it."""
        if not _take(self._lock, _COLUMNS + number):
            raise Refused(f"column {number} of the shared memory is held by pid {self.holder(number)}")
        self.slots.hold_column(number)
        return self.column(number)

    def holder(self, number: int) -> int:
        """Pid of another process that holds this column, 0 if none does."""
        return _holder(self._lock, _COLUMNS + number)

    def bury(self, number: int) -> None:
        """Nobody holds the column any more: what its gauges say, and what it has under way, ended with its holder."""
        self.column(number).release()
        self.slots.clear_column(number)

    def bury_orphans(self, living: Collection[int]) -> None:
        """Buries the columns of ended workers that are not `living`: a killed master's, of whose end nobody is told."""
        for column in self.columns:
            if column.number not in living and column.gauge(GAUGE_PID) and not self.holder(column.number):
                self.bury(column.number)

    def hold_boards(self, wait_s: float) -> bool:
        """Waits until no other process may write the boards, and holds them; False if that took too long."""
        return _take_within(self._lock, _BOARDS, wait_s)


def _take(lock: int, byte: int) -> bool:
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EAGAIN):
            raise
        return False
    return True


def _take_within(lock: int, byte: int, wait_s: float) -> bool:
    deadline = time.monotonic() + wait_s
    while not _take(lock, byte):
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.05)
    return True


def _holder(lock: int, byte: int) -> int:
    asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0)
    kind, _, _, _, pid = _FLOCK.unpack(fcntl.fcntl(lock, fcntl.F_GETLK, asked))
    return 0 if kind == fcntl.F_UNLCK else pid


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turns what the system says about a path into one line for a person."""
    try:
        yield
    except OSError as error:
        raise Refused(f"runtime directory: {error.filename or path}: {error.strerror}"
                      " (runtimeDirectory in the static file chooses another one)") from error


def _directory(path: Path) -> None:
    """Makes the directory, or sees that it is ours alone to write to."""
    # Root's is for everybody to look into (about.json); a person's own, possibly below /tmp, is not.
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o755 if os.geteuid() == 0 else 0o700)
    seen = path.lstat()
    if not stat.S_ISDIR(seen.st_mode):
        raise Refused(f"runtime directory: {path} is not a directory")
    if seen.st_uid not in (os.geteuid(), 0):
        raise Refused(f"runtime directory: {path} belongs to uid {seen.st_uid}, not to uid {os.geteuid()}"
                      " (runtimeDirectory in the static file chooses another one)")
    if seen.st_mode & stat.S_IWOTH:
        raise Refused(f"runtime directory: everybody may write to {path}"
                      " (choose one of its own for hostmesh, such as a directory below it)")


def _open(path: Path, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _new_file(path: Path, sizes: Sizes) -> int:
    """A fresh formatted file in the place of whatever was there; a process that still maps the old one keeps it."""
    fresh = path.with_name(path.name + ".new")
    with contextlib.suppress(FileNotFoundError):
        fresh.unlink()
    file = _open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    try:
        os.ftruncate(file, Memory.size(*sizes))
        os.posix_fallocate(file, 0, PAGE)
        with mmap.mmap(file, Memory.size(*sizes)) as buffer:
            Memory.format(buffer, *sizes)
        os.rename(fresh, path)
    except BaseException:
        os.close(file)
        raise
    return file


def origin(static: Static) -> int:
    """A number for where the configuration comes from: another static file or directory means another memory."""
    return crc32("\n".join((static.file, static.file_directory, static.file_filename)).encode())


def create(static: Static, wait_s: float = 0.0, sizes: tuple[int, ...] = ()) -> SharedMemory:
    """The memory of the master: the former run's if it fits, else a new one.  Raises Refused.

    `wait_s` is how long to wait for another instance on the directory to end, before it is refused.  Nobody holds a
    column when this returns, unless a worker of a killed master is still finishing.
    """
    directory = Path(static.runtime_directory)
    wanted = Memory.sizes_of(*sizes)
    with _told(directory):
        _directory(directory)
        lock = _open(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT)
        if not _take_within(lock, _INSTANCE, wait_s):
            pid = _holder(lock, _INSTANCE)
            os.close(lock)
            raise Refused(f"another {PRODUCT} (pid {pid}) runs on {directory}: stop it, or give this one another"
                          " runtimeDirectory in its static file")
        memory = _former(directory / MEMORY_FILE, lock, wanted)
        if memory is None or memory.facts.load(FACT_ORIGIN) not in (0, origin(static)):
            file = _new_file(directory / MEMORY_FILE, wanted)
            memory = SharedMemory(mmap.mmap(file, Memory.size(*wanted)), file, lock)
        memory.facts.store(FACT_ORIGIN, origin(static))
        memory.facts.store(FACT_MASTER_PID, os.getpid())
        for column in memory.columns:
            # a column that was never held is left alone: touching it would make it cost memory
            if column.used and not memory.holder(column.number):
                memory.bury(column.number)
                if column.used > column.capacity // 2:
                    column.forget()     # rows of routers long gone: a restart is when counters may begin anew
    return memory


def _former(path: Path, lock: int, sizes: Sizes) -> SharedMemory | None:
    """The memory that a former run left, None if there is none that this program can go on with."""
    try:
        file = _open(path, os.O_RDWR)
    except FileNotFoundError:
        return None
    memory = None
    with contextlib.suppress(LayoutMismatch, BoardDamaged, ValueError):
        memory = SharedMemory(mmap.mmap(file, os.fstat(file).st_size), file, lock)
        memory.plan.read()
        memory.sources.read()
        if memory.sizes == sizes:
            return memory
    os.close(file)
    return None


def attach(runtime_directory: str | Path) -> Memory:
    """The memory of the instance that runs (or last ran) on this directory, for reading.  Raises Refused.

    Not for a process that holds a lock of the directory itself (see `master_of`).
    """
    path = Path(runtime_directory) / MEMORY_FILE
    try:
        file = _open(path, os.O_RDONLY)
    except FileNotFoundError:
        if pid := master_of(runtime_directory):
            raise Refused(f"{path} was deleted while {PRODUCT} (pid {pid}) runs: it serves on, and its admin address"
                          " tells how it is; a restart makes the file anew") from None
        raise Refused(f"no {PRODUCT} has run on {runtime_directory} yet (start it with: {PRODUCT} run)") from None
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}") from error
    try:
        return Memory(mmap.mmap(file, 0, access=mmap.ACCESS_READ))
    except ValueError as error:     # LayoutMismatch is one; mmap says so of an empty file
        raise Refused(f"{path}: {error}; it was written by another version, or damaged") from error
    finally:
        os.close(file)


def master_of(runtime_directory: str | Path) -> int:
    """Pid of the master that runs on this directory, 0 if none does; told by its lock, so never another program's.

    Raises Refused where the lock is another user's.  Not for a process that holds a lock of the directory itself.
    """
    path = Path(runtime_directory) / LOCK_FILE
    try:
        lock = _open(path, os.O_RDONLY)
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise Refused(f"{path}: {error.strerror} (run this as the user of the service, or as root)") from error
    try:
        return _holder(lock, _INSTANCE)
    finally:
        os.close(lock)
