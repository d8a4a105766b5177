"""Real files, real events: no way of saving a file loses what it says, not for a moment.

Every test follows a directory as the agent does, and `Follower` writes down every version that was ever taken in.
"""
from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mesh.model import EntryPoint, Static
from workers.agent import watch
from workers.agent.sources import Followed, Sources
from workers.agent.watch import Inbox

WITHIN_S = 8.0


def routes(*names: str) -> str:
    """A file with a router and a service for each name."""
    lines = ["http:", "  routers:"]
    lines += [f"    {name}: {{rule: Host(`{name}.example`), service: {name}}}" for name in names]
    lines += ["  services:"]
    lines += [f"    {name}: {{loadBalancer: {{servers: [{{url: 'http://127.0.0.1:1'}}]}}}}" for name in names]
    return "\n".join(lines) + "\n"


class Follower:
    """What the agent's loop does, and a history of which routers there were after each look that brought news."""

    def __init__(self, static: Static) -> None:
        self.sources = Sources(static)
        self.followed = Followed(self.sources, True, Inbox())
        self.history: list[set[str]] = []
        self.problems: list[str] = []
        self.turn()

    def turn(self) -> None:
        if self.followed.turn() or not self.history:
            settled = self.sources.settle()
            self.history.append({name.removesuffix("@file") for name in settled.dynamic.routers})
            self.problems = [problem.message for problem in settled.problems]

    @property
    def now(self) -> set[str]:
        return self.history[-1]

    def until(self, condition: Callable[[], object]) -> None:
        """Follows until the condition holds."""
        deadline = time.monotonic() + WITHIN_S
        while not condition():
            assert time.monotonic() < deadline, f"not within {WITHIN_S} s: {self.history}, {self.problems}"
            self.followed.wait(0.05)
            self.turn()

    def follow_for(self, seconds: float) -> None:
        """Follows for as long as it would take to do something wrong."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.followed.wait(0.05)
            self.turn()

    def until_done(self, work: Callable[[], None]) -> None:
        """Follows while a thread does the work, and until what it did has come to rest."""
        thread = threading.Thread(target=work)
        thread.start()
        while thread.is_alive():
            self.followed.wait(0.02)
            self.turn()
        self.follow_for(1.0)


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    (tmp_path / "conf.d").mkdir()
    return tmp_path / "conf.d"


@pytest.fixture
def follow() -> Iterator[Callable[[Path], Follower]]:
    with contextlib.ExitStack() as stack:
        def start(path: Path) -> Follower:
            where = {"file_filename": str(path)} if path.is_file() else {"file_directory": str(path)}
            follower = Follower(Static(entry_points={"web": EntryPoint("web", "127.0.0.1", 0)}, **where))
            stack.callback(follower.followed.close)
            return follower
        yield start


def replace(path: Path, text: str) -> None:
    """As most programs save: beside it, then renamed."""
    fresh = path.with_name(f".{path.name}.tmp")
    fresh.write_text(text)
    fresh.rename(path)


def test_files_that_are_there_are_read_at_once(conf, follow):
    (conf / "a.yml").write_text(routes("a"))
    assert follow(conf).now == {"a"}


def test_a_new_file_is_read_and_a_deleted_one_forgotten(conf, follow):
    follower = follow(conf)
    (conf / "a.yml").write_text(routes("a"))
    follower.until(lambda: follower.now == {"a"})
    (conf / "a.yml").unlink()
    follower.until(lambda: follower.now == set())
    assert follower.problems == []


def test_a_save_by_rename_is_seen(conf, follow):
    (conf / "a.yml").write_text(routes("a"))
    follower = follow(conf)
    replace(conf / "a.yml", routes("a", "b"))
    follower.until(lambda: follower.now == {"a", "b"})


def test_a_save_that_first_moves_the_old_file_away_shows_no_gap(conf, follow):
    (conf / "a.yml").write_text(routes("a"))
    follower = follow(conf)

    def save() -> None:
        for number in range(8):             # vim with backupcopy=no: away, anew, the backup deleted
            (conf / "a.yml").rename(conf / "a.yml~")
            time.sleep(0.05)
            (conf / "a.yml").write_text(routes("a", f"n{number}"))
            (conf / "a.yml~").unlink()
            time.sleep(0.05)

    follower.until_done(save)
    assert all("a" in routers for routers in follower.history)
    assert follower.now == {"a", "n7"}


def test_a_save_in_place_in_parts_with_pauses_is_read_when_it_is_whole(conf, follow):
    (conf / "a.yml").write_text(routes("a", "b", "c"))
    follower = follow(conf)

    def save() -> None:
        text = routes("a", "b", "c", "d")
        with open(conf / "a.yml", "w") as file:
            for start in range(0, len(text), 120):
                file.write(text[start:start + 120])
                file.flush()
                time.sleep(0.35)

    follower.until_done(save)
    assert all({"a", "b", "c"} <= routers for routers in follower.history)
    assert follower.now == {"a", "b", "c", "d"}


def test_a_file_that_is_being_written_at_the_start_is_waited_for(conf, follow):
    (conf / "other.yml").write_text(routes("other"))
    with open(conf / "a.yml", "w") as file:
        file.write(routes("a"))
        file.flush()
        follower = follow(conf)
        assert follower.now == {"other"}
        file.write("\n")
    follower.until(lambda: follower.now == {"a", "other"})


def test_a_slow_writer_does_not_delay_other_files(conf, follow):
    follower = follow(conf)
    with open(conf / "slow.yml", "w") as file:
        file.write(routes("slow"))
        file.flush()
        replace(conf / "fast.yml", routes("fast"))
        follower.until(lambda: follower.now == {"fast"})
    follower.until(lambda: follower.now == {"fast", "slow"})


def test_without_leases_the_events_alone_tell_who_is_writing(conf, follow, monkeypatch):
    monkeypatch.setattr("workers.agent.listing._lease", lambda file: None)
    test_a_save_in_place_in_parts_with_pauses_is_read_when_it_is_whole(conf, follow)


def test_other_rights_are_not_taken_for_writing(conf, follow, monkeypatch):
    monkeypatch.setattr("workers.agent.listing._lease", lambda file: None)
    (conf / "a.yml").write_text(routes("a"))
    follower = follow(conf)
    os.utime(conf / "a.yml")
    (conf / "b.yml").write_text(routes("b"))
    follower.until(lambda: follower.now == {"a", "b"})
    os.chmod(conf / "a.yml", 0o600)
    replace(conf / "a.yml", routes("a", "c"))
    follower.until(lambda: follower.now == {"a", "b", "c"})


def test_several_editors_at_once_lose_nothing(conf, follow):
    names = [f"s{number}" for number in range(6)]
    for name in names:
        (conf / f"{name}.yml").write_text(routes(name))
    follower = follow(conf)

    def edit(name: str, how: int) -> None:
        for turn in range(6):
            text = routes(name, *(f"{name}-{turn}" for _ in (1,)))
            if how % 2:
                replace(conf / f"{name}.yml", text)
            else:
                (conf / f"{name}.yml").write_text(text)
            time.sleep(0.03 * (how + 1))

    def work() -> None:
        editors = [threading.Thread(target=edit, args=(name, number)) for number, name in enumerate(names)]
        for editor in editors:
            editor.start()
        for editor in editors:
            editor.join()

    follower.until_done(work)
    assert all(set(names) <= routers for routers in follower.history)
    assert follower.now == {*names, *(f"{name}-5" for name in names)}


def release(tmp_path: Path, number: int, *names: str) -> Path:
    directory = tmp_path / "releases" / str(number)
    directory.mkdir(parents=True)
    for name in names:
        (directory / f"{name}.yml").write_text(routes(name))
    return directory


def test_a_switch_of_the_directorys_link_is_seen_and_loses_nothing(tmp_path, follow):
    release(tmp_path, 41, "a", "old")
    release(tmp_path, 42, "a", "new")
    (tmp_path / "live").symlink_to("releases/41")
    follower = follow(tmp_path / "live")
    assert follower.now == {"a", "old"}

    def switch() -> None:
        (tmp_path / "fresh").symlink_to("releases/42")
        (tmp_path / "fresh").rename(tmp_path / "live")

    follower.until_done(switch)
    follower.until(lambda: follower.now == {"a", "new"})
    assert all("a" in routers for routers in follower.history)
    replace(tmp_path / "releases/42/a.yml", routes("a", "later"))
    follower.until(lambda: follower.now == {"a", "new", "later"})


def test_a_switch_of_a_link_further_up_is_seen(tmp_path, follow):
    (release(tmp_path, 1) / "conf.d").mkdir()
    (release(tmp_path, 2) / "conf.d").mkdir()
    (tmp_path / "releases/1/conf.d/a.yml").write_text(routes("a"))
    (tmp_path / "releases/2/conf.d/a.yml").write_text(routes("a", "b"))
    (tmp_path / "current").symlink_to("releases/1")
    (tmp_path / "conf.d").symlink_to("current/conf.d")
    follower = follow(tmp_path / "conf.d")
    assert follower.now == {"a"}
    (tmp_path / "fresh").symlink_to("releases/2")
    (tmp_path / "fresh").rename(tmp_path / "current")
    started = time.monotonic()
    follower.until(lambda: follower.now == {"a", "b"})
    assert time.monotonic() - started < watch.RESCAN_S / 2


def test_a_mounted_volume_that_switches_its_data_link_is_seen(conf, follow):
    (conf / "..2026_1").mkdir()
    (conf / "..2026_1/a.yml").write_text(routes("a"))
    (conf / "..data").symlink_to("..2026_1")
    (conf / "a.yml").symlink_to("..data/a.yml")
    follower = follow(conf)
    assert follower.now == {"a"}
    (conf / "..2026_2").mkdir()
    (conf / "..2026_2/a.yml").write_text(routes("a", "b"))
    (conf / "..data_tmp").symlink_to("..2026_2")
    (conf / "..data_tmp").rename(conf / "..data")
    started = time.monotonic()
    follower.until(lambda: follower.now == {"a", "b"})
    assert time.monotonic() - started < watch.RESCAN_S / 2
    assert all("a" in routers for routers in follower.history)


def test_a_directory_that_is_replaced_by_another_is_followed(conf, follow):
    (conf / "a.yml").write_text(routes("a"))
    follower = follow(conf)
    fresh = conf.with_name("fresh")
    fresh.mkdir()
    (fresh / "a.yml").write_text(routes("a", "b"))

    def swap() -> None:
        conf.rename(conf.with_name("old"))
        fresh.rename(conf)

    follower.until_done(swap)
    follower.until(lambda: follower.now == {"a", "b"})
    assert all("a" in routers for routers in follower.history)
    replace(conf / "a.yml", routes("a", "b", "c"))
    follower.until(lambda: follower.now == {"a", "b", "c"})


def test_a_directory_that_is_gone_keeps_what_it_served_and_says_so(conf, follow):
    (conf / "a.yml").write_text(routes("a"))
    follower = follow(conf)
    conf.rename(conf.with_name("old"))
    follower.until(lambda: follower.problems)
    assert follower.now == {"a"}
    assert "no such file or directory" in follower.problems[0]
    conf.with_name("old").rename(conf)
    follower.until(lambda: not follower.problems)
    assert follower.now == {"a"}


def test_sub_directories_are_read_and_followed(conf, follow):
    (conf / "shop/cart").mkdir(parents=True)
    (conf / "shop/cart/a.yml").write_text(routes("a"))
    follower = follow(conf)
    assert follower.now == {"a"}
    (conf / "bank").mkdir()
    (conf / "bank/b.toml").write_text('[http.routers.b]\nrule = "Host(`b`)"\nservice = "a"\n')
    follower.until(lambda: follower.now == {"a", "b"})
    (conf / "shop").rename(conf.with_name("elsewhere"))
    follower.until(lambda: follower.problems)       # the service of b went with it
    assert follower.now == {"b"} or "a" not in follower.now


@pytest.mark.parametrize("name", [".a.yml.swp", ".#a.yml", "4913", "a.yml~", "#a.yml#", ".hidden.yml", "a.yml.bak",
                                  "README.md"])
def test_what_editors_leave_lying_about_is_not_read(conf, follow, name):
    (conf / name).write_text("this: is: no: YAML")
    follower = follow(conf)
    assert follower.now == set()
    assert follower.problems == []


def test_one_file_by_its_name_is_followed(tmp_path, follow):
    (tmp_path / "routes.yml").write_text(routes("a"))
    follower = follow(tmp_path / "routes.yml")
    replace(tmp_path / "routes.yml", routes("a", "b"))
    follower.until(lambda: follower.now == {"a", "b"})
    (tmp_path / "routes.yml").unlink()
    follower.until(lambda: follower.now == set())
    assert "no such file or directory" in follower.problems[0]


@pytest.mark.parametrize("how, told", [
    (lambda path: path.write_text(""), "empty"),
    (lambda path: path.write_text("http: [oops"), ""),
    (lambda path: (path.unlink(), path.mkdir()), "it is a directory"),
    (lambda path: (path.unlink(), os.mkfifo(path)), "not a regular file"),
    (lambda path: (path.unlink(), path.symlink_to("nowhere.yml")), "which does not exist"),
    (lambda path: path.write_bytes(b"\xff\xfe\x00"), "UTF-8"),
], ids=["emptied", "broken", "a directory", "a pipe", "a dangling link", "no text"])
def test_a_file_that_cannot_be_read_keeps_its_last_good_version(conf, follow, how, told):
    (conf / "a.yml").write_text(routes("a"))
    follower = follow(conf)
    how(conf / "a.yml")
    follower.until(lambda: follower.problems)
    assert told in follower.problems[0]
    assert all("a" in routers for routers in follower.history)


def test_an_unreadable_state_that_stays_is_looked_at_no_more_than_before(conf, follow):
    (conf / "a.yml").symlink_to("nowhere.yml")
    follower = follow(conf)
    follower.until(lambda: follower.problems)
    looks = 0
    before = follower.sources.look

    def counted(*args, **more):
        nonlocal looks
        looks += 1
        return before(*args, **more)

    follower.sources.look = counted
    follower.follow_for(1.5)
    assert looks <= 1


def test_without_inotify_changes_are_found_by_looking(conf, follow, monkeypatch):
    def refuse(*_, **__):
        raise OSError(24, "inotify instance limit reached")

    monkeypatch.setattr(watch, "InotifyObserver", refuse)
    (conf / "a.yml").write_text(routes("a"))
    follower = follow(conf)
    replace(conf / "a.yml", routes("a", "b"))
    follower.until(lambda: follower.now == {"a", "b"})


def test_when_events_are_lost_the_slow_look_finds_the_change(conf, follow, monkeypatch):
    monkeypatch.setattr(watch, "RESCAN_S", 0.5)
    (conf / "a.yml").write_text(routes("a"))
    follower = follow(conf)
    monkeypatch.setattr(watch._Interest, "concerns", lambda *_: False)
    replace(conf / "a.yml", routes("a", "b"))
    follower.until(lambda: follower.now == {"a", "b"})


def test_a_certificate_that_a_file_names_is_followed(conf, follow, monkeypatch):
    monkeypatch.setattr(watch, "RESCAN_S", 0.5)
    (conf / "ca.pem").write_text("first")
    (conf / "a.yml").write_text("http: {serversTransports: {t: {rootCAs: [ca.pem]}}}\n")
    follower = follow(conf)

    def roots() -> object:
        settled = follower.sources.settle()
        return [transport.root_cas for transport in settled.dynamic.transports.values()]

    before = roots()
    (conf / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\nsecond")
    follower.until(lambda: roots() != before or follower.problems)


def test_a_slow_look_that_waits_for_a_burst_does_not_keep_the_agent_busy(conf, follow, monkeypatch):
    monkeypatch.setattr(watch, "RESCAN_S", 0.0)
    follower = follow(conf)
    follower.sources.files.quiet.happened("somebody is at work", time.monotonic())
    began = time.monotonic()
    follower.followed.wait(0.1)
    assert time.monotonic() - began > 0.09
