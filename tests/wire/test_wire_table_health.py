"""Who is picked: ejections, operators' words, sticky clients, least busy endpoints; and what survives what."""
from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from running import until
from wire_client import Answer, Client, CutOff, soon
from wire_table import Served, Table, balanced, weighted
from wire_upstream import OK, Upstream, answering

from mesh.model import Cookie, Passive
from mesh.shared.slots import (
    SLOT_EJECTED_MS,
    SLOT_EJECTIONS,
    SLOT_IN_A_ROW,
    SLOT_REQUESTS,
    STATE_DISABLED,
    STATE_DOWN,
    STATE_DRAIN,
    STATE_WAITS,
    WEIGHT_SHIFT,
)

NUMBERS = itertools.count()
HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhalf of it"
SERVES_NOT = [STATE_DOWN, STATE_DRAIN, STATE_DISABLED, STATE_WAITS]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Table]:
    with Table(tmp_path_factory.mktemp("health")) as table:
        yield table


@pytest.fixture
def two_workers(tmp_path: Path) -> Iterator[Table]:
    with Table(tmp_path, workers=2) as table:
        yield table


@pytest.fixture
def upstreams() -> Iterator[list[Upstream]]:
    """Three endpoints, which refuse connections as long as nobody says otherwise."""
    upstreams = [Upstream() for _ in range(3)]
    yield upstreams
    try:
        for upstream in upstreams:
            upstream.fail_if_failed()
    finally:
        for upstream in upstreams:
            upstream.stop()


def url(upstream: Upstream) -> str:
    return f"http://127.0.0.1:{upstream.port}"


def name() -> str:
    return f"h{next(NUMBERS)}"


def by_name(upstream: Upstream) -> Upstream:
    """It answers with its port."""
    said = b"%d" % upstream.port
    return upstream.follow(answering(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(said), said)))


def held(gate: threading.Event):
    """A script whose answers wait for the gate."""
    def script(conversation):
        while True:
            conversation.request()
            conversation.until(gate)
            conversation.send(OK)
    return script


def cutting(conversation):
    conversation.request()
    conversation.send(HALF)
    conversation.close()


@contextlib.contextmanager
def stopped(process: psutil.Process) -> Iterator[None]:
    """It stands still meanwhile."""
    process.suspend()
    try:
        soon(lambda: process.status() == psutil.STATUS_STOPPED)
        yield
    finally:
        process.resume()


def ask(table: Table, served: Served, more: bytes = b"", method: bytes = b"GET") -> Answer:
    """One request on a connection of its own."""
    client = Client(table.address())
    try:
        return client.get(served.host, more=more, method=method).answer(method)
    finally:
        client.close()


def served_by(table: Table, served: Served, count: int, more: bytes = b"") -> Counter[int]:
    """Which ports answer so many requests."""
    return Counter(int(ask(table, served, more).body) for _ in range(count))


# Ejections

def test_an_endpoint_that_refuses_is_left_alone_after_its_attempts_and_comes_back(
        table: Table, upstreams: list[Upstream]) -> None:
    bad, good = upstreams[:2]
    by_name(good)
    service = table.serve(balanced(name(), url(bad), url(good), passive=Passive(attempts=3, ejection=1.0)))
    for _ in range(20):
        assert ask(table, service).status == 200
    assert service.word(url(bad), SLOT_EJECTIONS) == 1
    assert service.told(url(bad)) == (3, 3)
    by_name(bad)
    assert served_by(table, service, 4) == {good.port: 4}
    soon(lambda: bad.port in served_by(table, service, 2))
    assert set(served_by(table, service, 6)) == {bad.port, good.port}
    assert service.word(url(bad), SLOT_IN_A_ROW) == 0


def test_answers_that_break_off_eject_their_endpoint(table: Table, upstreams: list[Upstream]) -> None:
    bad, good = upstreams[:2]
    bad.follow(cutting)
    by_name(good)
    service = table.serve(balanced(name(), url(bad), url(good), passive=Passive(attempts=2, ejection=60.0)))
    cut = 0
    for _ in range(12):
        with contextlib.suppress(CutOff):
            ask(table, service)
            continue
        cut += 1
    assert cut == 2
    assert service.word(url(bad), SLOT_EJECTED_MS) > 0


