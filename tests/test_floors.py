"""The laws of the house hold, and the test of them can fail: every law is broken once on a small tree of its own."""
from __future__ import annotations

from pathlib import Path

import pytest
from laws import FLOORS, IMPURE, LONG, MAX_LINES, broken

ROOT = Path(__file__).parent.parent


def test_the_house_keeps_its_laws() -> None:
    found = broken(ROOT)
    assert not found, "\n".join(found)


def test_every_long_file_that_has_a_reason_exists() -> None:
    assert [name for name in LONG if not (ROOT / name).is_file()] == []


def house(tmp_path: Path, **files: str) -> list[str]:
    """What is broken in a house of these files; names have __ for / and for the dot; a docstring goes before."""
    floor = {"mesh/http1/head": 1, "mesh/rules/language": 1, "mesh/rules/matcher": 1, "mesh/plan": 2, "mesh/report": 2,
             "mesh/errors": 0, "mesh/model": 0, "mesh/providers/from_yaml": 2, "workers/master": 4, "workers/cli": 4,
             "workers/memory": 3, "workers/keeper": 3, "workers/proxy/front": 3, "workers/agent/agent": 3,
             "mesh/utils": 0, "mesh/attic": 0}
    for name, text in files.items():
        stem, _, ending = name.rpartition("__")
        path = stem.replace("__", "/")
        file = tmp_path / f"{path}.{ending}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f'"""Something.  Floor {floor[path]}."""\n' + text)
    return broken(tmp_path)


def test_an_empty_house_breaks_nothing(tmp_path: Path) -> None:
    assert house(tmp_path, mesh__errors__py="X = 1\n") == []


def test_lower_floors_and_neighbours_may_be_imported(tmp_path: Path) -> None:
    assert house(tmp_path,
                 mesh__errors__py="X = 1\n",
                 mesh__model__py="from mesh.errors import X\n",
                 mesh__http1__head__pyx="from libc.string cimport memcpy\n",
                 mesh__rules__language__py="import re\n",
                 mesh__rules__matcher__py="from mesh.rules import language\n",
                 mesh__plan__pyx="from mesh.http1.head cimport Head\nfrom mesh.model import (\n    X,\n    Y)\n",
                 workers__memory__py="import os\nfrom mesh.plan import Plan\n",
                 workers__keeper__py="from workers.memory import M\n",
                 workers__proxy__front__pyx="import gevent\nfrom workers.memory import M\n",
                 workers__master__py="def run():\n    from workers.proxy.front import F\n",
                 workers__cli__py="from workers.master import run\n") == []


@pytest.mark.parametrize("name, text, said", [
    ("mesh__errors__py", "\nfrom mesh.model import X\nfrom mesh.rules.language import Y\n",
     "mesh/errors.py:4: mesh.errors (floor 0) imports upwards: mesh.rules.language is on floor 1"),
    ("mesh__http1__head__pyx", "from mesh.rules.language cimport X\n",
     "mesh/http1/head.pyx:2: mesh.http1.head imports mesh.rules.language, another room on the same floor (1)"),
    ("mesh__plan__pxd", "from mesh.providers.from_yaml cimport X\n",
     "mesh/plan.pxd:2: mesh.plan imports mesh.providers.from_yaml, another room on the same floor (2)"),
    ("mesh__http1__head__pyx", "cdef f():\n    '''from a import b'''\n    # import b\n    import re\n",
     "mesh/http1/head.pyx:5: imports stand at the top of the file (inside a function only on floor 4)"),
    ("workers__memory__py", "def f():\n    import os\n",
     "workers/memory.py:3: imports stand at the top of the file (inside a function only on floor 4)"),
    ("mesh__errors__py", "from re import *\n",
     "mesh/errors.py:2: names are imported one by one, never by *"),
    ("mesh__http1__head__pxd", "from libc.string cimport *\n",
     "mesh/http1/head.pxd:2: names are imported one by one, never by *"),
    ("mesh__plan__pyx", "from posix.unistd cimport close\n",
     "mesh/plan.pyx:2: mesh/ is pure: no posix.unistd (time, randomness and bytes come in as arguments)"),
    ("mesh__rules__language__py", "import yaml\n",
     "mesh/rules/language.py:2: mesh/ is pure: yaml is not among what it may use (orjson, re2, yaml)"),
    ("mesh__errors__py", "def f():\n    return open('x')\n",
     "mesh/errors.py:3: mesh/ is pure: no open()"),
    ("workers__proxy__front__pyx", "from workers.agent.agent import X\n",
     "workers/proxy/front.pyx:2: workers/proxy and workers/agent never import each other, they meet in shared memory"),
    ("workers__agent__agent__py", "import workers.proxy.front\n",
     "workers/agent/agent.py:2: workers/proxy and workers/agent never import each other, they meet in shared memory"),
    ("workers__master__py", "import gevent.event\n",
     "workers/master.py:2: the master starts no thread, no hub and no client: no gevent in workers.master"),
    ("workers__memory__py", "from workers.proxy.front import F\n",
     "workers/memory.py:2: workers.memory (floor 3) imports upwards: workers.proxy.front is on floor 3, step 1"),
    ("workers__memory__py", "try:\n    X = 1\nexcept Exception:\n    pass\n",
     "workers/memory.py:4: an error is answered, or suppressed by its name; none passes unseen"),
    ("workers__memory__py", "try:\n    X = 1\nexcept:\n    pass\n",
     "workers/memory.py:4: an error is answered, or suppressed by its name; none passes unseen"),
    ("workers__proxy__front__pyx", "cdef f():\n    try:\n        g()\n    except:\n        pass\n",
     "workers/proxy/front.pyx:5: an error is answered, or suppressed by its name; none passes unseen"),
    ("mesh__attic__py", "X = 1\n", "mesh/attic.py:1: mesh.attic has no floor: give it one in tests/laws.py"),
    ("mesh__errors__py", "X = '\N{LATIN SMALL LETTER E WITH ACUTE}'\n", "mesh/errors.py:2: code is written in ASCII"),
])
def test_a_broken_law_is_told_with_its_file_and_line(tmp_path: Path, name: str, text: str, said: str) -> None:
    assert house(tmp_path, **{name: text}) == [said]


@pytest.mark.parametrize("module", sorted(IMPURE))
def test_the_pure_half_has_no_clock_no_door_and_no_dice(tmp_path: Path, module: str) -> None:
    [said] = house(tmp_path, mesh__rules__language__py=f"import {module}\n")
    assert said.startswith(f"mesh/rules/language.py:2: mesh/ is pure: no {module}")


def test_a_circle_is_told_once_with_all_who_are_in_it(tmp_path: Path) -> None:
    assert house(tmp_path, mesh__errors__py="from mesh.model import X\n", mesh__model__py="import mesh.errors\n") == [
        "mesh/model.py:2: imports go in a circle: mesh.errors -> mesh.model -> mesh.errors"]


def test_a_circle_through_a_cython_declaration_is_seen(tmp_path: Path) -> None:
    assert house(tmp_path, mesh__report__py="from mesh.plan import X\n", mesh__plan__pxd="cimport mesh.report\n") == [
        "mesh/report.py:2: imports go in a circle: mesh.plan -> mesh.report -> mesh.plan"]


def test_a_relative_import_is_an_import(tmp_path: Path) -> None:
    assert house(tmp_path, mesh__errors__py="from .rules import language\n", mesh__rules__language__py="X = 1\n") == [
        "mesh/errors.py:2: mesh.errors (floor 0) imports upwards: mesh.rules.language is on floor 1"]


def test_a_vague_name_is_refused(tmp_path: Path) -> None:
    assert ("mesh/utils.py:1: a module is called by what it owns, not utils, helpers, manager and the like"
            in house(tmp_path, mesh__utils__py="X = 1\n"))


def test_a_file_that_has_grown_too_long_is_told(tmp_path: Path) -> None:
    [said] = house(tmp_path, mesh__errors__py="X = 1\n" * MAX_LINES)
    assert said.startswith(f"mesh/errors.py:{MAX_LINES + 1}: {MAX_LINES + 1} lines")


def test_a_module_without_a_word_about_itself_is_told(tmp_path: Path) -> None:
    (tmp_path / "mesh").mkdir()
    (tmp_path / "mesh" / "errors.py").write_text("X = 1\n")
    assert broken(tmp_path) == ["mesh/errors.py:1: a module opens by saying what it owns (its docstring comes first)"]


def test_a_module_that_claims_another_floor_is_told(tmp_path: Path) -> None:
    (tmp_path / "mesh").mkdir()
    (tmp_path / "mesh" / "errors.py").write_text('"""Errors.  Floor 2."""\n')
    assert broken(tmp_path) == ["mesh/errors.py:1: its docstring names its floor, which is 0"]


def test_every_floor_is_one_of_the_five() -> None:
    assert {floor for floor, _ in FLOORS.values()} == {0, 1, 2, 3, 4}
