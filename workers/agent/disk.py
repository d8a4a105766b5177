"""The agent's life with the disk: files and the store are followed, and what they say is published, for ever.

Owns one native thread and the order of things in it: whatever else changes what serves (instances that came by
themselves) wakes this thread and is published by it.  An error inside it is logged and everything begins anew from the
boards, as a new agent would: there is one way to begin, so it is well trodden.  Floor 3.
"""
from __future__ import annotations

import logging
import threading
import time

from mesh.model import Dynamic, Static
from mesh.names import PRODUCT
from mesh.providers.catalog import Settled
from mesh.providers.instances import Joiner
from mesh.providers.published import Published, states
from mesh.shared.layout import Memory
from workers.agent.files import NO_FILE
from workers.agent.instances import Instances
from workers.agent.kv import Kv
from workers.agent.publish import Found, Publisher, restore
from workers.agent.sources import Followed, Sources
from workers.agent.static_file import StaticFile
from workers.agent.store_follow import SOURCE
from workers.agent.table import Table
from workers.agent.watch import Inbox
from workers.keeper import Backoff

TURN_S = 0.25           # the most that one of the two followed may wait for the other
AGAIN_S = 5.0           # when a board had no room
# Between two generations for instances alone: the first of a hundred that start together is published at once, and the
# others by the next one.  A generation is work for every worker, a few milliseconds with 10,000 services.
GATHER_S = 0.1

log = logging.getLogger(f"{PRODUCT}.agent")


class Disk:
    """`run` never ends; `turned_at` (monotonic, seconds) is the last sign of life.

    `has_told`: the problems on the board stand in this service's log already.  `instances` are published as they come.
    """

    def __init__(self, static: Static, memory: Memory, master_pid: int, has_told: bool, table: Table,
                 instances: Instances | None = None) -> None:
        self._static, self._memory, self._master_pid, self._table = static, memory, master_pid, table
        self._has_told = has_told
        self._instances = Instances() if instances is None else instances
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

    def _recall(self, former: Published) -> None:
        redis = self._static.redis
        asked = ["redis"] * bool(redis.embedded or redis.server.addresses) + ["systemd"] * self._static.systemd_provider
        try:
            self._instances.restore(former.instances, asked)
        except ValueError as error:
            log.warning("the memory of the instances cannot be read (%s): they join again as they are seen", error)

    def _follow(self) -> None:
        former = restore(self._memory)
        sources = self._sources(former)
        self._recall(former)
        publisher = Publisher(self._memory, former, former.problems if self._has_told else (), self._static.file,
                              self._table)
        static_file = StaticFile(self._static, former.static_digest)
        follow = self._static.file_watch
        inbox = Inbox()
        self._instances.changed = inbox.wake
        followed = Followed(sources, follow, inbox)
        provider = self._static.redis_provider
        store = Kv(provider, inbox.wake) if provider is not None else None
        if store is not None:
            store.start()
        static_followed = Followed(static_file, True, Inbox()) if follow and self._static.file else None
        try:
            settled, catalog = Settled(Dynamic()), b""
            joiner, joined, join_at = Joiner(), -1, 0.0
            first, publish_again = True, float("inf")
            while True:
                paths = followed.turn()
                if store is not None:
                    paths += sources.store_said(store.take())
                news = static_followed.turn() if static_followed is not None else []
                self._sign()
                now = time.monotonic()
                if paths or first:
                    settled, catalog = sources.settle(), sources.catalog.to_json()
                has_joined = self._instances.version != joined and now >= join_at
                if paths or news or first or has_joined or now >= publish_again:
                    told_by = {*paths} - {sources.store} | self._instances.take_news() - {SOURCE}
                    is_shared = not (told_by or news or first)
                    if has_joined and not first:
                        paths = [*paths, "instances"]
                    joined = self._instances.version        # before they are read: what comes in between comes again
                    if has_joined or first:
                        self._table.registered(self._instances.registered())
                    publisher.publish(_found(joiner.settle(settled, self._instances.by_service()), catalog, sources,
                                             static_file, paths, self._instances.to_json(), is_shared))
                    first, self._has_told = False, True
                    join_at = time.monotonic() + GATHER_S
                    publish_again = now + AGAIN_S if publisher.is_refused else float("inf")
                    static_file.tell(self._master_pid)
                is_waiting = self._instances.version != joined
                followed.wait(max(0.0, min(TURN_S, join_at - time.monotonic())) if is_waiting else TURN_S)
        finally:
            followed.close()
            if store is not None:
                store.close()
            if static_followed is not None:
                static_followed.close()


def _found(settled: Settled, catalog: bytes, sources: Sources, static_file: StaticFile, paths: list[str],
           instances: bytes, is_shared: bool) -> Found:
    problems = (*static_file.problems, *settled.problems)
    static_path = static_file.files.filename
    known = [*sources.catalog.files, *([static_path] if static_path and static_file.digest else [])]
    missing = [problem.place.file for problem in problems
               if problem.code == "unreadable" and NO_FILE in problem.message]
    return Found(settled, catalog, states(known, problems, missing), static_file.problems, static_file.digest,
                 tuple(paths), instances, is_shared)
