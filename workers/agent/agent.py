"""The agent: the one process of a host that may block.  It follows the files, publishes, and answers the admin address.

Owns the life of the process: its beat, its signals, about.json, and that no part of it ends another.  What it publishes
and how stands in disk.py, what it answers in admin.py.

The main thread runs gevent's hub, without monkey patching; the files are followed in a native thread.  This way round,
because whatever comes later (probes, DNS, exporters, server-sent events, Redis) waits for sockets, by the hundred, and
is at home on one hub; reading files blocks and computes, and with a thread of its own stalls nobody.  Signals reach the
main thread, where the hub waits for them.  The two meet in shared memory alone.

The beat says that both live: it stops when the thread has given no sign for STUCK_S, and the master replaces us.
Floor 3.
"""
from __future__ import annotations

import gc
import logging
import os
import signal
import threading
import time
from collections.abc import Mapping
from dataclasses import replace

import gevent
from gevent.event import Event

from mesh.model import RedisServer, Static
from mesh.names import PRODUCT
from mesh.shared.layout import FACT_AGENT_BEAT_MS, FACT_REDIS, REDIS_AWAY, REDIS_NONE, REDIS_UP
from workers.about import About, is_same_time, read_about, started_at
from workers.agent.admin import Admin
from workers.agent.disk import Disk
from workers.agent.embedded import Embedded
from workers.agent.instances import Instances
from workers.agent.probes import Prober
from workers.agent.store import Store
from workers.agent.store_link import RedisSeen
from workers.agent.systemd import Systemd
from workers.agent.table import Table
from workers.memory import SharedMemory

BEAT_S = 0.5
STUCK_S = 120.0         # one file of 10 MiB may take half a minute; a network file system that hangs, for ever
NICE = 5                # below the workers' priority: a quarter of the time where both want one core
COLLECTED = 50_000, 50, 10      # as often as usual, the collector takes half of the time in which a large file is read
AWAY_S = 5.0            # a Redis that is not up for so long is told as away
ABOUT_AGAIN_S = 5.0     # before about.json is tried again where it could not be written

log = logging.getLogger(f"{PRODUCT}.agent")


def main(static: Static, memory: SharedMemory, bound: Mapping[str, str], master_pid: int) -> None:
    """The whole life of an agent; returns when it is asked to leave (SIGTERM) or when its master is gone.

    `memory` is one whose boards this process holds, `bound` the entrypoints' addresses by name.
    """
    gc.set_threshold(*COLLECTED)
    gevent.reinit()         # whatever hub the parent had is not ours
    os.nice(NICE)           # requests go before edits: what is asked of a worker is not to wait until a file is settled
    leaving = Event()
    gevent.signal_handler(signal.SIGTERM, leaving.set)
    _Agent(static, memory, bound, master_pid).live(leaving)


class _Agent:
    def __init__(self, static: Static, memory: SharedMemory, bound: Mapping[str, str], master_pid: int) -> None:
        self.static, self.memory, self.master_pid = static, memory, master_pid
        former = read_about(static.runtime_directory)
        started = started_at(master_pid)
        # a former agent of this master has told the log of all the problems that stand on the board
        has_told = former.pid == master_pid and is_same_time(former.started, started)
        self.about = About(master_pid, started=former.started if has_told else started, static_file=static.file,
                           host=static.host_name, entry_points=dict(bound))
        self.embedded, self.private = Embedded(static), RedisServer()
        self.table = Table(memory, static)
        self.prober = Prober(self.table, memory.slots)
        self.instances = Instances()
        self.disk = Disk(static, memory, master_pid, has_told, self.table, self.instances)
        self.systemd = Systemd(static, self.instances) if static.systemd_provider else None
        self.store = self._store_on(static.redis.server) if static.redis.server.addresses else None
        self.admin = Admin(static, memory.another(), bound, lambda: self.about, self.table,
                           former.admin if has_told else "", self._redis_seen)
        self.redis_seen_at = time.monotonic()       # when it was last up; a start counts as that
        self.written: About | None = None
        self.write_again = 0.0

    def _store_on(self, server: RedisServer, told: int = 0) -> Store:
        memory, table = self.memory, self.table
        return Store(self.static, server, table, self.instances, lambda: memory.plan.generation,
                     lambda: (memory.slots.changes, table.plan.number, table.events.last), told=told)

    def _follow_embedded(self) -> None:
        """The private Redis is up some time after us, and may come back at another address: then another store."""
        server = self.embedded.server
        if not server.addresses or server == self.private:
            return
        if self.store is not None:
            # it waits for answers that will not come, and the hub cannot
            threading.Thread(target=self.store.close, name="former-store", daemon=True).start()
        told = self.store.told if self.store is not None else 0         # its data are the same
        self.private, self.store = server, self._store_on(server, told)
        self.store.start()

    def _redis_seen(self) -> RedisSeen | None:
        return None if self.store is None else self.store.seen

    def live(self, leaving: Event) -> None:
        thread = self.disk.start()
        self.embedded.start()
        self.table.start()
        self.prober.start()
        if self.store is not None:
            self.store.start()
        if self.systemd is not None:
            self.systemd.start()
        while True:
            now = time.monotonic()
            self.admin.open(now)
            self._follow_embedded()
            self._tell_of_redis(now)
            self._tell_about(now)
            if now - self.disk.turned_at < STUCK_S:
                self.memory.facts.store(FACT_AGENT_BEAT_MS, int(now * 1000))
            if leaving.wait(BEAT_S):
                break
            if os.getppid() != self.master_pid:
                log.warning("the master is gone: leaving")
                break
            if not thread.is_alive():
                raise RuntimeError("the thread that follows the files has ended")
        self.prober.close()
        self.admin.close()
        if self.systemd is not None:
            self.systemd.close()
        if self.store is not None:
            self.store.close()
        self.embedded.close()           # after the store, which writes its last words into it

    def _tell_of_redis(self, now: float) -> None:
        seen, how = self._redis_seen(), REDIS_NONE
        if seen is not None and seen.is_up:
            self.redis_seen_at, how = now, REDIS_UP
        elif seen is not None:
            how = REDIS_AWAY if now - self.redis_seen_at > AWAY_S else self.memory.facts.load(FACT_REDIS)
        self.memory.facts.store(FACT_REDIS, how)

    def _tell_about(self, now: float) -> None:
        # one that has ended comes back: until then a word for it is refused, not written where nobody reads it
        self.about = replace(self.about, admin=self.admin.bound, redis=self.embedded.address or self.about.redis)
        if self.about == self.written or now < self.write_again:
            return
        try:
            self.about.write(self.static.runtime_directory)
            self.written = self.about
        except OSError as error:
            self.write_again = now + ABOUT_AGAIN_S
            log.warning("about.json cannot be written: %s", (error.strerror or str(error)).lower())
