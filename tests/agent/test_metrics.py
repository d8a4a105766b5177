"""From the cells to what Prometheus reads, as data."""
from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families as text_families

from mesh.errors import Place, Problem
from mesh.names import METRICS
from mesh.shared.layout import (
    FACT_DYNAMIC_FAILURES,
    FACT_DYNAMIC_RELOADS,
    FACT_WORDS,
    FACT_WORKERS,
    Memory,
)
from mesh.shared.series import (
    GAUGE_CONNECTIONS,
    GAUGE_ENTRYPOINTS,
    GAUGE_GENERATION,
    GAUGE_LOG_DROPPED,
    ROW_RETRIES,
    ROW_WORDS,
)
from workers.agent.metrics import MAX_FILES, families, negotiate, registry_of, write
from workers.agent.states import EndpointState
from workers.agent.store_link import RedisSeen
from workers.report import Picture, look

SIZES = (1 << 12, 1 << 12, 4, 64)
NOTHING = Picture((0,) * FACT_WORDS)


def labels(entry_point="web", router="", service="", code="200", method="GET", protocol="http") -> bytes:
    return "\x1f".join((entry_point, router, service, code, method, protocol)).encode()


@pytest.fixture
def memory() -> Memory:
    buffer = bytearray(Memory.size(*SIZES))
    Memory.format(buffer, *SIZES)
    return Memory(buffer)


def samples(picture: Picture, entry_points=("web",), problems=(), openmetrics=False) -> dict:
    """Every sample by its name and labels, read back from the text."""
    text = write(families(picture, entry_points, problems), openmetrics).decode()
    parse = openmetrics_families if openmetrics else text_families
    return {(sample.name, *sorted(sample.labels.items())): sample.value
            for family in parse(text) for sample in family.samples}


def value(found: dict, name: str, **wanted: str) -> float:
    return found[(name, *sorted(wanted.items()))]


GET = {"code": "200", "method": "GET", "protocol": "http"}


def test_requests_are_summed_over_all_workers_dead_ones_too(memory):
    for number, count in ((0, 3), (1, 4), (2, 5)):
        memory.column(number).take(100 + number)
        for _ in range(count):
            memory.column(number).record(labels(router="r@file", service="s@file"), 2_000, 10, 100)
    memory.column(2).release()
    found = samples(look(memory))
    for what, more in (("entrypoint", {"entrypoint": "web"}), ("router", {"router": "r@file", "service": "s@file"}),
                       ("service", {"service": "s@file"})):
        assert value(found, f"mesh_{what}_requests_total", **GET, **more) == 12
        assert value(found, f"mesh_{what}_requests_bytes_total", **GET, **more) == 120
        assert value(found, f"mesh_{what}_responses_bytes_total", **GET, **more) == 1200


def test_an_entrypoint_sums_its_routers_and_what_no_router_took(memory):
    column = memory.column(0)
    column.take(1)
    column.record(labels(router="one", service="s"))
    column.record(labels(router="two", service="s"))
    column.record(labels(code="404"))
    found = samples(look(memory))
    assert value(found, "mesh_entrypoint_requests_total", **GET, entrypoint="web") == 2
    assert value(found, "mesh_service_requests_total", **GET, service="s") == 2
    assert value(found, "mesh_entrypoint_requests_total", **{**GET, "code": "404"}, entrypoint="web") == 1
    assert not [key for key in found if key[0] == "mesh_router_requests_total" and ("code", "404") in key]


def test_the_histogram_is_cumulative_and_ends_with_all(memory):
    memory.column(0).take(1)
    for duration_us in (400, 500, 501, 100_000, 20_000_000):
        memory.column(0).record(labels(), duration_us)
    found = samples(look(memory))
    where = {**GET, "entrypoint": "web"}
    name = "mesh_entrypoint_request_duration_seconds"
    assert [value(found, f"{name}_bucket", **where, le=le) for le in ("0.0005", "0.001", "0.1", "10.0", "+Inf")] == [
        2, 3, 4, 4, 5]
    assert value(found, f"{name}_count", **where) == 5
    assert value(found, f"{name}_sum", **where) == pytest.approx(20.101401)


def test_what_found_no_row_of_its_own_is_counted_under_overflow(memory):
    column = memory.column(0)
    column.take(1)
    for number in range(100):
        column.record(labels(router=f"r{number}", service="s"))
    found = samples(look(memory))
    total = sum(each for key, each in found.items() if key[0] == "mesh_router_requests_total")
    assert total == 100
    assert value(found, "mesh_router_requests_total", code="", method="", protocol="", router="overflow",
                 service="overflow") == 100 - (SIZES[3] - 1)


def test_retries_are_told_by_service():
    rows = {labels(router=name, service="s"): [0] * ROW_WORDS for name in ("one", "two")}
    for words in rows.values():
        words[ROW_RETRIES] = 2
    assert value(samples(Picture((0,) * FACT_WORDS, rows=rows)), "mesh_service_retries_total", service="s") == 4


def test_connections_are_told_by_entrypoint_in_the_order_of_the_file(memory):
    for number in (0, 1):
        memory.column(number).take(7)
        memory.column(number).set_gauge(GAUGE_ENTRYPOINTS + 1, 3)
        memory.column(number).set_gauge(GAUGE_CONNECTIONS, 3)
        memory.column(number).set_gauge(GAUGE_GENERATION, 5)
    found = samples(look(memory), ("web", "other"))
    assert value(found, "mesh_open_connections", entrypoint="web", protocol="TCP") == 0
    assert value(found, "mesh_open_connections", entrypoint="other", protocol="TCP") == 6
    assert value(found, "mesh_workers") == 2
    assert value(found, "mesh_worker_generation", worker="1") == 5


