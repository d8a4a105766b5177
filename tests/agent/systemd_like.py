"""A private bus with the real dbus-daemon, and a peer on it that speaks systemd's protocol as far as it is asked for.

Its answers have the signatures and the order of org.freedesktop.systemd1(5); what a real systemd tells beside them (the
other properties) is left out.
"""
from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from agent_running import until
from jeepney import DBusAddress, HeaderFields, MessageType, new_error, new_method_return, new_signal
from jeepney import message_bus as bus_itself
from jeepney.io.blocking import DBusConnection, Proxy, open_dbus_connection

NAME, ROOT = "org.freedesktop.systemd1", "/org/freedesktop/systemd1"
MANAGER = DBusAddress(ROOT, interface=f"{NAME}.Manager")


class Bus:
    """A dbus-daemon on a socket of its own."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "bus"
        self.address = f"unix:path={self.path}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.path.unlink(missing_ok=True)
        self._process = subprocess.Popen(["dbus-daemon", "--session", "--nofork", "--nopidfile", "--nosyslog",
                                          f"--address={self.address}"], stderr=subprocess.DEVNULL)
        until(self._answers, "a bus")

    def _answers(self) -> bool:
        try:
            open_dbus_connection(self.address).close()
        except OSError:
            return False
        return True

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class SystemdLike:
    """Units by name: state, and the files that systemd has loaded."""

    def __init__(self, bus: Bus, directory: Path) -> None:
        self._bus, self.directory = bus, directory
        self.units: dict[str, str] = {}
        self.loaded: dict[str, list[str]] = {}
        self.asked: list[str] = []
        self.subscribed = False
        self._lock = threading.Lock()
        self._connection: DBusConnection | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self.subscribed = False
        self._connection = open_dbus_connection(self._bus.address)
        Proxy(bus_itself, self._connection).RequestName(NAME)
        self._thread = threading.Thread(target=self._serve, args=(self._connection,))
        self._thread.start()

    def stop(self) -> None:
        """It leaves the bus."""
        if self._connection is not None:
            self._connection.sock.shutdown(2)
            assert self._thread is not None
            self._thread.join()
            self._connection.close()
            self._connection = None

    def _serve(self, connection: DBusConnection) -> None:
        while True:
            try:
                message = connection.receive()
            except OSError:
                return
            if message.header.message_type is MessageType.method_call:
                with self._lock:
                    connection.send(self._answer(message))

    def _answer(self, message: Any) -> Any:
        fields = message.header.fields
        member, path = fields[HeaderFields.member], fields[HeaderFields.path]
        self.asked.append(member)
        if member == "Subscribe":
            self.subscribed = True
            return new_method_return(message)
        if member == "ListUnitsByPatterns":
            states, patterns = message.body
            return new_method_return(message, "a(ssssssouso)", ([
                (name, name, "loaded", state, "running", "", self.path_of(name), 0, "", "/")
                for name, state in self.units.items()
                if state in states and any(fnmatchcase(name, each) for each in patterns)],))
        if member == "Get":
            name = next((name for name in self.loaded if self.path_of(name) == path), None)
            if name is None:
                return new_error(message, "org.freedesktop.DBus.Error.UnknownObject", "s", (f"Unknown object {path}.",))
            fragment, *drop_ins = self.loaded[name]
            value = ("s", fragment) if message.body[1] == "FragmentPath" else ("as", drop_ins)
            return new_method_return(message, "v", (value,))
        return new_error(message, "org.freedesktop.DBus.Error.UnknownMethod", "s", (member,))

    def _tell(self, emitter: DBusAddress, member: str, signature: str, *body: Any) -> None:
        if self._connection is not None and self.subscribed:
            with self._lock:
                self._connection.send(new_signal(emitter, member, signature, body))

    @staticmethod
    def path_of(name: str) -> str:
        return f"{ROOT}/unit/" + "".join(each if each.isalnum() else f"_{ord(each):02x}" for each in name)

    # What happens on the machine

    def write(self, name: str, text: str) -> Path:
        """A unit file on the disk, of which systemd knows nothing yet."""
        file = self.directory / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        return file

    def reload(self) -> None:
        """systemctl daemon-reload."""
        self._tell(MANAGER, "Reloading", "b", True)
        self._tell(MANAGER, "Reloading", "b", False)

    def becomes(self, name: str, state: str, *files: Path) -> None:
        """A unit changes its state; `files` are those it is loaded from, where it is new."""
        is_new = name not in self.units
        self.units[name] = state
        if files or name not in self.loaded:
            self.loaded[name] = [str(file) for file in files]
        if is_new:
            self._tell(MANAGER, "UnitNew", "so", name, self.path_of(name))
        unit = DBusAddress(self.path_of(name), interface="org.freedesktop.DBus.Properties")
        self._tell(unit, "PropertiesChanged", "sa{sv}as", f"{NAME}.Unit", {"ActiveState": ("s", state)}, [])

    def goes(self, name: str) -> None:
        """A unit is unloaded."""
        del self.units[name]
        self.loaded.pop(name, None)
        self._tell(MANAGER, "UnitRemoved", "so", name, self.path_of(name))


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[Bus]:
    if not shutil.which("dbus-daemon"):
        pytest.skip("no dbus-daemon here")
    made = Bus(tmp_path)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def peer(bus: Bus, tmp_path: Path) -> Iterator[SystemdLike]:
    (tmp_path / "units").mkdir()
    made = SystemdLike(bus, tmp_path / "units")
    made.start()
    yield made
    made.stop()
