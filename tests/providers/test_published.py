"""The value of the sources board."""
from __future__ import annotations

import pytest

from mesh.errors import Place, Problem
from mesh.providers.published import Published, states

PROBLEM = Problem(Place("a.yml", 1, 2), "http.routers.r", "wrong\nin two lines", "error", "rule", "so")
ALSO = Problem(Place("b.yml"), "", "odd", "warning", "empty")


def test_it_is_read_as_it_was_written():
    said = Published(b'{"a":1}\n{"b":2}', (PROBLEM,), {"routers/r@file": "disabled"},
                     {"routers/r@file": (PROBLEM, ALSO)}, {"a.yml": "error"}, 12.5, "digest")
    assert Published.from_json(said.to_json()) == said


def test_nothing_is_nothing():
    assert Published.from_json(b"") == Published()


@pytest.mark.parametrize("data", [b"x", b"{}", b"[]\n", b"3\n", b'{"form":2}\n',
                                  Published(problems=(PROBLEM,)).to_json().replace(b'"a.yml",1,2', b"")])
def test_what_is_anything_else_is_refused(data):
    with pytest.raises(ValueError):
        Published.from_json(data)


def test_a_file_is_as_bad_as_its_worst_problem():
    assert states(["b.yml", "a.yml", "c.yml", "d.yml"], [PROBLEM, ALSO], ["d.yml"]) == {
        "a.yml": "error", "b.yml": "ok", "c.yml": "ok", "d.yml": "missing"}
