"""Everything that the files said: the state between two readings, with the last good version of every object.

Owns what is remembered.  `said` takes the news of one file, `settle` makes of all of them one model, the problems and a
status for every object, and remembers what served.  The same words and the same memory give the same outcome, in
whatever order the files were said.  Nothing here reads a clock or, but through `read`, a disk.  Floor 2.
"""
from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from mesh.errors import Place, Problem
from mesh.model import Dynamic, Router
from mesh.model_json import middleware, router, row, service, transport
from mesh.providers.file import FileSaid, Model, Said, read_file
from mesh.providers.settling import Settling
from mesh.providers.shape import Read
from mesh.rules.language import RuleError, parse

_FORM = 1                       # of to_json; another number is another version's
_READERS: dict[str, Callable[[list[Any]], Model]] = {
    "routers": router, "services": service, "middlewares": middleware, "transports": transport}


@dataclass(frozen=True, slots=True)
class Settled:
    """What serves, what is wrong, and how every object is: `status` and `why` by "section/qualified name".

    Sections are routers, services, middlewares, transports, and tcp.routers, tls.options and such for what is not
    built: `routers/web@file`, `services/orders.shop@mesh`.  Status is enabled, warning or disabled.
    """

    dynamic: Dynamic
    problems: tuple[Problem, ...] = ()
    status: Mapping[str, str] = field(default_factory=dict)
    why: Mapping[str, tuple[Problem, ...]] = field(default_factory=dict)

    @property
    def is_good(self) -> bool:
        """True when nothing that was said is in error."""
        return all(problem.severity != "error" for problem in self.problems)


class Catalog:
    """What every file said last; `read` gives the bytes of files that they name (rootCAs), raising OSError."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._files: dict[str, FileSaid] = {}
        self._settling: Settling | None = None
        # per file what to_json made of it; taken away where something else is good now, the rest never changes
        self._written: dict[str, tuple[FileSaid, orjson.Fragment]] = {}

    @property
    def files(self) -> tuple[str, ...]:
        """The files that are remembered, so that what went away while nobody looked can be told as gone."""
        return tuple(sorted(self._files))

    def said(self, file: str, data: bytes | str | None) -> None:
        """The news of one file: its bytes, None when it is gone, or why it cannot be read."""
        if data is None:
            self._files.pop(file, None)
            return
        if isinstance(data, str):
            unreadable = Problem(Place(file), "", f"cannot be read: {data}", code="unreadable")
            new = FileSaid(problems=[unreadable], holds=[""])
        else:
            new = read_file(data, file, self._read)
        if self.take(file, new) and all(problem.severity != "error" for problem in new.problems):
            new.problems.append(Problem(
                Place(file), "", "a key has nothing behind it; what the file does not say any more still serves",
                "warning", "empty", "half-written?"))

    def take(self, file: str, new: FileSaid) -> bool:
        """The news of one source, already read; True when something that it does not say any more is held."""
        before = {said.key: said for said in self._files[file].objects} if file in self._files else {}
        for index, said in enumerate(new.objects):
            if (old := before.pop(said.key, None)) is not None:
                said.good = old.good
                if said == old:
                    new.objects[index] = old        # the same object: nothing has to be settled for it
        held = [replace(old, held=True) for old in before.values()
                if any(old.path.lower().startswith(hold.lower()) for hold in new.holds)]
        new.objects += held
        self._files[file] = new
        return bool(held)

    def settle(self, entry_points: Collection[str]) -> Settled:
        """One model of all that was said; what serves in it is the last good version from now on."""
        settling = self._settling
        if settling is None or settling.entry_points != frozenset(entry_points):
            settling = Settling(entry_points)
        self._settling = None           # an error in it would leave it half settled
        settling.choose(self._files)
        paths = sorted(self._files)
        problems: list[Problem] = []
        for path in paths:
            each = self._files[path]
            if not each.problems:
                continue
            serves = any(said.held and settling.is_served(said.key) for said in each.objects)
            if not each.objects:
                serves = any(said.good is not None for said in self._below(path, paths))
            for problem in each.problems:
                if problem.severity == "error" and serves:
                    problem = replace(problem, message=f"{problem.message}; what served from here before still serves")
                problems.append(problem)
        for path in settling.remember():
            self._written.pop(path, None)
        dynamic, status, why = settling.collect(paths)
        for about in why.values():
            problems += about
        self._settling = settling
        # An object of the short form is two of the model; what is wrong with it is told once.
        told_once = sorted(dict.fromkeys(problems), key=lambda p: (p.place.file, p.place.line, p.place.column,
                                                                   p.place.key))
        return Settled(dynamic, tuple(told_once), status, why)

    def _below(self, directory: str, paths: list[str]) -> Iterator[Said]:
        """What the files below a path say: a directory that cannot be read has no objects of its own."""
        for index in range(bisect_left(paths, f"{directory}/"), len(paths)):
            if not paths[index].startswith(f"{directory}/"):
                return
            yield from self._files[paths[index]].objects

    def to_json(self) -> bytes:
        """All that is remembered, for whoever starts next."""
        self._written = {file: self._write(file, each) for file, each in self._files.items()}
        return orjson.dumps({"form": _FORM, "files": {file: json for file, (_, json) in self._written.items()}})

    def _write(self, file: str, each: FileSaid) -> tuple[FileSaid, orjson.Fragment]:
        if (before := self._written.get(file)) is not None and before[0] is each:
            return before
        return each, orjson.Fragment(orjson.dumps({
            "problems": [_problem_row(problem) for problem in each.problems], "holds": each.holds,
            "objects": [_said_row(said) for said in each.objects]}))

    @classmethod
    def from_json(cls, data: bytes, read: Read) -> Catalog:
        """A catalog that remembers what `to_json` wrote; ValueError when the bytes are anything else."""
        catalog = cls(read)
        try:
            said = orjson.loads(data)
            if said["form"] != _FORM:
                raise ValueError("this catalog is of another version")
            for file, each in said["files"].items():
                catalog._files[file] = FileSaid([_said_from(one) for one in each["objects"]],
                                                [_problem_from(one) for one in each["problems"]], each["holds"])
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"this is not a catalog: {error!r}") from error
        return catalog


def _place_row(place: Place) -> tuple[str, int, int, str]:
    return place.file, place.line, place.column, place.key


def _problem_row(problem: Problem) -> list[Any]:
    return [_place_row(problem.place), problem.object, problem.message, problem.severity, problem.code, problem.hint]


def _problem_from(said: list[Any]) -> Problem:
    return Problem(Place(*said[0]), *said[1:])


def _said_row(said: Said) -> list[Any]:
    same = said.good is not None and (said.good is said.now or said.good == said.now)
    return [said.section, said.name, said.path, _place_row(said.place), None if said.now is None else row(said.now),
            same or (None if said.good is None else row(said.good)), said.refused, said.held,
            [_problem_row(problem) for problem in said.problems],
            {key: _place_row(place) for key, place in said.places.items()}]


def _said_from(said: list[Any]) -> Said:
    section, name, path, place, now, good, refused, held, problems, places = said
    model = _model_from(section, now)
    return Said(section, name, path, Place(*place), model, model if good is True else _model_from(section, good),
                refused, held, tuple(_problem_from(problem) for problem in problems),
                {key: Place(*at) for key, at in places.items()})


def _model_from(section: str, said: list[Any] | None) -> Model | None:
    if not said:
        return None
    model = _READERS[section](said)
    if isinstance(model, Router):
        try:
            parse(model.rule)                   # written by another version, perhaps, whose rules were not ours
        except RuleError:
            return None
    return model
