"""What must hold for every message, whatever it is: `check_request` and its like raise Finding where it does not.

With other readers: a message that we accept is the same message for them.  Without: the outcome does not depend on how
the bytes came, nothing of one message is left for the next, a body is its payload and its framing and no byte more, and
what the proxy writes of it is accepted, with one framing, without hop-by-hop fields, and all others as they were.
"""
from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from http1_others import by_h11, by_llhttp
from http1_reading import read_request, read_response

from fuzz.differences import why_it_differs
from mesh.http1.head import RequestHead, ResponseHead
from mesh.http1.hop import Peer, written_request, written_response

Reader = Callable[..., Any]
Lines = list[tuple[bytes, bytes]]
PLAIN_REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
PLAIN_RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
STRANGER, FRIEND = Peer(b"10.9.8.7", b"host-a", False), Peer(b"10.9.8.7", b"host-a", True)
HOP_BY_HOP = {b"connection", b"keep-alive", b"proxy-connection", b"te", b"transfer-encoding", b"upgrade",
              b"proxy-authenticate", b"proxy-authorization"}
OURS = re.compile(rb"host|via|x-request-id|max-forwards|x[-_]forwarded[-_].*|x[-_]real[-_]ip|date|content-length")

_used_request, _used_response = RequestHead(), ResponseHead()


class Finding(AssertionError):
    """Something does not hold; its first argument says what, without any detail of the message."""


def hold(holds: Any, what: str, *detail: Any) -> None:
    if not holds:
        raise Finding(what, *detail)


def plain(lines: Lines) -> Lines:
    """Names in lower case, values without the white space around them: llhttp leaves a tab at the end of a value."""
    return [(name.lower(), value.strip(b" \t").lower() if name.lower() == b"transfer-encoding" else value.strip(b" \t"))
            for name, value in lines]


def _listed(message: bytes, facts: dict[str, Any], reader: Reader, refused: bool, seen: Counter[str]) -> bool:
    name = why_it_differs(message, facts, reader, refused)
    if name is not None:
        seen[name] += 1
    return name is not None


def check_request(message: bytes, reader: Reader, seen: Counter[str] | None = None) -> bool:
    """Whether the message was compared: we accept it, so the other reader must.  `seen` counts listed differences."""
    seen = Counter() if seen is None else seen
    who = reader.__name__
    became, facts, end = read_request(message)
    if became != "accept" or facts["method"] == b"CONNECT":         # which we never forward
        return False
    message = message[:end]
    heard = reader(message)
    if heard is None:
        hold(_listed(message, facts, reader, True, seen), f"{who} refuses a request", facts)
        return True
    method, target, lines, body, is_over = heard
    hold(method == facts["method"], f"{who} reads another method", method, facts)
    hold(target == message.lstrip(b"\r\n").split(b" ")[1], f"{who} reads another target", target, facts)
    hold(plain(lines) == plain(facts["lines"]), f"{who} reads other lines", lines, facts)
    if (body, is_over) != (facts["body"], True):
        hold(_listed(message, facts, reader, False, seen), f"{who} reads another body", body, is_over, facts)
    elif reader is by_llhttp or facts["chunked"] or facts["length"] > 0:     # h11 is slow
        less = reader(message[:-1])
        hold(less is None or not less[-1] or _listed(message, facts, reader, False, seen),
             f"{who} sees an earlier end", facts)
    return True


def check_response(message: bytes, to: bytes, reader: Reader, seen: Counter[str] | None = None) -> bool:
    """As check_request; `to` is the method that the response answers."""
    seen = Counter() if seen is None else seen
    who = reader.__name__
    became, facts, end, interim = read_response(message, to=to)
    if became != "accept" or interim or (to == b"HEAD" and reader is by_llhttp):
        return False        # llhttp cannot be told that it reads the answer to HEAD
    if facts["status"] == 101 and reader is by_llhttp:
        return False        # what follows is not HTTP, and it says nothing of its end
    message = message[:end]
    heard = by_llhttp(message, is_request=False) if reader is by_llhttp else by_h11(message, to, facts["until_close"])
    if heard is None:
        hold(_listed(message, facts, reader, True, seen), f"{who} refuses a response", facts)
        return True
    status, _, lines, body, is_over = heard
    hold(status == facts["status"], f"{who} reads another status", status, facts)
    hold(plain(lines) == plain(facts["lines"]), f"{who} reads other lines", lines, facts)
    # llhttp is not told that the connection ends
    if (body, is_over) != (facts["body"], reader is by_h11 or not facts["until_close"]):
        hold(_listed(message, facts, reader, False, seen), f"{who} reads another body", body, is_over, facts)
    return True


