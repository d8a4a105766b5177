"""How often a host speaks to Redis, and about which endpoints: all numbers of it, and how they give way to many.

Owns the arithmetic behind docs/scale.md.  One Redis serves all hosts, so whatever every host does at a fixed interval
grows with their number, and an opinion of every host about every endpoint with its square.  Up to MANY hosts each tells
all that it sees; beyond, MANY of them (about) speak of an endpoint that is plainly up, and intervals stretch.  Whoever
sees trouble speaks in any case.  Floor 2.
"""
from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

MANY = 16               # hosts that speak of an endpoint with which nothing is wrong: a page of opinions
_WHOLE = 1 << 64


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds, for a mesh of MANY hosts or fewer."""

    tick: float = 0.2               # between two looks at the table's changes and at the operators' words
    beat: float = 5.0               # heartbeat, with the host's load in mesh:hosts
    ttl: float = 16.0               # of the heartbeat: three may be lost
    numbers: float = 5.0            # counters and latencies of endpoints that have moved
    reread: float = 5.0             # everything is read once more, whatever was told: the safety net
    poll: float = 0.8               # the same where Redis cannot tell what changes
    rate: float = 5000.0            # opinions a second, of all hosts together: half a core of Redis
    check: float = 30.0             # whether all that was published is still there
    watch: float = 5.0              # one host at a time looks after the others
    sweep: float = 60.0             # and takes out opinions of those that are gone
    ping: float = 2.0               # on a connection that only listens
    relay: float = 6.0              # the lease of the relay (store_roster.py): so long a dead one is waited for
    direct: int = MANY              # hosts; beyond, instances are followed through a relay
    grace: float = 15.0             # for an instance whose own TTL is not known
    retry: float = 0.5              # first wait after a failure; doubles up to `retry_most`
    retry_most: float = 5.0
    tells: float = 10.0             # so long after one host has told of it, no other says the same
    forget: float = 86400.0         # a host that went down is listed for so long

    def stretched(self, interval: float, hosts: int) -> float:
        """An interval of whatever every host does by itself, so that all of them together ask no more of Redis."""
        return interval * max(1.0, hosts / MANY)


def speaks(host: str, service: str, url: str, hosts: int) -> bool:
    """Whether this is one of the hosts that speak of an endpoint with which nothing is wrong.

    Each decides it for itself, from its name: MANY do on average, and the check finds the rare endpoint that had none.
    """
    if hosts <= MANY:
        return True
    lot = blake2b(f"{host}\x1f{service}\x1f{url}".encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(lot) * hosts < MANY * _WHOLE
