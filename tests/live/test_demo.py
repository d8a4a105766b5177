"""The demo as a stranger runs it: it works, it tells when it does not, and it leaves nothing behind."""
from __future__ import annotations

import io
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from workers.agent.embedded import find_server
from workers.commands.paper import Paper
from workers.demo_mesh import Demo, DemoFailed, ask
from workers.demo_tour import Tour

WITHIN_S = 60.0


class Running:
    """A demo in a process of its own; its output is read as it comes."""

    def __init__(self, tmp_path: Path, seconds: float | None) -> None:
        self.output = tmp_path / "said"
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-c", "import sys; from workers.demo import run_demo;"
                                       f" sys.exit(run_demo({seconds!r}, 0, 0))"],
                stdout=output, stderr=subprocess.STDOUT, env={**os.environ, "TMPDIR": str(tmp_path)})

    @property
    def said(self) -> str:
        return self.output.read_text()

    def until(self, pattern: str) -> str:
        wait_for(lambda: re.search(pattern, self.said) or self.process.poll() is not None)
        found = re.search(pattern, self.said)
        assert found, self.said
        return found[0]

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)


Start = Callable[[float | None], Running]


def wait_for(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not holds():
        assert time.monotonic() < deadline, "waited for too long"
        time.sleep(0.02)


def are_gone(family: list[psutil.Process]) -> bool:
    return not any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in family)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Running] = []

    def run(seconds: float | None) -> Running:
        started.append(Running(tmp_path, seconds))
        return started[-1]

    yield run
    for each in started:
        if each.process.poll() is None:
            each.process.send_signal(signal.SIGTERM)
            each.process.wait(WITHIN_S)


def test_the_tour_ends_by_itself_and_all_of_it_behaved(start: Start, tmp_path: Path) -> None:
    demo = start(2.0)
    assert demo.process.wait(WITHIN_S) == 0, demo.said
    assert "All of it behaved:" in demo.said
    assert ("An instance is drained in Redis" in demo.said) == bool(find_server())
    assert "\x1b" not in demo.said
    assert list(tmp_path.glob("hostmesh-demo-*")) == []


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_what_it_says_to_try_works_when_it_is_pasted(start: Start) -> None:
    demo = start(None)
    demo.until("removes the files")
    for line in (re.search(r"curl -H .*", demo.said), re.search(r"curl --resolve .*", demo.said)):
        assert line is not None
        answer = subprocess.run(["bash", "-c", f"{line[0]} -s"], capture_output=True, text=True, check=True).stdout
        assert '"service": "orders.shop"' in answer


@pytest.mark.parametrize("command", ["status", "explain", "check", pytest.param("redis-cli", marks=pytest.mark.skipif(
    not find_server(), reason="neither redis-server nor valkey-server is here"))])
def test_the_commands_that_it_names_are_good(start: Start, command: str) -> None:
    demo = start(None)
    demo.until("removes the files")
    line = demo.until(rf"\S+(?: -m workers\.cli)? {command} --config .*")
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_tells_of_an_edit_of_a_mistake_and_of_a_lost_instance(start: Start) -> None:
    demo = start(None)
    demo.until("removes the files")
    file = Path(demo.until(r"/\S*/conf\.d/orders\.yml"))
    good = file.read_text()
    file.write_text(good.replace("weight: 1", "weight: 2"))
    demo.until("a change is in effect: generation ")
    file.write_text(good.replace("endpoints:", "endpoint:"))
    demo.until(r"conf\.d/orders\.yml:5:7: ")
    file.write_text(good)
    demo.until("the files are good again")
    os.kill(int(demo.until(r"(?<=kill )\d+")), signal.SIGTERM)
    demo.until("orders-1 .* has ended")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_ends_in_order_and_leaves_nothing_behind(
        start: Start, tmp_path: Path, number: signal.Signals) -> None:
    demo = start(None)
    demo.until("removes the files")
    family = demo.family()
    assert len(family) >= 6         # three services, the master, its workers and its agent
    demo.process.send_signal(number)
    assert demo.process.wait(WITHIN_S) == 0
    assert are_gone(family)
    assert list(tmp_path.glob("hostmesh-demo-*")) == []


def test_its_children_do_not_outlive_it_when_it_is_killed(start: Start) -> None:
    demo = start(None)
    demo.until("removes the files")
    family = demo.family()
    demo.process.kill()
    demo.process.wait()
    wait_for(lambda: are_gone(family))


def test_a_port_that_is_taken_is_told_before_anything_is_started(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code = f"import sys; from workers.demo import run_demo; sys.exit(run_demo(1, {port}, 0))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                              env={**os.environ, "TMPDIR": str(tmp_path)})
    assert done.returncode == 1
    assert done.stdout == f"port {port} is taken: choose another with --port, or 0 to let the system choose\n"
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Demo]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    demo = Demo(0, 0)
    try:
        demo.start()
        yield demo
    finally:
        demo.stop()


def test_a_tour_on_which_something_does_not_behave_fails(demo: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.demo_tour.EFFECT_S", 1.0)
    for instance in demo.instances[:2]:
        demo.lose(instance)
    with pytest.raises(DemoFailed, match=r"hello\.shop\.mesh/ is not served"):
        Tour(demo, Paper(io.StringIO()), 0.0).take()


def test_a_proxy_that_cannot_start_is_told_with_its_own_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        demo = Demo(taken.getsockname()[1], 0)
        try:
            with pytest.raises(DemoFailed, match="hostmesh ended with exit code 1"):
                demo.start()
        finally:
            demo.stop()


def test_an_answer_that_does_not_come_is_told_not_raised() -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        port = deaf.getsockname()[1]
    answer = ask(f"127.0.0.1:{port}", "orders.shop.mesh")
    assert answer.status == 0
    assert "refused" in answer.text
