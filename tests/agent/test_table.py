"""The agent's table: who has which slot, what is said of an endpoint, and what is told of it."""
from __future__ import annotations

import os
import threading
import time
from dataclasses import replace

import pytest
from table_memory import A, B, C, Host, dynamic, memory_of, service

from mesh.errors import Place
from mesh.health.override import Override
from mesh.health.verdict import REFUSED, WELL
from mesh.model import Dynamic, HealthCheck, Service, Static, Weighted
from mesh.shared.series import GAUGE_GENERATION, GAUGE_PID
from mesh.shared.slots import (
    SLOT_CHANGED_MS,
    SLOT_EJECTED_MS,
    SLOT_EJECTIONS,
    SLOT_FAILURES,
    SLOT_LATENCY,
    SLOT_PROBES,
    SLOT_REQUESTS,
    SLOT_SINCE_MS,
    STATE_DOWN,
    STATE_DRAIN,
    STATE_LOCAL,
    STATE_WAITS,
    WEIGHT_SHIFT,
    key_of,
)
from workers.agent import overrides
from workers.agent.given import QUIET_S
from workers.agent.states import Registered

CHECK = HealthCheck(interval=5.0, healthy_threshold=2, unhealthy_threshold=3)
STARTS_DOWN = HealthCheck(starts="down")
WEB = "web@file"


@pytest.fixture
def host() -> Host:
    return Host()


# Slots

def test_every_endpoint_of_a_load_balancer_has_a_slot_of_its_own(host):
    slots = host.publish(service(WEB, A, B), service("api@file", A), Service("both@file", Weighted(((WEB, 1),))))
    assert set(slots) == {WEB, "api@file"}
    assert len({*slots[WEB], *slots["api@file"]}) == 3
    assert slots[WEB] == (host.slot(WEB, A), host.slot(WEB, B))


def test_an_edit_moves_no_slot(host):
    before = host.publish(service(WEB, A, B))
    after = host.publish(service(WEB, C, B, A), service("api@file", A))
    assert (after[WEB][2], after[WEB][1]) == before[WEB]


def test_a_url_that_stands_twice_has_one_slot(host):
    slots = host.publish(service(WEB, A, B, A))[WEB]
    assert slots[0] == slots[2] != slots[1]
    assert [(each.url, each.weight) for each in host.table.endpoints()] == [(A, 2), (B, 1)]


def test_a_service_that_is_the_same_object_is_not_looked_at_again(host):
    names = [f"s{number}@file" for number in range(10_000)]
    many = {name: service(name) for name in names}
    host.table.assign(Dynamic(services=many))
    changed = {**many, names[7]: service(names[7], A)}
    started = time.perf_counter()
    slots = host.table.assign(Dynamic(services=changed)).slots
    took_s = time.perf_counter() - started
    assert slots[names[7]] == (0,)
    assert took_s < 0.1, "3 ms on the machine where it was written"


def test_an_edit_that_moves_the_lines_of_a_service_alone_is_nothing_new(host):
    host.publish(service(WEB, A, B, check=CHECK))
    before = host.table.plan.services[WEB]
    host.publish(replace(service(WEB, A, B, check=CHECK), place=Place("a.yml", 9, 1)))
    assert host.table.plan.services[WEB] is before


def test_where_slots_run_out_the_others_serve_without(host):
    urls = [f"http://10.9.7.{number}" for number in range(70)]
    slots = host.publish(service(WEB, *urls))[WEB]
    assert (slots.count(-1), len(set(slots)) - 1) == (6, 64)
    assert [each.slot for each in host.table.endpoints()][-1] == -1
    assert host.seen(urls[-1]).state == "up"


def test_one_that_had_no_slot_gets_one_when_there_are_some_again(host):
    urls = [f"http://10.9.7.{number}" for number in range(64)]
    others, web = service("others@file", *urls), service(WEB, A)
    assert host.publish(others, web)[WEB] == (-1,)
    host.publish(web)
    quiet(host)
    assert host.publish(web)[WEB][0] >= 0


def test_a_slot_that_a_killed_agent_gave_and_did_not_set_up_is_set_up_by_its_successor(host):
    host.publish(service(WEB, A, check=STARTS_DOWN))
    host.memory.slots.give(key_of(WEB, B))
    host.begin()
    host.publish(service(WEB, A, B, check=STARTS_DOWN))
    assert host.state(WEB, B) == STATE_WAITS
    assert host.word(WEB, B, SLOT_SINCE_MS) > 0
    host.begin()
    host.table.probed(WEB, B, host.slot(WEB, B), STARTS_DOWN, WELL, 10)
    host.publish(service(WEB, A, B, check=STARTS_DOWN))
    assert host.state(WEB, B) == 0


