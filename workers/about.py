"""The file about.json in the runtime directory: how a running instance is found from outside.

Owns its form.  The agent writes it, everybody may read it (0644): scripts, `hostmesh status`, tests that let the system
choose ports.  It outlives its instance; whether the pid in it still runs is the reader's question.  Floor 3.
"""
from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import orjson

from mesh.names import ABOUT_FILE, VERSION

ROUNDING_S = 2.0        # the clock is slewed, and ticks are 10 ms


@dataclass(frozen=True, slots=True)
class About:
    """One instance.  `pid` is its master's, `started` ISO 8601; addresses are those really bound ("": none is).

    `redis` is that of the private Redis which the agent runs ("": it runs none).
    """

    pid: int = 0
    version: str = VERSION
    started: str = ""
    static_file: str = ""
    host: str = ""
    entry_points: Mapping[str, str] = field(default_factory=dict)
    admin: str = ""
    redis: str = ""

    def write(self, runtime_directory: str) -> None:
        """Puts the file in place, whole or not at all.  Raises OSError."""
        path = Path(runtime_directory) / ABOUT_FILE
        fresh = path.with_name(f".{path.name}.new")
        with contextlib.suppress(FileNotFoundError):
            fresh.unlink()
        file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        try:
            os.fchmod(file, 0o644)          # whatever the umask
            os.write(file, orjson.dumps({
                "pid": self.pid, "version": self.version, "started": self.started, "staticFile": self.static_file,
                "host": self.host, "entryPoints": dict(self.entry_points), "admin": self.admin,
                "redis": self.redis},
                option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
        finally:
            os.close(file)
        fresh.rename(path)


def read_about(runtime_directory: str) -> About:
    """What the file says; an empty About where there is none, or none that we can read."""
    try:
        said = orjson.loads((Path(runtime_directory) / ABOUT_FILE).read_bytes())
        return About(int(said["pid"]), str(said["version"]), str(said["started"]), str(said["staticFile"]),
                     str(said["host"]), {str(k): str(v) for k, v in said["entryPoints"].items()}, str(said["admin"]),
                     str(said.get("redis", "")))
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return About()


def is_same_time(one: str, other: str) -> bool:
    """Whether two ISO times are the same but for rounding."""
    try:
        return abs((datetime.fromisoformat(one) - datetime.fromisoformat(other)).total_seconds()) < ROUNDING_S
    except ValueError:
        return False


def started_at(pid: int) -> str:
    """When a process was started, ISO 8601 with this host's offset; "" when it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    ticks = int(stat.rpartition(")")[2].split()[19])        # proc(5): field 22, since boot
    age_s = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    return datetime.fromtimestamp(time.time() - age_s).astimezone().isoformat(timespec="seconds")
