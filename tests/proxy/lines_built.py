"""Outcomes of requests, and the lines that an access log writes of them."""
from __future__ import annotations

import json
import logging
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mesh.http1.head import RequestHead
from mesh.model import AccessLog as Told
from mesh.model import Transport
from mesh.plan import Route
from mesh.service import Endpoint, Service
from workers.proxy.accesslog import AccessLog, outcome_of

DEADLINE_S = 20.0

REQUEST = (b"GET /api/1?full=yes HTTP/1.1\r\nHost: orders.shop.mesh:8080\r\nUser-Agent: curl/8.5\r\n"
           b"Referer: http://shop.mesh/cart\r\n\r\n")
BEGAN_US = 1_772_368_496_123_456        # 2026-03-01 12:34:56.123456 UTC


def routed(router: str = "orders@file", service: str = "orders.shop@file", url: str = "http://10.0.3.17:8080") -> dict:
    """The part of an outcome that the plan gives."""
    endpoint = Endpoint(url, False, Transport())
    asked = Service(service, None, (endpoint,), None, (-1,))
    return {"route": Route("web", router, asked), "service": asked, "endpoint": endpoint}


def outcome(raw: bytes | None = REQUEST, **facts: Any) -> Any:
    """An answered request; `facts` say what is different."""
    said = {"request_id": b"5f2c", "status": 200, "origin_status": 200, "began_at_us": BEGAN_US, "duration_us": 12_345,
            "origin_us": 12_000, "bytes_in": 7, "bytes_out": 512, "origin_bytes": 512, **routed(), **facts}
    return outcome_of(raw, None if raw is None else RequestHead(), **said)


def written(form: str, *outcomes: Any) -> bytes:
    """What a log of this format writes of these requests."""
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "access.log")
        log = AccessLog(Told(path, form), None, logging.getLogger("test"))
        for each in outcomes:
            log.tell(each)
        log.close()
        assert log.dropped == 0
        return Path(path).read_bytes()


def json_of(*outcomes: Any) -> dict:
    """The last of the lines."""
    return json.loads(written("json", *outcomes).splitlines()[-1])


def common_of(*outcomes: Any) -> str:
    return written("common", *outcomes).decode("ascii").splitlines()[-1]


def until(condition: Callable[[], Any], tick: Callable[[], Any] = lambda: None) -> None:
    """Waits for it, doing meanwhile what the worker does every 100 ms."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        tick()
        time.sleep(0.005)


class Heard(logging.Logger):
    """A logger that keeps what it was told."""

    def __init__(self) -> None:
        super().__init__("test")
        self.said: list[str] = []

    def handle(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())
