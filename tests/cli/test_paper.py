"""How things look: colours for a terminal alone, and the mark under the column."""
from __future__ import annotations

import io
from pathlib import Path

import pytest

from mesh.errors import Place, Problem
from workers.commands.paper import Paper
from workers.commands.status import show, span


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def printed(problem: Problem, colored: bool = False) -> list[str]:
    stream = io.StringIO()
    Paper(stream, colored).problem(problem)
    return stream.getvalue().splitlines()


@pytest.mark.parametrize("environ, colored", [
    ({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)])
def test_a_terminal_has_colours_unless_they_are_not_wanted(
        monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], colored: bool) -> None:
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert Paper(Terminal()).is_colored is colored
    assert Paper(io.StringIO()).is_colored is False


def test_colours_do_not_change_the_words() -> None:
    problem = Problem(Place("/no/such.yml", 1, 2), "http.routers.a", "is wrong", hint="try again")
    assert printed(problem) == ["/no/such.yml:1:2: error: http.routers.a: is wrong (try again)"]
    assert "\x1b[" in printed(problem, colored=True)[0]


@pytest.mark.parametrize("line, column, mark", [
    ("abc: def", 6, "     ^"), ("\ta: b", 2, "\t^"), ("abc", 1, "^"), ("abc", 0, "^"), ("abc", 4, "   ^")])
def test_the_mark_stands_under_its_column(tmp_path: Path, line: str, column: int, mark: str) -> None:
    file = tmp_path / "a.yml"
    file.write_text(f"first\n{line}\n")
    assert printed(Problem(Place(str(file), 2, column), "", "wrong"))[1:] == [f"    2 | {line}", f"      | {mark}"]


def test_a_long_line_is_cut_around_the_mark(tmp_path: Path) -> None:
    file = tmp_path / "a.yml"
    file.write_text("x" * 5000 + "WRONG" + "y" * 5000 + "\n")
    _, source, mark = printed(Problem(Place(str(file), 1, 5001), "", "wrong"))
    assert len(source) < 180
    assert source[mark.index("^"):].startswith("WRONG")


def test_control_characters_of_a_file_are_not_sent_to_a_terminal(tmp_path: Path) -> None:
    file = tmp_path / "a.yml"
    file.write_bytes(b"a: \x1b[2J\x07\n")
    assert all(line.isprintable() for line in printed(Problem(Place(str(file), 1, 4), "", "wrong"))[1:])


def test_a_file_that_is_gone_or_shorter_now_is_told_without_its_line(tmp_path: Path) -> None:
    file = tmp_path / "a.yml"
    file.write_text("one\n")
    assert len(printed(Problem(Place(str(file), 9, 1), "", "wrong"))) == 1
    assert len(printed(Problem(Place(str(tmp_path / "no"), 1, 1), "", "wrong"))) == 1


@pytest.mark.parametrize("seconds, words", [
    (0.4, "0 s"), (59.9, "59 s"), (60, "1 min"), (3599, "59 min"), (3600 * 5 + 720, "5 h 12 min"),
    (86400 * 3, "3 d 0 h")])
def test_a_span_is_told_as_people_tell_it(seconds: float, words: str) -> None:
    assert span(seconds) == words


def test_a_status_with_everything_wrong_is_told_whole() -> None:
    problem = {"severity": "error", "code": "rule", "file": "/d/a.yml", "line": 1, "column": 2,
               "object": "http.routers.a", "message": "is wrong", "hint": "try again"}
    worker = {"number": 3, "pid": 7, "alive": False, "generation": 2, "connections": 1, "draining": True,
              "beatAgeSeconds": 9.0}
    stream = io.StringIO()
    show(Paper(stream), {
        "product": "hostmesh", "version": "0.1.0", "host": "", "good": False, "why": ["the agent does not run"],
        "upSeconds": None, "staticFile": "/e/hostmesh.yml", "entryPoints": {}, "admin": "",
        "master": {"pid": 5, "alive": True, "staticReloads": 1, "staticRefused": 2},
        "agent": {"pid": 0, "alive": False, "starts": 4, "beatAgeSeconds": None}, "workersWanted": 2, "workerDeaths": 1,
        "workers": [worker], "generation": 1, "published": "", "reloads": 0, "reloadFailures": 3,
        "objects": {"routers": {"total": 5, "warnings": 1, "errors": 2}}, "connections": 1,
        "requests": {"total": 1234, "errors": 5, "retries": 6}, "accessLogDropped": 8, "redis": "away",
        "files": [{"file": "/d/b.yml", "state": "ok"}, {"file": "/d/a.yml", "state": "error"}], "problems": [problem]})
    told = stream.getvalue()
    for words in ("on ?: not good\n", "! the agent does not run", "refused: 2", "pid 0 (gone), started 4 times",
                  "0 of 2, died unasked: 1", "leaving, 1 connection", "(admin)     off", "(redis)     away",
                  "with errors: 3",
                  "5 (2 do not serve, 1 warning)", "1,234, 5 answered 5xx, 6 retries", "8 lines could not be written",
                  "/d/a.yml:1:2: error: http.routers.a: is wrong (try again)"):
        assert words in told, words
    assert told.index("error       /d/a.yml") < told.index("ok          /d/b.yml")


def test_what_others_wrote_moves_no_cursor() -> None:
    stream = Terminal()
    paper = Paper(stream, True)
    paper.line(f"by {paper.painted('ann', fg='red')}\t\x1b[2J\x1b]0;title\x07\x9b1A")
    assert stream.getvalue() == "by \x1b[31mann\x1b[0m\t?[2J?]0;title??1A\n"


def test_a_letter_that_the_terminal_does_not_have_ends_no_command() -> None:
    below = io.BytesIO()
    stream = io.TextIOWrapper(below, "ascii")
    Paper(stream).line("L\xfcfter")
    stream.flush()
    assert below.getvalue() == b"L?fter\n"