def quiet(host: Host, s: float = QUIET_S) -> None:
    host.table.tick()
    host.clock.now += s
    host.table.tick()


def test_a_slot_is_taken_back_after_a_quiet_time(host):
    host.publish(service(WEB, A, B))
    host.publish(service(WEB, B))
    quiet(host, QUIET_S - 1)
    assert host.slot(WEB, A) >= 0
    host.clock.now += 1
    host.table.tick()
    assert host.slot(WEB, A) == -1
    assert host.slot(WEB, B) >= 0


def test_a_slot_is_not_taken_back_while_a_worker_serves_an_older_plan(host):
    column = host.memory.column(0)
    column.take(os.getpid())
    host.publish(service(WEB, A))
    column.set_gauge(GAUGE_GENERATION, 1)
    host.publish()
    quiet(host)
    quiet(host)
    assert host.slot(WEB, A) >= 0
    column.set_gauge(GAUGE_GENERATION, 2)
    quiet(host)
    assert host.slot(WEB, A) == -1


def test_a_worker_that_is_gone_holds_no_slot(host):
    column = host.memory.column(0)
    column.take(os.getpid())
    column.set_gauge(GAUGE_GENERATION, 1)
    host.publish(service(WEB, A))
    host.publish()
    column.release()
    assert column.gauge(GAUGE_PID) == 0
    quiet(host)
    assert host.slot(WEB, A) == -1


def test_a_slot_is_not_taken_back_while_something_is_under_way_there():
    buffer = bytearray(memory_of().size(*memory_of().sizes))
    memory_of().format(buffer, *memory_of().sizes)
    host = Host(memory=memory_of(buffer))
    host.memory.slots.hold_column(0)
    host.publish(service(WEB, A))
    host.publish()
    slot = host.slot(WEB, A)
    flights = in_flight_at(buffer, host, slot)
    flights[0] = 1
    quiet(host)
    assert host.slot(WEB, A) == slot
    flights[0] = 0
    quiet(host, 1)
    assert host.slot(WEB, A) == slot, "the quiet time begins with the end of the last request"
    quiet(host)
    assert host.slot(WEB, A) == -1


def in_flight_at(buffer: bytearray, host: Host, slot: int) -> memoryview:
    """The words of a slot's requests under way, found by the only way that there is from outside: trying."""
    words = memoryview(buffer).cast("i")
    start = host.memory.size(*host.memory.sizes) // 4
    for index in range(start - 1, 0, -1):
        if words[index]:
            continue
        words[index] = 1
        is_it = host.memory.slots.in_flight(slot)
        words[index] = 0
        if is_it:
            return words[index:index + 1]
    raise AssertionError("no word of the memory is a request under way")


def test_a_plan_that_was_refused_takes_no_slot(host):
    host.publish(service(WEB, A, B))
    host.table.assign(dynamic(service(WEB, B)))         # and no `published`: it did not fit
    quiet(host)
    assert host.slot(WEB, A) >= 0
    host.publish(service(WEB, A, B))
    assert host.word(WEB, A, SLOT_SINCE_MS) == 0, "it never left"


def test_one_that_comes_back_in_time_keeps_its_cells(host):
    slot = host.publish(service(WEB, A, B))[WEB][0]
    host.memory.slots.add(slot, SLOT_REQUESTS, 5)
    host.publish(service(WEB, B))
    assert host.publish(service(WEB, A, B))[WEB][0] == slot
    quiet(host)
    assert host.word(WEB, A, SLOT_REQUESTS) == 5


# Successors

def test_a_successor_goes_on_with_slots_states_and_rows(host):
    web = service(WEB, A, B, check=CHECK)
    before = host.publish(web)
    for _ in range(3):
        host.table.probed(WEB, A, before[WEB][0], CHECK, REFUSED, 10)
    host.table.probed(WEB, A, before[WEB][0], CHECK, WELL, 10)
    host.begin()
    assert host.publish(web) == before
    assert host.states() == {A: "down", B: "up"}
    assert host.word(WEB, A, SLOT_PROBES) == 1
    assert host.word(WEB, A, SLOT_SINCE_MS) == 0
    host.table.probed(WEB, A, before[WEB][0], CHECK, WELL, 10)
    assert host.states()[A] == "up"
    assert host.told("endpoint-joined") == []


