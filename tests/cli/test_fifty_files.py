"""A directory of fifty files of which one is broken, in every way that people break files."""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from mesh.model import Static
from workers.agent.sources import Sources
from workers.cli import main
from workers.machine import read_static

COUNT, BROKEN = 50, 25


def text(number: int) -> str:
    return (f"http:\n"
            f"  routers:\n"
            f'    r{number}: {{rule: "Host(`h{number}.example`)", service: s{number}}}\n'
            f"  services:\n"
            f"    s{number}:\n"
            f"      loadBalancer:\n"
            f"        servers:\n"
            f'          - url: "http://10.0.0.{number}:8080"\n')


GOOD = text(BROKEN)



def say(new: str | bytes) -> Callable[[Path], object]:
    data = new if isinstance(new, bytes) else new.encode()
    return lambda file: file.write_bytes(data)


def edit(old: str, new: str) -> Callable[[Path], object]:
    assert GOOD.count(old) == 1
    return say(GOOD.replace(old, new))


def directory(file: Path) -> None:
    file.unlink()
    file.mkdir()


def dangling(file: Path) -> None:
    file.unlink()
    file.symlink_to("nowhere.yml")


# How it is broken; where check says so (line:column, "" for the file as a whole), and what it says.
WAYS: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "a tab": (edit("    s25:", "\ts25:"), "5:1", "a tab stands here (YAML is indented with spaces)"),
    "an open quote": (edit('example`)"', "example`)"), "3:17", "the quote that begins here goes on to line 8"),
    "an open quote at the end": (edit(':8080"', ":8080"), "8:18", "the quote that begins here is never closed"),
    "a flow mapping that is not closed": (edit("service: s25}", "service: s25"), "4:11", "wanted , or } here"),
    "a wrong indentation": (edit("      loadBalancer:", "   loadBalancer:"), "6:4", "wanted a key here"),
    "an unknown section": (edit("  routers:", "  ruoters:"), "2:3", '(did you mean "routers"?)'),
    "an unknown field": (edit("service: s25}", "servise: s25}"), "3:40", '(did you mean "service"?)'),
    "a wrong type": (edit("service: s25}", "service: [s25]}"), "3:49", "service: wanted the name of a service"),
    "a wrong rule": (edit("Host(`h25", "Hots(`h25"), "3:18", 'there is no matcher Hots (did you mean "Host"?)'),
    "an unknown service": (edit("service: s25}", "service: s25x}"), "3:49", 'service "s25x" is not defined'),
    "a key said twice": (edit("service: s25}", "service: s25, service: s1}"), "3:54", "service is said twice"),
    "a wrong url": (edit("http://10.0.0.25:8080", "10.0.0.25:8080"), "8:18", '(did you mean "http://10.0.0.25:8080"?)'),
    "another language": (say("[http.routers.r25]\nrule = 1\n"), "2:1", "this is not YAML"),
    "no mapping": (say("- http\n"), "1:1", "the file is a list; wanted keys such as `http:`"),
    "empty": (say(""), "", "the file is empty (delete it, or write `http: {}`, to take its routes away)"),
    "comments alone": (say("# http:\n"), "", "the file is empty"),
    "a key with nothing behind it": (say("http:\n"), "1:6", "nothing stands here (write `http: {}` if you mean none)"),
    "binary": (say(b"\x7fELF\x02\x01\x01\x00\xff\xfe\x00"), "1:", "this is not UTF-8 text"),
    "zeros, as after a power cut": (say(b"\0" * 300), "1:1", "the character U+0000 has no place in a YAML file"),
    "half-written": (say(GOOD[:GOOD.index("service:") + 9]), "3:", "this is not YAML"),
    "half-written after a whole line": (say(GOOD[:GOOD.index("  services:") + 12]), "4:12", "nothing stands here"),
    "a directory in its place": (directory, "", "is a directory"),
    "a link to nowhere": (dangling, "", "cannot be read"),
}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "conf.d").mkdir()
    for number in range(COUNT):
        (tmp_path / "conf.d" / f"f{number:02}.yml").write_text(text(number))
    file = tmp_path / "hostmesh.yml"
    file.write_text('entryPoints: {web: {address: "127.0.0.1:0"}}\n')
    return file


@pytest.fixture
def static(config: Path) -> Static:
    return read_static(str(config))[0]


@pytest.mark.parametrize("way", WAYS)
def test_all_fifty_serve_and_the_error_is_shown_with_its_place(config: Path, static: Static, way: str) -> None:
    how, place, words = WAYS[way]
    sources = Sources(static)
    sources.look(0.0, anyway=True)
    assert len(sources.settle().dynamic.routers) == COUNT

    file = config.parent / "conf.d" / f"f{BROKEN}.yml"
    how(file)
    sources.look(100.0, anyway=True)
    settled = sources.settle()
    assert not settled.is_good
    assert {problem.place.file for problem in settled.problems} == {str(file)}
    hosts = {router.rule for router in settled.dynamic.routers.values()}
    assert hosts == {f"Host(`h{number}.example`)" for number in range(COUNT)}, "the last good version serves"
    assert settled.dynamic.services["s25@file"].how.servers[0].url == "http://10.0.0.25:8080"

    told = CliRunner().invoke(main, ["check", "--config", str(config)])
    assert told.exit_code == 1
    lines = [line for line in told.stdout.splitlines() if line.startswith(str(file))]
    assert any(line.startswith(f"{file}:{place}" if place else f"{file}: ") and words in line for line in lines), lines
    assert told.stdout.splitlines()[-1].startswith("refused: ")

    # and when it is mended, all is well again
    if file.is_dir():
        file.rmdir()
    file.unlink(missing_ok=True)
    file.write_text(GOOD)
    sources.look(200.0, anyway=True)
    assert sources.settle().is_good
