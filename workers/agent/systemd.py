"""systemd as a provider: units of this host that carry X-Mesh-Service= are endpoints while they are active.

Owns one native thread and a connection to the bus.  systemd is asked which services run and where their files are
(ListUnitsByPatterns, FragmentPath, DropInPaths), the files are read from the disk, and its signals say when to look
again; a signal is never believed, only taken as a reason to look, so that a lost one costs RESCAN_S and nothing else.
What mesh/providers/units.py makes of it goes to Instances.  Without a bus nothing is told, so that what is known serves
on; the bus is tried again for ever.  Floor 3.

The bus is spoken to by jeepney: pure Python without dependencies, and blocking, at home in a thread of its own.
dbus-next and dbus-fast want an event loop (the hub is gevent's), sdbus and pystemd want libsystemd and a compiler.
"""
from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from jeepney import DBusAddress, DBusErrorResponse, HeaderFields, MatchRule, Message, MessageType, Properties
from jeepney import message_bus as bus_itself
from jeepney.bus import get_bus
from jeepney.io.blocking import DBusConnection, Proxy, prep_socket
from jeepney.wrappers import new_method_call, unwrap_msg

from mesh.model import Static
from mesh.names import PRODUCT
from mesh.providers.instances import Instance
from mesh.providers.units import SOURCE, instance_of, read_unit
from workers.agent.instances import Instances
from workers.keeper import Backoff

SYSTEMD = "org.freedesktop.systemd1"
MANAGER = DBusAddress("/org/freedesktop/systemd1", SYSTEMD, f"{SYSTEMD}.Manager")
BUS = "SYSTEM"          # DBUS_SYSTEM_BUS_ADDRESS, else /run/dbus/system_bus_socket

ANSWER_S = 10.0         # of systemd under load; after it the connection is made anew
RESCAN_S = 60.0         # the safety net under signals
GATHER_S = 0.02         # a start of a unit is told in four or five signals
LEAST_S = 0.1           # between two looks: 5 ms each with a hundred services
MOST_BYTES = 1 << 20    # of one unit file
MOST_HEARD = 1024       # signals that come in while we ask

# "deactivating": TERM was sent, so nothing new may go there, while it finishes what it has.
_SERVES, _LEAVES = ("active", "reloading", "refreshing"), ("deactivating",)

log = logging.getLogger(f"{PRODUCT}.systemd")


class Systemd:
    """Tells `instances` of the units of this host.  `bus` is SYSTEM, SESSION or an address (unix:path=...)."""

    def __init__(self, static: Static, instances: Instances, bus: str = BUS) -> None:
        self._static, self._instances, self._bus = static, instances, bus
        self._ends = threading.Event()
        self._socket: socket.socket | None = None
        self._thread = threading.Thread(target=self._run, name="systemd", daemon=True)
        self._complaint = ""
        self._read: dict[str, tuple[tuple[int, int, int], str]] = {}        # by path: which version, and its text

    def start(self) -> None:
        """Runs in a thread of its own, which does not keep the process alive."""
        self._thread.start()

    def close(self) -> None:
        """Ends the thread; what was told stays told."""
        self._ends.set()
        if (sock := self._socket) is not None:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                log.debug("the connection to the bus had ended by itself")
        if self._thread.is_alive():
            self._thread.join(ANSWER_S)

    def _run(self) -> None:
        backoff = Backoff(first_s=0.5, most_s=30.0, life_s=60.0)
        while not self._ends.is_set():
            began = time.monotonic()
            why = "systemd has left the bus"
            try:
                self._follow()
            except (OSError, DBusErrorResponse) as error:
                why = _in_words(error)
            except Exception:
                log.exception("units cannot be followed for an error inside hostmesh")
            if self._ends.is_set():
                return
            if why != self._complaint:
                log.warning("units of systemd cannot be followed (%s): what is known serves on, trying again", why)
                self._complaint = why
            now = time.monotonic()
            self._ends.wait(backoff.died(now - began, now))

    def _follow(self) -> None:
        sock = self._socket = prep_socket(get_bus(self._bus), timeout=ANSWER_S)
        try:
            with DBusConnection(sock) as connection:
                Systemd1(connection).follow(self._look, self._ends)
        finally:
            self._socket = None

    def _look(self, systemd: Systemd1) -> None:
        """Tells all units that serve now."""
        found: list[Instance] = []
        for name, state, path in systemd.services():
            texts = [self._text(file) for file in systemd.files_of(name, path)]
            said = read_unit(text for text in texts if text)
            one = instance_of(name, said, self._static.host_name, self._static.host_address, state in _LEAVES)
            if one is not None:
                found.append(one)
        self._instances.replace(SOURCE, found)
        if self._complaint:
            log.info("units of systemd are followed again")
            self._complaint = ""

    def _text(self, path: str) -> str:
        """The text of a unit file, read again when it has changed; "" where it cannot be read."""
        try:
            this = os.stat(path)
            version = this.st_ino, this.st_mtime_ns, this.st_size
            if path not in self._read or self._read[path][0] != version:
                with Path(path).open("rb") as file:
                    self._read[path] = version, file.read(MOST_BYTES).decode("utf-8", "replace")
        except OSError as error:
            if path not in self._read or self._read[path][0] != (0, 0, 0):
                log.warning("%s cannot be read: %s", path, (error.strerror or str(error)).lower())
            self._read[path] = (0, 0, 0), ""
        return self._read[path][1]


