"""The reference of every key for people, read off the tables that the loader reads by.

Owns the generated part of docs/configuration.md: Markdown tables, one for each mapping, between two marks.  Floor 2.
"""
from __future__ import annotations

import re
from collections.abc import Iterator

from mesh.providers.file import OWN_SECTIONS
from mesh.providers.shape import Built, Either, Field, Kind, ListOf, MapOf, Shape
from mesh.providers.shapes_later import SECTIONS as LATER_SECTIONS
from mesh.providers.shapes_static import STATIC

BEGIN = "<!-- reference: begin (written by `hostmesh schema --write`, do not edit) -->"
END = "<!-- reference: end -->"

_NOT_YET = {
    Built.WARNS: "Not supported yet; what asks for it serves without it, and a warning says so:",
    Built.REFUSED: "Not supported yet; what asks for it does not serve:"}


class WrongPage(ValueError):
    """The page has no place for the reference, or more than one."""


def page(text: str) -> str:
    """The page with the reference of this version between its marks.  Raises WrongPage."""
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise WrongPage(f"wanted one line {BEGIN!r} and after it one line {END!r}")
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{reference()}\n{END}{rest.partition(END)[2]}"


def reference(which: str = "") -> str:
    """Markdown for the static file, for dynamic files, or ("") for both."""
    parts = []
    if which != "dynamic":
        parts += ["## The static file, key by key\n", *_tables("", STATIC)]
    if which != "static":
        parts.append("## Dynamic files, key by key\n")
        for path, (_, shape) in OWN_SECTIONS.items():
            parts += _tables(f"{path}.{'SERVICE.NAMESPACE' if path == 'mesh.services' else 'NAME'}", shape)
        parts.append("### tcp, udp, tls\n\nKnown and checked for slips of the pen, but not supported yet, so none of "
                     "their objects serves:\n")
        parts.append("\n".join(f"- `{path}`: {_keys(section)}" for path, section in LATER_SECTIONS.items()) + "\n")
    return "\n".join(parts)


def _tables(path: str, shape: Shape) -> Iterator[str]:
    """The table of one mapping, then those of the mappings inside it that are built."""
    rows = [_row(shape, field) for field in shape.fields.values() if field.built is Built.YES]
    head = ["| key | what it says | what may stand there | default |", "| --- | --- | --- | --- |"]
    parts = [f"### {f'`{path}`' if path else 'Top level'}", "", *(head + rows + [""] if rows else ())]
    for built, words in _NOT_YET.items():
        later = [field for field in shape.fields.values() if field.built is built]
        told = [_later(field) for field in later if field.doc]
        silent = ", ".join(f"`{field.name}`" for field in later if not field.doc)
        if later:
            parts += [words, "", *told, *([f"- {silent}"] if silent else []), ""]
    yield "\n".join(parts)
    for field in shape.fields.values():
        inner, end = _inside(field.kind)
        if inner is not None and inner.fields and field.built is Built.YES:
            yield from _tables(f"{path}.{field.name}{end}".lstrip("."), inner)


def _inside(kind: Kind) -> tuple[Shape | None, str]:
    """The mapping that a kind holds, if it does, and how its path goes on."""
    if isinstance(kind, Shape):
        return kind, ""
    if isinstance(kind, Either):
        return kind.long, ""
    if isinstance(kind, ListOf):
        return _inside(kind.kind)[0], "[]"
    if isinstance(kind, MapOf):
        return _inside(kind.kind)[0], ".NAME"
    return None, ""


def _row(shape: Shape, field: Field) -> str:
    what = f"{field.doc} **Required.**" if field.required else field.doc
    return f"| `{field.name}` | {_cell(what)} | {_cell(field.kind.told)} | {_cell(shape.told_default(field))} |"


def _later(field: Field) -> str:
    keys = _keys(field.kind)
    return f"- `{field.name}`: {field.doc}{f' Keys: {keys}' if keys else ''}"


def _keys(kind: Kind) -> str:
    inner, _ = _inside(kind)
    return ", ".join(f"`{name}`" for name in inner.fields) if inner is not None else ""


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text.replace("|", r"\|"))
