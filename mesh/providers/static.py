"""The static file read into the model, or refused with every problem it has.

Owns what the machine's own facts have to do with it (`Here`) and what goes without saying.  A start with a static file
that is half understood would open the wrong door, so any error refuses it as a whole; what is only not built yet is a
warning.  Floor 2.
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mesh.errors import ConfigError, Place, Problem
from mesh.model import AccessLog, EntryPoint, Static
from mesh.providers.shape import WRONG, Built, Read, Reading
from mesh.providers.shapes_redis import provider_of, redis_of
from mesh.providers.shapes_static import LEVELS, STATIC
from mesh.providers.source import read_tree

DEFAULT_FILE = "/etc/hostmesh/hostmesh.yml"


@dataclass(frozen=True, slots=True)
class Here:
    """What the machine says about itself, for all that the file leaves out."""

    host_name: str = "localhost"
    host_address: str = "127.0.0.1"
    cores: int = 1
    runtime_directory: str = "/run/hostmesh"
    state_directory: str = "/var/lib/hostmesh"


def runtime_directory(environ: Mapping[str, str], uid: int) -> str:
    """Where shared memory goes when the file does not say: systemd's word, root's place, the user's place."""
    if said := environ.get("RUNTIME_DIRECTORY", "").split(":")[0]:
        return said
    if uid == 0:
        return "/run/hostmesh"
    if own := environ.get("XDG_RUNTIME_DIR"):
        return f"{own}/hostmesh"
    return f"/tmp/hostmesh-{uid}"


def no_disk(path: str) -> bytes:
    raise OSError(f"{path} is not read here")


def load_static(data: bytes | None, file: str = DEFAULT_FILE, here: Here | None = None,
                read: Read = no_disk) -> tuple[Static, list[Problem]]:
    """The static configuration and its warnings; None as data (no file) gives the defaults.

    So does a file of comments, as a package installs it.  One without a byte in it is refused: it is what `>` or a full
    disk leaves of a file, and by the defaults other doors would open.  `file` must be absolute (relative paths in the
    file start from it), `read` gives the bytes of a password's file.  Raises ConfigError with every problem found.
    """
    here = here or Here()
    if data is not None and not data.strip():
        raise ConfigError([Problem(Place(file), "", "the file is empty", code="empty",
                                   hint="delete it, or write `{}`, to run on the defaults")])
    tree = None if data is None else read_tree(data, file)
    if tree is None:
        return _static({}, file, here), []
    reading = Reading(file, "", read)
    said = STATIC.read(tree, "", reading)
    # A later REFUSED inside an entrypoint protects or steers: to start without it would serve what must not be served.
    for at, place, built in reading.later:
        words = f"{at} is not supported yet"
        if built is Built.REFUSED:
            reading.problems.append(Problem(place, "", f"{words}, and to go on without it would not be safe", "error",
                                            "unsupported", "remove it to start without it"))
        else:
            reading.problems.append(Problem(place, "", f"{words} and has no effect", "warning", "unsupported"))
    if said is not WRONG:
        _check(said, reading)
        said = _with_redis(said, reading)
    problems = sorted(reading.problems, key=lambda problem: (problem.place.line, problem.place.column))
    if reading.is_broken or said is WRONG:
        raise ConfigError(problems)
    return _static(said, file, here), problems


def _check(said: dict[str, Any], reading: Reading) -> None:
    """What no single field can see: two entrypoints at one address, two sources of files."""
    taken: dict[tuple[str, int], str] = {}
    for name, values in said.get("entry_points", {}).items():
        host, port, protocol = values["address"]
        place = reading.places[f"entryPoints.{name}.address"]
        if not name or not name.replace("-", "").replace("_", "").replace(".", "").isalnum() or not name.isascii():
            reading.wrong(place, f'entryPoints: "{name}" is not a name; wanted letters, digits, - and _')
        if protocol == "udp":
            reading.wrong(place, f"entryPoints.{name}.address: udp is not supported yet", "unsupported")
        if port and (host, port) in taken:
            reading.wrong(place, f"entryPoints.{name}.address is the address of {taken[host, port]} too", "duplicate")
        taken[host, port] = name
    file = said.get("providers", {}).get("file", {})
    if "file_directory" in file and "file_filename" in file:
        reading.wrong(reading.places["providers.file.filename"],
                      "providers.file: wanted directory or filename, found both")
    host, port, protocol = said.get("api", {}).get("address", ("", 0, "tcp"))
    if protocol == "udp":
        reading.wrong(reading.places["api.address"], "api.address: the API speaks tcp")
    if port and (host, port) in taken:
        reading.wrong(reading.places["api.address"],
                      f"api.address is the address of the entrypoint {taken[host, port]} too", "duplicate")


def _with_redis(said: dict[str, Any], reading: Reading) -> dict[str, Any]:
    """The same with the models of what may name a Redis in the place of its words."""
    made = dict(said)
    if "redis" in said:
        made["redis"] = redis_of(said["redis"], reading)
    if "redis" in (providers := said.get("providers", {})):
        made["redis_provider"] = provider_of(providers["redis"], reading)
    if "systemd" in providers:
        made["systemd_provider"] = True
    return made


def _static(said: dict[str, Any], file: str, here: Here) -> Static:
    said = dict(said)
    entry_points = {}
    for name, values in said.pop("entry_points", {"web": {"address": ("127.0.0.1", 80, "tcp")}}).items():
        host, port, _ = values["address"]
        others = {key: value for key, value in values.items() if key not in ("address", "underscore")}
        entry_points[name] = EntryPoint(name, host, port, **others)
    providers = said.pop("providers", {"file": {}})
    source = dict(providers["file"]) if "file" in providers else None
    if source is not None and not source.keys() & {"file_directory", "file_filename"}:
        source["file_directory"] = Reading(file, "", no_disk).resolve("conf.d")
    access_log = said.pop("access_log", None)
    host, port, _ = said.pop("api", {}).get("address", ("127.0.0.1", 9180, "tcp"))
    said["log_level"] = LEVELS[said.get("log_level", "INFO")]
    for always_there in ("ping", "metrics"):
        said.pop(always_there, None)
    values = {"host_name": here.host_name, "host_address": here.host_address, "workers": here.cores,
              "state_directory": here.state_directory, "runtime_directory": here.runtime_directory, **said,
              **(source or {})}
    return Static(file=file, entry_points=entry_points,
                  api_address=address(host, port) if host else "",
                  access_log=None if access_log is None else AccessLog(**access_log), **values)


def address(host: str, port: int) -> str:
    """host:port, with the brackets that an IPv6 address needs."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def unreadable_static(file: str, why: str) -> ConfigError:
    """The error for a static file that was named and cannot be read."""
    return ConfigError([Problem(Place(file), "", f"cannot be read: {why}", code="unreadable")])
