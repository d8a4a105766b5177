"""Plans: what survives an edit, who listens where, whose turn it is, and what is left out."""
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plans_built import WEB, compiled, model, router, service, shop, steps_of, weighted

import mesh.plan
import mesh.rules.matcher
import mesh.rules.predicates
from mesh.errors import Place
from mesh.http1.head import RequestHead
from mesh.model import Dynamic, EntryPoint, LoadBalancer, Server, Service, Transport
from mesh.model_json import from_json, to_json
from mesh.rules.expression import quoted
from mesh.rules.request import Request

WEB_AND_ADMIN = {name: EntryPoint(name, "127.0.0.1", port) for name, port in (("web", 80), ("admin", 81))}


def found(plan, host="", path="/", entry_point="web", **more):
    """The name of the router that takes a request, or None."""
    route = plan.tables[entry_point].find_for(Request(host=host.encode(), path=path.encode(), **more))
    return route and route.router


def turns(plan, name, count):
    """The urls of so many turns; None where there is nobody."""
    taken = [plan.services[name].take_turn() for _ in range(count)]
    return [endpoint and endpoint.url for endpoint in taken]


def routes_of(plan, entry_point="web"):
    return {route.router: route for route in plan.tables[entry_point].routes}


# What survives an edit.

def test_a_model_that_says_the_same_keeps_every_object():
    first = compiled(shop())
    second = compiled(from_json(to_json(shop())), previous=first)
    assert second is not first
    assert second.tables["web"] is first.tables["web"]
    assert all(second.services[name] is first.services[name] for name in ("cart", "stock"))
    assert {*map(id, second.endpoints.values())} == {*map(id, first.endpoints.values())}


def test_lines_that_move_in_their_file_change_nothing():
    said = shop()
    moved = Dynamic(*({name: replace(each, place=Place("other.yml", 99)) for name, each in section.items()}
                      for section in (said.routers, said.services)))
    first = compiled(said)
    second = compiled(moved, previous=first)
    assert second.services["cart"] is first.services["cart"]
    assert second.tables["web"] is first.tables["web"]


def test_an_edited_weight_makes_a_new_service_of_the_same_endpoints():
    first = compiled(shop())
    second = compiled(shop(service("cart", ("http://10.0.0.1:80", 3), "http://10.0.0.2:80")), previous=first)
    assert second.services["cart"] is not first.services["cart"]
    assert second.services["cart"].endpoints == first.services["cart"].endpoints
    assert second.services["stock"] is first.services["stock"]


def test_a_route_follows_its_service_and_keeps_its_account_only_with_it():
    first = compiled(shop())
    for route in first.tables["web"].routes:
        route.account = object()
    second = compiled(shop(service("cart", "http://10.0.0.9:80")), previous=first)
    assert routes_of(second)["carts"].service is second.services["cart"]
    assert routes_of(second)["carts"].account is None
    assert routes_of(second)["stocks"] is routes_of(first)["stocks"]
    assert second.tables["web"].find_for(Request(host=b"cart.shop")) is routes_of(second)["carts"]


def test_an_edited_rule_or_priority_keeps_the_route():
    first = compiled(shop())
    second = compiled(shop(router("carts", "Host(`basket.shop`)", "cart", priority=7)), previous=first)
    assert routes_of(second)["carts"] is routes_of(first)["carts"]
    assert (found(second, "basket.shop"), found(second, "cart.shop")) == ("carts", None)
    assert found(first, "cart.shop") == "carts"


def test_a_route_to_another_service_is_another_route():
    first = compiled(shop())
    second = compiled(shop(router("carts", "Host(`cart.shop`)", "stock")), previous=first)
    assert routes_of(second)["carts"] is not routes_of(first)["carts"]


