"""Whatever becomes of a request, nothing of it stays under way, and its endpoint is judged by its own doing alone."""
from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Callable, Iterator

import pytest
from test_wire_leaks import endpoint as any_kind
from test_wire_leaks import one
from wire_client import Client, CutOff, soon
from wire_table import Served, Table, balanced
from wire_upstream import OK, Script, Upstream, answering

from mesh.balance.leasttime import latency_us
from mesh.model import Cookie, Passive, Transport
from mesh.shared.slots import SLOT_EJECTED_MS, SLOT_LATENCY

WELL, BADLY, NOTHING = "well", "badly", "nothing"
KINDS = b"good good chunks cut odd reset gone early switch silent bad half".split()
NUMBERS = itertools.count()
QUICK = Transport("quick@file", dial_timeout=0.4, response_header_timeout=0.5)
PATIENT = Passive(attempts=0)           # nobody is ejected in these tests: they look at what is counted
UPGRADE = b"Connection: Upgrade\r\nUpgrade: test\r\n"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: test\r\n\r\n"
HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhalf of it"


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Table]:
    with Table(tmp_path_factory.mktemp("endings"), entry_points={
            "web": {}, "quick": {"transport": {"respondingTimeouts": {
                "headerTimeout": "400ms", "readTimeout": "2s", "bodyIdleTimeout": "500ms", "idleTimeout": "400ms"}}},
            "total": {"transport": {"respondingTimeouts": {"totalTimeout": "600ms"}}},
            "write": {"transport": {"respondingTimeouts": {"writeTimeout": "600ms"}}}}) as table:
        yield table


@pytest.fixture
def endpoint() -> Iterator[Upstream]:
    upstream = Upstream()
    yield upstream
    upstream.fail_if_failed()
    upstream.stop()


@pytest.fixture
def other() -> Iterator[Upstream]:
    upstream = Upstream()
    yield upstream
    upstream.fail_if_failed()
    upstream.stop()


def url(upstream: Upstream) -> str:
    return f"http://127.0.0.1:{upstream.port}"


def served(table: Table, *upstreams: Upstream, **options: object) -> Served:
    return table.serve(balanced(f"s{next(NUMBERS)}", *map(url, upstreams), **{
        "passive": PATIENT, **options}), transports=(QUICK,))


# What the endpoint does with a connection

def first(*parts: bytes, then: str = "") -> Script:
    """Takes a request, sends the parts, and does this."""
    def script(conversation):
        conversation.request()
        conversation.send(*parts)
        if then == "close":
            conversation.close()
        elif then == "reset":
            conversation.reset()
        else:
            conversation.ended(8)
    return script


def head_only(*parts: bytes) -> Script:
    """Takes the head of a request and sends the parts."""
    def script(conversation):
        conversation.head()
        conversation.send(*parts)
        conversation.ended(8)
    return script


def deaf(conversation):
    """Takes a head, and reads nothing more."""
    conversation.head()
    soon(lambda: conversation.upstream.closing, 10)


def tunnel(then: str) -> Script:
    def script(conversation):
        conversation.request()
        conversation.send(SWITCHED, b"hello")
        if then == "end":
            conversation.finish()
            conversation.ended(8)
        elif then == "reset":
            conversation.reader.exactly(2)
            conversation.reset()
        else:
            conversation.ended(8)
    return script


# What the client does

def get(client: Client, host: bytes) -> int:
    return client.get(host).answer().status


def head(client: Client, host: bytes) -> int:
    return client.get(host, method=b"HEAD").answer(b"HEAD").status


def post(client: Client, host: bytes) -> int:
    return client.post(host, b"body").answer().status


def pipelined(client: Client, host: bytes) -> int:
    client.get(host).get(host)
    return client.answer().status + client.answer().status


def cut(client: Client, host: bytes) -> str:
    try:
        client.get(host).answer()
    except CutOff:
        return "cut"
    return "whole"


def leaves(how: str, after: str) -> Callable[[Client, bytes], str]:
    def act(client: Client, host: bytes) -> str:
        if after == "half a body":
            client.send(b"POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: 90\r\n\r\nhello" % host)
        else:
            client.get(host)
        if after == "half an answer":
            client.head()
        yield_to_endpoint(host)
        client.reset() if how == "reset" else client.close()
        return "left"
    return act


UNDER_TEST: dict[bytes, Upstream] = {}


def yield_to_endpoint(host: bytes) -> None:
    soon(lambda: UNDER_TEST[host].requests)


def bad_chunks(client: Client, host: bytes) -> int:
    client.send(b"PUT / HTTP/1.1\r\nHost: %s\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nzz\r\n" % host)
    return client.answer().status


