"""The master: owns the listeners and the shared memory, forks workers and the agent, and keeps them running.

Owns supervision: who lives, who leaves, and in which order a reload happens.  It starts no thread, no gevent hub and no
client of anything, reads no dynamic configuration, and never ends because a child cannot start: it tries again, ever
more slowly, and says so.  A broken static file refuses the reload and nothing else.  Floor 4.

gunicorn's arbiter brings the signals, the loop, the heartbeat and the counting of workers.  What differs, and why:
- a reload validates first, and hands over worker by worker: an old one is asked to leave when a new one serves
  (gunicorn asks at once, and then waits in place, deaf);
- no exit code of a worker stops the service (gunicorn's HaltServer);
- sockets are opened without retries and kept by address; READY is told when a worker serves, not before.
"""
from __future__ import annotations

import contextlib
import dataclasses
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from typing import Any, NoReturn

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter

from mesh.errors import ConfigError
from mesh.model import Static
from mesh.names import PRODUCT, VERSION
from mesh.shared.layout import (
    FACT_ORIGIN,
    FACT_STATIC_REFUSED,
    FACT_STATIC_RELOADS,
    FACT_WORKER_DEATHS,
    FACT_WORKER_STARTS,
    FACT_WORKERS,
)
from mesh.shared.series import GAUGE_GENERATION
from workers.keeper import AgentKeeper, Backoff, how_it_ended, signals_held
from workers.listeners import CannotListen, Listener, adopt, inherited, let_none_begin, open_all
from workers.logs import ProcessLog
from workers.machine import read_static
from workers.memory import Refused, SharedMemory, create, origin
from workers.notify import Notifier
from workers.proxy.worker import ProxyWorker

ORPHANS_S = 3.0                 # how long the workers of a killed master may take to notice and let go of the ports
BEAT_WITHIN_S = 30              # a worker that does not beat for so long hangs: killed and replaced
LEAVE_MARGIN_S = 3.0            # beyond the grace time, before a worker that does not leave is killed
QUICK_S = 2.0                   # for workers that are to leave at once
BUSY_S, IDLE_S = 0.1, 1.0       # how often the loop looks while something is under way, and otherwise
SHARED_FILES = "/dev/shm"
PATIENCE_S = 30.0               # after which a reload that has not handed over is said to be done, and why it is not


class MeshApplication(BaseApplication):
    """What workers find as `self.app`: the static configuration, the memory, the listeners."""

    def __init__(self, static: Static, memory: SharedMemory, listeners: dict[str, Listener]) -> None:
        self.static, self.memory, self.listeners = static, memory, listeners
        # a service that was started without any file goes on without one until the usual one is written
        self.has_file = os.path.exists(static.file)
        super().__init__(prog=PRODUCT)

    def load_config(self) -> None:
        for name, value in {
            "worker_class": ProxyWorker,
            "workers": self.static.workers,
            "timeout": BEAT_WITHIN_S,
            "graceful_timeout": int(_grace_s(self.static) + LEAVE_MARGIN_S),
            "worker_tmp_dir": _beats(self.static),
            "control_socket_disable": True,     # a thread in a master that forks
            "proc_name": PRODUCT,
        }.items():
            self.cfg.set(name, value)

    def load(self) -> None:
        """There is no WSGI application."""


def _beats(static: Static) -> str:
    """Where the files of the heartbeats are, which have no name: in memory, where nobody sweeps and no disk is slow."""
    return SHARED_FILES if os.path.isdir(SHARED_FILES) else static.runtime_directory


def _grace_s(static: Static) -> float:
    return max((e.grace_timeout for e in static.entry_points.values()), default=0.0)


