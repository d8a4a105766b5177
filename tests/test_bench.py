"""The bench starts, its arithmetic is right, and it reads the tools it uses; no figure is measured here."""
from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.__main__ import ROWS, SHORT_ROWS, arguments, report
from bench.bill import BASE, BILL, FEATURES
from bench.clients import Failure
from bench.figures import Column, Sample, Summary, differences, in_turn, overview, ratios, summaries, table
from bench.load import percentile, read_log, read_wrk
from bench.peers.caddy import Caddy
from bench.peers.envoy import Envoy
from bench.peers.haproxy import HAProxy
from bench.peers.nginx import Nginx
from bench.peers.ours import Ours
from bench.peers.peer import CATCH_ALL, Peer, Route, Wanted
from bench.peers.traefik import Traefik
from bench.processes import BenchFailed, Child, Cost, parents, tree
from bench.rows import hosts
from bench.talk import ANSWERS, ASKS, CHUNK, accept_of
from bench.trouble import not_by_a_kill
from bench.upstream import Upstream
from workers.commands.check import look

ROOT = Path(__file__).parent.parent
WRK = """\
Running 3s test @ http://127.0.0.1:21005/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     2.31ms    1.60ms  21.32ms   89.05%
    Req/Sec    27.96k     2.51k   32.98k    70.00%
  Latency Distribution
     50%  640.00us
     75%    2.57ms
     90%    3.94ms
     99%    1.05s
  83482 requests in 3.00s, 19.98MB read
Requests/sec:  27796.02
Transfer/sec:      6.65MB
"""
US = Column("us", "us/request")


def sample(peer: str, us: float, wrong: str = "", round: int = 0) -> Sample:
    return Sample("plain", peer, round, {"us": us}, wrong)


# Figures

def test_a_peer_is_told_by_the_median_and_the_range_of_its_rounds():
    rounds = [sample("us", 15.0), sample("nginx", 20.0), sample("us", 99.0), sample("us", 16.0)]
    assert summaries(rounds, "us") == {"us": Summary(16.0, 15.0, 99.0), "nginx": Summary(20.0, 20.0, 20.0)}


def test_a_sample_with_an_error_counts_in_no_median():
    assert summaries([sample("us", 1.0, "3 timeout errors"), sample("us", 16.0)], "us")["us"].median == 16.0


def test_ratios_are_told_to_the_references_that_were_measured():
    by_peer = summaries([sample("us", 15.0), sample("nginx", 20.0)], "us")
    assert ratios(by_peer) == {"us": {"nginx": 0.75}, "nginx": {"nginx": 1.0}}


def test_a_bill_tells_differences():
    by_feature = summaries([sample("100 routers", 15.0), sample("+ log", 17.5)], "us")
    assert differences(by_feature, ["100 routers"])["+ log"] == {"100 routers": 2.5}


def test_the_table_has_a_line_for_each_peer_and_says_what_was_wrong():
    shown = table("plain: 100 B", [US], [sample("us", 15.0), sample("nginx", 20.0),
                                         sample("haproxy", 1.0, "7 timeout errors", 2)], ["us", "nginx", "haproxy"])
    assert shown == """\
**plain: 100 B**

|         | us/request |     range | / nginx |
| ------- | ---------: | --------: | ------: |
| us      |       15.0 | 15.0-15.0 |    0.75 |
| nginx   |       20.0 | 20.0-20.0 |    1.00 |
| haproxy |    invalid |           |         |

- haproxy, round 3, is invalid: 7 timeout errors"""


def test_the_overview_has_a_line_for_each_row():
    samples = [sample("us", 15.0), sample("nginx", 20.0), Sample("idle", "us", 0, {"kib": 3.4})]
    assert overview([("plain", US), ("idle", Column("kib", "KiB each"))], samples, ["us", "nginx"]) == """\
|       |         in |   us | nginx | us / nginx |
| ----- | ---------: | ---: | ----: | ---------: |
| plain | us/request | 15.0 |  20.0 |       0.75 |
| idle  |   KiB each |  3.4 |       |            |"""


def test_every_peer_begins_as_often_as_it_ends():
    orders = [in_turn(["us", "nginx", "haproxy"], round) for round in range(6)]
    assert orders[:2] == [["us", "nginx", "haproxy"], ["haproxy", "nginx", "us"]]
    assert all(sorted(order.index(name) for order in orders) == [0, 0, 1, 1, 2, 2] for name in orders[0])


@pytest.mark.parametrize("values, percent, expected", [
    ([], 50, 0), ([7], 99, 7), ([1, 2, 3, 4], 50, 2), (list(range(1, 101)), 99, 99), (list(range(1, 102)), 99, 100)])
def test_a_percentile_is_a_value_that_was_measured(values: list[float], percent: float, expected: float):
    assert percentile(values, percent) == expected


