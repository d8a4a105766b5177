"""The keys of Redis as one mesh spells them, and the way back from a key to what it is about.

Owns the passage between names.KEY_* and text, with the mesh's prefix in front.  Nothing here talks to Redis.  Floor 2.
"""
from __future__ import annotations

from mesh.health.events import Event
from mesh.names import (
    KEY_BORN,
    KEY_ENDPOINTS,
    KEY_EVENTS,
    KEY_HOST,
    KEY_HOSTS,
    KEY_INSTANCE,
    KEY_OVERRIDES,
    KEY_RELAY,
    KEY_ROSTER,
    KEY_SERVICES,
    KEY_TELLS,
    KEY_TOLD,
    KEY_WATCH,
)

_GLOB = str.maketrans({each: f"\\{each}" for each in "*?[]\\"})


class Keys:
    """All keys behind one prefix (mesh:)."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.hosts = prefix + KEY_HOSTS
        self.services = prefix + KEY_SERVICES
        self.events = prefix + KEY_EVENTS
        self.born = prefix + KEY_BORN
        self.told = prefix + KEY_TOLD
        self.watch = prefix + KEY_WATCH
        self.all_overrides = self.overrides("")             # what every key of overrides begins with
        self.all_instances = prefix + KEY_INSTANCE.partition("{")[0]
        self.all_rosters = self.roster("")
        self.relay = prefix + KEY_RELAY
        # one walk over all keys finds what is followed: few other keys of ours begin with these letters
        self.followed = f"{prefix.translate(_GLOB)}[ior]*"
        self.followed_by_roster = f"{prefix.translate(_GLOB)}[or]*"

    def host(self, host: str) -> str:
        """The heartbeat of a host."""
        return self._prefix + KEY_HOST.format(host=host)

    def endpoints(self, service: str) -> str:
        """The endpoints of a service, by its name for people."""
        return self._prefix + KEY_ENDPOINTS.format(service=service)

    def overrides(self, service: str) -> str:
        """What operators said of a service's endpoints."""
        return self._prefix + KEY_OVERRIDES.format(service=service)

    def is_overrides(self, key: str) -> bool:
        return key.startswith(self.all_overrides)

    def is_instance(self, key: str) -> bool:
        return key.startswith(self.all_instances)

    def roster(self, service: str) -> str:
        """All instances of a service, as the relay of a large mesh lists them."""
        return self._prefix + KEY_ROSTER.format(service=service)

    def is_roster(self, key: str) -> bool:
        return key.startswith(self.all_rosters)

    def service_of_roster(self, key: str) -> str:
        """The service that a roster is of."""
        return key.removeprefix(self.all_rosters)

    def service_of(self, key: str) -> str:
        """The service that a key of overrides is about."""
        return key.removeprefix(self.all_overrides)

    def instance_of(self, key: str) -> tuple[str, str]:
        """(service, id) of an instance's key; the id may have colons in it, a mesh service has none."""
        service, _, id = key.removeprefix(self.all_instances).partition(":")
        return service, id

    def tells(self, event: Event) -> str:
        """Who tells of what all hosts see, for a while."""
        what = event.what if event.url else ""      # a reload has another number on every host
        about = event.kind, event.service, event.url, what, event.who, event.why
        return self._prefix + KEY_TELLS.format(what=" ".join(filter(None, about)))

    def instance(self, service: str, id: str) -> str:
        """The key of an instance."""
        return self._prefix + KEY_INSTANCE.format(service=service, id=id)
