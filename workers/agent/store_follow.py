"""What Redis tells this host: operators' words and the instances that registered themselves.

Owns the store's second thread.  Changes are told by Redis itself (store_tracking.py); where it cannot, everything is
read again every second, and in any case every few seconds, since a hint that got lost must cost time only.

What was known last holds while Redis is away.  What is missing afterwards:

- an instance is believed for one TTL of its own before it counts as gone.  A Redis that stood still, or came back
  empty, has lost the heartbeats of all, and they need that time to come again.  So too while Redis is full.
- an operator's word is gone, if this Redis is the one that had it.  If it has been emptied (`born` says so), the words
  that hold are put back, for nobody took them back.

Floor 3.
"""
from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from redis.exceptions import RedisError, ResponseError

from mesh.errors import did_you_mean
from mesh.health.events import OVERRIDE, Event
from mesh.health.override import DISABLE, DRAIN, Override, read_override
from mesh.names import PRODUCT, for_people
from mesh.providers.instances import Instance, read_instance
from mesh.store.keys import Keys
from mesh.store.pace import Pace
from mesh.store.scripts import AGE, BORN
from workers.agent.store_link import FAILURES, Link, Trouble, is_refusal, is_wrong_type
from workers.agent.store_publish import Key, Log, each_of, run, values
from workers.agent.store_roster import RELAY, ROSTER, Roster, values_of
from workers.agent.store_tracking import EVERYTHING, NoTracking, Tracking

SOURCE = "redis"
WAIT_S = 0.25               # the most that anything due has to wait for
SETTLE_S = 0.05             # many instances renew themselves: they are looked at together
MOST_AT_ONCE = 500          # keys in one command
TRACKING_AGAIN_S = 60.0     # where it could not be had
FRESH_MS = 60_000.0         # so soon after Redis was emptied, everybody's words are put back
MOST_WORDS = 100_000        # overrides, and instances; beyond, Redis holds somebody's mistake

log = logging.getLogger(f"{PRODUCT}.redis")


class Words(Protocol):
    """What the endpoint table has for us (workers/agent/table.py)."""

    def overrides(self) -> dict[Key, Override]: ...
    def replace_overrides(self, said: Mapping[Key, Override]) -> None: ...


class Gathering(Protocol):
    """Where instances are taken in (workers/agent/instances.py)."""

    def replace(self, source: str, instances: Iterable[Instance]) -> Any: ...
    def all(self) -> Iterable[Instance]: ...


@dataclass(slots=True)
class _Known:
    """An instance; `due` (monotonic) is when to ask whether its TTL is over, `gone_at` when it counts as gone."""

    value: str
    instance: Instance
    ttl_s: float | None             # None: it has none
    due: float
    gone_at: float | None = None


