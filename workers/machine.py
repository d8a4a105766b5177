"""What this machine says where the static file is silent, and the static file as it lies on its disk.

Owns the one way in which `run`, `check` and a reload come to their static configuration.  What the file may say stands
in mesh/providers/static.py.  Floor 3.
"""
from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

from mesh.errors import Problem
from mesh.model import Static
from mesh.providers.shapes_redis import MOST_PASSWORD
from mesh.providers.static import DEFAULT_FILE, Here, load_static, runtime_directory, unreadable_static


def here() -> Here:
    """This machine's name, first address, processors that we may use, and where our directories go."""
    root = os.geteuid() == 0
    state = os.environ.get("STATE_DIRECTORY", "").split(":")[0] or (
        "/var/lib/hostmesh" if root
        else str(Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "hostmesh"))
    return Here(socket.gethostname(), _first_address(), len(os.sched_getaffinity(0)),
                runtime_directory(os.environ, os.geteuid()), state)


def _first_address() -> str:
    """The address that the default route leaves from; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("192.0.2.1", 9))      # TEST-NET-1: a connect of UDP only asks the routing table
        except OSError:
            return "127.0.0.1"
        return sock.getsockname()[0]


def read_static(file: str | None = None) -> tuple[Static, list[Problem]]:
    """The static configuration and its warnings.  Raises ConfigError with every problem.

    No file named: the usual one, and where that is missing the defaults.  A file that was named must be there.
    """
    path = os.path.abspath(file or DEFAULT_FILE)
    try:
        data: bytes | None = Path(path).read_bytes()
    except FileNotFoundError:
        if file:
            raise unreadable_static(path, os.strerror(errno.ENOENT).lower()) from None
        data = None
    except OSError as error:
        raise unreadable_static(path, str(error.strerror).lower()) from None
    return load_static(data, path, here(), password_file)


def password_file(path: str) -> bytes:
    """The beginning of a file that holds a password.  Raises OSError."""
    with open(path, "rb") as file:
        return file.read(MOST_PASSWORD)
