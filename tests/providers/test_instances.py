"""Instances joined to the services of the files."""
from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.model import Dynamic, HealthCheck, LoadBalancer, Router, Server, Service
from mesh.providers.catalog import Catalog, Settled
from mesh.providers.instances import Instance, Joiner, grouped, read_instance, with_instances, written
from mesh.rules.language import parse

A, B, C = (f"http://10.0.0.{number}:8080" for number in (1, 2, 3))


def one(url: str = A, service: str = "orders.shop", **others) -> Instance:
    return Instance(service, url, id=others.pop("id", "a"), source="redis", **others)


def settled(text: str) -> Settled:
    catalog = Catalog(lambda path: b"")
    catalog.said("/conf.d/a.yml", text.encode())
    return catalog.settle(["web"])


def urls(dynamic: Dynamic, service: str = "orders.shop@mesh") -> list[str]:
    return [server.url for server in dynamic.services[service].how.servers]


def joined(text: str, *instances: Instance) -> Settled:
    return Joiner().settle(settled(text), grouped(instances))


FILE = f"mesh: {{services: {{orders.shop: {{endpoints: ['{A}']}}}}}}"


def test_an_instance_joins_behind_the_endpoints_of_the_file():
    assert urls(with_instances(settled(FILE).dynamic, [one(C), one(B)])) == [A, B, C]


def test_a_service_that_no_file_names_is_made_as_the_short_form_makes_it():
    made = with_instances(Dynamic(), [one(A)])
    said = settled(FILE).dynamic
    for section in ("services", "routers"):
        from_file, from_instance = getattr(said, section), getattr(made, section)
        here = {name: from_instance[name].place for name in from_file}
        assert {name: replace(each, place=here[name]) for name, each in from_file.items()} == from_instance


def test_its_router_can_be_read():
    router = with_instances(Dynamic(), [one(A)]).routers["orders.shop@mesh"]
    assert parse(router.rule)
    assert router.service == "orders.shop@mesh"


def test_a_url_is_there_once_and_the_files_weight_stands():
    text = f"mesh: {{services: {{orders.shop: {{endpoints: [{{url: '{A}', weight: 7}}]}}}}}}"
    dynamic = with_instances(settled(text).dynamic, [one(A, weight=2), one(A, id="b"), one(B, weight=3)])
    assert dynamic.services["orders.shop@mesh"].how.servers == (Server(A, 7), Server(B, 3))


def test_a_slash_at_the_end_makes_no_other_endpoint():
    text = f"mesh: {{services: {{orders.shop: {{endpoints: ['{A}/']}}}}}}"
    assert urls(with_instances(settled(text).dynamic, [read_instance("orders.shop", "a", A)])) == [f"{A}/"]
    assert urls(with_instances(Dynamic(), [read_instance("orders.shop", "a", f"{A}/")])) == [A]


def test_the_options_of_the_file_hold_for_whoever_joins():
    how = LoadBalancer((Server(A),), strategy="p2c", health_check=HealthCheck(path="/health"), slow_start=10.0)
    base = Dynamic(services={"orders.shop@mesh": Service("orders.shop@mesh", how)})
    now = with_instances(base, [one(B)]).services["orders.shop@mesh"].how
    assert now == replace(how, servers=(Server(A), Server(B)))


def test_a_draining_instance_is_an_endpoint_as_before():
    before, now = (with_instances(Dynamic(), [one(A, draining=draining), one(B)]) for draining in (False, True))
    assert before == now


def test_of_two_instances_at_one_url_the_one_that_stays_has_the_word():
    dynamic = with_instances(Dynamic(), [one(A, id="a", draining=True), one(A, id="b", weight=3)])
    assert dynamic.services["orders.shop@mesh"].how.servers == (Server(A, 3),)


@pytest.mark.parametrize("instance, words", [
    (one("10.0.0.1:8080"), 'instance "a": url: "10.0.0.1:8080" is not a URL such as http://10.0.0.1:8080'),
    (one("http://10.0.0.1:99999"), "99999"),
    (one("http://u@h"), "user names"),
    (one(f"{A}/base"), f"write {A}"),
    (one("h2c://10.0.0.1:80"), "not supported yet"),
    (one(""), "is not a URL"),
    (one(weight=-1), "weight"),
    (one(service="orders"), '"orders" is not a mesh name; wanted <service>.<namespace> such as orders.shop'),
    (one(service="web@file"), '"web@file" is not a mesh name'),
    (one(service="Orders.Shop"), "is not a mesh name"),
    (read_instance("orders.shop", "a", "{"), "neither a url nor JSON"),
    (read_instance("orders.shop", "a", '{"url":"x","wieght":1}'), '"wieght" is not known'),
    (read_instance("orders.shop", "a", '{"weight":1}'), "wanted \"url\""),
    (read_instance("orders.shop", "a", '{"url":"x","weight":"1"}'), "weight: wanted a whole number"),
    (read_instance("orders.shop", "a", '{"url":"x","state":"away"}'), 'wanted "drain"'),
    (read_instance("orders.shop", "a", "x" * 5000), "longer than"),
])
def test_what_is_wrong_with_an_instance_is_told_and_the_others_serve(instance, words):
    said = joined("http: {}", instance, one(B, id="good"))
    problem, = said.problems
    assert words in str(problem)
    assert (problem.severity, problem.place.file) == ("warning", "redis")
    assert urls(said.dynamic) == [B]


