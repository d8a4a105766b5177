"""What this host tells Redis: its opinion of every endpoint, and what happened.

Owns `endpoints:<service>`, `services` and `events` as far as this host writes them.  Only what has changed is written:
states at once, numbers when their time comes and only where they moved.  After Redis was away, everything again.

The table is looked at when something moved in it, and no longer than a tenth of the time: 20,000 endpoints take 0.2 s.
Floor 3.
"""
from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from redis.exceptions import ResponseError

from mesh.health.events import ENDPOINT_JOINED, ENDPOINT_LEFT, OVERRIDE, Event
from mesh.store.keys import Keys
from mesh.store.opinion import Opinion, Seen, opinion_of, spelled
from mesh.store.pace import MANY, Pace, speaks
from mesh.store.scripts import FIRST, OPINE, SWEEP, TELLS
from workers.agent.store_link import about

MOST_AT_ONCE = 50       # endpoints in one script: Redis does nothing else for so long (25 us each)
MOST_EVENTS = 500       # told in one turn
EVENTS_KEPT = 10_000    # in the stream, about
RECENT_S = 60.0         # so long after it was taken out of use, an endpoint's requests under way are told at once
SHARE = 10              # a look at the table is followed by a pause this many times as long

Key = tuple[str, str]   # service (its name for people), url


class Log(Protocol):
    """The events of this host, numbered (workers/agent/eventlog.py)."""

    def after(self, number: int) -> list[tuple[int, Event]]: ...
    def add(self, event: Event) -> int: ...


