"""From what serves to what serves after an edit, at the price of the edit and not of everything that is configured.

Owns what is known of the last settling, and what of it an edit can change: the names that a changed file says or said,
whatever refers to those, and the services that those refer to (a circle is one matter).  Only these choose anew, from
the beginning; so the outcome is that of settling everything, to the order of its parts, and a test compares the two.
What a file contributes is kept by file, since dicts join quickly.  Floor 2.
"""
from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from mesh.errors import Problem
from mesh.model import Dynamic, Middleware, Router, Service, Transport
from mesh.providers.file import FileSaid, Model, Said
from mesh.providers.settle import Named, Resolver, name_of, nearest, serving, status_of, tell

WORDS_COMPARED = 20_000     # for the hints of one section: comparing one name with 10,000 others takes 20 to 180 ms

_NOTHING = FileSaid()


@dataclass(slots=True)
class _Told:
    """The outcome for one name."""

    model: Model | None
    status: str
    about: tuple[Problem, ...]


@dataclass(slots=True)
class _Part:
    """What one file contributes: of the names that it is the first to say."""

    routers: dict[str, Router] = field(default_factory=dict)
    services: dict[str, Service] = field(default_factory=dict)
    middlewares: dict[str, Middleware] = field(default_factory=dict)
    transports: dict[str, Transport] = field(default_factory=dict)
    status: dict[str, str] = field(default_factory=dict)
    why: dict[str, tuple[Problem, ...]] = field(default_factory=dict)

    def add(self, key: str, told: _Told) -> None:
        self.status[key] = told.status
        if told.about:
            self.why[key] = told.about
        model = told.model
        if isinstance(model, Router):
            self.routers[model.name] = model
        elif isinstance(model, Service):
            self.services[model.name] = model
        elif isinstance(model, Middleware):
            self.middlewares[model.name] = model
        elif isinstance(model, Transport):
            self.transports[model.name] = model

    def join(self, other: _Part) -> None:
        self.routers.update(other.routers)
        self.services.update(other.services)
        self.middlewares.update(other.middlewares)
        self.transports.update(other.transports)
        self.status.update(other.status)
        self.why.update(other.why)


