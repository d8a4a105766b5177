"""A small mesh on one machine, for somebody who sees it for the first time: hostmesh demo.

Owns what the demo says and when it ends.  With a number of seconds it takes the tour of demo_tour.py, and tells by its
exit code whether all of it behaved; without, it says what to try, tells what happens, and leaves with Ctrl-C.
Everything is below one temporary directory, which goes with the demo.  Floor 4.
"""
from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from mesh.names import PRODUCT
from workers.commands.paper import Paper
from workers.demo_mesh import Demo, DemoFailed
from workers.demo_tour import Tour, problem_line, tell

PORT, ADMIN_PORT = 8080, 9180       # where they are free; otherwise the system chooses
LOOK_S = 0.5                        # how often the demo looks for news while you try things


class _Ended(BaseException):
    """Somebody pressed Ctrl-C, or the terminal is gone."""


def run_demo(seconds: float | None, port: int | None = None, admin_port: int | None = None) -> int:
    """Runs the demo until Ctrl-C, or for `seconds` with a tour; 0 when everything behaved.

    A port of 0 is the system's choice, None the usual one where it is free.
    """
    paper = Paper()
    chosen = []
    for said, usual, option in ((port, PORT, "--port"), (admin_port, ADMIN_PORT, "--admin-port")):
        if said and not _is_free(said):
            paper.line(f"port {said} is taken: choose another with {option}, or 0 to let the system choose")
            return 1
        chosen.append(said if said is not None else usual if _is_free(usual) else 0)
    with _ends_politely():
        demo = None
        try:
            demo = Demo(*chosen)
            paper.line("Starting three services and the proxy ...")
            demo.start()
            _introduce(paper, demo)
            if seconds is not None:
                return Tour(demo, paper, seconds).take()
            _invite(paper, demo)
            _keep_watch(paper, demo)
        except DemoFailed as failure:
            paper.line(f"{paper.painted('It did not behave:', fg='red', bold=True)} {failure}")
            return 1
        except _Ended:
            paper.line()
            return 0 if seconds is None else 1
        finally:
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_IGN)       # from here on there is nothing to interrupt
            if demo is not None:
                demo.stop()
                paper.line(paper.painted("Everything is stopped, and its files are removed.", dim=True))
    return 0


_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def _ends_politely() -> Iterator[None]:
    def end(number: int, frame: FrameType | None) -> None:
        raise _Ended

    before = [signal.signal(number, end) for number in _SIGNALS]
    try:
        yield
    finally:
        for number, handler in zip(_SIGNALS, before):
            signal.signal(number, handler)


def _is_free(port: int) -> bool:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


# What it says

def _introduce(paper: Paper, demo: Demo) -> None:
    """What runs where, and the first answers."""
    assert demo.proxy is not None
    paper.line()
    paper.title("A mesh on this machine")
    rows = [("the proxy", f"http://{demo.web}", f"pid {demo.proxy.pid}")]
    rows += [(f"{each.service:<12} {each.name}", f"http://127.0.0.1:{each.port}", f"pid {each.pid}")
             for each in demo.instances]
    rows.append(("admin", f"http://{demo.admin}", "/ready  /metrics  /api/rawdata"))
    if demo.redis:
        rows.append(("a private Redis", demo.redis.removeprefix("unix://"), ""))
    rows.append(("files", str(demo.directory), ""))
    for what, where, how in rows:
        paper.line(f"  {what:<23}{where:<26}{paper.painted(how, dim=True)}" if how else f"  {what:<23}{where}")
    paper.line()
    paper.title("The first requests, by name")
    for name, target in (("orders.shop.mesh", "/"), ("orders.shop.mesh", "/"), ("users.shop.mesh", "/"),
                         ("www.shop.example", "/users/7")):
        answer = demo.call(name, target)
        tell(paper, f"GET http://{name}{target}", answer)
        if answer.status != 200:
            raise DemoFailed(f"http://{name}{target} was answered {answer.status}: {answer.text.strip()}")


def command() -> str:
    """How to call hostmesh from where we are."""
    beside = Path(sys.executable).with_name(PRODUCT)
    found = shutil.which(PRODUCT)
    if found and (not beside.exists() or os.path.samefile(found, beside)):
        return PRODUCT
    return os.path.relpath(beside) if beside.exists() else f"{sys.executable} -m workers.cli"


def _invite(paper: Paper, demo: Demo) -> None:
    """What to try."""
    port, hostmesh, config = demo.web.rpartition(":")[2], command(), f"--config {demo.config}"
    orders = demo.instances[0]
    paper.line()
    paper.title("What to try, in another terminal")
    for what, how in (
            ("call a service", f"curl -H 'Host: orders.shop.mesh' http://{demo.web}/"),
            ("by its own name", f"curl --resolve orders.shop.mesh:{port}:127.0.0.1 http://orders.shop.mesh:{port}/"),
            ("follow a stream", f"curl -N -H 'Host: orders.shop.mesh' http://{demo.web}/events"),
            ("change something", f"{os.environ.get('EDITOR') or 'nano'} {demo.conf_d / 'orders.yml'}"),
            ("", "change a weight and save; then make a mistake, and save that"),
            ("lose an instance", f"kill {orders.pid}"),
            ("", "the other one answers"),
            ("see how it is", f"{hostmesh} status {config}"),
            ("ask why", f"{hostmesh} explain {config} GET http://www.shop.example/users/7"),
            ("check the files", f"{hostmesh} check {config}"),
            ("read the logs", f"tail -f {demo.directory}/access.log {demo.directory}/hostmesh.log"),
            *((("look into Redis", f"{hostmesh} redis-cli {config} --scan"),) if demo.redis else ()),
            ("look at the admin", f"curl http://{demo.admin}/api/rawdata")):
        paper.line(f"  {what:<19}{paper.painted(how, fg='cyan') if what else paper.painted(how, dim=True)}")
    paper.line()
    paper.line(f"{paper.painted('Ctrl-C', bold=True)} ends everything and removes the files.")
    paper.line()


def _keep_watch(paper: Paper, demo: Demo) -> None:
    """Tells what happens while somebody tries things, until Ctrl-C or until the proxy is gone."""
    assert demo.proxy is not None
    running = list(demo.instances)
    generation = demo.status().get("generation", 0)
    problems: list[str] = []
    while True:
        time.sleep(LOOK_S)
        if demo.proxy.poll() is not None:
            raise DemoFailed(f"the proxy has ended ({demo.proxy.returncode})")
        for instance in [each for each in running if each.process.poll() is not None]:
            running.remove(instance)
            _news(paper, f"{instance.name} (pid {instance.pid}) has ended; what else serves {instance.service} goes on")
        if not (now := demo.status()):
            continue
        if now["generation"] != generation:
            generation = now["generation"]
            _news(paper, f"a change is in effect: generation {generation}")
        said = [problem_line(demo, each) for each in now["problems"]]
        for line in said:
            if line not in problems:
                _news(paper, paper.painted(line, fg="yellow"))
        if problems and not said:
            _news(paper, paper.painted("the files are good again", fg="green"))
        problems = said


def _news(paper: Paper, text: str) -> None:
    paper.line(f"  {paper.painted(time.strftime('%H:%M:%S'), dim=True)}  {text}")
