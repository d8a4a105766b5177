"""Active health of a whole agent: from the file to the cells, through an edit and the agent's death."""
from __future__ import annotations

from agent_running import until

from mesh.shared.slots import SLOT_PROBES

NOBODY = "http://127.0.0.1:1"


def checked(*urls: str, interval: str = "100ms", **more: str) -> str:
    """A file with one service whose endpoints are probed."""
    servers = ", ".join(f"{{url: '{url}'}}" for url in urls)
    check = ", ".join(f"{name}: {value}" for name, value in {"path": "/health", "interval": interval, **more}.items())
    return (f"http:\n  routers: {{a: {{rule: Host(`a.example`), service: a}}}}\n  services:\n    a:\n"
            f"      loadBalancer:\n        servers: [{servers}]\n        healthCheck: {{{check}}}\n")


def states(running) -> dict[str, str]:
    return {each["url"]: each["state"] for each in running.json("/api/endpoints")}


def test_endpoints_of_a_file_are_probed_and_judged(agent, web):
    server = web()
    running = agent({"a.yml": checked(server.url, NOBODY)}).start()
    until(lambda: running.names == {"a"} and states(running) == {server.url: "up", NOBODY: "down"})
    _, down = running.json("/api/endpoints")
    assert down["healthCheck"]["error"] == "connection refused"
    assert running.told(f"endpoint-down a@file {NOBODY} down: connection refused, 3 probes failed in a row")
    lines = running.ask("/metrics").body.decode().splitlines()
    assert f'mesh_service_server_up{{service="a@file",url="{NOBODY}"}} 0' in lines
    assert f'mesh_service_server_up{{service="a@file",url="{server.url}"}} 1' in lines


def test_down_stays_down_through_an_edit_and_the_agents_death(agent, web):
    server = web()
    server.status = 503
    running = agent({"a.yml": checked(server.url)}).start()
    until(lambda: running.names == {"a"} and states(running) == {server.url: "down"})
    slot, = running.dynamic.slots["a@file"]
    running.kill()
    row = running.memory.slots.load(slot, SLOT_PROBES)
    server.status = 200
    (running.conf / "a.yml").write_text(checked(server.url, interval="1h"))
    running.start()
    until(lambda: running.memory.plan.generation == 2)
    assert states(running) == {server.url: "down"}
    assert running.memory.slots.load(slot, SLOT_PROBES) == row < 0
    (running.conf / "a.yml").write_text(checked(server.url, NOBODY))
    until(lambda: states(running) == {server.url: "up", NOBODY: "down"})


def test_one_that_starts_down_is_probed_before_it_is_picked(agent, web):
    server = web()
    server.status = 503
    running = agent({"a.yml": checked(server.url, interval="1h", starts="down")}).start()
    until(lambda: running.names == {"a"} and states(running) == {server.url: "down"})
    assert len(server.seen) == 1
