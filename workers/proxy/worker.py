"""The process around the data path: heartbeat, signals, plans as they arrive, and a last drain.

Owns one gunicorn worker's life.  What a connection or a request is, front.pyx knows.  It refuses to depend on data: a
plan that cannot be compiled is logged and the one before it serves on; without any plan it waits, alive, and does not
accept.  gevent without monkey patching: nothing here may block.  Floor 3.
"""
from __future__ import annotations

import faulthandler
import gc
import os
import signal
import time
from collections.abc import Generator
from typing import Any, TypeVar

import gevent
from gunicorn.workers.base import Worker

from mesh.model import Static
from mesh.model_json import Pieces, read_json
from mesh.plan import Plan, compile_plan
from mesh.shared.series import GAUGE_BEAT_MS, GAUGE_DRAINING, Column
from workers.memory import SharedMemory
from workers.proxy.front import Front

T = TypeVar("T")

TICK_S = 0.1            # heartbeat, time-outs, new plans, signals
DRAIN_TICK_S = 0.02     # while it leaves: the last client's end is its own
AT_ONCE_S = 0.001       # of a new plan's compiling, between two turns of the loop; a step is 0.1 to 1 ms
TURN_S = 1e-6           # the shortest time to sleep that is more than none
LAST_ACCEPTED_S = 0.1   # at a stop: whose handshake is under way (the master lets no new one begin) is served yet
ABORTED_S = 0.5         # how long aborted connections may take to end
ORPHAN_GRACE_S = 2.0    # a worker whose master is gone finishes what it can in this time: its successors wait to start


def _between_requests(steps: Generator[None, None, T]) -> T:
    """Takes some steps, lets requests be served, and goes on.

    gevent.sleep(0) is no turn of the loop: up to 1,000 of them run before anything is read from a socket.  A timer is
    one.  And on a busy core each turn takes a while, so a step alone is too little for one.
    """
    while True:
        until = time.monotonic() + AT_ONCE_S
        while time.monotonic() < until:
            try:
                next(steps)
            except StopIteration as done:
                return done.value
        gevent.sleep(TURN_S)


class ProxyWorker(Worker):
    """One process of the data path.  The master sets `number` (of its column) before the fork."""

    number = -1

    def load_wsgi(self) -> None:
        """There is no WSGI application."""

    def init_signals(self) -> None:
        """Handlers only leave a word; the tick acts on it, so that no signal interrupts a request."""
        self.quick = self.reopen = False
        ours: dict[int, Any] = {
            signal.SIGTERM: self.handle_exit, signal.SIGINT: self.handle_quit, signal.SIGQUIT: self.handle_quit,
            signal.SIGUSR1: self.handle_usr1, signal.SIGABRT: signal.SIG_DFL, signal.SIGCHLD: signal.SIG_DFL}
        for number in {*self.SIGNALS, *ours}:
            # each at once what it stays: to ignore a signal drops one that waits, and the master tells us once to leave
            signal.signal(number, ours.get(number, signal.SIG_IGN))
        # The master sends ABRT to a worker that has stopped beating, and a bug in C may raise SEGV: say where it was.
        faulthandler.enable()
        signal.pthread_sigmask(signal.SIG_SETMASK, ())

    def handle_exit(self, *_: Any) -> None:
        self.alive = False

    def handle_quit(self, *_: Any) -> None:
        self.alive = False
        self.quick = True

    def handle_usr1(self, *_: Any) -> None:
        self.reopen = True

    def run(self) -> None:
        static: Static = self.app.static
        memory: SharedMemory = self.app.memory
        self.column: Column = memory.hold_column(self.number)
        self.column.take(os.getpid())
        self.log.become(f"worker {self.number}")
        self.static, self.board = static, memory.plan
        self.plan: Plan | None = None
        self.generation = self.refused = 0
        self.compiling: gevent.Greenlet | None = None
        self.pieces = Pieces()
        self.grace_s = max((e.grace_timeout for e in static.entry_points.values()), default=0.0)
        listeners = [(static.entry_points[name], self.app.listeners[name].sock) for name in static.entry_points]
        self.slots = memory.slots
        self.front = Front(listeners, self.column, static, self.log.logger)
        while self.alive:
            self._tick()
            if os.getppid() != self.ppid:
                self.log.warning("the master is gone: leaving")
                self.grace_s = min(self.grace_s, ORPHAN_GRACE_S)
                break
            if self.compiling is None and self.board.generation not in (self.generation, self.refused):
                self.compiling = gevent.spawn(self._follow)
            gevent.sleep(TICK_S)
        self._leave()

    def _tick(self) -> None:
        self.notify()
        self.column.set_gauge(GAUGE_BEAT_MS, time.monotonic_ns() // 1_000_000)
        if self.reopen:
            self.reopen = False
            self.log.reopen_files()
            self.front.reopen_log()
        self.front.tick()
        if self.plan is not None:
            # who has which share of a service's requests: an operator's word, a slow start, an ejection that has ended
            while self.plan.refresh(time.monotonic_ns() // 1_000_000, time.time_ns() // 1_000_000):
                gevent.sleep(TURN_S)

    def _follow(self) -> None:
        """Takes the newest plan from the board, compiles it between requests, and serves from it."""
        wanted = self.board.generation
        # A full collection looks at every object: 107 ms with 10,000 routers, several times during a compile.  What a
        # plan is made of has no circles, so it needs no collector, while it is made or afterwards.
        gc.disable()
        try:
            wanted, data = _between_requests(self.board.read_in_steps())
            dynamic, self.pieces = _between_requests(read_json(data, self.pieces))
            plan = _between_requests(compile_plan(dynamic, self.static.entry_points, self.plan, self.number,
                                                   self.slots))
            for problem in plan.problems:
                self.log.error("%s", problem)
            self.front.resolve(plan)
            self.front.serve(plan, wanted)
            if self.plan is None:
                self.front.start()
            before, self.plan, self.generation = self.plan, plan, wanted
            if before is not None:
                _between_requests(before.let_go(plan))
        except Exception:
            # What is on the board has been settled by the agent, so this is a bug of ours.  It must not cost a request.
            self.refused = wanted
            self.log.exception("generation %d cannot be served; generation %d serves on", wanted, self.generation)
        finally:
            gc.freeze()
            gc.enable()
            self.compiling = None

    def _leave(self) -> None:
        """Accepts nothing more, lets what is under way finish within the grace time, and ends the rest."""
        if self.compiling is not None:
            self.compiling.kill()
        deadline = time.monotonic() + LAST_ACCEPTED_S
        while self.front.accepting and not self.quick and time.monotonic() < deadline:
            self._tick()
            gevent.sleep(DRAIN_TICK_S)
        self.front.stop_accepting(not self.quick)
        for listener in self.app.listeners.values():
            # closed here, not at the end: an address given up by a reload, or a killed master's, is free at once
            listener.sock.close()
        self.column.set_gauge(GAUGE_DRAINING, 1)
        self.front.drain()
        deadline = time.monotonic() + self.grace_s
        while self.front.connections and not self.quick and time.monotonic() < deadline:
            self._tick()
            gevent.sleep(DRAIN_TICK_S)
        if self.front.connections:
            self.log.warning("%d connections are cut off: %s", self.front.connections,
                             "asked to leave at once" if self.quick else f"{self.grace_s:g} s of grace are over")
            self.front.abort()
            deadline = time.monotonic() + ABORTED_S
            while self.front.connections and time.monotonic() < deadline:
                gevent.sleep(DRAIN_TICK_S)
        self._tick()
        self.front.close()
