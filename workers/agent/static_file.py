"""The static file as it lies on the disk: validated when it changes, and the master told when it is worth a reload.

Owns the third row of DESIGN section 6.  A good file that says something else than what runs makes a SIGHUP to the
master; a broken one makes problems, and nothing else happens.  It is followed by the same quiet logic as all files.

One version of the file is told to the master once: if the master cannot take it (an address in use), asking again would
not help, and `hostmesh reload` is there.  Which version that was survives the agent, on the sources board.  Floor 3.
"""
from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterable
from dataclasses import replace
from hashlib import blake2b

from mesh.errors import ConfigError, Problem
from mesh.model import Static
from mesh.names import PRODUCT
from mesh.providers.quiet import Quiet
from mesh.providers.static import load_static, unreadable_static
from workers.agent.files import Files
from workers.agent.sources import listed
from workers.agent.watch import Watch
from workers.machine import here, password_file

log = logging.getLogger(f"{PRODUCT}.static")


class StaticFile:
    """The file of the configuration that runs; `digest` is of the version that was seen last ("": it was never there).

    `problems` is what is wrong with the file as it is now, warnings too.
    """

    def __init__(self, running: Static, told: str) -> None:
        self.files = Files("", running.file, Quiet())
        self.digest = told
        self.problems: tuple[Problem, ...] = ()
        self.is_worth_a_reload = False
        self._running = running
        self._is_first = not told

    def look(self, now: float, anyway: bool = False, watch: Watch | None = None) -> list[str]:
        """Takes in a new version, if there is one, and judges it."""
        news = self.files.look(listed(self.files, watch), now, anyway)
        if not news:
            return []
        _, said = news[-1]
        if not isinstance(said, bytes):
            # A service without any static file runs on the defaults, and its absence is no news.
            if self.digest:
                self.problems = _runs_on(unreadable_static(self._running.file, said or "it is gone").problems)
            return [self._running.file]
        digest = blake2b(said, digest_size=16).hexdigest()
        is_new, self.digest = digest != self.digest, digest
        try:
            static, warnings = load_static(said, self._running.file, here(), password_file)
        except ConfigError as error:
            self.problems = _runs_on(error.problems)
            return [self._running.file]
        self.problems = tuple(warnings)
        # what the master said of the directory that it runs on holds until its end
        as_it_would_run = replace(static, runtime_directory=self._running.runtime_directory)
        self.is_worth_a_reload = is_new and not self._is_first and as_it_would_run != self._running
        self._is_first = False
        return [self._running.file]

    def tell(self, master_pid: int) -> None:
        """Has the master take the file up, if that is worth while."""
        if self.is_worth_a_reload and os.getppid() == master_pid:
            log.info("%s has changed: the master takes it up", self._running.file)
            os.kill(master_pid, signal.SIGHUP)
        self.is_worth_a_reload = False


def _runs_on(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """These problems, each with what follows from it, which is nothing."""
    return tuple(replace(problem, message=f"{problem.message}; the service runs on as before")
                 for problem in problems)
