"""How a configuration is described: fields with a name, a kind, a default, a meaning, and whether they are built.

Owns the description's own vocabulary.  The tables (`shapes_static`, `shapes_http`, ...) are written in it; the loader,
the JSON Schema and the reference page are all read off those tables, so that they cannot disagree.  Floor 2.
"""
from __future__ import annotations

import dataclasses
import posixpath
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any

from mesh.errors import Place, Problem, did_you_mean
from mesh.providers.tree import Item, Mapping, Node, Scalar, Sequence, kind_of, masked, quoted

Read = Callable[[str], bytes]           # the disk, where a value names a file; raises OSError
PlaceOf = Callable[[str, int, int], Place]      # what the position of a node means: a line and a column, or a key


class Built(StrEnum):
    """Whether a field has its effect in this version."""

    YES = "yes"
    WARNS = "warns"                     # not built; the object serves without it and a warning says so
    REFUSED = "refused"                 # not built; it protects or steers, so its object does not serve without it


class Wrong:
    """The value of what could not be read; the problem has been told."""


WRONG = Wrong()


@dataclasses.dataclass(slots=True)
class Reading:
    """One object while it is read: where it stands, and what was found about it so far."""

    file: str
    object: str
    read: Read
    problems: list[Problem] = dataclasses.field(default_factory=list)
    later: list[tuple[str, Place, Built]] = dataclasses.field(default_factory=list)
    places: dict[str, Place] = dataclasses.field(default_factory=dict)      # of what was said, by "field" or "list[0]"
    place_of: PlaceOf = Place

    def place(self, node: Node | Item) -> Place:
        return self.place_of(self.file, node.line, node.column)

    def wrong(self, where: Node | Item | Place, message: str, code: str = "bad-value", hint: str = "") -> Wrong:
        """Tell an error about this object and give back WRONG."""
        place = where if isinstance(where, Place) else self.place(where)
        self.problems.append(Problem(place, self.object, message, code=code, hint=hint))
        return WRONG

    def twice(self, again: Item, path: str, first: Item) -> None:
        place = self.place(first)
        where = f"at {place}" if place.key else f"in line {place.line}"
        self.wrong(again, f"{path} is said twice, first {where}", "duplicate")

    def warn(self, where: Node | Item, message: str, code: str, hint: str = "") -> None:
        self.problems.append(Problem(self.place(where), self.object, message, "warning", code, hint))

    def wanted(self, node: Node, at: str, words: str, hint: str = "") -> Wrong:
        """The error that every kind tells: what was said, what was wanted."""
        start = f"{at}: " if at else ""
        if isinstance(node, Scalar) and node.value is None:
            return self.wrong(node, f"{start}nothing stands here; wanted {words}", "empty",
                              hint or "remove the key, or give it a value")
        if isinstance(node, Scalar):
            return self.wrong(node, f"{start}{quoted(node)} is not {words}", hint=hint)
        return self.wrong(node, f"{start}wanted {words}, not {kind_of(node)}", hint=hint)

    @property
    def is_broken(self) -> bool:
        return any(problem.severity == "error" for problem in self.problems)

    def resolve(self, path: str) -> str:
        """A path as written, relative to the file it stands in."""
        return posixpath.normpath(posixpath.join(posixpath.dirname(self.file), path))


class Kind(ABC):
    """What a value may be: reads it, and describes it to people (`words`) and to editors (`schema`)."""

    words: str = "a value"

    @property
    def told(self) -> str:
        """`words` for a reader who has not said anything yet, and wants to know what has no effect."""
        return self.words

    @abstractmethod
    def read(self, node: Node, at: str, reading: Reading) -> Any:
        """The value that a node says, or WRONG after telling why; `at` is its path inside the object."""

    @abstractmethod
    def schema(self) -> dict[str, Any]:
        """The same as JSON Schema."""

    def written(self, default: Any) -> Any:
        """A default as a file would say it, None where it is nothing or has no such form ("the hostname")."""
        return default if isinstance(default, (bool, int, float)) else None


class Anything(Kind):
    """Free form: kept as said, checked by nobody here."""

    words = "anything"

    def read(self, node: Node, at: str, reading: Reading) -> Any:
        if isinstance(node, Mapping):
            return {key: self.read(item.node, f"{at}.{key}", reading) for key, item in node.items.items()}
        if isinstance(node, Sequence):
            return [self.read(each, f"{at}[{index}]", reading) for index, each in enumerate(node.items)]
        return node.value

    def schema(self) -> dict[str, Any]:
        return {}


