"""Is an endpoint up?  What its probes lead to, when the next is due, and why the last failed, in words.

Owns rise and fall, and refuses to know how a probe is made (workers/agent/probes.py) and where the verdict is kept
(mesh/shared/slots.pyx).  Time and chance come in as arguments.  Floor 1.
"""
from __future__ import annotations

from mesh.model import HealthCheck
from mesh.shared.slots import STATE_DOWN, STATE_WAITS

VERDICT_MASK = STATE_DOWN | STATE_WAITS     # the bits of a state that probes decide
MOST_IN_A_ROW = 1 << 30

# SLOT_PROBE_WHY.  A three-digit number is the status that was not wanted; the others stand below.
WELL = 0
REFUSED = 1
RESET = 2
TIMED_OUT = 3
NOT_CONNECTED = 4
NO_NAME = 5
NAME_TIMED_OUT = 6
UNREACHABLE = 7
TLS = 8
CERTIFICATE = 9
BAD_ANSWER = 10
NO_ANSWER = 11
LONG_ANSWER = 12
REDIRECTS = 13
BAD_REDIRECT = 14
NO_SOCKET = 15
FAILED = 16

_WORDS = {
    REFUSED: "connection refused",
    RESET: "connection reset",
    TIMED_OUT: "no answer in time",
    NOT_CONNECTED: "no connection in time",
    NO_NAME: "name not resolved",
    NAME_TIMED_OUT: "name not resolved in time",
    UNREACHABLE: "host or network unreachable",
    TLS: "TLS handshake failed",
    CERTIFICATE: "certificate not accepted",
    BAD_ANSWER: "answer is not HTTP",
    NO_ANSWER: "connection closed without an answer",
    LONG_ANSWER: "head of the answer too long",
    REDIRECTS: "too many redirects",
    BAD_REDIRECT: "redirect leads nowhere",
    NO_SOCKET: "no socket left on this host",
    FAILED: "connection failed",
}


def words(why: int) -> str:
    """What SLOT_PROBE_WHY says to people; "" where the probe was good."""
    if 100 <= why <= 599:
        return f"status {why}"
    return _WORDS.get(why, f"reason {why}" if why else "")


def is_wanted(status: int, check: HealthCheck) -> bool:
    """Whether an answer with this status is a good one."""
    return status == check.status if check.status else 200 <= status < 400


def in_a_row(before: int, is_good: bool) -> int:
    """SLOT_PROBES after one more probe: above 0 good ones in a row, below 0 bad ones."""
    if is_good:
        return min(max(before, 0) + 1, MOST_IN_A_ROW)
    return max(min(before, 0) - 1, -MOST_IN_A_ROW)


def judge(state: int, row: int, check: HealthCheck) -> int:
    """The bits under VERDICT_MASK after a probe that made `row` of SLOT_PROBES.

    The first probe of an endpoint that waits decides alone: it has no good days to be measured by, and is wanted.
    """
    if state & STATE_WAITS:
        return 0 if row > 0 else STATE_DOWN
    if state & STATE_DOWN:
        return 0 if row >= check.healthy_threshold else STATE_DOWN
    return STATE_DOWN if row <= -check.unhealthy_threshold else 0


def at_first(state: int, check: HealthCheck | None, is_new: bool) -> int:
    """The bits under VERDICT_MASK of an endpoint in a plan, before any probe.

    What is known of it goes on to hold.  Without a check nobody would ever bring it back, so it is up.
    """
    if check is None:
        return 0
    if is_new and check.starts == "down" and not state & STATE_DOWN:
        return STATE_WAITS
    return state & VERDICT_MASK


def wait_s(check: HealthCheck, is_down: bool, is_first: bool, jitter: float) -> float:
    """Seconds from the begin of one probe to that of the next; `jitter` is at least 0 and below 1.

    A tenth earlier or later, so that the probes of many hosts do not march in step.  After the first probe of all,
    which does not wait at all, a tenth of an interval up to a whole one: what began at the same moment is spread over
    all of it.  (Over half of it, 5,000 endpoints had 2,000 probes a second half of the time, and a minute later still.)
    """
    interval = check.unhealthy_interval if is_down and check.unhealthy_interval else check.interval
    return interval * (0.1 + 0.9 * jitter if is_first else 0.9 + jitter / 5)


def left_s(check: HealthCheck, is_down: bool, since_s: float, jitter: float) -> float:
    """Seconds until the probe that follows one of `since_s` ago, whoever made that; at once where it is overdue."""
    wait = wait_s(check, is_down, False, jitter)
    return max(0.0, min(wait - since_s, wait))
