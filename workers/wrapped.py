"""A command that runs as if nobody stood between it and whoever started it, but for its end.

Owns the child: it gets our arguments, environment, files and signals, systemd's socket activation and notifications
reach it and come from it, it is reaped, and its exit becomes ours.  TERM and INT alone are ours: what `Leaving` has to
do comes first (an instance is drained and deregistered), then the command gets TERM, and KILL when it takes too long.
Floor 3.

The child has a process group of its own, so that Ctrl-C at a terminal reaches us alone, and it dies with us if we are
killed: nothing runs on that nobody would stop.
"""
from __future__ import annotations

import array
import contextlib
import ctypes
import errno
import os
import resource
import select
import signal
import socket
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import NoReturn, Protocol

_PR_SET_PDEATHSIG = 1
_OURS = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)
_PASSED_ON = (signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH, signal.SIGTTIN,
              signal.SIGTTOU, signal.SIGCONT, signal.SIGPWR, signal.SIGALRM,
              *range(signal.SIGRTMIN, signal.SIGRTMAX + 1))
_TICK_S = 1.0           # the most that a wait in the loop takes: nothing depends on it
_MOST_FDS = 253         # SCM_MAX_FD of the kernel
_CREDENTIALS = struct.Struct("3i")

NOT_FOUND, NOT_EXECUTABLE = 127, 126        # as shells answer


class Leaving(Protocol):
    """What is to happen around the life of the command; each step returns at once."""

    def started(self) -> None:
        """The command runs."""

    def drain(self) -> bool:
        """It is to end: no new work for it.  False: there is nothing to wait for."""

    def leave(self) -> None:
        """It ends, or has ended."""

    @property
    def has_drained(self) -> bool:
        """Nothing is under way any more: there is no need to wait longer."""

    @property
    def has_left(self) -> bool:
        """The last step is done."""


class CannotRun(Exception):
    """The command cannot be executed; `code` is the exit code for it."""

    def __init__(self, why: str, code: int) -> None:
        super().__init__(why)
        self.code = code


