"""hostmesh reload: take up the static file now, and tell whether it was taken.

Owns the order: the file is validated here first, as systemd's ExecReload wants it, so that what is wrong is told to the
person who asks; then the master gets its HUP, and what it did with it is read from its counters.  Dynamic files need no
reload.  Floor 4.
"""
from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable

from mesh.errors import ConfigError, Problem
from mesh.names import PRODUCT
from mesh.providers.published import as_dict
from mesh.shared.layout import FACT_STATIC_REFUSED, FACT_STATIC_RELOADS
from workers.commands.paper import Paper, print_json
from workers.machine import read_static
from workers.memory import Refused, attach, master_of

PATIENCE_S = 10.0               # for the master's answer; it looks at its signals at least each second
LOOK_S = 0.02


def reload(config: str | None, as_json: bool) -> int:
    """Prints what came of it; 0 when the file was taken up, 1 when it was refused or nobody runs."""
    paper = Paper()
    try:
        static, warnings = read_static(config)
    except ConfigError as refused:
        return _told(paper, as_json, False, "refused: everything serves on as before", refused.problems)
    try:
        good, message = ask(static.runtime_directory)
    except Refused as refused:
        return _told(paper, as_json, False, str(refused))
    return _told(paper, as_json, good, message, warnings)


def ask(runtime_directory: str) -> tuple[bool, str]:
    """Sends HUP to the master and waits for its answer: whether it took the file up, and one line about it."""
    pid = master_of(runtime_directory)
    if not pid:
        return False, f"no {PRODUCT} runs on {runtime_directory} (start it with: {PRODUCT} run)"
    memory = attach(runtime_directory)
    taken, refused = memory.facts.load(FACT_STATIC_RELOADS), memory.facts.load(FACT_STATIC_REFUSED)
    try:
        os.kill(pid, signal.SIGHUP)
    except (ProcessLookupError, PermissionError) as error:
        return False, f"the master (pid {pid}) cannot be asked: {(error.strerror or '').lower()}"
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if memory.facts.load(FACT_STATIC_REFUSED) > refused:
            return False, f"refused by the master (pid {pid}); its log says why, everything serves on as before"
        if memory.facts.load(FACT_STATIC_RELOADS) > taken:
            return True, f"taken up by the master (pid {pid}): new workers take over, old ones finish"
        time.sleep(LOOK_S)
    return False, f"the master (pid {pid}) has not answered within {PATIENCE_S:g} s"


def _told(paper: Paper, as_json: bool, good: bool, message: str, problems: Iterable[Problem] = ()) -> int:
    if as_json:
        print_json({"good": good, "message": message, "problems": [as_dict(problem) for problem in problems]})
    else:
        paper.problems(problems)
        paper.line(paper.painted(message, fg="green" if good else "red"))
    return 0 if good else 1
