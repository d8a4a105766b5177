"""hostmesh run: the static file first, then the master.

Owns what is told before there is a log.  Floor 4.
"""
from __future__ import annotations

import sys

from mesh.errors import ConfigError
from workers.commands.paper import Paper
from workers.machine import read_static


def run(config: str | None) -> int:
    """Serves until it is told to stop; 1 when the static file is refused or the addresses cannot be had."""
    paper = Paper(sys.stderr)
    try:
        static, warnings = read_static(config)
    except ConfigError as refused:
        paper.problems(refused.problems)
        paper.line("hostmesh: the static file is refused, nothing was started")
        return 1
    paper.problems(warnings)
    # here, so that a static file is refused before gunicorn and the data path are loaded
    from workers import master

    return master.run(static)
