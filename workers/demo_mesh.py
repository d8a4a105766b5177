"""The demo's own small mesh: its directory, three services, the proxy, and a client of them.

Owns the processes.  The services are real HTTP servers (demo_service.py), the proxy is `hostmesh run` with files like
anybody's; nothing here reaches into it.  Children end with the demo however it ends: they are told in order, and the
kernel tells them (PR_SET_PDEATHSIG) when it is killed.  Floor 4.
"""
from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from mesh.names import ABOUT_FILE, PRODUCT
from workers.about import read_about
from workers.agent.embedded import find_server

START_S = 30.0                      # until the proxy serves
LEAVE_S = 6.0                       # until it has left
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)

STATIC = """\
# Where to listen and where to look.  A good change of this file makes a reload.  Paths are relative to it.
host: {{name: demo, workers: 2}}
stateDirectory: state
runtimeDirectory: run
entryPoints:
  web: {{address: "127.0.0.1:{port}"}}
providers:
  file: {{directory: conf.d}}
api: {{address: "127.0.0.1:{admin_port}"}}
accessLog: {{filePath: access.log}}
log: {{filePath: hostmesh.log}}
"""

ORDERS = """\
# Clients on this host call http://orders.shop.mesh/ and reach one of these.  Save a change, and it is in effect.
mesh:
  services:
    orders.shop:
      endpoints:
        - http://127.0.0.1:{orders_1}
        - {{url: "http://127.0.0.1:{orders_2}", weight: 1}}
      healthCheck: {{path: /health, interval: 1s, timeout: 500ms}}
"""

USERS = """\
mesh:
  services:
    users.shop:
      endpoints: ["http://127.0.0.1:{users_1}"]
      healthCheck: {{path: /health, interval: 1s, timeout: 500ms}}
"""

SITE = """\
# The same users behind a public name: a router and a service in Traefik's words.
http:
  routers:
    site:
      rule: Host(`www.shop.example`) && PathPrefix(`/users`)
      service: users
  services:
    users:
      loadBalancer:
        servers:
          - url: http://127.0.0.1:{users_1}
"""


class DemoFailed(Exception):
    """Something did not behave; one sentence that says what."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; `status` 0 where nothing did, and `text` then says why."""

    status: int
    by: str                 # which instance answered, "" where that is not known
    text: str


@dataclass(slots=True)
class Instance:
    """One instance of a service."""

    service: str
    name: str
    process: subprocess.Popen[bytes]
    port: int

    @property
    def pid(self) -> int:
        return self.process.pid


def ask(address: str, host: str, target: str = "/") -> Answer:
    """GETs from `address` ("127.0.0.1:8080") by the name `host`, on a connection of its own."""
    connection = HTTPConnection(address, timeout=10)
    try:
        connection.request("GET", target, headers={"Host": host} if host else {})
        with connection.getresponse() as answer:
            return Answer(answer.status, answer.getheader("X-Instance", ""), answer.read().decode(errors="replace"))
    except (OSError, HTTPException) as error:
        return Answer(0, "", str(error) or type(error).__name__)
    finally:
        connection.close()


def wait_until(holds: Callable[[], Any], within_s: float, what: str) -> Any:
    """What `holds` answers as soon as that is true; DemoFailed with `what` when it stays false."""
    deadline = time.monotonic() + within_s
    while not (answer := holds()):
        if time.monotonic() >= deadline:
            raise DemoFailed(f"{what} (waited {within_s:g} s)")
        time.sleep(0.02)
    return answer


