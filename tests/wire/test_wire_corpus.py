"""The messages of tests/corpus/http1 through the running proxy: what the client gets, what the endpoint received."""
from __future__ import annotations

import select
import socket
import sys
from pathlib import Path

import pytest
from wire_client import Answer, Client, CutOff, soon
from wire_upstream import Conversation

sys.path.insert(0, str(Path(__file__).parents[1] / "corpus"))
from http1_cases import Case, cases


class Endpoint:
    """The corpus's endpoint, which answers as it is told; the same for all cases."""

    def __init__(self, upstream):
        self.upstream = upstream
        self.answer = b""
        self.resting = set()        # conversations that wait for a request
        self.broken = []            # what the proxy sent that could not be read
        upstream.follow(self._serve)

    def _serve(self, conversation: Conversation) -> None:
        while True:
            try:
                self.resting.add(conversation)
                seen = conversation.head()
                self.resting.discard(conversation)
                conversation.body(seen)
            except AssertionError as error:
                self.broken.append(error)
                return
            if self.answer:         # the answer of one connection: nothing behind it is one
                conversation.send(self.answer)
                conversation.finish()
                conversation.ended()
                return
            conversation.send(b"HTTP/1.1 200 OK\r\nX-By: endpoint\r\nContent-Length: 2\r\n\r\nok")

    def rests(self) -> bool:
        """Whether all that the proxy sent has been read: its connections are ended, or wait for the next request."""
        waiting = [conversation for conversation, thread in
                   zip(self.upstream.conversations, self.upstream.threads, strict=False) if thread.is_alive()]
        poll = select.poll()        # not select(): behind other tests our descriptors may be beyond its 1,024
        try:
            for conversation in waiting:
                poll.register(conversation.sock, select.POLLIN)
            return (all(conversation in self.resting and not conversation.reader.rest for conversation in waiting)
                    and not poll.poll(0))
        except (OSError, ValueError):
            return False            # one is just being closed

    def has_accepted(self, port: int) -> bool:
        return any(conversation.port == port for conversation in list(self.upstream.conversations))


@pytest.fixture(scope="module")
def endpoint(service):
    yield Endpoint(service.corpus)
    service.corpus.stop()


@pytest.fixture
def fresh(endpoint):
    """The endpoint, with nothing seen and nothing on its way."""
    with socket.create_connection(("127.0.0.1", endpoint.upstream.port)) as last:
        soon(lambda: endpoint.has_accepted(last.getsockname()[1]))      # so all before it have been, too
    soon(endpoint.rests)
    endpoint.answer = b""
    endpoint.upstream.requests.clear()
    endpoint.broken.clear()
    return endpoint


def answers_of(client: Client, case: Case) -> list[Answer]:
    """Every answer until the connection ends.  We end our side as soon as nothing more can come."""
    answers, method = [], case.facts.get("method") or case.message.split(b" ", 1)[0].strip()
    finished = case.expect == "more"
    if finished:
        client.finish()
    try:
        while True:
            answers.append(client.answer(method if not answers else b"GET"))
            if answers[-1].status == 101:
                break
            if not finished and b"close" not in answers[-1].values(b"connection"):
                finished = True
                client.finish()
    except CutOff as cut:
        if cut.answer is not None:
            raise
    return answers


@pytest.mark.parametrize("case", cases("request"), ids=str)
def test_request(case, service, fresh, connect):
    client = connect("any")
    try:
        client.send(case.message)
    except ConnectionError:
        assert case.forwarded != "yes"      # it was refused before we had sent all of it
    answers = answers_of(client, case)
    seen = fresh.upstream.requests
    statuses = [answer.status for answer in answers]
    assert not fresh.broken
    if case.expect == "refuse":
        assert statuses == [case.status]
        assert answers[0].value(b"server") == b"hostmesh"
        assert answers[0].value(b"connection") == b"close"
    if case.client:
        assert statuses[0] in case.client
    if case.forwarded == "no":
        assert seen == []
    if case.forwarded == "yes":
        whole = seen[0]
        assert (statuses[0], answers[0].value(b"x-by")) == (200, b"endpoint")
        assert len(seen) <= 1 + bool(case.facts.get("next"))
        assert whole.method == case.facts.get("method", whole.method)
        assert whole.body == case.facts.get("body", b"")
        if "path" in case.facts:
            assert whole.target.partition(b"?")[0] == case.facts["path"]
        assert bool(whole.tail) == case.facts.get("chunked", bool(whole.tail))
        if whole.tail:
            assert whole.tail == b"0\r\n" + case.facts.get("trailers", b"") + b"\r\n"
        names = [name for name, _ in whole.fields]
        for name in (b"keep-alive", b"proxy-connection", b"proxy-authorization", b"proxy-authenticate"):
            assert name not in names
        for name in (b"x-forwarded-for", b"x-real-ip", b"x-forwarded-proto", b"x-forwarded-server", b"x-request-id"):
            assert names.count(name) == 1
        assert whole.values(b"via")[-1] in (b"1.1 hostmesh", b"1.0 hostmesh")
        for said in case.upstream:
            assert said in whole.head + whole.body + whole.tail
        for said in case.upstream_not:
            assert said not in whole.head + whole.body + whole.tail
    if case.forwarded == "partly":
        assert len(seen) <= 1
        assert not any(each.body or each.tail for each in seen)     # they are set when they are whole
    for said in case.client_has:
        assert said in b"".join(answer.head + answer.body for answer in answers)
    for said in case.client_not:
        assert said not in b"".join(answer.head + answer.body for answer in answers)


@pytest.mark.parametrize("case", cases("response"), ids=str)
def test_response(case, service, fresh, connect):
    upstream = fresh.upstream
    fresh.answer = case.message
    client = connect("any")
    client.send(b"%s / HTTP/1.1\r\nHost: a.mesh\r\n\r\n" % case.to)
    answer = cut = None
    try:
        answer = client.answer(case.to)
    except CutOff as error:
        cut = error
    assert not fresh.broken
    if case.expect == "refuse":
        assert (answer.status, answer.value(b"server")) == (502, b"hostmesh")
    if case.client:
        assert (answer or cut.answer).status in case.client
    if case.forwarded == "yes":
        assert answer.status == case.facts.get("status", answer.status)
        assert answer.reason == case.facts.get("reason", answer.reason)
        assert answer.body == case.facts.get("body", b"")
        assert tuple(each.status for each in answer.interims) == case.interim
    if case.forwarded == "no":
        assert answer.status in (502, 504)
    if case.forwarded == "partly":
        assert cut is not None or answer.status == 502
    got = b"".join(each.head for each in answer.interims) + answer.head + answer.body + answer.tail if answer else b""
    for said in case.client_has:
        assert said in got
    for said in case.client_not:
        assert said not in got
    # whatever it was: the next request goes on a connection of its own, and gets its own answer
    fresh.answer = b""
    assert connect("any").get(b"a.mesh", b"/next").answer().value(b"x-by") == b"endpoint"
    last = next(seen for seen in upstream.requests if seen.target == b"/next")
    assert sum(seen.target == b"/next" for seen in upstream.requests) == 1
    if case.expect == "refuse" or case.facts.get("next"):
        bad = next(seen for seen in upstream.requests if seen.target != b"/next")
        assert last.connection != bad.connection
    client.close()
