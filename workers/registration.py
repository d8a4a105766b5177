"""One instance's key in Redis: written when the instance answers, kept alive by a heartbeat, taken away at its end.

Owns one native thread and the patience in it.  Redis may be away at any time, at the start as well; it is asked again
until it is there, and nothing that waits for it stands in anybody's way: whoever runs the instance only says what is
wanted, and looks at what was reached.  Floor 3.
"""
from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from redis import Redis as Client
from redis import RedisError

from mesh.model import Redis
from mesh.providers.instances import Instance, written
from mesh.store.keys import Keys
from mesh.store.opinion import has_drained
from workers.stores import client_of

UP, DRAINING, GONE = "up", "draining", "gone"
AGAIN_S = 1.0           # between two tries while Redis is away
ANSWER_S = 2.0          # for the instance's own answer
LOOK_S = (0.05, 1.0)    # between two looks whether it answers: the first, and the most
DRAINED_S = (0.2, 1.0)  # between two looks whether it has drained, and how long nothing may have been under way
SILENT_S = 10.0         # after which it is told what is waited for


class NoRedis(Exception):
    """Nobody knows a Redis (yet); one line for a person."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A client, and the instance's key there."""

    client: Client
    key: str
    keys: Keys


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is registered, and where: `find` names the Redis, or raises NoRedis; `ttl_s` 0 is for ever."""

    instance: Instance
    find: Callable[[], Redis]
    ttl_s: float = 15.0

    def opened(self) -> Opened:
        """The Redis as it is found now, before anything was said to it.  Raises NoRedis."""
        redis = self.find()
        keys = Keys(redis.prefix)
        return Opened(client_of(redis.server), keys.instance(self.instance.service, self.instance.id), keys)

    def has_drained(self, opened: Opened) -> bool:
        """Whether no host has a request under way there, and none sends a new one, as they tell it.

        Raises redis.RedisError, OSError.
        """
        client: Any = opened.client
        document = client.hget(opened.keys.endpoints(self.instance.service), self.instance.url)
        return bool(document) and has_drained(document, client.hgetall(opened.keys.hosts))

    def write(self, opened: Opened, draining: bool = False) -> None:
        """Puts it there for another `ttl_s`.  Raises redis.RedisError, OSError."""
        value = written(replace(self.instance, draining=draining))
        opened.client.set(opened.key, value, px=round(self.ttl_s * 1000) if self.ttl_s else None)


def unanswered(url: str, health: str = "") -> str:
    """Why an instance does not answer; "": it takes a connection, or it answers GET `health` by 2xx or 3xx."""
    asks: http.client.HTTPConnection
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    try:
        if not health:
            socket.create_connection((host, port), ANSWER_S).close()
            return ""
        if parts.scheme == "https":
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE      # it is ours, next to us
            asks = http.client.HTTPSConnection(host, port, timeout=ANSWER_S, context=context)
        else:
            asks = http.client.HTTPConnection(host, port, timeout=ANSWER_S)
        try:
            asks.request("GET", health, headers={"Connection": "close", "User-Agent": "hostmesh-register"})
            status = asks.getresponse().status
        finally:
            asks.close()
        return "" if 200 <= status < 400 else f"GET {health} is answered {status}"
    except (OSError, http.client.HTTPException) as error:
        return (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()


class Registration:
    """Registers `wanted` once `unanswered()` is "", from a thread of its own.

    `say` gets lines for a person, `moved` is called whenever `reached` has changed; both from that thread.
    """

    def __init__(self, wanted: Wanted, unanswered: Callable[[], str], say: Callable[[str], None],
                 moved: Callable[[], None]) -> None:
        self._of, self._unanswered, self._say, self._moved = wanted, unanswered, say, moved
        self._state = threading.Condition()
        self._want = UP
        self._opened: Opened | None = None
        self._complaint = ""
        self._idle_since = float("inf")
        self.has_drained = False        # no host has had anything under way there for a moment
        self.reached = ""               # UP, DRAINING, GONE: what Redis was told last; "": nothing yet

    def start(self) -> None:
        threading.Thread(target=self._run, name="registration", daemon=True).start()

    def want(self, state: str) -> None:
        """DRAINING or GONE: tells it, and returns at once."""
        with self._state:
            self._want = state
            self._state.notify()

    def _run(self) -> None:
        if self._waited():
            while self.reached != GONE:
                self._tell()
        self._reach(GONE)

    def _waited(self) -> bool:
        """Waits until the instance answers; False when it is to go before it ever did."""
        pause_s, started, told = LOOK_S[0], time.monotonic(), False
        while self._want == UP:
            why = self._unanswered()
            if not why:
                return True
            if not told and time.monotonic() - started > SILENT_S:
                self._say(f"waiting until {self._of.instance.url} answers: {why}")
                told = True
            self._rest(UP, pause_s)
            pause_s = min(pause_s * 1.5, LOOK_S[1])
        return False

    def _tell(self) -> None:
        want = self._want
        try:
            if self._opened is None:
                self._opened = self._of.opened()
            if want == GONE:
                self._opened.client.delete(self._opened.key)
            else:
                self._of.write(self._opened, draining=want == DRAINING)
        except (RedisError, OSError, NoRedis) as error:
            self._opened = None             # the next try asks anew where it is: an embedded one may have moved
            if not self._complaint:
                self._complaint = str(error) or type(error).__name__
                self._say(f"Redis cannot be told ({self._complaint}); trying again until it can")
            self._rest(want, AGAIN_S)
            return
        if self._complaint or self.reached != want:
            again = " again" if self._complaint and self.reached == want else ""
            self._say(f"{self._of.instance.service} {self._of.instance.url} is {_WORDS[want]}{again}")
        self._complaint = ""
        self._reach(want)
        if want == DRAINING and not self.has_drained:
            self._look_on(self._opened, time.monotonic() + self._of.ttl_s / 3)
        elif want != GONE:
            self._rest(want, self._of.ttl_s / 3)

    def _look_on(self, opened: Opened, until: float) -> None:
        """Looks, until the heartbeat is due, whether its last request has ended on all hosts."""
        step_s, moment_s = DRAINED_S
        while self._want == DRAINING and time.monotonic() < until and not self.has_drained:
            try:
                is_idle = self._of.has_drained(opened)
            except (RedisError, OSError):       # whoever waits goes on to, for as long as was asked
                is_idle = False
            now = time.monotonic()
            self._idle_since = min(self._idle_since, now) if is_idle else float("inf")
            if now - self._idle_since >= moment_s:
                self.has_drained = True
                self._moved()
            else:
                self._rest(DRAINING, min(step_s, max(0.0, until - now)))

    def _reach(self, state: str) -> None:
        if self.reached != state:
            self.reached = state
            self._moved()

    def _rest(self, want: str, most_s: float) -> None:
        with self._state:
            self._state.wait_for(lambda: self._want != want, most_s)


_WORDS = {UP: "registered", DRAINING: "draining", GONE: "deregistered"}
