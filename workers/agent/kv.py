"""The Redis provider: keys in Traefik's layout are followed, and what is to be believed of them is told.

Owns one native thread and its connections.  It looks at everything below the root key (SCAN, then MGET in steps), as
often as is cheap, and at once when the store tells of a change (CLIENT TRACKING in broadcast mode, Redis 6 and Valkey).
Telling only makes it faster: no keyspace notifications are needed, and without any of it a change is seen by the next
look.  When to believe what was seen, mesh/providers/kv_quiet.py decides; what it means, the catalog.  Floor 3.
"""
from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from redis import RedisError, ResponseError
from redis.cluster import RedisCluster

from mesh.model import RedisProvider
from mesh.names import PRODUCT
from mesh.providers.kv import NO_TEXT
from mesh.providers.kv_quiet import News, Steady
from workers.stores import client_of, has_moved

POLL_S = 1.0            # between two looks where the store does not tell of changes
TOLD_S = 5.0            # where it does: the safety net
SHARE = 20              # of the time: a look that took 1 s is followed by none for 20 s
ANSWER_S = 5.0          # for one command; nobody waits for it
STEP = 500              # keys asked for in one command
MOST_KEYS = 200_000     # 10,000 routers with their services are 100,000; more is not ours, or a mistake
MOST_BYTES = 64 << 20
_INVALIDATIONS = "__redis__:invalidate"

log = logging.getLogger(f"{PRODUCT}.redis")


class Refused(Exception):
    """The store answered, and what it says cannot be used; one line for a person."""


class Store:
    """One look at a time at all keys below a root key.  Not for two threads."""

    def __init__(self, provider: RedisProvider) -> None:
        self._provider = provider
        self._prefix = f"{provider.root_key}/"
        self._client: Any = None
        self._asks: Any = None              # one connection that the store knows as ours
        self._ear: Any = None               # where it tells of changes
        self._ear_id = 0
        self._attempt = 0                   # of several addresses, each has its turn
        self._may_tell = not provider.server.cluster
        self.is_told = False

    def look(self) -> tuple[dict[str, str | None], str, bool]:
        """All pairs (below the root key), which process answered, and whether the root key itself stands there.

        Raises RedisError, OSError or Refused; the next look begins with a new connection then.
        """
        try:
            self._open()
            pairs = self._pairs()
            marks = self._asks.exists(self._provider.root_key)
            return pairs, self._run_id(), bool(marks)
        except BaseException:
            self.close()
            raise

    def wait(self, timeout_s: float, ended: threading.Event) -> bool:
        """Waits; True when the store has told of a change."""
        if self._ear is None:
            ended.wait(timeout_s)
            return False
        try:
            is_told = bool(self._ear.can_read(timeout=timeout_s))
            while self._ear.can_read(timeout=0):
                self._ear.read_response()   # a burst is one reason for one look
        except (RedisError, OSError):
            self.close()
            return True                     # the look will tell what is the matter
        return is_told

    def close(self) -> None:
        """Lets go of all connections."""
        self._hang_up()
        for each in (self._asks, self._client):
            if each is not None:
                with contextlib.suppress(RedisError, OSError):
                    each.close()
        self._client = self._asks = None

    def _hang_up(self) -> None:
        if self._ear is not None:
            self._ear.disconnect()
        self._ear, self.is_told = None, False

    def _open(self) -> None:
        if self._client is not None and has_moved(self._client):
            self.close()                    # the former master answers for a while, and hears of nothing any more
        if self._client is None:
            self._client = client_of(self._provider.server, ANSWER_S, self._attempt, text=False)
            self._attempt += 1
            self._asks = self._client if isinstance(self._client, RedisCluster) else self._client.client()
        if not self._may_tell:
            return
        # a connection that was made anew under our hands is not followed any more, and nobody says so
        if self._ear is not None and self._asks.execute_command("CLIENT GETREDIR") != self._ear_id:
            self._hang_up()
        if self._ear is None:
            self._listen()

    def _listen(self) -> None:
        # a bare connection: one of redis-py's PubSub comes back by itself, as another client whom nobody tells
        ear = self._client.connection_pool.get_connection()
        try:
            ear.send_command("CLIENT", "ID")
            number = ear.read_response()
            ear.send_command("SUBSCRIBE", _INVALIDATIONS)
            ear.read_response()
            self._asks.execute_command("CLIENT TRACKING", "ON", "REDIRECT", number, "BCAST", "PREFIX", self._prefix)
        except ResponseError as error:
            ear.disconnect()
            log.info("the store does not tell of changes (%s): it is looked at every %g s", error, POLL_S)
            self._may_tell = False
            return
        except BaseException:
            ear.disconnect()
            raise
        self._ear, self._ear_id, self.is_told = ear, number, True

    def _run_id(self) -> str:
        if isinstance(self._client, RedisCluster):
            return ""                       # one of many
        try:
            return str(self._asks.info("server").get("run_id", ""))
        except RedisError:
            return ""                       # not for this user: an accident is told by the connection alone

    def _pairs(self) -> dict[str, str | None]:
        found: dict[str, str | None] = {}
        size = 0
        for keys in self._keys():
            values = self._values(keys)
            kinds = self._kinds([key for key, value in zip(keys, values, strict=True) if value is None])
            for key, value in zip(keys, values, strict=True):
                if value is None and kinds[key] in (b"none", "none"):
                    continue                # expired under our hands
                size += len(key) + len(value or b"")
                if size > MOST_BYTES or len(found) >= MOST_KEYS:
                    raise Refused(f"more than {MOST_KEYS} keys or {MOST_BYTES >> 20} MiB stand below {self._prefix}")
                name = _text(key[len(self._prefix.encode()):])
                if name:
                    found[name] = NO_TEXT if value is None else _text(value)
        return found

    def _keys(self) -> Iterator[list[bytes]]:
        """The keys, each once, in steps; SCAN may say one twice."""
        pattern = "".join(f"\\{letter}" if letter in "*?[]^\\" else letter for letter in self._prefix) + "*"
        seen: set[bytes] = set()
        step: list[bytes] = []
        for key in self._asks.scan_iter(match=pattern, count=1000):
            if key not in seen:
                seen.add(key)
                step.append(key)
            if len(step) == STEP:
                yield step
                step = []
        if step:
            yield step

    def _kinds(self, keys: list[bytes]) -> dict[bytes, Any]:
        """What stands at keys that have no text."""
        if not keys:
            return {}
        is_cluster = isinstance(self._asks, RedisCluster)
        pipeline = self._asks.pipeline() if is_cluster else self._asks.pipeline(transaction=False)
        for key in keys:
            pipeline.type(key)
        return dict(zip(keys, pipeline.execute(), strict=True))

    def _values(self, keys: list[bytes]) -> list[bytes | None]:
        answer: list[bytes | None] = (self._asks.mget_nonatomic(keys) if isinstance(self._asks, RedisCluster)
                                      else self._asks.mget(keys))
        return answer


