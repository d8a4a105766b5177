"""scripts/fuzz starts and finds what there is to find; its parts; and docs/conformance.md names tests that exist."""
from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from http1_cases import cases, read
from http1_others import by_h11, by_llhttp
from http1_reading import read_request

from fuzz import ROOT, checks, running
from fuzz.__main__ import main
from fuzz.checks import Finding, check_body, check_request, check_written_request
from fuzz.differences import why_it_differs
from fuzz.mutations import edited, mutated, seeds
from fuzz.running import as_case, corpus_of, run, shortest

CONFORMANCE = ROOT / "docs" / "conformance.md"
KEPT = {"kept", "stricter", "otherwise", "not applicable"}


@pytest.mark.parametrize("target", running.TARGETS)
def test_two_thousand_executions_find_nothing(target: str) -> None:
    report = run(target, seed=1, executions=2000)
    assert report.executions == 2000
    assert report.findings == {}
    assert f"{target}: 2,000 executions" in str(report)


def test_a_run_is_told_by_its_seed() -> None:
    known = seeds("request")
    one, same, other = ([mutated(rng, known[number % len(known)], known) for number in range(50)]
                        for rng in (random.Random(1), random.Random(1), random.Random(2)))
    assert one == same != other


def test_every_target_begins_with_messages_of_the_corpus() -> None:
    assert {target: len(seeds(target)) > 50 for target in running.TARGETS} == dict.fromkeys(running.TARGETS, True)


def test_what_is_new_is_kept_and_used_by_the_next_run(tmp_path: Path) -> None:
    first = run("request", seed=3, executions=1500, folder=tmp_path)
    assert first.kept == len(list((tmp_path / "request").iterdir())) > 0
    assert len(corpus_of("request", tmp_path)) == len(seeds("request")) + first.kept


