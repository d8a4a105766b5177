"""Processes that the bench starts: pinned to a core, watched through /proc, and ended however the bench ends.

Owns their life and what the kernel says they cost.  A child leads a session of its own, so that Ctrl-C reaches the
bench alone, which then ends everything in order; and the kernel ends it (PR_SET_PDEATHSIG) when the bench is killed.
Nothing is ever ended by name.
"""
from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


class BenchFailed(Exception):
    """The bench cannot go on; one sentence that says why."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a process tree has used so far.  Seconds on a CPU: `cpu` counts nanoseconds, the others clock ticks."""

    cpu: float
    user: float
    system: float
    by_process: Mapping[int, float]

    def since(self, before: Cost) -> Cost:
        """What came after `before`; processes that have ended meanwhile do not count."""
        parts = {pid: used - before.by_process.get(pid, 0.0) for pid, used in self.by_process.items()}
        return Cost(sum(parts.values()), self.user - before.user, self.system - before.system, parts)


class Child:
    """One program that was started, and all that it started."""

    def __init__(self, argv: Sequence[str], core: int | None, directory: Path, env: Mapping[str, str] | None = None,
                 stdout: int | None = None, cwd: Path | None = None) -> None:
        parent = os.getpid()
        self.output = directory / f"{Path(argv[0]).name}.out"

        def in_the_child() -> None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)      # a master ends its workers with it
            if os.getppid() != parent:
                os._exit(1)
            if core is not None:
                os.sched_setaffinity(0, {core})

        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=output if stdout is None else stdout, stderr=output,
                env={**os.environ, **(env or {})}, cwd=cwd or directory, start_new_session=True,
                preexec_fn=in_the_child)

    def __enter__(self) -> Child:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.end()

    def pids(self) -> list[int]:
        """Its own, then those of its descendants."""
        return tree(self.process.pid, parents()) if self.process.poll() is None else []

    def cost(self) -> Cost:
        return cost_of(self.pids())

    def memory_kib(self) -> int:
        """The memory of all its processes; what they share is counted once."""
        return sum(_pss_kib(pid) for pid in self.pids())

    def end(self) -> None:
        """Asks, and then does not ask; whatever it had started ends with it."""
        family = self.pids()
        for number, patience_s in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
            if self.process.poll() is None:
                self.process.send_signal(number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(patience_s)
        if self.process.stdout is not None:
            self.process.stdout.close()
        # orphans of ours: still in the session that the child led, so their pids are nobody else's
        for pid in family:
            with contextlib.suppress(ProcessLookupError):
                if os.getsid(pid) == self.process.pid:
                    os.kill(pid, signal.SIGKILL)

    def last_words(self) -> str:
        with contextlib.suppress(OSError):
            return "\n".join(f"    {line}" for line in self.output.read_text(errors="replace").splitlines()[-12:])
        return ""


def parents() -> dict[int, int]:
    """The parent of every process."""
    found = {}
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            with contextlib.suppress(OSError):
                found[int(path.name)] = int((path / "stat").read_text().rpartition(")")[2].split()[1])
    return found


def tree(root: int, parent_of: Mapping[int, int]) -> list[int]:
    """A process and its descendants, parents first."""
    found = [root]
    for pid in found:
        found += sorted(child for child, parent in parent_of.items() if parent == pid)
    return found


def cost_of(pids: Iterable[int]) -> Cost:
    by_process, user, system = {}, 0.0, 0.0
    for pid in pids:
        with contextlib.suppress(OSError):      # it may just have ended
            ns = sum(int((task / "schedstat").read_text().split()[0]) for task in Path(f"/proc/{pid}/task").iterdir())
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            by_process[pid] = ns / 1e9
            user += int(fields[11]) * TICK_S
            system += int(fields[12]) * TICK_S
    return Cost(sum(by_process.values()), user, system, by_process)


def _pss_kib(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0


def wait_until(holds: Callable[[], Any], within_s: float, what: str) -> Any:
    """What `holds` answers as soon as that is true; BenchFailed with `what` when it stays false."""
    deadline = time.monotonic() + within_s
    while not (answer := holds()):
        if time.monotonic() >= deadline:
            raise BenchFailed(f"{what} (waited {within_s:g} s)")
        time.sleep(0.02)
    return answer
