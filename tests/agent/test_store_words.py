"""What the store says and how often, as data: keys, opinions, intervals, lots."""
from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.store.keys import Keys
from mesh.store.opinion import (
    HostSaid,
    has_drained,
    host_went_down,
    is_down,
    is_forgotten,
    opinion_of,
    read_object,
    spelled,
)
from mesh.store.pace import MANY, Pace, speaks
from workers.agent.states import EndpointState

KEYS = Keys("mesh:")
AT_MS = 1_795_000_000_000
ONE = EndpointState("orders.shop", "http://10.0.0.1:80", 0, "up", 1, since_ms=AT_MS, source="file")


def test_keys_are_those_of_the_page() -> None:
    assert [KEYS.hosts, KEYS.services, KEYS.events, KEYS.host("a"), KEYS.endpoints("s"), KEYS.overrides("w@file")] == [
        "mesh:hosts", "mesh:services", "mesh:events", "mesh:host:a", "mesh:endpoints:s", "mesh:overrides:w@file"]


@given(st.from_regex(r"[a-z0-9-]+\.[a-z0-9-]+", fullmatch=True), st.text(min_size=1))
def test_a_key_of_an_instance_is_read_back(service: str, id: str) -> None:
    assert KEYS.instance_of(KEYS.instance(service, id)) == (service, id)
    assert KEYS.is_instance(KEYS.instance(service, id))


@given(st.text(min_size=1))
def test_a_key_of_overrides_is_read_back(service: str) -> None:
    key = KEYS.overrides(service)
    assert KEYS.is_overrides(key)
    assert not KEYS.is_instance(key)
    assert KEYS.service_of(key) == service


def test_a_prefix_with_wildcards_in_it_is_taken_literally() -> None:
    assert Keys("m*sh?[a]:").followed == r"m\*sh\?\[a\]:[ior]*"


def test_an_opinion_that_is_up_gives_no_reason() -> None:
    opinion = opinion_of(replace(ONE, error="timed out"), "host-a")
    assert dict(opinion.core) == {"state": "up", "why": "", "at": spelled(AT_MS)}
    assert dict(opinion.facts)["lastError"] == "timed out (seen by host-a)"
    assert opinion.is_plain


@pytest.mark.parametrize("said, why", [
    (replace(ONE, state="down", error="connection refused"), "connection refused"),
    (replace(ONE, state="drain", override="drain by ann: disk is full"), "drain by ann: disk is full"),
    (replace(ONE, state="drain"), "the instance is about to leave"),
    (replace(ONE, state="ejected"), "its requests failed"),
    (replace(ONE, state="waits"), "not probed yet")])
def test_a_state_other_than_up_has_a_reason(said: EndpointState, why: str) -> None:
    opinion = opinion_of(said, "host-a")
    assert dict(opinion.core)["why"] == why
    assert not opinion.is_plain


def test_numbers_alone_can_wait() -> None:
    before = opinion_of(ONE, "host-a")
    assert before.is_same_but_numbers(opinion_of(replace(ONE, requests=5, latency_us=1234), "host-a"))
    assert not before.is_same_but_numbers(opinion_of(replace(ONE, weight=2), "host-a"))


def test_an_opinion_is_json_for_people() -> None:
    opinion = opinion_of(replace(ONE, requests=5, latency_us=1234), "host-a")
    assert json.loads(opinion.opinion_json()) == {
        "state": "up", "why": "", "at": spelled(AT_MS), "inFlight": 0, "requests": 5, "failures": 0, "latencyMs": 1.23}


def test_times_are_as_people_write_them() -> None:
    assert spelled(AT_MS) == "2026-11-18T11:06:40Z"
    assert spelled(0) == ""


def test_a_host_goes_down_once() -> None:
    text = HostSaid("10.0.0.1", load=0.5, last_seen="2026-11-18T11:06:40Z").to_json()
    down = host_went_down(text, AT_MS)
    assert not is_down(text)
    assert is_down(down)
    assert read_object(down)["lastSeen"] == "2026-11-18T11:06:40Z"
    assert host_went_down(down, AT_MS + 1000) == ""


def test_a_host_is_forgotten_a_while_after_it_went_down() -> None:
    down = host_went_down(HostSaid().to_json(), AT_MS)
    assert not is_forgotten(down, AT_MS + 9_000, after_s=10)
    assert is_forgotten(down, AT_MS + 12_000, after_s=10)
    assert not is_forgotten(HostSaid().to_json(), AT_MS + 12_000, after_s=10)


@pytest.mark.parametrize("text", ["", "oops", "[]", '{"down": 5}', "{"])
def test_what_somebody_wrote_by_hand_hurts_nobody(text: str) -> None:
    assert not is_down(text)
    assert not is_forgotten(text, AT_MS, 10)
    assert is_down(host_went_down(text, AT_MS))


def test_in_a_small_mesh_everybody_speaks() -> None:
    assert all(speaks(f"host-{n}", "s", "u", MANY) for n in range(MANY))


def test_in_a_large_mesh_about_as_many_speak_of_each_endpoint() -> None:
    hosts = 500
    speakers = [sum(speaks(f"host-{n}", "orders.shop", f"http://10.0.0.{url}:80", hosts) for n in range(hosts))
                for url in range(200)]
    assert MANY * 0.9 < sum(speakers) / len(speakers) < MANY * 1.1
    assert min(speakers) > 0


def test_intervals_grow_with_the_mesh_and_not_before() -> None:
    pace = Pace()
    assert [pace.stretched(5.0, hosts) for hosts in (1, MANY, 10 * MANY)] == [5.0, 5.0, 50.0]


# Whether an endpoint that drains has drained

OUT, BUSY, IN = {"state": "drain", "inFlight": 0}, {"state": "drain", "inFlight": 2}, {"state": "up", "inFlight": 0}
HOSTS = {"host-a": '{"state": "up"}', "host-b": '{"state": "up"}', "host-c": '{"state": "down"}'}


@pytest.mark.parametrize("opinions, is_over", [
    ({"host-a": OUT, "host-b": OUT}, True),
    ({"host-a": OUT, "host-b": {"state": "disabled", "inFlight": 0}}, True),
    ({"host-a": OUT, "host-b": BUSY}, False),
    ({"host-a": OUT, "host-b": IN}, False),                     # it has not heard of the drain yet
    ({"host-a": OUT}, False),                                   # a host that is up says nothing
    ({"host-a": OUT, "host-b": OUT, "host-c": BUSY}, False),    # its workers may live on
    ({"host-a": OUT, "host-b": {"state": "drain"}}, False),
    ({"host-a": OUT, "host-b": "out"}, False),
    ({}, False)])
def test_a_drain_is_over_when_no_host_has_anything_under_way(opinions: dict[str, Any], is_over: bool) -> None:
    assert has_drained(json.dumps({"opinions": opinions}), HOSTS) is is_over


@pytest.mark.parametrize("text", ["", "{", "[]", '{"opinions": []}'])
def test_a_drain_of_which_nothing_can_be_read_is_not_over(text: str) -> None:
    assert not has_drained(text, HOSTS)
