"""However a file is saved, no route is lost in between, and what it says is soon in effect.

The file holds `stay.shop` last of forty services, in all its versions: half of the text is valid YAML without it.
`moves.shop` leads to another endpoint in each version, so that a version can be seen in effect from outside.
"""
from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from running import Endpoint, Mesh, ask, until
from traffic import Traffic, serves, services

STAY, MOVES = "stay.shop.mesh", "moves.shop.mesh"
SERVICES = 40


def text(stays: Endpoint, moves: Endpoint) -> str:
    fillers = ((f"filler-{number}.shop", stays.url) for number in range(SERVICES - 2))
    return services([("moves.shop", moves.url), *fillers, ("stay.shop", stays.url)])


class Shop:
    """A running service with one file, and three endpoints: one stays, between the other two a service moves."""

    def __init__(self, mesh: Mesh, stays: Endpoint, two: Endpoint, three: Endpoint) -> None:
        self.mesh, self.stays, self.two, self.three = mesh, stays, two, three
        self.now = two
        self.file = mesh.conf / "shop.yml"

    @property
    def other(self) -> Endpoint:
        return self.three if self.now is self.two else self.two

    def next_text(self) -> str:
        self.now = self.other
        return text(self.stays, self.now)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with ExitStack() as stack:
        stays, two, three = (stack.enter_context(Endpoint(name)) for name in ("stays", "two", "three"))
        mesh = stack.enter_context(Mesh(tmp_path_factory.mktemp("shop"), {"shop.yml": text(stays, two)}))
        yield Shop(mesh, stays, two, three)


def by_rename(file: Path, said: str) -> None:
    fresh = file.with_name(f".{file.name}.swp")
    fresh.write_text(said)
    fresh.rename(file)


def in_place(file: Path, said: str) -> None:
    file.write_text(said)


def with_a_backup_first(file: Path, said: str) -> None:
    """As vim does with backupcopy=no, emacs, and others: for a moment there is no file."""
    backup = file.with_name(f"{file.name}~")
    file.rename(backup)
    file.write_text(said)
    backup.unlink()


def with_vim(file: Path, said: str, backup: str = "no") -> None:
    typed = file.with_name("typed")
    typed.write_text(said)
    commands = (f"set backupcopy={backup}", "%d", f"0r {typed}", "silent! /^$/d", "wq")
    words = [word for command in commands for word in ("-c", command)]
    subprocess.run(["vim", "-u", "NONE", "-n", "-es", *words, str(file)], check=True, stdin=subprocess.DEVNULL)
    typed.unlink()


def with_vim_in_place(file: Path, said: str) -> None:
    with_vim(file, said, "yes")


def with_sed(file: Path, said: str) -> None:
    """Every line that differs is replaced by `sed -i`, a process and a rename for each."""
    for number, (old, new) in enumerate(zip(file.read_text().splitlines(), said.splitlines(), strict=True), 1):
        if old != new:
            subprocess.run(["sed", "-i", f"{number}s|.*|{new}|", str(file)], check=True)


def with_ed(file: Path, said: str) -> None:
    subprocess.run(["ed", "-s", str(file)], input=f"1,$d\n0a\n{said}.\nw\nq\n".encode(), check=True)


def as_rsync_does(file: Path, said: str) -> None:
    fresh = file.with_name(f".{file.name}.Xy7abc")
    fresh.touch()
    with fresh.open("w") as out:
        for start in range(0, len(said), 500):
            out.write(said[start:start + 500])
            out.flush()
    os.chmod(fresh, 0o644)
    os.utime(fresh, (1.0e9, 1.0e9))
    fresh.rename(file)


def with_the_same_size_and_time(file: Path, said: str) -> None:
    """As tools that keep times do: only the inode tells."""
    before = file.stat()
    by_rename(file, said)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def by_delete_and_copy(file: Path, said: str) -> None:
    file.unlink()
    file.write_text(said)


