"""The laws of the house, read off the sources: who may import whom, and what a module may not do.

`broken(root)` answers one sentence per violation, beginning with file:line.  Nothing is imported or run: .py is read by
ast, Cython's .pyx and .pxd by their import lines, so that the laws hold on a tree that does not even build.
"""
from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Every room with its floor and its step on it: a room imports what is lower, or its own neighbours one way.  On floor 3
# the single modules of workers/ come first (keeper uses logs and memory), above them proxy and agent, side by side.  On
# floor 4 stand the master and the paper that all commands print on, above them the demo, the commands, and cli.
FLOORS: dict[str, tuple[int, int]] = {
    "mesh.names": (0, 0), "mesh.errors": (0, 0), "mesh.model": (0, 0), "mesh.model_json": (0, 1),
    "mesh.http1": (1, 0), "mesh.rules": (1, 0), "mesh.shared": (1, 0),
    "mesh.health": (1, 1), "mesh.balance": (1, 2), "mesh.limits": (1, 1), "mesh.middlewares": (1, 0),
    "mesh.providers": (2, 0), "mesh.service": (2, 0), "mesh.plan": (2, 0), "mesh.table": (2, 0), "mesh.report": (2, 0),
    "mesh.store": (2, 0),
    "workers.machine": (3, 0), "workers.listeners": (3, 0), "workers.logs": (3, 0), "workers.memory": (3, 0),
    "workers.notify": (3, 0), "workers.stores": (3, 0), "workers.tls": (3, 0), "workers.about": (3, 0),
    "workers.report": (3, 0), "workers.keeper": (3, 0), "workers.registration": (3, 0), "workers.wrapped": (3, 0),
    "workers.proxy": (3, 1), "workers.agent": (3, 1),
    "workers.master": (4, 0), "workers.commands.paper": (4, 0), "workers.demo_service": (4, 0),
    "workers.demo_mesh": (4, 0), "workers.demo_tour": (4, 1), "workers.demo": (4, 2),
    "workers.options": (4, 0), "workers.commands": (4, 3), "workers.cli": (4, 4),
}

# Law 2: what the pure half of the house may not have, and what of other people's it may.
IMPURE = {"socket", "ssl", "select", "selectors", "threading", "_thread", "time", "random", "secrets", "subprocess",
          "multiprocessing", "concurrent", "asyncio", "signal", "fcntl", "mmap", "ctypes", "socketserver", "sched",
          "uuid", "tempfile", "pathlib", "os", "shutil", "posix"}
IMPURE_C = {"posix", "libc.time", "libc.signal"}
OTHERS = {"orjson": ("mesh",), "yaml": ("mesh.providers",), "re2": ("mesh.rules",)}

# Law 4: the master's own modules, and what they must never start.
MASTERS = {"workers.master", "workers.keeper", "workers.listeners", "workers.logs", "workers.memory", "workers.notify",
           "workers.machine"}
NOT_THE_MASTERS = {"gevent", "redis", "threading", "_thread", "concurrent", "asyncio", "multiprocessing", "watchdog"}

VAGUE = {"util", "utils", "helper", "helpers", "manager", "managers", "common", "misc", "base"}

MAX_LINES = 450
LONG: dict[str, str] = {}       # file: why it is longer, and may be


@dataclass(frozen=True)
class Import:
    """`target` is the module that is imported; `inside`: not at the top of the file."""

    source: str
    target: str
    file: str
    line: int
    inside: bool
    star: bool


def broken(root: Path, floors: dict[str, tuple[int, int]] = FLOORS) -> list[str]:
    """Every violation in mesh/ and workers/ below `root`, in the order of the files."""
    files = sorted(path for top in ("mesh", "workers") for ending in ("py", "pyx", "pxd", "pxi")
                   for path in (root / top).rglob(f"*.{ending}"))
    modules = {module_of(path.relative_to(root)) for path in files}
    found: list[str] = []
    imports: list[Import] = []
    for path in files:
        name = str(path.relative_to(root))
        text = path.read_text(encoding="utf-8")
        here = module_of(path.relative_to(root))
        found += _of_the_file(name, here, text, modules, floors)
        try:
            these = list(_imports(name, here, text, modules))
        except SyntaxError as error:
            found.append(f"{name}:{error.lineno}: it cannot be read: {error.msg}")
            continue
        for each in these:
            found += _of_the_import(each, modules, floors)
        imports += these
        if path.suffix == ".py":
            found += _of_the_code(name, here, ast.parse(text))
        else:
            found += _of_cython(name, text)
    return found + list(_circles(imports, modules))