def test_a_pool_hangs_on_its_endpoint_whichever_service_has_it():
    first = compiled(shop())
    pool = first.services["stock"].endpoints[0].pool = object()
    second = compiled(model(service("other", "http://10.0.0.7:80", "http://10.0.0.3:80")), previous=first)
    assert second.services["other"].endpoints[1].pool is pool
    assert {url for url, _, _ in second.endpoints} == {"http://10.0.0.7:80", "http://10.0.0.3:80"}


def test_an_endpoint_spoken_to_in_another_way_is_another_endpoint():
    slow, slower = Transport("slow", dial_timeout=5.0), Transport("slow", dial_timeout=9.0)
    used = service("cart", "http://10.0.0.1:80", transport="slow")
    first = compiled(model(used, transports=[slow]))
    assert compiled(model(used, transports=[replace(slow, place=Place("x", 1))]), previous=first).services["cart"] \
        is first.services["cart"]
    second = compiled(model(used, transports=[slower]), previous=first)
    assert second.services["cart"] is not first.services["cart"]
    assert second.services["cart"].endpoints[0].transport == slower
    preserved = Service("cart", LoadBalancer((Server("http://10.0.0.1:80", preserve_path=True),), transport="slow"))
    third = compiled(model(preserved, transports=[slower]), previous=second)
    assert third.services["cart"].endpoints[0] is not second.services["cart"].endpoints[0]


def test_turns_go_on_through_an_edit_of_something_else():
    first = compiled(shop())
    before = turns(first, "cart", 1)
    second = compiled(shop(router("new", "Path(`/`)", "stock")), previous=first)
    assert before + turns(second, "cart", 1) == ["http://10.0.0.1:80", "http://10.0.0.2:80"]


def test_a_service_is_new_when_one_below_it_is():
    top = weighted("top", middle=1)
    said = [service("leaf", "http://10.0.0.1:80"), weighted("middle", leaf=1), top]
    first = compiled(model(*said))
    second = compiled(model(service("leaf", "http://10.0.0.2:80"), *said[1:]), previous=first)
    assert second.services["top"] is not first.services["top"]
    assert turns(second, "top", 1) == ["http://10.0.0.2:80"]
    assert compiled(model(*said[1:], said[0]), previous=first).services["top"] is first.services["top"]


names = st.sampled_from(["a", "b", "c", "d"])
services_said = st.dictionaries(names, st.lists(st.tuples(st.sampled_from(["http://x", "http://y", "http://z"]),
                                                          st.integers(0, 2)), max_size=3), max_size=4)
routers_said = st.dictionaries(names, st.tuples(st.sampled_from(["Host(`h`)", "Path(`/`)", "Method(`GET`)"]), names,
                                                st.integers(0, 2)), max_size=4)


@settings(max_examples=150)
@given(*[services_said, routers_said] * 2)
def test_what_says_the_same_is_the_same_object_and_a_plan_is_as_good_as_one_made_afresh(one, one_r, two, two_r):
    def said(services, routers):
        return model(*[service(name, *servers) for name, servers in services.items()],
                     *[router(name, rule, to, priority=n) for name, (rule, to, n) in routers.items() if to in services])
    first = compiled(said(one, one_r))
    second = compiled(said(two, two_r), previous=first)
    fresh = compiled(said(two, two_r))
    for name, servers in two.items():
        assert (second.services[name] is first.services.get(name)) == (one.get(name) == servers)
    for key, endpoint in second.endpoints.items():
        assert endpoint is first.endpoints.get(key, endpoint)
    for name, route in routes_of(second).items():
        kept = name in one_r and one_r[name][1] == two_r[name][1] and one.get(two_r[name][1]) == two[two_r[name][1]]
        assert (route is routes_of(first).get(name)) == kept
        assert route.service is second.services[two_r[name][1]]
    assert second.endpoints.keys() == fresh.endpoints.keys()
    for request in (Request(host=b"h"), Request(path=b"/x"), Request(method=b"PUT")):
        winners = [plan.tables["web"].find_for(request) for plan in (second, fresh)]
        assert repr(winners[0]) == repr(winners[1])


# Entrypoints and priorities.