def _text(data: bytes) -> str | None:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None


class Kv:
    """Follows the store from `start` to `close`; `wake` is called, in its thread, when `take` has news."""

    def __init__(self, provider: RedisProvider, wake: Callable[[], None],
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._store, self._steady = Store(provider), Steady()
        self._wake, self._clock = wake, clock
        self._news: News | None = None
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._complaint = ""
        self._thread = threading.Thread(target=self._run, name="kv", daemon=True)

    def start(self) -> None:
        """Begins to follow."""
        self._thread.start()

    def close(self) -> None:
        """Ends the thread, within the time that one command may take."""
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join()

    def take(self) -> News | None:
        """The latest news, once."""
        with self._lock:
            news, self._news = self._news, None
        return news

    def _run(self) -> None:
        try:
            while not self._ended.is_set():
                took_s = self._look()
                self._tell()
                self._wait(took_s)
        finally:
            self._store.close()

    def _look(self) -> float:
        began = self._clock()
        try:
            pairs, run, is_meant_empty = self._store.look()
        except (RedisError, OSError, Refused) as error:
            self._steady.failed(_why(error), self._clock())
            self._complain(_why(error))
            return 0.0
        except Exception as error:
            log.exception("the store cannot be followed for an error inside hostmesh")
            self._steady.failed(f"an error inside {PRODUCT}: {error!r}", self._clock())
            return 0.0
        # the time of the end: a change that came during the look may have been seen by half
        self._steady.seen(pairs, self._clock(), run, is_meant_empty)
        self._complain("")
        return self._clock() - began

    def _tell(self) -> None:
        if (news := self._steady.take()) is not None:
            with self._lock:
                self._news = news
            self._wake()

    def _wait(self, took_s: float) -> None:
        now = self._clock()
        until = now + max(TOLD_S if self._store.is_told else POLL_S, took_s * SHARE)
        if (wait_s := self._steady.wait_s(now)) is not None:
            until = min(until, now + wait_s)
        while not self._ended.is_set() and (left := until - self._clock()) > 0:
            if self._store.wait(min(left, 0.5), self._ended):
                return

    def _complain(self, why: str) -> None:
        if why and not self._complaint:
            log.info("the store cannot be read: %s; what it said before serves", why)
        elif self._complaint and not why:
            log.info("the store is read again")
        self._complaint = why


def look_once(provider: RedisProvider) -> News:
    """What stands there now, believed as it is (for a single look: `hostmesh check`)."""
    store = Store(provider)
    try:
        pairs, _, _ = store.look()
        return News(pairs, is_bare=not pairs)
    except (RedisError, OSError, Refused) as error:
        return News({}, away=_why(error))
    finally:
        store.close()


def _why(error: Exception) -> str:
    """One line for a person; redis-py's own say the rest."""
    return " ".join(str(error).split()) or type(error).__name__
