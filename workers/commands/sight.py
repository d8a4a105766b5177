"""What the commands about endpoints look at: this host's own eyes first, the mesh in Redis beside them.

Owns the question which of the two can be seen, and how tables, spans and numbers look.  Floor 4.
"""
from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from mesh.errors import ConfigError
from mesh.model import Static
from workers.about import About, read_about
from workers.agent.mesh_seen import Away, Mesh, server_of
from workers.agent.table_seen import HostSeen, read_host
from workers.commands.paper import Paper, print_json
from workers.machine import read_static
from workers.memory import Refused

COLOURS = {"up": "green", "down": "red", "ejected": "red", "drain": "yellow", "disabled": "yellow", "waits": "cyan",
           "mixed": "yellow"}
Cell = str | tuple[str, str]            # text, or text and the colour of it


@dataclass(frozen=True, slots=True)
class Sight:
    """`seen` is what this host knows (None: `blind` says why), `mesh` is the Redis (None: it has none)."""

    static: Static
    about: About
    seen: HostSeen | None
    blind: str
    mesh: Mesh | None

    @property
    def host(self) -> str:
        return self.static.host_name or self.about.host or "this host"


def look(static: Static) -> Sight:
    """What can be seen from here."""
    about = read_about(static.runtime_directory)
    server = server_of(static, about)
    seen, blind = None, ""
    try:
        seen = read_host(static)
    except Refused as refused:
        blind = str(refused)
    return Sight(static, about, seen, blind, Mesh(server, static.redis.prefix) if server is not None else None)


def told(config: str | None, as_json: bool, command: Callable[[Sight, Paper], int]) -> int:
    """Runs a command with what there is to see; 1 when there is nothing, or Redis is away and the command needs it."""
    paper = Paper()
    try:
        sight = look(read_static(config)[0])
    except ConfigError as refused:
        if as_json:
            print_json({"good": False, "why": [str(problem) for problem in refused.problems]})
        else:
            paper.problems(refused.problems)
        return 1
    return shown(sight, paper, as_json, command)


def shown(sight: Sight, paper: Paper, as_json: bool, command: Callable[[Sight, Paper], int]) -> int:
    """Runs a command with this sight, and lets go of Redis."""
    try:
        return command(sight, paper)
    except Away as away:
        return failed(paper, as_json, str(away))
    finally:
        if sight.mesh is not None:
            sight.mesh.close()


def failed(paper: Paper, as_json: bool, why: str) -> int:
    """One line (or one object) that says why a command did not do what it was asked; 1."""
    if as_json:
        print_json({"good": False, "why": [why]})
    else:
        paper.line(paper.painted(why, fg="red"))
    return 1


def table(paper: Paper, heads: Sequence[str], rows: Sequence[Sequence[Cell]], right: Sequence[int] = (),
          below: Sequence[Sequence[str]] = ()) -> None:
    """Rows under heads, as wide as they must be; `right` are the columns of numbers, `below` lines under each row."""
    plain = [[cell if isinstance(cell, str) else cell[0] for cell in row] for row in (heads, *rows)]
    widths = [max(len(row[index]) for row in plain) for index in range(len(heads))]

    def line(row: Sequence[Cell]) -> str:
        parts = []
        for index, cell in enumerate(row):
            text, colour = (cell, "") if isinstance(cell, str) else cell
            space = " " * (widths[index] - len(text))
            text = paper.painted(text, fg=colour) if colour else text
            parts.append(space + text if index in right else text + space)
        return "  " + "  ".join(parts).rstrip()

    paper.title(line(heads))
    for index, row in enumerate(rows):
        paper.line(line(row))
        for each in below[index] if below else ():
            paper.line(f"  {' ' * widths[0]}  {each}")


def ago(unix_ms: float, now: float | None = None) -> str:
    """How long ago, for people: 42 s, 3 min, 5 h, 4 d; "" for never."""
    if unix_ms <= 0:
        return ""
    seconds = max(0.0, (time.time() if now is None else now) - unix_ms / 1000)
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"


def unix_ms(spelled: Any) -> float:
    """A time as it stands in Redis (2026-11-25T01:40:00Z) as unix ms; 0 where it is none."""
    try:
        return datetime.fromisoformat(str(spelled)).timestamp() * 1000
    except ValueError:
        return 0.0


def spelled(at_ms: float) -> str:
    """The way back; "" for never."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if at_ms else ""


def latency(us: float) -> str:
    """A latency for people; "" where nothing is known."""
    if us <= 0:
        return ""
    return f"{us / 1000:.1f} ms" if us < 100_000 else f"{us / 1e6:.2f} s" if us >= 1e6 else f"{us / 1000:.0f} ms"


def count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