def test_a_service_of_bad_instances_alone_is_not_made():
    said = joined("http: {}", one("nonsense"))
    assert not said.dynamic.services
    assert not said.dynamic.routers
    assert len(said.problems) == 1


def test_a_service_without_its_protection_is_not_made_up_from_instances():
    said = joined("mesh: {services: {orders.shop: {circuitBreaker: {expression: x}}}}", one(A))
    assert "orders.shop@mesh" not in said.dynamic.services
    assert "orders.shop@mesh" not in said.dynamic.routers
    assert any(problem.severity == "warning" and "do not serve" in problem.message for problem in said.problems)


def test_its_instances_serve_once_the_file_is_mended():
    joiner, instances = Joiner(), grouped([one(B)])
    joiner.settle(settled("mesh: {services: {orders.shop: {nonsense: 1}}}"), instances)
    assert urls(joiner.settle(settled(FILE), instances).dynamic) == [A, B]
    joiner.settle(settled("mesh: {services: {orders.shop: {nonsense: 1}}}"), instances)
    assert urls(joiner.settle(settled("http: {}"), instances).dynamic) == [B]


def test_the_status_has_what_was_made():
    said = joined("http: {}", one(A))
    assert said.status == {"services/orders.shop@mesh": "enabled", "routers/orders.shop@mesh": "enabled"}


def test_a_service_with_a_bad_instance_is_a_warning_in_the_status():
    said = joined(FILE, one("nonsense"), one(B))
    assert said.status["services/orders.shop@mesh"] == "warning"
    assert said.is_good
    assert said.why["services/orders.shop@mesh"] == said.problems


def test_without_instances_what_the_files_say_is_the_same_object():
    said = settled(FILE)
    assert Joiner().settle(said, {}) is said


def test_what_went_takes_its_service_with_it():
    joiner, said = Joiner(), settled("http: {}")
    joiner.settle(said, grouped([one(A)]))
    gone = joiner.settle(said, {})
    assert not gone.dynamic.services
    assert gone.status == {}


def test_an_unchanged_service_stays_the_same_object():
    joiner, said = Joiner(), settled(FILE)
    before = grouped([one(B), one(C, "other.shop")])
    first = joiner.settle(said, before).dynamic
    after = {**before, "other.shop": (one(B, "other.shop"),)}
    second = joiner.settle(said, after).dynamic
    assert second.services["orders.shop@mesh"] is first.services["orders.shop@mesh"]
    assert second.services["other.shop@mesh"] is not first.services["other.shop@mesh"]
    assert second.routers["other.shop@mesh"] is first.routers["other.shop@mesh"]


INSTANCES = st.lists(st.builds(
    Instance, st.sampled_from(["a.b", "c.d", "bad"]), st.sampled_from([A, B, C, "nonsense"]), st.integers(0, 3),
    st.text(max_size=2), st.sampled_from(["redis", "systemd"]), draining=st.booleans()), max_size=12)
STEPS = st.lists(st.tuples(INSTANCES, st.booleans()), min_size=1, max_size=4)


@given(STEPS)
def test_whoever_remembers_makes_the_same_as_whoever_does_not(steps):
    joiner = Joiner()
    of_file = Dynamic(services={"a.b@mesh": Service("a.b@mesh", LoadBalancer((Server(A),)))},
                      routers={"a.b@mesh": Router("a.b@mesh", "Host(`a.b.mesh`)", "a.b@mesh")})
    for instances, with_file in steps:
        base = of_file if with_file else Dynamic()
        assert joiner.join(base, grouped(instances)) == with_instances(base, reversed(instances))


@given(st.text())
def test_no_value_of_a_key_breaks_anything(value):
    with_instances(Dynamic(), [read_instance("orders.shop", "a", value)])


@given(st.builds(Instance, st.just("orders.shop"), st.sampled_from([A, "https://h"]), st.integers(0, 9), st.just("a"),
                 st.just("redis"), st.sampled_from(["", "host-a"]), st.dictionaries(st.text(), st.text(), max_size=3),
                 st.booleans()))
def test_what_is_written_is_read_again(instance):
    assert read_instance("orders.shop", "a", written(instance)) == instance


def test_an_instance_that_says_nothing_special_is_written_as_its_url():
    assert written(one(A)) == A


def test_a_file_that_names_a_service_of_instances_alone_is_told_how():
    said = settled("http: {routers: {x: {rule: Host(`x`), service: orders.shop@mesh}}}")
    assert "mesh.services.orders.shop is said" in said.problems[0].hint
    text = "mesh: {services: {orders.shop: {}}}\nhttp: {routers: {x: {rule: Host(`x`), service: orders.shop@mesh}}}"
    assert joined(text, one(A)).is_good


def test_what_is_wrong_is_told_in_one_line_that_a_terminal_survives():
    problem, = joined("http: {}", one("http://x", id="a\x1b[2J\n" + "b" * 1000, weight=-1)).problems
    assert str(problem).isprintable()
    assert len(problem.message) <= 400


def test_of_a_thousand_wrong_instances_the_first_are_told_and_how_many_there_are():
    said = joined("http: {}", *(one("nonsense", id=str(number)) for number in range(1000)))
    assert len(said.problems) == 11
    assert "and 990 more" in said.problems[-1].message
    said = joined("http: {}", *(one("nonsense", f"s{number}.shop") for number in range(1000)))
    assert len(said.problems) == 101