def test_a_successor_takes_back_what_left_while_no_agent_was_there(host):
    host.publish(service(WEB, A, B))
    host.begin()
    host.publish(service(WEB, B))
    quiet(host)
    assert (host.slot(WEB, A), host.slot(WEB, B) >= 0) == (-1, True)


# Slow start, waiting, local

def test_at_the_first_start_nobody_starts_slowly(host):
    host.publish(service(WEB, A, B))
    assert host.word(WEB, A, SLOT_SINCE_MS) == host.word(WEB, B, SLOT_SINCE_MS) == 0


def test_one_that_joins_others_starts_slowly(host):
    host.publish(service(WEB, A))
    host.clock.now += 5
    host.publish(service(WEB, A, B), service("api@file", C))
    assert host.word(WEB, B, SLOT_SINCE_MS) == host.clock.now * 1000
    assert host.word(WEB, A, SLOT_SINCE_MS) == host.word("api@file", C, SLOT_SINCE_MS) == 0
    assert host.told("endpoint-joined") == [f"endpoint-joined web@file {B}", f"endpoint-joined api@file {C}"]


def test_one_that_joined_while_no_agent_was_there_starts_slowly_too(host):
    host.publish(service(WEB, A))
    host.begin()
    host.publish(service(WEB, A, B))
    assert host.word(WEB, B, SLOT_SINCE_MS) == host.clock.now * 1000


def test_one_that_left_and_returns_starts_slowly(host):
    host.publish(service(WEB, A, B))
    host.publish(service(WEB, A))
    host.clock.now += 5
    host.publish(service(WEB, A, B))
    assert host.word(WEB, B, SLOT_SINCE_MS) == host.clock.now * 1000
    assert host.told() == [f"endpoint-left web@file {B}", f"endpoint-joined web@file {B}"]


def test_one_that_was_down_starts_slowly(host):
    slot, = host.publish(service(WEB, A, check=CHECK))[WEB]
    for why in (REFUSED, REFUSED, REFUSED, WELL, WELL):
        host.table.probed(WEB, A, slot, CHECK, why, 10)
    assert host.word(WEB, A, SLOT_SINCE_MS) == host.clock.now * 1000


def test_one_that_starts_down_waits_for_its_first_probe(host):
    slot, _ = host.publish(service(WEB, A, B, check=STARTS_DOWN))[WEB]
    assert host.states() == {A: "waits", B: "waits"}
    host.table.probed(WEB, A, slot, STARTS_DOWN, WELL, 10)
    assert host.states() == {A: "up", B: "waits"}
    assert host.word(WEB, A, SLOT_SINCE_MS) == 0, "all of them are new"


def test_a_check_that_is_taken_away_leaves_nobody_down(host):
    slot, _ = host.publish(service(WEB, A, B, check=STARTS_DOWN))[WEB]
    host.table.probed(WEB, A, slot, STARTS_DOWN, REFUSED, 10)
    host.publish(service(WEB, A, B))
    assert not host.state(WEB, A) & (STATE_DOWN | STATE_WAITS)
    assert (host.seen(A).error, host.seen(A).probes, host.seen(A).checked) == ("", 0, False)


def test_a_check_that_is_added_takes_nobody_out(host):
    host.publish(service(WEB, A))
    host.publish(service(WEB, A, check=STARTS_DOWN))
    assert host.states() == {A: "up"}


def test_down_stays_down_through_an_edit(host):
    slot, = host.publish(service(WEB, A, check=CHECK))[WEB]
    for _ in range(3):
        host.table.probed(WEB, A, slot, CHECK, REFUSED, 10)
    host.publish(service(WEB, A, B, check=HealthCheck(interval=1.0)))
    assert host.states() == {A: "down", B: "up"}


@pytest.mark.parametrize("url", ["http://127.0.0.1", "http://127.9.9.9:80", "http://[::1]:80", "http://localhost:80",
                                 "http://localhost.:80", "http://a.localhost", "http://host-a:80", "http://HOST-A",
                                 "http://10.9.9.9:80", "http://[::ffff:127.0.0.1]"])
