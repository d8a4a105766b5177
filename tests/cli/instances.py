"""A real instance in a process of its own, as a person starts it, and the command line beside it."""
from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from workers.cli import main

ROOT = Path(__file__).resolve().parents[2]
WITHIN_S = 30.0


def until(condition: Callable[[], Any], what: str) -> Any:
    """What the condition answers once that is true."""
    deadline = time.monotonic() + WITHIN_S
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"not within {WITHIN_S} s: {what}"
        time.sleep(0.05)
    return answer


class Instance:
    """hostmesh run in the foreground of a child, on a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.config = directory / "hostmesh.yml"
        self.conf = directory / "conf.d"
        self.conf.mkdir()
        self.say_static()
        self.process: subprocess.Popen[bytes] | None = None

    def say_static(self, more: str = "") -> None:
        more = more if "redis:" in more else f"redis: {{embedded: false}}\n{more}"
        self.config.write_text('host: {name: host-a, workers: 1}\nruntimeDirectory: run\n'
                               'api: {address: "127.0.0.1:0"}\n'
                               f'entryPoints: {{web: {{address: "127.0.0.1:0"}}}}\n{more}')

    def start(self) -> None:
        with (self.directory / "log").open("wb") as log:
            self.process = subprocess.Popen([sys.executable, "-m", "workers.cli", "run", "--config", str(self.config)],
                                            cwd=ROOT, stdout=log, stderr=log, start_new_session=True)
        until(lambda: self.serves, f"an instance that serves: {self.log}")

    def hostmesh(self, command: str, *words: str) -> Result:
        return CliRunner().invoke(main, [command, "--config", str(self.config), *words])

    def status(self) -> dict[str, Any]:
        return json.loads(self.hostmesh("status", "--json").stdout)

    @property
    def serves(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log
        said = self.status()
        return said.get("generation", 0) > 0 and any(worker["generation"] for worker in said["workers"])

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text()

    def stop(self) -> int:
        """Asks it to end, and answers its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(WITHIN_S)

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(WITHIN_S)
