"""A run: messages are made, everything is checked, findings are made short and told as cases of the corpus.

A run is told by its seed and its corpus.  Findings are known by what does not hold, not by their bytes, so each is told
once.  The kept corpus grows by messages whose outcome (what became of them, why, which facts) had not been seen.
"""
from __future__ import annotations

import hashlib
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from http1_others import by_h11, by_llhttp
from http1_reading import read_request, read_response

from fuzz.checks import (
    Finding,
    check_body,
    check_cuts,
    check_interim,
    check_request,
    check_reset,
    check_response,
    check_written_request,
    check_written_response,
)
from fuzz.mutations import CHUNKED_HEAD, mutated, seeds

TARGETS = ("request", "response", "body")
KEPT_MOST = 20000           # messages of one target in a kept corpus
TELLING = ("chunked", "close", "upgrade", "expect_continue", "absolute", "asterisk", "until_close", "no_body", "minor",
           "status")


def some_cuts(rng: random.Random, length: int) -> list[int]:
    if rng.randrange(8) == 0 and length < 300:
        return list(range(1, length))
    return sorted(rng.randrange(length + 1) for _ in range(rng.randrange(1, 5)))


def check_one(target: str, message: bytes, rng: random.Random, seen: Counter[str]) -> tuple[Any, ...]:
    """Everything about one message; its outcome.  Raises Finding, or whatever a defect raises."""
    if target == "response":
        to = b"HEAD" if rng.randrange(6) == 0 else b"GET"

        def read(message: bytes, cuts: Any = ()) -> tuple[Any, ...]:
            return read_response(message, cuts, to)

        outcome = read(message)
        for reader in (by_llhttp, by_h11):
            check_response(message, to, reader, seen)
        check_interim(message, seen)
        check_written_response(message, to)
    else:
        read = read_request
        message = CHUNKED_HEAD + message if target == "body" else message
        outcome = read(message)
        for reader in (by_llhttp, by_h11):
            check_request(message, reader, seen)
        if target == "request" or rng.randrange(4) == 0:
            check_written_request(message)
    check_cuts(read, message, some_cuts(rng, len(message)))
    check_body(message, outcome)
    check_reset(message, target != "response")
    return outcome


def telling(outcome: tuple[Any, ...]) -> tuple[Any, ...]:
    """What makes an outcome another one than those before."""
    became, facts = outcome[:2]
    if became == "refuse":
        return became, facts
    return (became, frozenset(name.lower() for name in facts.get("hop", ())) if len(facts.get("hop", ())) < 4 else 4,
            bool(facts.get("trailers")), bool(facts.get("next")), len(facts.get("body", b"")).bit_length(),
            *(facts.get(name) for name in TELLING))


def found_by(target: str, message: bytes, seed: int) -> str | None:
    """What does not hold for a message, or None."""
    try:
        check_one(target, message, random.Random(seed), Counter())
    except Finding as finding:
        return str(finding.args[0])
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def shortest(message: bytes, still: Callable[[bytes], bool]) -> bytes:
    """A short message for which `still` holds, too: pieces are left out as long as that can be done."""
    size = len(message) // 2
    while size:
        at = 0
        while at < len(message):
            less = message[:at] + message[at + size:]
            if still(less):
                message = less
            else:
                at += size
        size //= 2
    return message


def escaped(message: bytes) -> str:
    """As files of the corpus write bytes."""
    plain = {9: "\\t", 13: "\\r", 92: "\\\\"}
    text = "".join("\\n\n" if byte == 10 else plain.get(byte) or
                   (chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}") for byte in message)
    return text.replace("*", "\\x2a").replace("\\{", "\\x5c{") if "*" in text and "}" in text else text


def as_case(target: str, message: bytes, what: str) -> str:
    """A file for tests/corpus/http1, but for what is to become of the message: that is for a person to say."""
    message = CHUNKED_HEAD + message if target == "body" else message
    kind = "response" if target == "response" else "request"
    return f"kind: {kind}\nstory: {what}\nexpect: refuse 400\n\n{escaped(message)}\n"


@dataclass
class Run:
    """What a run has done so far."""

    target: str
    seed: int
    executions: int = 0
    seconds: float = 0.0
    differences: Counter[str] = field(default_factory=Counter)
    findings: dict[str, bytes] = field(default_factory=dict)
    kept: int = 0

    def __str__(self) -> str:
        each = self.executions / self.seconds if self.seconds else 0
        return (f"{self.target}: {self.executions:,} executions, {each:,.0f}/s, {self.kept} kept, "
                f"{sum(self.differences.values())} listed differences, {len(self.findings)} found (seed {self.seed})")


def corpus_of(target: str, folder: Path | None) -> list[bytes]:
    """The project's corpus and, where there is one, the kept one."""
    known = seeds(target)
    if folder is not None and (folder / target).is_dir():
        known += [path.read_bytes() for path in sorted((folder / target).iterdir())[:KEPT_MOST]]
    return known


def messages(rng: random.Random, known: list[bytes]) -> Iterator[bytes]:
    """Each of the corpus as it is, then changed without end; `known` may grow meanwhile."""
    yield from list(known)
    while True:
        yield mutated(rng, rng.choice(known), known)


def run(target: str, seed: int, executions: int = 0, for_s: float = 0.0, folder: Path | None = None,
        tell: Callable[[Run], None] = lambda run: None) -> Run:
    """Until so many executions, or so many seconds of processor time, are over; `tell` is called every few seconds."""
    rng = random.Random(seed)
    known = corpus_of(target, folder)
    report = Run(target, seed)
    outcomes: set[Any] = set()
    began = told = time.process_time()
    for message in messages(rng, known):
        choice = rng.randrange(1 << 30)
        try:
            outcome = check_one(target, message, random.Random(choice), report.differences)
        except Exception:
            what = found_by(target, message, choice) or "only sometimes"
            if what not in report.findings:
                def still(less: bytes, what: str = what, choice: int = choice) -> bool:
                    return found_by(target, less, choice) == what
                report.findings[what] = shortest(message, still) if what != "only sometimes" else message
        else:
            mark = telling(outcome)
            if mark not in outcomes:
                outcomes.add(mark)
                if report.executions >= len(known) and len(known) < KEPT_MOST:
                    known.append(message)
                    report.kept += 1
                    keep(folder, target, message)
        report.executions += 1
        now = time.process_time()
        report.seconds = now - began
        if now - told > 10:
            told = now
            tell(report)
        if (executions and report.executions >= executions) or (for_s and report.seconds >= for_s):
            return report
    raise AssertionError("messages never end")


def keep(folder: Path | None, target: str, message: bytes) -> None:
    if folder is not None:
        (folder / target).mkdir(parents=True, exist_ok=True)
        (folder / target / hashlib.sha256(message).hexdigest()[:20]).write_bytes(message)
