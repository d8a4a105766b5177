"""The entrypoints' sockets: opened once by the master, inherited by every worker, kept over reloads.

Owns binding, taking over from systemd, and which socket of the old configuration serves on in a new one, so that no
connection that waits in a queue is lost.  It refuses to retry: an address that cannot be had is one clear line.
Floor 3.
"""
from __future__ import annotations

import contextlib
import ctypes
import errno
import logging
import os
import socket
import struct
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, replace
from pathlib import Path

from mesh.model import EntryPoint
from mesh.names import PRODUCT

BACKLOG = 4096          # the system lowers it to net.core.somaxconn
FIRST_FD = 3            # SD_LISTEN_FDS_START

# A program of the kernel's packet filter (bpf): of the TCP header's flags at offset 13, SYN without ACK is dropped.
_SO_ATTACH_FILTER = 26
_STEP = struct.Struct("HBBI")
_NO_SYN = b"".join(_STEP.pack(*step) for step in (
    (0x30, 0, 0, 13), (0x54, 0, 0, 0x12), (0x15, 0, 1, 0x02), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF)))

log = logging.getLogger(PRODUCT)


class CannotListen(Exception):
    """An address that cannot be had; one line that says why and what to do."""


@dataclass(frozen=True, slots=True)
class Listener:
    """One listening socket and the address that the configuration said for it."""

    name: str
    host: str
    port: int
    sock: socket.socket
    inherited: bool = False         # from systemd: its socket unit decides the address, not our file

    @property
    def bound(self) -> str:
        """Where it really listens: "127.0.0.1:4711"."""
        host, port = self.sock.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def let_none_begin(listeners: Iterable[Listener]) -> None:
    """From now on the kernel drops a client's first packet (SYN); who has sent one already is still let in.

    So a port can be closed without anybody in its queue, whom the kernel would reset; who comes meanwhile tries again
    after a second and is refused then.  A socket of systemd's stays open, with its queue, for whoever comes next.
    """
    for listener in listeners:
        if not listener.inherited:
            program = ctypes.create_string_buffer(_NO_SYN)
            told = struct.pack("HL", len(_NO_SYN) // _STEP.size, ctypes.addressof(program))
            try:
                listener.sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, told)
            except OSError as error:
                log.debug("%s cannot be closed gently: %s", listener.name, error.strerror)


def inherited(environ: MutableMapping[str, str], pid: int) -> list[tuple[str, socket.socket]]:
    """The sockets that systemd passed to this process with their names; takes them out of the environment."""
    mine = environ.get("LISTEN_PID") == str(pid)
    count = environ.get("LISTEN_FDS", "0") if mine else "0"
    names = environ.get("LISTEN_FDNAMES", "").split(":") if mine else []
    for variable in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        environ.pop(variable, None)
    numbers = range(FIRST_FD, FIRST_FD + int(count) if count.isdigit() else FIRST_FD)
    names += ["unknown"] * (len(numbers) - len(names))
    passed = []
    for name, number in zip(names, numbers):
        sock = socket.socket(fileno=number)
        sock.set_inheritable(False)
        sock.setblocking(False)
        passed.append((name, sock))
    return passed


def adopt(entry_points: Mapping[str, EntryPoint],
          passed: Iterable[tuple[str, socket.socket]]) -> tuple[dict[str, Listener], list[str]]:
    """The listeners among the passed sockets, and a line for each socket that belongs to no entrypoint.

    A socket goes to the entrypoint of its name (FileDescriptorName=), else to the one of its address, else to the only
    one there is if it is the only socket.
    """
    sockets = list(passed)
    taken: dict[str, Listener] = {}
    unknown = []
    for name, sock in sockets:
        host, port = sock.getsockname()[:2] if sock.family in (socket.AF_INET, socket.AF_INET6) else ("unix", 0)
        fits = [e for e in entry_points.values() if e.name == name] or [
            e for e in entry_points.values() if (e.host or "::", e.port) == (host, port)]
        if not fits and len(sockets) == len(entry_points) == 1 and host != "unix":
            fits = list(entry_points.values())
        if not fits or fits[0].name in taken:
            unknown.append(f"systemd passed a socket named {name} on {host}:{port} that is no entrypoint's: closed"
                           f" (FileDescriptorName= in hostmesh.socket takes one of: {', '.join(entry_points)})")
            sock.close()
        else:
            taken[fits[0].name] = Listener(fits[0].name, fits[0].host, fits[0].port, sock, inherited=True)
    return taken, unknown


