"""The same keys in one Redis, read by Traefik and by us: the same objects, but for what differs on purpose."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from kv_redis import SERVER, RedisRunning
from proxies import Traefik
from running import until

from mesh.model import LoadBalancer, RedisProvider, Weighted
from mesh.providers.catalog import Catalog, Settled
from mesh.providers.kv import read_pairs
from workers.agent.kv import look_once

pytestmark = pytest.mark.skipif(SERVER is None, reason="no redis-server on this machine")

URL = "http://127.0.0.1:1"
KEYS = {
    # what the documentation shows
    "http/routers/plain/rule": "Host(`plain.example`)", "http/routers/plain/service": "plain",
    "http/routers/plain/entrypoints/0": "web", "http/routers/plain/entrypoints/1": "ops",
    "http/routers/plain/priority": "42", "http/services/plain/loadbalancer/servers/0/url": URL,
    "http/services/plain/loadbalancer/servers/0/weight": "3",
    "http/services/plain/loadbalancer/servers/1/url": "http://127.0.0.1:2",
    # any case of fields, lists with commas
    "http/routers/loud/RULE": "PathPrefix(`/loud`)", "http/routers/loud/Service": "plain",
    "http/routers/loud/EntryPoints": "web,ops",
    # any case of sections
    "HTTP/Routers/sections/rule": "Host(`sections.example`)", "http/ROUTERS/sections/service": "plain",
    # values by kind
    "http/services/kinds/loadbalancer/passhostheader": "false", "http/services/kinds/loadbalancer/servers/0/url": URL,
    "http/services/kinds/loadbalancer/servers/0/preservepath": "true",
    "http/routers/kinds/rule": "Host(`kinds.example`)", "http/routers/kinds/service": "kinds",
    # shares, and a reference with its provider
    "http/services/shares/weighted/services/0/name": "plain", "http/services/shares/weighted/services/0/weight": "2",
    "http/services/shares/weighted/services/1/name": "kinds@redis",
    "http/services/shares/weighted/services/1/weight": "1",
    "http/routers/shares/rule": "Host(`shares.example`)", "http/routers/shares/service": "shares",
    # more than nine of a list: their order is by number here, by text there
    **{f"http/services/many/weighted/services/{index}/name": f"plain{index}" for index in range(11)},
    **{f"http/services/plain{index}/loadbalancer/servers/0/url": f"http://127.0.0.1:{index + 1}"
       for index in range(11)},
    # a name in two cases is one router
    "http/routers/Twice/rule": "Host(`twice.example`)", "http/routers/twice/service": "plain",
    # other people's keys
    "acme/account": "x", "leader": "y",
}


@pytest.fixture(scope="module")
def read(program: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, Any], Settled]]:
    """What Traefik's API says of these keys, and what we make of them."""
    directory = tmp_path_factory.mktemp("kv")
    (directory / "conf").mkdir()
    with RedisRunning(directory / "redis", "--notify-keyspace-events", "AKE") as redis:
        for key, value in KEYS.items():
            redis.client.set(f"traefik/{key}", value)
        points: dict[str, dict[str, Any]] = {"web": {}, "ops": {}}
        with Traefik(directory / "theirs", directory / "conf", points, redis.server.addresses[0]) as other:
            until(lambda: "plain@redis" in other.ask("/api/rawdata").get("routers", {}), "Traefik's keys")
            theirs = other.ask("/api/rawdata")
        catalog = Catalog(lambda path: b"")
        pairs = look_once(RedisProvider(redis.server)).pairs
        catalog.take("redis:traefik", read_pairs(pairs, "traefik", lambda path: b""))
        yield theirs, catalog.settle({"web", "ops"})


def test_we_find_nothing_wrong_with_them(read: tuple[dict[str, Any], Settled]) -> None:
    assert [str(problem) for problem in read[1].problems] == []


def test_both_have_the_same_objects(read: tuple[dict[str, Any], Settled]) -> None:
    theirs, ours = read
    assert {name for name in theirs["routers"] if name.endswith("@redis")} == set(ours.dynamic.routers)
    assert {name for name in theirs["services"] if name.endswith("@redis")} == set(ours.dynamic.services)


def test_routers_say_the_same(read: tuple[dict[str, Any], Settled]) -> None:
    theirs, ours = read
    for name, router in ours.dynamic.routers.items():
        one = theirs["routers"][name]
        assert one["rule"] == router.rule
        assert one["service"].removesuffix("@redis") == router.service.removesuffix("@redis")
        assert set(one["entryPoints"]) == set(router.entry_points or ("web", "ops"))
        assert not router.priority or one["priority"] == router.priority


def test_services_say_the_same(read: tuple[dict[str, Any], Settled]) -> None:
    theirs, ours = read
    for name, service in ours.dynamic.services.items():
        one = theirs["services"][name]
        if isinstance(service.how, Weighted):
            said = {(each["name"].removesuffix("@redis"), each.get("weight", 1))
                    for each in one["weighted"]["services"]}
            assert said == {(child.removesuffix("@redis"), weight) for child, weight in service.how.children}
        else:
            assert isinstance(service.how, LoadBalancer)
            servers = [(each["url"], each.get("weight", 1), each.get("preservePath", False))
                       for each in one["loadBalancer"]["servers"]]
            assert servers == [(each.url, each.weight, each.preserve_path) for each in service.how.servers]
            assert one["loadBalancer"]["passHostHeader"] == service.how.pass_host_header


def test_lists_are_in_the_order_of_their_numbers_here_alone(read: tuple[dict[str, Any], Settled]) -> None:
    theirs, ours = read
    how = ours.dynamic.services["many@redis"].how
    assert isinstance(how, Weighted)
    here = [name.removesuffix("@redis") for name, _ in how.children]
    there = [each["name"].removesuffix("@redis") for each in theirs["services"]["many@redis"]["weighted"]["services"]]
    assert here == [f"plain{index}" for index in range(11)]
    assert there != here
    assert sorted(there) == sorted(here)
