"""The kind of value that is a rule.

Owns the passage from an error inside a rule to its place in the file.  Floor 2.
"""
from __future__ import annotations

from typing import Any

from mesh.errors import Place
from mesh.providers.shape import Kind, Reading
from mesh.providers.tree import Node, Scalar
from mesh.rules.language import RuleError, parse


class Rule(Kind):
    """A rule in the rule language; an error in it points into the text."""

    words = "a rule such as Host(`a.example`) && PathPrefix(`/api`)"

    def read(self, node: Node, at: str, reading: Reading) -> Any:
        if not isinstance(node, Scalar) or not isinstance(node.value, str):
            return reading.wanted(node, at, self.words)
        try:
            parse(node.value)
        except RuleError as error:
            place, message = reading.place(node), f"{at}: {error.message}"
            if node.quote >= 0:
                place = Place(place.file, place.line, place.column + node.quote + max(error.column - 1, 0))
            else:
                message += f", at column {error.column} of the rule"
            return reading.wrong(place, message, "rule", error.hint)
        return node.value

    def schema(self) -> dict[str, Any]:
        return {"type": "string"}
