"""overrides.json in the state directory: what operators have said of endpoints, for a host without a Redis.

Owns the file: {service: {url: "drain by ann: disk is full"}}, readable and writable by hand.  It is replaced whole, so
no reader sees half of it, and changed under a lock (flock of the directory), so that the agent and the command line do
not lose each other's words.  With a Redis the agent keeps it as the memory of what Redis said last.  Floor 3.
"""
from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from mesh.health.override import Override, read_override
from mesh.names import for_people

FILE = "overrides.json"
MOST_BYTES = 16 << 20

Overrides = dict[tuple[str, str], Override]         # by service (its name for people) and url
Signature = tuple[int, int, int] | None             # of the file; None: there is none


def path_of(state_directory: str) -> Path:
    """Where the file is."""
    return Path(state_directory) / FILE


def signature(path: Path) -> Signature:
    """What tells whether the file is another one than before; OSError when it cannot be looked at."""
    try:
        seen = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return seen.st_ino, seen.st_mtime_ns, seen.st_size


def read(path: Path) -> tuple[Overrides, dict[tuple[str, str], str]]:
    """All words, and what is wrong with others (url "": with a service); OSError or ValueError for the file as a whole.

    No file is no words.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return {}, {}
    if len(data) > MOST_BYTES:
        raise ValueError(f"it has more than {MOST_BYTES} bytes")
    said = orjson.loads(data) if data.strip() else {}
    if not isinstance(said, dict):
        raise ValueError("a map of services is wanted: {service: {url: word}}")
    found: Overrides = {}
    wrong: dict[tuple[str, str], str] = {}
    for name, words in said.items():
        service = for_people(name)
        if not isinstance(words, dict):
            wrong[service, ""] = "a map of urls is wanted"
            continue
        for url, word in words.items():
            try:
                found[service, url] = _read_one(word)
            except ValueError as error:
                wrong[service, url] = str(error)
    return {key: each for key, each in found.items() if each.word}, wrong


def _read_one(word: Any) -> Override:
    if not isinstance(word, str):
        raise ValueError("a word is wanted")
    return read_override(word)


def put(state_directory: str, service: str, url: str, override: Override) -> None:
    """Changes one word in the file; "" takes it away.  OSError, or ValueError where the file cannot be understood."""
    with _locked(state_directory) as path:
        words, _ = read(path)
        words.pop((service, url), None)
        if override.word:
            words[service, url] = override
        _write(path, words)


def put_all(state_directory: str, words: Mapping[tuple[str, str], Override]) -> None:
    """Replaces the whole file, unless it says the same.  OSError."""
    with _locked(state_directory) as path:
        with contextlib.suppress(ValueError):
            if read(path) == (dict(words), {}):
                return
        _write(path, words)


@contextlib.contextmanager
def _locked(state_directory: str) -> Iterator[Path]:
    Path(state_directory).mkdir(parents=True, exist_ok=True)
    directory = os.open(state_directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield path_of(state_directory)
    finally:
        os.close(directory)


def _write(path: Path, words: Mapping[tuple[str, str], Override]) -> None:
    said: dict[str, dict[str, str]] = {}
    for (service, url), override in words.items():
        said.setdefault(service, {})[url] = str(override)
    fresh = path.with_name(f".{path.name}.new")
    with fresh.open("wb") as file:
        file.write(orjson.dumps(said, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE))
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