class Publisher:
    """For the store's writing thread; `changes` answers something else whenever a state may have changed."""

    def __init__(self, host: str, keys: Keys, pace: Pace, endpoints: Callable[[], Sequence[Seen]],
                 changes: Callable[[], object], clock: Callable[[], float] = time.monotonic) -> None:
        self._host, self._keys, self._pace = host, keys, pace
        self._endpoints, self._changes, self._clock = endpoints, changes, clock
        self._told: dict[Key, Opinion] = {}
        self._services: set[str] = set()        # that we have put into `services`
        self._alone: set[Key] = set()           # endpoints of which nobody spoke
        self._seen_changes: object = None
        self._is_stale = True
        self._is_awaited = False                # somebody may wait for an endpoint that drains
        self._look_at = 0.0
        self._numbers_at = 0.0
        self._check_at = clock() + pace.check
        self._waiting: dict[Key, Opinion | None] = {}       # to be told
        self._may = float(MOST_AT_ONCE)         # so many at once
        self._told_at = clock()
        self._is_clean = False                  # what a former agent told and we would not is gone
        self.written = 0                        # endpoints told, ever

    def forget(self) -> None:
        """Whatever was told may be gone."""
        self._told.clear()
        self._services.clear()
        self._waiting.clear()
        self._is_stale = True

    def turn(self, client: Any, hosts: int) -> None:
        """Tells what is new."""
        now = self._clock()
        if now >= self._look_at:
            self._look(client, now, hosts)
        self._tell_some(client, now, hosts)

    def _look(self, client: Any, now: float, hosts: int) -> None:
        """Finds out what is to be told, if there may be something."""
        changes = self._changes()
        with_numbers = now >= self._numbers_at
        if not (self._is_stale or with_numbers or self._is_awaited or changes != self._seen_changes):
            return
        told, gone, seen = self._compare(hosts, with_numbers)
        # numbers that have waited since an earlier look go on to wait
        late = {key: each for key, each in self._waiting.items() if each is not None and key in seen
                and (before := self._told.get(key)) is not None and before.is_same_but_numbers(each)}
        self._waiting = {**late, **dict.fromkeys(gone), **told}
        self._seen_changes = changes
        self._is_stale = False
        self._look_at = now + (self._clock() - now) * SHARE
        if with_numbers:
            self._numbers_at = now + self._pace.stretched(self._pace.numbers, hosts) * random.uniform(0.9, 1.0)
        if now >= self._check_at:
            self._check_at = now + self._pace.stretched(self._pace.check, hosts) * random.uniform(0.8, 1.2)
            self._check(client, seen)

    def _tell_some(self, client: Any, now: float, hosts: int) -> None:
        """Tells as much of it as is this host's share of what Redis bears, what is wrong first."""
        share = self._pace.rate / hosts
        self._may = min(self._may + (now - self._told_at) * share, max(share, float(MOST_AT_ONCE)))
        self._told_at = now
        if not self._waiting or self._may < 1:
            return
        some = self._waiting
        if len(some) > self._may:
            ordered = sorted(some, key=lambda key: (opinion := some[key]) is not None and opinion.is_plain)
            some = {key: some[key] for key in ordered[:int(self._may)]}
        refused: Exception | None = None
        for service, each in _by_service(some):
            try:
                self._tell(client, service, each)
            except ResponseError as error:      # perhaps of this key alone
                refused = error
        self._may -= len(some)
        self._waiting = {key: each for key, each in self._waiting.items() if key not in some}
        if refused is not None:
            self._is_stale = True
            raise refused

    def _compare(self, hosts: int, with_numbers: bool) -> tuple[dict[Key, Opinion], list[Key], set[Key]]:
        """What is to be told, what is to be taken back, and all that there is."""
        told, seen, silent = {}, set(), set()
        recently = (time.time() - RECENT_S) * 1000
        self._is_awaited = False
        for each in self._endpoints():
            key = each.service, each.url
            seen.add(key)
            opinion = opinion_of(each, self._host)
            if not (not opinion.is_plain or each.local or key in self._alone
                    or speaks(self._host, *key, hosts)):
                silent.add(key)
                continue
            before = self._told.get(key)
            is_awaited = opinion.is_out and (opinion.in_flight or each.since_ms > recently)
            self._is_awaited |= bool(is_awaited)
            if before is None or not before.is_same_but_numbers(opinion) or (
                    with_numbers and before.numbers != opinion.numbers) or (
                    opinion.is_out and before.in_flight != opinion.in_flight):
                told[key] = opinion
        return told, [key for key in self._told if key not in seen or key in silent], seen

    def _tell(self, client: Any, service: str, opinions: Mapping[str, Opinion | None]) -> None:
        """Puts these opinions (None: there is none any more) of one service's endpoints into Redis."""
        key, left = self._keys.endpoints(service), 1
        for urls in _pieces(list(opinions), MOST_AT_ONCE):
            said: list[str | bytes] = []
            for url in urls:
                opinion = opinions[url]
                said += [url, *((b"{}", b"") if opinion is None else (opinion.facts_json(), opinion.opinion_json()))]
            with about(key):
                left = run(client, OPINE, key, self._host, spelled(time.time() * 1000), MANY, *said)
            self.written += len(urls)
            for url in urls:
                if (opinion := opinions[url]) is None:
                    self._told.pop((service, url), None)
                else:
                    self._told[service, url] = opinion
        if not left:
            self._services.discard(service)
            take_out(client, self._keys, service)
        elif service not in self._services:
            with about(self._keys.services):
                client.sadd(self._keys.services, service)
            self._services.add(service)

    def _check(self, client: Any, seen: set[Key]) -> None:
        """Whether all that there is can be found in Redis: somebody may have deleted it, or nobody spoken of it."""
        services: dict[str, set[str]] = {}
        for service, url in seen:
            services.setdefault(service, set()).add(url)
        self._alone &= seen
        for names in _pieces(sorted(services), 200):
            for service, there in zip(names, each_of(client, "hkeys", [self._keys.endpoints(name) for name in names])):
                for url in services[service].difference(_urls(there)):
                    if self._told.pop((service, url), None) is None:
                        self._alone.add((service, url))
                    self._is_stale = True
        for names in _pieces(sorted(services), 1000):
            with about(self._keys.services):
                client.sadd(self._keys.services, *names)
        if not self._is_clean:
            self._clean(client, seen)
            self._is_clean = True

    def _clean(self, client: Any, seen: set[Key]) -> None:
        """Takes back what a former agent of this host told of endpoints that have left while none was there."""
        services = sorted(client.smembers(self._keys.services))
        for names in _pieces(services, 200):
            for service, there in zip(names, each_of(client, "hkeys", [self._keys.endpoints(name) for name in names])):
                if urls := [url for url in _urls(there) if (service, url) not in seen]:
                    self._tell(client, service, dict.fromkeys(urls))

    def sweep(self, client: Any, lives: Sequence[str]) -> None:
        """Takes out the opinions of hosts that do not live; for the one host whose turn it is."""
        refused: Exception | None = None
        for service in sorted(client.smembers(self._keys.services)):
            key, left = self._keys.endpoints(service), 0
            try:
                for urls in _pieces(client.hkeys(key), MOST_AT_ONCE):
                    left = run(client, SWEEP, key, spelled(time.time() * 1000), len(urls), *urls, *lives)
            except ResponseError as error:
                refused = error
                continue
            if not left:
                take_out(client, self._keys, service)
        if refused is not None:
            raise refused


