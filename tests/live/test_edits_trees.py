"""Whole trees of files change at once, as configuration management changes them: no route is lost in between.

Every tree holds the same `stay.shop`, in a file of its own name or of another one; `moves.shop` tells the trees apart.
"""
from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from running import Endpoint, Mesh, ask, until
from traffic import Traffic, serves, services

STAY, MOVES = "stay.shop.mesh", "moves.shop.mesh"


class Trees:
    """Three endpoints, and the files of a tree in which `moves.shop` leads to the one that is named."""

    def __init__(self, stays: Endpoint, two: Endpoint, three: Endpoint) -> None:
        self.stays, self.two, self.three = stays, two, three

    def files(self, moves: Endpoint) -> dict[str, str]:
        fillers = {f"filler-{number}": self.stays for number in range(8)}
        return {f"{name}.yml": services([(f"{name}.shop", endpoint.url)])
                for name, endpoint in {"moves": moves, "stay": self.stays, **fillers}.items()}

    def write(self, directory: Path, moves: Endpoint) -> Path:
        directory.mkdir(parents=True)
        for name, text in self.files(moves).items():
            (directory / name).write_text(text)
        return directory


@pytest.fixture(scope="module")
def trees() -> Iterator[Trees]:
    with Endpoint("stays") as stays, Endpoint("two") as two, Endpoint("three") as three:
        yield Trees(stays, two, three)


