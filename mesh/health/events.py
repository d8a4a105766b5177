"""What happens to endpoints and hosts, in words that a person reads and a program sorts by.

Owns the kinds of events and what one says.  Who keeps them (workers/agent/eventlog.py) and who is told (Redis, the log,
the API) is not its business.  Floor 1.
"""
from __future__ import annotations

from dataclasses import dataclass

ENDPOINT_UP = "endpoint-up"                 # enough good probes
ENDPOINT_DOWN = "endpoint-down"             # too many bad ones
ENDPOINT_EJECTED = "endpoint-ejected"       # its requests failed (passive health)
ENDPOINT_RETURNED = "endpoint-returned"     # the ejection is over
ENDPOINT_JOINED = "endpoint-joined"         # a provider names it
ENDPOINT_LEFT = "endpoint-left"             # none does any more
OVERRIDE = "override"                       # an operator's word, or its being taken back
HOST_UP = "host-up"
HOST_DOWN = "host-down"
HOST_TWICE = "host-twice"                   # two hosts have the same name
RELOAD = "reload"
RELOAD_FAILED = "reload-failed"

KINDS = (ENDPOINT_UP, ENDPOINT_DOWN, ENDPOINT_EJECTED, ENDPOINT_RETURNED, ENDPOINT_JOINED, ENDPOINT_LEFT, OVERRIDE,
         HOST_UP, HOST_DOWN, HOST_TWICE, RELOAD, RELOAD_FAILED)


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened.

    `service` is the name for people (orders.shop, web@file), `what` the state or word that holds now, `why` the reason
    in words, `who` the person or host that did it.  `at_ms` is unix time; 0: whoever keeps it puts in the time.
    `is_shared`: every host of the mesh sees the same, so it is enough that one of them tells the others.
    """

    kind: str
    service: str = ""
    url: str = ""
    what: str = ""
    why: str = ""
    who: str = ""
    at_ms: int = 0
    is_shared: bool = False

    def __str__(self) -> str:
        told = " ".join(filter(None, (self.kind, self.service, self.url, self.what)))
        by = f" by {self.who}" if self.who else ""
        return f"{told}{by}{f': {self.why}' if self.why else ''}"