def test_what_is_on_this_host_is_local(url):
    host = Host(Static(host_name="Host-A", host_address="10.9.9.9"))
    host.publish(service(WEB, url, A))
    assert host.state(WEB, url) & STATE_LOCAL
    assert not host.state(WEB, A) & STATE_LOCAL
    assert host.seen(url).local


# What operators and instances say

def test_a_word_holds_in_the_cells_at_once_and_is_told(host):
    host.publish(service(WEB, A, B))
    changes = host.memory.slots.changes
    host.table.override(WEB, A, "drain", "ann", "disk is full")
    assert host.states() == {A: "drain", B: "up"}
    assert host.memory.slots.changes > changes
    assert host.seen(A).override == "drain by ann: disk is full"
    assert host.told() == [f"override web@file {A} drain by ann: disk is full"]


def test_a_word_that_is_taken_back_lets_the_endpoint_return_slowly(host):
    host.publish(service(WEB, A, B))
    host.table.override(WEB, A, "disable")
    host.table.override(WEB, A, "", "bob", "repaired")
    assert host.states() == {A: "up", B: "up"}
    assert host.word(WEB, A, SLOT_SINCE_MS) == host.clock.now * 1000
    assert host.told()[-1] == f"override web@file {A} no disable by bob: repaired"


def test_a_weight_is_the_operators_until_it_is_taken_back(host):
    host.publish(service(WEB, A, B))
    host.table.override(WEB, A, "weight=0")
    assert host.state(WEB, A) >> WEIGHT_SHIFT == 1
    assert (host.seen(A).weight, host.seen(A).state) == (0, "up")
    host.table.override(WEB, A, "")
    assert host.seen(A).weight == 1


def test_a_word_moves_neither_the_probes_verdict_nor_what_is_local(host):
    local = "http://127.0.0.1:80"
    slot, = host.publish(service(WEB, local, check=CHECK))[WEB]
    for _ in range(3):
        host.table.probed(WEB, local, slot, CHECK, REFUSED, 10)
    host.table.override(WEB, local, "drain")
    assert host.state(WEB, local) == STATE_DOWN | STATE_DRAIN | STATE_LOCAL
    host.table.override(WEB, local, "")
    assert host.state(WEB, local) == STATE_DOWN | STATE_LOCAL


def test_a_word_is_kept_for_one_that_is_not_there_yet_and_over_its_absence(host):
    host.publish(service(WEB, A))
    host.table.override(WEB, B, "drain")
    host.publish(service(WEB, A, B))
    assert host.states() == {A: "up", B: "drain"}
    host.publish(service(WEB, A))
    quiet(host)
    host.publish(service(WEB, A, B))
    assert host.states() == {A: "up", B: "drain"}


@pytest.mark.parametrize("name", ["orders.shop", "orders.shop@mesh"])
def test_a_service_of_the_mesh_is_known_by_both_its_names(host, name):
    host.publish(service("orders.shop@mesh", A))
    host.table.override(name, A, "drain")
    assert host.states() == {A: "drain"}
    assert list(host.table.overrides()) == [("orders.shop", A)]


def test_a_wrong_word_changes_nothing(host):
    host.publish(service(WEB, A))
    with pytest.raises(ValueError, match="drain, disable or weight=N"):
        host.table.override(WEB, A, "stop")
    assert (host.states(), host.told()) == ({A: "up"}, [])


def test_what_redis_says_replaces_all_words(host):
    host.publish(service(WEB, A, B))
    host.table.override(WEB, A, "drain")
    host.table.replace_overrides({(WEB, B): Override("disable", "bob", "old")})
    assert host.states() == {A: "up", B: "disabled"}
    assert host.told()[1:] == [f"override web@file {A} no drain", f"override web@file {B} disable by bob: old"]
    host.table.replace_overrides({(WEB, B): Override("disable", "bob", "old")})
    assert len(host.told()) == 3


def test_an_instance_that_wants_to_leave_drains_whatever_its_weight(host):
    host.publish(service(WEB, A, B))
    host.table.override(WEB, A, "weight=5")
    host.table.registered({(WEB, A): Registered("redis", "host-b", "drain")})
    assert (host.seen(A).state, host.seen(A).weight, host.seen(A).source, host.seen(A).host) == (
        "drain", 5, "redis", "host-b")
    host.table.registered({(WEB, A): Registered("redis", "host-b")})
    assert (host.seen(A).state, host.seen(A).weight) == ("up", 5)
    assert host.seen(B).source == "file"


# The file