class Wrapped:
    """Runs one command; `wake` may be called from any thread when `has_drained` or `has_left` may have changed."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str], drain_s: float, stop_s: float,
                 leave_s: float = 2.0) -> None:
        self._command, self._environ = command, dict(environ)
        self._drain_s, self._stop_s, self._leave_s = drain_s, stop_s, leave_s
        self._wakes, self._woken = socket.socketpair()
        self._wakes.setblocking(False)
        self._woken.setblocking(False)
        self._relay = Relay(environ)
        self.pid = 0
        self.was_stopped_early = False      # it ended while it was drained, before we asked it to

    def wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wakes.send(b"\0")

    def run(self, leaving: Leaving) -> int:
        """Runs it to its end; its wait status.  Raises CannotRun.  To be called from the main thread, once."""
        numbers = {*_OURS, *_PASSED_ON}
        before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
        for number in numbers:
            signal.signal(number, _noted)
        signal.set_wakeup_fd(self._wakes.fileno(), warn_on_full_buffer=False)
        try:
            self._start(before)
            leaving.started()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return self._live(leaving)

    def _start(self, mask: set[int | signal.Signals]) -> None:
        reads, writes = os.pipe()           # closed by a successful exec
        self.pid = os.fork()
        if not self.pid:
            self._become(writes, mask)
        os.close(writes)
        with open(reads, "rb") as said:
            number = said.read()
        if number:
            os.waitpid(self.pid, 0)
            code = int(number)
            raise CannotRun(f"{self._command[0]}: {os.strerror(code).lower()}",
                            NOT_FOUND if code in (errno.ENOENT, errno.ENOTDIR) else NOT_EXECUTABLE)

    def _become(self, writes: int, mask: set[int | signal.Signals]) -> NoReturn:
        """The child between fork and exec."""
        number = 1
        try:
            os.setpgid(0, 0)
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            signal.set_wakeup_fd(-1)
            for each in (*_OURS, *_PASSED_ON, signal.SIGPIPE, signal.SIGXFSZ):     # Python ignores the last two
                signal.signal(each, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            environ = {**self._environ, **self._relay.environ}
            environ.pop("WATCHDOG_PID", None)                   # it names us; without it, whoever asks is meant
            if environ.get("LISTEN_PID") == str(os.getppid()):
                environ["LISTEN_PID"] = str(os.getpid())
            os.execvpe(self._command[0], list(self._command), environ)
        except OSError as error:
            number = error.errno or 1
        finally:
            os.write(writes, str(number).encode())
            os._exit(NOT_EXECUTABLE)

    def _live(self, leaving: Leaving) -> int:
        phase, until = "runs", float("inf")
        while True:
            if (status := self._reaped()) is not None:
                self.was_stopped_early = phase in ("drains", "leaves")
                self._see_off(leaving, 0.0 if phase == "stops" else self._leave_s)      # waited for once already
                return status
            now = time.monotonic()
            asked = self._signals(max(0.0, min(_TICK_S, until - now)))
            now = time.monotonic()
            if phase == "runs" and asked:
                asked -= 1
                drains = leaving.drain()
                phase, until = "drains", now + self._drain_s if drains else now
            if phase == "drains" and (asked or now >= until or leaving.has_drained):
                leaving.leave()
                phase, until, asked = "leaves", now + self._leave_s, max(0, asked - 1)
            if phase == "leaves" and (asked or now >= until or leaving.has_left):
                self._send(signal.SIGTERM)
                phase, until, asked = "stops", now + self._stop_s, max(0, asked - 1)
            if phase == "stops" and (asked or now >= until):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.pid, signal.SIGKILL)
                until = now + self._stop_s

    def _see_off(self, leaving: Leaving, most_s: float) -> None:
        leaving.leave()
        deadline = time.monotonic() + most_s
        while not leaving.has_left and (left_s := deadline - time.monotonic()) > 0:
            self._signals(left_s)
        self._relay.pass_on(self.pid)

    def _signals(self, most_s: float) -> int:
        """Waits for news, hands on what is the command's; how often we were asked to end."""
        readable, _, _ = select.select([self._woken, *self._relay.files], [], [], most_s)
        if self._relay.files and self._relay.files[0] in readable:
            self._relay.pass_on(self.pid)
        asked = 0
        if self._woken in readable:
            for number in self._woken.recv(4096):
                if number in (signal.SIGTERM, signal.SIGINT):
                    asked += 1
                elif number in _PASSED_ON:
                    self._send(number)
        return asked

    def _send(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def _reaped(self) -> int | None:
        """The command's wait status once it has ended; as process 1 of a container we reap everybody's orphans."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return 0
            if pid == self.pid:
                return status
            if not pid:
                return None


def end_as(status: int) -> NoReturn:
    """Ends this process as the command ended: by its exit code, or by the signal that killed it."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))        # the command's core is the one that tells something
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
        os.kill(os.getpid(), number)
        os._exit(128 + number)              # a signal that process 1 of a container does not die of
    os._exit(os.WEXITSTATUS(status))


def _noted(number: int, frame: object) -> None:
    """The number has gone to the wakeup file already."""


class Relay:
    """The command's notifications to systemd, which listens to its main process alone (NotifyAccess=main): to us.

    Everything is passed on, files too (FDSTORE=1, BARRIER=1), but MAINPID=: we are that, until the end.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._to = environ.get("NOTIFY_SOCKET", "")
        self.files: list[socket.socket] = []
        self.environ: dict[str, str] = {}
        if not self._to:
            return
        listens = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        listens.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        listens.bind("")                    # autobind: an abstract name that nobody else has (unix(7))
        self.files = [listens]
        self.environ = {"NOTIFY_SOCKET": "@" + listens.getsockname()[1:].decode()}

    def pass_on(self, child: int) -> None:
        """Passes on what has come in from the command and its own children."""
        for data, fds, pid, uid in self._received():
            try:
                lines = [line for line in data.split(b"\n") if line and not line.startswith(b"MAINPID=")]
                if lines and _is_family(pid, uid, child):
                    self._send(b"\n".join(lines), fds)
            finally:
                for fd in fds:
                    os.close(fd)

    def _received(self) -> Iterator[tuple[bytes, list[int], int, int]]:
        room = socket.CMSG_SPACE(_MOST_FDS * 4) + socket.CMSG_SPACE(_CREDENTIALS.size)
        while self.files:
            try:
                data, ancillary, _, _ = self.files[0].recvmsg(65536, room, socket.MSG_CMSG_CLOEXEC)
            except BlockingIOError:
                return
            fds, pid, uid = array.array("i"), 0, -1
            for level, kind, value in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    fds.frombytes(value[:len(value) // 4 * 4])
                elif (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
                    pid, uid, _ = _CREDENTIALS.unpack(value)
            yield data, list(fds), pid, uid

    def _send(self, data: bytes, fds: list[int]) -> None:
        path = "\0" + self._to[1:] if self._to.startswith("@") else self._to
        told = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        with contextlib.suppress(OSError), \
                socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as sock:
            sock.sendmsg([data], told, 0, path)


def _is_family(pid: int, uid: int, child: int) -> bool:
    """An abstract name is open to every user of the machine: root and our own count, and the command's group."""
    if uid in (0, os.geteuid()):
        return True
    try:
        return os.getpgid(pid) == child
    except ProcessLookupError:
        return False
