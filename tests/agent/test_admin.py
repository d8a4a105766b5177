"""The admin address: who may ask, what is answered, and that nothing there can harm the rest."""
from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from agent_running import routes, until
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families as text_families

from mesh.names import ABOUT_FILE, VERSION
from mesh.shared.layout import FACT_MASTER_PID
from workers.agent import admin
from workers.report import read_status

FILE = """
http:
  routers:
    web: {rule: PathPrefix(`/`), service: all, priority: 7}
    lost: {rule: Host(`lost`), service: nowhere}
  services:
    all: {weighted: {services: [{name: one, weight: 3}, {name: two}]}}
    one: {loadBalancer: {passHostHeader: false, servers: [{url: 'http://127.0.0.1:1', weight: 2}]}}
    two: {loadBalancer: {servers: [{url: 'http://127.0.0.1:2'}]}}
"""


HOLDER = """
import signal, socket
held = socket.create_server(("127.0.0.1", 0))
print(held.getsockname()[1], flush=True)
signal.pause()
"""


def started(agent, **more):
    running = agent({"a.yml": routes("a")}, **more).start()
    until(lambda: running.names)
    return running


def said_by(running, request: bytes, within_s: float = 10.0) -> bytes:
    """What comes back for these very bytes, until the other side closes."""
    host, port = running.address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=within_s) as sock:
        sock.sendall(request)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while part := sock.recv(65536):
                answer += part
    return answer


def test_ping(agent):
    answer = started(agent).ask("/ping")
    assert (answer.code, answer.body) == (200, b"OK")


def test_head_is_get_without_a_body(agent):
    running = started(agent)
    got, headed = running.ask("/api/version"), running.ask("/api/version", "HEAD")
    assert headed.body == b""
    assert headed.headers["Content-Length"] == got.headers["Content-Length"] == str(len(got.body))


def test_an_unknown_path_is_told_in_json(agent):
    answer = started(agent).ask("/api/nothing")
    assert (answer.code, answer.headers["Content-Type"]) == (404, "application/json")
    assert "/api/nothing" in json.loads(answer.body)["message"]


def test_the_page_about_the_api_names_every_path(agent):
    page = (Path(__file__).parents[2] / "docs/api.md").read_text()
    assert re.findall(r"^\| `(/[a-z/]+)` \|", page, re.MULTILINE) == json.loads(started(agent).ask("/").body)["paths"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"])
def test_nothing_that_could_write_is_answered(agent, method):
    answer = started(agent).ask("/api/rawdata", method)
    assert (answer.code, answer.headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:9180", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:9180",
                                  "localhost.", "host-a"])
def test_this_hosts_names_are_answered(agent, host):
    assert started(agent).ask("/ping", Host=host).code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost@evil.example", "localhost:x",
                                  "10.0.0.1", "", "localhost,evil.example"])
def test_another_name_is_refused_against_dns_rebinding(agent, host):
    assert started(agent).ask("/ping", Host=host).code == 403


def test_two_hosts_in_one_request_are_refused(agent):
    answer = said_by(started(agent), b"GET /ping HTTP/1.0\r\nHost: localhost\r\nHost: evil\r\n\r\n")
    assert b" 403 " in answer.split(b"\r\n")[0]


def test_on_every_interface_any_name_is_answered(agent):
    running = started(agent, api_address="0.0.0.0:0")
    assert running.ask("/ping", Host="monitor.example").code == 200


def test_answers_carry_the_headers_that_keep_a_browser_out(agent):
    headers = started(agent).ask("/api/rawdata").headers
    assert headers["Server"] == "hostmesh"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert not [name for name in headers if name.lower().startswith("access-control-")]


# Bounds