def test_a_router_without_entrypoints_listens_on_every_default_one():
    asked = model(service("s", "http://a"), router("r", "Path(`/`)", "s"))
    default = {**WEB_AND_ADMIN, "web": replace(WEB_AND_ADMIN["web"], as_default=True)}
    for entry_points, where in ((WEB_AND_ADMIN, {"web", "admin"}), (default, {"web"})):
        plan = compiled(asked, entry_points)
        assert {name for name in plan.tables if found(plan, entry_point=name)} == where


def test_a_router_listens_where_it_says_with_a_route_for_each_entrypoint():
    plan = compiled(model(service("s", "http://a"), router("both", "Path(`/`)", "s", "admin", "web", "admin"),
                          router("one", "Path(`/one`)", "s", "admin")), WEB_AND_ADMIN)
    assert [(route.entry_point, route.router) for table in plan.tables.values() for route in table.routes] == [
        ("web", "both"), ("admin", "both"), ("admin", "one")]
    assert (found(plan, path="/one"), found(plan, path="/one", entry_point="admin")) == (None, "one")


def test_an_entrypoint_without_routers_has_an_empty_table():
    plan = compiled(Dynamic(), WEB_AND_ADMIN)
    assert found(plan, entry_point="admin") is None
    assert repr(plan) == "<Plan 0 routes on 2 entrypoints, 0 services, 0 endpoints>"


def test_the_longer_rule_comes_first_and_a_priority_that_is_said_counts_more():
    said = [service("s", "http://a"), router("short", "PathPrefix(`/a`)", "s"),
            router("long", "PathPrefix(`/a/b`)", "s")]
    plan = compiled(model(*said))
    assert (found(plan, path="/a/b"), found(plan, path="/a/c")) == ("long", "short")
    again = compiled(model(*said, router("short", "PathPrefix(`/a`)", "s", priority=1000)), previous=plan)
    assert found(again, path="/a/b") == "short"


def test_an_edit_on_one_entrypoint_leaves_the_table_of_another_alone():
    said = [service("s", "http://a"), router("r", "Path(`/`)", "s", "web")]
    first = compiled(model(*said), WEB_AND_ADMIN)
    second = compiled(model(*said, router("new", "Path(`/`)", "s", "admin")), WEB_AND_ADMIN, previous=first)
    assert second.tables["web"] is first.tables["web"]
    assert second.tables["admin"] is not first.tables["admin"]


# Endpoints and turns.

@pytest.mark.parametrize("url, host, port, tls, authority, prefix", [
    ("http://10.0.3.17:8080", b"10.0.3.17", 8080, False, b"10.0.3.17:8080", b""),
    ("http://10.0.3.17", b"10.0.3.17", 80, False, b"10.0.3.17", b""),
    ("http://10.0.3.17:80/", b"10.0.3.17", 80, False, b"10.0.3.17", b""),
    ("https://Cart.Shop/", b"cart.shop", 443, True, b"cart.shop", b""),
    ("https://cart.shop:443/api/", b"cart.shop", 443, True, b"cart.shop", b"/api"),
    ("https://cart.shop:80/a%20b", b"cart.shop", 80, True, b"cart.shop:80", b"/a%20b"),
    ("http://cart.shop:443/a//", b"cart.shop", 443, False, b"cart.shop:443", b"/a/"),
    ("http://[2001:DB8::1]:8080/v1", b"2001:db8::1", 8080, False, b"[2001:db8::1]:8080", b"/v1"),
    ("http://[::1]", b"::1", 80, False, b"[::1]", b""),
    ("http://[fe80::1%25eth0]:81", b"fe80::1%eth0", 81, False, b"[fe80::1]:81", b"")])