def open_all(entry_points: Mapping[str, EntryPoint], now: Mapping[str, Listener]) -> dict[str, Listener]:
    """A listener for every entrypoint, in their order: those of `now` that fit are kept, the others bound.

    On CannotListen nothing has changed.  What of `now` is not in the result is the caller's to close.
    """
    kept = dict(_kept(entry_points, now))
    fresh: dict[str, Listener] = {}
    try:
        for entry_point in entry_points.values():
            if entry_point.name not in kept:
                fresh[entry_point.name] = _bind(entry_point, now)
    except CannotListen:
        for listener in fresh.values():
            listener.sock.close()
        raise
    return {name: kept.get(name) or fresh[name] for name in entry_points}


def _kept(entry_points: Mapping[str, EntryPoint], now: Mapping[str, Listener]) -> Iterator[tuple[str, Listener]]:
    # By address first: two entrypoints that swap their names swap their sockets.  Port 0 is nobody's address.
    by_address = {(old.host, old.port): old for old in now.values() if old.port and not old.inherited}
    for name, entry_point in entry_points.items():
        same = now.get(name)
        if same is not None and (same.inherited or (same.host, same.port) == (entry_point.host, entry_point.port)):
            yield name, same
        elif (entry_point.host, entry_point.port) in by_address:
            yield name, replace(by_address[entry_point.host, entry_point.port], name=name)


def _bind(entry_point: EntryPoint, now: Mapping[str, Listener]) -> Listener:
    host, port = entry_point.host, entry_point.port
    said = f"entrypoint {entry_point.name}: {f'[{host}]' if ':' in host else host}:{port}"
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as unknown:
        raise CannotListen(f"{said}: {unknown.strerror or unknown} (wanted an address of this host, or nothing for all"
                           " of them)") from None
    # No host means every address: one socket for both families, where there is IPv6 at all.
    found.sort(key=lambda info: info[0] != (socket.AF_INET if host else socket.AF_INET6))
    why: OSError | None = None
    for family, kind, protocol, _, address in found:
        try:
            sock = socket.socket(family, kind | socket.SOCK_NONBLOCK, protocol)
        except OSError as missing:      # a kernel without IPv6
            why = missing
            continue
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, bool(host))
            sock.bind(address)
            sock.listen(BACKLOG)
            return Listener(entry_point.name, host, port, sock)
        except OSError as refused:
            sock.close()
            why = refused
            if refused.errno in (errno.EADDRINUSE, errno.EACCES, errno.EPERM):
                break
    raise CannotListen(f"{said}: {_told(why, port, now)}") from None


def _told(error: OSError | None, port: int, now: Mapping[str, Listener]) -> str:
    if error is None:
        return "no such address"
    if error.errno == errno.EADDRINUSE:
        ours = [old.name for old in now.values() if port and old.port == port]
        if ours:
            return f"overlaps the address that {ours[0]} of this instance still has; this change needs a restart"
        return f"is in use by another program (ss -ltnp 'sport = :{port}' shows which)"
    if error.errno in (errno.EACCES, errno.EPERM):
        lowest = "1024"
        with contextlib.suppress(OSError):
            lowest = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text().strip()
        return (f"permission denied: ports below {lowest} need root, AmbientCapabilities=CAP_NET_BIND_SERVICE in the"
                " unit, or hostmesh.socket")
    if error.errno == errno.EADDRNOTAVAIL:
        return "no interface of this host has this address (ip address shows them)"
    return os.strerror(error.errno or 0).lower()