def test_lines_dropped_by_a_dead_worker_still_count(memory):
    memory.column(0).take(1)
    memory.column(0).set_gauge(GAUGE_LOG_DROPPED, 9)
    memory.column(0).release()
    assert value(samples(look(memory)), "mesh_access_log_dropped_total") == 9


def test_facts_are_told(memory):
    memory.facts.store(FACT_DYNAMIC_RELOADS, 4)
    memory.facts.store(FACT_DYNAMIC_FAILURES, 3)
    memory.facts.store(FACT_WORKERS, 2)
    found = samples(look(memory))
    assert value(found, "mesh_config_reloads_total") == 4
    assert value(found, "mesh_config_reload_failures_total") == 3
    assert value(found, "mesh_workers_wanted") == 2


def test_problems_are_told_by_file_and_are_bounded():
    problems = [Problem(Place(f"{number:03}.yml"), "", "wrong") for number in range(MAX_FILES + 50)]
    found = samples(NOTHING, problems=[*problems, *problems[:1]])
    of_files = {key: each for key, each in found.items() if key[0] == "mesh_config_problems"}
    assert value(found, "mesh_config_problems", severity="error", file="000.yml") == 2
    assert value(found, "mesh_config_problems", severity="error", file="") == 50
    assert value(found, "mesh_config_problems", severity="warning", file="") == 0
    assert len(of_files) == MAX_FILES + 2


@pytest.mark.parametrize("openmetrics", [False, True])
def test_labels_of_any_kind_survive(memory, openmetrics):
    memory.column(0).take(1)
    odd = 'a"b\\c\nd\u00e9{}'
    memory.column(0).record(labels(router=odd, service="s"))
    memory.column(0).record(b"\xff\x1fr")
    found = samples(look(memory), openmetrics=openmetrics)
    assert value(found, "mesh_router_requests_total", **GET, router=odd, service="s") == 1
    assert value(found, "mesh_router_requests_total", code="", method="", protocol="", router="r", service="") == 1


@pytest.mark.parametrize("openmetrics", [False, True])
def test_our_writing_says_the_same_as_prometheus_clients(memory, openmetrics):
    memory.column(0).take(1)
    memory.column(0).record(labels(router='r"', service="s"), 700, 1, 2)
    picture = look(memory)
    problems = [Problem(Place("a.yml"), "", "wrong")]
    registry = registry_of(lambda: families(picture, ["web"], problems, 1.5))
    ours = write(registry.collect(), openmetrics).decode()
    theirs = (generate_openmetrics if openmetrics else generate_latest)(registry).decode()
    parse = openmetrics_families if openmetrics else text_families
    assert list(parse(ours)) == list(parse(theirs))
    assert [line for line in ours.splitlines() if line[:1] == "#"] == [
        line for line in theirs.splitlines() if line[:1] == "#"]


def test_five_thousand_series_are_written_in_well_under_a_second():
    rows = {labels(router=f"router-{number}@file", service=f"service-{number}@file"): [number] * ROW_WORDS
            for number in range(5000)}
    picture = Picture((0,) * FACT_WORDS, rows=rows)
    spent = []
    for _ in range(3):
        started = time.process_time()
        write(families(picture, ["web"]), openmetrics=False)
        spent.append(time.process_time() - started)
    assert min(spent) < 0.6


@pytest.mark.parametrize("accept, is_openmetrics", [
    ("", False), ("*/*", False), ("text/plain;version=0.0.4", False),
    ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1", True)])
def test_the_form_is_the_scrapers_choice(accept, is_openmetrics):
    assert negotiate(accept) is is_openmetrics


def test_every_metric_is_told_and_no_other():
    told = {}
    for family in families(NOTHING, ["web"]):
        name = family.name + {"counter": "_total", "info": "_info"}.get(family.type, "")
        told[name] = family.type
    assert told == {name: kind for name, (kind, _, _) in METRICS.items()}


def test_the_page_about_metrics_names_all_of_them_with_their_labels():
    page = (Path(__file__).parents[2] / "docs/metrics.md").read_text()
    rows = re.findall(r"^\| `(mesh_\w+)` \| (\w+) \| ([^|]*) \| ([^|]+) \|$", page, re.MULTILINE)
    assert {name: (kind, tuple(re.findall(r"`(\w+)`", said)), words.strip()) for name, kind, said, words in rows} == {
        name: (kind.replace("info", "gauge"), labels, words) for name, (kind, labels, words) in METRICS.items()}


def test_an_endpoint_is_well_or_not():
    text = write(families(NOTHING, (), endpoints=[
        EndpointState("orders.shop", "http://a", 0, "drain", 1, qualified="orders.shop@mesh"),
        EndpointState("orders.shop", 'http://"b', 1, "down", 1, qualified="orders.shop@mesh", is_well=False)]), False)
    found = {tuple(sorted(sample.labels.items())): sample.value for family in text_families(text.decode())
             for sample in family.samples if sample.name == "mesh_service_server_up"}
    assert found == {(("service", "orders.shop@mesh"), ("url", "http://a")): 1,
                     (("service", "orders.shop@mesh"), ("url", 'http://"b')): 0}


def test_how_redis_does_is_told_where_there_is_one():
    text = write(families(NOTHING, ["web"], redis=RedisSeen(True, 0.002, 3)), openmetrics=False).decode()
    assert "mesh_redis_up 1\n" in text
    assert "mesh_redis_latency_seconds 0.002\n" in text
    assert "\nmesh_redis_up " not in write(families(NOTHING, ["web"]), openmetrics=False).decode()