def test_an_endpoint_is_what_its_url_says(url, host, port, tls, authority, prefix):
    endpoint = compiled(model(service("s", url))).services["s"].endpoints[0]
    assert (endpoint.host, endpoint.port, endpoint.tls) == (host, port, tls)
    assert (endpoint.authority, endpoint.prefix) == (authority, b"")
    preserved = Service("s", LoadBalancer((Server(url, preserve_path=True),)))
    assert compiled(model(preserved)).services["s"].endpoints[0].prefix == prefix


weights = st.lists(st.integers(0, 5), min_size=1, max_size=5)


@given(weights, st.integers(0, 9))
def test_endpoints_get_exactly_their_shares(shares, start):
    said = service("s", *[(f"http://10.0.0.{number}", weight) for number, weight in enumerate(shares)])
    counted = Counter(turns(compiled(model(said), start=start), "s", 2 * sum(shares)))
    assert counted == +Counter({f"http://10.0.0.{n}": 2 * weight for n, weight in enumerate(shares)})


@given(weights, weights, st.integers(1, 4), st.integers(1, 4))
def test_weighted_services_of_weighted_services_get_exactly_their_shares(left, right, one, other):
    if not (any(left) and any(right)):
        return
    said = [service(f"{side}{n}", f"http://{side}{n}") for side, shares in (("l", left), ("r", right))
            for n in range(len(shares))]
    plan = compiled(model(weighted("top", left=one, right=other), *said,
                          weighted("left", **{f"l{n}": weight for n, weight in enumerate(left)}),
                          weighted("right", **{f"r{n}": weight for n, weight in enumerate(right)})))
    rounds = sum(left) * sum(right) * (one + other)
    counted = Counter(turns(plan, "top", rounds))
    for side, shares, part in (("l", left, one), ("r", right, other)):
        for n, weight in enumerate(shares):
            assert counted[f"http://{side}{n}"] == rounds * part * weight / (one + other) / sum(shares)


def test_services_that_share_a_child_share_its_turns():
    plan = compiled(model(service("pair", "http://a", "http://b"), weighted("one", pair=1), weighted("two", pair=1)))
    assert plan.services["one"].children[0] is plan.services["two"].children[0]
    assert turns(plan, "one", 1) + turns(plan, "two", 1) == ["http://a", "http://b"]


def test_where_nothing_has_weight_nobody_has_a_turn():
    plan = compiled(model(service("s", ("http://a", 0)), service("none"), weighted("w", s=0),
                          weighted("x", none=1, s=1)))
    for name in plan.services:
        assert turns(plan, name, 4) == [None] * 4


def test_a_child_without_endpoints_leaves_its_turns_to_the_others():
    plan = compiled(model(service("none"), service("s", "http://a"), weighted("w", none=1, s=1)))
    assert turns(plan, "w", 10) == ["http://a"] * 10


def test_workers_begin_at_different_places():
    said = shop()
    assert [turns(compiled(said, start=start), "cart", 1) for start in (0, 1, 2)] == [
        ["http://10.0.0.1:80"], ["http://10.0.0.2:80"], ["http://10.0.0.1:80"]]


def test_ten_thousand_weighted_services_inside_each_other_are_a_plan():
    chain = [weighted(f"w{n}", **{f"w{n + 1}": 1}) for n in range(10_000)]
    plan, count = steps_of(model(*chain, service("w10000", "http://a")), WEB)
    assert turns(plan, "w0", 1) == ["http://a"]
    assert count > 200


def test_the_host_header_is_passed_unless_the_service_says_no():
    plan = compiled(model(service("s", "http://a"), service("own", "http://a", pass_host_header=False)))
    assert (plan.services["s"].pass_host_header, plan.services["own"].pass_host_header) == (True, False)


# The way that requests take.

@pytest.mark.parametrize("target, host, winner", [
    ("/", "CART.shop.:8080", "carts"), ("/x", "cart.shop", "carts"), ("/a/../api/%7Ex", "stock.shop", "api"),
    ("/apx", "stock.shop", "stocks"), ("http://cart.shop/", "stock.shop", "carts"), ("/", "nobody.shop", None),
    ("/", "", None), ("/", "x.y.wild", "deep"), ("/api/~x", "x.wild", "wild"), ("/lost", "nobody.shop", "lost")])