def check_interim(message: bytes, seen: Counter[str] | None = None) -> bool:
    """Whether it begins with a 1xx head that does not switch; llhttp must read it alike, and see no body behind it."""
    head = ResponseHead()
    end = head.parse_bytes(message)
    if end <= 0 or head.facts()["status"] >= 200 or head.facts()["status"] == 101:
        return False
    facts = {**head.facts(), "lines": [(name, value) for name, value, _ in head.field_lines()]}
    heard = by_llhttp(message[:end], is_request=False)
    hold(heard is not None, "by_llhttp refuses an interim answer", facts)
    hold(heard[0] == facts["status"] and plain(heard[2]) == plain(facts["lines"]),
         "by_llhttp reads another interim answer", heard, facts)
    if heard[3:] != (b"", True):
        hold(_listed(message, facts, by_llhttp, False, Counter() if seen is None else seen),
             "by_llhttp reads another body", heard, facts)
    return True


def check_cuts(read: Callable[..., Any], message: bytes, cuts: Sequence[int]) -> None:
    """One outcome, however it comes; `cuts` rise."""
    whole = read(message)
    hold(read(message, cuts) == whole, "the outcome depends on how the bytes came", cuts, whole)


def check_body(message: bytes, outcome: tuple[Any, ...]) -> None:
    """Payload and framing are the input, by a reader that knows only what we accept."""
    became, facts, end = outcome[:3]
    if became != "accept":
        return
    if outcome[3:] not in ((), ((),)):
        return              # interim answers: the offset counts from behind them
    hold(message[end:] == facts["next"], "what follows a message is not left alone", facts)
    at = len(message) - len(message.lstrip(b"\r\n")) if "method" in facts else 0
    rest = message[message.index(b"\r\n\r\n", at) + 4:end]
    if not facts["chunked"] or facts.get("no_body"):
        hold(rest == facts["body"], "the body is not what follows the head", rest, facts)
        return
    payload = b""
    while True:
        line, _, rest = rest.partition(b"\r\n")
        size = int(line.partition(b";")[0], 16)
        if size == 0:
            break
        payload += rest[:size]
        hold(rest[size:size + 2] == b"\r\n", "a chunk does not end where it says", facts)
        rest = rest[size + 2:]
    hold(payload == facts["body"], "the payload is not what the chunks hold", payload, facts)
    hold((b"\r\n" + rest).endswith(b"\r\n\r\n"), "the trailer section has another end", rest, facts)
    kept = facts["trailers"].splitlines(keepends=True)
    lines = iter(rest.splitlines(keepends=True))
    hold(all(line in lines for line in kept), "a trailer is not what came", rest, facts)


def check_reset(message: bytes, is_request: bool = True) -> None:
    """Nothing of a message is left for the next."""
    head, fresh = (_used_request, RequestHead()) if is_request else (_used_response, ResponseHead())
    follower = PLAIN_REQUEST if is_request else PLAIN_RESPONSE
    for each in (message, follower):
        head.start_over()
        fresh = type(fresh)()
        hold(head.parse_bytes(each) == fresh.parse_bytes(each), "a used head reads something else")
        hold(head.refusal() == fresh.refusal(), "a used head refuses for another reason")
    hold(head.facts() == fresh.facts() and head.field_lines() == fresh.field_lines(), "something is left of a message")


def _ends_to_end(lines: Lines, hops: set[bytes]) -> Lines:
    return [(name, value) for name, value in lines
            if name.lower() not in hops and not OURS.fullmatch(name.lower())]


def _one_framing(lines: Lines) -> bool:
    names = [name.lower() for name, _ in lines]
    return names.count(b"content-length") + names.count(b"transfer-encoding") <= 1


