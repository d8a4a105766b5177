"""docs/configuration.md: its reference is that of the tables, and its examples are read by the loader."""
from __future__ import annotations

import re
from pathlib import Path

import pytest

from mesh.errors import Problem
from mesh.providers.catalog import Catalog
from mesh.providers.reference import BEGIN, END, WrongPage, page, reference
from mesh.providers.shapes_static import STATIC
from mesh.providers.static import load_static

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "configuration.md"
EXAMPLES = [(name, match[1], match[2]) for name in ("docs/configuration.md", "docs/differences.md", "docs/cli.md")
            for match in re.finditer(r"^```(yaml|toml)\n(.*?)^```$", (ROOT / name).read_text("utf-8"), re.M | re.S)]


def test_the_reference_is_that_of_the_tables() -> None:
    text = PAGE.read_text("utf-8")
    assert page(text) == text, "docs/configuration.md is stale: run `hostmesh schema --write docs/configuration.md`"


def test_every_key_that_is_built_has_a_row_with_its_meaning() -> None:
    rows = [row.split(" | ") for row in reference().splitlines() if row.startswith("| `")]
    assert len(rows) > 60
    assert all(len(row) == 4 and row[1].strip() and row[2].strip() for row in rows)
    keys = {row[0].strip("| `") for row in rows}
    assert {"rule", "address", "endpoints", "dialTimeout", "maxHeaderBytes"} <= keys
    assert all(field.name in reference("static") for field in STATIC.fields.values())
    assert "http.routers" not in reference("static")
    assert "entryPoints.NAME" not in reference("dynamic")


def test_defaults_are_shown_as_a_file_would_say_them() -> None:
    assert re.search(r"\| `idleTimeout` \|.*\| 180s \|", reference())
    assert re.search(r"\| `address` \|.*\| 127\.0\.0\.1:9180 \|", reference())
    assert re.search(r"\| `sanitizePath` \|.*\| true \|", reference())


def test_writing_into_a_page_changes_nothing_around_the_marks() -> None:
    written = page(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    assert written.startswith(f"before\n{BEGIN}\n\n## ")
    assert written.endswith(f"\n{END}\nafter\n")
    assert page(written) == written


@pytest.mark.parametrize("text", ["", BEGIN, f"{END}\n{BEGIN}", f"{BEGIN}\n{END}\n{BEGIN}\n{END}"])
def test_a_page_without_one_place_for_it_is_refused(text: str) -> None:
    with pytest.raises(WrongPage):
        page(text)


@pytest.mark.parametrize("where, form, text", EXAMPLES)
def test_an_example_is_read_without_a_word(where: str, form: str, text: str) -> None:
    name = text.split("\n")[0].removeprefix("# ")
    assert name.endswith((".yml", ".toml")), f"{where}: an example begins with the name of its file"
    assert (form == "toml") == name.endswith(".toml")
    if name.startswith("hostmesh."):
        problems: list[Problem] = load_static(text.encode(), f"/etc/hostmesh/{name}")[1]
    else:
        catalog = Catalog(_no_disk)
        catalog.said(f"/etc/hostmesh/{name}", text.encode())
        problems = list(catalog.settle({"mesh", "web"}).problems)
    assert not [str(problem) for problem in problems]


def test_there_are_examples_of_both_files_in_both_forms() -> None:
    names = [text.split("\n")[0] for _, _, text in EXAMPLES]
    assert sum("hostmesh." in name for name in names) >= 2
    assert sum("conf.d/" in name for name in names) >= 3
    assert {form for _, form, _ in EXAMPLES} == {"yaml", "toml"}


def _no_disk(path: str) -> bytes:
    raise FileNotFoundError(2, "No such file or directory", path)
