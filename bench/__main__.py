"""The command line of the bench: which rows, which peers, how long; then the tables."""
from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from bench.bill import BILL
from bench.figures import Sample, in_turn, overview, table
from bench.former import TABLE
from bench.machine import cores, describe, raise_file_limit
from bench.peers.caddy import Caddy
from bench.peers.envoy import Envoy
from bench.peers.haproxy import HAProxy, HAProxySplicing
from bench.peers.nginx import Nginx
from bench.peers.ours import Ours
from bench.peers.peer import Peer
from bench.peers.traefik import Traefik
from bench.probes import PROBES
from bench.processes import BenchFailed
from bench.rows import BY_WRK, Bench, Row
from bench.shapes import SHAPES
from bench.trouble import TROUBLE
from bench.upstream import Upstream

KINDS: tuple[type[Peer], ...] = (Ours, Nginx, HAProxy, HAProxySplicing, Envoy, Traefik, Caddy)
ROWS: tuple[Row, ...] = (*BY_WRK, *SHAPES, *PROBES, *TROUBLE, TABLE, BILL)
SHORT_ROWS = ("plain", "10k", "1m", "post64k", "no-keepalive", "routers10k")
SHORT_PEERS = ("us", "nginx", "haproxy")


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description="CPU per request of hostmesh beside other proxies, in one run.",
        epilog=f"rows: {', '.join(row.name for row in ROWS)}; peers: {', '.join(kind.name for kind in KINDS)}")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--short", action="store_true",
                        help="about five minutes: the main rows beside nginx and HAProxy (done if nothing is said)")
    length.add_argument("--full", action="store_true", help="every row beside every peer; about an hour")
    parser.add_argument("--rows", type=_words, metavar="A,B", help="these rows only")
    parser.add_argument("--only", type=_words, metavar="A,B", help="these peers only")
    parser.add_argument("--rounds", type=int, metavar="N", help="how often everything is measured (3; with --full 5)")
    parser.add_argument("--seconds", type=float, metavar="S", help="how long each load lasts (3; with --full 5)")
    parser.add_argument("--json", metavar="FILE", help="also write every sample there (- is standard output, instead of"
                                                       " the tables)")
    said = parser.parse_args(argv)
    said.rows = _chosen(parser, said.rows, [row.name for row in ROWS], SHORT_ROWS, said.full, "a row")
    said.only = _chosen(parser, said.only, [kind.name for kind in KINDS], SHORT_PEERS, said.full, "a peer")
    said.rounds = said.rounds or (5 if said.full else 3)
    said.seconds = said.seconds or (5.0 if said.full else 3.0)
    return said


def _words(said: str) -> list[str]:
    return [word for word in said.split(",") if word]


def _chosen(parser: argparse.ArgumentParser, said: list[str] | None, known: list[str], short: Sequence[str],
            is_full: bool, what: str) -> list[str]:
    for word in said or ():
        if word not in known:
            parser.error(f"{word} is not {what}; there are {', '.join(known)}")
    return [word for word in known if word in (said or (known if is_full else short))]


def run(rows: Sequence[Row], rounds: int, bench: Bench, samples: list[Sample]) -> None:
    """Measures everything, round by round, into `samples`."""
    for number in range(rounds):
        for row in rows:
            for name in in_turn(row.of(list(bench.peers)), number):
                try:
                    sample = row.measure(bench, name, number)
                except BenchFailed as failed:
                    sample = Sample(row.name, name, number, {}, str(failed))
                samples.append(sample)
                main = sample.figures.get(row.columns[0].key)
                print(f"-- round {number + 1} of {rounds}  {row.name:13} {name:9}"
                      f" {sample.wrong or f'{main:.2f} {row.columns[0].title}'}", file=sys.stderr, flush=True)


def report(rows: Sequence[Row], peers: Sequence[str], samples: Sequence[Sample], facts: dict[str, object]) -> str:
    parts = [", ".join(f"{key} {value}" for key, value in facts.items())]
    measured = {sample.row for sample in samples}
    compared = [(row.name, row.columns[0]) for row in rows if row.name in measured and not row.is_ours]
    if len(compared) > 1:
        parts.append(overview(compared, samples, peers))
    for row in rows:
        mine = [sample for sample in samples if sample.row == row.name]
        if mine:
            parts.append(table(f"{row.name}: {row.title}", row.columns, mine, row.of(peers), row.references,
                               by_difference=row.is_bill))
    return "\n\n".join(parts)


def main(argv: Sequence[str]) -> int:
    said = arguments(argv)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupted)
    directory = Path(tempfile.mkdtemp(prefix="hostmesh-bench-"))
    samples: list[Sample] = []
    code = 0
    rows = [row for row in ROWS if row.name in said.rows]
    facts: dict[str, Any] = {"date": datetime.now().astimezone().isoformat(timespec="minutes"), **describe()}
    began = time.monotonic()
    try:
        core, other = cores()
        os.sched_setaffinity(0, {other})
        files = raise_file_limit()
        peers = [kind() for kind in KINDS if kind.name in said.only]
        for missing in [peer for peer in peers if peer.path is None]:
            print(f"-- {missing.name} is not here: left out", file=sys.stderr)
            peers.remove(missing)
        with Upstream(directory / "upstream", core, files) as upstream:
            bench = Bench(directory, upstream, core, other, 2.0 if said.full else 1.0, said.seconds, files,
                          {peer.name: peer for peer in peers})
            run(rows, said.rounds, bench, samples)
    except BenchFailed as failed:
        print(f"scripts/bench: {failed}", file=sys.stderr)
        code = 1
    except KeyboardInterrupt:
        print("scripts/bench: interrupted; what was measured until now:", file=sys.stderr)
        code = 130
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    facts |= {"load at the end": round(os.getloadavg()[0], 2), "minutes": round((time.monotonic() - began) / 60, 1),
              "rounds": said.rounds, "command": " ".join(["scripts/bench", *argv])}
    if said.json:
        whole = json.dumps({"facts": facts, "samples": [
            {"row": each.row, "peer": each.peer, "round": each.round, "wrong": each.wrong, **each.figures}
            for each in samples]}, indent=1)
        if said.json == "-":
            print(whole)
        else:
            Path(said.json).write_text(whole + "\n")
    if said.json != "-" and samples:
        print(report(rows, said.only, samples, facts))
    return code or int(any(sample.wrong for sample in samples))


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