@pytest.fixture
def kept(tmp_path) -> Host:
    """A host with a state directory."""
    return Host(Static(state_directory=str(tmp_path / "state")))


def test_words_outlive_the_memory(kept):
    kept.table.override("orders.shop", A, "drain", "ann", "disk is full")
    kept.table.override(WEB, B, "weight=3")
    kept.table.override(WEB, B, "")
    assert overrides.path_of(kept.static.state_directory).read_text() == (
        f'{{\n  "orders.shop": {{\n    "{A}": "drain by ann: disk is full"\n  }}\n}}\n')
    after = Host(kept.static)
    after.publish(service("orders.shop@mesh", A))
    assert after.states() == {A: "drain"}
    assert after.told() == []


def test_what_is_written_into_the_file_holds_with_the_next_look(kept):
    kept.publish(service(WEB, A, B))
    overrides.put(kept.static.state_directory, WEB, A, Override("drain", "ann", "by hand"))
    kept.table.tick()
    assert kept.states() == {A: "drain", B: "up"}
    assert kept.told() == [f"override web@file {A} drain by ann: by hand"]
    overrides.path_of(kept.static.state_directory).unlink()
    kept.table.tick()
    assert kept.states() == {A: "up", B: "up"}


@pytest.mark.parametrize("text", ["{", "[]", f'{{"web@file": {{"{A}": "stop"}}}}', '{"web@file": 7}',
                                  f'{{"web@file": {{"{A}": 7}}}}'])
def test_a_file_that_nobody_understands_takes_no_word_back(kept, text, caplog):
    kept.publish(service(WEB, A, B))
    kept.table.override(WEB, A, "drain")
    path = overrides.path_of(kept.static.state_directory)
    path.write_text(text)
    kept.table.tick()
    kept.table.tick()
    assert kept.states() == {A: "drain", B: "up"}
    assert len([line for line in caplog.messages if str(path) in line]) == 1


def test_a_service_in_the_file_may_have_its_qualified_name(kept):
    path = overrides.path_of(kept.static.state_directory)
    path.parent.mkdir()
    path.write_text(f'{{"orders.shop@mesh": {{"{A}": "drain"}}}}')
    kept.table.tick()
    assert kept.table.overrides() == {("orders.shop", A): Override("drain")}


def test_a_wrong_word_in_the_file_harms_no_other(kept):
    kept.publish(service(WEB, A, B))
    path = overrides.path_of(kept.static.state_directory)
    path.parent.mkdir()
    path.write_text(f'{{"web@file": {{"{A}": "stop", "{B}": "drain"}}}}')
    kept.table.tick()
    assert kept.states() == {A: "up", B: "drain"}


def test_with_a_redis_the_file_is_its_memory_alone(kept):
    kept.publish(service(WEB, A, B))
    kept.table.replace_overrides({(WEB, A): Override("drain")})
    overrides.put(kept.static.state_directory, WEB, B, Override("drain"))
    kept.table.tick()
    assert kept.states() == {A: "drain", B: "up"}
    after = Host(kept.static)
    assert after.table.overrides() == {(WEB, A): Override("drain"), (WEB, B): Override("drain")}


