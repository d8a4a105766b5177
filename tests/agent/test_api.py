"""The API's pictures, as data."""
from __future__ import annotations

from datetime import datetime

from mesh.errors import Place, Problem
from mesh.model import Dynamic, EntryPoint, LoadBalancer, Middleware, Router, Server, Service, Static, Weighted
from mesh.providers.published import Published
from workers.agent.api import default_entry_points, endpoints, entry_points, overview, rawdata
from workers.agent.states import EndpointState

WEB = EntryPoint("web", "127.0.0.1", 80)
STATIC = Static(entry_points={"web": WEB, "other": EntryPoint("other", "::1", 8080, as_default=True)})


def test_a_router_shows_the_entrypoints_and_the_priority_that_go_without_saying():
    router = Router("r@file", "Host(`a`)", "s@file")
    said = rawdata(Dynamic({"r@file": router}), Published(), STATIC)["routers"]["r@file"]
    assert (said["using"], said["priority"], said["status"]) == (["other"], 9, "enabled")


def test_the_priority_that_goes_without_saying_is_the_one_that_routers_are_ordered_by():
    rules = ("Path(`/caf\u00e9`)", "Host(`**.example.com`)")
    routers = {rule: Router(rule, rule, "s@file") for rule in rules}
    said = rawdata(Dynamic(routers), Published(), STATIC)["routers"]
    assert [said[rule]["priority"] for rule in rules] == [len(rules[0]) + 1, len(rules[1]) - 2]


def test_where_no_entrypoint_is_marked_all_are_default():
    assert default_entry_points(Static(entry_points={"web": WEB, "b": EntryPoint("b", "", 1)})) == ("web", "b")


def test_a_middleware_shows_its_kind_and_who_uses_it():
    dynamic = Dynamic({"r@file": Router("r@file", "Host(`a`)", "s@file", middlewares=("m@file",))},
                      middlewares={"m@file": Middleware("m@file", "addPrefix", {"prefix": "/x"})})
    said = rawdata(dynamic, Published(), STATIC)["middlewares"]["m@file"]
    assert (said["addPrefix"], said["type"], said["usedBy"]) == ({"prefix": "/x"}, "addprefix", ["r@file"])


def test_weighted_services_in_a_circle_are_still_told():
    dynamic = Dynamic({"r@file": Router("r@file", "Host(`a`)", "a@file")},
                      {name: Service(name, Weighted(((other, 1),))) for name, other in (
                          ("a@file", "b@file"), ("b@file", "a@file"))})
    said = rawdata(dynamic, Published(), STATIC)["services"]
    assert {name: each["usedBy"] for name, each in said.items()} == {"a@file": ["r@file"], "b@file": ["r@file"]}


def test_a_server_that_preserves_its_path_says_so():
    balancer = LoadBalancer((Server("http://a", 1, True), Server("http://b")), transport="t@file")
    said = rawdata(Dynamic(services={"s@mesh": Service("s@mesh", balancer)}), Published(), STATIC)["services"]["s@mesh"]
    assert said["loadBalancer"]["servers"] == [{"url": "http://a", "weight": 1, "preservePath": True},
                                               {"url": "http://b", "weight": 1}]
    assert (said["loadBalancer"]["serversTransport"], said["provider"]) == ("t@file", "mesh")


def test_what_does_not_serve_shows_its_problems():
    problem = Problem(Place("a.yml", 3, 4), "http.routers.r", "wrong")
    told = Published(status={"routers/r@file": "disabled"}, why={"routers/r@file": (problem,)})
    said = rawdata(Dynamic(), told, STATIC)
    assert said["routers"] == {"r@file": {"status": "disabled", "error": [str(problem)], "provider": "file"}}


def test_the_overview_counts_what_is_not_built_too():
    said = overview(Published(status={"routers/a@file": "enabled", "routers/b@file": "warning",
                                      "routers/c@file": "disabled", "tcp.routers/d@file": "disabled"}), STATIC)
    assert said["http"]["routers"] == {"total": 3, "warnings": 1, "errors": 1}
    assert said["tcp"]["routers"] == {"total": 1, "warnings": 0, "errors": 1}
    assert said["udp"] == {"routers": {"total": 0, "warnings": 0, "errors": 0},
                           "services": {"total": 0, "warnings": 0, "errors": 0}}


def test_an_address_of_ipv6_has_its_brackets():
    assert [each["address"] for each in entry_points(STATIC, {})] == ["127.0.0.1:80", "[::1]:8080"]


def test_an_endpoint_says_null_where_nothing_is_known_and_times_as_people_write_them():
    new, seen = endpoints([
        EndpointState("orders.shop", "http://a", 3, "up", 1, qualified="orders.shop@mesh"),
        EndpointState("web@file", "http://b", 4, "down", 2, since_ms=1_700_000_000_123, latency_us=1500, checked=True,
                      probed_ms=1_700_000_000_000, probe_us=900, probes=-3, error="status 503", is_well=False)])
    assert (new["service"], new["qualifiedService"]) == ("orders.shop", "orders.shop@mesh")
    assert (new["since"], new["latencyUs"], new["healthCheck"], new["lastFailure"]) == (None, None, None, None)
    assert datetime.fromisoformat(seen["since"]).timestamp() == 1_700_000_000.123
    assert seen["healthCheck"] == {"last": seen["healthCheck"]["last"], "durationUs": 900, "inARow": -3,
                                   "error": "status 503"}