class ListOf(Kind):
    """A list; a single plain value stands for a list of one, as in Traefik, as long as it holds no comma."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.words = f"a list, each {kind.words}"
        self.lone = not isinstance(kind, (Shape, MapOf, ListOf, Either))

    def read(self, node: Node, at: str, reading: Reading) -> Any:
        if isinstance(node, Scalar) and self.lone and node.value is not None:
            if "," in node.text and "\n" not in node.text:
                return reading.wanted(node, at, self.words, "write a list: [one, two]")
            value = self.kind.read(node, at, reading)
            reading.places[f"{at}[0]"] = reading.place(node)
            return WRONG if value is WRONG else (value,)
        if not isinstance(node, Sequence):
            text = masked(node.text) if isinstance(node, Scalar) and node.value is not None else ""
            return reading.wanted(node, at, self.words, f"write a list: [{text}]" if 0 < len(text) <= 60 else "")
        values = []
        for index, each in enumerate(node.items):
            reading.places[f"{at}[{index}]"] = reading.place(each)
            values.append(self.kind.read(each, f"{at}[{index}]", reading))
        return WRONG if any(value is WRONG for value in values) else tuple(values)

    def schema(self) -> dict[str, Any]:
        item = self.kind.schema()
        many = {"type": "array", "items": item}
        if not self.lone:
            return many
        return {"anyOf": [many, {"allOf": [item, {"type": ["string", "number", "boolean"],
                                                  "not": {"type": "string", "pattern": "^[^\\n]*,[^\\n]*$"}}]}]}


class MapOf(Kind):
    """A mapping whose keys are names that the writer chooses."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.words = f"a mapping of names, each {kind.words}"

    def read(self, node: Node, at: str, reading: Reading) -> Any:
        if not isinstance(node, Mapping):
            return reading.wanted(node, at, self.words)
        for again in node.twice:
            reading.twice(again, f"{at}.{again.key}", node.items[again.key])
        values = {key: self.kind.read(item.node, f"{at}.{key}", reading) for key, item in node.items.items()}
        return WRONG if any(value is WRONG for value in values.values()) else values

    def schema(self) -> dict[str, Any]:
        return {"type": "object",
                "additionalProperties": {"description": _sentence(self.kind.words), **self.kind.schema()}}


class Either(Kind):
    """A short form (a plain value) or a long one (a mapping)."""

    def __init__(self, short: Kind, to: str, long: Shape) -> None:
        self.short, self.to, self.long = short, to, long
        self.words = f"{short.words}, or {long.words}"

    def read(self, node: Node, at: str, reading: Reading) -> Any:
        if isinstance(node, Mapping):
            return self.long.read(node, at, reading)
        value = self.short.read(node, at, reading)
        return WRONG if value is WRONG else {self.to: value}

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [self.short.schema(), self.long.schema()]}


@dataclasses.dataclass(frozen=True, slots=True)
class Field:
    """One key; `to` is where its value goes in the model (default: its name), "" merges a mapping into its parent."""

    name: str
    kind: Kind
    doc: str = ""
    to: str | None = None
    default: Any = None                 # told to readers; what is not said is left to the model's own default
    built: Built = Built.YES
    required: bool = False

    @property
    def target(self) -> str:
        return self.name if self.to is None else self.to


