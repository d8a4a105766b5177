"""The real service and real endpoints as processes of a test: the harness of tests/live and tests/wire.

    with Endpoint("orders-1") as one, Mesh(tmp_path, {"orders.yml": orders(one)}) as mesh:
        answer = mesh.ask("/bytes?size=3")          # by the name orders.shop.mesh; answer.status, .headers, .body
        mesh.edit("orders.yml", orders(one, two))   # returns when every worker serves it
        mesh.port, mesh.admin                       # of the entrypoint web; "127.0.0.1:N" of the admin address
        mesh.master, mesh.workers, mesh.agent       # pids
        mesh.status(), mesh.metrics(), mesh.log     # /api/status as a dictionary, /metrics by series, lines of its log

A Mesh is `python -m workers.cli run` in a session of its own, on ports that the system chose, with 2 workers unless
`static` says otherwise (a dictionary laid over STATIC, in the words of hostmesh.yml).  Leaving the block stops it and
fails the test if a process of it is left, if it did not end with 0, or if its log tells of an error inside hostmesh.
An Endpoint is endpoint.py in a process of its own; what it answers is said there.  Everything waits for a condition
with a deadline (`until`), nothing sleeps.
"""
from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPMessage
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psutil
from ports import free_port
from prometheus_client.parser import text_string_to_metric_families

from workers.about import About, read_about
from workers.memory import Refused
from workers.report import read_status

ROOT = Path(__file__).parents[2]
WITHIN_S = 10.0
ORDERS = "orders.shop.mesh"
PATTERN = bytes(range(251)) * 4178              # 1 MiB and a little, of a period that divides no power of two
_OUR_FAULT = ("inside hostmesh", "Traceback (most recent call last)", "Exception ignored in", "cannot be served")
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)

STATIC: dict[str, Any] = {
    "host": {"name": "host-a", "address": "127.0.0.1", "workers": 2},
    "stateDirectory": "state", "runtimeDirectory": "run",
    "entryPoints": {"web": {"address": "127.0.0.1:0"}},
    "providers": {"file": {"directory": "conf.d"}},
    "api": {"address": "127.0.0.1:0"},
    "redis": {"embedded": False},
    "log": {"filePath": "hostmesh.log"},
}


def until(condition: Callable[[], Any], what: str = "", within_s: float = WITHIN_S) -> Any:
    """What the condition answers once that is true; fails the test when it stays false."""
    deadline = time.monotonic() + within_s
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"not within {within_s:g} s: {what or condition}"
        time.sleep(0.01)
    return answer


def laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Both, `above` winning; None there takes a key away."""
    both = dict(below)
    for key, value in above.items():
        if isinstance(value, Mapping) and isinstance(both.get(key), Mapping):
            both[key] = laid_over(both[key], value)
        elif value is None:
            both.pop(key, None)
        else:
            both[key] = value
    return both


def pattern(size: int) -> bytes:
    """The first bytes of what /bytes sends."""
    return (PATTERN * (size // len(PATTERN) + 1))[:size]


def digest(data: bytes) -> str:
    """As endpoints tell it of what they received."""
    return hashlib.sha256(data).hexdigest()


def free_address() -> str:
    """An address that nobody listens on now, for what must know it before it starts."""
    return f"127.0.0.1:{free_port()}"


def is_running(pid: int) -> bool:
    """Whether the process lives; one that nobody has reaped yet does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def resident(pid: int) -> int:
    """Bytes of memory of its own that the process holds; the mapping it shares with others does not count."""
    memory = psutil.Process(pid).memory_info()
    return int(memory.rss - memory.shared)


