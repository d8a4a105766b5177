"""Bells between the processes of one host: one for each worker, by its column, and one for the agent.

Owns the descriptors (eventfd): made by the master before its first fork, so that every child has them, a restarted one
too.  A bell says that there is something to be seen in the shared memory, and nothing else; rung twice before anybody
looks, it has rung once.  Floor 3.
"""
from __future__ import annotations

import os


class Bells:
    """For so many columns.  `of(column)` and `agent` are descriptors, to be watched for reading."""

    def __init__(self, columns: int) -> None:
        self._fds = [os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC) for _ in range(columns + 1)]

    def of(self, column: int) -> int:
        return self._fds[column]

    @property
    def agent(self) -> int:
        return self._fds[-1]

    @staticmethod
    def ring(fd: int) -> None:
        """Wakes whoever watches it.  One that was rung 2**64 - 2 times unheard is as loud as it gets."""
        try:
            os.eventfd_write(fd, 1)
        except BlockingIOError:
            return

    @staticmethod
    def heard(fd: int) -> bool:
        """Silences it; whether it had rung."""
        try:
            return os.eventfd_read(fd) > 0
        except BlockingIOError:
            return False

    def close(self) -> None:
        for fd in self._fds:
            os.close(fd)
        self._fds = []

    __del__ = close
