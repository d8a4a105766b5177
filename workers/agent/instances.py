"""The instances that came by themselves, as every source tells them now: the meeting place of the agent's threads.

Owns what is known and who is told that it changed.  The store's thread and systemd's put in what they see, the disk
thread takes it out and publishes (disk.py); nobody waits for anybody.  What a former agent knew stays until its source
speaks: an agent that was killed, with Redis away, must not take the instances out of service.  Floor 3.
"""
from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace

import orjson

from mesh.health.override import DRAIN
from mesh.providers.instances import BY_SERVICE, Instance, order
from workers.agent.states import Registered


class Instances:
    """Thread-safe.  `changed` is called, by the thread that brought the news, whenever there is some."""

    def __init__(self, changed: Callable[[], None] | None = None) -> None:
        self.changed = changed
        self._lock = threading.Lock()
        # by source, by service: as it was told, and in order
        self._told: dict[str, dict[str, tuple[list[Instance], tuple[Instance, ...]]]] = {}
        self._by_service: dict[str, tuple[Instance, ...]] = {}
        self._has_spoken: set[str] = set()
        self._news: set[str] = set()
        self._written: tuple[int, bytes] | None = None
        self.version = 0                # goes up with each change

    def replace(self, source: str, instances: Iterable[Instance]) -> bool:
        """Takes in all that a source knows now, in place of what it knew; answers whether that is news.

        A source that cannot see (Redis away) does not call: what it knew goes on.  20,000 of which one is new: 10 ms.
        """
        told: dict[str, list[Instance]] = {}
        for instance in instances:
            own = instance if instance.source == source else replace(instance, source=source)
            told.setdefault(own.service, []).append(own)
        with self._lock:
            self._has_spoken.add(source)
            is_news = self._take(source, told)
            if is_news:
                self.version += 1
                self._news.add(source)
            changed = self.changed if is_news else None
        if changed is not None:
            changed()
        return is_news

    def _take(self, source: str, told: dict[str, list[Instance]]) -> bool:
        before = self._told.get(source, {})
        now: dict[str, tuple[list[Instance], tuple[Instance, ...]]] = {}
        touched = [service for service in before if service not in told]
        for service, each in told.items():
            former = before.get(service)
            if former is not None and former[0] == each:
                now[service] = former
                continue
            ordered = tuple(sorted(each, key=order))
            if former is not None and former[1] == ordered:
                ordered = former[1]
            else:
                touched.append(service)
            now[service] = each, ordered
        self._told[source] = now
        if not touched:
            return False
        by_service = dict(self._by_service)     # replaced whole: others may be looking at it
        for service in touched:
            parts = [each[service][1] for each in self._told.values() if service in each]
            if not parts:
                by_service.pop(service, None)
            else:
                by_service[service] = parts[0] if len(parts) == 1 else tuple(sorted(sum(parts, ()), key=order))
        is_new = any(service not in self._by_service for service in touched)
        self._by_service = dict(sorted(by_service.items())) if is_new else by_service
        return True

    def take_news(self) -> set[str]:
        """The sources that had news since this was asked last."""
        with self._lock:
            news, self._news = self._news, set()
        return news

    def by_service(self) -> BY_SERVICE:
        """All of them by `<service>.<namespace>`, in order; a service without news keeps the same tuple."""
        return self._by_service

    def all(self) -> tuple[Instance, ...]:
        """All of them, in order."""
        return tuple(instance for each in self._by_service.values() for instance in each)

    def find(self, service: str, url: str) -> Instance | None:
        """The instance behind an endpoint: who told of it, its host, its meta; `service` short or qualified."""
        each = self._by_service.get(service.removesuffix("@mesh"), ())
        return next((instance for instance in each if instance.url == url), None)

    def by_endpoint(self) -> dict[tuple[str, str], Instance]:
        """Who stands behind each endpoint, by `<service>.<namespace>` and url: what the table shows, and drains."""
        found: dict[tuple[str, str], Instance] = {}
        for service, each in self._by_service.items():
            for instance in each:               # of one url, the one that stays comes first
                found.setdefault((service, instance.url), instance)
        return found

    def registered(self) -> dict[tuple[str, str], Registered]:
        """The same as the table has it."""
        return {key: Registered(each.source, each.host, DRAIN if each.draining else "", each.meta)
                for key, each in self.by_endpoint().items()}

    def to_json(self) -> bytes:
        """All that is known, in one line, for the agent that comes next."""
        with self._lock:
            version, all_ = self.version, self.all()
        if self._written is None or self._written[0] != version:
            self._written = version, orjson.dumps([_row(instance) for instance in all_])
        return self._written[1]

    def restore(self, data: bytes, sources: Collection[str] | None = None) -> None:
        """Takes in what a former agent wrote, of those of these sources (None: of all) that have not spoken yet.

        ValueError: it is anything else.
        """
        if not data:
            return
        try:
            told: dict[str, dict[str, list[Instance]]] = {}
            for each in orjson.loads(data):
                instance = Instance(*each)
                told.setdefault(instance.source, {}).setdefault(instance.service, []).append(instance)
        except (TypeError, AttributeError) as error:
            raise ValueError(f"these are no instances: {error!r}") from error
        with self._lock:
            for source, services in told.items():
                if (sources is None or source in sources) and source not in self._has_spoken:
                    self.version += self._take(source, services)


def _row(one: Instance) -> tuple[object, ...]:
    return (one.service, one.url, one.weight, one.id, one.source, one.host, one.meta, one.draining, one.wrong)