def session(leader: int) -> list[int]:
    """The processes that live in the session of `leader`."""
    found = []
    for pid in psutil.pids():
        with contextlib.suppress(OSError):
            if os.getsid(pid) == leader and is_running(pid):
                found.append(pid)
    return found


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that has arrived whole."""

    status: int
    headers: HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(address: str | int, target: str = "/", host: str = "", method: str = "GET", body: Any = None,
        within_s: float = 30.0, **headers: str) -> Answer:
    """One request on a connection of its own; `x_name` as a keyword is the header X-Name.  Raises OSError and
    http.client.HTTPException."""
    where = f"127.0.0.1:{address}" if isinstance(address, int) else address
    connection = HTTPConnection(where, timeout=within_s)
    try:
        said = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, target, body, {"Host": host, **said} if host else said,
                           encode_chunked="Transfer-Encoding" in said)
        with connection.getresponse() as answer:
            return Answer(answer.status, answer.headers, answer.read())
    finally:
        connection.close()


def _dies_with_us() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Endpoint:
    """One endpoint as a process; what it does with a request, endpoint.py says."""

    def __init__(self, name: str = "one") -> None:
        self.name = name
        self.process = subprocess.Popen([sys.executable, str(Path(__file__).with_name("endpoint.py")), name],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, preexec_fn=_dies_with_us)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def __enter__(self) -> Endpoint:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def ask(self, target: str = "/", **said: Any) -> Answer:
        """A request that does not go through the proxy."""
        return ask(self.port, target, **said)

    def open(self, gate: str) -> None:
        """Lets go what waits at this gate, now and later."""
        self.ask(f"/-/open?{urlencode({'gate': gate})}")

    @property
    def seen(self) -> dict[str, Any]:
        """What it received: requests, paths, ids, twice, connections, open, gone, waiting, bytes."""
        return dict(self.ask("/-/seen").json)

    def waits_at(self, gate: str) -> int:
        """How many requests wait at this gate."""
        return int(self.seen["waiting"].get(gate, 0))


def orders(*endpoints: Endpoint | str, name: str = "orders.shop") -> str:
    """A dynamic file with one service of the mesh."""
    urls = [each if isinstance(each, str) else each.url for each in endpoints]
    return json.dumps({"mesh": {"services": {name: {"endpoints": urls}}}})


@dataclass
class Mesh:
    """The service, running; see the top of this file.

    `environ` is laid over the environment, `program` is what python runs, `command` stands before it, `told` are words
    of "an error inside hostmesh" that this test expects in the log, and `fds` are descriptors it inherits.
    """

    directory: Path
    files: Mapping[str, str] = field(default_factory=dict)
    static: Mapping[str, Any] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = ()
    program: tuple[str, ...] = ("-m", "workers.cli", "run")
    told: tuple[str, ...] = ()
    fds: tuple[int, ...] = ()
    process: subprocess.Popen[bytes] | None = None
    _leaders: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.conf = self.directory / "conf.d"
        self.config = self.directory / "hostmesh.yml"
        self.run_directory = self.directory / "run"
        self.conf.mkdir(parents=True, exist_ok=True)
        self.say(self.static)
        for file, text in self.files.items():
            (self.conf / file).write_text(text)

    # Its life

    def __enter__(self) -> Mesh:
        try:
            return self.start()
        except BaseException:
            self.end_all()
            raise

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            self.end_all()
            return
        try:
            if self.is_running:
                assert self.stop() == 0, self.last_words()
        finally:
            left = self.end_all()
        assert not left, f"processes were left behind: {left}\n{self.last_words()}"
        faults = [line for line in self.log + self.output if any(fault in line for fault in _OUR_FAULT)
                  and not any(words in line for words in self.told)]
        assert not faults, self.last_words(60)

    def start(self, wait: bool = True) -> Mesh:
        """Starts it, and waits until every worker serves and the admin address answers."""
        self.launch()
        if wait:
            until(lambda: self.serves or not self.is_running, "it serves", 20.0)
            assert self.is_running, self.last_words()
        return self

    def launch(self) -> None:
        environ = {name: value for name, value in os.environ.items() if name not in ("NOTIFY_SOCKET", "LISTEN_FDS")}
        with (self.directory / "output").open("ab") as output:
            self.process = subprocess.Popen(
                [*self.command, sys.executable, *self.program, "--config", str(self.config)],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, cwd=self.directory,
                env={**environ, "PYTHONPATH": str(ROOT), **self.environ}, preexec_fn=_dies_with_us,
                pass_fds=self.fds)
        self._leaders.append(self.process.pid)

    def stop(self, number: int = signal.SIGTERM, within_s: float = 15.0) -> int:
        """Sends the signal and waits for the end; the exit code (negative: the signal that killed it)."""
        self.signal(number)
        return self.ended(within_s)

    def ended(self, within_s: float = 15.0) -> int:
        """Waits for the end of the master; its exit code."""
        assert self.process is not None
        try:
            return self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it does not end within {within_s:g} s\n{self.last_words()}") from None

    def end_all(self) -> list[int]:
        """Kills whatever is left of it; which pids that were.  A killed master's workers have time to notice."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        with contextlib.suppress(AssertionError):
            until(lambda: not self.processes, within_s=5.0)
        left = self.processes
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return left

    def signal(self, number: int) -> None:
        """Sends it to the master."""
        os.kill(self.master, number)

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def processes(self) -> list[int]:
        """Every process that is or was started by this Mesh and lives."""
        return [pid for leader in self._leaders for pid in session(leader)]

    # What it is told

    def say(self, static: Mapping[str, Any]) -> None:
        """Writes the static file: STATIC with this laid over it.  A running service sees it with `reload`."""
        self.static = static
        self.config.write_text(json.dumps(laid_over(STATIC, static), indent=2))

    def reload(self, static: Mapping[str, Any] | None = None, within_s: float = 20.0) -> None:
        """HUP, with this static configuration; returns when only workers of it are left."""
        if static is not None:
            self.say(static)
        former = set(self.workers)
        before = self.status()["master"]["staticReloads"]
        self.signal(signal.SIGHUP)
        until(lambda: self.status()["master"]["staticReloads"] > before, "the static file is taken up", within_s)
        until(lambda: self.serves and not former & set(self.workers), "the former workers have left", within_s)

    def write(self, file: str, text: str) -> None:
        """Puts a dynamic file in place whole, as editors do."""
        fresh = self.conf / f".{file}.new"
        fresh.write_text(text)
        fresh.rename(self.conf / file)

    def edit(self, file: str, text: str) -> int:
        """Writes, and waits until every worker serves a newer generation, which is the answer."""
        before = self.generation
        self.write(file, text)
        return self.wait_for_generation(before + 1)

    def wait_for_generation(self, number: int) -> int:
        """Waits until every worker serves this generation or a later one, which is the answer."""
        def reached() -> int:
            status = self.status()
            serving = [worker for worker in status["workers"] if not worker["draining"]]
            is_there = len(serving) >= status["workersWanted"] and all(w["generation"] >= number for w in serving)
            return int(status["generation"]) if is_there else 0
        return int(until(reached, f"every worker serves generation {number}"))

    # What it tells

    def status(self) -> dict[str, Any]:
        """What /api/status says, read from the shared memory: a dead agent makes no difference."""
        try:
            return read_status(str(self.run_directory))
        except Refused:
            return {}

    @property
    def about(self) -> About:
        about = read_about(str(self.run_directory))
        return about if self.process is not None and about.pid == self.process.pid else About()

    @property
    def serves(self) -> bool:
        """Every worker serves, none is leaving, and the admin address is known."""
        if not self.about.admin:
            return False
        status = self.status()
        serving = [w for w in status["workers"] if w["generation"] and not w["draining"] and w["alive"]]
        return len(serving) == status["workersWanted"] == len(status["workers"])

    def port_of(self, entry_point: str) -> int:
        """Its port, once the agent has told it: after a reload that is later than the master takes the file up."""
        address = until(lambda: self.about.entry_points.get(entry_point, ""), f"the port of {entry_point}")
        return int(address.rpartition(":")[2])

    @property
    def port(self) -> int:
        return self.port_of("web")

    @property
    def admin(self) -> str:
        return str(until(lambda: self.about.admin, "the admin address"))

    @property
    def generation(self) -> int:
        return int(self.status()["generation"])

    @property
    def master(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def workers(self) -> list[int]:
        """The pids of the workers, those that are leaving too."""
        return [worker["pid"] for worker in self.status()["workers"] if worker["alive"]]

    @property
    def agent(self) -> int:
        return int(self.status()["agent"]["pid"])

    @property
    def log(self) -> list[str]:
        return self._lines("hostmesh.log")

    @property
    def output(self) -> list[str]:
        """What it wrote to standard output and standard error."""
        return self._lines("output")

    def _lines(self, name: str) -> list[str]:
        try:
            return (self.directory / name).read_text(errors="replace").splitlines()
        except FileNotFoundError:
            return []

    def told_of(self, *words: str) -> list[str]:
        """The lines of its log and output with all of these words."""
        return [line for line in self.log + self.output if all(word in line for word in words)]

    def last_words(self, lines: int = 25) -> str:
        return "\n".join(["its log ends so:", *self.log[-lines:], *self.output[-lines:]])

    # Requests

    def ask(self, target: str = "/", host: str = ORDERS, **said: Any) -> Answer:
        """One request through the proxy, see `ask`."""
        return ask(self.port, target, host, **said)

    def metrics(self) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
        """/metrics: by name of the sample, by sorted labels."""
        found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
        for family in text_string_to_metric_families(ask(self.admin, "/metrics").text):
            for sample in family.samples:
                found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
        return found

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the series of this name whose labels hold these."""
        return sum(value for said, value in self.metrics().get(name, {}).items()
                   if labels.items() <= dict(said).items())


def pids_on(ports: Iterable[int]) -> set[int]:
    """Which processes listen on one of these ports."""
    wanted = set(ports)
    return {each.pid for each in psutil.net_connections("tcp")
            if each.status == psutil.CONN_LISTEN and each.laddr.port in wanted and each.pid}