class Settling:
    """`choose`, then `remember`, then `collect`; each once for every state of the files."""

    def __init__(self, entry_points: Collection[str]) -> None:
        self.entry_points = frozenset(entry_points)
        self._files: dict[str, FileSaid] = {}
        self._sayers: dict[str, list[tuple[str, Said]]] = {}    # key -> who says it, by path
        self._named: dict[str, Named] = {}
        self._told: dict[str, _Told] = {}
        self._parts: dict[str, _Part] = {}
        self._refers: dict[str, set[str]] = {}                  # key -> the keys of what refers to it
        self._unknown: dict[str, set[str]] = {}                 # key that nothing goes by -> those that fail for it
        self._hints: dict[str, str] = {}                        # what may be meant by it
        self._stale: set[str] = set()                           # paths whose part is to be made again
        self._chosen: list[Named] = []

    def is_served(self, key: str) -> bool:
        """Whether some version of this name serves."""
        return self._named[key].chosen is not None

    def choose(self, files: Mapping[str, FileSaid]) -> None:
        """Takes in what changed, and chooses a version for every name that this can concern."""
        changed = {path for path, each in files.items() if self._files.get(path) is not each}
        changed.update(path for path in self._files if path not in files)
        touched, sections = self._take(files, changed)
        self._files = dict(files)
        concerned = self._concerned(touched)
        for key in {*touched, *concerned}:
            if (before := self._named.pop(key, None)) is not None:
                for target in before.references():
                    _discard(self._refers, target, key)
                for target in _unknown(before):
                    _discard(self._unknown, target, key)
        for key, one in concerned.items():
            self._named[key] = one
            for target in one.references():
                self._refers.setdefault(target, set()).add(key)
        Resolver(self._named, self.entry_points).resolve(concerned)
        for key, one in concerned.items():
            for target in _unknown(one):
                self._unknown.setdefault(target, set()).add(key)
        self._chosen = list(concerned.values())
        for key in touched:
            self._told.pop(key, None)
        for key in {*concerned, *self._hint(sections)}:
            one = self._named[key]
            about = tuple(tell(one, self.entry_points, self._hints))
            self._told[key] = _Told(serving(one, self.entry_points), status_of(one, about), about)
            self._stale.add(self._sayers[key][0][0])

    def remember(self) -> set[str]:
        """What serves is the last good version from now on; answers the paths of which something else is remembered."""
        changed: set[str] = set()
        for one in self._chosen:
            if one.index < len(one.versions):
                said, model = one.versions[one.index]
                if said.good is not model:
                    said.good = model
                    changed.update(path for path, each in self._sayers[one.key] if each is said)
        self._chosen = []
        return changed

    def collect(self, paths: Iterable[str]) -> tuple[Dynamic, dict[str, str], dict[str, tuple[Problem, ...]]]:
        """What serves, the status of every name, and what there is to say of it; `paths` are all files in order."""
        for path in self._stale:
            if path in self._files:
                part = self._parts[path] = _Part()
                for key in dict.fromkeys(said.key for said in self._files[path].objects):
                    if self._sayers[key][0][0] == path:
                        part.add(key, self._told[key])
            else:
                del self._parts[path]
        self._stale = set()
        whole = _Part()
        for path in paths:
            whole.join(self._parts[path])
        return (Dynamic(routers=whole.routers, services=whole.services, middlewares=whole.middlewares,
                        transports=whole.transports), whole.status, whole.why)

    def _take(self, files: Mapping[str, FileSaid], changed: Collection[str]) -> tuple[set[str], set[str]]:
        """Renews who says what; answers the names of which something else is said, and the sections that have other
        names now."""
        touched: dict[str, list[tuple[str, Said]]] = {}
        dropped = set()
        for path in changed:
            before, now = self._files.get(path, _NOTHING).objects, files.get(path, _NOTHING).objects
            kept = {*map(id, before)}.intersection(map(id, now))
            for said in before:
                if id(said) not in kept:
                    touched.setdefault(said.key, [])
                    dropped.add(id(said))
            for said in now:
                if id(said) not in kept:
                    touched.setdefault(said.key, []).append((path, said))
        self._stale = set(changed)
        sections = set()
        for key, new in touched.items():
            old = self._sayers.pop(key, [])
            self._stale.update(path for path, _ in old[:1])         # it may not be the first any more
            sayers = [each for each in old if id(each[1]) not in dropped] + new
            if sayers:
                self._sayers[key] = sorted(sayers, key=_path_of) if len(sayers) > 1 else sayers
            if bool(old) != bool(sayers):
                sections.add(key.partition("/")[0])
        return set(touched), sections

    def _concerned(self, touched: Iterable[str]) -> dict[str, Named]:
        """The names that may choose otherwise now, and the services that those refer to; all begin anew."""
        keys = set(touched)
        ways = list(keys)
        while ways:
            for key in self._refers.get(ways.pop(), ()):
                if key not in keys:
                    keys.add(key)
                    ways.append(key)
        found: dict[str, Named] = {}
        ways = [key for key in keys if key in self._sayers]
        while ways:
            key = ways.pop()
            if key not in found:
                one = found[key] = name_of(key, [said for _, said in self._sayers[key]])
                if key.startswith("services/"):
                    ways += [target for target in one.references()
                             if target.startswith("services/") and target in self._sayers]
        return found

    def _hint(self, sections: Collection[str]) -> set[str]:
        """Renews the hints, for the first of the unknown names; answers the keys that are to be told of another one.

        `sections` are those where names came or went.  Comparing with all names is dear: so there are few hints where
        there are many names.
        """
        before, self._hints = self._hints, {}
        for section in {key.partition("/")[0] for key in self._unknown}:
            known = sorted(key for key in self._sayers if key.startswith(f"{section}/"))
            asked = sorted(key for key in self._unknown if key.startswith(f"{section}/"))
            for key in asked[:max(1, WORDS_COMPARED // max(1, len(known)))]:
                is_same = key in before and section not in sections
                self._hints[key] = before[key] if is_same else nearest(key, known)
        others = [key for key in {*before, *self._hints} if before.get(key, "") != self._hints.get(key, "")]
        return {key for target in others for key in self._unknown.get(target, ())}


def _path_of(sayer: tuple[str, Said]) -> str:
    return sayer[0]


def _unknown(one: Named) -> set[str]:
    return {failure.key for failure in one.failures.values() if failure.is_unknown}


def _discard(index: dict[str, set[str]], target: str, key: str) -> None:
    index[target].discard(key)
    if not index[target]:
        del index[target]
