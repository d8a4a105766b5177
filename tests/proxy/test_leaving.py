"""A worker that is told to leave: it hears it whenever it is told, and takes in who waits at its listeners."""
from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[2]
WITHIN_S = 30


def run_alone(code: str) -> str:
    """What the code prints in a process of its own, whose signals and hub it may do with as it likes."""
    ran = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], cwd=ROOT, capture_output=True, text=True,
                         timeout=WITHIN_S)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


def test_who_waits_with_half_a_head_is_taken_in_and_the_worker_goes_on() -> None:
    """Taken in outside of the hub, the connection's greenlet left for the hub and the worker slept for ever: it let
    nobody finish, and was killed after the grace time."""
    assert run_alone("""
        import logging, socket, tempfile
        from mesh.model import EntryPoint, Static
        from workers.memory import create
        from workers.proxy.front import Front

        with tempfile.TemporaryDirectory() as directory:
            static = Static(runtime_directory=directory, entry_points={"web": EntryPoint("web", "127.0.0.1", 0)})
            memory = create(static)
            listener = socket.create_server(("127.0.0.1", 0))
            listener.setblocking(False)
            front = Front([(static.entry_points["web"], listener)], memory.hold_column(0), static,
                          logging.getLogger("test"))
            front.start()
            with socket.create_connection(listener.getsockname()) as client:
                client.sendall(b"GET / HTT")
                front.stop_accepting()
                print(front.connections, front.accepting)
    """) == "1 False"


def test_a_word_to_leave_that_came_before_the_handlers_is_heard() -> None:
    """The master's forks hold signals; to ignore one for a moment would drop it, and the master tells it only once."""
    assert run_alone("""
        import os, signal
        from workers.proxy.worker import ProxyWorker

        worker = object.__new__(ProxyWorker)
        worker.alive = True
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        os.kill(os.getpid(), signal.SIGTERM)
        worker.init_signals()
        print(worker.alive)
    """) == "False"
