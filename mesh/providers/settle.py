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
from mesh.model import Dynamic, Middleware, Router, Service, Transport, Weighted
from mesh.providers.file import Model, Said

ENABLED, WARNING, DISABLED = "enabled", "warning", "disabled"
_SECTIONS = ("transports", "middlewares", "services", "routers")        # each refers to those before it
_ONE = {"services": "service", "middlewares": "middleware", "transports": "serversTransport"}


@dataclass(slots=True)
class Failure:
    """Why a version does not serve: the reference that does not resolve."""

    key: str                    # what it refers to, "section/name"
    message: str
    hint: str = ""
    code: str = "reference"
    ends: bool = False          # no older version takes its place


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


def settle_objects(objects: Iterable[Said], entry_points: Collection[str]) -> dict[str, Named]:
    """Choose a version for every name; `objects` come in the order of their files' paths."""
    named: dict[str, Named] = {}
    closed: set[str] = set()
    for said in objects:
        one = named.setdefault(said.key, Named(said.key))
        one.said.append(said)
        if said.key in closed or said.section not in _SECTIONS:
            continue
        if said.refused:
            closed.add(said.key)
            continue
        if said.now is not None:
            one.versions.append((said, said.now))
        if said.good is not None and not _same(said.good, said.now):
            one.versions.append((said, said.good))
    _Resolver(named, frozenset(entry_points)).resolve()
    return named


class _Resolver:
    def __init__(self, named: dict[str, Named], entry_points: frozenset[str]) -> None:
        self.named = named
        self.entry_points = entry_points

    def resolve(self) -> None:
        services = [one for key, one in self.named.items() if key.startswith("services/")]
        while self.service_round(services):
            pass
        for key, one in self.named.items():
            if key.startswith("routers/"):
                while isinstance(one.chosen, Router) and (failure := self.router_fails(one.chosen)):
                    one.fail(failure)

    def service_round(self, services: list[Named]) -> bool:
        """Every service whose chosen version cannot stand moves on; False when all stand."""
        failing: list[tuple[Named, Failure]] = []
        shared: dict[str, list[str]] = {}
        for one in services:
            if not isinstance(one.chosen, Service):
                continue
            failure = None
            if isinstance(one.chosen.how, Weighted):
                children = [f"services/{child}" for child, _ in one.chosen.how.children]
                failure = next(filter(None, map(self.missing, children)), None)
                shared[one.key] = children
            elif one.chosen.how.transport:
                failure = self.missing(f"transports/{one.chosen.how.transport}")
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
        failure = self.missing(f"services/{router.service}")
        for middleware in router.middlewares:
            failure = failure or self.missing(f"middlewares/{middleware}")
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
        known = [_word(other) for other in self.named if other.startswith(f"{section}/")]
        hint = did_you_mean(_word(key), known)
        if not hint and name.endswith("@mesh"):
            hint = f"a file names instances that register themselves once mesh.services.{name[:-5]} is said, {{}} at least"
        return Failure(key, f"{what} is not defined", hint)


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


def dynamic_of(named: Mapping[str, Named], entry_points: Collection[str]) -> Dynamic:
    """The chosen versions as the model; entrypoints that do not exist are left out of routers that have others."""
    dynamic: dict[str, dict[str, Model]] = {section: {} for section in _SECTIONS}
    for key, one in named.items():
        model = one.chosen
        if model is None:
            continue
        if isinstance(model, Router) and not all(name in entry_points for name in model.entry_points):
            here = tuple(name for name in model.entry_points if name in entry_points)
            model = replace(model, entry_points=here)
        dynamic[key.partition("/")[0]][model.name] = model
    return Dynamic(
        routers={k: m for k, m in dynamic["routers"].items() if isinstance(m, Router)},
        services={k: m for k, m in dynamic["services"].items() if isinstance(m, Service)},
        middlewares={k: m for k, m in dynamic["middlewares"].items() if isinstance(m, Middleware)},
        transports={k: m for k, m in dynamic["transports"].items() if isinstance(m, Transport)})


def tell(one: Named, entry_points: Collection[str]) -> Iterator[Problem]:
    """Everything that there is to say about one name, each with its place."""
    chosen = one.versions[one.index] if one.index < len(one.versions) else None
    for order, said in enumerate(one.said):
        problems = [] if said.held else list(said.problems)       # their places are those of an older text
        if order > 0 and said.section in _SECTIONS:
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
                                        code=failure.code, hint=failure.hint))
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
