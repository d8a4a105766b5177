"""The commands as such: what they are called, what a slip of the pen is told, what they cost to load."""
from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from mesh.names import VERSION
from workers.cli import main

ROOT = Path(__file__).resolve().parents[2]


def said(*words: str) -> Result:
    return CliRunner().invoke(main, words, prog_name="hostmesh")


def test_every_command_takes_config_and_has_a_sentence() -> None:
    for name, command in main.commands.items():
        assert any("--config" in each.opts for each in command.params), name
        assert command.help, name
        assert "..." not in command.get_short_help_str(limit=80), name


@pytest.mark.parametrize("words, hint", [
    (["chek"], 'did you mean "check"?'), (["verison"], 'did you mean "version"?'),
    (["check", "--jsno"], 'did you mean "--json"?'), (["run", "--confg", "x"], 'did you mean "--config"?'),
    (["--config", "x", "check"], "hostmesh COMMAND --config")])
def test_a_wrong_word_is_told_the_nearest_right_one(words: list[str], hint: str) -> None:
    result = said(*words)
    assert result.exit_code == 2
    assert hint in result.stderr


def test_a_word_like_nothing_is_told_without_a_guess() -> None:
    result = said("xyzzy")
    assert result.exit_code == 2
    assert '"xyzzy" is not a command' in result.stderr
    assert "did you mean" not in result.stderr


def test_version_is_one_line_and_json() -> None:
    assert said("version").stdout.startswith(f"hostmesh {VERSION} (Python 3.")
    assert json.loads(said("version", "--json").stdout)["version"] == VERSION
    assert said("version", "--config", "anything.yml").exit_code == 0


def test_version_loads_nothing_of_the_data_path() -> None:
    code = ("import sys; from workers.cli import main; main(['version'], standalone_mode=False)\n"
            "heavy = {'gevent', 'gunicorn', 're2', 'yaml', 'watchdog', 'prometheus_client'} & set(sys.modules)\n"
            "assert not heavy, heavy")
    done = subprocess.run([sys.executable, "-c", f"try:\n {code.splitlines()[0]}\nexcept SystemExit: pass\n"
                           + "\n".join(code.splitlines()[1:])], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_its_completion_from_the_program(shell: str) -> None:
    result = CliRunner().invoke(main, [], prog_name="hostmesh", env={"_HOSTMESH_COMPLETE": f"{shell}_source"})
    assert result.exit_code == 0
    assert "_HOSTMESH_COMPLETE" in result.stdout


def test_commands_and_options_are_completed() -> None:
    env = {"_HOSTMESH_COMPLETE": "bash_complete", "COMP_WORDS": "hostmesh ch", "COMP_CWORD": "1"}
    assert "check" in CliRunner().invoke(main, [], prog_name="hostmesh", env=env).stdout
    env = {"_HOSTMESH_COMPLETE": "bash_complete", "COMP_WORDS": "hostmesh check --js", "COMP_CWORD": "2"}
    assert "--json" in CliRunner().invoke(main, [], prog_name="hostmesh", env=env).stdout


def test_help_fits_a_terminal() -> None:
    for name in main.commands:
        text = said(name, "--help").stdout
        assert all(len(line) <= 110 for line in text.splitlines()), name
    assert isinstance(main, click.Group)
