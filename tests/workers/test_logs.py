"""The process log: one line per event, and never a reason to stop."""
from __future__ import annotations

import json
import logging
import os
import re
from dataclasses import replace

import pytest

from mesh.model import Static
from workers.logs import ProcessLog


@pytest.fixture
def root_log():
    """The loggers as they were: a process log takes them over."""
    loggers = [logging.getLogger(), logging.getLogger("hostmesh")]
    before = [(logger, logger.handlers[:], logger.level, logger.propagate) for logger in loggers]
    yield
    for logger, handlers, level, propagate in before:
        logger.handlers[:], logger.propagate = handlers, propagate
        logger.setLevel(level)


@pytest.fixture
def static(tmp_path, root_log) -> Static:
    return Static(log_file=str(tmp_path / "log"))


def lines(static: Static) -> list[str]:
    with open(static.log_file) as file:
        return file.read().splitlines()


def test_a_line_says_when_how_bad_who_and_what(static):
    log = ProcessLog(static)
    log.warning("router %s is new", "web@file")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d WARNING master"
                        rf"\[{os.getpid()}\]: router web@file is new", *lines(static))


def test_json_lines_carry_the_same_words(static):
    ProcessLog(replace(static, log_format="json")).error('a "quoted" word')
    said = json.loads(*lines(static))
    assert (said["level"], said["process"], said["message"]) == ("error", "master", 'a "quoted" word')


@pytest.mark.parametrize("form", ["common", "json"])
def test_what_a_client_sent_cannot_forge_a_line(static, form):
    ProcessLog(replace(static, log_format=form)).info("path %s", "/x\n2026-01-01 INFO master[1]: all is well\x1b[2J")
    assert len(lines(static)) == 1
    assert "\x1b" not in lines(static)[0]


def test_the_level_is_the_least_that_is_written(static):
    log = ProcessLog(replace(static, log_level="WARNING"))
    log.info("small talk")
    log.warning("news")
    assert len(lines(static)) == 1
    log.setup(replace(static, log_level="DEBUG"))
    log.debug("small talk")
    assert len(lines(static)) == 2


def test_modules_below_speak_through_it(static):
    ProcessLog(static)
    logging.getLogger("hostmesh.agent.watch").info("a directory changed")
    logging.getLogger("gunicorn.error").error("from gunicorn")
    assert len(lines(static)) == 2


def test_a_bug_is_told_with_its_traceback_below_its_line(static):
    log = ProcessLog(static)
    try:
        raise RuntimeError("deep down")
    except RuntimeError:
        log.exception("a connection ended")
    first, *trace = lines(static)
    assert first.endswith("a connection ended")
    assert all(line.startswith("    ") for line in trace)
    assert trace[-1].endswith("RuntimeError: deep down")


def test_arguments_that_do_not_fit_cost_their_words_and_nothing_else(static):
    ProcessLog(static).info("%d routers", "many")
    assert "%d routers" in lines(static)[0]


def test_after_a_rotation_the_old_name_is_written_on(static):
    log = ProcessLog(static)
    log.info("before")
    os.rename(static.log_file, static.log_file + ".1")
    log.reopen_files()
    log.info("after")
    assert [line.split()[-1] for line in lines(static)] == ["after"]


def test_a_file_that_cannot_be_made_anew_leaves_the_old_one_in_use(static):
    log = ProcessLog(static)
    os.rename(static.log_file, static.log_file + ".1")
    os.mkdir(static.log_file)
    log.reopen_files()
    log.info("still here")
    with open(static.log_file + ".1") as file:
        assert "still here" in file.read()


def test_a_full_disk_drops_lines_and_counts_them(static):
    log = ProcessLog(replace(static, log_file="/dev/full"))
    log.info("one")
    log.info("two")
    assert log.dropped == 2


def test_a_file_that_cannot_be_opened_is_told_to_the_caller(static, tmp_path):
    with pytest.raises(OSError):
        ProcessLog(replace(static, log_file=str(tmp_path / "missing" / "log")))
