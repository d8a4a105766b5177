"""Keeps one agent running: forks it, replaces it when it ends, makes it leave when a reload or the end comes.

Owns the agent as a child process and how soon a child that keeps dying is started again.  What the agent does stands in
workers/agent/.  Floor 3.
"""
from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mesh.shared.layout import FACT_AGENT_BEAT_MS, FACT_AGENT_PID, FACT_AGENT_STARTS
from workers.logs import ProcessLog
from workers.memory import SharedMemory

LEAVE_S = 5.0           # an agent that was asked to leave is killed after this
SILENT_S = 20.0         # an agent that beat once and is silent for so long is killed and replaced
BOARDS_S = 10.0         # how long a new agent waits for the one of a killed master to let go of the boards
_PR_SET_PDEATHSIG = 1


@contextmanager
def signals_held() -> Iterator[None]:
    """Signals wait while a child is forked: one that came before it has its own handlers would be lost to it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Backoff:
    """How long to wait before a child is started again: not at all after a life worth the name or a first early death,
    then twice as long after each early death, at most 5 s."""

    def __init__(self, first_s: float = 0.2, most_s: float = 5.0, life_s: float = 5.0) -> None:
        self._first_s, self._most_s, self._life_s = first_s, most_s, life_s
        self._early = 0
        self.until = 0.0

    def died(self, lived_s: float, now: float) -> float:
        """A child ended unasked; answers how long to wait, and `until` is when that is over."""
        self._early = self._early + 1 if lived_s < self._life_s else 0
        delay = min(self._most_s, self._first_s * 2 ** (self._early - 2)) if self._early > 1 else 0.0
        self.until = now + delay
        return delay

    def is_over(self, now: float) -> bool:
        return now >= self.until


def how_it_ended(status: int) -> str:
    """A wait status in words."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"


class AgentKeeper:
    """The agent, as the master sees it; `main(static, memory, bound, master_pid)` is what it runs."""

    def __init__(self, main: Callable[..., None], memory: SharedMemory, log: ProcessLog) -> None:
        self._main, self._memory, self._log = main, memory, log
        self._backoff = Backoff()
        self._born = 0.0
        self._leave_by = 0.0        # 0: it has not been asked to leave
        self.pid = 0

    def spawn(self, run: Callable[[Callable[..., None]], None]) -> None:
        """Forks the agent.  `run(main)` is called in the child, with signals as a fresh process has them."""
        facts, master = self._memory.facts, os.getpid()
        facts.store(FACT_AGENT_BEAT_MS, 0)
        with signals_held():
            pid = os.fork()
            if not pid:
                self._be(run, master)
        self.pid, self._born, self._leave_by = pid, time.monotonic(), 0.0
        facts.store(FACT_AGENT_PID, pid)
        facts.add(FACT_AGENT_STARTS, 1)

    def _be(self, run: Callable[[Callable[..., None]], None], master: int) -> None:
        """The child's whole life; it never returns into the master's code."""
        code = 1
        try:
            # The terminal's Ctrl-C reaches us too, but it is the master who ends us, last of all.
            ignored = {signal.SIGINT, signal.SIGHUP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGUSR2, signal.SIGWINCH}
            for number in (signal.SIGTERM, signal.SIGQUIT, signal.SIGCHLD, *ignored):
                signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)
            signal.signal(signal.SIGUSR1, lambda *_: self._log.reopen_files())
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            self._log.become("agent")
            if os.getppid() != master:
                return                  # it died before we asked to be told
            if not self._memory.hold_boards(BOARDS_S):
                self._log.error("another agent still holds the boards after %g s", BOARDS_S)
                return
            run(self._main)
            code = 0
        except SystemExit as leaving:
            code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
        except BaseException:
            self._log.exception("the agent ended by an error inside hostmesh")
        finally:
            os._exit(code)

    def ended(self, status: int) -> None:
        """It was reaped."""
        now = time.monotonic()
        if self._leave_by:
            self._log.debug("agent (pid %d) left", self.pid)
            self._backoff.until = now
        else:
            delay = self._backoff.died(now - self._born, now)
            self._log.warning("agent (pid %d) %s: a new one starts %s; requests are served meanwhile", self.pid,
                              how_it_ended(status), f"in {delay:g} s" if delay else "at once")
        self.pid = 0
        self._memory.facts.store(FACT_AGENT_PID, 0)

    @property
    def is_due(self) -> bool:
        """There is no agent, and it is time to start one."""
        return not self.pid and self._backoff.is_over(time.monotonic())

    def leave(self) -> None:
        """Asks it to leave."""
        if self.pid and not self._leave_by:
            self._leave_by = time.monotonic() + LEAVE_S
            os.kill(self.pid, signal.SIGTERM)

    def signal(self, number: int) -> None:
        if self.pid:
            os.kill(self.pid, number)

    def watch(self) -> None:
        """Kills an agent that does not leave, or that has fallen silent."""
        if not self.pid:
            return
        now = time.monotonic()
        if self._leave_by and now >= self._leave_by:
            self._log.warning("agent (pid %d) does not leave: killed", self.pid)
            self._leave_by = now + LEAVE_S
            os.kill(self.pid, signal.SIGKILL)
        beat = self._memory.facts.load(FACT_AGENT_BEAT_MS)
        if beat and now - beat / 1000 > SILENT_S:
            self._log.error("agent (pid %d) has been silent for %.0f s: killed", self.pid, now - beat / 1000)
            self._memory.facts.store(FACT_AGENT_BEAT_MS, 0)
            os.kill(self.pid, signal.SIGKILL)