def test_the_head_of_a_request_finds_its_route(target, host, winner):
    plan = compiled(shop(router("api", "Host(`stock.shop`) && PathPrefix(`/api/~`)", "stock"),
                         router("wild", "Host(`*.wild`) && PathPrefix(`/api/`)", "stock"),
                         router("deep", "Host(`**.wild`)", "cart"), router("lost", "Path(`/lost`)", "cart")))
    head = RequestHead()
    assert head.parse_bytes(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()) > 0
    route = plan.tables["web"].find_for(head)
    assert (route and route.router) == winner


# What is left out.

def test_a_rule_of_another_version_leaves_its_router_out_and_no_other():
    plan = compiled(shop(router("odd@file", "Host(`cart.shop`) && Weather(`fair`)", "cart", priority=99)))
    assert found(plan, "cart.shop") == "carts"
    assert [str(problem) for problem in plan.problems] == [
        'conf.d/shop.yml:3:5: error: http.routers.odd: rule: there is no matcher Weather, at column 22 of the rule '
        f'({plan.problems[0].hint})']


def test_a_rule_that_cannot_be_compiled_leaves_its_router_out_on_every_entrypoint(monkeypatch):
    """A bug in one matcher, told apart from all rules that are built together with it."""
    real = mesh.rules.predicates._LEAVES["Method"]
    broken = {"Method": lambda said: real(said) if said != "BREW" else [][0]}
    said = shop(router("tea@file", "Method(`BREW`)", "cart"), router("get", "Method(`GET`)", "stock"))
    with monkeypatch.context() as patched:
        patched.setattr(mesh.rules.predicates, "_LEAVES", mesh.rules.predicates._LEAVES | broken)
        plan = compiled(said, WEB_AND_ADMIN)
        again = compiled(said, WEB_AND_ADMIN, previous=plan)
    for each in (plan, again):
        assert [found(each, "cart.shop"), found(each), found(each, method=b"BREW")] == ["carts", "get", None]
        assert [problem.object for problem in each.problems] == ["http.routers.tea"]
        assert "tea@file" not in routes_of(each)
    assert found(compiled(said, previous=again), method=b"BREW") == "tea@file"


def test_what_a_router_refers_to_must_be_there():
    plan = compiled(model(service("s", "http://a"), router("lost", "Path(`/`)", "nobody"),
                          router("guarded", "Path(`/`)", "s", middlewares=("auth@file",))))
    assert found(plan) is None
    assert [(problem.object, problem.message) for problem in plan.problems] == [
        ("http.routers.lost", 'service "nobody" is not defined'),
        ("http.routers.guarded", 'middleware "auth@file" is not supported yet')]


def test_an_url_that_cannot_be_used_leaves_its_endpoint_out_and_the_weights_where_they_were():
    urls = ["http://a:0", "ftp://a", "http://", "http://a\r\nX: y", "http://a?b", "http://u@a", "http://[::1", "a:80"]
    plan = compiled(model(service("s", *[(url, 5) for url in urls], ("http://a", 1), ("http://b", 2))))
    assert Counter(turns(plan, "s", 3)) == {"http://a": 1, "http://b": 2}
    assert len(plan.problems) == len(urls)
    assert {problem.object for problem in plan.problems} == {"http.services.s"}


def test_a_transport_that_is_not_there_leaves_its_service_without_endpoints():
    plan = compiled(shop(service("cart", "http://a", transport="strict@file")))
    assert turns(plan, "cart", 1) == [None]
    assert found(plan, "cart.shop") == "carts"
    assert [problem.message for problem in plan.problems] == ['serversTransport "strict@file" is not defined']


