"""hostmesh schema: documents for editors, and the reference for people."""
from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from jsonschema import Draft202012Validator

from mesh.providers.reference import BEGIN, END
from workers.cli import main


def said(*words: str) -> Result:
    return CliRunner().invoke(main, ["schema", *words], prog_name="hostmesh")


@pytest.mark.parametrize("words, good, bad", [
    (["static"], {"entryPoints": {"web": {"address": ":80"}}}, {"http": {}}),
    (["dynamic"], {"mesh": {"services": {"a.b": {"endpoints": ["http://c"]}}}}, {"entryPoints": {}}),
    ([], {"http": {"routers": {"a": {"rule": "Host(`a`)", "service": "b"}}}}, {"htpp": {}})])
def test_what_is_printed_is_a_schema_that_knows_right_from_wrong(words: list[str], good: object, bad: object) -> None:
    document = json.loads(said(*words).stdout)
    Draft202012Validator.check_schema(document)
    assert Draft202012Validator(document).is_valid(good)
    assert not Draft202012Validator(document).is_valid(bad)


def test_markdown_is_the_reference_of_what_was_asked_for() -> None:
    static, dynamic = (said(which, "--markdown").stdout for which in ("static", "dynamic"))
    assert said("--markdown").stdout == f"{static}\n{dynamic}"


def test_a_page_is_written_in_place(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# Page\n{BEGIN}\n{END}\nend\n")
    assert said("--write", str(page)).exit_code == 0
    assert "### `http.routers.NAME`" in page.read_text()
    assert page.read_text().endswith(f"{END}\nend\n")


def test_a_page_without_a_place_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Page\n")
    result = said("--write", str(page))
    assert result.exit_code == 1
    assert "wanted one line" in result.stderr
    assert page.read_text() == "# Page\n"


def test_another_word_is_wrong_usage() -> None:
    assert said("statick").exit_code == 2