def link(path: Path, target: str) -> None:
    """Switches a symbolic link in one step, as `ln -sfn` with a rename does."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.symlink_to(target)
    fresh.rename(path)


def switched(mesh: Mesh, trees: Trees, switch: Callable[[Endpoint], object], times: int = 4) -> None:
    """Switches to and fro under load; each switch is in effect before the next."""
    with Traffic(mesh.port, STAY) as traffic:
        for turn in range(times):
            to = trees.two if turn % 2 else trees.three
            switch(to)
            serves(mesh, MOVES, to)
    assert traffic.wrong == []


def test_a_link_to_the_directory_is_switched_from_release_to_release(
        start: Callable[..., Mesh], trees: Trees, tmp_path: Path) -> None:
    trees.write(tmp_path / "releases" / "41", trees.two)
    link(tmp_path / "current", "releases/41")
    mesh = start({}, {"providers": {"file": {"directory": "current"}}})
    releases = iter(range(42, 60))

    def release(to: Endpoint) -> None:
        number = next(releases)
        trees.write(tmp_path / "releases" / str(number), to)
        link(tmp_path / "current", f"releases/{number}")

    switched(mesh, trees, release)


def test_a_former_release_is_removed_right_after_the_switch(
        start: Callable[..., Mesh], trees: Trees, tmp_path: Path) -> None:
    trees.write(tmp_path / "releases" / "41", trees.two)
    link(tmp_path / "current", "releases/41")
    mesh = start({}, {"providers": {"file": {"directory": "current"}}})
    releases = iter(range(42, 60))

    def release(to: Endpoint) -> None:
        former = (tmp_path / "current").resolve()
        number = next(releases)
        trees.write(tmp_path / "releases" / str(number), to)
        link(tmp_path / "current", f"releases/{number}")
        shutil.rmtree(former)

    switched(mesh, trees, release)


def test_a_mounted_volume_is_renewed_as_kubernetes_does_it(
        start: Callable[..., Mesh], trees: Trees, tmp_path: Path) -> None:
    # conf.d/stay.yml -> ..data/stay.yml, conf.d/..data -> ..2026_11_24_1: a renewal switches ..data alone, and removes
    # the directory that it led to.
    volume = tmp_path / "conf.d"
    trees.write(volume / "..2026_11_24_0", trees.two)
    link(volume / "..data", "..2026_11_24_0")
    for name in trees.files(trees.two):
        (volume / name).symlink_to(f"..data/{name}")
    mesh = start({})
    moments = iter(range(1, 20))

    def renew(to: Endpoint) -> None:
        former = (volume / "..data").resolve()
        moment = f"..2026_11_24_{next(moments)}"
        trees.write(volume / moment, to)
        fresh = volume / "..data_tmp"
        fresh.symlink_to(moment)
        fresh.rename(volume / "..data")
        shutil.rmtree(former)

    switched(mesh, trees, renew)


def test_the_directory_is_replaced_by_renames(start: Callable[..., Mesh], trees: Trees, tmp_path: Path) -> None:
    # Two renames, because one cannot replace a directory that has something in it: for a moment there is none.
    shutil.rmtree(tmp_path / "conf.d", ignore_errors=True)
    mesh = start(trees.files(trees.two))

    def replace(to: Endpoint) -> None:
        fresh = trees.write(tmp_path / "conf.d.new", to)
        mesh.conf.rename(tmp_path / "conf.d.old")
        fresh.rename(mesh.conf)
        shutil.rmtree(tmp_path / "conf.d.old")

    switched(mesh, trees, replace)


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_git_checks_out_one_branch_and_the_other(
        start: Callable[..., Mesh], trees: Trees, tmp_path: Path) -> None:
    # The branches have stay.shop in files of different names, so that a checkout deletes one and writes the other.
    place = tmp_path / "conf.d"
    place.mkdir()

    def git(*words: str) -> None:
        subprocess.run(["git", "-C", str(place), "-c", "user.name=t", "-c", "user.email=t@example.com", *words],
                       check=True, capture_output=True)

    git("init", "-q", "-b", "two")
    for branch, to in (("two", trees.two), ("three", trees.three)):
        if branch != "two":
            git("checkout", "-q", "-b", branch)
            (place / "stay.yml").rename(place / "kept.yml")
        for name, text in trees.files(to).items():
            if name != "stay.yml" or branch == "two":
                (place / name).write_text(text)
        git("add", "-A")
        git("commit", "-q", "-m", branch)
    git("checkout", "-q", "two")
    mesh = start({})
    switched(mesh, trees, lambda to: git("checkout", "-q", to.name), times=6)


def test_files_are_copied_over_the_old_ones_one_after_another(
        start: Callable[..., Mesh], trees: Trees, tmp_path: Path) -> None:
    mesh = start(trees.files(trees.two))
    sources = {to.name: trees.write(tmp_path / "from" / to.name, to) for to in (trees.two, trees.three)}
    switched(mesh, trees, lambda to: shutil.copytree(sources[to.name], mesh.conf, dirs_exist_ok=True))


def test_four_editors_work_in_four_files(start: Callable[..., Mesh], trees: Trees) -> None:
    names = [f"moves-{number}.shop" for number in range(4)]

    def text(number: int, to: Endpoint) -> str:
        return services([(names[number], to.url), (f"stay-{number}.shop", trees.stays.url)])

    mesh = start({f"editor-{number}.yml": text(number, trees.two) for number in range(4)})

    def edit(number: int) -> None:
        for turn in range(20):
            file = mesh.conf / f"editor-{number}.yml"
            said = text(number, trees.two if turn % 2 else trees.three)
            if number % 2:
                file.write_text(said)
            else:
                mesh.write(file.name, said)
        mesh.write(f"editor-{number}.yml", text(number, trees.three))

    with Traffic(mesh.port, *(f"stay-{number}.shop.mesh" for number in range(4))) as traffic:
        editors = [threading.Thread(target=edit, args=(number,)) for number in range(4)]
        for editor in editors:
            editor.start()
        for editor in editors:
            editor.join()
        for name in names:
            serves(mesh, f"{name}.mesh", trees.three)
    assert traffic.wrong == []


def test_what_is_no_change_is_no_generation(start: Callable[..., Mesh], trees: Trees) -> None:
    mesh = start(trees.files(trees.two))
    before, reloads = mesh.generation, mesh.status()["reloads"]
    file = mesh.conf / "stay.yml"
    said = file.read_text()
    mesh.write("stay.yml", said)
    file.write_text(said)
    os.utime(file)
    file.chmod(0o600)
    file.write_text(f"# a comment, and lines further down\n\n{said}")
    (mesh.conf / "stay.yml~").write_text("mesh: [")
    (mesh.conf / ".stay.yml.swp").write_text("mesh: [")
    (mesh.conf / "4913").touch()
    # what comes last is a change, so that all before it has been looked at
    assert mesh.edit("new.yml", services([("new.shop", trees.two.url)])) == before + 1
    assert mesh.status()["reloads"] == reloads + 1


def test_a_new_file_a_new_directory_and_their_end_are_seen(start: Callable[..., Mesh], trees: Trees) -> None:
    mesh = start(trees.files(trees.two))
    below = mesh.conf / "team" / "shop"
    with Traffic(mesh.port, STAY) as traffic:
        below.mkdir(parents=True)
        (below / "new.yml").write_text(services([("new.shop", trees.two.url)]))
        serves(mesh, "new.shop.mesh", trees.two)
        (below / "new.yml").write_text(services([("new.shop", trees.three.url)]))
        serves(mesh, "new.shop.mesh", trees.three)
        shutil.rmtree(mesh.conf / "team")
        until(lambda: mesh.ask("/", "new.shop.mesh").status == 404, "the new route is gone")
    assert traffic.wrong == []
    assert "new.shop" not in str(ask(mesh.admin, "/api/rawdata").json)
