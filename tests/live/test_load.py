"""ab and wrk through the proxy: no request fails, and the counters count each exactly once."""
from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator

import pytest
from nginx import Nginx
from running import ORDERS, Mesh, orders, until


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    with Nginx(tmp_path_factory.mktemp("nginx")) as nginx:
        static = {"accessLog": {"filePath": "access.log"}}
        with Mesh(tmp_path_factory.mktemp("load"), {"orders.yml": orders(f"http://127.0.0.1:{nginx.port}")},
                  static) as mesh:
            yield mesh


def run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def found(pattern: str, text: str) -> int:
    match = re.search(pattern, text)
    return int(match[1]) if match else 0


@pytest.mark.parametrize("keep", [["-k"], []], ids=["kept", "closed"])
def test_ab_loses_no_request_and_each_is_counted_once(mesh: Mesh, keep: list[str]) -> None:
    before = mesh.metric("mesh_service_requests_total", code="200")
    told = run("ab", "-q", "-n", "4000", "-c", "40", *keep, "-H", f"Host: {ORDERS}",
               f"http://127.0.0.1:{mesh.port}/100")
    assert (found(r"Complete requests:\s+(\d+)", told), found(r"Failed requests:\s+(\d+)", told)) == (4000, 0), told
    assert "Non-2xx" not in told
    until(lambda: mesh.metric("mesh_service_requests_total", code="200") >= before + 4000, "all are counted")
    assert mesh.metric("mesh_service_requests_total", code="200") == before + 4000


def test_ab_posts_bodies(mesh: Mesh) -> None:
    (mesh.directory / "body").write_bytes(b"x" * 3000)
    before = mesh.metric("mesh_service_requests_bytes_total")
    told = run("ab", "-q", "-n", "1000", "-c", "20", "-k", "-p", str(mesh.directory / "body"), "-H",
               f"Host: {ORDERS}", f"http://127.0.0.1:{mesh.port}/")
    assert found(r"Failed requests:\s+(\d+)", told) == 0, told
    until(lambda: mesh.metric("mesh_service_requests_bytes_total") >= before + 3_000_000, "all bytes are counted")
    assert mesh.metric("mesh_service_requests_bytes_total") == before + 3_000_000


def test_wrk_sees_no_error_and_the_log_has_a_line_for_each_request(mesh: Mesh) -> None:
    before = mesh.metric("mesh_entrypoint_requests_total")
    told = run("wrk", "-t1", "-c50", "-d2s", "-H", f"Host: {ORDERS}", f"http://127.0.0.1:{mesh.port}/100")
    done = found(r"(\d+) requests in", told)
    assert done > 500, told
    assert "Socket errors" not in told
    assert "Non-2xx" not in told
    until(lambda: mesh.metric("mesh_open_connections") == 0, "wrk's connections are over")
    total = mesh.metric("mesh_entrypoint_requests_total")
    # at its end wrk leaves up to one request on each of its connections unread
    assert done <= total - before <= done + 50
    log = mesh.directory / "access.log"
    until(lambda: log.read_bytes().count(b"\n") >= total, "all requests so far are in the log")
    assert log.read_bytes().count(b"\n") == total
    assert mesh.metric("mesh_access_log_dropped_total") == 0


def test_large_answers_under_wrk_are_whole(mesh: Mesh) -> None:
    before = mesh.metric("mesh_service_responses_bytes_total")
    told = run("wrk", "-t1", "-c8", "-d1s", "-H", f"Host: {ORDERS}", f"http://127.0.0.1:{mesh.port}/1048576")
    assert "Socket errors" not in told
    done = found(r"(\d+) requests in", told)
    assert done > 10
    until(lambda: mesh.metric("mesh_open_connections") == 0, "wrk's connections are over")
    assert mesh.metric("mesh_service_responses_bytes_total") - before >= done * (1 << 20)
