"""hostmesh version: which program this is.

Owns one line, and imports nothing of what it names.  Floor 4.
"""
from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed

import click
import orjson

from mesh.names import PRODUCT, VERSION

_STANDS_ON = ("gunicorn", "gevent", "greenlet", "google-re2", "orjson", "PyYAML", "watchdog", "prometheus-client")


def print_version(as_json: bool) -> int:
    """Prints the versions; 0."""
    parts = {"python": platform.python_version(), **{name: _version(name) for name in _STANDS_ON}}
    if as_json:
        click.echo(orjson.dumps({"product": PRODUCT, "version": VERSION, "on": parts}, option=orjson.OPT_INDENT_2))
    else:
        click.echo(f"{PRODUCT} {VERSION} (Python {parts['python']}, gunicorn {parts['gunicorn']}, "
                   f"gevent {parts['gevent']})")
    return 0


def _version(name: str) -> str:
    try:
        return installed(name)
    except PackageNotFoundError:
        return "missing"