def module_of(path: Path) -> str:
    """mesh/shared/cells.pyx is mesh.shared.cells, and mesh/shared/__init__.py is mesh.shared."""
    parts = list(path.with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def floor_of(module: str, floors: dict[str, tuple[int, int]] = FLOORS) -> tuple[int, int] | None:
    """The floor and step of a module's room; the two top packages themselves, which are empty, are below everything."""
    if module in ("mesh", "workers"):
        return -1, 0
    parts = module.split(".")
    return next((floors[room] for n in range(len(parts), 0, -1) if (room := ".".join(parts[:n])) in floors), None)


def _is_below(module: str, top: str) -> bool:
    return module == top or module.startswith(f"{top}.")


def _of_the_file(name: str, module: str, text: str, modules: set[str],
                 floors: dict[str, tuple[int, int]]) -> Iterator[str]:
    if floor_of(module, floors) is None:
        yield f"{name}:1: {module} has no floor: give it one in tests/laws.py"
    if any(part in VAGUE for part in module.split(".")):
        yield f"{name}:1: a module is called by what it owns, not utils, helpers, manager and the like"
    if name.endswith(".pxi"):
        yield f"{name}:1: text is not included, modules are imported (.pxi files hide from these laws)"
    lines = text.count("\n")
    if lines > MAX_LINES and name not in LONG:
        yield (f"{name}:{MAX_LINES + 1}: {lines} lines: a file over {MAX_LINES} wants splitting, or a reason in"
               " tests/laws.py")
    if lines <= MAX_LINES and name in LONG:
        yield f"{name}:1: {lines} lines: it is not long any more, so it needs no reason in tests/laws.py"
    if any(not c.isascii() for c in text):
        line = next(n for n, each in enumerate(text.splitlines(), 1) if not each.isascii())
        yield f"{name}:{line}: code is written in ASCII"
    stripped = text.lstrip()
    if stripped and not stripped.startswith(('"""', "# cython", "# distutils")):
        yield f"{name}:1: a module opens by saying what it owns (its docstring comes first)"
    elif stripped and name.endswith((".py", ".pyx")) and (floor := floor_of(module, floors)) is not None:
        said = re.search(r"[Ff]loor\s+(\d)", stripped.split('"""')[1] if '"""' in stripped else "")
        if said is None or int(said[1]) != floor[0]:
            yield f"{name}:1: its docstring names its floor, which is {floor[0]}"


def _of_the_import(each: Import, modules: set[str], floors: dict[str, tuple[int, int]]) -> Iterator[str]:
    at, source, target = f"{each.file}:{each.line}", each.source, each.target
    here = floor_of(source, floors)
    if each.star:
        yield f"{at}: names are imported one by one, never by *"
    if each.inside and here is not None and here[0] < 4:
        yield f"{at}: imports stand at the top of the file (inside a function only on floor 4)"
    if target.split(".")[0] in ("mesh", "workers"):
        there = floor_of(target, floors)
        ends = (source, target)
        sides = [side for side in ("workers.proxy", "workers.agent") if any(_is_below(end, side) for end in ends)]
        if len(sides) == 2:
            yield f"{at}: workers/proxy and workers/agent never import each other, they meet in shared memory"
        elif here is None or there is None:
            return
        elif there > here:
            yield f"{at}: {source} (floor {_spell(here)}) imports upwards: {target} is on floor {_spell(there)}"
        elif there == here and _room(source, floors) != _room(target, floors) and _parent(source, floors) != _parent(
                target, floors):
            yield f"{at}: {source} imports {target}, another room on the same floor ({_spell(here)})"
        return
    top = target.split(".")[0]
    if _is_below(source, "mesh"):
        if (top in IMPURE and target not in ("os.path", "posixpath")) or any(_is_below(target, c) for c in IMPURE_C):
            yield f"{at}: mesh/ is pure: no {target} (time, randomness and bytes come in as arguments)"
        elif (top not in sys.stdlib_module_names and top not in ("libc", "cpython", "cython")
              and not any(_is_below(source, room) for room in OTHERS.get(top, ()))):
            yield f"{at}: mesh/ is pure: {top} is not among what it may use ({', '.join(sorted(OTHERS))})"
    if source in MASTERS and top in NOT_THE_MASTERS:
        yield f"{at}: the master starts no thread, no hub and no client: no {top} in {source}"


def _spell(floor: tuple[int, int]) -> str:
    return f"{floor[0]}" if not floor[1] else f"{floor[0]}, step {floor[1]}"


def _room(module: str, floors: dict[str, tuple[int, int]]) -> str:
    parts = module.split(".")
    return next((room for n in range(len(parts), 0, -1) if (room := ".".join(parts[:n])) in floors), module)


def _parent(module: str, floors: dict[str, tuple[int, int]]) -> str:
    """The package of single modules that are neighbours; a package with a floor of its own is nobody's neighbour."""
    room = _room(module, floors)
    return room.rpartition(".")[0] if room == module else room


def _circles(imports: list[Import], modules: set[str]) -> Iterator[str]:
    """Each circle once, told at one of its imports."""
    graph: dict[str, dict[str, Import]] = {}
    for each in imports:
        if each.target in modules and each.source != each.target:
            graph.setdefault(each.source, {}).setdefault(each.target, each)
    done: set[str] = set()
    for start in sorted(graph):
        trail: list[str] = []

        def walk(module: str, trail: list[str] = trail) -> Iterator[str]:
            if module in trail:
                circle = [*trail[trail.index(module):], module]
                last = graph[circle[-2]][module]
                yield f"{last.file}:{last.line}: imports go in a circle: {' -> '.join(circle)}"
                return
            if module in done:
                return
            trail.append(module)
            for target in sorted(graph.get(module, ())):
                yield from walk(target)
            trail.pop()
            done.add(module)

        yield from walk(start)


# Reading imports

def _imports(name: str, here: str, text: str, modules: set[str]) -> Iterator[Import]:
    package = here if name.split("/")[-1].startswith("__init__.") else here.rpartition(".")[0]
    for line, inside, module, level, names in _python(text) if name.endswith(".py") else _cython(text):
        if level:
            above = package.split(".")
            module = ".".join([*above[:len(above) - level + 1], *([module] if module else [])])
        if not names:
            yield Import(here, module, name, line, inside, False)
        for each in names:
            # `from mesh.shared import cells` imports a module, `from mesh.shared.cells import Cells` what is in one
            target = f"{module}.{each}" if f"{module}.{each}" in modules else module
            yield Import(here, target, name, line, inside, each == "*")


Found = tuple[int, bool, str, int, list[str]]       # line, inside, module, dots before it, names


def _python(text: str) -> Iterator[Found]:
    tree = ast.parse(text)
    inside = {id(each) for node in ast.walk(tree)
              if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda))
              for each in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for each in node.names:
                yield node.lineno, id(node) in inside, each.name, 0, []
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, id(node) in inside, node.module or "", node.level, [each.name for each in node.names]