def test_weighted_services_in_a_circle_end_where_it_closes():
    plan = compiled(model(weighted("a", b=1), weighted("b", c=1, a=1), weighted("c", a=1, s=1),
                          weighted("self", self=1), service("s", "http://s")))
    assert {each for name in ("a", "b", "c") for each in turns(plan, name, 40)} == {"http://s"}
    assert turns(plan, "self", 2) == [None, None]
    assert "shares a circle" in plan.problems[0].message


# Steps, and what one edit costs.

def many(edited=None):
    hosts = range(10_000)
    return model(*[service(f"s{n}", f"http://10.0.{n // 250}.{n % 250}") for n in hosts],
                 *[router(f"r{n}", f"Host(`h{n}.x`) && PathPrefix(`/{'new' if n == edited else 'v'}`)", f"s{n}")
                   for n in hosts])


def test_one_edit_among_ten_thousand_routers_compiles_one_rule(monkeypatch):
    first, count = steps_of(many(), WEB)
    assert found(first, "h7.x", "/v") == "r7"
    assert count > 1000
    parsed, asked = [], []
    parse, predicate = mesh.plan.parse, mesh.rules.matcher.predicate
    monkeypatch.setattr(mesh.plan, "parse", lambda text: parsed.append(text) or parse(text))
    monkeypatch.setattr(mesh.rules.matcher, "predicate", lambda part: asked.append(part) or predicate(part))
    second, count = steps_of(many(edited=7), WEB, previous=first)
    assert (len(parsed), len(asked)) == (1, 1)
    assert count > 300
    assert (found(second, "h7.x", "/v"), found(second, "h7.x", "/new")) == (None, "r7")
    assert all(second.services[name] is service for name, service in first.services.items())
    assert [*second.tables["web"].routes] == [*first.tables["web"].routes]


def test_no_step_parses_more_than_a_few_rules(monkeypatch):
    parsed = []
    parse = mesh.plan.parse
    monkeypatch.setattr(mesh.plan, "parse", lambda text: parsed.append(text) or parse(text))
    said = model(service("s", "http://a"), *[router(f"r{n}", f"Path(`/{n}`)", "s") for n in range(300)])
    most = seen = 0
    for _ in mesh.plan.compile_plan(said, WEB):
        most, seen = max(most, len(parsed) - seen), len(parsed)
    assert seen == 300
    assert most <= 10


def test_a_service_of_many_endpoints_is_made_in_many_steps():
    _, few = steps_of(model(service("s", "http://a")), WEB)
    _, many = steps_of(model(service("s", *[f"http://10.0.{n // 250}.{n % 250}" for n in range(2000)])), WEB)
    assert many - few >= 2000 / 50


def test_a_plan_half_made_leaves_the_one_before_as_it_was():
    first = compiled(shop())
    steps = mesh.plan.compile_plan(shop(service("cart")), WEB, previous=first)
    next(steps)
    steps.close()
    assert turns(first, "cart", 2) == ["http://10.0.0.1:80", "http://10.0.0.2:80"]


# For people.

def test_a_plan_is_let_go_in_small_steps_and_leaves_its_successor_whole():
    many = [router(f"r{number}", f"Host(`h{number}.shop`) || Host(`*.w{number}.shop`) || Path(`/p{number}`)", "stock")
            for number in range(1200)]
    before = compiled(shop(*many))
    held = before.tables["web"].routes[0]
    after = compiled(shop(*many, router("carts", "Host(`c.shop`)", "cart")), previous=before)
    matcher = before.tables["web"].matcher
    steps = sum(1 for _ in before.let_go(after))
    assert steps >= 8 * 3, "eight parts of 1,200 things, at most 500 at a time"
    assert not any((before.tables, before.services, before.endpoints, matcher.certain, len(matcher)))
    for host, service_name in ((b"c.shop", "cart"), (b"h7.shop", "stock"), (b"x.w7.shop", "stock")):
        assert after.tables["web"].find_for(Request(host=host)).service.name == service_name
    assert held.service.endpoints, "what a request under way has of it is left to it"