class MeshArbiter(Arbiter):
    """The master's loop."""

    def __init__(self, app: MeshApplication, log: ProcessLog, agent_main: Callable[..., None]) -> None:
        self.memory = app.memory
        self.notifier = Notifier(os.environ)
        self.agent = AgentKeeper(agent_main, app.memory, log)
        self.own_log = log
        self.epoch = 0                  # which configuration a worker was started with
        self.backoff = Backoff()
        self.started = self.reload_began = time.monotonic()
        self.is_ready = self.is_reloading = self.is_stopping = self.has_complained = False
        # in the base these are the class's own, shared by all of its instances
        self.WORKERS: dict[int, ProxyWorker] = {}
        self.LISTENERS: list[Any] = []
        super().__init__(app)

    def setup(self, app: MeshApplication) -> None:
        self.app, self.cfg, self.log = app, app.cfg, self.own_log
        self.worker_class, self.timeout, self.proc_name = ProxyWorker, self.cfg.timeout, PRODUCT
        self.num_workers = min(app.static.workers, len(self.memory.columns) // 2)
        self.LISTENERS = [listener.sock for listener in app.listeners.values()]
        self.memory.facts.store(FACT_WORKERS, self.num_workers)

    def start(self) -> None:
        self.pid = os.getpid()
        self.init_signals()
        self.log.info("%s %s: %s; %d workers", PRODUCT, VERSION, self._addresses(), self.num_workers)

    def _addresses(self) -> str:
        return ", ".join(f"{listener.name} on {listener.bound}" for listener in self.app.listeners.values())

    # Children

    def spawn_worker(self) -> int:
        """Forks one worker on a free column; 0 when there is none to be had now."""
        held = {worker.number for worker in self.WORKERS.values()}
        number = next((c.number for c in self.memory.columns
                       if c.number not in held and not self.memory.holder(c.number)), -1)
        if number < 0:
            return 0
        self.worker_age += 1
        worker = ProxyWorker(self.worker_age, self.pid, list(self.LISTENERS), self.app, self.timeout / 2, self.cfg,
                             self.log)
        worker.number, worker.epoch, worker.leave_by = number, self.epoch, 0.0
        worker.born = time.monotonic()
        with signals_held():
            pid = os.fork()
            if not pid:
                self._be_worker(worker)
        worker.pid = pid
        self.WORKERS[pid] = worker
        self.memory.facts.add(FACT_WORKER_STARTS, 1)
        return pid

    def _be_worker(self, worker: ProxyWorker) -> NoReturn:
        """The child's whole life; it never returns into the master's code."""
        code = 1
        try:
            for sibling in self.WORKERS.values():
                sibling.tmp.close()
            worker.pid = os.getpid()
            worker.init_process()
            code = 0
        except SystemExit as leaving:
            code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
        except Refused as refused:
            self.log.error("%s", refused)
        except BaseException:
            self.log.exception("a worker ended by an error inside hostmesh")
        finally:
            os._exit(code)

    def spawn_workers(self) -> None:
        """Brings the workers of the present configuration to their number, as far as that is possible now."""
        now = time.monotonic()
        for _ in range(self.num_workers - len(self._present())):
            if not self.backoff.is_over(now):
                return
            try:
                if not self.spawn_worker():
                    return          # columns of leaving workers will be free soon
            except (OSError, RuntimeError) as error:
                # no memory, no process, no file for the heartbeat; gunicorn's word for no directory is RuntimeError
                self.log.error("cannot start a worker: %s", getattr(error, "strerror", None) or error)
                self.backoff.died(0.0, now)

    def _present(self) -> list[ProxyWorker]:
        """Workers of the present configuration that were not asked to leave, the oldest first."""
        return sorted((w for w in self.WORKERS.values() if w.epoch == self.epoch and not w.leave_by),
                      key=lambda w: w.age)

    def _former(self) -> list[ProxyWorker]:
        """Workers of a former configuration that still accept, the oldest first."""
        return sorted((w for w in self.WORKERS.values() if w.epoch != self.epoch and not w.leave_by),
                      key=lambda w: w.age)

    def _serves(self, worker: ProxyWorker) -> bool:
        return self.memory.column(worker.number).gauge(GAUGE_GENERATION) > 0

    def _retire(self, worker: ProxyWorker) -> None:
        worker.leave_by = time.monotonic() + _grace_s(self.app.static) + LEAVE_MARGIN_S
        self.kill_worker(worker.pid, signal.SIGTERM)

    def reap_workers(self) -> None:
        """Takes the ended children's places back; manage_workers fills them."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            if pid == self.agent.pid:
                self.agent.ended(status)
            elif worker := self.WORKERS.pop(pid, None):
                self._buried(worker, status)

    def _buried(self, worker: ProxyWorker, status: int) -> None:
        worker.tmp.close()
        # what its gauges say (open connections, the generation it serves) ended with it, and so did its requests that
        # were under way; its counters stay
        self.memory.bury(worker.number)
        if worker.leave_by or self.is_stopping:
            self.log.debug("worker %d (pid %d) %s", worker.number, worker.pid, how_it_ended(status))
            return
        now = time.monotonic()
        delay = self.backoff.died(now - worker.born, now)
        self.memory.facts.add(FACT_WORKER_DEATHS, 1)
        self.log.error("worker %d (pid %d) %s%s: a new one starts %s", worker.number, worker.pid, how_it_ended(status),
                       " (out of memory?)" if os.waitstatus_to_exitcode(status) == -signal.SIGKILL else "",
                       f"in {delay:g} s" if delay else "at once")

    def manage_workers(self) -> None:
        """One look around, at least each second and after every signal."""
        if not self.is_stopping:
            self.spawn_workers()
            present = self._present()
            for worker in present[:max(0, len(present) - self.num_workers)]:
                self._retire(worker)
            # a former worker leaves for each new one that serves: at no time do fewer serve than should
            serving = sum(map(self._serves, present))
            former = self._former()
            for worker in former[:max(0, len(former) - max(0, self.num_workers - serving))]:
                self._retire(worker)
            if self.agent.is_due:
                self._spawn_agent()
            self._tell(serving)
        self.memory.bury_orphans({worker.number for worker in self.WORKERS.values()})
        now = time.monotonic()
        for worker in list(self.WORKERS.values()):
            if worker.leave_by and now >= worker.leave_by:
                self.log.warning("worker %d (pid %d) does not leave: killed", worker.number, worker.pid)
                worker.leave_by = now + LEAVE_MARGIN_S
                self.kill_worker(worker.pid, signal.SIGKILL)
        self.agent.watch()
        self.notifier.feed()

    def _spawn_agent(self) -> None:
        bound = {name: listener.bound for name, listener in self.app.listeners.items()}

        def run(main: Callable[..., None]) -> None:
            for listener in self.app.listeners.values():
                listener.sock.close()
            for worker in self.WORKERS.values():
                worker.tmp.close()
            main(self.app.static, self.memory, bound, self.pid)

        try:
            self.agent.spawn(run)
        except OSError as error:
            self.log.error("cannot start the agent: %s", error.strerror)

    def _tell(self, serving: int) -> None:
        now = time.monotonic()
        if not self.is_ready and serving:
            self.is_ready = True
            self.notifier.ready()
            self.log.info("serving %s", self._addresses())
        elif not self.is_ready and not self.has_complained and now - self.started > PATIENCE_S:
            self.has_complained = True
            self.log.warning("no worker serves yet: the agent has not published a configuration")
        if self.is_reloading and (not self._former() or now - self.reload_began > PATIENCE_S):
            self.is_reloading = False
            self.notifier.ready()
            if self._former():
                self.log.warning("%d workers still serve by the former static configuration: the new ones do not"
                                 " serve yet", len(self._former()))
            else:
                self.log.info("reloaded: %s; %d workers", self._addresses(), self.num_workers)
        leaving = len(self.WORKERS) - len(self._present())
        self.notifier.status(f"generation {self.memory.plan.generation}, {serving} of {self.num_workers} workers"
                             f" serving{f', {leaving} finishing' if leaving else ''}")

    def wait_for_signals(self, timeout: float = IDLE_S) -> list[int]:
        """The base's wait, shorter while something is under way or the watchdog wants to be fed."""
        unsettled = (not self.is_ready or self.is_reloading or not self.agent.pid
                     or len(self.WORKERS) != self.num_workers)
        most = BUSY_S if unsettled else IDLE_S
        if self.notifier.watchdog_s:
            most = min(most, self.notifier.watchdog_s / 4)
        return super().wait_for_signals(timeout=min(timeout, most))

    # Signals

    def handle_ttin(self) -> None:
        if self.num_workers >= len(self.memory.columns) // 2:
            self.log.warning("there are %d workers, and no more are possible", self.num_workers)
            return
        self.num_workers += 1
        self.memory.facts.store(FACT_WORKERS, self.num_workers)

    def handle_ttou(self) -> None:
        if self.num_workers > 1:
            self.num_workers -= 1
            self.memory.facts.store(FACT_WORKERS, self.num_workers)

    def handle_usr1(self) -> None:
        self.log.reopen_files()
        self.kill_workers(signal.SIGUSR1)
        self.agent.signal(signal.SIGUSR1)

    def handle_usr2(self) -> None:
        self.log.warning("USR2 is refused: a new version is taken up by a restart (systemctl restart %s);"
                         " with %s.socket no connection is refused meanwhile", PRODUCT, PRODUCT)

    def handle_hup(self) -> None:
        self.reload()

    def reload(self) -> None:
        """Takes up the static file as it is now, or refuses it and changes nothing."""
        self.notifier.reloading()
        app, before = self.app, self.app.static
        try:
            static, problems = read_static(before.file if app.has_file else None)
            listeners = open_all(static.entry_points, app.listeners)
            try:
                self.log.setup(static)
            except OSError as error:
                for listener in listeners.values():
                    if all(listener.sock is not other.sock for other in app.listeners.values()):
                        listener.sock.close()
                raise CannotListen(f"log file {static.log_file}: {error.strerror}") from error
        except (ConfigError, CannotListen) as refused:
            for line in str(refused).splitlines():
                self.log.error("%s", line)
            self.log.error("reload refused: everything serves on as before")
            self.memory.facts.add(FACT_STATIC_REFUSED, 1)
            self.notifier.ready()
            return
        for problem in problems:
            self.log.warning("%s", problem)
        if static.runtime_directory != before.runtime_directory:
            self.log.warning("runtimeDirectory takes effect at the next restart; until then it is %s",
                             before.runtime_directory)
            static = dataclasses.replace(static, runtime_directory=before.runtime_directory)
        kept = {id(listener.sock) for listener in listeners.values()}
        for listener in app.listeners.values():
            if id(listener.sock) not in kept:
                listener.sock.close()
        app.static, app.listeners, app.has_file = static, listeners, os.path.exists(static.file)
        app.do_load_config()        # cannot fail: what it reads has been validated
        self.setup(app)
        self.memory.facts.store(FACT_ORIGIN, origin(static))
        self.memory.facts.add(FACT_STATIC_RELOADS, 1)
        self.epoch += 1
        self.backoff.until = 0.0
        self.is_reloading, self.reload_began = True, time.monotonic()
        self.agent.leave()          # the next one sees the new static configuration

    def stop(self, graceful: bool = True) -> None:
        """Ends every child: the workers first, within the grace time; the agent, which still answers, after them."""
        if not self.is_stopping:
            self.is_stopping = True
            self.notifier.stopping()
            self.log.info("stopping")
            if graceful:
                let_none_begin(self.app.listeners.values())
        for listener in self.app.listeners.values():
            listener.sock.close()
        self._end_workers(graceful)
        self.agent.leave()
        while self.agent.pid:
            self.reap_workers()
            self.agent.watch()
            time.sleep(0.02)

    def halt(self, reason: str | None = None, exit_status: int = 0) -> NoReturn:
        self.stop()
        self.log.info("stopped")
        sys.exit(exit_status)

    def _end_workers(self, graceful: bool) -> None:
        deadline = time.monotonic() + (_grace_s(self.app.static) + LEAVE_MARGIN_S if graceful else QUICK_S)
        self.kill_workers(signal.SIGTERM if graceful else signal.SIGQUIT)
        while self.WORKERS and time.monotonic() < deadline:
            for number in super().wait_for_signals(timeout=BUSY_S):
                if graceful and number in (signal.SIGINT, signal.SIGQUIT):
                    self.log.info("stopping at once")
                    return self._end_workers(graceful=False)
            self.reap_workers()
            self.murder_workers()
        for worker in self.WORKERS.values():
            self.log.warning("worker %d (pid %d) does not leave: killed", worker.number, worker.pid)
        self.kill_workers(signal.SIGKILL)
        while self.WORKERS:
            self.reap_workers()
            time.sleep(0.01)
        return None


def run(static: Static) -> int:
    """Runs the service in the foreground until it is told to stop; the exit code."""
    # here, so that a restarted agent runs the code that this master was started with, whatever is installed meanwhile
    from workers.agent.agent import main as agent_main
    return serve(static, agent_main)


def serve(static: Static, agent_main: Callable[..., None]) -> int:
    """`run` with the agent named."""
    try:
        log = ProcessLog(static)
    except OSError as error:
        print(f"{PRODUCT}: log file {static.log_file}: {error.strerror}", file=sys.stderr)
        return 1
    try:
        memory = create(static)
        passed, unknown = adopt(static.entry_points, inherited(os.environ, os.getpid()))
        for line in unknown:
            log.warning("%s", line)
        listeners = _listen(static, memory, passed)
    except (Refused, CannotListen) as refused:
        log.error("%s", refused)
        return 1
    with contextlib.suppress(OSError, ValueError):
        # a connection is two descriptors; the soft limit of 1024 is for programs that use select()
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    log.become("master")
    app = MeshApplication(static, memory, listeners)
    try:
        MeshArbiter(app, log, agent_main).run()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return 0


def _listen(static: Static, memory: SharedMemory, passed: dict[str, Listener]) -> dict[str, Listener]:
    """Opens what systemd has not passed; waits for workers of a killed master to let go of an address."""
    deadline = time.monotonic() + ORPHANS_S
    while True:
        try:
            return open_all(static.entry_points, passed)
        except CannotListen:
            if time.monotonic() >= deadline or not any(memory.holder(column.number) for column in memory.columns):
                raise
        time.sleep(0.05)
