"""Bells: heard in other processes, once however often they were rung."""
from __future__ import annotations

import os
import select

from workers.bells import Bells


def test_a_bell_is_heard_in_a_child_that_was_forked_before_it_rang() -> None:
    bells = Bells(2)
    back, out = os.pipe()
    pid = os.fork()
    if not pid:
        select.select([bells.of(1)], [], [], 10)
        os.write(out, b"1" if bells.heard(bells.of(1)) else b"0")
        os._exit(0)
    Bells.ring(bells.of(1))
    assert os.read(back, 1) == b"1"
    os.waitpid(pid, 0)
    os.close(back)
    os.close(out)


def test_rung_twice_is_heard_once_and_the_others_stay_silent() -> None:
    bells = Bells(2)
    Bells.ring(bells.of(0))
    Bells.ring(bells.of(0))
    assert Bells.heard(bells.of(0))
    assert not Bells.heard(bells.of(0))
    assert not Bells.heard(bells.of(1))
    assert not Bells.heard(bells.agent)
