"""What RFC 9110 and 9112 demand of intermediaries and no other test shows; docs/conformance.md lists all."""
from __future__ import annotations

import pytest
from wire_upstream import answering

OPTIONS = b"OPTIONS"


def relayed(group, connect, answer, more=b"", method=b"GET"):
    """The answer to one request, as the client gets it."""
    group.a.follow(answering(answer))
    return connect().get(group.one, more=more, method=method).answer(method)


@pytest.mark.parametrize("said, goes_on", [(b"1", b"0"), (b"10", b"9"), (b"007", b"6")])
def test_options_may_be_passed_on_once_less(group, connect, said, goes_on):
    group.a.follow(answering())
    answer = connect().get(group.one, more=b"Max-Forwards: %s\r\n" % said, method=OPTIONS).answer()
    (seen,) = group.a.requests
    assert (answer.status, seen.values(b"max-forwards")) == (200, [goes_on])


def test_options_that_may_not_be_passed_on_is_answered_by_the_proxy(group, connect):
    group.a.follow(answering())
    client = connect()
    answer = client.get(group.one, more=b"Max-Forwards: 0\r\n", method=OPTIONS).answer()
    assert (answer.status, answer.value(b"server"), answer.body) == (200, b"hostmesh", b"")
    assert b"OPTIONS" in answer.value(b"allow")
    assert group.a.requests == []
    assert client.get(group.one).answer().status == 200         # and the connection goes on


def test_options_with_a_body_that_may_not_be_passed_on_leaves_the_connection_in_order(group, connect):
    group.a.follow(answering())
    client = connect()
    client.post(group.one, b"body", more=b"Max-Forwards: 0\r\n", method=OPTIONS)
    assert client.answer().status == 200
    assert client.get(group.one, b"/next").answer().status == 200
    assert [seen.target for seen in group.a.requests] == [b"/next"]


def test_max_forwards_of_other_methods_goes_on_as_it_is(group, connect):
    group.a.follow(answering())
    connect().get(group.one, more=b"Max-Forwards: 0\r\n").answer()
    assert group.a.requests[0].values(b"max-forwards") == [b"0"]


def test_fields_that_nobody_knows_pass_in_both_directions_in_their_order(group, connect):
    lines = [(b"x-b", b"1"), (b"x-a", b"2, 3"), (b"x-b", b"4"), (b"x_c", b""), (b"warning", b"199 - \xe9")]
    said = b"".join(b"%s: %s\r\n" % line for line in lines)
    answer = relayed(group, connect, b"HTTP/1.1 200 OK\r\n%sContent-Length: 0\r\n\r\n" % said, said)
    names = {name for name, _ in lines}
    assert [line for line in group.a.requests[0].fields if line[0] in names] == lines
    assert [line for line in answer.fields if line[0] in names] == lines


def test_what_the_endpoint_says_of_itself_is_not_changed(group, connect):
    answer = relayed(group, connect, b"HTTP/1.1 299 As I like\r\nServer: endpoint/1\r\n"
                     b"Date: Mon, 01 Jan 2001 00:00:00 GMT\r\n"
                     b"Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n")
    assert (answer.status, answer.reason) == (299, b"As I like")
    assert answer.values(b"server") == [b"endpoint/1"]
    assert answer.values(b"date") == [b"Mon, 01 Jan 2001 00:00:00 GMT"]
    assert answer.values(b"set-cookie") == [b"a=1", b"b=2"]


def test_what_an_answer_lists_in_connection_ends_here(group, connect):
    answer = relayed(group, connect, b"HTTP/1.1 200 OK\r\nConnection: X-Hop, keep-alive\r\nX-Hop: 1\r\nX-Kept: 2\r\n"
                     b"Keep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n")
    assert answer.value(b"x-kept") == b"2"
    for name in (b"connection", b"x-hop", b"keep-alive", b"proxy-authenticate", b"upgrade"):
        assert answer.values(name) == []


def test_an_endpoint_of_1_0_is_not_the_version_that_the_client_sees(group, connect):
    answer = relayed(group, connect, b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok")
    assert answer.head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.body == b"ok"


@pytest.mark.parametrize("framing", [b"Content-Length: 0\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"])
def test_a_205_ends_as_it_says(group, connect, framing):
    group.a.follow(answering(b"HTTP/1.1 205 Reset Content\r\n" + framing))
    client = connect()
    for _ in range(2):
        answer = client.get(group.one).answer()
        assert (answer.status, answer.body) == (205, b"")


def test_chunk_extensions_end_here_and_trailers_that_describe_the_message_too(group, connect):
    body = (b"5;a=b\r\nhello\r\n0;c\r\nX-Sum: 1\r\nContent-Length: 9\r\nHost: evil\r\nSet-Cookie: a\r\n"
            b"Cache-Control: no-store\r\n\r\n")
    group.a.follow(answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body))
    answer = connect().get(group.one, method=b"POST", more=b"Transfer-Encoding: chunked\r\n").send(body).answer()
    (seen,) = group.a.requests
    for message in (seen, answer):      # whose reader takes no extensions
        assert (message.body, message.trailers) == (b"hello", [(b"x-sum", b"1")])


def test_trailers_are_asked_for_by_a_field_of_this_hop(group, connect):
    group.a.follow(answering())
    connect().get(group.one, more=b"TE: trailers\r\nConnection: TE\r\n").answer()
    (seen,) = group.a.requests
    assert (seen.values(b"te"), seen.values(b"connection")) == ([b"trailers"], [b"TE"])


def test_all_that_upgrade_lists_goes_on_as_one_list(group, connect):
    group.a.follow(answering())
    connect().get(group.one, more=b"Connection: upgrade\r\nUpgrade:\r\nUpgrade: chat/2\r\nUpgrade: chat\r\n").answer()
    (seen,) = group.a.requests
    assert (seen.values(b"upgrade"), seen.values(b"connection")) == ([b"chat/2, chat"], [b"Upgrade"])


def test_what_a_client_pipelines_is_not_pipelined_to_the_endpoint(group, connect):
    def script(conversation):
        for _ in range(2):
            conversation.request()
            assert conversation.reader.rest == b""      # both requests have been in the proxy's hands together
            conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % conversation.number)
    group.a.follow(script)
    client = connect().send(2 * (b"GET / HTTP/1.1\r\nHost: %s\r\n\r\n" % group.one))
    assert [client.answer().body for _ in range(2)] == [b"0", b"0"]
