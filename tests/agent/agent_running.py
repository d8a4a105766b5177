"""A real agent in a forked child, as the master has it, on a real shared memory."""
from __future__ import annotations

import json
import logging
import os
import signal
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mesh.model import Dynamic, EntryPoint, Static
from mesh.model_json import from_json
from mesh.providers.published import Published
from mesh.shared.layout import FACT_AGENT_BEAT_MS, FACT_WORKERS
from workers.about import read_about
from workers.agent.agent import main
from workers.keeper import AgentKeeper
from workers.logs import ProcessLog
from workers.memory import SharedMemory, create
from workers.report import published

WITHIN_S = 10.0
SIZES = (1 << 20, 1 << 20, 4, 64, 512)


def until(condition: Callable[[], Any], what: str = "") -> Any:
    """What the condition answers once that is true."""
    deadline = time.monotonic() + WITHIN_S
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"not within {WITHIN_S} s: {what or condition}"
        time.sleep(0.02)
    return answer


def routes(*names: str) -> str:
    """A file with a router and a service for each name."""
    lines = ["http:", "  routers:"]
    lines += [f"    {name}: {{rule: Host(`{name}.example`), service: {name}}}" for name in names]
    lines += ["  services:"]
    lines += [f"    {name}: {{loadBalancer: {{servers: [{{url: 'http://127.0.0.1:1'}}]}}}}" for name in names]
    return "\n".join(lines) + "\n"


class Running:
    """The master's side of one agent: memory, files, and the address where it answers."""

    def __init__(self, tmp_path: Path, static: Static, sizes: tuple[int, ...],
                 bound: Mapping[str, str]) -> None:
        self.static, self.bound = static, dict(bound)
        self.conf = Path(static.file_directory)
        self.log_file = Path(static.log_file)
        self.memory: SharedMemory = create(static, sizes=sizes)
        self.memory.facts.store(FACT_WORKERS, 0)
        self.log = ProcessLog(static)
        self.keeper = AgentKeeper(main, self.memory, self.log)

    def start(self) -> Running:
        """Forks an agent and waits until it answers."""
        master = os.getpid()
        self.keeper.spawn(lambda main: main(self.static, self.memory, self.bound, master))
        until(lambda: self.memory.facts.load(FACT_AGENT_BEAT_MS), "a beat")
        return self

    def reaped(self, within_s: float = WITHIN_S) -> int:
        """Waits for the agent's end; its exit code (negative: the signal)."""
        deadline = time.monotonic() + within_s
        while True:
            pid, status = os.waitpid(self.keeper.pid, os.WNOHANG)
            if pid:
                self.keeper.ended(status)
                return os.waitstatus_to_exitcode(status)
            assert time.monotonic() < deadline, "the agent does not end"
            time.sleep(0.02)

    def kill(self, number: int = signal.SIGKILL) -> int:
        os.kill(self.keeper.pid, number)
        return self.reaped()

    def close(self) -> None:
        if self.keeper.pid:
            self.kill()

    @property
    def dynamic(self) -> Dynamic:
        data = self.memory.plan.read()[1]
        return from_json(data) if data else Dynamic()

    @property
    def names(self) -> set[str]:
        """The routers of the plan that is published."""
        return {name.removesuffix("@file") for name in self.dynamic.routers}

    @property
    def said(self) -> Published:
        return published(self.memory)

    @property
    def lines(self) -> list[str]:
        return self.log_file.read_text().splitlines()

    def told(self, words: str) -> list[str]:
        """The lines of the log with these words."""
        return [line for line in self.lines if words in line]

    @property
    def address(self) -> str:
        return until(lambda: read_about(self.static.runtime_directory).admin, "an admin address")

    def ask(self, path: str, method: str = "GET", **headers: str) -> Any:
        """An answer of the admin address: code, headers, body (bytes)."""
        asked = urllib.request.Request(f"http://{self.address}{path}", method=method, headers=headers)
        try:
            with urllib.request.urlopen(asked, timeout=WITHIN_S) as answer:
                return SimpleNamespace(code=answer.status, headers=answer.headers, body=answer.read())
        except urllib.error.HTTPError as refused:
            with refused:
                return SimpleNamespace(code=refused.code, headers=refused.headers, body=refused.read())

    def json(self, path: str) -> Any:
        answer = self.ask(path)
        assert answer.headers["Content-Type"] == "application/json"
        return json.loads(answer.body)


@pytest.fixture
def quiet_logs() -> Iterator[None]:
    """The loggers as they were: a process log takes them over."""
    loggers = [logging.getLogger(), logging.getLogger("hostmesh")]
    before = [(logger, logger.handlers[:], logger.level, logger.propagate) for logger in loggers]
    yield
    for logger, handlers, level, propagate in before:
        logger.handlers[:], logger.propagate = handlers, propagate
        logger.setLevel(level)


@pytest.fixture
def agent(tmp_path: Path, quiet_logs: None) -> Iterator[Callable[..., Running]]:
    """Makes an agent's surroundings: `agent({"a.yml": "..."}).start()`; all end with the test."""
    made: list[Running] = []

    def make(files: Mapping[str, str] | None = None, sizes: tuple[int, ...] = SIZES,
             bound: Mapping[str, str] | None = None, **static: Any) -> Running:
        (tmp_path / "conf.d").mkdir(exist_ok=True)
        for name, text in (files or {}).items():
            (tmp_path / "conf.d" / name).write_text(text)
        made.append(Running(tmp_path, replace(Static(
            file=str(tmp_path / "hostmesh.yml"), host_name="host-a", runtime_directory=str(tmp_path / "run"),
            file_directory=str(tmp_path / "conf.d"), entry_points={"web": EntryPoint("web", "127.0.0.1", 0)},
            api_address="127.0.0.1:0", log_file=str(tmp_path / "log")), **static), sizes, bound or {}))
        return made[-1]

    yield make
    for running in made:
        running.close()


@pytest.fixture
def front_door() -> Iterator[Callable[[bytes], str]]:
    """A small server that gives one answer to whoever asks; its address."""
    sockets: list[socket.socket] = []

    def serve(answer: bytes) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        sockets.append(listener)

        def run() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                with client:
                    client.recv(4096)
                    client.sendall(answer)

        threading.Thread(target=run, daemon=True).start()
        return f"127.0.0.1:{listener.getsockname()[1]}"

    yield serve
    for listener in sockets:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