class Systemd1:
    """systemd's own words on one connection.  Everything raises OSError (TimeoutError) or DBusErrorResponse."""

    def __init__(self, connection: DBusConnection) -> None:
        self._connection = connection
        self._files: dict[str, tuple[str, ...]] = {}        # of units, as systemd has loaded them
        self._proxy = Proxy(bus_itself, connection, timeout=ANSWER_S)
        self._heard: deque[Message] = deque(maxlen=MOST_HEARD)
        connection.filter(MatchRule(type="signal"), queue=self._heard)

    def follow(self, look: Callable[[Systemd1], None], ends: threading.Event) -> None:
        """Looks now and after each signal; returns when systemd leaves the bus, or is another one (daemon-reexec)."""
        for rule in (MatchRule(type="signal", sender=SYSTEMD, interface=MANAGER.interface, path=MANAGER.object_path),
                     _of_units(), _of_owner()):
            self._proxy.AddMatch(rule)
        owner = self._proxy.GetNameOwner(SYSTEMD)[0]
        self._call(new_method_call(MANAGER, "Subscribe"))
        look(self)
        looked, wanted = time.monotonic(), float("inf")
        while not ends.is_set():
            now = time.monotonic()
            if not self._heard and now >= min(wanted, looked + RESCAN_S):
                looked, wanted = now, float("inf")
                look(self)
                continue
            try:
                message = self._next(min(wanted, looked + RESCAN_S) - now)
            except TimeoutError:
                continue
            if (left := _new_owner(message)) is not None and left != owner:
                return
            if self._is_news(message):
                wanted = min(wanted, max(time.monotonic() + GATHER_S, looked + LEAST_S))

    def _next(self, most_s: float) -> Message:
        if len(self._heard) == MOST_HEARD:
            self._files.clear()             # some were lost, and one of them may have been a daemon-reload
        return self._heard.popleft() if self._heard else self._connection.receive(timeout=max(0.0, most_s))

    def _is_news(self, message: Message) -> bool:
        fields = message.header.fields
        if message.header.message_type is not MessageType.signal:
            return False
        member = fields.get(HeaderFields.member)
        if member == "Reloading" or member == "UnitNew":
            self._files.clear() if member == "Reloading" else self._files.pop(message.body[0], None)
        return member in ("UnitNew", "UnitRemoved", "JobRemoved", "Reloading", "PropertiesChanged")

    def services(self) -> Iterable[tuple[str, str, str]]:
        """Name, state and object of all services that run, or are about to end."""
        listed = self._call(new_method_call(MANAGER, "ListUnitsByPatterns", "asas", (
            [*_SERVES, *_LEAVES], ["*.service"])))[0]
        for name, _, _, state, _, _, path, *_ in listed:
            yield name, state, path
        for gone in self._files.keys() - {each[0] for each in listed}:
            del self._files[gone]

    def files_of(self, name: str, path: str) -> tuple[str, ...]:
        """The unit's files in their order, as systemd has loaded them; nothing for one that has none any more."""
        if name not in self._files:
            unit = Properties(DBusAddress(path, SYSTEMD, f"{SYSTEMD}.Unit"))
            try:
                fragment, drop_ins = (self._call(unit.get(word))[0][1] for word in ("FragmentPath", "DropInPaths"))
            except DBusErrorResponse:
                return ()               # it has gone since it was listed
            self._files[name] = tuple(file for file in (fragment, *drop_ins) if file)
        return self._files[name]

    def _call(self, message: Message) -> Any:
        """The answer; signals that come in meanwhile wait in `_heard`."""
        return unwrap_msg(self._connection.send_and_get_reply(message, timeout=ANSWER_S))


def _of_units() -> MatchRule:
    rule = MatchRule(type="signal", sender=SYSTEMD, interface="org.freedesktop.DBus.Properties",
                     member="PropertiesChanged", path_namespace="/org/freedesktop/systemd1/unit")
    rule.add_arg_condition(0, f"{SYSTEMD}.Unit")
    return rule


def _of_owner() -> MatchRule:
    rule = MatchRule(type="signal", sender=bus_itself.bus_name, interface=bus_itself.interface,
                     member="NameOwnerChanged", path=bus_itself.object_path)
    rule.add_arg_condition(0, SYSTEMD)
    return rule


def _new_owner(message: Message) -> str | None:
    if message.header.fields.get(HeaderFields.member) == "NameOwnerChanged" and message.body[0] == SYSTEMD:
        return str(message.body[2])
    return None


def _in_words(error: Exception) -> str:
    if isinstance(error, DBusErrorResponse):
        return f"{error.name}: {' '.join(map(str, error.data or ()))}".strip()
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()
