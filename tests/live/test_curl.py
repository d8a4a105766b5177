"""curl through the proxy, as a person on this host uses it."""
from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from running import ORDERS, Endpoint, Mesh, digest, pattern


def curl(mesh: Mesh, *said: str, paths: tuple[str, ...] = ("/",), given: bytes | None = None) -> str:
    """What it prints; the name leads to the proxy by --resolve."""
    done = subprocess.run(
        ["curl", "-sS", "-m", "20", "--noproxy", "*", "--resolve", f"{ORDERS}:{mesh.port}:127.0.0.1", *said,
         *(f"http://{ORDERS}:{mesh.port}{path}" for path in paths)], input=given, capture_output=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


def test_a_get_by_name_reaches_the_endpoint(shared_mesh: Mesh) -> None:
    said = json.loads(curl(shared_mesh, paths=("/some/where?x=1",)))
    assert (said["by"], said["method"], said["target"]) == ("shared", "GET", "/some/where?x=1")
    assert ["X-Forwarded-For", "127.0.0.1"] in said["headers"]
    assert [value for name, value in said["headers"] if name == "Host"] == [f"{ORDERS}:{shared_mesh.port}"]


def test_a_head_tells_the_length_and_sends_no_body(shared_mesh: Mesh) -> None:
    told = curl(shared_mesh, "--head", paths=("/bytes?size=12345", "/bytes?size=7"))
    assert [line for line in told.splitlines() if line.startswith("Content-Length")] == [
        "Content-Length: 12345", "Content-Length: 7"]


def test_a_post_arrives_whole(shared_mesh: Mesh) -> None:
    said = json.loads(curl(shared_mesh, "--data-binary", "name=value"))
    assert (said["method"], said["framing"], said["digest"]) == ("POST", "length", digest(b"name=value"))


def test_a_put_that_expects_100_continue_gets_it_before_it_sends(shared_mesh: Mesh, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(pattern(3_000_000))
    told = curl(shared_mesh, "-v", "--stderr", "-", "-H", "Expect: 100-continue", "--expect100-timeout", "15",
                "-T", str(tmp_path / "large"), "-w", "\n%{time_total}")
    assert "HTTP/1.1 100 Continue" in told
    assert digest(pattern(3_000_000)) in told
    assert float(told.splitlines()[-1]) < 10, "it waited for the 100 in vain"


def test_an_upload_of_unknown_length_goes_in_chunks(shared_mesh: Mesh) -> None:
    said = json.loads(curl(shared_mesh, "-T", "-", given=pattern(200_000)))
    assert (said["method"], said["framing"], said["length"]) == ("PUT", "chunked", 200_000)
    assert said["digest"] == digest(pattern(200_000))


def test_a_client_of_http_1_0_gets_an_answer_that_ends_with_its_connection(shared_mesh: Mesh) -> None:
    told = curl(shared_mesh, "--http1.0", "-D", "-", "-o", "/dev/null", "-w", "%{size_download}",
                paths=("/bytes?size=300&chunked=1",))
    assert told.startswith("HTTP/1.1 200 OK")
    assert "chunked" not in told
    assert "Connection: close" in told
    assert told.endswith("300")


def test_several_urls_of_one_call_share_a_connection(shared_mesh: Mesh) -> None:
    told = curl(shared_mesh, "-o", "/dev/null", "-o", "/dev/null", "-o", "/dev/null", "-w", "%{num_connects} ",
                paths=("/", "/bytes?size=70000&chunked=1", "/"))
    assert told.split() == ["1", "0", "0"]


def test_a_post_without_a_body_and_a_delete_pass(shared_mesh: Mesh) -> None:
    for method in ("POST", "DELETE", "PATCH", "OPTIONS"):
        said = json.loads(curl(shared_mesh, "-X", method))
        assert (said["method"], said["length"]) == (method, 0)


def test_the_name_may_have_a_trailing_dot(shared_mesh: Mesh) -> None:
    assert json.loads(curl(shared_mesh, "-H", f"Host: {ORDERS}."))["by"] == "shared"


def test_an_unknown_name_is_told_that_there_is_no_router(shared_mesh: Mesh) -> None:
    told = curl(shared_mesh, "-i", "-H", "Host: nobody.shop.mesh")
    assert told.startswith("HTTP/1.1 404 Not Found")
    assert "hostmesh" in told


def test_the_proxy_can_be_named_as_a_proxy(shared_mesh: Mesh) -> None:
    done = subprocess.run(["curl", "-sS", "-m", "20", "-x", f"127.0.0.1:{shared_mesh.port}", f"http://{ORDERS}/by"],
                          capture_output=True, check=True)
    assert json.loads(done.stdout)["target"] == "/by"


@pytest.mark.parametrize("framing", ["", "&chunked=1"])
def test_a_large_answer_arrives_as_it_was_sent(shared_mesh: Mesh, tmp_path: Path, framing: str) -> None:
    curl(shared_mesh, "-o", str(tmp_path / "got"), paths=(f"/bytes?size=5000000{framing}",))
    assert digest((tmp_path / "got").read_bytes()) == digest(pattern(5_000_000))


def test_an_early_refusal_of_a_large_upload_reaches_curl(shared_mesh: Mesh, shared_endpoint: Endpoint,
                                                         tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(pattern(8_000_000))
    told = curl(shared_mesh, "-H", "Expect:", "-T", str(tmp_path / "large"), "-w", "%{http_code}", paths=("/early",))
    assert told == "413"
