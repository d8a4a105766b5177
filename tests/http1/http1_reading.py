"""Messages read as the data path reads them: a head that is fed until it is whole, then a body that is fed until it is done.

The outcome is a tuple: what became of it, and what was understood.
"""
from mesh.http1.body import Body
from mesh.http1.head import RequestHead, ResponseHead


def read_request(message, cuts=(), **limits):
    """The outcome of a request that arrives in pieces which end at `cuts` (rising) and at its end."""
    return _read(message, [*cuts, len(message)], RequestHead(**limits), lambda head, upto: head.parse_bytes(message, upto))


def read_response(message, cuts=(), to=b"GET"):
    """The outcome of a response to the method `to`: interim answers first, then the one that counts."""
    interim, cuts = (), [*cuts, len(message)]
    while True:
        head, tail = ResponseHead(), message
        outcome = _read(tail, cuts, head, lambda head, upto, tail=tail: head.parse_bytes(tail, upto, to == b"HEAD"))
        status = outcome[1].get("status", 0) if outcome[0] == "accept" else 0
        if not (100 <= status < 200 and status != 101):
            return *outcome, interim
        interim += (status,)
        message = message[outcome[2]:]
        cuts = [max(cut - outcome[2], 0) for cut in cuts]


def _read(message, cuts, head, parse):
    number, end = 0, 0
    while end == 0:
        if number == len(cuts):
            return "more", {}, 0
        end = parse(head, cuts[number])
        if end < 0:
            return "refuse", head.refusal(), 0
        number += 1
    facts = {**head.facts(), "hop": tuple(name for name, _, is_hop in head.field_lines() if is_hop),
             "lines": [(name, value) for name, value, _ in head.field_lines()]}
    body = Body()
    if facts.get("no_body") or (isinstance(head, RequestHead) and not facts["chunked"] and facts["length"] < 0):
        body.begin(False, 0)
    else:
        body.begin(facts["chunked"], facts["length"])
    payload, at = b"", end
    for cut in [*cuts[number - 1:], len(message)]:
        while at < cut and not body.facts()["done"]:
            consumed, moved = body.feed_bytes(message[at:cut])
            if consumed < 0:
                return "broken", facts, 0
            at, payload = at + consumed, payload + moved
    facts.update(body=payload, trailers=body.facts()["trailers"], next=message[at:])
    is_over = body.facts()["done"] or facts.get("until_close", False)
    return "accept" if is_over else "more", facts, at
