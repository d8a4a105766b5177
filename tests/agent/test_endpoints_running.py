"""A whole agent and its table: slots in the plan, states in the API and the metrics, words in overrides.json."""
from __future__ import annotations

import json
import re

from agent_running import routes, until

from mesh.health.override import Override
from mesh.shared.slots import SLOT_REQUESTS, SLOT_STATE, STATE_DRAIN, STATE_LOCAL, key_of
from workers.agent import overrides

URL = "http://127.0.0.1:1"


def test_the_plan_that_is_published_has_slots(agent):
    running = agent({"a.yml": routes("a", "b")}).start()
    until(lambda: running.names == {"a", "b"})
    slots = running.dynamic.slots
    assert slots.keys() == {"a@file", "b@file"}
    for name, (slot,) in slots.items():
        assert running.memory.slots.key(slot) == key_of(name, URL)
        assert running.memory.slots.load(slot, SLOT_STATE) == STATE_LOCAL


def test_a_killed_agent_leaves_slots_and_cells_to_its_successor(agent):
    running = agent({"a.yml": routes("a", "b")}).start()
    until(lambda: running.names == {"a", "b"})
    before = running.dynamic.slots
    running.memory.slots.add(before["a@file"][0], SLOT_REQUESTS, 7)
    running.kill()
    (running.conf / "c.yml").write_text(routes("c"))
    running.start()
    until(lambda: "c" in running.names)
    assert {name: running.dynamic.slots[name] for name in before} == before
    assert running.memory.slots.load(before["a@file"][0], SLOT_REQUESTS) == 7


def test_a_word_in_the_file_holds_within_a_second_and_outlives_the_agent(agent, tmp_path):
    running = agent({"a.yml": routes("a")}, state_directory=str(tmp_path / "state")).start()
    until(lambda: running.names == {"a"})
    slot, = running.dynamic.slots["a@file"]
    overrides.put(str(tmp_path / "state"), "a@file", URL, Override("drain", "ann", "disk is full"))
    until(lambda: running.memory.slots.load(slot, SLOT_STATE) & STATE_DRAIN)
    until(lambda: running.told(f"override a@file {URL} drain by ann: disk is full"))
    running.kill()
    running.start()
    (running.conf / "b.yml").write_text(routes("b"))        # proof that it has published
    until(lambda: running.names == {"a", "b"})
    assert running.memory.slots.load(slot, SLOT_STATE) & STATE_DRAIN
    assert len(running.told("override a@file")) == 1, "it is no news for the second agent"


def test_the_api_shows_every_endpoint(agent, tmp_path):
    running = agent({"a.yml": routes("a")}, state_directory=str(tmp_path / "state")).start()
    until(lambda: running.names == {"a"})
    overrides.put(str(tmp_path / "state"), "a@file", URL, Override("drain", "ann"))
    said, = until(lambda: [each for each in running.json("/api/endpoints") if each["state"] == "drain"])
    assert (said["service"], said["url"], said["override"], said["local"]) == ("a@file", URL, "drain by ann", True)
    assert said["healthCheck"] is None


def test_the_metrics_have_every_endpoint(agent):
    running = agent({"a.yml": routes("a")}).start()
    until(lambda: running.names == {"a"})
    text = running.ask("/metrics").body.decode()
    assert re.search(rf'^mesh_service_server_up{{service="a@file",url="{URL}"}} 1$', text, re.MULTILINE)


def test_the_words_of_the_file_are_json(tmp_path):
    overrides.put(str(tmp_path), "orders.shop", URL, Override("weight=3", "ann"))
    assert json.loads((tmp_path / "overrides.json").read_text()) == {"orders.shop": {URL: "weight=3 by ann"}}