_STRING_OR_COMMENT = re.compile(
    r"\"\"\".*?\"\"\"|'''.*?'''|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'|#[^\n]*", re.DOTALL)
_CYTHON_IMPORT = re.compile(
    r"^([ \t]*)(?:from[ \t]+(\.*)([\w.]*)[ \t]+c?import[ \t]*(\([^)]*\)|[^\n;]*)|c?import[ \t]+([^\n;]*))",
    re.MULTILINE)


def plain(text: str) -> str:
    """Cython text without strings and comments, every line in its place."""
    blank = _STRING_OR_COMMENT.sub(lambda m: "0" + "\n" * m[0].count("\n") if m[0][0] != "#" else "", text)
    return re.sub(r"\\\n", "  ", blank) if "\\\n" in blank else blank


def _cython(text: str) -> Iterator[Found]:
    code = plain(text)
    for match in _CYTHON_IMPORT.finditer(code):
        line = code.count("\n", 0, match.start()) + 1
        indent, dots, module, names, modules = match.groups()
        if modules is not None:
            for each in modules.split(","):
                if each.strip():
                    yield line, bool(indent), each.split()[0], 0, []
        else:
            said = [each.split()[0] for each in names.strip("()").split(",") if each.strip()]
            yield line, bool(indent), module, len(dots), said


# Reading code

def _of_the_code(name: str, module: str, tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and _is_broad(node.type) and all(map(_is_nothing, node.body)):
            yield f"{name}:{node.lineno}: an error is answered, or suppressed by its name; none passes unseen"
        if (_is_below(module, "mesh") and isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
                and node.func.id in ("open", "print", "input", "exec", "eval")):
            yield f"{name}:{node.lineno}: mesh/ is pure: no {node.func.id}()"


def _is_broad(said: ast.expr | None) -> bool:
    return said is None or (isinstance(said, ast.Name) and said.id in ("Exception", "BaseException"))


def _is_nothing(node: ast.stmt) -> bool:
    return isinstance(node, (ast.Pass, ast.Continue)) or (isinstance(node, ast.Expr) and isinstance(
        node.value, ast.Constant))


def _of_cython(name: str, text: str) -> Iterator[str]:
    code = plain(text)
    for match in re.finditer(r"^[ \t]*except([ \t]+(Base)?Exception)?[ \t]*:[ \t\n]*(pass|continue|\.\.\.)[ \t]*$",
                             code, re.MULTILINE):
        yield (f"{name}:{code.count(chr(10), 0, match.start()) + 1}: an error is answered, or suppressed by its name;"
               " none passes unseen")
