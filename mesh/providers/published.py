"""What the agent tells the other processes about its sources: the value of the sources board.

Owns the form of that value.  The agent writes it, its successor goes on from it, `hostmesh status` and the API show it.
The first line is JSON: problems, the status of every object, the state of every file.  What follows it, the instances
that came by themselves and the catalog, each in JSON of its own, only an agent decodes: it is far larger, and who asks
for the status need not wait for it.  Floor 2.
"""
from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from mesh.errors import Place, Problem
from mesh.providers.catalog import Settled

_FORM = 2
OK, ERROR, MISSING = "ok", "error", "missing"


@dataclass(frozen=True, slots=True)
class Published:
    """`status` and `why` are those of Settled; `files` are OK, ERROR or MISSING by path.

    `reloaded_at` is when the present plan was published (unix time in seconds, 0: never), `static_digest` which version
    of the static file the master was last told of ("": none that the agent knows).
    """

    catalog: bytes = b""
    problems: tuple[Problem, ...] = ()
    status: Mapping[str, str] = field(default_factory=dict)
    why: Mapping[str, tuple[Problem, ...]] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    reloaded_at: float = 0.0
    static_digest: str = ""
    instances: bytes = b""          # in one line

    def to_json(self) -> bytes:
        """The value for the board; the same words give the same bytes."""
        number = {problem: index for index, problem in enumerate(self.problems)}
        also = list(dict.fromkeys(problem for about in self.why.values() for problem in about if problem not in number))
        number |= {problem: len(self.problems) + index for index, problem in enumerate(also)}
        return b"\n".join((orjson.dumps({
            "form": _FORM, "problems": [_row(problem) for problem in self.problems],
            "also": [_row(problem) for problem in also],
            "status": dict(self.status), "files": dict(self.files), "reloaded_at": self.reloaded_at,
            "why": {key: [number[problem] for problem in about] for key, about in self.why.items()},
            "static_digest": self.static_digest}), self.instances, self.catalog))

    @classmethod
    def from_json(cls, data: bytes) -> Published:
        """What `to_json` wrote, nothing for b""; ValueError when the bytes are anything else."""
        if not data:
            return cls()
        head, _, others = data.partition(b"\n")
        instances, _, catalog = others.partition(b"\n")
        try:
            said = orjson.loads(head)
            if said["form"] != _FORM:
                raise ValueError("the sources board is of another version")
            problems = tuple(_problem(each) for each in said["problems"])
            numbered = (*problems, *(_problem(each) for each in said["also"]))
            why = {key: tuple(numbered[index] for index in about) for key, about in said["why"].items()}
            return cls(catalog, problems, said["status"], why, said["files"], float(said["reloaded_at"]),
                       str(said["static_digest"]), instances)
        except (LookupError, TypeError, AttributeError) as error:
            raise ValueError(f"this is no sources board: {error!r}") from error


def states(files: Collection[str], problems: Collection[Problem], missing: Collection[str]) -> dict[str, str]:
    """How every file is: MISSING where it is gone, ERROR where something in it is wrong, else OK."""
    wrong = {problem.place.file for problem in problems if problem.severity == "error"}
    return {file: MISSING if file in missing else ERROR if file in wrong else OK for file in sorted(files)}


def of(settled: Settled, catalog: bytes, files: Mapping[str, str], others: tuple[Problem, ...] = (),
       reloaded_at: float = 0.0, static_digest: str = "", instances: bytes = b"") -> Published:
    """What is to be told after a look; `others` are problems that are no dynamic file's."""
    return Published(catalog, (*others, *settled.problems), settled.status, settled.why, files, reloaded_at,
                     static_digest, instances)


def as_dict(problem: Problem) -> dict[str, Any]:
    """A problem for JSON that machines read; `text` is the whole of it in one line."""
    place = problem.place
    return {"severity": problem.severity, "code": problem.code, "file": place.file, "line": place.line,
            "column": place.column, "object": problem.object, "message": problem.message, "hint": problem.hint,
            "text": str(problem)}


def _row(problem: Problem) -> list[Any]:
    place = problem.place
    return [place.file, place.line, place.column, problem.object, problem.message, problem.severity, problem.code,
            problem.hint]


def _problem(said: list[Any]) -> Problem:
    file, line, column, *others = said
    return Problem(Place(file, line, column), *others)
