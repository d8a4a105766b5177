"""The demo's service answers as a real one does, and ends with whoever started it."""
from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection

import pytest


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with subprocess.Popen([sys.executable, "-m", "workers.demo_service", "orders.shop", "orders-1", str(os.getpid())],
                          stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.terminate()


@pytest.fixture
def client(port: int) -> Iterator[HTTPConnection]:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    yield connection
    connection.close()


def test_an_answer_says_which_instance_gave_it(client: HTTPConnection) -> None:
    client.request("GET", "/7?a=b", headers={"Host": "orders.shop.mesh"})
    answer = client.getresponse()
    assert answer.getheader("X-Instance") == "orders-1"
    assert json.loads(answer.read()) == {"service": "orders.shop", "instance": "orders-1", "method": "GET",
                                         "path": "/7?a=b", "host": "orders.shop.mesh", "client": ""}


def test_what_is_posted_with_a_length_comes_back_with_it(client: HTTPConnection) -> None:
    body = b"0123456789" * 20_000
    client.request("POST", "/", body, {"Content-Type": "text/x-digits"})
    answer = client.getresponse()
    assert (answer.getheader("Content-Length"), answer.getheader("Content-Type")) == ("200000", "text/x-digits")
    assert answer.read() == body


def test_what_is_posted_in_chunks_comes_back_in_chunks(client: HTTPConnection) -> None:
    client.request("POST", "/", iter([b"one", b"two" * 50_000]))
    answer = client.getresponse()
    assert answer.getheader("Transfer-Encoding") == "chunked"
    assert answer.read() == b"one" + b"two" * 50_000


def test_several_requests_go_over_one_connection(client: HTTPConnection) -> None:
    sockets = set()
    for method in ("GET", "HEAD", "DELETE", "GET"):
        client.request(method, "/")
        client.getresponse().read()
        sockets.add(client.sock)
    assert len(sockets) == 1


def test_the_body_of_a_get_is_not_taken_for_the_next_request(client: HTTPConnection) -> None:
    client.request("GET", "/", b"GET /stolen HTTP/1.1\r\n\r\n")
    answer = client.getresponse()
    assert (answer.status, answer.getheader("Connection")) == (200, "close")


def test_the_first_event_comes_before_the_last_is_sent(client: HTTPConnection) -> None:
    client.request("GET", "/events?count=2")
    answer = client.getresponse()
    first = answer.readline(), answer.readline(), answer.readline()
    came = time.monotonic()
    assert first == (b"id: 1\n", b'data: {"instance": "orders-1", "number": 1, "of": 2}\n', b"\n")
    assert answer.read().startswith(b"id: 2\n")
    assert time.monotonic() - came > 0.2


def test_a_number_that_is_none_is_the_usual_one(client: HTTPConnection) -> None:
    client.request("GET", "/slow?seconds=0.01")
    assert client.getresponse().read()
    client.request("HEAD", "/events?count=many")
    assert client.getresponse().status == 200


def test_it_does_not_outlive_whoever_started_it() -> None:
    starter = subprocess.Popen(
        [sys.executable, "-c",
         "import os, subprocess, sys, time\n"
         "p = subprocess.Popen([sys.executable, '-m', 'workers.demo_service', 's', 'i', str(os.getpid())],"
         " stdout=subprocess.PIPE)\n"
         "p.stdout.readline()\n"
         "print(p.pid, flush=True)\n"
         "time.sleep(60)"], stdout=subprocess.PIPE)
    assert starter.stdout is not None
    pid = int(starter.stdout.readline())
    starter.kill()
    starter.wait()
    starter.stdout.close()
    deadline = time.monotonic() + 10
    while _runs(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _runs(pid)


def _runs(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