class Shape(Kind):
    """A mapping with known keys.

    `exactly_one`: alternatives, of which one and only one must stand there.  `elsewhere`: keys that people look for
    here, with the hint that says where they stand.
    """

    def __init__(self, *fields: Field, words: str = "a mapping", exactly_one: tuple[str, ...] = (),
                 model: type | None = None, elsewhere: dict[str, str] | None = None) -> None:
        self.fields = {field.name: field for field in fields}
        self.lower = {field.name.lower(): field for field in fields}
        self.words = words
        self.exactly_one = exactly_one
        self.model = model
        self.elsewhere = elsewhere or {}

    def read(self, node: Node, at: str, reading: Reading) -> Any:
        """A dict of what was said and has an effect, by target; WRONG when anything in it is wrong."""
        if not isinstance(node, Mapping):
            needs = self.exactly_one or any(field.required for field in self.fields.values())
            hint = "write {} if you mean it without options" if _is_null(node) and not needs else self.around(node)
            return reading.wanted(node, at, self.words, hint)
        before = len(reading.problems)
        values: dict[str, Any] = {}
        said: dict[str, Item] = {}
        prefix = f"{at}." if at else ""
        for again in node.twice:
            reading.twice(again, prefix + again.key, node.items[again.key])
        for key, item in node.items.items():
            field = self.find(key, item, prefix, said, reading)
            if field is None:
                continue
            path = prefix + field.name
            reading.places[path] = reading.place(item.node)
            value = field.kind.read(item.node, path, reading)
            if value is WRONG:
                continue
            # What asks for nothing (false, 0, an empty list) needs nothing built; an empty mapping may well ask.
            if field.built is not Built.YES and (value or isinstance(value, dict)):
                reading.later.append((path, reading.place(item), field.built))
            if field.built is Built.YES and field.to == "":
                values.update(value)
            elif field.built is Built.YES:
                values[field.target] = value
        self.complete(node, at, said, reading)
        broken = any(problem.severity == "error" for problem in reading.problems[before:])
        return WRONG if broken else values

    def find(self, key: str, item: Item, prefix: str, said: dict[str, Item], reading: Reading) -> Field | None:
        field = self.fields.get(key)
        if field is None:
            field = self.lower.get(key.lower())
            if field is None:
                hint = self.elsewhere.get(key, "")
                if not hint and (inner := self.inside(key)):
                    hint = f"it belongs into {inner}"
                hint = hint or did_you_mean(key, self.fields) or f"known here: {_some(self.fields)}"
                reading.wrong(item, f"{prefix}{key} is not a known field", "unknown-field", hint)
                return None
            reading.warn(item, f"{prefix}{key} is read as {field.name}", "spelling", f'write "{field.name}"')
        if field.name in said:
            reading.twice(item, prefix + field.name, said[field.name])
            return None
        said[field.name] = item
        return field

    def around(self, node: Node) -> str:
        """The hint for a plain value where this mapping has one key that matters, such as an endpoint's url."""
        required = [field.name for field in self.fields.values() if field.required]
        if not isinstance(node, Scalar) or node.value is None or len(required) != 1 or len(node.text) > 60:
            return ""
        return f'did you mean {{{required[0]}: "{masked(node.text)}"}}?'

    def inside(self, key: str) -> str:
        """The path of the mapping in here that has this key, "" where none has, or more than one."""
        shapes = [(field.name, field.kind) for field in self.fields.values() if isinstance(field.kind, Shape)]
        paths = [name for name, shape in shapes if key in shape.fields]
        paths += [f"{name}.{inner}" for name, shape in shapes if (inner := shape.inside(key))]
        return paths[0] if len(paths) == 1 else ""

    def complete(self, node: Mapping, at: str, said: dict[str, Item], reading: Reading) -> None:
        start = f"{at}: " if at else ""
        meant = {did_you_mean(key, self.fields) for key in node.items if key.lower() not in self.lower}
        for field in self.fields.values():
            if field.required and field.name not in said and did_you_mean(field.name, (field.name,)) not in meant:
                reading.wrong(node, f"{start}{field.name} is missing; wanted {field.kind.words}", "missing")
        found = [name for name in said if name in self.exactly_one]
        if len(found) > 1:
            reading.wrong(said[found[1]], f"{start}wanted one kind alone, found {' and '.join(found)}")
        if self.exactly_one and not found and len(said) == len(node.items):     # else an unknown key has been told
            reading.wrong(node, f"{start}wanted one of {_some(self.exactly_one, 6)}; found none", "missing")

    def schema(self) -> dict[str, Any]:
        properties = {field.name: {**self.about(field), **field.kind.schema()} for field in self.fields.values()}
        whole: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
        required = [field.name for field in self.fields.values() if field.required]
        if required:
            whole["required"] = required
        if len(self.exactly_one) == len(self.fields) > 1:
            whole |= {"minProperties": 1, "maxProperties": 1}
        elif self.exactly_one:
            whole["oneOf"] = [{"required": [name]} for name in self.exactly_one]
        return whole

    def about(self, field: Field) -> dict[str, Any]:
        """What an editor shows beside a field: meaning, what may stand there, default, and whether it is built."""
        description = f"{field.doc} {_sentence(field.kind.told)}".strip()
        about: dict[str, Any] = {"title": field.name, "description": description}
        value = field.kind.written(self.default_of(field))
        if field.built is not Built.YES:
            about["description"] += f" Not supported yet: {LATER[field.built]}."
            about["deprecated"] = True
            about["deprecationMessage"] = f"{field.name} is not supported yet: {LATER[field.built]}"
        elif value is not None:
            about["default"] = value
        elif told := self.told_default(field):
            about["description"] += f" Default: {told}."
        return about

    def told_default(self, field: Field) -> str:
        """What holds where a field is not said, in words for a person; "" where that is nothing."""
        default = self.default_of(field)
        value = field.kind.written(default)
        if value is None:
            return default if isinstance(default, str) else ""
        return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)

    def default_of(self, field: Field) -> Any:
        """What holds where a field is not said, as the model has it."""
        if field.default is not None or self.model is None or not dataclasses.is_dataclass(self.model):
            return field.default
        for each in dataclasses.fields(self.model):
            if each.name == field.target and each.default is not dataclasses.MISSING:
                return each.default
        return None


LATER = {Built.WARNS: "the object serves without it, and a warning says so",
         Built.REFUSED: "an object that asks for it does not serve"}


def _is_null(node: Node) -> bool:
    return isinstance(node, Scalar) and node.value is None


def _sentence(words: str) -> str:
    """What a kind wants as a sentence; "" where that says no more than its type does."""
    return "" if words in ("a mapping", "anything", "text") else f"{words[0].upper()}{words[1:]}."


def _some(words: Iterable[str], limit: int = 12) -> str:
    known = list(words)
    return ", ".join(known[:limit]) + (", ..." if len(known) > limit else "")