# What the tools say

def test_the_result_of_wrk_is_read():
    said = read_wrk(WRK)
    assert (said.requests, said.per_s, said.wrong) == (83482, 27796.02, "")
    assert (said.p50_ms, said.p99_ms) == (0.64, 1050.0)


@pytest.mark.parametrize("line, wrong", [
    ("  Socket errors: connect 0, read 3, write 0, timeout 12", "3 read errors, 12 timeout errors"),
    ("  Non-2xx or 3xx responses: 5", "5 answers other than 2xx")])
def test_what_wrk_says_of_errors_is_told(line: str, wrong: str):
    assert read_wrk(WRK.replace("Requests/sec", f"{line}\nRequests/sec")).wrong == wrong


def test_an_answer_to_nothing_is_an_error():
    assert read_wrk("  0 requests in 3.00s, 0.00B read\nRequests/sec:      0.00\n").wrong == "nothing was answered"


def test_words_of_wrk_that_are_no_result_are_an_error():
    with pytest.raises(BenchFailed, match="unable to connect"):
        read_wrk("unable to connect to 127.0.0.1:1 Connection refused")


def test_only_the_steady_part_of_a_log_counts():
    log = "".join(f"{1_000_000 + at}\t200\t{took}\n" for at, took in [(0, 9000), (500_000, 100), (600_000, 300),
                                                                    (999_999, 200), (1_500_000, 9000)])
    said = read_log(log, 0.5, 0.5)
    assert (said.requests, said.p50_ms, said.p99_ms, said.wrong) == (3, 0.2, 0.3, "")


def test_a_failure_counts_wherever_it_stands_in_the_log():
    assert read_log("1000000\t502\t10\n2000000\t200\t10\n", 0.5, 5.0).wrong == "1 failed"


def test_the_accept_header_is_that_of_the_rfc():
    assert accept_of(b"dGhlIHNhbXBsZSBub25jZQ==") == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="       # RFC 6455 1.3


def test_frames_and_chunks_say_their_length_rightly():
    assert (ASKS[1] & 0x7f, len(ASKS)) == (100, 106)
    assert (ANSWERS[1], len(ANSWERS)) == (100, 102)
    length, _, event = CHUNK.partition(b"\r\n")
    assert int(length, 16) == len(event) - 2


# Processes

def test_a_tree_holds_all_descendants_parents_first():
    assert tree(1, {2: 1, 4: 3, 3: 2, 9: 8}) == [1, 2, 3, 4]


def test_what_was_used_before_does_not_count():
    before, after = Cost(3.0, 2.0, 1.0, {1: 1.0, 2: 2.0}), Cost(9.0, 4.0, 5.0, {1: 1.5, 2: 4.5, 3: 3.0})
    assert after.since(before) == Cost(6.0, 2.0, 4.0, {1: 0.5, 2: 2.5, 3: 3.0})


def test_the_cost_of_this_process_is_what_python_says():
    # a process of its own: threads that have ended, as other tests' have in this one, are in one account alone
    code = ("import os; from bench.processes import cost_of\n"
            "while sum(os.times()[:2]) < 0.5: pass\n"
            "print(cost_of([os.getpid()]).cpu - sum(os.times()[:2]))")
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert float(told.stdout) == pytest.approx(0, abs=0.25)


