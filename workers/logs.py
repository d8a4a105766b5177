"""What the processes themselves say: one line per event, for a person or for a machine.

Owns the process log (the access log is the data path's).  Every module logs to `logging.getLogger("hostmesh")` or
below; gunicorn speaks through the same object, so there is one form and one place.  It refuses to let a log stop a
process: a line that cannot be written (disk full, reader gone) is dropped and counted.  Floor 3.
"""
from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from mesh.model import Static
from mesh.names import PRODUCT

STANDARD_ERROR = 2


def _in_one_line(text: str) -> str:
    """Line ends and control characters as escapes: what a client sent cannot forge a line."""
    return text if text.isprintable() else "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class _Form(logging.Formatter):
    """The form of a line; `role` is which process speaks ("worker 3")."""

    def __init__(self) -> None:
        super().__init__()
        self.role = "master"
        self.json = False

    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        trace = self.formatException(record.exc_info) if record.exc_info and record.exc_info[0] else ""
        if self.json:
            said = {"time": self._when(record), "level": record.levelname.lower(), "process": self.role,
                    "pid": os.getpid(), "message": message}
            if trace:
                said["error"] = trace
            return orjson.dumps(said).decode()
        line = f"{self._when(record)} {record.levelname:<7} {self.role}[{os.getpid()}]: {_in_one_line(message)}"
        # A traceback tells of a bug of ours, never of an operator's mistake; it stands below its line, indented.
        return line + "".join(f"\n    {part}" for part in trace.splitlines())

    @staticmethod
    def _when(record: logging.LogRecord) -> str:
        zone = time.strftime("%z", when := time.localtime(record.created))
        return f"{time.strftime('%Y-%m-%dT%H:%M:%S', when)}.{int(record.msecs):03d}{zone[:3]}:{zone[3:]}"


class _Lines(logging.Handler):
    """Writes lines to standard error or to a file that can be opened anew."""

    def __init__(self) -> None:
        super().__init__()
        self.form = _Form()
        self.setFormatter(self.form)
        self.path = ""
        self.dropped = 0
        self._file = STANDARD_ERROR

    def open(self, path: str) -> None:
        """Goes on in this file ("": standard error).  OSError leaves everything as it was."""
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640) if path else STANDARD_ERROR
        self.path, before, self._file = path, self._file, file
        if before != STANDARD_ERROR:
            os.close(before)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except (TypeError, ValueError) as error:        # arguments that do not fit their text: a bug, but not a reason
            line = f"{record.msg} (log arguments: {error})"
        data = line.encode(errors="backslashreplace") + b"\n"
        try:
            while data:
                data = data[os.write(self._file, data):]
        except OSError:
            self.dropped += 1


class ProcessLog:
    """The log of this process and of the children that it forks; has gunicorn's logger interface.

    Raises OSError when the file of the configuration cannot be opened.
    """

    def __init__(self, static: Static) -> None:
        self.logger = logging.getLogger(PRODUCT)
        self._lines = _Lines()
        self.setup(static)
        self.logger.propagate = False
        self.logger.handlers[:] = [self._lines]
        # What gunicorn or asyncio say past our object has the same form, and no handler of its own.
        logging.getLogger().handlers[:] = [self._lines]
        self.log: Callable[..., None] = self.logger.log
        self.debug: Callable[..., None] = self.logger.debug
        self.info: Callable[..., None] = self.logger.info
        self.warning: Callable[..., None] = self.logger.warning
        self.error: Callable[..., None] = self.logger.error
        self.critical: Callable[..., None] = self.logger.critical
        self.exception: Callable[..., None] = self.logger.exception

    def setup(self, static: Static) -> None:
        """Takes level, form and file from this configuration; OSError leaves everything as it was."""
        self._lines.open(static.log_file)
        self._lines.form.json = static.log_format == "json"
        self.logger.setLevel(static.log_level)

    def become(self, role: str) -> None:
        """From now on this process speaks as `role`, and `ps` and `top` call it so."""
        self._lines.form.role = role
        with contextlib.suppress(OSError):
            Path("/proc/self/comm").write_text(f"mesh {role}"[:15])

    def reopen_files(self) -> None:
        """After a rotation: goes on in a new file of the old name, or in the old one if that cannot be made."""
        try:
            self._lines.open(self._lines.path)
        except OSError as error:
            self.error("log file %s: %s; the old one is written on", self._lines.path, error.strerror)

    @property
    def dropped(self) -> int:
        """Lines that could not be written."""
        return self._lines.dropped

    def close_on_exec(self) -> None:
        """Nothing to do: Python's descriptors are not inherited by other programs."""

    def access(self, *_: Any) -> None:
        """gunicorn's access log has no part in ours."""