def test_statuses_eject_only_where_they_are_said_to(table: Table, upstreams: list[Upstream]) -> None:
    bad, good = upstreams[:2]
    bad.follow(answering(b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n"))
    by_name(good)
    for statuses, expected in ((False, 10), (True, 2)):
        service = table.serve(balanced(name(), url(bad), url(good), passive=Passive(attempts=2, statuses=statuses)))
        assert sum(ask(table, service).status == 500 for _ in range(20)) == expected


def test_half_of_the_endpoints_may_be_ejected_and_no_more(table: Table, upstreams: list[Upstream]) -> None:
    service = table.serve(balanced(name(), *map(url, upstreams[:2]), passive=Passive(attempts=1)))
    for _ in range(6):
        assert ask(table, service).status == 503
    assert sorted(service.word(url(each), SLOT_EJECTED_MS) > 0 for each in upstreams[:2]) == [False, True]


# An operator's word

@pytest.mark.parametrize("bits", SERVES_NOT)
def test_the_next_pick_obeys_what_the_cells_say(table: Table, upstreams: list[Upstream], bits: int) -> None:
    one, other = map(by_name, upstreams[:2])
    service = table.serve(balanced(name(), url(one), url(other)))
    assert set(served_by(table, service, 4)) == {one.port, other.port}
    service.mark(url(one), bits)
    assert served_by(table, service, 6) == {other.port: 6}
    service.mark(url(one), 0, bits)
    soon(lambda: one.port in served_by(table, service, 2))


@pytest.mark.parametrize("bits", SERVES_NOT)
def test_with_no_endpoint_that_may_serve_the_answer_is_a_503_at_once(
        table: Table, upstreams: list[Upstream], bits: int) -> None:
    one = by_name(upstreams[0])
    service = table.serve(balanced(name(), url(one), panic_threshold=0))
    service.mark(url(one), bits)
    answer = ask(table, service)
    assert (answer.status, answer.value(b"retry-after")) == (503, b"1")
    assert b"no endpoint of the service may serve now" in answer.body
    assert one.requests == []
    assert service.in_flight(url(one)) == 0


def test_a_weight_of_0_is_a_reason_that_is_told(table: Table, upstreams: list[Upstream]) -> None:
    one, child = by_name(upstreams[0]), name()
    service = table.serve(balanced(child, url(one)))
    service.mark(url(one), 1 << WEIGHT_SHIFT)
    answer = ask(table, service)
    assert (answer.status, answer.value(b"retry-after")) == (503, b"1")
    assert b"without a weight" in answer.body
    answer = ask(table, table.serve(weighted(name(), (child, 0))))
    assert (answer.status, answer.value(b"retry-after")) == (503, b"1")
    assert b"no service behind the weighted one has a weight" in answer.body
    assert one.requests == []


def test_a_weighted_service_serves_as_long_as_one_child_can(table: Table, upstreams: list[Upstream]) -> None:
    one, two = by_name(upstreams[0]), by_name(upstreams[1])
    main, canary = name(), name()
    both = table.serve(weighted(name(), (main, 19), (canary, 1)), balanced(main, url(one), panic_threshold=0),
                       balanced(canary, url(two), panic_threshold=0))
    first, other = Served(table, f"{main}@file"), Served(table, f"{canary}@file")
    first.mark(url(one), STATE_DOWN)
    assert served_by(table, both, 20) == {two.port: 20}
    other.mark(url(two), STATE_DRAIN)
    assert ask(table, both).status == 503
    first.mark(url(one), 0, STATE_DOWN)
    assert served_by(table, both, 20) == {one.port: 20}


def test_a_service_without_endpoints_says_so(table: Table) -> None:
    answer = ask(table, table.serve(balanced(name())))
    assert (answer.status, answer.value(b"retry-after")) == (503, b"1")
    assert b"the service has no endpoint" in answer.body


@pytest.mark.parametrize("bits", SERVES_NOT)
def test_what_is_under_way_goes_on_whatever_is_said_meanwhile(
        table: Table, upstreams: list[Upstream], bits: int) -> None:
    gate = threading.Event()

    def script(conversation):
        conversation.request()
        conversation.send(HALF)
        conversation.until(gate)
        conversation.send(b"the other ")
        conversation.ended(8)
    one, other = upstreams[:2]
    one.follow(script)
    service = table.serve(balanced(name(), url(one)))
    client = Client(table.address()).get(service.host)
    client.head()
    service.mark(url(one), bits)
    by_name(other)
    table.serve(balanced(service.name.removesuffix("@file"), url(one), url(other)))
    assert served_by(table, service, 4) == {other.port: 4}
    gate.set()
    assert client.reader.exactly(20) == b"half of itthe other "
    client.close()
    soon(lambda: service.in_flight(url(one)) == 0)
    assert service.told(url(one)) == (1, 0)


def test_an_upload_that_waits_while_its_endpoint_is_drained_is_simply_served(
        table: Table, upstreams: list[Upstream]) -> None:
    one = by_name(upstreams[0])
    service = table.serve(balanced(name(), url(one)))
    client = Client(table.address())
    client.send(b"POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: 4\r\n\r\nbo" % service.host)
    soon(lambda: service.in_flight(url(one)) == 1)
    service.mark(url(one), STATE_DRAIN)
    assert client.send(b"dy").answer().status == 200
    client.close()


def test_a_weight_typed_by_an_operator_counts(table: Table, upstreams: list[Upstream]) -> None:
    one, other = map(by_name, upstreams[:2])
    service = table.serve(balanced(name(), url(one), url(other)))
    service.mark(url(one), 4 << WEIGHT_SHIFT, 0xffff << WEIGHT_SHIFT)
    soon(lambda: served_by(table, service, 8)[one.port] == 6, 8)


# Sticky clients

def told(answer: Answer) -> dict[bytes, bytes]:
    """The cookies of an answer, name -> value."""
    pairs = [value.partition(b";")[0].partition(b"=") for value in answer.values(b"set-cookie")]
    return {name: value for name, _, value in pairs}


def value_of(named: str) -> bytes:
    return hashlib.sha256(named.encode()).hexdigest()[:16].encode()


def test_a_new_client_is_told_a_cookie_and_stays(table: Table, upstreams: list[Upstream]) -> None:
    for each in upstreams:
        by_name(each)
    service = table.serve(balanced(name(), *map(url, upstreams), sticky=Cookie("stick", http_only=True, max_age=60)))
    first = ask(table, service)
    mine = int(first.body)
    assert first.values(b"set-cookie") == [
        b"stick=%s; Path=/; Max-Age=60; HttpOnly" % value_of(f"http://127.0.0.1:{mine}")]
    cookie = b"Cookie: other=1; stick=%s\r\n" % told(first)[b"stick"]
    for _ in range(9):
        answer = ask(table, service, cookie)
        assert (int(answer.body), answer.values(b"set-cookie")) == (mine, [])


def test_a_client_stays_on_a_connection_that_is_kept(table: Table, upstreams: list[Upstream]) -> None:
    # the second request of a connection is served from the hub
    for each in upstreams:
        by_name(each)
    service = table.serve(balanced(name(), *map(url, upstreams), sticky=Cookie("stick")))
    wanted = upstreams[1]
    client = Client(table.address())
    for _ in range(8):
        client.get(service.host, more=b"Cookie: stick=%s\r\n" % value_of(url(wanted)))
        answer = client.answer()
        assert (int(answer.body), answer.values(b"set-cookie")) == (wanted.port, [])
    without = client.get(service.host).answer()
    assert told(without) == {b"stick": value_of(f"http://127.0.0.1:{int(without.body)}")}
    client.close()


def test_a_client_of_a_dead_endpoint_moves_and_is_told_where_to(table: Table, upstreams: list[Upstream]) -> None:
    dead, other = upstreams[:2]
    by_name(other)
    service = table.serve(balanced(name(), url(dead), url(other), sticky=Cookie("stick")))
    answer = ask(table, service, b"Cookie: stick=%s\r\n" % value_of(url(dead)))
    assert int(answer.body) == other.port
    assert told(answer) == {b"stick": value_of(url(other))}
    service.mark(url(dead), STATE_DOWN)
    before = service.word(url(dead), SLOT_REQUESTS)
    answer = ask(table, service, b"Cookie: stick=%s\r\n" % value_of(url(dead)))
    assert told(answer) == {b"stick": value_of(url(other))}
    assert service.word(url(dead), SLOT_REQUESTS) == before


def test_a_drained_endpoint_keeps_its_clients_and_gets_no_new_ones(table: Table, upstreams: list[Upstream]) -> None:
    one, other = map(by_name, upstreams[:2])
    service = table.serve(balanced(name(), url(one), url(other), sticky=Cookie("stick")))
    service.mark(url(one), STATE_DRAIN)
    assert served_by(table, service, 3, b"Cookie: stick=%s\r\n" % value_of(url(one))) == {one.port: 3}
    assert served_by(table, service, 3) == {other.port: 3}


@pytest.mark.parametrize("value", [b"0123456789abcdef", b"", b"%", b"x" * 5000])
def test_a_cookie_that_names_nobody_is_replaced(table: Table, upstreams: list[Upstream], value: bytes) -> None:
    one = by_name(upstreams[0])
    service = table.serve(balanced(name(), url(one), sticky=Cookie("stick")))
    assert told(ask(table, service, b"Cookie: stick=%s\r\n" % value)) == {b"stick": value_of(url(one))}


def test_an_answer_of_our_own_tells_no_cookie(table: Table, upstreams: list[Upstream]) -> None:
    service = table.serve(balanced(name(), url(upstreams[0]), sticky=Cookie("stick")))
    answer = ask(table, service)
    assert (answer.status, told(answer)) == (503, {})


def test_a_cookie_is_told_beside_the_endpoint_s_own_and_to_heads_and_tunnels(
        table: Table, upstreams: list[Upstream]) -> None:
    upstreams[0].follow(answering(b"HTTP/1.1 200 OK\r\nSet-Cookie: theirs=1\r\nContent-Length: 0\r\n\r\n"))
    service = table.serve(balanced(name(), url(upstreams[0]), sticky=Cookie("stick")))
    for method in (b"GET", b"HEAD"):
        assert told(ask(table, service, method=method)) == {b"theirs": b"1", b"stick": value_of(url(upstreams[0]))}

    def script(conversation):
        conversation.request()
        conversation.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: test\r\n\r\n")
        conversation.ended(8)
    upstreams[1].follow(script)
    service = table.serve(balanced(name(), url(upstreams[1]), sticky=Cookie("stick")))
    answer = ask(table, service, b"Connection: upgrade\r\nUpgrade: test\r\n")
    assert (answer.status, told(answer)) == (101, {b"stick": value_of(url(upstreams[1]))})


def test_a_weighted_service_keeps_a_client_with_its_child_and_its_endpoint(
        table: Table, upstreams: list[Upstream]) -> None:
    one, two, three = map(by_name, upstreams)
    parent, left, right = name(), name(), name()
    service = table.serve(weighted(parent, (left, 1), (right, 1), sticky=Cookie("child")),
                          balanced(left, url(one), url(two), sticky=Cookie("stick")), balanced(right, url(three)))
    answers = [ask(table, service) for _ in range(6)]
    assert {int(answer.body) for answer in answers} == {one.port, two.port, three.port}
    for answer in answers:
        of_left = int(answer.body) != three.port
        assert told(answer) == ({b"child": value_of(f"{left}@file"), b"stick": value_of(
            f"http://127.0.0.1:{int(answer.body)}")} if of_left else {b"child": value_of(f"{right}@file")})
    cookie = b"Cookie: child=%s; stick=%s\r\n" % (value_of(f"{left}@file"), value_of(url(two)))
    assert served_by(table, service, 5, cookie) == {two.port: 5}
    cookie = b"Cookie: child=%s\r\n" % value_of(f"{right}@file")
    assert served_by(table, service, 5, cookie) == {three.port: 5}


# Strategies

def test_hrw_keeps_an_address_on_its_endpoint(table: Table, upstreams: list[Upstream]) -> None:
    for each in upstreams:
        by_name(each)
    service = table.serve(balanced(name(), *map(url, upstreams), strategy="hrw"))
    (mine,) = served_by(table, service, 8)
    client = Client(table.address())
    assert {int(client.get(service.host).answer().body) for _ in range(4)} == {mine}
    client.close()
    service.mark(f"http://127.0.0.1:{mine}", STATE_DOWN)
    (other,) = served_by(table, service, 4)
    assert other != mine


def test_leasttime_prefers_who_answers_sooner(table: Table, upstreams: list[Upstream]) -> None:
    slow, quick = upstreams[:2]
    never = threading.Event()

    def script(conversation):
        while True:
            conversation.request()
            never.wait(0.5)
            conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n0")
    slow.follow(script)
    by_name(quick)
    service = table.serve(balanced(name(), url(slow), url(quick), strategy="leasttime"))
    assert served_by(table, service, 12)[quick.port] >= 9


def test_p2c_avoids_the_endpoint_that_another_worker_keeps_busy(
        two_workers: Table, upstreams: list[Upstream]) -> None:
    table, gate = two_workers, threading.Event()
    busy, free = upstreams[:2]
    busy.follow(held(gate))
    by_name(free)
    service = table.serve(balanced(name(), url(busy), url(free), strategy="p2c"))
    service.mark(url(free), STATE_DISABLED)
    one, other = map(psutil.Process, table.workers)
    with stopped(other):
        clients = [Client(table.address()).get(service.host) for _ in range(12)]
        soon(lambda: service.in_flight(url(busy)) == 12)
    with stopped(one):
        service.mark(url(free), 0, STATE_DISABLED)
        assert served_by(table, service, 20) == {free.port: 20}
    gate.set()
    for client in clients:
        assert client.answer().status == 200
        client.close()
    table.rest(service)


# What survives what

def test_a_worker_killed_with_a_hundred_requests_under_way_leaves_none(
        two_workers: Table, upstreams: list[Upstream]) -> None:
    table, gate = two_workers, threading.Event()
    one = upstreams[0].follow(held(gate))
    service = table.serve(balanced(name(), url(one)))
    clients = [Client(table.address()).get(service.host) for _ in range(200)]
    soon(lambda: service.in_flight(url(one)) == 200, 15)
    former = table.workers
    os.kill(former[0], signal.SIGKILL)
    until(lambda: table.serves and former[0] not in table.workers, "another serves in its place")
    left = [client for client in clients if is_open(client)]
    assert 0 < len(left) < 200
    soon(lambda: service.in_flight(url(one)) == len(left))
    os.kill(former[1], signal.SIGKILL)
    until(lambda: table.serves and former[1] not in table.workers, "another serves in its place")
    soon(lambda: service.in_flight(url(one)) == 0)
    gate.set()
    for client in clients:
        client.close()
    assert ask(table, service).status == 200
    soon(lambda: service.in_flight(url(one)) == 0)


def is_open(client: Client) -> bool:
    """Whether the other side has not ended it."""
    client.sock.setblocking(False)
    try:
        return client.sock.recv(1) != b""
    except BlockingIOError:
        return True
    except ConnectionError:
        return False
    finally:
        client.sock.setblocking(True)
        client.sock.settimeout(10)


def test_workers_that_leave_at_once_leave_nothing_under_way(two_workers: Table, upstreams: list[Upstream]) -> None:
    table, gate = two_workers, threading.Event()
    one = upstreams[0].follow(held(gate))
    service = table.serve(balanced(name(), url(one)))
    clients = [Client(table.address()).get(service.host) for _ in range(20)]
    soon(lambda: service.in_flight(url(one)) == 20)
    for pid in table.workers:
        os.kill(pid, signal.SIGQUIT)
    soon(lambda: service.in_flight(url(one)) == 0)
    gate.set()
    for client in clients:
        client.close()


def test_a_request_whose_service_has_left_the_plan_ends_as_any_other(
        two_workers: Table, upstreams: list[Upstream]) -> None:
    table, gate = two_workers, threading.Event()
    one = upstreams[0].follow(held(gate))
    gone = table.serve(balanced(name(), url(one), strategy="p2c"))
    client = Client(table.address()).get(gone.host)
    soon(lambda: gone.in_flight(url(one)) == 1)
    del table.services[gone.name]
    table.serve(balanced("left", url(upstreams[1])))
    assert ask(table, gone).status == 404
    assert gone.in_flight(url(one)) == 1
    gate.set()
    assert client.answer().status == 200
    client.close()
    soon(lambda: gone.in_flight(url(one)) == 0)
    assert gone.told(url(one)) == (1, 0)


def test_a_reload_under_load_loses_no_request_and_leaves_nothing_under_way(
        two_workers: Table, upstreams: list[Upstream]) -> None:
    table, over = two_workers, threading.Event()
    for each in upstreams:
        by_name(each)
    service = table.serve(balanced(name(), *map(url, upstreams), strategy="p2c"))
    statuses: Counter[int | str] = Counter()

    def load() -> None:
        while not over.is_set():
            try:
                statuses[ask(table, service).status] += 1
            except Exception as error:
                statuses[repr(error)] += 1

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    former = table.workers
    table.signal(signal.SIGHUP)
    until(lambda: not {*former} & {*table.workers} and len(table.workers) == 2, "others serve")
    over.set()
    for thread in threads:
        thread.join()
    assert {*statuses} == {200}
    table.rest(service)
    assert sum(service.told(url(each))[0] for each in upstreams) == statuses[200]


def test_health_counts_and_requests_under_way_are_as_before_after_an_edit_a_reload_and_the_agent_s_death(
        two_workers: Table, upstreams: list[Upstream]) -> None:
    table, gate = two_workers, threading.Event()
    bad, good, busy = upstreams
    by_name(good)
    service = table.serve(balanced(name(), url(bad), url(good), url(busy), passive=Passive(attempts=2, ejection=120.0)))
    service.mark(url(busy), STATE_DOWN | 3 << WEIGHT_SHIFT)
    until(lambda: ask(table, service).status == 200 and service.word(url(bad), SLOT_EJECTED_MS), "it is ejected")
    service.mark(url(good), STATE_DRAIN)
    service.mark(url(busy), 0, STATE_DOWN)
    busy.follow(held(gate))
    client = Client(table.address()).get(service.host)
    soon(lambda: service.in_flight(url(busy)) == 1)

    def seen() -> list[object]:
        return [(service.words(url(each)), service.in_flight(url(each))) for each in upstreams]

    before = seen()
    assert before[0][0][SLOT_EJECTED_MS] > 0
    table.serve(balanced("another", url(good)))
    table.serve(balanced(service.name.removesuffix("@file"), url(bad), url(good), url(busy), "http://127.0.0.1:9",
                         passive=Passive(attempts=2, ejection=120.0)))
    assert seen() == before
    former = table.agent
    os.kill(former, signal.SIGKILL)
    until(lambda: table.agent not in (0, former), "another agent")
    table.serve(balanced("more", url(good)))
    assert seen() == before
    table.signal(signal.SIGHUP)
    until(lambda: table.status()["master"]["staticReloads"] == 1, "the reload has begun")
    until(lambda: sum(not worker["draining"] for worker in table.status()["workers"]) == 2, "others serve")
    assert seen() == before
    gate.set()
    assert client.answer().status == 200
    client.close()
    soon(lambda: service.in_flight(url(busy)) == 0)
