"""One thread's way to Redis: a client that is made anew after each failure, and when to try again.

Owns the life of connections and what the log says of it: once when Redis goes away or refuses, once when it is back.
It knows no key.  Floor 3.
"""
from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from redis import Redis as Client
from redis.exceptions import (
    AuthenticationError,
    ConnectionError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TimeoutError,
)

from mesh.model import RedisServer
from mesh.names import PRODUCT
from mesh.store.pace import Pace
from workers.stores import ANSWER_S, client_of, has_moved

MOST_CHARS = 200        # of an error's text in a line of the log
AGAIN_S = 600.0         # a trouble that lasts is told again

log = logging.getLogger(f"{PRODUCT}.redis")

FAILURES = (RedisError, OSError)


@dataclass(frozen=True, slots=True)
class RedisSeen:
    """How Redis does: `is_up` while it answers and takes what is written, `latency_s` of the last heartbeat."""

    is_up: bool
    latency_s: float
    hosts: int              # in the mesh, as far as known


class Trouble:
    """Something about Redis that does not go well: told once when it begins, once when it is over.  For any thread."""

    def __init__(self, what: str, over: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._what, self._over, self._clock = what, over, clock
        self._lock = threading.Lock()
        self._since: float | None = None
        self._tell_again = 0.0

    @property
    def is_there(self) -> bool:
        return self._since is not None

    def begin(self, why: object) -> None:
        """It goes wrong; nothing is said of it while that is known."""
        now = self._clock()
        with self._lock:
            if self._since is not None and now < self._tell_again:
                return
            if self._since is None:
                self._since = now
            self._tell_again = now + AGAIN_S
        log.warning("%s: %s", self._what, in_short(why))

    def end(self) -> None:
        """It goes well."""
        with self._lock:
            if self._since is None:
                return
            lasted_s, self._since = self._clock() - self._since, None
        log.info("%s (after %.0f s)", self._over, lasted_s)


class Link:
    """One client for one thread.  `life` goes up with each new one: whatever was known by the former may be wrong."""

    def __init__(self, server: RedisServer, pace: Pace, trouble: Trouble, answer_s: float = ANSWER_S,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._server, self._pace, self._trouble = server, pace, trouble
        self._answer_s, self._clock = answer_s, clock
        self._client: Client | None = None
        self._failures = 0
        self._attempts = 0
        self._again = 0.0
        self.life = 0

    def client(self) -> Client:
        """The client that there is, or a new one; raises FAILURES, also when Sentinels have made another the master."""
        if self._client is None:
            client = client_of(self._server, self._answer_s, self._attempts)
            client.ping()           # also because of SELECT, AUTH and TLS: whatever is wrong is seen here
            self._client = client
            self.life += 1
        elif has_moved(self._client):
            raise ConnectionError("Sentinels have made another server the master")
        return self._client

    def wait_s(self) -> float:
        """How long not to try, after a failure."""
        return max(0.0, self._again - self._clock())

    def failed(self, error: BaseException) -> None:
        """What was tried did not work: the next try has a new client, after a while."""
        self._trouble.begin(error)
        self.close()
        self._attempts += 1
        wait_s = min(self._pace.retry_most, self._pace.retry * 2 ** self._failures)
        self._failures = min(self._failures + 1, 16)
        self._again = self._clock() + wait_s

    def worked(self) -> None:
        """All is well."""
        self._failures = 0
        self._trouble.end()

    def close(self) -> None:
        """Ends the connections; `client` makes new ones."""
        client, self._client = self._client, None
        if client is not None:
            try:
                client.close()
            except FAILURES as error:
                log.debug("a connection ended badly: %s", error)


@contextmanager
def about(key: str) -> Iterator[None]:
    """Names the key in an error that says no more than that somebody has put something else there."""
    try:
        yield
    except ResponseError as error:
        if not is_wrong_type(error):
            raise
        text = f"WRONGTYPE: {key} is something else than a mesh puts there; rename or delete it"
        raise ResponseError(text) from error


def is_wrong_type(error: BaseException) -> bool:
    """Something else stands under one key, and all others are well."""
    return isinstance(error, ResponseError) and "WRONGTYPE" in str(error)


def is_refusal(error: BaseException) -> bool:
    """Redis is there and says no (full, not allowed, wrong type), and a new connection would hear the same."""
    return isinstance(error, ResponseError) and not isinstance(error, ReadOnlyError)


def in_short(error: object) -> str:
    """An error of redis-py in one line that says what to look at."""
    text = " ".join(str(error).split())
    if isinstance(error, AuthenticationError):
        text = f"{text} (look at redis.username and redis.password)"
    elif isinstance(error, TimeoutError):
        text = f"no answer in time ({text})" if text else "no answer in time"
    elif isinstance(error, ConnectionError) and not text:
        text = "the connection was lost"
    elif "OOM" in text:
        text = f"Redis is full: {text}"
    return text[:MOST_CHARS] or type(error).__name__
