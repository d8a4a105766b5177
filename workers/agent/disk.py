"""The agent's life with the disk: files are followed, and what they say is published, for ever.

Owns one native thread and the order of things in it.  An error inside it is logged and everything begins anew from the
boards, as a new agent would: there is one way to begin, so it is well trodden.  Floor 3.
"""
from __future__ import annotations

import logging
import threading
import time

from mesh.model import Static
from mesh.names import PRODUCT
from mesh.providers.published import Published, states
from mesh.shared.layout import Memory
from workers.agent.files import NO_FILE
from workers.agent.publish import Found, Publisher, restore
from workers.agent.sources import Followed, Sources
from workers.agent.static_file import StaticFile
from workers.agent.table import Table
from workers.agent.watch import Inbox
from workers.keeper import Backoff

TURN_S = 0.25           # the most that one of the two followed may wait for the other
AGAIN_S = 5.0           # when a board had no room

log = logging.getLogger(f"{PRODUCT}.agent")


class Disk:
    """`run` never ends; `turned_at` (monotonic, seconds) is the last sign of life.

    `has_told`: the problems on the board stand in this service's log already.
    """

    def __init__(self, static: Static, memory: Memory, master_pid: int, has_told: bool, table: Table) -> None:
        self._static, self._memory, self._master_pid, self._table = static, memory, master_pid, table
        self._has_told = has_told
        self.turned_at = time.monotonic()

    def start(self) -> threading.Thread:
        """Runs in a thread of its own, which does not keep the process alive."""
        thread = threading.Thread(target=self.run, name="disk", daemon=True)
        thread.start()
        return thread

    def run(self) -> None:
        backoff = Backoff(first_s=1.0, most_s=60.0, life_s=60.0)
        while True:
            began = time.monotonic()
            try:
                self._follow()
            except Exception:
                now = time.monotonic()
                delay_s = backoff.died(now - began, now)
                log.exception("files cannot be followed for an error inside hostmesh: once more in %g s", delay_s)
            while not backoff.is_over(time.monotonic()):
                self._sign()
                time.sleep(TURN_S)

    def _sign(self) -> None:
        self.turned_at = time.monotonic()

    def _sources(self, former: Published) -> Sources:
        try:
            return Sources(self._static, former.catalog, self._sign)
        except (ValueError, LookupError) as error:
            log.warning("the memory of the sources cannot be read (%s): last good versions are forgotten", error)
            return Sources(self._static, b"", self._sign)

    def _follow(self) -> None:
        former = restore(self._memory)
        sources = self._sources(former)
        publisher = Publisher(self._memory, former, former.problems if self._has_told else (), self._static.file,
                              self._table)
        static_file = StaticFile(self._static, former.static_digest)
        follow = self._static.file_watch
        followed = Followed(sources, follow, Inbox())
        static_followed = Followed(static_file, True, Inbox()) if follow and self._static.file else None
        try:
            first, publish_again = True, float("inf")
            while True:
                paths = followed.turn()
                news = static_followed.turn() if static_followed is not None else []
                self._sign()
                now = time.monotonic()
                if paths or news or first or now >= publish_again:
                    publisher.publish(_found(sources, static_file, paths))
                    first, self._has_told = False, True
                    publish_again = now + AGAIN_S if publisher.is_refused else float("inf")
                    static_file.tell(self._master_pid)
                followed.wait(TURN_S)
        finally:
            followed.close()
            if static_followed is not None:
                static_followed.close()


def _found(sources: Sources, static_file: StaticFile, paths: list[str]) -> Found:
    settled = sources.settle()
    problems = (*static_file.problems, *settled.problems)
    static_path = static_file.files.filename
    known = [*sources.catalog.files, *([static_path] if static_path and static_file.digest else [])]
    missing = [problem.place.file for problem in problems
               if problem.code == "unreadable" and NO_FILE in problem.message]
    return Found(settled, sources.catalog.to_json(), states(known, problems, missing), static_file.problems,
                 static_file.digest, tuple(paths))