SAVES = (by_rename, in_place, with_a_backup_first, with_vim, with_vim_in_place, with_sed, with_ed, as_rsync_does,
         with_the_same_size_and_time, by_delete_and_copy)
NEEDS = {with_vim: "vim", with_vim_in_place: "vim", with_ed: "ed", with_sed: "sed"}


@pytest.mark.parametrize("save", SAVES, ids=lambda save: save.__name__)
def test_a_save_loses_no_route_and_is_in_effect_soon(shop: Shop, save: Callable[[Path, str], None]) -> None:
    if save in NEEDS and shutil.which(NEEDS[save]) is None:
        pytest.skip(f"{NEEDS[save]} is not installed")
    with Traffic(shop.mesh.port, STAY) as traffic:
        for _ in range(2):
            save(shop.file, said := shop.next_text())
            assert shop.file.read_text() == said
            serves(shop.mesh, MOVES, shop.now)
    assert traffic.wrong == []


def test_a_file_that_is_written_in_parts_is_read_when_it_is_closed(shop: Shop) -> None:
    # Saved in place in three parts: a truncated file is often valid YAML with fewer routes.
    said = shop.next_text()
    generation = shop.mesh.generation
    with Traffic(shop.mesh.port, STAY) as traffic:
        with shop.file.open("w") as out:
            for part in (said[:len(said) // 3], said[len(said) // 3:len(said) // 2], said[len(said) // 2:]):
                out.write(part)
                out.flush()
                others = (f"note-{shop.mesh.generation}.yml", services([("note.shop", shop.stays.url)]))
                shop.mesh.edit(*others)         # so that the agent has certainly looked, and published, meanwhile
                (shop.mesh.conf / others[0]).unlink()
                until(lambda: "note.shop@mesh" not in str(ask(shop.mesh.admin, "/api/rawdata").json),
                      "the note is gone again")
            assert shop.mesh.ask("/bytes?size=1", MOVES).headers["X-By"] == shop.other.name
        serves(shop.mesh, MOVES, shop.now)
    assert traffic.wrong == []
    assert shop.mesh.generation > generation


def test_a_file_that_is_closed_between_its_parts_keeps_its_routes_where_the_cut_shows(shop: Shop) -> None:
    # Nobody can tell a file that was closed from a whole one; but a cut behind a key, or in a word, is an error of it.
    said = shop.next_text()
    cuts = [said.index("endpoints:", len(said) // 2) + len("endpoints:"), said.rindex("stay.shop") + 4]
    with Traffic(shop.mesh.port, STAY) as traffic:
        for cut in cuts:
            shop.file.write_text(said[:cut])
            until(lambda: not shop.mesh.status()["good"], "the cut is told")
            traffic.goes_on()
            with shop.file.open("a") as out:
                out.write(said[cut:])
            serves(shop.mesh, MOVES, shop.now)
            until(lambda: shop.mesh.status()["good"], "all is good again")
    assert traffic.wrong == []


def test_four_editors_in_the_same_file_lose_no_route(shop: Shop) -> None:
    versions = [text(shop.stays, endpoint) for endpoint in (shop.two, shop.three)]
    saves = (by_rename, in_place, with_a_backup_first, as_rsync_in_its_own_name)

    def edit(number: int) -> None:
        for turn in range(25):
            saves[number](shop.file, versions[(turn + number) % 2])

    with Traffic(shop.mesh.port, STAY) as traffic:
        editors = [threading.Thread(target=edit, args=(number,)) for number in range(4)]
        for editor in editors:
            editor.start()
        for editor in editors:
            editor.join()
        by_rename(shop.file, shop.next_text())
        serves(shop.mesh, MOVES, shop.now)
    assert traffic.wrong == []


def as_rsync_in_its_own_name(file: Path, said: str) -> None:
    fresh = file.with_name(f".{file.name}.other")
    fresh.write_text(said)
    fresh.rename(file)
