"""hostmesh check: everything that is wrong with the files, before a reload or a colleague finds it.

Owns the order of the questions and the last line.  The answers come from the code that a start and a reload go through:
workers/machine.py for the static file, workers/agent/sources.py for dynamic ones, mesh/plan for what a worker makes of
them.  Floor 4.
"""
from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace

from mesh.errors import ConfigError, Problem
from mesh.model import Dynamic, Static
from mesh.plan import Plan, compile_plan
from mesh.providers.catalog import Catalog, Settled
from mesh.providers.kv import PROVIDER, is_source, source_of
from mesh.providers.published import as_dict
from mesh.providers.quiet import Quiet
from workers.agent.files import Files
from workers.agent.sources import read_once
from workers.commands.paper import Paper, print_json
from workers.machine import read_static


@dataclass(frozen=True, slots=True)
class Checked:
    """What was read, and what is wrong with it; `settled` is None where the static file was refused."""

    static_file: str
    files: tuple[str, ...]
    problems: tuple[Problem, ...]
    settled: Settled | None = None
    unseen: str = ""            # the Redis provider, where it was not looked at

    @property
    def errors(self) -> int:
        return sum(problem.severity == "error" for problem in self.problems)

    @property
    def counts(self) -> dict[str, int]:
        dynamic = self.settled.dynamic if self.settled else None
        return {name: len(getattr(dynamic, name)) if dynamic else 0
                for name in ("routers", "services", "middlewares", "transports")}


def check(config: str | None, paths: Iterable[str], as_json: bool, with_redis: bool = False) -> int:
    """Prints every problem and a last line; 0 when nothing is in error, 1 otherwise."""
    checked = look(config, tuple(paths), with_redis)
    if as_json:
        print_json({"good": not checked.errors, "static": checked.static_file, "files": checked.files,
                    "notLookedAt": [checked.unseen] if checked.unseen else [],
                    "serves": checked.counts, "problems": [as_dict(problem) for problem in checked.problems]})
    else:
        paper = Paper()
        paper.problems(checked.problems)
        _last_line(paper, checked)
    return 1 if checked.errors else 0


def look(config: str | None, paths: tuple[str, ...] = (), with_redis: bool = False) -> Checked:
    """Reads the static file and the dynamic ones (those at `paths`, else those that the static file names).

    What the Redis provider says is read `with_redis` alone: a check in CI has no business there.  Without it, what
    refers to it cannot be judged, and is no error.
    """
    try:
        static, warnings = read_static(config)
    except ConfigError as refused:
        return Checked(os.path.abspath(config or ""), (), refused.problems)
    return look_at(static, tuple(warnings), paths, with_redis)


def look_at(static: Static, warnings: tuple[Problem, ...] = (), paths: tuple[str, ...] = (),
            with_redis: bool = False) -> Checked:
    """The same of a static file that is read already, with what was wrong with it."""
    settled, files = read_these(static, paths) if paths else read_once(static, with_redis)
    left_out = compiled(settled.dynamic, static).problems
    problems = (*warnings, *settled.problems, *left_out)
    provider = static.redis_provider
    if provider is None or (with_redis and not paths):
        return Checked(static.file, files, problems, settled)
    return Checked(static.file, files, tuple(map(_unjudged, problems)), settled, source_of(provider.root_key))


def _unjudged(problem: Problem) -> Problem:
    """A reference into the store is a warning while nobody looks there."""
    if problem.code != "reference" or f"@{PROVIDER}\" is not defined" not in problem.message:
        return problem
    message = problem.message.replace("is not defined", "is not looked for")
    return replace(problem, message=message, severity="warning", hint="hostmesh check --redis looks there")


def compiled(dynamic: Dynamic, static: Static) -> Plan:
    """The plan that a worker would serve from."""
    steps = compile_plan(dynamic, static.entry_points)
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return done.value


def read_these(static: Static, paths: Iterable[str]) -> tuple[Settled, tuple[str, ...]]:
    """What files or directories at these paths say together, and which files that are."""
    absolute = [os.path.abspath(path) for path in paths]
    sources = [Files(path, "", Quiet()) if os.path.isdir(path) else Files("", path, Quiet()) for path in absolute]
    catalog = Catalog(sources[0].read_named)
    for files in sources:
        for path, said in files.look(files.find(), 0.0, anyway=True):
            catalog.said(path, said)
    return catalog.settle(static.entry_points), catalog.files


def _last_line(paper: Paper, checked: Checked) -> None:
    warnings = len(checked.problems) - checked.errors
    wrong = ", ".join(_count(number, what) for number, what in ((checked.errors, "error"), (warnings, "warning"))
                      if number)
    verdict = paper.painted("refused" if checked.errors else "good", fg="red" if checked.errors else "green", bold=True)
    if checked.settled is None:
        paper.line(f"{verdict}: {wrong} in the static file; nothing would be started, a reload would change nothing")
        return
    routers, services = (_count(checked.counts[name], name[:-1]) for name in ("routers", "services"))
    files = _count(sum(not is_source(file) for file in checked.files), "file")
    store = next((f" and {file}" for file in checked.files if is_source(file)), "")
    paper.line(f"{verdict}: {f'{wrong}; ' if wrong else ''}{files}{store}; {routers} and {services} would serve")
    if checked.unseen:
        paper.line(f"{checked.unseen} was not looked at (hostmesh check --redis looks there)")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