def check_written_request(message: bytes, readers: Sequence[Reader] = (by_llhttp, by_h11)) -> bool:
    """What an endpoint gets of a request that we accept; whether there is such."""
    became, facts, _ = read_request(message)
    head = RequestHead()
    if became != "accept" or facts["method"] == b"CONNECT" or head.parse_bytes(message) <= 0:
        return False
    dropped = {name.lower() for name in facts["hop"]}
    # a message with the same body, whose chunks are ours
    body = facts["body"]
    if facts["chunked"]:
        body = (b"%x\r\n%s\r\n" % (len(body), body) if body else b"") + b"0\r\n" + facts["trailers"] + b"\r\n"
    for peer, host, prefix, request_id in ((STRANGER, None, b"", b"id-1"), (FRIEND, b"b.mesh:81", b"/base", None)):
        written = written_request(head, peer, host, prefix, True, False, request_id)
        again = written + body
        what, seen, end = read_request(again, max_lines=300, max_target=1 << 15)     # with what that we add
        hold(what == "accept" and end == len(again), "we refuse what we write", again, what, seen)
        hold(seen["method"] == facts["method"] and not seen["absolute"], "another request is written", again)
        if facts["path"] != b"*":
            hold((seen["path"], seen["query"]) == (prefix + facts["path"], facts["query"]),
                 "another path is written", again)
        hold(seen["authority"] == (host or facts["authority"]), "another host is written", again)
        hold(seen["body"] == facts["body"] and seen["chunked"] == facts["chunked"], "another framing is written", again)
        hold(seen["length"] == facts["length"] and _one_framing(seen["lines"]), "another framing is written", again)
        hold(seen["trailers"] == facts["trailers"], "other trailers are written", again)
        names = [name.lower() for name, _ in seen["lines"]]
        left = {name for name in names if name in HOP_BY_HOP - {b"transfer-encoding"}}
        hold(left <= ({b"connection", b"upgrade"} if facts["upgrade"] else {b"connection", b"te"}),
             "a hop-by-hop field is passed on", again)
        hold(seen["upgrade"] == facts["upgrade"] and not seen["close"], "the connection is spoken of otherwise", again)
        hold(_ends_to_end(seen["lines"], HOP_BY_HOP) == _ends_to_end(facts["lines"], dropped | HOP_BY_HOP),
             "an end-to-end field is not as it was", again)
        hold(names[0] == b"host" and names.count(b"host") == 1 and b"via" in names, "Host or Via are missing", again)
        for reader in readers:
            check_request(again, reader)
    return True


def check_written_response(message: bytes, to: bytes, readers: Sequence[Reader] = (by_llhttp, by_h11)) -> bool:
    """What a client gets of a response that we accept; whether there is such."""
    head = ResponseHead()
    if head.parse_bytes(message, -1, to == b"HEAD") <= 0:
        return False
    if head.facts()["status"] == 101 and not head.facts()["upgrade"]:
        return False        # the exchange answers 502
    facts, lines = head.facts(), [(name, value) for name, value, _ in head.field_lines()]
    dropped = {name.lower() for name, _, is_hop in head.field_lines() if is_hop}
    for minor, close in ((1, False), (1, True), (0, False)):
        written = written_response(head, minor, close)
        again = ResponseHead(max_lines=300)
        hold(again.parse_bytes(written, -1, to == b"HEAD") == len(written), "we refuse what we write", written)
        seen, new = again.facts(), [(name, value) for name, value, _ in again.field_lines()]
        hold((seen["status"], seen["reason"], seen["minor"]) == (facts["status"], facts["reason"], 1),
             "another status line is written", written)
        hold(_one_framing(new), "two framings are written", written)
        is_interim = facts["status"] < 200
        if not is_interim:
            unframed = minor == 0 and not facts["no_body"] and facts["length"] < 0
            hold((seen["length"], seen["until_close"]) == (facts["length"], unframed),
                 "another framing is written", written)
            hold(seen["close"] == (close or unframed), "the connection is spoken of otherwise", written)
            hold([name.lower() for name, _ in new].count(b"date") >= 1, "there is no Date", written)
        left = {name.lower() for name, _ in new} & (HOP_BY_HOP - {b"transfer-encoding"})
        hold(left <= {b"connection"} | ({b"upgrade"} if facts["status"] == 101 else set()),
             "a hop-by-hop field is passed on", written)
        hold(_ends_to_end(new, HOP_BY_HOP) == _ends_to_end(lines, dropped | HOP_BY_HOP),
             "an end-to-end field is not as it was", written)
        if not is_interim:
            for reader in readers:
                check_response(written, to, reader)
    return True