def test_a_disagreement_is_told_once_short_and_as_a_case(monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
                                                        capsys: pytest.CaptureFixture[str]) -> None:
    # a reader that is wrong: with it every message with a field X-Odd is read otherwise
    def by_nobody(message: bytes, is_request: bool = True) -> object:
        heard = by_llhttp(message, is_request)
        return heard if heard is None or b"X:" not in message else (heard[0], b"/elsewhere", *heard[2:])

    monkeypatch.setattr(running, "by_llhttp", by_nobody)
    assert main(["--executions", "1200", "--seed", "5", "--target", "request", "--corpus", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert said.count("FOUND: by_nobody reads another target") == 1
    case = read(said.partition("for tests/corpus/http1:\n")[2].partition("\nFOUND")[0].rstrip() + "\n", "request/new")
    assert b"X:" in case.message
    assert len(case.message) < 60


def test_an_exception_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(message: bytes, *_: object) -> None:
        if b"Host" in message:
            raise ZeroDivisionError("of ours")

    monkeypatch.setattr(running, "check_reset", breaks)
    report = run("request", seed=1, executions=50)
    assert report.findings == {"ZeroDivisionError: of ours": b"Host"}


def test_shortest_leaves_out_all_that_is_not_needed() -> None:
    assert shortest(b"a needle in a haystack, and hay", lambda less: b"needle" in less) == b"needle"


def test_edits_are_made_one_after_another() -> None:
    assert edited(b"abc", [(1, 1, b"XY"), (4, 0, b"!")]) == b"aXYc!"


@pytest.mark.parametrize("message", [b"a*2}\\{\x00\xff\r\n\tb\n", b"", b"\r\n\r\n"])
def test_a_case_is_read_as_the_message_that_it_was_made_of(message: bytes) -> None:
    assert read(as_case("request", message, "a story"), "request/new").message == message


@pytest.mark.parametrize("wrong", [
    lambda facts: {**facts, "method": b"PUT"}, lambda facts: {**facts, "body": b"others"},
    lambda facts: {**facts, "lines": facts["lines"][1:]}])
def test_a_wrong_reading_of_ours_is_found(wrong: object, monkeypatch: pytest.MonkeyPatch) -> None:
    message = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"

    def misread(message: bytes, *given: object, **said: object) -> tuple[object, ...]:
        became, facts, end = read_request(message)
        return became, wrong(facts), end                # type: ignore[operator]

    for reader in (by_llhttp, by_h11):
        assert check_request(message, reader)
    monkeypatch.setattr(checks, "read_request", misread)
    for reader in (by_llhttp, by_h11):
        with pytest.raises(Finding):
            check_request(message, reader)


def test_a_payload_that_is_not_what_the_chunks_hold_is_found() -> None:
    message = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
    outcome = read_request(message)
    check_body(message, outcome)
    with pytest.raises(Finding, match="the payload is not"):
        check_body(message, (outcome[0], {**outcome[1], "body": b"ho"}, outcome[2]))


def test_a_hop_by_hop_field_that_is_passed_on_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    message = b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n"
    assert check_written_request(message)
    written = checks.written_request
    for added in (b"Keep-Alive: 1\r\n", b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", b"Y: z\r\n"):
        monkeypatch.setattr(checks, "written_request",
                            lambda *given, added=added: written(*given)[:-2] + added + b"\r\n")
        with pytest.raises(Finding):
            check_written_request(message)


def test_a_listed_difference_is_counted_by_its_name() -> None:
    seen: Counter[str] = Counter()
    assert check_request(b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", by_llhttp, seen)
    assert seen == {"an unknown method": 1}
    assert why_it_differs(b"GET / HTTP/1.1\r\n\r\n", {"method": b"GET", "lines": [], "chunked": False, "length": -1},
                          by_llhttp, True) is None


def test_the_script_is_bash_and_starts(tmp_path: Path) -> None:
    script = ROOT / "scripts" / "fuzz"
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", str(script)], check=True)
    words = ["--executions", "20", "--seed", "1", "--corpus", str(tmp_path)]
    said = subprocess.run([sys.executable, "-m", "fuzz", *words], cwd=ROOT, capture_output=True, text=True, check=True)
    told = [line.split()[0] for line in said.stdout.splitlines() if "executions" in line]
    assert told == ["request:", "response:", "body:"]


def test_a_word_that_is_none_is_a_usage_error() -> None:
    said = subprocess.run([sys.executable, "-m", "fuzz", "--target", "everything"], cwd=ROOT, capture_output=True)
    assert said.returncode == 2


# docs/conformance.md

def rows() -> list[tuple[str, str, str, str]]:
    """(what, section, whether it is kept, what holds it) of every table."""
    demands = CONFORMANCE.read_text().partition("\n## The fuzz")[0]
    lines = [line for line in demands.splitlines() if line.startswith("| ")]
    cells = [tuple(cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]) for line in lines]
    return [cell for cell in cells if len(cell) == 4 and cell[2] not in ("", "---") and cell[0] != "requirement"]


def test_conformance_has_a_row_for_every_requirement_and_says_of_each_whether_it_is_kept() -> None:
    assert len(rows()) >= 80
    assert {kept for _, _, kept, _ in rows()} <= KEPT
    section = re.compile(r"911[02] [\d.]+(, 911[02] [\d.]+)*")
    assert [what for what, said, _, _ in rows() if not section.fullmatch(said)] == []


def test_what_is_said_to_be_kept_names_a_test_or_a_case() -> None:
    assert [what for what, _, kept, held in rows() if kept != "not applicable" and "`" not in held] == []


def test_every_test_and_case_that_conformance_names_exists() -> None:
    known = {case.name for kind in ("request", "response") for case in cases(kind)}
    missing = []
    for _, _, _, held in rows():
        for name in re.findall(r"`([^`\s]+/[^`\s]+)`", held):
            path, _, test = name.partition("::")
            if not test:
                missing += [name] if name not in known else []
            elif not (ROOT / "tests" / path).is_file() or f"def {test}(" not in (ROOT / "tests" / path).read_text():
                missing.append(name)
    assert missing == []