def test_many_writers_lose_no_word(tmp_path):
    directory = str(tmp_path / "state")
    threads = [threading.Thread(target=lambda number=number: [
        overrides.put(directory, f"s{number}", f"http://{each}", Override("drain")) for each in range(10)])
        for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    said, wrong = overrides.read(overrides.path_of(directory))
    assert (len(said), wrong) == (40, {})


def test_a_state_directory_that_cannot_be_written_is_told_and_the_word_holds(tmp_path):
    (tmp_path / "state").write_text("a file")
    host = Host(Static(state_directory=str(tmp_path / "state")))
    host.publish(service(WEB, A))
    with pytest.raises(OSError):
        host.table.override(WEB, A, "drain")
    assert host.states() == {A: "drain"}


# What workers do, and what everybody reads

def test_an_ejection_and_its_end_are_told(host):
    slot, _ = host.publish(service(WEB, A, B))[WEB]
    host.table.tick()
    now_ms = int(host.clock.now * 1000)
    host.memory.slots.store(slot, SLOT_EJECTED_MS, now_ms + 20_000)
    host.memory.slots.store(slot, SLOT_EJECTIONS, 2)
    host.table.tick()
    host.table.tick()
    assert host.states() == {A: "ejected", B: "up"}
    assert host.seen(A).ejected_ms == 20_000
    host.clock.now += 20
    host.table.tick()
    assert host.states() == {A: "up", B: "up"}
    assert host.told() == [f"endpoint-ejected web@file {A} ejected: its requests failed, for 20 s, time 2 in a row",
                           f"endpoint-returned web@file {A} up: its ejection is over"]


def test_the_end_of_an_ejection_has_a_date_and_says_what_the_endpoint_is_then(host):
    slot, _ = host.publish(service(WEB, A, B))[WEB]
    host.memory.slots.store(slot, SLOT_EJECTED_MS, int(host.clock.now * 1000) + 20_000)
    host.memory.slots.store(slot, SLOT_CHANGED_MS, 1)
    host.table.tick()
    host.table.override(WEB, A, "drain")
    host.memory.slots.store(slot, SLOT_CHANGED_MS, 1)
    host.clock.now += 20
    host.table.tick()
    assert host.told()[-1] == f"endpoint-returned web@file {A} drain: its ejection is over"
    assert host.seen(A).since_ms > 1


def test_an_ejection_of_before_is_no_news_for_a_successor(host):
    slot, = host.publish(service(WEB, A))[WEB]
    host.memory.slots.store(slot, SLOT_EJECTED_MS, int(host.clock.now * 1000) + 20_000)
    host.begin()
    host.publish(service(WEB, A))
    host.table.tick()
    assert host.told() == []
    host.clock.now += 20
    host.table.tick()
    assert host.told() == [f"endpoint-returned web@file {A} up: its ejection is over"]


def test_an_endpoint_shows_what_its_cells_say(host):
    slot, = host.publish(service("orders.shop@mesh", A, check=CHECK))["orders.shop@mesh"]
    for word, value in ((SLOT_REQUESTS, 9), (SLOT_FAILURES, 2), (SLOT_LATENCY, (77 << 32) | 1500)):
        host.memory.slots.store(slot, word, value)
    host.table.probed("orders.shop@mesh", A, slot, CHECK, 503, 1234)
    seen = host.seen(A)
    assert (seen.service, seen.qualified, seen.source, seen.slot) == ("orders.shop", "orders.shop@mesh", "file", slot)
    assert (seen.requests, seen.failures, seen.latency_us, seen.in_flight) == (9, 2, 1500, 0)
    assert (seen.state, seen.error, seen.probes, seen.probe_us, seen.checked) == ("up", "status 503", -1, 1234, True)
    assert abs(seen.probed_ms / 1000 - time.time()) < 60


def test_an_operators_word_is_shown_before_what_was_found_out(host):
    slot, = host.publish(service(WEB, A, check=CHECK))[WEB]
    for _ in range(3):
        host.table.probed(WEB, A, slot, CHECK, REFUSED, 10)
    assert (host.seen(A).state, host.seen(A).is_well) == ("down", False)
    host.table.override(WEB, A, "drain")
    assert (host.seen(A).state, host.seen(A).is_well) == ("drain", False)


def test_one_that_has_not_changed_is_the_same_object(host):
    host.publish(service(WEB, A, B))
    before = {each.url: each for each in host.table.endpoints()}
    host.memory.slots.add(host.slot(WEB, A), SLOT_REQUESTS, 1)
    after = {each.url: each for each in host.table.endpoints()}
    assert after[A] is not before[A]
    assert after[B] is before[B]


def test_what_changes_the_state_says_when(host):
    slot, = host.publish(service(WEB, A, check=CHECK))[WEB]
    host.memory.slots.store(slot, SLOT_CHANGED_MS, 1)
    for _ in range(2):
        host.table.probed(WEB, A, slot, CHECK, REFUSED, 10)
    assert host.seen(A).since_ms == 1
    host.table.probed(WEB, A, slot, CHECK, REFUSED, 10)
    assert abs(host.seen(A).since_ms / 1000 - time.time()) < 60


def test_up_and_down_are_told_with_their_reasons(host):
    slot, = host.publish(service("orders.shop@mesh", A, check=CHECK))["orders.shop@mesh"]
    for why in (503, 503, REFUSED, WELL, WELL):
        host.table.probed("orders.shop@mesh", A, slot, CHECK, why, 10)
    assert host.told() == [f"endpoint-down orders.shop {A} down: connection refused, 3 probes failed in a row",
                           f"endpoint-up orders.shop {A} up: 2 probes good in a row"]
