"""From what all files say to what serves: names, references, and which version of each object.

Owns the choice.  An object has versions in this order: what the first file (by path) says now, what served from there
last, then the same of the next file that says the name.  The first version whose references resolve serves.  Choosing
only ever moves down that list, for all objects of a round at once, so the outcome does not depend on any order but that
of the paths.  What asks for something that is not built ends its list: an older version would serve without the
protection that was asked for.  Floor 2.
"""
from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from mesh.errors import Place, Problem, did_you_mean
from mesh.model import Router, Service, Weighted
from mesh.providers.file import Model, Said

ENABLED, WARNING, DISABLED = "enabled", "warning", "disabled"
SECTIONS = ("transports", "middlewares", "services", "routers")        # each refers to those before it
_ONE = {"services": "service", "middlewares": "middleware", "transports": "serversTransport"}


@dataclass(slots=True)
class Failure:
    """Why a version does not serve: the reference that does not resolve."""

    key: str                    # what it refers to, "section/name"
    message: str
    hint: str = ""
    code: str = "reference"
    ends: bool = False          # no older version takes its place
    is_unknown: bool = False    # nothing goes by that name: the nearest name is a hint, told by whoever knows them all


@dataclass(slots=True)
class Named:
    """Everything that goes by one name, and the version that is chosen."""

    key: str
    said: list[Said] = field(default_factory=list)
    versions: list[tuple[Said, Model]] = field(default_factory=list)
    index: int = 0
    failures: dict[int, Failure] = field(default_factory=dict)

    @property
    def chosen(self) -> Model | None:
        return self.versions[self.index][1] if self.index < len(self.versions) else None

    @property
    def has_older(self) -> bool:
        return self.index + 1 < len(self.versions)

    def fail(self, failure: Failure) -> None:
        self.failures[self.index] = failure
        self.index = len(self.versions) if failure.ends else self.index + 1

    def references(self) -> set[str]:
        """The keys that any of its versions refers to."""
        return {key for _, model in self.versions for key in _references(model)}


def name_of(key: str, objects: Iterable[Said]) -> Named:
    """All versions of what goes by one key; `objects` come in the order of their files' paths."""
    one = Named(key)
    is_closed = False
    for said in objects:
        one.said.append(said)
        if is_closed or said.section not in SECTIONS:
            continue
        if said.refused:
            is_closed = True
            continue
        if said.now is not None:
            one.versions.append((said, said.now))
        if said.good is not None and not _same(said.good, said.now):
            one.versions.append((said, said.good))
    return one


def _references(model: Model) -> list[str]:
    if isinstance(model, Router):
        return [f"services/{model.service}", *(f"middlewares/{name}" for name in model.middlewares)]
    if isinstance(model, Service):
        if isinstance(model.how, Weighted):
            return [f"services/{child}" for child, _ in model.how.children]
        if model.how.transport:
            return [f"transports/{model.how.transport}"]
    return []


class Resolver:
    """Chooses a version for every name of `keys`; what those refer to beside themselves is chosen already."""

    def __init__(self, named: Mapping[str, Named], entry_points: frozenset[str]) -> None:
        self.named = named
        self.entry_points = entry_points

    def resolve(self, keys: Collection[str]) -> None:
        services = [self.named[key] for key in keys if key.startswith("services/")]
        while self.service_round(services):
            pass
        for key in keys:
            if key.startswith("routers/"):
                one = self.named[key]
                while isinstance(one.chosen, Router) and (failure := self.router_fails(one.chosen)):
                    one.fail(failure)

    def service_round(self, services: list[Named]) -> bool:
        """Every service whose chosen version cannot stand moves on; False when all stand."""
        failing: list[tuple[Named, Failure]] = []
        shared: dict[str, list[str]] = {}
        for one in services:
            if not isinstance(one.chosen, Service):
                continue
            references = _references(one.chosen)
            failure = next(filter(None, map(self.missing, references)), None)
            if isinstance(one.chosen.how, Weighted):
                shared[one.key] = references
            if failure:
                failing.append((one, failure))
        for circle in _circles(shared):
            words = " -> ".join(_word(key) for key in (*circle, circle[0]))
            members = list(zip(circle, (*circle[1:], circle[0])))
            # Whoever has an older version closed the circle by an edit; the others are innocent and stay.
            edited = [each for each in members if self.named[each[0]].has_older]
            for key, after in edited or members:
                failing.append((self.named[key], Failure(after, f"weighted services in a circle: {words}")))
        done = set()
        for one, failure in failing:
            if one.key not in done:
                one.fail(failure)
                done.add(one.key)
        return bool(failing)

    def router_fails(self, router: Router) -> Failure | None:
        failure = next(filter(None, map(self.missing, _references(router))), None)
        if failure is None and router.entry_points and not self.entry_points.intersection(router.entry_points):
            said = router.entry_points[0]
            hint = did_you_mean(said, self.entry_points) or f"known: {', '.join(sorted(self.entry_points))}"
            failure = Failure(f"entrypoints/{said}", f'entrypoint "{said}" is not defined', hint)
        return failure

    def missing(self, key: str) -> Failure | None:
        """Why a reference does not resolve, or None when it does."""
        one = self.named.get(key)
        if one is not None and one.chosen is not None:
            return None
        section, _, name = key.partition("/")
        what = f'{_ONE[section]} "{_word(key)}"'
        if one is not None and any(said.refused for said in one.said):
            return Failure(key, f"{what} asks for what is not supported yet, so this does not serve either",
                           code="unsupported", ends=section == "middlewares")
        if one is not None:
            return Failure(key, f"{what} has errors of its own and does not serve")
        if name.endswith("@internal"):
            return Failure(key, f"{what} is not supported yet; the admin address serves it", code="unsupported")
        return Failure(key, f"{what} is not defined", is_unknown=True)