def test_a_child_ends_with_all_that_it_started(tmp_path):
    with Child(["/bin/sh", "-c", "sleep 600 & echo ready; wait"], None, tmp_path, stdout=subprocess.PIPE) as child:
        assert child.process.stdout.readline() == b"ready\n"
        family = child.pids()
        assert len(family) == 2
    assert not set(family) & {pid for pid in parents() if Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"}


# Configurations

WANTED = {
    "everything": Wanted((Route(CATCH_ALL, ("127.0.0.1:1234",)),), "h42.bench.example"),
    "by host": Wanted((Route("a.example", ("127.0.0.1:1234", "127.0.0.2:1234")), Route("b.example", ("127.0.0.1:1",))),
                      "a.example")}
CHECKS = {"nginx": lambda path, place: [path, "-t", "-q", "-p", place, "-c", "nginx.conf", "-e", "error.log"],
          "haproxy": lambda path, place: [path, "-c", "-q", "-f", place / "haproxy.cfg"]}


@pytest.mark.parametrize("wanted", WANTED.values(), ids=WANTED)
@pytest.mark.parametrize("kind", [Nginx, HAProxy])
def test_a_peer_accepts_its_configuration(kind: type[Peer], wanted: Wanted, tmp_path):
    if shutil.which(kind.program, path=f"{os.environ['PATH']}:/usr/sbin") is None:
        pytest.skip(f"no {kind.program} here")
    peer = kind()
    peer.write(tmp_path, 1234, wanted)
    done = subprocess.run(CHECKS[kind.name](peer.path, tmp_path), cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


class Unfetched:
    """A kind of peer whose program is not looked for: only its configuration is of interest."""

    def __new__(cls, kind: type[Peer]) -> Peer:
        return object.__new__(kind)


@pytest.mark.parametrize("wanted", WANTED.values(), ids=WANTED)
def test_every_endpoint_stands_in_the_configuration_of_every_peer(wanted: Wanted, tmp_path):
    for kind in (Ours, Nginx, HAProxy, Envoy, Traefik, Caddy):
        place = tmp_path / kind.name
        place.mkdir()
        Unfetched(kind).write(place, 1234, wanted)
        said = "".join(path.read_text() for path in place.rglob("*") if path.is_file())
        if kind is Envoy:
            said = " ".join(f"{each['address']}:{each['port_value']}" for each in sockets(json.loads(said)))
        assert [each for route in wanted.routes for each in route.endpoints if each not in said] == [], kind.name


def sockets(said: object) -> list[dict]:
    """Every socket_address in a document."""
    if isinstance(said, dict):
        return [said["socket_address"]] if "socket_address" in said else [
            found for each in said.values() for found in sockets(each)]
    return [found for each in said for found in sockets(each)] if isinstance(said, list) else []


@pytest.mark.parametrize("name", FEATURES)
def test_hostmesh_has_nothing_to_say_against_a_feature_of_the_bill(name: str, tmp_path):
    upstream = SimpleNamespace(first=1234, second=1235, secure=1236,
                               addresses=lambda count: Upstream.addresses(SimpleNamespace(first=1234), 20))
    wanted = FEATURES[name](SimpleNamespace(upstream=upstream))
    Unfetched(Ours).write(tmp_path, 1234, wanted)
    checked = look(str(tmp_path / "hostmesh.yml"))
    assert [str(each) for each in checked.problems] == []
    assert checked.counts["routers"] > 0


def test_ten_thousand_endpoints_are_all_different():
    addresses = Upstream.addresses(SimpleNamespace(first=1234), 10_000)
    assert len(set(addresses)) == 10_000
    assert all(0 <= int(part) <= 255 for each in addresses for part in each.partition(":")[0].split("."))


def test_the_load_asks_for_a_host_that_is_routed():
    for count in (1, 100, 10_000):
        wanted = hosts(count, ("127.0.0.1:1234",))
        assert wanted.host in {route.host for route in wanted.routes}


# The command line

def test_it_starts_and_tells_its_rows():
    done = subprocess.run([sys.executable, "-m", "bench", "--help"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0
    assert all(row.name in done.stdout for row in ROWS)


def test_the_short_form_leaves_out_peers_and_rows_that_take_long():
    short, full = arguments([]), arguments(["--full"])
    assert short.rows == list(SHORT_ROWS)
    assert (short.only, short.rounds) == (["us", "nginx", "haproxy"], 3)
    assert (full.rows, full.rounds) == ([row.name for row in ROWS], 5)


@pytest.mark.parametrize("argv", [["--rows", "plane"], ["--only", "us,nginks"], ["--short", "--full"]])
def test_a_wrong_word_is_refused(argv: list[str], capsys):
    with pytest.raises(SystemExit):
        arguments(argv)
    assert "error" in capsys.readouterr().err


def test_the_bill_is_ours_alone():
    assert BILL.of(["nginx", "haproxy"]) == []
    assert BILL.of(["us", "nginx"])[0] == BASE


def test_the_report_has_a_table_for_each_row_that_was_measured():
    plain, tenk = ROWS[:2]
    samples = [Sample(plain.name, "us", 0, {"us": 15.0}), Sample(tenk.name, "us", 0, {"us": 19.0})]
    shown = report(ROWS, ["us"], samples, {"cpu": "an abacus"})
    assert shown.startswith("cpu an abacus\n\n|")
    assert "**plain: " in shown
    assert "**10k: " in shown
    assert "**1m: " not in shown


# Kills

def test_a_kill_explains_what_was_under_way_on_an_older_connection():
    assert not_by_a_kill([Failure(opened=1.0, began=4.9, ended=5.01, why="reset")], [5.0]) == []


def test_a_kill_explains_a_request_that_was_sent_before_the_end_could_be_seen():
    assert not_by_a_kill([Failure(opened=1.0, began=5.001, ended=5.01, why="reset")], [5.0]) == []


@pytest.mark.parametrize("failure", [
    Failure(opened=1.0, began=4.0, ended=4.5, why="before"), Failure(opened=5.2, began=5.3, ended=5.4, why="new"),
    Failure(opened=1.0, began=5.5, ended=5.6, why="sent later")])
def test_a_kill_explains_nothing_else(failure: Failure):
    assert not_by_a_kill([failure], [5.0]) == [failure]