def later_bad_chunks(client: Client, host: bytes) -> int:
    client.send(b"PUT / HTTP/1.1\r\nHost: %s\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n" % host)
    yield_to_endpoint(host)
    client.send(b"zz\r\n")
    return client.answer().status


def slow_upload(client: Client, host: bytes) -> int:
    client.send(b"PUT / HTTP/1.1\r\nHost: %s\r\nContent-Length: 9\r\n\r\nok" % host)
    return client.answer().status


def large_upload(client: Client, host: bytes) -> int:
    client.send(b"PUT / HTTP/1.1\r\nHost: %s\r\nContent-Length: 90000000\r\n\r\n" % host + bytes(100000))
    return client.answer().status


def endless_upload(client: Client, host: bytes) -> int:
    client.sock.settimeout(0.3)
    with pytest.raises(TimeoutError):
        client.send(b"PUT / HTTP/1.1\r\nHost: %s\r\nContent-Length: 90000000\r\n\r\n" % host, bytes(90000000))
    client.sock.settimeout(10)
    return client.answer().status


def upgraded(then: str) -> Callable[[Client, bytes], int]:
    def act(client: Client, host: bytes) -> int:
        status = client.get(host, more=UPGRADE).answer().status
        client.reader.exactly(5)
        client.send(b"hi")
        if then == "end":
            client.finish()
        elif then == "reset":
            client.reset()
            return status
        client.reader.end(8)
        return status
    return act


def upgrade(client: Client, host: bytes) -> int:
    return client.get(host, more=UPGRADE).answer().status


