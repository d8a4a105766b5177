"""docs/cli.md shows what the commands really print."""
from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from workers.cli import main

PAGE = Path(__file__).resolve().parents[2] / "docs" / "cli.md"
BLOCKS = re.findall(r"^```(?:yaml)?\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)
SHOWN = "/srv/mesh"                             # where the page was written
# what these print holds pids, times and versions, or needs a mesh
ANEW = ("run", "status", "reload", "demo", "version", "services", "endpoints", "hosts", "events", "drain", "undrain",
        "disable", "enable", "weight")
COMMANDS = [block for block in BLOCKS if block.startswith("$ hostmesh") and block.split()[2] not in ANEW]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files of the page, in a directory of their own."""
    for block in BLOCKS:
        if match := re.match(r"# (\S+\.yml)\n", block):
            file = tmp_path / match[1]
            file.parent.mkdir(exist_ok=True)
            file.write_text(block)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("block", COMMANDS, ids=[block.partition("\n")[0] for block in COMMANDS])
def test_a_command_prints_what_the_page_shows(here: Path, block: str) -> None:
    line, _, shown = block.partition("\n")
    result = CliRunner().invoke(main, shlex.split(line.removeprefix("$ hostmesh ")), prog_name="hostmesh")
    assert result.output.replace(str(here), SHOWN) == shown


def test_every_command_has_its_section() -> None:
    sections = re.findall(r"^## (\S+)$", PAGE.read_text("utf-8"), re.M)
    assert set(sections) == set(main.commands)
