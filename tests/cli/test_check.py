"""hostmesh check: what it prints about files, and its exit codes."""
from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from workers.cli import main

GOOD = """\
http:
  routers:
    web: {rule: "Host(`a.example`)", service: shop}
  services:
    shop: {loadBalancer: {servers: [{url: "http://10.0.0.1:80"}]}}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A static file beside its conf.d."""
    (tmp_path / "conf.d").mkdir()
    file = tmp_path / "hostmesh.yml"
    file.write_text(f'entryPoints: {{web: {{address: "127.0.0.1:0"}}}}\nruntimeDirectory: {tmp_path}/run\n')
    return file


def check(*words: str | Path, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(main, ["check", *map(str, words)], env=env)


def test_good_files_are_counted(config: Path) -> None:
    (config.parent / "conf.d" / "shop.yml").write_text(GOOD)
    result = check("--config", config)
    assert result.exit_code == 0, result.output
    assert result.stdout == "good: 1 file; 1 router and 1 service would serve\n"


def test_a_problem_is_shown_with_its_line_and_a_mark_under_its_column(config: Path) -> None:
    file = config.parent / "conf.d" / "shop.yml"
    file.write_text(GOOD.replace("service: shop}", "service: chop}"))
    result = check("--config", config)
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        f'{file}:3:47: error: http.routers.web: service "chop" is not defined (did you mean "shop"?)',
        '    3 |     web: {rule: "Host(`a.example`)", service: chop}',
        "      |" + " " * 47 + "^",
        "refused: 1 error; 1 file; 0 routers and 1 service would serve"]


def test_a_static_file_that_is_refused_is_told_whole(config: Path) -> None:
    config.write_text("entrypoint: {}\nhost: {workers: many}\n")
    result = check("--config", config)
    assert result.exit_code == 1
    assert f"{config}:1:1: error: entrypoint is not a known field (did you mean \"entryPoints\"?)" in result.stdout
    assert f"{config}:2:17: error: host.workers: \"many\" is not a whole number from 1 to 512" in result.stdout
    assert "nothing would be started" in result.stdout


def test_a_config_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    result = check("--config", tmp_path / "no.yml")
    assert result.exit_code == 1
    assert "no.yml: error: cannot be read: no such file or directory" in result.stdout


def test_warnings_do_not_refuse(config: Path) -> None:
    config.write_text("tracing: {}\n")
    result = check("--config", config)
    assert result.exit_code == 0
    assert "tracing is not supported yet and has no effect" in result.stdout
    assert result.stdout.endswith("would serve\n")


def test_named_files_and_directories_are_checked_together_and_alone(config: Path) -> None:
    (config.parent / "conf.d" / "broken.yml").write_text("http: [")
    other = config.parent / "other"
    other.mkdir()
    (other / "routers.toml").write_text("[http.routers.web]\nrule = 'Host(`a.example`)'\nservice = 'shop'\n")
    services = config.parent / "services.yml"
    services.write_text("http: {services: {shop: {loadBalancer: {}}}}\n")
    assert check("--config", config, other, services).exit_code == 0
    alone = check("--config", config, other)
    assert alone.exit_code == 1
    assert 'service "shop" is not defined' in alone.stdout


def test_a_named_file_that_is_not_there_is_an_error(config: Path) -> None:
    result = check("--config", config, config.parent / "no.yml")
    assert result.exit_code == 1
    assert "no.yml: error: cannot be read: no such file or directory" in result.stdout


def test_json_says_the_same(config: Path) -> None:
    file = config.parent / "conf.d" / "shop.yml"
    file.write_text(GOOD.replace("service: shop}", "service: chop}"))
    result = check("--config", config, "--json")
    said = json.loads(result.stdout)
    assert result.exit_code == 1
    assert (said["good"], said["files"], said["serves"]["services"]) == (False, [str(file)], 1)
    [problem] = said["problems"]
    assert (problem["file"], problem["line"], problem["column"], problem["severity"], problem["object"]) == (
        str(file), 3, 47, "error", "http.routers.web")
    assert (problem["message"], problem["code"], problem["hint"]) == (
        'service "chop" is not defined', "reference", 'did you mean "shop"?')


def test_what_a_file_holds_cannot_move_the_cursor(config: Path) -> None:
    (config.parent / "conf.d" / "odd.yml").write_bytes(b'http: {routers: {"a\x1b[2Jb": 1}}\n')
    assert "\x1b" not in check("--config", config).stdout


def test_colour_is_for_terminals_alone(config: Path) -> None:
    (config.parent / "conf.d" / "odd.yml").write_text("http: 1\n")
    assert "\x1b" not in check("--config", config, env={"FORCE_COLOR": "1"}).stdout