# name: entrypoint, endpoint (None: it refuses), client, what the client sees, what is known of the endpoint
ENDINGS: dict[str, tuple[str, Script | None, Callable[[Client, bytes], object], object, str]] = {
    "an answer": ("web", answering(), get, 200, WELL),
    "an answer to HEAD": ("web", first(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"), head, 200, WELL),
    "an answer without a body": ("web", first(b"HTTP/1.1 204 No Content\r\n\r\n"), get, 204, WELL),
    "an answer in chunks": ("web", first(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"), get, 200, WELL),
    "an answer up to the end": ("web", first(b"HTTP/1.1 200 OK\r\n\r\nok", then="close"), get, 200, WELL),
    "an answer behind an interim one": ("web", first(b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK), get, 200, WELL),
    "an answer in parts": ("web", first(b"HTTP/1.1 200 OK\r\nContent-Le", b"ngth: 2\r\n\r\no", b"k"), get, 200, WELL),
    "an answer to a body": ("web", answering(), post, 200, WELL),
    "an answer to each of two": ("web", first(OK + OK), pipelined, 400, WELL),
    "a large answer": ("web", first(b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + bytes(3000000)), get, 200,
                       WELL),
    "an answer that asks for the end": ("web", first(
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", then="close"), get, 200, WELL),
    "an error of the application": ("web", first(b"HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\noh"), get, 500, WELL),
    "an early answer": ("web", head_only(b"HTTP/1.1 413 Large\r\nContent-Length: 0\r\n\r\n"), large_upload, 413, WELL),
    "no connection": ("web", None, get, 503, BADLY),
    "the end instead of an answer": ("web", first(then="close"), post, 502, BADLY),
    "a reset instead of an answer": ("web", first(then="reset"), get, 502, BADLY),
    "the end within a head": ("web", first(b"HTTP/1.1 200 OK\r\nConte", then="close"), get, 502, BADLY),
    "no HTTP": ("web", first(b"SSH-2.0-OpenSSH\r\n\r\n"), get, 502, BADLY),
    "two lengths": ("web", first(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok"), get, 502,
                    BADLY),
    "a switch that nobody asked for": ("web", first(SWITCHED), get, 502, BADLY),
    "no answer in time": ("web", first(), get, 504, BADLY),
    "an answer that breaks off": ("web", first(HALF, then="close"), cut, "cut", BADLY),
    "an answer that is reset": ("web", first(HALF, then="reset"), cut, "cut", BADLY),
    "chunks that break off": ("web", first(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nok", then="close"), cut, "cut", BADLY),
    "an upload that nobody reads": ("quick", deaf, endless_upload, 504, BADLY),
    "a client that leaves while it waits": ("web", first(), leaves("end", "a request"), "left", NOTHING),
    "a client that resets while it waits": ("web", first(), leaves("reset", "a request"), "left", NOTHING),
    "a client that leaves in its body": ("web", head_only(), leaves("end", "half a body"), "left", NOTHING),
    "a client that leaves in an answer": ("web", first(HALF), leaves("end", "half an answer"), "left", NOTHING),
    "a client that resets in an answer": ("web", first(HALF), leaves("reset", "half an answer"), "left", NOTHING),
    "a body with broken chunks": ("web", head_only(), bad_chunks, 400, NOTHING),
    "a body whose chunks break later": ("web", head_only(), later_bad_chunks, 400, NOTHING),
    "a body that does not come": ("quick", head_only(), slow_upload, 408, NOTHING),
    "the client's time is over in an answer": ("total", first(HALF), cut, "cut", NOTHING),
    "the time to write is over": ("write", first(HALF), cut, "cut", NOTHING),
    "a tunnel that the endpoint ends": ("web", tunnel("end"), upgraded("wait"), 101, WELL),
    "a tunnel that the client ends": ("web", tunnel("wait"), upgraded("end"), 101, WELL),
    "a tunnel that the client resets": ("web", tunnel("wait"), upgraded("reset"), 101, WELL),
    "a tunnel that the endpoint resets": ("web", tunnel("reset"), upgraded("wait"), 101, NOTHING),
    "an upgrade that is refused": ("web", answering(), upgrade, 200, WELL),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_nothing_stays_under_way_and_the_endpoint_is_judged_by_its_own_doing(
        table: Table, endpoint: Upstream, name: str) -> None:
    entry_point, script, act, seen, verdict = ENDINGS[name]
    service = served(table, endpoint, transport=QUICK.name if "in time" in name else "")
    UNDER_TEST[service.host] = endpoint
    if script is not None:
        endpoint.follow(script)
    before = service.word(url(endpoint), SLOT_LATENCY)
    client = Client(table.address(entry_point))
    try:
        assert act(client, service.host) == seen
    finally:
        client.close()
    tries = 2 if name == "an answer to each of two" else 1
    soon(lambda: service.told(url(endpoint))[0] == tries)
    assert service.told(url(endpoint)) == (tries, verdict == BADLY)
    assert service.in_flight(url(endpoint)) == 0
    if verdict == WELL and "tunnel" not in name and "early" not in name:
        assert service.word(url(endpoint), SLOT_LATENCY) != before


def test_a_request_is_under_way_until_its_answer_has_ended(table: Table, endpoint: Upstream) -> None:
    service = served(table, endpoint)
    endpoint.follow(first(HALF))
    client = Client(table.address()).get(service.host)
    assert client.head().status == 200
    assert service.in_flight(url(endpoint)) == 1
    client.close()
    soon(lambda: service.in_flight(url(endpoint)) == 0)


def test_a_tunnel_is_under_way_until_it_ends(table: Table, endpoint: Upstream) -> None:
    service = served(table, endpoint)
    endpoint.follow(tunnel("wait"))
    client = Client(table.address()).get(service.host, more=UPGRADE)
    assert client.answer().status == 101
    assert service.in_flight(url(endpoint)) == 1
    client.close()
    soon(lambda: service.in_flight(url(endpoint)) == 0)


def test_what_is_told_to_a_client_that_is_still_sending_keeps_nothing_under_way(
        table: Table, endpoint: Upstream) -> None:
    def script(conversation):
        conversation.head()
        conversation.close()
    service = served(table, endpoint)
    endpoint.follow(script)
    client = Client(table.address())
    client.send(b"POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: 9000\r\n\r\nbegun" % service.host)
    assert client.answer().status == 502
    assert service.in_flight(url(endpoint)) == 0        # and our side waits for the rest of the body, for two seconds
    assert service.told(url(endpoint)) == (1, 1)
    client.close()


@pytest.mark.parametrize(("before_s", "within_s", "least_us", "most_us"), [
    (0.4, 0.0, 400_000, 2_000_000), (0.0, 1.0, 1, 700_000)])
def test_the_time_to_the_first_byte_is_that_and_no_other(
        table: Table, endpoint: Upstream, before_s: float, within_s: float, least_us: int, most_us: int) -> None:
    never = threading.Event()

    def script(conversation):
        conversation.request()
        never.wait(before_s)
        conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no")
        never.wait(within_s)
        conversation.send(b"k")
        conversation.ended(8)
    service = served(table, endpoint)
    endpoint.follow(script)
    client = Client(table.address())
    assert get(client, service.host) == 200
    client.close()
    soon(lambda: service.told(url(endpoint)) == (1, 0))
    assert least_us <= latency_us(service.word(url(endpoint), SLOT_LATENCY)) <= most_us


def test_an_upload_is_not_part_of_the_time_to_the_first_byte(table: Table, endpoint: Upstream) -> None:
    service = served(table, endpoint)
    endpoint.follow(answering())
    client = Client(table.address())
    client.send(b"POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: 4\r\n\r\nbo" % service.host)
    soon(lambda: endpoint.conversations)
    threading.Event().wait(1.0)
    assert client.send(b"dy").answer().status == 200
    client.close()
    soon(lambda: service.told(url(endpoint)) == (1, 0))
    assert latency_us(service.word(url(endpoint), SLOT_LATENCY)) < 700_000


def test_an_endpoint_that_refuses_and_the_one_that_answers_instead_have_a_try_each(
        table: Table, endpoint: Upstream, other: Upstream) -> None:
    service = served(table, endpoint, other)
    other.follow(answering())
    client = Client(table.address())
    for _ in range(4):
        assert get(client, service.host) == 200
    client.close()
    soon(lambda: service.told(url(other)) == (4, 0))
    tried, failed = service.told(url(endpoint))
    assert tried == failed > 0
    assert service.in_flight(url(endpoint)) == service.in_flight(url(other)) == 0


def test_a_request_that_all_endpoints_refuse_counts_for_each_of_them(
        table: Table, endpoint: Upstream, other: Upstream) -> None:
    service = served(table, endpoint, other)
    client = Client(table.address())
    assert get(client, service.host) == 503
    client.close()
    assert service.told(url(endpoint)) == service.told(url(other)) == (1, 1)
    assert service.in_flight(url(endpoint)) == service.in_flight(url(other)) == 0


def test_of_hundreds_of_requests_of_every_kind_none_stays_under_way_while_the_service_is_edited(
        table: Table, endpoint: Upstream, other: Upstream) -> None:
    for each in (endpoint, other):
        each.follow(any_kind)
    choice = random.Random(4)
    names = [url(endpoint), url(other), "http://127.0.0.1:9"]
    service = table.serve(balanced("all-kinds", *names))
    for number in range(400):
        one(table.address(), service.host, choice.choice(KINDS), choice.randrange(4))
        if number % 40 == 39:
            choice.shuffle(names)
            table.serve(balanced("all-kinds", *names, strategy=choice.choice(["wrr", "p2c", "hrw", "leasttime"]),
                                 sticky=choice.choice([None, Cookie("seat")])))
    table.rest(service)
    assert sum(service.told(each)[0] for each in names) > 300
    assert not any(service.in_flight(each) for each in names)


def test_statuses_of_500_and_above_are_failures_where_the_service_says_so(table: Table, endpoint: Upstream) -> None:
    service = served(table, endpoint, passive=Passive(attempts=0, statuses=True))
    endpoint.follow(*[first(b"HTTP/1.1 %d Oh\r\nContent-Length: 0\r\n\r\n" % status, then="close")
                      for status in (499, 500, 503)])
    for number, failures in enumerate((0, 1, 2), 1):
        client = Client(table.address())
        get(client, service.host)
        client.close()
        soon(lambda number=number: service.told(url(endpoint))[0] == number)
        assert service.told(url(endpoint)) == (number, failures)


def race(table: Table, service: Served, endpoint: Upstream, act: Callable[[Client, bytes], int]) -> int:
    """What a request sees that goes out on an idle connection just as the endpoint closes it."""
    def script(conversation):
        conversation.request()
        conversation.send(OK)
        conversation.request()
        conversation.close()
    for _ in range(30):
        endpoint.follow(script, answering())
        client = Client(table.address())
        before = service.told(url(endpoint))[0]
        assert get(client, service.host) == 200
        status = act(client, service.host)
        client.close()
        soon(lambda before=before: service.told(url(endpoint))[0] == before + 2)
        if endpoint.requests[1].connection == 0:
            return status
        endpoint.stop()
    pytest.fail("no connection was used again")


def test_a_lost_race_for_an_idle_connection_says_nothing_of_the_endpoint(table: Table, endpoint: Upstream) -> None:
    service = served(table, endpoint)
    assert race(table, service, endpoint, get) == 200
    assert service.told(url(endpoint))[1] == 0
    assert service.in_flight(url(endpoint)) == 0


def test_neither_does_one_that_costs_a_request_which_must_not_be_doubled(table: Table, endpoint: Upstream) -> None:
    service = served(table, endpoint)
    assert race(table, service, endpoint, post) == 502
    assert service.told(url(endpoint))[1] == 0
    assert service.in_flight(url(endpoint)) == 0


def test_lost_races_eject_nobody(table: Table, endpoint: Upstream, other: Upstream) -> None:
    service = served(table, endpoint, other, passive=Passive(attempts=1))
    assert race(table, service, endpoint, lambda client, host: get(client, host)) in (200, 502)
    assert service.word(url(endpoint), SLOT_EJECTED_MS) == 0