class Follower:
    """`run` in a thread of its own; `is_refusing` says whether Redis takes no heartbeats just now."""

    def __init__(self, host: str, link: Link, keys: Keys, pace: Pace, words: Words, instances: Gathering, events: Log,
                 hosts: Callable[[], int], is_refusing: Callable[[], bool], closing: threading.Event, answer_s: float,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._link, self._keys, self._pace = link, keys, pace
        self._words, self._instances, self._events = words, instances, events
        self._hosts, self._is_refusing, self._closing, self._clock = hosts, is_refusing, closing, clock
        self._tracking = Tracking(pace.ping, answer_s)
        self._roster = Roster(host, keys, pace)
        self._untold = Trouble("Redis cannot tell what changes, so it is asked every second",
                               "Redis tells what changes")
        self._untaken = Trouble("Redis refuses what this host puts back", "Redis takes what this host puts back")
        self._unread = Trouble("a key in Redis cannot be read", "all keys in Redis can be read")
        self._track_at = 0.0
        self._read_at = 0.0
        self._born: str | None = None
        self._has_words = False                     # Redis has told its words once
        self._said: dict[str, dict[str, Override]] = {}
        self._wrong: dict[Key, str] = {}            # words that nobody understands, told already
        self._known: dict[str, _Known] = {}
        self._has_known = False
        self._is_unread = False                     # a key, in the last reading of all
        self._has_news = False                      # what is known has changed since it was told
        self._time_at = 0.0
        self.read = 0                               # keys read, ever

    @property
    def mode(self) -> str:
        """How instances are learned of (store_roster.py)."""
        return self._roster.mode

    @property
    def is_told_of_changes(self) -> bool:
        return self._tracking.is_open

    def run(self) -> None:
        """Follows Redis until it is told to end."""
        while not self._closing.wait(self._link.wait_s()):
            try:
                self._follow()
            except FAILURES as error:
                self._link.failed(error)
            except Exception as error:
                log.exception("Redis cannot be followed for an error inside hostmesh: it is tried again")
                self._link.failed(error)
            finally:
                self._tracking.close()
        self._link.close()

    def _follow(self) -> None:
        client = self._link.client()
        self._roster.again()
        self._roster.look(client, max(self._hosts(), self._count(client)))
        self._listen(client)
        # many hosts come back at the same moment
        self._closing.wait(random.random() * self._hosts() / 100)
        self._read_all(client, is_anew=True)
        self._link.worked()
        while not self._closing.is_set():
            self._turn(self._link.client())

    def _count(self, client: Any) -> int:
        try:
            return int(client.hlen(self._keys.hosts))
        except ResponseError as error:
            if not is_wrong_type(error):
                raise
            return 0                    # words and instances can be followed all the same

    def _listen(self, client: Any) -> None:
        try:
            instances = self._keys.all_rosters if self._roster.mode == ROSTER else self._keys.all_instances
            self._tracking.open(client, (self._keys.all_overrides, instances))
            self._untold.end()
        except NoTracking as error:
            self._untold.begin(error)
            self._track_at = self._clock() + TRACKING_AGAIN_S

    def _turn(self, client: Any) -> None:
        keys: set[Any] = set()
        if self._roster.look(client, self._hosts()):
            self._listen(client)
            self._read_all(client, is_anew=True)
        if self._tracking.is_open:
            keys = self._tracking.wait(WAIT_S)
        else:
            self._closing.wait(min(WAIT_S, self._pace.poll))
            if self._clock() >= self._track_at:
                self._listen(client)
        if EVERYTHING in keys:
            self._roster.again()
            self._read_all(client, is_anew=True)
        elif keys:
            self._look_at(client, keys)
        self._look_at_time(client)
        if self._clock() >= self._read_at:
            if self._tracking.is_open and not self._tracking.is_of(client):
                raise RedisError("the nodes of the Cluster are others now")
            self._read_all(client, is_anew=False)
            self._link.worked()

    # All of it

    def _read_all(self, client: Any, is_anew: bool) -> None:
        """Reads everything; `is_anew`: what is missing may be missing for no good reason."""
        is_emptied = self._look_at_born(client) if is_anew else False
        words: list[str] = []
        instances: list[str] = []
        rosters: list[str] = []
        is_roster = self._roster.mode == ROSTER
        match = self._keys.followed_by_roster if is_roster else self._keys.followed
        for key in client.scan_iter(match=match, count=1000):
            if self._keys.is_overrides(key):
                words.append(key)
            elif self._keys.is_roster(key):
                rosters.append(key)
            elif self._keys.is_instance(key):
                instances.append(key)
        self._is_unread = False
        self._read_words(client, words[:MOST_WORDS])
        if not self._is_unread:
            self._unread.end()
        if is_emptied:
            self._tell(partial(run, client, BORN, self._keys.born))
            self._born = client.get(self._keys.born)
        self._said = {service: said for service, said in self._said.items()
                      if self._keys.overrides(service) in set(words)}
        self._apply_words()
        if self._roster.mode == RELAY:
            for key, text in zip(rosters, values(client, rosters)):
                self._roster.found(key, text)
            self._has_news = True
        self._read_instances(client, (rosters if is_roster else instances)[:MOST_WORDS], is_anew)
        interval = self._pace.reread if self._tracking.is_open else self._pace.poll
        # there is but one relay
        interval = interval * 2 if self._roster.mode == RELAY else self._pace.stretched(interval, self._hosts())
        self._read_at = self._clock() + interval * random.uniform(0.9, 1.1)

    def _look_at_born(self, client: Any) -> bool:
        """Puts words back where Redis has been emptied; answers whether nobody has noticed before."""
        try:
            born, age_ms = run(client, AGE, self._keys.born) or (None, "0")
        except ResponseError as error:
            if not is_wrong_type(error):
                raise
            log.warning("%s is something else than a mesh puts there; rename or delete it", self._keys.born)
            return False
        is_fresh = born is None or (born != self._born and 0 <= int(age_ms) < FRESH_MS)
        if is_fresh and (held := self._words.overrides()):
            for (service, url), override in held.items():
                self._tell(partial(client.hsetnx, self._keys.overrides(service), url, str(override)))
            log.info("Redis has been emptied: %d overrides are put back", len(held))
        self._born = born
        return born is None

    def _tell(self, write: Callable[[], Any]) -> None:
        """Writes what can wait: a Redis that is full is followed all the same."""
        try:
            write()
            self._untaken.end()
        except ResponseError as error:
            self._untaken.begin(error)

    # Words

    def _read_words(self, client: Any, keys: list[str]) -> None:
        for start in range(0, len(keys), MOST_AT_ONCE):
            some = keys[start:start + MOST_AT_ONCE]
            for key, said in zip(some, each_of(client, "hgetall", some)):
                self._take_words(key, said)
            self.read += len(some)

    def _take_words(self, key: str, said: Any) -> None:
        service = self._keys.service_of(key)
        if isinstance(said, Exception):
            if not is_refusal(said):
                raise said
            self._unread.begin(f"{key}: {said}")        # what stood there holds
            self._is_unread = True
            return
        if (name := for_people(service)) != service:
            self._is_misnamed(service, name)
            return
        before = self._said.get(service, {})
        words: dict[str, Override] = {}
        for url, text in said.items():
            try:
                override = read_override(text)
            except ValueError as error:
                self._complain(service, url, text, error)
                if url in before:                       # a word that nobody understands takes none back
                    words[url] = before[url]
                continue
            self._wrong.pop((service, url), None)
            if override.word:
                words[url] = override
        if words:
            self._said[service] = words
        else:
            self._said.pop(service, None)

    def _apply_words(self) -> None:
        said = {(service, url): override for service, words in self._said.items() for url, override in words.items()}
        if self._has_words and said == self._words.overrides():
            return
        self._has_words = True
        self._words.replace_overrides(said)

    def _is_misnamed(self, service: str, name: str) -> None:
        """Two keys for one service would take words back from each other."""
        if (service, "") not in self._wrong:
            self._wrong[service, ""] = name
            why = f"a service is called here as people do: {self._keys.overrides(name)}"
            log.warning("%s: %s", self._keys.overrides(service), why)
            self._events.add(Event(OVERRIDE, service, "", "not understood", why))

    def _complain(self, service: str, url: str, text: str, error: ValueError) -> None:
        if self._wrong.get((service, url)) == text:
            return
        if len(self._wrong) > MOST_AT_ONCE:
            self._wrong.clear()
        self._wrong[service, url] = text
        word = text.split()[0] if text.split() else ""
        hint = did_you_mean(word, (DRAIN, DISABLE)) or f"write: HSET {self._keys.overrides(service)} {url} {DRAIN}"
        log.warning("%s, %s: %s (%s)", self._keys.overrides(service), url, error, hint)
        self._events.add(Event(OVERRIDE, service, url, "not understood", f"{error} ({hint})"))

    # Instances

    def _read_instances(self, client: Any, keys: list[str], is_anew: bool) -> None:
        self._has_news |= is_anew or not self._has_known
        if not self._has_known:
            self._remember()
        if self._roster.mode == ROSTER:
            there = self._look_at_rosters(client, keys)
        else:
            self._look_at_instances(client, keys)
            there = set(keys)
        now = self._clock()
        for key, known in list(self._known.items()):
            if key not in there:
                self._is_missing(key, known, now, is_anew)
        self._tell_instances(client)
        self._has_known = True

    def _remember(self) -> None:
        """What a former agent knew counts like our own knowledge of a time before Redis was away."""
        due = self._clock() + self._pace.grace
        for each in self._instances.all():
            if each.source == SOURCE and each.id:
                self._known[self._keys.instance(each.service, each.id)] = _Known("", each, None, due)

    def _look_at(self, client: Any, keys: set[Any]) -> None:
        """These keys have changed."""
        words = [key for key in keys if self._keys.is_overrides(key)]
        if words:
            self._read_words(client, words)
            self._apply_words()
        rosters = [key for key in keys if self._keys.is_roster(key)]
        if rosters:
            there = self._look_at_rosters(client, rosters)
            services = {self._keys.service_of_roster(key) for key in rosters}
            for key, known in list(self._known.items()):
                if known.instance.service in services and key not in there:
                    self._is_missing(key, known, self._clock(), False)
            self._tell_instances(client)
        instances = [key for key in keys if self._keys.is_instance(key)]
        if instances:
            self._look_at_instances(client, instances)
            self._tell_instances(client)
            self._closing.wait(SETTLE_S)

    def _look_at_rosters(self, client: Any, keys: list[str]) -> set[str]:
        """Takes in these rosters; answers the keys of all instances in them, whose time the relay looks after."""
        there: set[str] = set()
        for key, text in zip(keys, values(client, keys)):
            service = self._keys.service_of_roster(key)
            if (said := values_of(text or "")) is None:
                there.update(name for name, known in self._known.items() if known.instance.service == service)
                continue
            for id, value in said.items():
                name = self._keys.instance(service, id)
                there.add(name)
                known = self._known.get(name)
                if known is None or known.value != value:
                    self._known[name] = _Known(value, read_instance(service, id, value, SOURCE), None, float("inf"))
                    self._has_news = True
                else:
                    known.gone_at, known.due, known.ttl_s = None, float("inf"), None
        self.read += len(keys)
        return there

    def _look_at_instances(self, client: Any, keys: list[str]) -> None:
        new: dict[str, str] = {}
        for start in range(0, len(keys), MOST_AT_ONCE):
            some = keys[start:start + MOST_AT_ONCE]
            now = self._clock()
            for key, value in zip(some, values(client, some)):
                known = self._known.get(key)
                if value is None:
                    if known is not None:
                        self._is_missing(key, known, now, False)
                elif known is None or known.value != value or known.ttl_s is None:
                    new[key] = value
                else:                           # renewed, most likely by as much as before; `due` will tell
                    known.gone_at = None
                    known.due = now + known.ttl_s
            self.read += len(some)
        self._take_instances(client, new)

    def _take_instances(self, client: Any, new: Mapping[str, str]) -> None:
        keys = list(new)
        for start in range(0, len(keys), MOST_AT_ONCE):
            some = keys[start:start + MOST_AT_ONCE]
            now = self._clock()
            for key, left_ms in zip(some, each_of(client, "pttl", some)):
                if isinstance(left_ms, Exception):
                    raise left_ms
                if left_ms == -2:
                    continue                    # gone in between
                ttl_s = left_ms / 1000 if left_ms >= 0 else None
                service, id = self._keys.instance_of(key)
                self._has_news |= key not in self._known or self._known[key].value != new[key]
                self._known[key] = _Known(new[key], read_instance(service, id, new[key], SOURCE), ttl_s,
                                          now + (ttl_s if ttl_s is not None else float("inf")))

    def _look_at_time(self, client: Any) -> None:
        """Instances whose TTL may be over are asked after, those whose grace is over are gone."""
        now = self._clock()
        if now < self._time_at:
            return
        self._time_at = now + WAIT_S
        over = [key for key, known in self._known.items() if known.gone_at is not None and now >= known.gone_at]
        if self._is_refusing():
            over = []                           # nobody can have come again
        for key in over:
            del self._known[key]
            self._has_news = True
        due = [key for key, known in self._known.items() if known.gone_at is None and now >= known.due]
        for start in range(0, len(due), MOST_AT_ONCE):
            some = due[start:start + MOST_AT_ONCE]
            for key, left_ms in zip(some, each_of(client, "pttl", some)):
                if isinstance(left_ms, Exception):
                    raise left_ms
                known = self._known[key]
                if left_ms == -2:
                    self._is_missing(key, known, now, False)
                else:
                    known.due = now + left_ms / 1000 if left_ms >= 0 else float("inf")
            self.read += len(some)
        if over or due:
            self._tell_instances(client)

    def _is_missing(self, key: str, known: _Known, now: float, is_anew: bool) -> None:
        if known.gone_at is not None:
            return
        if is_anew or self._is_refusing():
            known.gone_at = now + (known.ttl_s if known.ttl_s is not None else self._pace.grace)
        else:
            del self._known[key]
            self._has_news = True

    def _tell_instances(self, client: Any) -> None:
        if not self._has_news:
            return
        self._has_news = False
        self._instances.replace(SOURCE, [known.instance for known in self._known.values()])
        if self._roster.mode == RELAY:
            told = [(known.instance.service, known.instance.id, known.value) for known in self._known.values()
                    if known.value]
            self._tell(partial(self._roster.write, client, told))
