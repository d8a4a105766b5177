"""The project as a stranger finds it: links lead somewhere, what is imported is declared, what is needed is packed."""
from __future__ import annotations

import ast
import configparser
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from mesh.names import VERSION

ROOT = Path(__file__).parent.parent
SETUP = configparser.ConfigParser()
SETUP.read(ROOT / "setup.cfg")
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
HERE = ("mesh", "workers", "bench")
SCRIPTS = ("demo", "test", "check", "bench", "build")


def prose(page: Path) -> str:
    """A page without its fenced code, line for line."""
    return re.sub(r"^```.*?^```$", lambda m: "\n" * m[0].count("\n"), page.read_text(), flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as the usual renderers make them."""
    headings = re.findall(r"^#+ +(.*?) *$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", re.sub(r"\[(.*?)\]\(.*?\)", r"\1", each).lower()).replace(" ", "-")
            for each in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    dead = []
    for target in re.findall(r"\]\(<?([^)\s>]+)>?(?: \"[^\"]*\")?\)", prose(page)):
        if re.match(r"[a-z]+:", target):
            continue                    # other people's pages come and go
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in anchors(file)):
            dead.append(target)
    assert dead == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    named = re.findall(r"`((?:mesh|workers|tests|docs|scripts|systemd)/[\w./-]*)`", prose(page))
    assert [name for name in named if not (ROOT / name).exists()] == []


def declared(*extras: str) -> set[str]:
    """The distributions that setup.cfg names."""
    lines = SETUP["options"]["install_requires"].split()
    for extra in extras:
        lines += SETUP["options.extras_require"][extra].split()
    return {plain(line) for line in lines}


def plain(line: str) -> str:
    return re.split(r"[<>=~!\[;]", line)[0].replace("_", "-").lower()


def imported(*tops: str) -> dict[str, str]:
    """Top-level modules of other people that our Python files import, and one file that does."""
    found: dict[str, str] = {}
    for path in (path for top in tops for path in (ROOT / top).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = ([each.name for each in node.names] if isinstance(node, ast.Import)
                     else [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else [])
            for name in names:
                top = name.split(".")[0]
                if top not in sys.stdlib_module_names and top not in (*HERE, "Cython", "setuptools"):
                    found[top] = str(path.relative_to(ROOT))
    return found


@pytest.mark.parametrize("tops, extras", [(("mesh", "workers"), ()), (("tests",), ("test",))], ids=["product", "tests"])
def test_what_is_imported_is_declared_in_setup_cfg(tops: tuple[str, ...], extras: tuple[str, ...]) -> None:
    ours = {"fuzz", *(path.stem for path in (ROOT / "tests").rglob("*.py"))}
    whose = packages_distributions()
    known = declared(*extras)
    assert {module: file for module, file in imported(*tops).items() if module not in ours
            and not {plain(each) for each in whose.get(module, [module])} & known} == {}


def test_every_folder_of_sources_is_a_package_for_python_and_for_cython() -> None:
    folders = {path.parent for top in ("mesh", "workers") for ending in ("py", "pyx")
               for path in (ROOT / top).rglob(f"*.{ending}")}
    assert [str(folder.relative_to(ROOT)) for folder in sorted(folders)
            if not (folder / "__init__.py").is_file()
            or (any(folder.glob("*.pxd")) and not (folder / "__init__.pxd").is_file())] == []


def test_the_sdist_takes_every_kind_of_source_along() -> None:
    rules = (ROOT / "MANIFEST.in").read_text().splitlines()
    [rule] = [rule for rule in rules if rule.startswith("recursive-include mesh")]
    endings = {word.lstrip("*") for word in rule.split()[2:]}
    assert {path.suffix for top in ("mesh", "workers") for path in (ROOT / top).rglob("*")
            if path.is_file() and path.suffix not in (".c", ".so", ".pyc")} <= endings


def test_the_licence_is_in_the_repository_as_the_metadata_say() -> None:
    assert SETUP["metadata"]["license_expression"] == "Apache-2.0"
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_the_changelog_speaks_of_what_is_not_released_and_of_no_later_version_than_ours() -> None:
    versions = re.findall(r"^## \[?([^\]\s]+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[0] == "Unreleased"
    assert all(tuple(map(int, each.split("."))) <= tuple(map(int, VERSION.split("."))) for each in versions[1:])


def test_the_oldest_python_is_the_same_everywhere() -> None:
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    assert SETUP["options"]["python_requires"] == ">=3.11"
    assert tools["mypy"]["python_version"] == "3.11"
    assert tools["ruff"]["target-version"] == "py311"
    assert "sys.version_info < (3, 11)" in (ROOT / "scripts" / "env").read_text()


@pytest.mark.parametrize("script", [*(f"scripts/{name}" for name in SCRIPTS), ".ci/run"])
def test_a_script_can_be_run_and_is_bash(script: str) -> None:
    path = ROOT / script
    assert os.access(path, os.X_OK)
    assert path.read_text().startswith("#!/usr/bin/env bash\n")
    subprocess.run(["bash", "-n", path], check=True)


def test_ci_runs_what_a_person_runs_and_nothing_else() -> None:
    lines = [line for line in (ROOT / ".ci" / "run").read_text().splitlines() if line and not line.startswith("#")]
    assert lines == ["set -eu", 'cd "$(dirname "$0")/.."', "./scripts/check", "exec ./scripts/test"]
