"""hostmesh drain, undrain, disable, enable, weight: an operator's word about one endpoint.

Owns the passage from what a person types to `mesh:overrides:<service>` in Redis, or to overrides.json where there is
none.  The agents obey what stands there; this command waits a moment for its own host's, so its last line is true.
Floor 4.
"""
from __future__ import annotations

import getpass
import os
import time
from dataclasses import dataclass

from mesh.health.override import DISABLE, DRAIN, WEIGHT, Override, bits_of, made, read_override
from mesh.report import Unclear, endpoint_meant, service_meant
from mesh.shared.slots import SLOT_STATE, STATE_DISABLED, STATE_DRAIN, WEIGHT_SHIFT
from workers.agent import overrides
from workers.agent.mesh_seen import Away
from workers.agent.states import UP, EndpointState
from workers.commands.endpoints import known
from workers.commands.paper import Paper, print_json
from workers.commands.sight import Sight, failed, told
from workers.memory import Refused, attach

OBEYED_S = 2.0          # an agent looks four times a second, and is told of changes at once
LOOK_S = 0.05

_SAYS = {DRAIN: "drains: what is under way and sticky sessions go on, nothing new comes",
         DISABLE: "is disabled: nothing is sent there"}
_MEANWHILE = ("a word reaches the hosts by Redis alone; until it is back, take the endpoint out of the files that name"
              " it, or stop it")
_TAKES_BACK = {"undrain": DRAIN, "enable": DISABLE, "default": WEIGHT}
_BACK = {DRAIN: "hostmesh undrain", DISABLE: "hostmesh enable", WEIGHT: "hostmesh weight ... default"}


@dataclass(frozen=True, slots=True)
class Asked:
    """What was typed: a word to say (drain, disable, weight=N), or one to take back (undrain, enable, default)."""

    word: str
    service: str
    url: str
    why: str = ""


def override(config: str | None, asked: Asked, as_json: bool) -> int:
    """Says the word, or takes it back; 1 where that cannot be done."""
    return told(config, as_json, lambda sight, paper: Word(sight, paper, as_json).say(asked))


