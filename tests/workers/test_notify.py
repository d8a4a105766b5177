"""sd_notify: the right words, each status once, the watchdog in time, and nothing without systemd."""
from __future__ import annotations

import os
import socket
import time

import pytest

from workers.notify import Notifier


@pytest.fixture
def systemd(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
        sock.bind(str(tmp_path / "notify"))
        yield sock


def heard(systemd: socket.socket) -> list[str]:
    said = []
    while True:
        try:
            said.append(systemd.recv(4096).decode())
        except BlockingIOError:
            return said


def test_a_reload_is_told_with_its_time_and_ended(systemd):
    notifier = Notifier({"NOTIFY_SOCKET": systemd.getsockname()})
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notifier.reloading()
    notifier.ready()
    reloading, ready = heard(systemd)
    word, _, when = reloading.partition("\nMONOTONIC_USEC=")
    assert word == "RELOADING=1"
    assert before <= int(when) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert ready == "READY=1"


def test_a_status_is_told_when_it_changes(systemd):
    notifier = Notifier({"NOTIFY_SOCKET": systemd.getsockname()})
    for status in ("one", "one", "two", "two"):
        notifier.status(status)
    assert heard(systemd) == ["STATUS=one", "STATUS=two"]


@pytest.mark.parametrize("pid, expected", [(os.getpid(), 0.02), (1, 0.0), (None, 0.02)],
                         ids=["us", "another", "nobody"])
def test_the_watchdog_is_ours_if_systemd_means_us(systemd, pid, expected):
    environ = {"NOTIFY_SOCKET": systemd.getsockname(), "WATCHDOG_USEC": "20000"}
    if pid is not None:
        environ["WATCHDOG_PID"] = str(pid)
    assert Notifier(environ).watchdog_s == expected


def test_the_watchdog_is_fed_in_time_and_not_more_often(systemd):
    notifier = Notifier({"NOTIFY_SOCKET": systemd.getsockname(), "WATCHDOG_USEC": "40000"})
    deadline = time.monotonic() + 0.1
    while time.monotonic() < deadline:
        notifier.feed()
    assert 5 <= len(heard(systemd)) <= 10


def test_without_systemd_nothing_is_said_and_nothing_fails():
    notifier = Notifier({"WATCHDOG_USEC": "1"})
    notifier.ready()
    notifier.feed()
    assert notifier.watchdog_s == 0


def test_a_systemd_that_is_gone_fails_nothing(tmp_path):
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready()
