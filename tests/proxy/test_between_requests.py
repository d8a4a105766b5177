"""A new plan is compiled between requests: sockets are looked at in between, not when it is done."""
from __future__ import annotations

import itertools
import socket
import time

import gevent

from workers.proxy.worker import AT_ONCE_S, _between_requests


def test_what_arrives_is_read_between_the_steps() -> None:
    heard: list[int] = []
    taken: list[int] = []
    here, there = socket.socketpair()
    watcher = gevent.get_hub().loop.io(here.fileno(), 1)

    def on_readable() -> None:
        heard.append(len(taken))
        here.recv(1)
        there.send(b"x")

    def steps():
        for number in range(600):
            taken.append(number)
            until = time.monotonic() + AT_ONCE_S / 5
            while time.monotonic() < until:
                pass
            yield
        return "done"

    watcher.start(on_readable)
    there.send(b"x")
    try:
        assert _between_requests(steps()) == "done"
    finally:
        watcher.stop()
        watcher.close()
        here.close()
        there.close()
    assert len(heard) >= 600 / 5 / 2
    between = [after - before for before, after in itertools.pairwise(heard)]
    assert max(between) <= 10, "never more than some steps"


def test_a_short_work_does_not_wait_for_a_turn_of_the_loop() -> None:
    def steps():
        yield
        return 7

    assert _between_requests(steps()) == 7
