"""hostmesh schema: what may stand in the files, for editors and for people.

Owns the printing; the documents are made in mesh/providers.  Floor 4.
"""
from __future__ import annotations

from pathlib import Path

import click

from mesh.providers.reference import WrongPage, page, reference
from mesh.providers.schema import schema
from workers.commands.paper import print_json


def print_schema(which: str, markdown: bool, write: str | None) -> int:
    """Prints the schema or the reference, or writes the latter into a page; 1 when the page has no place for it."""
    if write:
        try:
            Path(write).write_text(page(Path(write).read_text("utf-8")), "utf-8")
        except WrongPage as wrong:
            click.echo(f"{write}: {wrong}", err=True)
            return 1
    elif markdown:
        click.echo(reference(which), nl=False)
    else:
        print_json(schema(which))
    return 0
