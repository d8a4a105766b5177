"""The command line of `scripts/fuzz`."""
from __future__ import annotations

import argparse
import random
import sys
from pathlib import Path

from fuzz import ROOT
from fuzz.running import TARGETS, Run, as_case, run


def main(words: list[str] | None = None) -> int:
    """0: nothing was found.  1: something was.  2: usage."""
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=(
        "Differential fuzzing of mesh/http1 against llhttp and h11. Ends with 1 and the shortest message of each kind "
        "where something does not hold that fuzz/differences.py does not list."))
    how_long = parser.add_mutually_exclusive_group()
    how_long.add_argument("--for", dest="for_s", type=float, metavar="SECONDS",
                          help="of processor time, for each target (of the clock with --fast)")
    how_long.add_argument("--executions", type=int, metavar="N", help="for each target (default 20000)")
    parser.add_argument("--seed", type=int, help="tells the whole run; a new one by default")
    parser.add_argument("--target", choices=(*TARGETS, "all"), default="all")
    parser.add_argument("--corpus", type=Path, default=ROOT / "build" / "fuzz" / "corpus", metavar="DIR",
                        help="messages that are kept between runs (default build/fuzz/corpus)")
    parser.add_argument("--fast", action="store_true", help=(
        "guided by coverage, in C, against llhttp only, under Address- and UndefinedBehaviorSanitizer: needs clang"))
    parser.add_argument("--plain", action="store_true", help="with --fast: without the sanitizers")
    said = parser.parse_args(words)
    executions = said.executions or (0 if said.for_s else 20000)
    seed = random.SystemRandom().randrange(1 << 31) if said.seed is None else said.seed
    found = 0
    if said.fast:
        from fuzz.fast_running import run_fast  # it needs what the others do not
        return run_fast(TARGETS if said.target == "all" else (said.target,), seed, executions, said.for_s or 0.0,
                        said.corpus / "fast", not said.plain)
    for target in TARGETS if said.target == "all" else (said.target,):
        report = run(target, seed, executions, said.for_s or 0.0, said.corpus, _told)
        print(report, flush=True)
        for name, times in sorted(report.differences.items()):
            print(f"    listed: {name}, {times} times")
        for what, message in report.findings.items():
            print(f"\nFOUND: {what}\n{message!r}\n-- as a case, for tests/corpus/http1:")
            print(as_case(target, message, what))
        found += len(report.findings)
    return 1 if found else 0


def _told(report: Run) -> None:
    print(report, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
