"""YAML text to the positioned tree: the safe part of YAML 1.2, bounded.

Owns what YAML may say here: one document of mappings, lists and plain values.  Tags are refused (nothing here makes
objects), aliases are shared and never expanded, what they would expand to is counted.  Floor 2.

Plain words follow YAML 1.2, as Traefik's reader does where it matters: `true` and `false` are the only truths, `on`,
`yes` and `1:30` are text.
"""
from __future__ import annotations

import re
from typing import Any

import yaml

from mesh.providers.tree import MAX_DEPTH, MAX_VALUES, Item, Mapping, Node, Refused, Scalar, Sequence, inside

# The C scanner is ten times faster; the Python one gives the same events where libyaml is missing.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_INT = re.compile(r"[-+]?[0-9]+\Z")
_ODD_INT = re.compile(r"0(?:o[0-7]+|x[0-9a-fA-F]+)\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_WORDS: dict[str, bool | None] = {"": None, "~": None, "null": None, "Null": None, "NULL": None, "true": True,
                                  "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_MAYBE_NUMBER = frozenset("0123456789+-.")
_NOT_TEXT = re.compile("[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")    # YAML 1.2, 5.1


def read_yaml(text: str, file: str) -> Node | None:
    """The tree of one YAML document, or None when the text says nothing at all; raises Refused."""
    if odd := _NOT_TEXT.search(text.removeprefix("\ufeff")):
        before = text[:text.index(odd[0])]
        raise Refused(file, f"the character U+{ord(odd[0]):04X} has no place in a YAML file", before.count("\n") + 1,
                      len(before) - before.rfind("\n"), hint="half-written, or not a text file?")
    reader = _Reader(file)
    try:
        return reader.read(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        # At the end of the file nobody finds anything: what was begun and not ended is shown instead.
        if mark and error.context_mark and not text[mark.index:].strip() and mark.line >= text.rstrip().count("\n"):
            mark = error.context_mark
        where = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        if where[0] > (lines := text.rstrip().count("\n") + 1):
            where = lines, len(text.rstrip()) - text.rstrip().rfind("\n")
        said, hint = _told(text, error, *where)
        if said == _OPEN_QUOTE and error.context_mark:      # the parser finds it at the end, a person where it begins
            where = error.context_mark.line + 1, error.context_mark.column + 1
        elif reader.long_quote[2] == where[0]:              # closed by the opening of another one, most likely
            said = f"the quote that begins here goes on to line {where[0]}, and what follows makes no sense"
            where, hint = reader.long_quote[:2], "close it"
        raise Refused(file, f"this is not YAML: {said}", *where, hint=hint) from error
    except yaml.YAMLError as error:
        raise Refused(file, f"this is not YAML: {' '.join(str(error).split())}") from error


_OPEN_QUOTE = "the quote that begins here is never closed"


def _told(text: str, error: yaml.MarkedYAMLError, line: int, column: int) -> tuple[str, str]:
    """What the parser found, in words for a person, and what to do about it."""
    problem, context = error.problem or "", error.context or ""
    lines = text.split("\n")
    said = lines[line - 1] if 0 < line <= len(lines) else ""
    begun, at = (error.context_mark.line + 1, error.context_mark.column + 1) if error.context_mark else (0, 0)
    at_end = "end of stream" in problem or (line >= len(text.rstrip().split("\n")) and not said[column:].strip())
    hint = "look at the indentation and the quotes here and in the line before"
    if at_end:
        hint = "the file ends in the middle: half-written?"
    if "\t" in said[:len(said) - len(said.lstrip())] or said[column - 1:column] == "\t":
        return "a tab stands here", "YAML is indented with spaces"
    if "end of stream" in problem and "quoted scalar" in context:
        return _OPEN_QUOTE, hint
    if "`" in said and ("|" in said or "&" in said or ": `" in said):
        hint = "quote a rule: rule: \"Host(`a.example`)\""
    elif "cannot start any token" in problem:
        return f"a value cannot begin with {said[column - 1:column]}", "put it in quotes"
    if "flow" in context and problem.startswith("did not find expected"):
        opened, ends = ("{", "}") if "mapping" in context else ("[", "]")
        if (begun, at) == (line, column):
            return f"the {opened} that begins here is never closed", hint
        return f"wanted , or {ends} here, for the {opened} in line {begun}", hint
    if problem == "did not find expected key" and begun:
        return f"wanted a key here, at the column of the others in the mapping that begins in line {begun}", hint
    if problem == "did not find expected '-' indicator" and begun:
        return f"wanted a - here, for the list that begins in line {begun}", hint
    if problem == "could not find expected ':'":
        return "wanted a key and a colon here", hint
    if problem == "mapping values are not allowed in this context":
        return "a colon makes a key where none can be", hint
    return ", ".join(part for part in (problem, context) if part) or "it cannot be read", hint


class _Reader:
    """Builds nodes from parser events, iteratively: depth is a number here, not a stack of calls."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.anchors: dict[str, Node | None] = {}       # None: still open, so an alias to it would be a circle
        self.weights: dict[int, tuple[int, int]] = {}   # of anchored nodes: id -> values inside, depth inside
        self.kept: list[Node] = []                      # keeps those ids from being given to another node
        self.values = 0
        self.long_quote = (0, 0, 0)                     # the last quote of several lines: line, column, line of its end

    def read(self, text: str) -> Node | None:
        root: Node | None = None
        documents = 0
        stack: list[_Open] = []
        for event in yaml.parse(text, Loader=_LOADER):
            if isinstance(event, yaml.ScalarEvent):
                node: Node = self.scalar(event)
                if event.anchor:
                    self.keep(event.anchor, node, event)
            elif isinstance(event, yaml.AliasEvent):
                node = self.alias(event, len(stack))
            elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
                if event.tag not in (None, "!"):
                    self.refuse(event, f"tags are not read here: {event.tag}")
                if len(stack) >= MAX_DEPTH:
                    self.refuse(event, f"nested deeper than {MAX_DEPTH} levels")
                if event.anchor:
                    self.anchors[event.anchor] = None
                stack.append(_Open(event))
                continue
            elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
                top = stack.pop()
                node = self.close(top)
                if top.event.anchor:
                    self.keep(top.event.anchor, node, top.event)
            elif isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self.refuse(event, "a second document begins here; one file is one document")
                continue
            else:
                continue
            self.values += 1
            if self.values > MAX_VALUES:
                self.refuse(event, f"more than {MAX_VALUES} values, aliases counted as what they stand for")
            if stack:
                stack[-1].add(node, event)
            else:
                root = node
        return None if isinstance(root, Scalar) and root.value is None and not root.text else root

    def refuse(self, event: Any, message: str, hint: str = "") -> None:
        raise Refused(self.file, message, event.start_mark.line + 1, event.start_mark.column + 1, hint=hint)

    def scalar(self, event: Any) -> Scalar:
        line, column, text = event.start_mark.line + 1, event.start_mark.column + 1, event.value
        if event.tag not in (None, "!", "tag:yaml.org,2002:str"):
            self.refuse(event, f"tags are not read here: {event.tag}")
        if event.implicit[0]:                           # plain, so it may mean a number or a truth
            if text in _WORDS:
                return Scalar(_WORDS[text], line, column, text, 0)
            first = text[0]
            if first in _MAYBE_NUMBER:
                if _INT.match(text):
                    return Scalar(_whole(text, 10), line, column, text, 0)
                if _ODD_INT.match(text):
                    return Scalar(_whole(text, 0), line, column, text, 0)
                if _FLOAT.match(text):
                    return Scalar(float(text), line, column, text, 0)
        one_line = event.start_mark.line == event.end_mark.line
        if not one_line and event.style in ("'", '"'):
            self.long_quote = line, column, event.end_mark.line + 1
        width = event.end_mark.column - event.start_mark.column
        quote = 0 if event.style in (None, "") else 1
        straight = one_line and width == len(text) + 2 * quote and event.style not in ("|", ">")
        if event.style == '"' and not straight and any("\ud800" <= letter <= "\udfff" for letter in text):
            self.refuse(event, "half of a surrogate pair is not a character")
        return Scalar(text, line, column, text, quote if straight else -1)

    def keep(self, anchor: str, node: Node, event: Any) -> None:
        self.anchors[anchor] = node
        if id(node) not in self.weights:
            self.weights[id(node)] = self.weigh(node)
            self.kept.append(node)

    def weigh(self, node: Node) -> tuple[int, int]:
        """How many values a node stands for and how deep it is; what aliases brought in is known by then."""
        known = self.weights.get(id(node))
        if known:
            return known
        values, depth = 1, 1
        for each in inside(node):
            more, deeper = self.weigh(each)
            values, depth = values + more, max(depth, deeper + 1)
        return values, depth

    def alias(self, event: Any, depth: int) -> Node:
        node = self.anchors.get(event.anchor)
        if node is None:
            if event.anchor in self.anchors:
                self.refuse(event, f"*{event.anchor} stands inside its own anchor")
            self.refuse(event, f"*{event.anchor} has no anchor &{event.anchor} before it",
                        "text that begins with * stands in quotes")
        assert node is not None
        values, height = self.weights[id(node)]
        self.values += values - 1
        if depth + height > MAX_DEPTH:
            self.refuse(event, f"nested deeper than {MAX_DEPTH} levels, through *{event.anchor}")
        return node

    def close(self, top: _Open) -> Node:
        line, column = top.event.start_mark.line + 1, top.event.start_mark.column + 1
        if not isinstance(top.event, yaml.MappingStartEvent):
            return Sequence(top.nodes, line, column)
        items: dict[str, Item] = {}
        twice: list[Item] = []
        merged: list[tuple[Node, Any]] = []
        for index in range(0, len(top.nodes), 2):
            key, value = top.nodes[index], top.nodes[index + 1]
            if not isinstance(key, Scalar):
                self.refuse(top.events[index], "a key must be a word, not a list or a mapping")
                continue
            if key.text == "<<" and key.quote == 0:
                merged.append((value, top.events[index]))
                continue
            item = Item(key.text, key.line, key.column, value)
            if key.text in items:
                twice.append(item)
            else:
                items[key.text] = item
        for value, event in merged:
            for each in value.items if isinstance(value, Sequence) else [value]:
                if not isinstance(each, Mapping):
                    self.refuse(event, "<< wants a mapping, or a list of mappings")
                    continue
                for name, item in each.items.items():
                    items.setdefault(name, item)
                self.values += len(each.items)
        return Mapping(items, line, column, tuple(twice))


class _Open:
    """A mapping or list whose end has not come yet."""

    __slots__ = ("event", "events", "nodes")

    def __init__(self, event: Any) -> None:
        self.event = event
        self.nodes: list[Node] = []
        self.events: list[Any] = []

    def add(self, node: Node, event: Any) -> None:
        self.nodes.append(node)
        self.events.append(event)


def _whole(text: str, base: int) -> int | str:
    # Python refuses to turn thousands of digits into a number (its own defence); to us they are text, a wrong type.
    return int(text, base) if len(text) <= 40 else text