class Teller:
    """Puts the events of this host into `events`, those of a time without Redis too, as far back as they are kept."""

    def __init__(self, host: str, keys: Keys, pace: Pace, events: Log, told: int = 0) -> None:
        self._host, self._keys, self._pace, self._events = host, keys, pace, events
        self.told = told                # the number of the last one

    def turn(self, client: Any, hosts: int) -> None:
        """Tells what has happened since."""
        for number, event in self._events.after(self.told)[:MOST_EVENTS]:
            if self._is_ours(client, event, hosts):
                with about(self._keys.events):
                    client.xadd(self._keys.events, fields(event, self._host), maxlen=EVENTS_KEPT, approximate=True)
            self.told = number

    def _is_ours(self, client: Any, event: Event, hosts: int) -> bool:
        """Of what every host sees, one tells; of an endpoint's health each that speaks of it, for eyes differ."""
        if event.kind == OVERRIDE:          # a word is told once for all times: hosts that start later see it as news
            with about(self._keys.told):
                return self._tells(client, event) and bool(run(
                    client, FIRST, self._keys.told, f"{event.service} {event.url}",
                    f"{event.what} {event.who} {event.why}"))
        if not (event.url or event.is_shared):
            return True
        if not speaks(self._host, event.service or event.kind, event.url, hosts):
            return False
        is_same = event.is_shared or event.kind in (ENDPOINT_JOINED, ENDPOINT_LEFT)
        return not is_same or self._tells(client, event)

    def _tells(self, client: Any, event: Event) -> bool:
        return bool(run(client, TELLS, self._keys.tells(event), self._host, int(self._pace.tells * 1000)))


def fields(event: Event, host: str) -> dict[Any, Any]:
    """An event as it reads in redis-cli: when, what, where, why, who, and which host says so."""
    said = {"at": spelled(event.at_ms), "kind": event.kind, "service": event.service, "url": event.url,
            "what": event.what, "why": event.why, "who": event.who, "host": host}
    return {name: value for name, value in said.items() if value}


def run(client: Any, script: str, key: str, *args: Any) -> Any:
    """Runs a script over one key; Redis keeps the text, and gets it again where it has lost it."""
    return client.register_script(script)(keys=[key], args=args)


def each_of(client: Any, command: str, keys: Iterable[str]) -> list[Any]:
    """The same command for many keys, in one go, wherever in a Cluster they are; an error of one is its answer."""
    pipeline = client.pipeline(transaction=False) if not hasattr(client, "get_primaries") else client.pipeline()
    for key in keys:
        getattr(pipeline, command)(key)
    answers: list[Any] = pipeline.execute(raise_on_error=False)
    return answers


def values(client: Any, keys: Sequence[str]) -> list[str | None]:
    """The strings under these keys, wherever in a Cluster they are."""
    found: list[str | None] = getattr(client, "mget_nonatomic", client.mget)(keys) if keys else []
    return found


def _urls(answer: Any) -> list[str]:
    """The fields of a hash; none where the key is something else."""
    if isinstance(answer, Exception) and not isinstance(answer, ResponseError):
        raise answer
    return [] if isinstance(answer, Exception) else answer


def take_out(client: Any, keys: Keys, service: str) -> None:
    """A service without endpoints leaves `services`, unless another host has put one in just now."""
    client.srem(keys.services, service)
    if client.exists(keys.endpoints(service)):
        client.sadd(keys.services, service)


def _by_service(opinions: Mapping[Key, Opinion | None]) -> Iterator[tuple[str, dict[str, Opinion | None]]]:
    found: dict[str, dict[str, Opinion | None]] = {}
    for (service, url), opinion in opinions.items():
        found.setdefault(service, {})[url] = opinion
    yield from found.items()


def _pieces(all_: list[str], most: int) -> Iterator[list[str]]:
    for start in range(0, len(all_), most):
        yield all_[start:start + most]
