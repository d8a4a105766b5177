"""The load generators, and what they say: wrk for as fast as it goes, h2load for a fixed rate."""
from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.machine import needed
from bench.processes import BenchFailed, Child

_UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}


@dataclass(frozen=True, slots=True)
class Answered:
    """One load: requests answered, how long they took (ms), and what went wrong ("" if nothing did)."""

    requests: int
    per_s: float
    p50_ms: float
    p99_ms: float
    wrong: str = ""


def read_wrk(said: str) -> Answered:
    """What wrk printed.  Raises BenchFailed for what is no such thing."""
    counted = re.search(r"(\d+) requests in ", said)
    rate = re.search(r"Requests/sec: +([\d.]+)", said)
    if counted is None or rate is None:
        raise BenchFailed(f"wrk printed no result, but: {said.strip()[-300:] or 'nothing'}")
    percentiles = {name: float(number) * _UNITS[unit]
                   for name, number, unit in re.findall(r"^ +(50|99)% +([\d.]+)(us|ms|s|m)$", said, re.MULTILINE)}
    wrong = []
    if other := re.search(r"Non-2xx or 3xx responses: (\d+)", said):
        wrong.append(f"{other[1]} answers other than 2xx")
    if errors := re.search(r"Socket errors: (.*)", said):
        wrong += [f"{count} {what} errors" for what, count in re.findall(r"(\w+) (\d+)", errors[1]) if int(count)]
    requests = int(counted[1])
    if not requests:
        wrong.append("nothing was answered")
    return Answered(requests, float(rate[1]), percentiles.get("50", 0.0), percentiles.get("99", 0.0), ", ".join(wrong))


def wrk(directory: Path, port: int, host: str, target: str, connections: int, seconds: float, core: int | None,
        script: str = "", headers: Sequence[str] = ()) -> Answered:
    """Loads the port for so long; `script` is Lua."""
    argv = [needed("wrk"), "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--latency", "--timeout", "10s",
            "-H", f"Host: {host}"]
    for header in headers:
        argv += ["-H", header]
    if script:
        (directory / "load.lua").write_text(script)
        argv += ["-s", str(directory / "load.lua")]
    return read_wrk(_said([*argv, f"http://127.0.0.1:{port}{target}"], core, directory, seconds + 30))


def _said(argv: Sequence[str], core: int | None, directory: Path, within_s: float) -> str:
    with Child(argv, core, directory, stdout=subprocess.PIPE) as child:
        try:
            said, _ = child.process.communicate(timeout=within_s)
        except subprocess.TimeoutExpired:
            raise BenchFailed(f"{Path(argv[0]).name} did not end within {within_s:g} s") from None
        return bytes(said).decode(errors="replace")


# A fixed rate.  h2load lets each of its clients send at a rate of its own, but no more often than every 10 ms, and all
# at once if they start at once.  So there are many slow clients, started one after the other by a step that is not a
# multiple of their period: their requests spread evenly, and nobody waits in a queue that the load itself has made.

_RPS = 99               # of one client
_STEP_MS = 11           # between the starts of two clients


def read_log(text: str, skip_s: float, take_s: float) -> Answered:
    """What h2load wrote of each request: those that began in `take_s` seconds, `skip_s` seconds after the first."""
    rows = [(int(began), status, int(took)) for began, status, took in
            (line.split("\t")[:3] for line in text.splitlines())]
    if not rows:
        return Answered(0, 0.0, 0.0, 0.0, "nothing was answered")
    begin = min(began for began, _, _ in rows) + round(skip_s * 1e6)
    end = begin + round(take_s * 1e6)
    took = sorted(took for began, _, took in rows if begin <= began < end)
    failed = sum(not status.startswith("2") for _, status, _ in rows)
    wrong = f"{failed} failed" if failed else "" if took else "nothing was answered in time"
    return Answered(len(took), len(took) / take_s, percentile(took, 50) / 1e3, percentile(took, 99) / 1e3, wrong)


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The least of the values that is not exceeded by so many percent of them; 0 of none."""
    return ordered[max(0, -(-len(ordered) * percent // 100).__trunc__() - 1)] if ordered else 0.0


class Steady:
    """A load of about `per_s` requests a second, under way; `finish` waits for its end."""

    def __init__(self, directory: Path, port: int, host: str, per_s: float, seconds: float, core: int | None) -> None:
        self._clients = max(2, round(per_s / _RPS))
        self.ramp_s = self._clients * _STEP_MS / 1e3
        self._seconds = seconds
        self._log = directory / "h2load.log"
        self._log.unlink(missing_ok=True)
        whole = self._clients * round(_RPS * (self.ramp_s + seconds))
        self._child = Child(
            [needed("h2load"), "--h1", "-t1", f"-c{self._clients}", "-r1", f"--rate-period={_STEP_MS}ms",
             f"--rps={_RPS}", f"-n{whole}", f"--log-file={self._log}",
             f"--connect-to=127.0.0.1:{port}", f"http://{host}/"], core, directory, stdout=subprocess.PIPE)

    def __enter__(self) -> Steady:
        return self

    def __exit__(self, *_: object) -> None:
        self._child.end()

    @property
    def ended(self) -> bool:
        return self._child.process.poll() is not None

    def finish(self) -> Answered:
        try:
            said, _ = self._child.process.communicate(timeout=3 * self._seconds + 4 * self.ramp_s + 30)
        except subprocess.TimeoutExpired:
            raise BenchFailed("h2load did not end") from None
        answered = read_log(self._log.read_text() if self._log.exists() else "", self.ramp_s, self._seconds)
        counts = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", bytes(said).decode())
        if counts is None:
            return Answered(0, 0, 0, 0, "h2load printed no result")
        lost = sum(int(count) for count in counts.groups()[1:])
        return answered if not lost or answered.wrong else Answered(
            answered.requests, answered.per_s, answered.p50_ms, answered.p99_ms, f"{lost} failed")