def nearest(key: str, known: Iterable[str]) -> str:
    """The hint for a reference to what does not exist; `known` are the keys of its section."""
    hint = did_you_mean(_word(key), map(_word, known))
    if not hint and key.startswith("services/") and key.endswith("@mesh"):
        name = key.partition("/")[2].removesuffix("@mesh")
        hint = f"instances that register themselves are named by files once mesh.services.{name} is said"
    return hint


def _same(one: Model, other: Model | None) -> bool:
    """Whether two versions say the same; an edit above them moves their place alone."""
    return one is other or (other is not None and replace(one, place=other.place) == other)


def _word(key: str) -> str:
    """A name as a file would say it."""
    return key.partition("/")[2].removesuffix("@file")


def _circles(edges: Mapping[str, list[str]]) -> list[list[str]]:
    """The circles among weighted services, each once, beginning with its first name in order."""
    edges = {key: [child for child in children if child in edges] for key, children in edges.items()}
    left = {key for key, children in edges.items() if children}
    while bare := {key for key in left if not any(child in left for child in edges[key])}:
        left -= bare
    circles: list[list[str]] = []
    taken: set[str] = set()
    for start in sorted(left):
        path: list[str] = []
        key = start
        while key not in path and key not in taken:
            path.append(key)
            key = next(child for child in edges[key] if child in left)
        if key in path:
            circle = path[path.index(key):]
            first = circle.index(min(circle))
            circles.append(circle[first:] + circle[:first])
        taken.update(path)
    return circles


def serving(one: Named, entry_points: Collection[str]) -> Model | None:
    """The chosen version; entrypoints that do not exist are left out of a router that has others."""
    model = one.chosen
    if isinstance(model, Router) and not all(name in entry_points for name in model.entry_points):
        return replace(model, entry_points=tuple(name for name in model.entry_points if name in entry_points))
    return model


def tell(one: Named, entry_points: Collection[str], hints: Mapping[str, str]) -> Iterator[Problem]:
    """Everything that there is to say about one name, each with its place; `hints` are `nearest` by key."""
    chosen = one.versions[one.index] if one.index < len(one.versions) else None
    for order, said in enumerate(one.said):
        problems = [] if said.held else list(said.problems)       # their places are those of an older text
        if order > 0 and said.section in SECTIONS:
            first = one.said[0].place
            still = chosen is not None and chosen[0] is said
            problems.append(Problem(
                said.place, said.path, f"is defined at {first} too; " + (
                    "this one serves, because that one cannot" if still else "that one is kept, this one is skipped"),
                "warning", "duplicate"))
        for index, failure in one.failures.items():
            whose, model = one.versions[index]
            own = said.section == "routers" and failure.key == f"services/{said.name}" and said.name.endswith("@mesh")
            if whose is said and model is said.now and not own:     # the short form's service has told it
                problems.append(Problem(said.places.get(failure.key, said.place), said.path, failure.message,
                                        code=failure.code, hint=failure.hint or hints.get(failure.key, "")))
        if chosen is not None and chosen[0] is said and isinstance(chosen[1], Router):
            problems += _lost_entry_points(said, chosen[1], entry_points)
        older = chosen is not None and chosen[0] is said and chosen[1] is not said.now
        for problem in problems:
            yield _last_good(problem) if older and problem.severity == "error" else problem


def _lost_entry_points(said: Said, router: Router, entry_points: Collection[str]) -> Iterator[Problem]:
    for name in router.entry_points:
        if name not in entry_points:
            place: Place = said.places.get(f"entrypoints/{name}", said.place)
            yield Problem(place, said.path, f'entrypoint "{name}" is not defined; the others serve', "warning",
                          "reference", did_you_mean(name, entry_points))


def _last_good(problem: Problem) -> Problem:
    return Problem(problem.place, problem.object, f"{problem.message}; its last good version serves", problem.severity,
                   problem.code, problem.hint)


def status_of(one: Named, problems: Collection[Problem]) -> str:
    if one.chosen is None:
        return DISABLED
    held = one.versions[one.index][0].held
    return WARNING if problems or held else ENABLED