def test_a_head_without_end_is_refused(agent):
    answer = said_by(started(agent), b"GET /ping HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 9000)
    assert answer.startswith(b"HTTP/1.1 400 ") or answer == b""


def test_a_request_line_without_end_is_refused(agent):
    answer = said_by(started(agent), b"GET /" + b"x" * 100_000)
    assert answer.startswith(b"HTTP/1.1 414 ") or answer == b""


def test_a_client_that_dribbles_its_head_is_cut_off(agent, monkeypatch):
    monkeypatch.setattr(admin, "HEAD_S", 0.3)
    running = started(agent)
    for begun in (b"GET /ping", b"GET /ping HTTP/1.1\r\nHost: loc"):
        assert said_by(running, begun).split(b"\r\n")[0] in (b"", b"HTTP/1.1 400 Bad Request")


def test_an_idle_connection_is_closed(agent, monkeypatch):
    monkeypatch.setattr(admin, "HEAD_S", 0.3)
    answer = said_by(started(agent), b"GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert answer.endswith(b"OK")


def test_a_body_is_not_waited_for(agent):
    answer = said_by(started(agent), b"POST /ping HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\nx")
    assert answer.startswith(b"HTTP/1.1 405 ")
    assert b"\r\nConnection: close\r\n" in answer


def test_a_connection_ends_after_its_share_of_requests(agent, monkeypatch):
    monkeypatch.setattr(admin, "MOST_REQUESTS", 3)
    answer = said_by(started(agent), b"GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n" * 5)
    assert answer.count(b"HTTP/1.1 200 OK") == 3


def test_more_connections_than_there_may_be_wait_and_are_served_later(agent, monkeypatch):
    monkeypatch.setattr(admin, "MOST_CONNECTIONS", 2)
    monkeypatch.setattr(admin, "HEAD_S", 0.5)
    running = started(agent)
    host, port = running.address.rsplit(":", 1)
    with contextlib.ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(socket.create_connection((host, int(port))))
        assert running.ask("/ping").code == 200


def test_an_error_inside_is_a_500_and_the_end_of_nothing(agent, monkeypatch):
    monkeypatch.setattr("workers.agent.api.version", lambda about: 1 / 0)
    running = started(agent)
    assert running.ask("/api/version").code == 500
    assert running.ask("/ping").code == 200
    assert "ZeroDivisionError" in running.log_file.read_text()


# The address itself

def test_no_address_means_no_admin(agent):
    running = started(agent, api_address="")
    until(lambda: os.path.exists(f"{running.static.runtime_directory}/{ABOUT_FILE}"))
    with open(f"{running.static.runtime_directory}/{ABOUT_FILE}") as file:
        assert json.load(file)["admin"] == ""


def test_an_address_in_use_stops_nothing_and_is_tried_again(agent, monkeypatch):
    monkeypatch.setattr(admin, "AGAIN_S", 0.1)
    # another process, since the agent inherits what this one has open
    with subprocess.Popen([sys.executable, "-c", HOLDER], stdout=subprocess.PIPE) as other:
        running = started(agent, api_address=f"127.0.0.1:{int(other.stdout.readline())}")
        until(lambda: running.told("is in use by another program"))
        (running.conf / "b.yml").write_text(routes("b"))
        until(lambda: running.names == {"a", "b"})
        other.terminate()
    until(lambda: running.told("admin on"))
    assert running.ask("/ping").code == 200
    assert len(running.told("is in use by another program")) == 1


def test_about_tells_everybody_what_is_bound_where(agent):
    running = started(agent, bound={"web": "127.0.0.1:4711"})
    path = f"{running.static.runtime_directory}/{ABOUT_FILE}"
    assert running.address
    with open(path) as file:
        said = json.load(file)
    assert said["pid"] == os.getpid()
    assert said["version"] == VERSION
    assert said["entryPoints"] == {"web": "127.0.0.1:4711"}
    assert said["staticFile"] == running.static.file
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o644


def test_the_start_of_the_service_is_not_that_of_its_agent(agent):
    running = started(agent)
    before = running.json("/api/version")["startDate"]
    running.kill(signal.SIGKILL)
    running.start()
    assert running.json("/api/version")["startDate"] == before


def test_a_port_that_the_system_chose_is_the_successors_too(agent):
    running = started(agent)
    before = running.address
    running.kill(signal.SIGKILL)
    running.start()
    assert running.ask("/ping").code == 200
    assert running.address == before


# Ready

OURS = b"HTTP/1.1 404 Not Found\r\nServer: hostmesh\r\nContent-Length: 0\r\n\r\n"


def test_ready_when_a_worker_answers_at_each_entrypoint(agent, front_door):
    running = started(agent, bound={"web": front_door(OURS), "other": front_door(OURS)})
    assert running.ask("/ready").code == 200


@pytest.mark.parametrize("answer, why", [
    (b"HTTP/1.1 200 OK\r\nServer: nginx\r\n\r\n", b"somebody else answers"),
    (b"HTTP/1.1 200 OK\r\nX: y\r\n\r\nServer: hostmesh\r\n", b"somebody else answers"),
    (b"SSH-2.0-hello\r\n\r\n", b"not HTTP"), (b"", b"without an answer"), (b"x" * 20_000, b"no HTTP head")])
def test_not_ready_where_no_worker_of_ours_answers(agent, front_door, answer, why):
    said = started(agent, bound={"web": front_door(OURS), "other": front_door(answer)}).ask("/ready")
    assert said.code == 503
    assert said.body.startswith(b"other (127.0.0.1:")
    assert why in said.body
    assert said.body.count(b"\n") == 1


def test_not_ready_where_nobody_listens(agent):
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    said = started(agent, bound={"web": f"127.0.0.1:{port}"}).ask("/ready")
    assert (said.code, b"connection refused" in said.body) == (503, True)


def test_not_ready_where_a_worker_hangs(agent, monkeypatch):
    monkeypatch.setattr("workers.agent.ready.WITHIN_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        said = started(agent, bound={"web": f"127.0.0.1:{deaf.getsockname()[1]}"}).ask("/ready")
    assert (said.code, b"no answer within 0.3 s" in said.body) == (503, True)


def test_a_wildcard_is_asked_on_loopback(agent, front_door):
    port = front_door(OURS).rsplit(":", 1)[1]
    running = started(agent, bound={"web": f"0.0.0.0:{port}", "both": f"[::]:{port}"})
    assert running.ask("/ready").code == 200


# The API

def described(agent):
    running = agent({"a.yml": FILE}, bound={"web": "127.0.0.1:4711"}).start()
    until(lambda: running.said.status)
    return running


def test_rawdata_has_traefiks_shape(agent):
    said = described(agent).json("/api/rawdata")
    web = said["routers"]["web@file"]
    assert (web["rule"], web["service"], web["priority"]) == ("PathPrefix(`/`)", "all@file", 7)
    assert (web["entryPoints"], web["using"], web["provider"]) == (["web"], ["web"], "file")
    assert said["services"]["one@file"]["loadBalancer"]["servers"] == [{"url": "http://127.0.0.1:1", "weight": 2}]
    assert said["services"]["one@file"]["loadBalancer"]["passHostHeader"] is False
    assert said["services"]["all@file"]["weighted"]["services"] == [
        {"name": "one@file", "weight": 3}, {"name": "two@file", "weight": 1}]


def test_rawdata_tells_what_does_not_serve_and_why(agent):
    lost = described(agent).json("/api/rawdata")["routers"]["lost@file"]
    assert lost["status"] == "disabled"
    assert '"nowhere" is not defined' in lost["error"][0]
    assert "a.yml:5:" in lost["error"][0]


def test_rawdata_tells_who_uses_what(agent):
    services = described(agent).json("/api/rawdata")["services"]
    assert {name: each["usedBy"] for name, each in services.items()} == {
        name: ["web@file"] for name in ("all@file", "one@file", "two@file")}


def test_the_overview_counts(agent):
    said = described(agent).json("/api/overview")
    raw = described(agent).json("/api/rawdata")
    for section in ("routers", "services", "middlewares"):
        states = [each["status"] for each in raw[section].values()]
        assert said["http"][section] == {"total": len(states), "warnings": states.count("warning"),
                                         "errors": states.count("disabled")}
    assert said["providers"] == ["File"]


def test_entrypoints_tell_where_they_listen(agent):
    assert [(each["name"], each["address"], each["bound"]) for each in described(agent).json("/api/entrypoints")] == [
        ("web", "127.0.0.1:0", "127.0.0.1:4711")]


def test_files_tell_what_is_wrong_with_each(agent):
    running = agent({"a.yml": routes("a"), "b.yml": "http: {routers: {x: {rul: y}}}"}).start()
    until(lambda: running.said.problems)
    good, bad = running.json("/api/files")
    assert (good["file"], good["state"], good["problems"]) == (f"{running.conf}/a.yml", "ok", [])
    assert bad["state"] == "error"
    first = next(problem for problem in bad["problems"] if problem["code"] == "unknown-field")
    assert (first["line"], first["column"], first["hint"]) == (1, 22, 'did you mean "rule"?')


def test_status_is_what_the_command_line_prints(agent):
    running = described(agent)
    running.memory.facts.store(FACT_MASTER_PID, os.getpid())
    asked, read = running.json("/api/status"), read_status(running.static.runtime_directory)
    assert asked.keys() == read.keys()
    for key in ("version", "generation", "entryPoints", "admin", "problems", "files", "objects", "good", "why"):
        assert asked[key] == read[key]


@pytest.mark.parametrize("accept, families", [("", text_families), ("text/plain", text_families),
                                              ("application/openmetrics-text; version=1.0.0", openmetrics_families)])
def test_metrics_are_given_in_the_form_that_is_asked_for(agent, accept, families):
    running = started(agent, bound={"web": "127.0.0.1:4711"})
    answer = running.ask("/metrics", Accept=accept)
    assert answer.headers["Content-Type"].startswith(accept.split(";")[0])
    named = {family.name: family for family in families(answer.body.decode())}
    assert named["mesh_plan_generation"].samples[0].value == 1
    assert named["mesh_config_reloads"].samples[0].value == 1
    assert named["mesh_config_last_reload_success"].samples[0].value > 1.7e9
