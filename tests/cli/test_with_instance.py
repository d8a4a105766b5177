"""status, explain and reload beside a running instance, and run itself."""
from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner
from instances import ROOT, Instance, until

from workers.cli import main

GOOD = """\
http:
  routers:
    web: {rule: "Host(`a.example`)", service: shop}
  services:
    shop: {loadBalancer: {servers: [{url: "http://127.0.0.1:9"}]}}
"""


def test_an_instance_is_seen_asked_reloaded_and_stopped(instance: Instance) -> None:
    """One story, because each instance costs seconds: every step is what an operator would do next."""
    (instance.conf / "shop.yml").write_text(GOOD)
    assert instance.hostmesh("status").exit_code == 1, "before it ever ran"
    assert "start it with: hostmesh run" in instance.hostmesh("status").stdout
    instance.start()

    until(lambda: instance.status()["good"], "good")
    told = instance.hostmesh("status")
    assert told.exit_code == 0
    for words in ("on host-a: good, up", "workers     1 of 1", "routers     1", "services    1", "requests    0"):
        assert words in told.stdout
    assert re.search(r"\n  web         127\.0\.0\.1:[1-9]", told.stdout)

    # explain answers from what it serves, not from the files: an edit that is refused changes nothing
    (instance.conf / "shop.yml").write_text(GOOD.replace("Host(`a.example`)", "Hots(`b.example`)"))
    until(lambda: instance.status()["problems"], "the error")
    told = instance.hostmesh("explain", "GET", "http://a.example/")
    assert told.exit_code == 0
    assert "as the running instance serves it (pid " in told.stdout
    told = instance.hostmesh("status")
    assert told.exit_code == 1
    assert "! the configuration has 1 error" in told.stdout
    assert f'{instance.conf}/shop.yml:3:18: error: http.routers.web: rule: there is no matcher Hots' in told.stdout
    assert '    3 |     web: {rule: "Hots(`b.example`)", service: shop}' in told.stdout

    # reload: what is wrong is told here and never reaches the master; what is good is taken up
    instance.say_static("entrypoint: {}\n")
    told = instance.hostmesh("reload")
    assert told.exit_code == 1
    assert 'entrypoint is not a known field (did you mean "entryPoints"?)' in told.stdout
    assert "refused: everything serves on as before" in told.stdout
    instance.say_static("log: {level: DEBUG}\n")
    told = instance.hostmesh("reload", "--json")
    assert told.exit_code == 0, told.stdout
    assert json.loads(told.stdout)["message"].startswith("taken up by the master")
    assert instance.status()["master"]["staticReloads"] >= 1

    assert instance.stop() == 0
    told = instance.hostmesh("status")
    assert told.exit_code == 1
    assert "hostmesh does not run" in told.stdout
    told = instance.hostmesh("reload")
    assert told.exit_code == 1
    assert "no hostmesh runs on" in told.stdout
    told = instance.hostmesh("explain", "GET", "http://a.example/")
    assert "as the files are now" in told.stdout


def test_a_second_instance_on_the_same_directory_is_refused(instance: Instance) -> None:
    instance.start()
    told = subprocess.run([sys.executable, "-m", "workers.cli", "run", "--config", str(instance.config)], cwd=ROOT,
                          capture_output=True, text=True, timeout=60)
    assert told.returncode == 1
    assert "another hostmesh (pid" in told.stderr


def test_run_refuses_a_broken_static_file_with_every_problem(tmp_path: Path) -> None:
    file = tmp_path / "hostmesh.yml"
    file.write_text("entrypoint: {}\nhost: {workers: 0}\n")
    result = CliRunner().invoke(main, ["run", "--config", str(file)])
    assert result.exit_code == 1
    assert f'{file}:1:1: error: entrypoint is not a known field (did you mean "entryPoints"?)' in result.stderr
    assert f"{file}:2:17: error: host.workers: \"0\" is out of bounds; wanted 1 to 512" in result.stderr
    assert "nothing was started" in result.stderr
