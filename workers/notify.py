"""What systemd is told about the service (sd_notify), in its words.

Owns the datagrams; when which state is true is the master's.  Without NOTIFY_SOCKET all of it does nothing.  Floor 3.
"""
from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Mapping


class Notifier:
    """One instance per master; it tells each status once, and the watchdog in time."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._path = environ.get("NOTIFY_SOCKET", "")
        self._status = ""
        # systemd names the process that must speak; we answer when it is us, or when nobody was named
        mine = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        usec = environ.get("WATCHDOG_USEC", "")
        self.watchdog_s = int(usec) / 1e6 if mine and self._path and usec.isdigit() else 0.0
        self._fed = time.monotonic()

    def send(self, *lines: str) -> None:
        """Sends one state; a systemd that does not listen is not waited for."""
        if not self._path:
            return
        path = "\0" + self._path[1:] if self._path.startswith("@") else self._path
        with contextlib.suppress(OSError), \
                socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as sock:
            sock.sendto("\n".join(lines).encode(), path)

    def reloading(self) -> None:
        """A reload begins; ready() ends it."""
        self.send("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def ready(self) -> None:
        """The service serves."""
        self.send("READY=1")

    def stopping(self) -> None:
        """The service finishes what it has and ends."""
        self.send("STOPPING=1", "STATUS=finishing what is under way")

    def status(self, text: str) -> None:
        """One line for `systemctl status`, sent when it changed."""
        if text != self._status:
            self._status = text
            self.send(f"STATUS={text}")

    def feed(self) -> None:
        """Feeds the watchdog if it is time; call it at least every `watchdog_s / 4`."""
        now = time.monotonic()
        if self.watchdog_s and now - self._fed >= self.watchdog_s / 4:
            self._fed = now
            self.send("WATCHDOG=1")
