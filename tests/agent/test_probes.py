"""Active health with real servers: when endpoints are asked, what, and what follows from the answers."""
from __future__ import annotations

import itertools
import mmap
import os
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import gevent
import pytest
from ports import free_port
from probed_servers import WEB, WITHIN_S, Probing, until
from table_memory import SIZES, Host, dynamic, memory_of, service

from mesh.health.verdict import REFUSED
from mesh.model import HealthCheck, Transport
from mesh.shared.layout import Memory
from mesh.shared.slots import SLOT_PROBED_MS, SLOT_PROBES
from workers.agent.probe_names import Names

LONG = 3600.0           # an interval that no test sees the end of


# When

def test_the_first_probe_does_not_wait_for_the_interval(probing, web):
    host, server = probing(), web()
    host.probe(server.url, interval=LONG)
    assert host.why(server.url) == "well"
    assert host.seen(server.url).probes == 1


def test_probes_follow_each_other_by_the_interval(probing, web):
    host, server = probing(), web()
    host.probe(server.url, interval=0.2)
    until(lambda: len(server.times) >= 8)
    pauses = sorted(after - before for before, after in itertools.pairwise(server.times))
    assert 0.15 < pauses[len(pauses) // 2] < 0.4, pauses


def test_one_that_is_down_is_asked_by_its_own_interval(probing, web):
    host, server = probing(), web()
    server.status = 500
    host.probe(server.url, interval=LONG, unhealthy_interval=0.02, unhealthy_threshold=1)
    until(lambda: len(server.times) > 5)
    assert host.seen(server.url).state == "down"


def test_a_service_that_comes_is_probed_within_a_second(probing, web):
    host, first, second = probing(), web(), web()
    host.probe(first.url, interval=LONG)
    host.why(first.url)
    started = time.monotonic()
    host.publish_all(service(WEB, first.url, check=HealthCheck(interval=LONG)),
                     service("api@file", second.url, check=HealthCheck(interval=LONG)))
    host.why(second.url)
    assert time.monotonic() - started < 1.0
    assert len(first.seen) == 1, "nothing has changed for it"


def test_one_that_leaves_is_not_probed_any_more(probing, web):
    host, server, other = probing(), web(), web()
    host.probe(server.url, other.url)
    until(lambda: len(server.seen) > 2)
    host.probe(other.url)
    until(lambda: host.prober.targets == 1)
    count, others = len(server.seen), len(other.seen)
    until(lambda: len(other.seen) > others + 5)
    assert len(server.seen) <= count + 1


def test_a_check_that_is_edited_is_asked_in_the_new_way(probing, web):
    host, server = probing(), web()
    host.probe(server.url, path="/old", interval=LONG)
    host.why(server.url)
    host.probe(server.url, path="/new")
    until(lambda: "/new" in server.paths())


def test_a_probe_that_fails_while_its_check_is_taken_away_leaves_the_endpoint_up(probing):
    host, url = probing(), f"http://127.0.0.1:{free_port()}"
    check = HealthCheck(unhealthy_threshold=1, interval=LONG)
    host.publish(service(WEB, url, check=check))
    until(lambda: host.states() == {url: "down"})
    host.table.assign(dynamic(service(WEB, url)))
    host.table.probed(WEB, url, host.slot(WEB, url), check, REFUSED, 10)        # nothing is published yet
    host.table.published(host.generation + 1)
    until(lambda: not host.prober.targets)
    assert (host.states(), host.seen(url).probes) == ({url: "up"}, 0)


def test_a_check_that_is_taken_away_asks_no_more(probing, web):
    host, server = probing(), web()
    host.probe(server.url)
    host.why(server.url)
    host.publish_all(service(WEB, server.url))
    until(lambda: host.prober.targets == 0)
    assert host.seen(server.url).state == "up"


# Verdicts

def test_one_bad_probe_moves_nothing(probing, web):
    host, server = probing(), web()
    host.probe(server.url, unhealthy_threshold=3, interval=0.1)
    until(lambda: host.seen(server.url).probes > 1)
    server.status = 500
    until(lambda: host.seen(server.url).probes == -1)
    server.status = 200
    until(lambda: host.seen(server.url).probes > 1)
    assert host.told() == []
    assert host.seen(server.url).state == "up"


def test_an_endpoint_goes_down_and_comes_back_by_its_thresholds(probing, web):
    host, server = probing(), web()
    server.status = 503
    host.probe(server.url)
    until(lambda: host.seen(server.url).state == "down")
    server.status = 200
    until(lambda: host.seen(server.url).state == "up")
    assert host.told() == [f"endpoint-down web@file {server.url} down: status 503, 3 probes failed in a row",
                           f"endpoint-up web@file {server.url} up: 2 probes good in a row"]


def test_one_that_starts_down_serves_after_its_first_good_probe(probing, web):
    host, server = probing(), web()
    host.probe(server.url, f"http://127.0.0.1:{free_port()}", starts="down", interval=LONG)
    until(lambda: set(host.states().values()) == {"up", "down"})
    assert host.seen(server.url).state == "up"


def test_down_stays_down_through_an_edit_and_an_agents_death(probing, web):
    host, server = probing(), web()
    server.status = 500
    host.probe(server.url)
    until(lambda: host.seen(server.url).state == "down")
    host.probe(server.url, "http://127.0.0.1:1", path="/new", interval=LONG)
    assert host.seen(server.url).state == "down"
    server.status = 200
    row = host.seen(server.url).probes
    host.begin_anew()
    host.probe(server.url, "http://127.0.0.1:1", path="/new", interval=LONG)
    assert (host.seen(server.url).state, host.seen(server.url).probes) == ("down", row)


def test_a_successor_goes_on_with_the_rhythm(probing, web):
    host, server = probing(), web()
    host.probe(server.url, interval=LONG)
    host.why(server.url)
    host.begin_anew()
    other = web()
    host.probe(server.url, other.url, interval=LONG)
    host.why(other.url)
    assert len(server.seen) == 1


def test_a_prober_that_is_killed_leaves_states_and_rows_to_its_successor(tmp_path):
    """Two real processes one after another, over one file."""
    url = f"http://127.0.0.1:{free_port()}"
    states = tmp_path / "states"

    def agent() -> int:
        pid = os.fork()
        if pid:
            return pid
        try:
            gevent.reinit()
            host.start()
            host.probe(url, interval=0.02)
            while True:
                gevent.sleep(0.01)
                seen = host.seen(url)
                (tmp_path / "new").write_text(f"{seen.state} {seen.probes} {seen.slot}")
                (tmp_path / "new").rename(states)
        finally:
            os._exit(1)

    host = _Shared(tmp_path / "memory")
    first = agent()
    try:
        _eventually(lambda: states.exists() and states.read_text().startswith("down"))
    finally:
        os.kill(first, signal.SIGKILL)
        os.waitpid(first, 0)
    slot = host.slot(WEB, url)
    before = host.word(WEB, url, SLOT_PROBES)
    probed = host.word(WEB, url, SLOT_PROBED_MS)
    host.begin()
    second = agent()
    try:
        _eventually(lambda: host.word(WEB, url, SLOT_PROBED_MS) > probed)
        assert host.word(WEB, url, SLOT_PROBES) < before < 0
        assert states.read_text().split()[::2] == ["down", str(slot)]
    finally:
        os.kill(second, signal.SIGKILL)
        os.waitpid(second, 0)


# What is asked

def test_every_option_of_the_question_arrives(probing, web):
    host, server = probing(), web()
    url = f"http://127.0.0.1:{free_port()}"
    host.probe(url, port=server.port, path="/ready?x=1", method="OPTIONS", hostname="shop.example",
               headers=(("X-Token", "secret"),), interval=LONG)
    assert host.why(url) == "well"
    (method, path, headers), = server.seen
    assert (method, path, headers["Host"], headers["X-Token"]) == ("OPTIONS", "/ready?x=1", "shop.example", "secret")
    assert (headers["User-Agent"], headers["Connection"]) == ("hostmesh-health", "close")


@pytest.mark.parametrize("status, wanted, said", [
    (200, 0, "well"), (399, 0, "well"), (400, 0, "status 400"), (500, 0, "status 500"), (503, 503, "well"),
    (200, 503, "status 200")])
def test_a_status_is_judged_by_what_is_wanted(probing, web, status, wanted, said):
    host, server = probing(), web()
    server.status = status
    host.probe(server.url, status=wanted, interval=LONG)
    assert host.why(server.url) == said


@pytest.mark.parametrize("follow, said, paths", [
    (True, "well", ["/", "/a", "/b"]), (False, "well", ["/"])])
def test_a_redirect_is_followed_where_it_should_be(probing, web, follow, said, paths):
    host, server = probing(), web()
    server.locations = {"/": "/a", "/a": f"{server.url}/b"}
    host.probe(server.url, follow_redirects=follow, interval=LONG)
    assert host.why(server.url) == said
    assert server.paths() == paths


def test_a_redirect_is_judged_by_where_it_ends(probing, web):
    host, server, other = probing(), web(), web()
    server.locations = {"/": f"{other.url}/login"}
    other.status = 500
    host.probe(server.url, interval=LONG)
    assert host.why(server.url) == "status 500"
    assert other.paths() == ["/login"]


def test_a_redirect_that_is_wanted_is_not_followed(probing, web):
    host, server = probing(), web()
    server.locations = {"/": "/a"}
    host.probe(server.url, status=302, interval=LONG)
    assert host.why(server.url) == "well"
    assert server.paths() == ["/"]


def test_redirects_in_a_circle_end(probing, web):
    host, server = probing(), web()
    server.locations = {"/": "/"}
    host.probe(server.url, interval=LONG)
    assert host.why(server.url) == "too many redirects"
    assert len(server.seen) == 4


def test_an_address_of_ipv6_is_asked(probing, odd):
    host = probing()
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        url = f"http://[::1]:{listener.getsockname()[1]}"
        host.probe(url, mode="tcp", interval=LONG)
        assert host.why(url) == "well"


# What goes wrong

def test_a_connection_is_enough_for_tcp(probing, odd):
    host, taken = probing(), []
    url = odd(lambda sock: taken.append(sock.recv(100)))
    host.probe(url, mode="tcp", interval=LONG)
    assert host.why(url) == "well"
    until(lambda: taken)
    assert taken == [b""], "nothing is sent"


@pytest.mark.parametrize("mode", ["http", "tcp"])
def test_where_nobody_listens_the_connection_is_refused(probing, mode):
    host, url = probing(), f"http://127.0.0.1:{free_port()}"
    host.probe(url, mode=mode, interval=LONG)
    assert host.why(url) == "connection refused"


def _resets(sock: socket.socket) -> None:
    sock.recv(4096)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def _says(data: bytes) -> Callable[[socket.socket], None]:
    def serve(sock: socket.socket) -> None:
        sock.recv(4096)
        sock.sendall(data)
    return serve


@pytest.mark.parametrize("serve, said", [
    (_resets, "connection reset"),
    (_says(b""), "connection closed without an answer"),
    (_says(b"HTTP/1.1 2"), "answer is not HTTP"),
    (_says(b"220 smtp.example ESMTP\r\n"), "answer is not HTTP"),
    (_says(b"HTTP/1.1 302 Found\r\nLocation: ftp://a/\r\n\r\n"), "redirect leads nowhere"),
    (_says(b"HTTP/1.1 302 Found\r\n" + b"A: b\r\n" * 5000), "head of the answer too long"),
    (_says(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"), "well"),
    (_says(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n" + b"x" * 100_000), "well"),
])
def test_a_bad_answer_is_told_in_words(probing, odd, serve, said):
    host, url = probing(), odd(serve)
    host.probe(url, interval=LONG)
    assert host.why(url) == said


def test_an_answer_in_pieces_is_whole(probing, odd):
    def serve(sock: socket.socket) -> None:
        sock.recv(4096)
        for piece in (b"HT", b"TP/1.1 2", b"00 ", b"OK\r", b"\n"):
            sock.sendall(piece)
            time.sleep(0.01)

    host, url = probing(), odd(serve)
    host.probe(url, interval=LONG)
    assert host.why(url) == "well"


@pytest.mark.parametrize("piece", [b"", b"HTTP/1.1 "])
def test_an_answer_that_does_not_come_is_waited_for_as_long_as_the_check_says(probing, odd, piece):
    over = threading.Event()

    def serve(sock: socket.socket) -> None:
        sock.sendall(piece)
        over.wait(WITHIN_S)

    host, url = probing(), odd(serve)
    host.probe(url, timeout=0.2, interval=LONG)
    assert host.why(url) == "no answer in time"
    over.set()
    assert 0.2 <= host.seen(url).probe_us / 1e6 < 1.0


def test_a_connection_that_is_not_taken_is_waited_for_as_long(probing):
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        held = [_begun(address) for _ in range(4)]      # the queue is full: the kernel answers to no other
        host, url = probing(), f"http://127.0.0.1:{address[1]}"
        host.probe(url, timeout=0.2, interval=LONG)
        assert host.why(url) == "no connection in time"
        for each in held:
            each.close()


def _begun(address: tuple[str, int]) -> socket.socket:
    sock = socket.socket()
    sock.setblocking(False)
    sock.connect_ex(address)
    return sock


def test_silent_endpoints_hold_up_no_other(probing, web, odd):
    over = threading.Event()
    silent = odd(lambda sock: over.wait(WITHIN_S))
    host, server, check = probing(most_at_once=16, most_slow=8), web(), HealthCheck(interval=0.05, timeout=0.3)
    many = [service(f"silent{number}@file", silent, check=check) for number in range(60)]
    well = service(WEB, server.url, check=check)
    host.publish_all(*many)
    until(lambda: all(each.probes < 0 for each in host.table.endpoints()))
    host.publish_all(*many, well)
    until(lambda: len(server.times) > 20)
    over.set()
    pauses = [after - before for before, after in itertools.pairwise(server.times)]
    assert sorted(pauses)[len(pauses) // 2] < 0.2, "it is asked nearly as often as if the others were not there"
    assert host.seen(server.url).error == ""


def test_endpoints_that_leave_while_they_are_probed_are_let_go_at_once(probing, odd, web, caplog):
    over = threading.Event()
    port = odd(lambda sock: over.wait(WITHIN_S)).rpartition(":")[2]
    host, server = probing(finder=Names(lambda name: ("127.0.0.1",))), web()
    check = HealthCheck(interval=LONG, timeout=LONG)
    host.publish_all(service("many@file", *(f"http://s{number}.test:{port}" for number in range(20)), check=check))
    until(lambda: host.prober.under_way == 20)
    host.publish_all(service(WEB, server.url, check=check))
    assert host.why(server.url) == "well"
    assert (host.prober.targets, host.prober.under_way, caplog.records) == (1, 0, [])
    over.set()


def test_silent_endpoints_that_leave_hold_up_no_other_that_waits(probing, odd):
    over = threading.Event()
    port = odd(lambda sock: over.wait(WITHIN_S)).rpartition(":")[2]
    host = probing(finder=Names(lambda name: ("127.0.0.1",)), most_slow=2)
    check = HealthCheck(interval=0.05, timeout=0.1)
    many = service(WEB, *(f"http://s{number}.test:{port}" for number in range(30)), check=check)
    url = f"http://t.test:{port}"
    other = service("other@file", url, check=check)
    for _ in range(3):
        host.publish_all(many, other)
        until(lambda: host.prober.targets == 31 and all(each.probes < -1 for each in host.table.endpoints()))
        host.publish_all(other)
        until(lambda: host.prober.targets == 1)
        more = host.seen(url).probes - 2
        until(lambda more=more: host.seen(url).probes <= more, "it is probed")
    over.set()


def test_there_are_never_more_under_way_than_there_may_be(probing, odd):
    over = threading.Event()
    url = odd(lambda sock: over.wait(WITHIN_S))
    host, most = probing(most_at_once=8, most_slow=6), []
    host.publish_all(*(service(f"s{number}@file", url, check=HealthCheck(interval=0.05, timeout=0.1))
                       for number in range(40)))

    def has_all() -> bool:
        most.append(host.prober.under_way)
        return all(each.probes <= -2 for each in host.table.endpoints())

    until(has_all)
    over.set()
    assert max(most) <= 8


def test_an_agent_that_stood_still_blames_no_endpoint(probing, odd):
    asked = []

    def serve(sock: socket.socket) -> None:
        sock.recv(4096)
        asked.append(time.monotonic())
        time.sleep(0.1)
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")

    host, url = probing(), odd(serve)
    host.probe(url, timeout=0.3, interval=0.01)
    for stop in range(1, 4):
        until(lambda stop=stop: host.seen(url).probes > 2 * stop)
        count = len(asked)
        until(lambda count=count: len(asked) > count)       # and its answer is still to come
        time.sleep(0.5 + 0.3)                               # of the hub
    count = len(asked)
    until(lambda: len(asked) > count + 2)
    assert host.seen(url).probes >= len(asked) - 1, "the row was never broken"


def test_want_of_sockets_is_no_endpoints_fault(probing, web, monkeypatch, caplog):
    host, server = probing(), web()
    host.probe(server.url)
    until(lambda: host.seen(server.url).probes > 10)
    monkeypatch.setattr("workers.agent.probe.socket.socket", _no_socket)
    until(lambda: any("no socket left" in line for line in caplog.messages))
    monkeypatch.undo()
    count = len(server.seen)
    until(lambda: len(server.seen) > count)
    assert host.seen(server.url).probes >= len(server.seen) - 1, "the row was never broken"


def _no_socket(*_: object) -> socket.socket:
    raise OSError(24, "Too many open files")


# Names

def test_what_looks_like_an_address_and_is_none_asks_no_resolver_on_the_hub(probing):
    asked = []

    def look(name: str) -> tuple[str, ...]:
        asked.append(name)
        raise socket.gaierror(socket.EAI_NONAME, name)

    host = probing(finder=Names(look))
    host.probe("http://10.0.0.999:80", interval=LONG)
    assert host.why("http://10.0.0.999:80") == "name not resolved"
    assert asked == ["10.0.0.999"]


def test_a_name_is_asked_at_its_addresses_in_turn(probing, web):
    host = probing(finder=Names(lambda name: ("::1", "127.0.0.1")))
    server = web()
    url = f"http://orders.test:{server.port}"
    host.probe(url, interval=LONG)
    assert host.why(url) == "well"
    assert server.seen[0][2]["Host"] == f"orders.test:{server.port}"


def test_localhost_is_found_by_the_systems_resolver(probing, web):
    host, server = probing(), web()
    url = f"http://localhost:{server.port}"
    host.probe(url, interval=LONG)
    assert host.why(url) == "well"


def test_a_name_that_nobody_knows_is_told(probing):
    def unknown(name: str) -> tuple[str, ...]:
        raise socket.gaierror(socket.EAI_NONAME, name)

    host = probing(finder=Names(unknown))
    host.probe("http://orders.test", interval=LONG)
    assert host.why("http://orders.test") == "name not resolved"


def test_a_name_server_that_is_silent_holds_up_nobody(probing, web):
    over = threading.Event()

    def silent(name: str) -> tuple[str, ...]:
        over.wait(WITHIN_S)
        return ()

    host, server = probing(finder=Names(silent)), web()
    host.probe("http://orders.test", server.url, timeout=0.3, interval=LONG)
    assert host.why(server.url) == "well"
    assert host.why("http://orders.test") == "name not resolved in time"
    over.set()


def test_a_name_keeps_its_addresses_while_a_name_server_is_silent(monkeypatch, probing, web):
    monkeypatch.setattr("workers.agent.probe_names.KEEP_S", 0.0)
    over, asked = threading.Event(), []

    def look(name: str) -> tuple[str, ...]:
        asked.append(name)
        if len(asked) > 1:
            over.wait(WITHIN_S)
        return ("127.0.0.1",)

    host, server = probing(finder=Names(look)), web()
    url = f"http://orders.test:{server.port}"
    host.probe(url, timeout=1.0, unhealthy_threshold=1)
    until(lambda: host.seen(url).probes >= 20 or host.seen(url).error, "good probes, or a bad one")
    assert (host.seen(url).error, len(asked)) == ("", 2)
    over.set()


def test_a_name_is_asked_again_after_a_thread_was_not_to_be_had(monkeypatch):
    monkeypatch.setattr("workers.agent.probe_names.AGAIN_S", 0.0)
    answers = iter([RuntimeError("can't start new thread"), None])

    def look(name: str) -> tuple[str, ...]:
        if error := next(answers):
            raise error
        return ("10.0.0.1",)

    names, found = Names(look), []
    names.find("a", found.append)
    until(lambda: len(found) == 1)
    names.find("a", found.append)
    until(lambda: len(found) == 2)
    assert found == [(), ("10.0.0.1",)]


def test_thousands_that_share_a_name_do_not_keep_the_hub_from_others():
    names, told, seen = Names(lambda name: ("10.0.0.1",)), [], []

    def connect(addresses: tuple[str, ...]) -> None:
        told.append(addresses)

    for _ in range(500):
        names.find("a", connect)

    def watch() -> None:
        while len(told) < 500:
            seen.append(len(told))
            gevent.sleep(0.0005)

    gevent.spawn(watch).join(WITHIN_S)
    assert len(told) == 500
    assert max(after - before for before, after in zip(seen, [*seen[1:], 500], strict=True)) <= 100


def test_a_name_keeps_its_addresses_when_it_cannot_be_resolved_any_more(monkeypatch):
    monkeypatch.setattr("workers.agent.probe_names.KEEP_S", 0.0)
    answers = iter([("10.0.0.1",)])

    def look(name: str) -> tuple[str, ...]:
        for each in answers:
            return each
        raise socket.gaierror(socket.EAI_AGAIN, name)

    names, found = Names(look), []
    names.find("a", found.append)
    until(lambda: len(found) == 1)
    names.find("a", found.append)
    until(lambda: len(found) == 2)
    assert found == [("10.0.0.1",), ("10.0.0.1",)]


# TLS

@pytest.fixture(scope="module")
def certificates(tmp_path_factory) -> Path:
    """A directory with ca.pem, and pem of a certificate for orders.internal and 127.0.0.1 with its key."""
    at = tmp_path_factory.mktemp("certificates")
    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    for said in (("-subj", "/CN=a test's ca", "-keyout", "ca.key", "-out", "ca.pem"),
                 ("-subj", "/CN=orders.internal", "-CA", "ca.pem", "-CAkey", "ca.key", "-addext",
                  "subjectAltName=DNS:orders.internal,IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE",
                  "-keyout", "key.pem", "-out", "certificate.pem")):
        subprocess.run(["openssl", "req", "-x509", *new_key, "-days", "2", *said], check=True, capture_output=True,
                       cwd=at)
    return at


@pytest.fixture
def secure(web, certificates):
    """A server of https."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "certificate.pem", certificates / "key.pem")
    return web(context)


def _transport(certificates: Path, **said: object) -> Transport:
    return Transport("t@file", root_cas=((certificates / "ca.pem").read_text(),), **said)


@pytest.mark.parametrize("said, why", [
    ({}, "well"), ({"server_name": "orders.internal"}, "well"), ({"server_name": "other.internal"},
                                                                 "certificate not accepted")])
def test_an_endpoint_behind_tls_is_believed_by_its_transport(probing, secure, certificates, said, why):
    host = probing()
    host.transports = {"t@file": _transport(certificates, **said)}
    host.probe(secure.url, transport="t@file", interval=LONG)
    assert host.why(secure.url) == why


def test_without_a_root_a_certificate_is_not_accepted(probing, secure):
    host = probing()
    host.probe(secure.url, interval=LONG)
    assert host.why(secure.url) == "certificate not accepted"


def test_a_transport_that_changes_is_taken_up(probing, secure, certificates):
    host = probing()
    host.transports = {"t@file": Transport("t@file")}
    host.probe(secure.url, transport="t@file")
    assert host.why(secure.url) == "certificate not accepted"
    host.transports = {"t@file": Transport("t@file", insecure_skip_verify=True)}
    host.probe(secure.url, transport="t@file")
    until(lambda: host.seen(secure.url).probes > 0)


def test_a_transport_that_cannot_be_used_is_told_and_remembers_no_probe(probing, odd, monkeypatch):
    error = ssl.SSLError(1, "no certificate in rootCAs")

    def context_of(transport: Transport) -> ssl.SSLContext:
        raise error

    def depth() -> int:
        count, at = 0, error.__traceback__
        while at is not None:
            count, at = count + 1, at.tb_next
        return count

    monkeypatch.setattr("workers.agent.probes.context_of", context_of)
    host = probing()
    url = odd(lambda sock: sock.recv(1)).replace("http:", "https:")
    host.probe(url)
    until(lambda: host.seen(url).probes <= -2)
    before = depth()
    until(lambda: host.seen(url).probes <= -10)
    assert (host.seen(url).error, depth()) == ("TLS handshake failed", before)


def test_a_check_may_have_another_scheme(probing, secure, certificates):
    host = probing()
    url = secure.url.replace("https", "http")
    host.transports = {"t@file": _transport(certificates)}
    host.probe(url, scheme="https", transport="t@file", interval=LONG)
    assert host.why(url) == "well"


def test_what_does_not_speak_tls_is_told(probing, odd):
    host, url = probing(), odd(_says(b"HTTP/1.1 400 Bad Request\r\n\r\n")).replace("http", "https")
    host.probe(url, interval=LONG)
    assert host.why(url) == "TLS handshake failed"


def test_a_handshake_that_does_not_end_is_not_waited_for(probing, odd):
    over = threading.Event()
    host, url = probing(), odd(lambda sock: over.wait(WITHIN_S)).replace("http", "https")
    host.probe(url, timeout=0.2, interval=LONG)
    assert host.why(url) == "no answer in time"
    over.set()


class _Shared(Probing):
    """Over a file that forked processes share."""

    def __init__(self, path: Path) -> None:
        with path.open("w+b") as file:
            file.truncate(Memory.size(*SIZES))
            buffer = mmap.mmap(file.fileno(), 0)
        Memory.format(buffer, *SIZES)
        self._prober_is, self.transports = {}, {}
        Host.__init__(self, memory=memory_of(buffer))


def _eventually(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.01)
