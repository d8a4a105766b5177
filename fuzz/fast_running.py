"""The form that is guided by coverage: libFuzzer over fast.pyx, one process for each target.

The process (`python -m fuzz.fast_running LIBRARY TARGET ...`) takes the scanners from the library that fuzz/building.py
made, not from the tree.  libFuzzer ends the process; so findings go to a file, each kind once, made short already.
"""
from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from importlib.machinery import ExtensionFileLoader
from pathlib import Path
from typing import Any

from fuzz import ROOT
from fuzz.building import BUILD, MODULES, CannotBuild, built, sanitizer

NUMBERS = {"request": 0, "response": 1, "body": 2}
LONGEST = 700               # bytes of a message: what is long is for the corpus to test


def run_fast(targets: tuple[str, ...], seed: int, executions: int, for_s: float, corpus: Path, sanitized: bool) -> int:
    """As fuzz.__main__.main; seconds are of the clock."""
    try:
        library = built(sanitized)
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        if sanitized:
            environ |= {"LD_PRELOAD": sanitizer(), "PYTHONMALLOC": "malloc",
                        "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1:handle_segv=1"}
    except CannotBuild as error:
        print(error, file=sys.stderr)
        return 2
    bad = 0
    for target in targets:
        kept = corpus / f"{target}"
        kept.mkdir(parents=True, exist_ok=True)
        findings = BUILD / f"findings-{target}.jsonl"
        findings.unlink(missing_ok=True)
        process = subprocess.Popen(
            [sys.executable, "-m", "fuzz.fast_running", str(library), target, str(findings), str(kept),
             f"-seed={seed % (1 << 31)}", f"-runs={executions or -1}",
             f"-max_total_time={int(for_s)}", f"-max_len={LONGEST}", "-timeout=20",
             "-print_final_stats=1", f"-artifact_prefix={BUILD}/", f"-dict={dictionary()}", "-reload=0"],
            cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        assert process.stdout is not None
        last: list[str] = []
        for line in process.stdout:
            last = [*last[-60:], line]
            if line.startswith("#") and "pulse" in line:
                print(f"{target}: {line.rstrip()}", file=sys.stderr, flush=True)
        ended = process.wait()
        said = dict(re.findall(r"stat::(\w+):\s+(\d+)", "".join(last)))
        print(f"{target}: {int(said.get('number_of_executed_units', 0)):,} executions, "
              f"{int(said.get('average_exec_per_sec', 0)):,}/s, {said.get('new_units_added', 0)} kept (seed {seed}, "
              f"{'sanitized' if sanitized else 'not sanitized'})", flush=True)
        told = [json.loads(line) for line in findings.read_text().splitlines()] if findings.is_file() else []
        for each in told:
            print(f"\nFOUND: {each['what']}\n{bytes.fromhex(each['message'])!r}\n"
                  f"-- as a case, for tests/corpus/http1:\n{each['case']}")
        if ended:
            print(f"\nFOUND: the process ended with {ended}; the message is in {BUILD}\n{''.join(last)}")
        bad += len(told) + bool(ended)
    return 1 if bad else 0


def dictionary() -> Path:
    """What mutations insert, as libFuzzer reads it."""
    from fuzz.mutations import MORE

    path = BUILD / "words.dict"
    words = [word for word in MORE if 0 < len(word) < 60]
    path.write_text("".join('"' + "".join(f"\\x{byte:02x}" for byte in word) + '"\n' for word in words))
    return path


def load(library: str) -> Any:
    """The modules of the library, under their own names; the last of them."""
    module: Any = None
    for name in MODULES:
        loader = ExtensionFileLoader(name, library)
        spec = importlib.util.spec_from_file_location(name, library, loader=loader)
        assert spec is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        loader.exec_module(module)
    return module


def child(library: str, target: str, findings: str, kept: str, *words: str) -> int:
    fast = load(library)
    # what follows imports the scanners, which are the library's now
    from http1_others import by_llhttp

    from fuzz.checks import Finding, check_interim, check_request, check_response
    from fuzz.mutations import CHUNKED_HEAD, seeds
    from fuzz.running import as_case, shortest

    number = NUMBERS[target]
    known: set[str] = set()

    def is_listed(what: str, message: bytes) -> bool:
        """Differences from llhttp are Python's to judge: it has the list."""
        if not what.startswith("by_llhttp"):
            return False
        try:
            if target == "response":
                return check_interim(message) or check_response(message, b"GET", by_llhttp)
            return check_request(CHUNKED_HEAD + message if target == "body" else message, by_llhttp)
        except Finding:
            return False

    def judge(what: str, message: bytes) -> None:
        if is_listed(what, message) or what in known:
            return
        known.add(what)
        short = shortest(message, lambda less: fast.check(number, less) == what and not is_listed(what, less))
        with open(findings, "a") as file:
            file.write(json.dumps({"what": what, "message": short.hex(), "case": as_case(target, short, what)}) + "\n")

    def ended_by(unraisable: Any) -> None:
        judge(f"an exception that nobody hears: {unraisable.exc_value!r}", b"")
        os._exit(3)

    sys.unraisablehook = ended_by
    begun = BUILD / f"seeds-{target}"
    begun.mkdir(parents=True, exist_ok=True)
    for place, message in enumerate(seeds(target, LONGEST)):
        (begun / f"{place:04}").write_bytes(message)
    return int(fast.drive(number, [word.encode() for word in ("fuzz", *words, kept, str(begun))], judge))


if __name__ == "__main__":
    sys.exit(child(*sys.argv[1:]))