def who() -> str:
    """The person at the keyboard, sudo or not."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (OSError, KeyError):
        return f"uid {os.getuid()}"


class Word:
    """One word, said by one person who looks at this."""

    def __init__(self, sight: Sight, paper: Paper, as_json: bool) -> None:
        self.sight, self.paper, self.as_json = sight, paper, as_json

    def say(self, asked: Asked) -> int:
        try:
            service, url, before = self._meant(asked)
        except (Unclear, ValueError) as unclear:
            return failed(self.paper, self.as_json, str(unclear))
        is_back = asked.word in _TAKES_BACK
        if is_back:
            kind = _TAKES_BACK[asked.word]
            if not before.word.startswith(kind):
                return self._is_not_said(service, url, kind, before)
            now = Override()
        else:
            now = made(asked.word, who(), asked.why)
            if before.word == now.word and not asked.why:
                by = f", {_by(before)}" if _by(before) else ""
                return self._told(service, url, now.word, f"is {_state(now.word)} already{by}")
        try:
            self._write(service, url, before, now, asked.why)
        except Away as away:
            return failed(self.paper, self.as_json, f"nothing was changed: {away} ({_MEANWHILE})")
        except (OSError, ValueError) as error:
            reason = (getattr(error, "strerror", "") or str(error)).lower()
            return failed(self.paper, self.as_json, f"{overrides.path_of(self.sight.static.state_directory)} cannot be"
                          f" written: {reason} (run this as the user of the service, or as root)")
        if is_back:
            message = f"is {_state(before.word)} no more" + (f" (it was, {_by(before)})" if _by(before) else "")
        else:
            message = _SAYS.get(now.word) or f"has the weight {now.word.removeprefix(WEIGHT)} whatever its file says"
            if before.word and before.word != now.word:
                message += f" (in place of {before})"
        return self._told(service, url, now.word, message, self._obeyed(service, url, now),
                          self._last_one(service, url, now))

    def _meant(self, asked: Asked) -> tuple[str, str, Override]:
        """Service and endpoint by their whole names, and what is said of the endpoint now."""
        sight = self.sight
        names, away = known(sight)
        if away:
            raise Unclear(f"nothing was changed: {away} ({_MEANWHILE})")
        words = sight.seen.said if sight.seen is not None else {}
        if not names:
            raise Unclear(sight.blind or "there are no services: no provider names one")
        service = service_meant(asked.service, names)
        urls = {each.url for each in self._endpoints(service)}
        if sight.mesh is not None:
            said = sight.mesh.overrides(service)
            urls.update(sight.mesh.endpoints([service])[service])
        else:
            said = {url: text for (name, url), text in words.items() if name == service}
        if sight.seen is not None and (ours := sight.seen.services.get(service)) and ours.children:
            raise Unclear(f"{service} has no endpoints of its own; it shares requests among:"
                          f" {', '.join(name for name, _ in ours.children)}")
        url = endpoint_meant(asked.url, urls | set(said), service)
        try:
            return service, url, read_override(said.get(url, ""))
        except ValueError:
            return service, url, Override()         # a slip of somebody's in redis-cli, which nobody obeys

    def _endpoints(self, service: str) -> tuple[EndpointState, ...]:
        seen = self.sight.seen
        return seen.services[service].endpoints if seen is not None and service in seen.services else ()

    def _write(self, service: str, url: str, before: Override, now: Override, why: str) -> None:
        mesh = self.sight.mesh
        if mesh is not None and now.word:
            mesh.override(service, url, str(now))
        elif mesh is not None:
            mesh.take_back(service, url, before.word, who(), why, self.sight.host)
        else:
            overrides.put(self.sight.static.state_directory, service, url, now)

    def _is_not_said(self, service: str, url: str, kind: str, before: Override) -> int:
        what = {DRAIN: "drained", DISABLE: "disabled", WEIGHT: "given another weight"}[kind]
        if not before.word:
            return self._told(service, url, "", f"is not {what}: nothing to take back")
        other = next(each for each in _BACK if before.word.startswith(each))
        said = " ".join(filter(None, (_state(before.word), _by(before))))
        return failed(self.paper, self.as_json,
                      f"{service} {url} is not {what}, but {said} ({_BACK[other]} takes that back)")

    def _obeyed(self, service: str, url: str, now: Override) -> str:
        """Why this host does not do as it was told, or "" when it does."""
        sight = self.sight
        slot = next((each.slot for each in self._endpoints(service) if each.url == url), -1)
        if slot < 0:
            return "" if sight.seen is None or not sight.seen.serves else "this host does not know the endpoint"
        if sight.seen is None or not sight.seen.serves:
            return f"{sight.host} does not serve now; it takes this up when it starts"
        if not sight.seen.has_agent:
            return f"the agent of {sight.host} does not run; it takes this up when it is back"
        mask = STATE_DRAIN | STATE_DISABLED | -(1 << WEIGHT_SHIFT)
        try:
            memory = attach(sight.static.runtime_directory)
        except Refused as refused:
            return str(refused)
        deadline = time.monotonic() + OBEYED_S
        while (memory.slots.load(slot, SLOT_STATE) & mask) != bits_of(now.word):
            if time.monotonic() > deadline:
                return f"{sight.host} has not taken it up yet: hostmesh status tells how its agent is"
            time.sleep(LOOK_S)
        return ""

    def _last_one(self, service: str, url: str, now: Override) -> str:
        """A warning where nothing is left to take the requests."""
        others = [each for each in self._endpoints(service) if each.url != url]
        if now.word not in (DRAIN, DISABLE, f"{WEIGHT}0") or any(each.state == UP and each.weight for each in others):
            return ""
        return f"no other endpoint of {service} is up: new requests have nowhere to go"

    def _told(self, service: str, url: str, word: str, message: str, unmet: str = "", warning: str = "") -> int:
        if self.as_json:
            print_json({"good": True, "service": service, "url": url, "word": word, "message": message,
                        "redis": self.sight.mesh.address if self.sight.mesh is not None else None,
                        "obeyedHere": not unmet, "why": [line for line in (unmet, warning) if line]})
            return 0
        self.paper.line(f"{self.paper.painted(service, bold=True)} {url} {message}")
        for line in filter(None, (warning, unmet)):
            self.paper.line(self.paper.painted(f"  {line}", fg="yellow"))
        if self.sight.mesh is None and message in _SAYS.values():
            self.paper.line("  on this host alone: it has no Redis to tell others by")
        return 0


def _state(word: str) -> str:
    """Such as "drained"."""
    return {DRAIN: "drained", DISABLE: "disabled"}.get(word) or f"at weight {word.removeprefix(WEIGHT)}"


def _by(before: Override) -> str:
    """Such as "by ann: the disk is full"."""
    by = f"by {before.who}" if before.who else ""
    return ": ".join(filter(None, (by, before.why)))
