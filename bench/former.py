"""The row `table`: what a request costs with everything the endpoint table does, beside an older state of hostmesh.

The older one is a built checkout that the environment names (HOSTMESH_FORMER); without it the row tells what strategies
and passive health add.  Both begin with a rest, since an agent that starts and a private Redis that comes up belong to
no request.
"""
from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

from bench.bill import BASE, FEATURES
from bench.figures import Column, Sample
from bench.peers.ours import Ours
from bench.rows import Bench, Row, under_wrk

FORMER = "HOSTMESH_FORMER"
REST_S = 5.0
BEFORE, PLAIN, WHOLE = "before the table", "now, wrr", "now, p2c and passive health"
_OLDER = (BEFORE,) if FORMER in os.environ else ()
SAID = {BEFORE: BASE, PLAIN: BASE, WHOLE: "+ p2c and passive health"}


class _Former(Ours):
    """The checkout that the environment names."""

    def env(self, directory: Path) -> Mapping[str, str]:
        return {"PYTHONPATH": os.environ[FORMER]}


def measure(bench: Bench, name: str, round: int) -> Sample:
    peer = _Former() if name == BEFORE else bench.peers["us"]
    with peer.start(bench.fresh(), FEATURES[SAID[name]](bench), bench.core) as proxy:
        time.sleep(REST_S)
        figures, wrong = under_wrk(bench, proxy, "/", 64)
    return Sample("table", name, round, figures, wrong)


TABLE = Row("table", "hostmesh: the whole endpoint table, all processes together", (
    Column("us", "us/request", 2), Column("busiest_us", "worker", 2), Column("user_us", "user", 2),
    Column("system_us", "system", 2), Column("per_s", "requests/s", 0)), measure,
    (*_OLDER, PLAIN, WHOLE), _OLDER or (PLAIN,), is_ours=True)