class Demo:
    """The demo's directory and processes."""

    def __init__(self, port: int, admin_port: int) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix=f"{PRODUCT}-demo-"))
        self.config = self.directory / "hostmesh.yml"
        self.conf_d = self.directory / "conf.d"
        self.instances: list[Instance] = []
        self.proxy: subprocess.Popen[bytes] | None = None
        self.web = self.admin = ""              # as bound: "127.0.0.1:8080"
        self.redis = ""                         # where the private Redis answers, "" where there is no program for one
        self._ports = port, admin_port

    def start(self) -> None:
        """Starts the services, then the proxy, and waits until it serves.  Raises DemoFailed."""
        for service, name in (("orders.shop", "orders-1"), ("orders.shop", "orders-2"), ("users.shop", "users-1")):
            process = self._spawn([sys.executable, "-m", "workers.demo_service", service, name, str(os.getpid())],
                                  stdout=subprocess.PIPE)
            self.instances.append(Instance(service, name, process, 0))
        for instance in self.instances:
            assert instance.process.stdout is not None
            said = instance.process.stdout.readline()
            if not said.strip().isdigit():
                raise DemoFailed(f"{instance.name} does not start (see {self.directory / 'output.log'})")
            instance.port = int(said)
        ports = {each.name.replace("-", "_"): each.port for each in self.instances}
        self.conf_d.mkdir()
        self.config.write_text(STATIC.format(port=self._ports[0], admin_port=self._ports[1]))
        for file, text in (("orders.yml", ORDERS), ("users.yml", USERS), ("site.yml", SITE)):
            (self.conf_d / file).write_text(text.format(**ports))
        self.proxy = self._spawn([sys.executable, "-m", "workers.cli", "run", "--config", str(self.config)])
        wait_until(self._serves, START_S, "the proxy does not serve")
        if find_server():
            self.redis = wait_until(lambda: read_about(str(self.directory / "run")).redis, START_S,
                                    "the private Redis does not answer")

    def _spawn(self, command: list[str], stdout: int | None = None) -> subprocess.Popen[bytes]:
        parent = os.getpid()

        def in_the_child() -> None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != parent:
                os._exit(1)

        with (self.directory / "output.log").open("ab") as output:
            # a session of its own: the terminal's Ctrl-C is for the demo, which then ends all in order
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output if stdout is None else stdout,
                                    stderr=output, start_new_session=True, preexec_fn=in_the_child)

    def _serves(self) -> bool:
        assert self.proxy is not None
        if self.proxy.poll() is not None:
            raise DemoFailed(f"hostmesh ended with exit code {self.proxy.returncode}; it said:\n{self._last_words()}")
        try:
            about = json.loads((self.directory / "run" / ABOUT_FILE).read_bytes())
        except (OSError, ValueError):
            return False
        self.web, self.admin = about["entryPoints"]["web"], about["admin"]
        return bool(self.admin) and ask(self.admin, "", "/ready").status == 200

    def _last_words(self) -> str:
        said = ""
        for name in ("hostmesh.log", "output.log"):
            with contextlib.suppress(OSError):
                said += (self.directory / name).read_text(errors="replace")
        return "\n".join(f"    {line}" for line in said.splitlines()[-15:])

    def call(self, name: str, target: str = "/") -> Answer:
        """A request through the proxy, as a client on this host makes it."""
        return ask(self.web, name, target)

    def status(self) -> dict[str, Any]:
        """What /api/status says; {} where it says nothing."""
        answer = ask(self.admin, "", "/api/status")
        try:
            said = json.loads(answer.text) if answer.status == 200 else {}
        except ValueError:
            return {}
        return said if isinstance(said, dict) else {}

    def lose(self, instance: Instance) -> None:
        """Kills an instance as a crash would."""
        instance.process.kill()
        instance.process.wait()

    def stop(self) -> None:
        """Ends everything that was started, the proxy first, and removes the directory."""
        if self.proxy is not None:
            _end(self.proxy, LEAVE_S)
        for instance in self.instances:
            instance.process.terminate()
        for instance in self.instances:
            _end(instance.process, 2.0)
            if instance.process.stdout is not None:
                instance.process.stdout.close()
        shutil.rmtree(self.directory, ignore_errors=True)


def _end(process: subprocess.Popen[bytes], within_s: float) -> None:
    """Asks, asks to hurry, and then does not ask."""
    for number, patience_s in ((signal.SIGTERM, within_s), (signal.SIGQUIT, 3.0), (signal.SIGKILL, 3.0)):
        if process.poll() is not None:
            return
        process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience_s)