def test_letting_a_plan_go_leaves_a_table_alone_that_its_successor_has():
    before = compiled(shop())
    after = compiled(shop(service("other", "http://10.0.0.9:80")), previous=before)
    assert after.tables["web"] is before.tables["web"]
    list(before.let_go(after))
    assert after.tables["web"].find_for(Request(host=b"cart.shop")).router == "carts"


def test_a_plan_explains_which_router_takes_a_request_and_why():
    plan = compiled(shop())
    told = {reason.name: (reason.matched, reason.why) for reason in plan.explain("web", Request(host=b"cart.shop"))}
    assert told["carts"] == (True, "matched, as the first in order of priority (17)")
    assert told["stocks"] == (False, 'Host is "cart.shop", the rule wants "stock.shop"')
    with pytest.raises(KeyError):
        plan.explain("nowhere", Request())


def test_everything_says_what_it_is():
    plan = compiled(shop(weighted("all", cart=1, stock=2), service("none")))
    assert repr(plan) == "<Plan 2 routes on 1 entrypoints, 4 services, 3 endpoints>"
    assert repr(plan.tables["web"]) == "<Table web, 2 routers>"
    assert repr(routes_of(plan)["carts"]) == "<Route carts on web to cart>"
    assert repr(plan.services["all"]) == "<Service all, shared by cart, stock>"
    assert repr(plan.services["none"]) == "<Service none, no endpoints>"
    assert repr(plan.services["stock"]) == "<Service stock, 1 endpoint>"
    assert repr(plan.services["stock"].endpoints[0]) == "<Endpoint http://10.0.0.3:80>"


# Whatever a client sends.

texts = st.text(st.characters(codec="utf-8", exclude_characters="`\r"), max_size=8)
patterns = st.sampled_from(["a", ".*", "(x|y)+$", "v{900}", "\\x{FFFD}", "^[^a]"])
hosts = st.sampled_from(["a", "a.b", "*.b", "**.b", "*", "::1"])
paths = texts.map("/{}".format)
leaves = st.one_of(
    st.builds("Host({})".format, hosts.map(quoted)), st.builds("HostRegexp({})".format, patterns.map(quoted)),
    st.builds("Path({})".format, paths.map(quoted)), st.builds("PathPrefix({})".format, paths.map(quoted)),
    st.builds("PathRegexp({})".format, patterns.map(quoted)), st.sampled_from(["Method(`GET`)", "ClientIP(`::/0`)"]),
    st.builds("Header(`K`, {})".format, texts.map(quoted)), st.builds("Query(`k`, {})".format, texts.map(quoted)),
    st.builds("HeaderRegexp(`K`, {})".format, patterns.map(quoted)),
    st.builds("QueryRegexp(`k`, {})".format, patterns.map(quoted)))
rules = st.recursive(leaves, lambda inner: st.one_of(
    st.builds("!({})".format, inner), st.builds("({} && {})".format, inner, inner),
    st.builds("({} || {})".format, inner, inner)), max_leaves=5)
data = st.one_of(st.binary(max_size=12),
                 st.sampled_from([b"a.b", b"b", b"x" * 60_000, b"%ff%2", b"\xff" * 9, b"[::1]"]))
asked = st.builds(Request, host=data, path=data, method=data, peer=data, query=data.map(b"k=".__add__),
                  headers=data.map(lambda value: [(b"K", value)]))


@settings(max_examples=200)
@given(st.lists(rules, max_size=6), st.lists(asked, min_size=1, max_size=4))
def test_whatever_is_sent_a_route_is_found_or_none_and_nothing_is_raised(said, requests):
    plan = compiled(model(service("s", "http://a"), *[router(f"r{n}", rule, "s") for n, rule in enumerate(said)]))
    assert {each.code for each in plan.problems} <= {"rule"}
    for request in requests:
        route = plan.tables["web"].find_for(request)
        winner = next((reason.name for reason in plan.explain("web", request) if reason.matched), None)
        assert (route and route.router) == winner
