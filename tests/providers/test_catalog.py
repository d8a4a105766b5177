"""What serves after an edit: isolation of objects and files, last good versions, references."""
from __future__ import annotations

from itertools import permutations

import pytest

pytest.importorskip("mesh.rules.language")

from mesh.model import LoadBalancer, Router, Server, Weighted
from mesh.providers.catalog import Catalog, Settled

A, B = "/etc/hostmesh/conf.d/a.yml", "/etc/hostmesh/conf.d/b.yml"
GOOD = """
http:
  routers:
    web: {rule: "Host(`a.example`)", service: shop}
    api: {rule: "Host(`b.example`)", service: shop}
  services:
    shop: {loadBalancer: {servers: [{url: "http://10.0.0.1:80"}]}}
"""


def no_disk(path: str) -> bytes:
    raise FileNotFoundError(2, "No such file or directory", path)


class Files:
    """A catalog that is told things and asked at once."""

    def __init__(self) -> None:
        self.catalog = Catalog(no_disk)

    def say(self, text: str | None, file: str = A) -> Settled:
        self.catalog.said(file, None if text is None else text.encode())
        return self.settle()

    def settle(self) -> Settled:
        return self.catalog.settle({"web", "admin"})


@pytest.fixture
def files() -> Files:
    return Files()


def edited(said: str) -> str:
    """GOOD with something more said about the router web."""
    return GOOD.replace("service: shop}\n    api", f"service: shop, {said}}}\n    api")


def told(settled: Settled, about: str = "") -> str:
    return "\n".join(str(problem) for problem in settled.problems if about in problem.object)


def test_a_directory_that_cannot_be_read_is_told_with_what_serves_from_below(files: Files) -> None:
    files.say(GOOD)
    files.catalog.said("/etc/hostmesh/conf.d", "no such file or directory")
    settled = files.settle()
    assert "web@file" in settled.dynamic.routers
    assert told(settled) == ("/etc/hostmesh/conf.d: error: cannot be read: no such file or directory; what served from"
                             " here before still serves")


def test_a_misspelt_field_that_is_required_is_one_error(files: Files) -> None:
    settled = files.say(GOOD.replace("service: shop}\n    api", "servise: shop}\n    api"))
    assert told(settled, "web") == (f'{A}:4:38: error: http.routers.web: servise is not a known field (did you mean'
                                    ' "service"?)')


def test_routers_and_services_of_a_file_serve(files: Files) -> None:
    settled = files.say(GOOD)
    assert settled.is_good
    assert not settled.problems
    router = settled.dynamic.routers["web@file"]
    assert (router.rule, router.service, str(router.place)) == ("Host(`a.example`)", "shop@file", f"{A}:4:5")
    assert settled.dynamic.services["shop@file"].how == LoadBalancer((Server("http://10.0.0.1:80"),))
    assert set(settled.status.values()) == {"enabled"}


def test_the_short_form_becomes_a_router_and_a_service(files: Files) -> None:
    settled = files.say("""
mesh:
  services:
    orders.shop:
      port: 80
      endpoints: [http://10.0.3.17:8080, {url: http://10.0.3.18:8080, weight: 2}]
      passHostHeader: false
""")
    assert not settled.problems
    router = settled.dynamic.routers["orders.shop@mesh"]
    assert (router.rule, router.service) == ("Host(`orders.shop.mesh`)", "orders.shop@mesh")
    assert settled.dynamic.services["orders.shop@mesh"].how == LoadBalancer(
        (Server("http://10.0.3.17:8080"), Server("http://10.0.3.18:8080", 2)), pass_host_header=False)
    assert settled.status == {"services/orders.shop@mesh": "enabled", "routers/orders.shop@mesh": "enabled"}


@pytest.mark.parametrize("name", ["shop", "a.b.c", "Orders.shop", "orders_.shop", "-a.b"])
def test_a_mesh_service_is_called_service_dot_namespace(files: Files, name: str) -> None:
    settled = files.say(f"mesh: {{services: {{{name}: {{}}}}}}")
    assert "wanted <service>.<namespace>" in told(settled)
    assert not settled.dynamic.routers


@pytest.mark.parametrize("edit, line", [
    ("prioriti: 3", "prioriti is not a known field"),
    ("priority: high", 'priority: "high" is not a whole number'),
    ("service: chop", 'service is said twice'),
    ("entryPoints: [wbe]", 'entrypoint "wbe" is not defined'),
    ("middlewares: [auth]", 'middleware "auth" is not defined'),
])
def test_an_object_broken_by_an_edit_keeps_its_own_last_good_version(files: Files, edit: str, line: str) -> None:
    files.say(GOOD)
    settled = files.say(edited(edit).replace("b.ex", "c.ex"))
    assert line in told(settled, "routers.web")
    assert "its last good version serves" in told(settled, "routers.web")
    assert settled.status["routers/web@file"] == "warning"
    assert settled.dynamic.routers["web@file"].rule == "Host(`a.example`)"
    assert settled.dynamic.routers["api@file"].rule == "Host(`c.example`)", "the others take the edit"
    assert files.say(GOOD).is_good


def test_an_object_that_was_never_good_is_disabled_alone(files: Files) -> None:
    settled = files.say(GOOD.replace("Host(`a.example`)", "Hots(`a.example`)"))
    assert list(settled.dynamic.routers) == ["api@file"]
    assert settled.status["routers/web@file"] == "disabled"
    assert str(settled.problems[0]).startswith(f"{A}:4:18: error: http.routers.web: rule: ")
    assert 'did you mean "Host"?' in told(settled)


def test_a_last_good_version_whose_references_are_gone_does_not_serve(files: Files) -> None:
    files.say(GOOD)
    settled = files.say(GOOD.replace("    shop:", "    chop:").replace("shop}\n    api", "chip}\n    api"))
    assert settled.status["routers/web@file"] == "disabled"
    assert 'service "chip" is not defined (did you mean "chop"?)' in told(settled, "routers.web")
    assert 'service "shop" is not defined (did you mean "chop"?)' in told(settled, "routers.api")


def test_what_comes_back_repairs_what_referred_to_it(files: Files) -> None:
    routers, services = GOOD.split("  services:\n")
    files.say(routers)
    assert not files.settle().dynamic.routers
    settled = files.say("http:\n  services:\n" + services, B)
    assert settled.is_good
    assert len(settled.dynamic.routers) == 2
    assert not files.say(None, B).dynamic.routers


BROKEN = {
    "syntax": (b"http: {routers: [", f"{A}:1:"),
    "bad indent": (GOOD.replace("    api", "   api").encode(), f"{A}:5:"),
    "empty": (b"", "the file is empty"),
    "nothing but a comment": (b"# later\n", "the file is empty"),
    "half-written": (GOOD[:60].encode(), f"{A}:4:"),
    "cut behind a section": (b"http:\n  routers:\n", "nothing stands here"),
    "cut behind a name": (GOOD[:GOOD.index(" {rule")].encode(), "nothing stands here"),
    "cut behind the first word": (b"http:", "nothing stands here"),
    "not UTF-8": (GOOD.replace("shop", "sh\xf6p").encode("latin-1"), "0xf6"),
    "a list": (b"- http\n", "the file is a list"),
    "a misspelt root": (GOOD.replace("http:", "htpp:").encode(), 'did you mean "http"?'),
    "a misspelt section": (GOOD.replace("routers:", "router:").replace("services:", "service:").encode(),
                           'did you mean "routers"?'),
    "a section that is a list": (b"http: {routers: [], services: []}", "wanted a mapping of names, not a list"),
    "unreadable": ("Permission denied", "cannot be read: Permission denied"),
    "a directory": ("Is a directory", "cannot be read: Is a directory"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_file_that_cannot_be_read_keeps_its_last_good_version_whole(files: Files, how: str) -> None:
    before = files.say(GOOD)
    data, expected = BROKEN[how]
    files.catalog.said(A, data)
    settled = files.settle()
    assert expected in told(settled)
    assert "still serves" in told(settled)
    assert settled.dynamic == before.dynamic
    assert set(settled.status.values()) == {"warning"}
    assert files.settle() == settled, "and goes on so"
    assert files.say(GOOD).is_good


def test_a_section_that_cannot_be_read_leaves_the_others_of_its_file_alone(files: Files) -> None:
    files.say(GOOD)
    settled = files.say(GOOD.split("  routers:")[0] + "  routers:\n  services:" + GOOD.split("  services:")[1]
                        .replace("10.0.0.1", "10.0.0.2"))
    assert len(settled.dynamic.routers) == 2
    how = settled.dynamic.services["shop@file"].how
    assert isinstance(how, LoadBalancer)
    assert how.servers[0].url == "http://10.0.0.2:80"


@pytest.mark.parametrize("text", [None, "http: {}", "{}", "http: {routers: {}, services: {}}"])
def test_deleting_the_last_route_works(files: Files, text: str | None) -> None:
    files.say(GOOD)
    settled = files.say(text)
    assert settled.is_good
    assert not settled.dynamic.routers
    assert not settled.dynamic.services


def test_of_one_name_in_two_files_the_first_by_path_is_kept(files: Files) -> None:
    files.say(GOOD.replace("a.example", "second.example"), B)
    settled = files.say(GOOD)
    assert settled.dynamic.routers["web@file"].rule == "Host(`a.example`)"
    line = f"{B}:4:5: warning: http.routers.web: is defined at {A}:4:5 too; that one is kept, this one is skipped"
    assert line in told(settled).splitlines()
    assert files.say(None).dynamic.routers["web@file"].rule == "Host(`second.example`)"


def test_a_broken_newcomer_does_not_take_a_name_away_from_who_serves_it(files: Files) -> None:
    files.say(GOOD, B)
    settled = files.say(GOOD.replace("Host(`a", "Hots(`a"))
    assert settled.dynamic.routers["web@file"].place.file == B
    assert "this one serves, because that one cannot" in told(settled, "routers.web")


def test_a_router_that_names_an_unsupported_middleware_never_serves_without_it(files: Files) -> None:
    files.say(GOOD)
    settled = files.say(edited("middlewares: [auth]") + "  middlewares:\n    auth: {basicAuth: {users: [a]}}\n")
    assert settled.status["routers/web@file"] == "disabled"
    assert settled.status["middlewares/auth@file"] == "disabled"
    assert settled.status["routers/api@file"] == "enabled"
    assert "not supported yet" in told(settled, "routers.web")


@pytest.mark.parametrize("edit", ["tls: {}", "parentRefs: [a]", "ruleSyntax: v2"])
def test_what_protects_or_steers_is_not_served_without(files: Files, edit: str) -> None:
    files.say(GOOD)
    settled = files.say(edited(edit))
    assert settled.status["routers/web@file"] == "disabled"
    assert "not supported yet" in told(settled, "routers.web")


def test_what_only_helps_is_served_without_and_told_once(files: Files) -> None:
    settled = files.say(GOOD.replace(
        "{servers:", "{healthCheck: {mode: grpc}, responseForwarding: {flushInterval: 1s}, servers:"))
    assert settled.is_good
    assert settled.status["services/shop@file"] == "warning"
    lines = told(settled, "services.shop").splitlines()
    assert len(lines) == 2
    assert "healthCheck.mode: grpc is not supported yet, so these endpoints are not probed" in lines[0]
    assert "loadBalancer.responseForwarding is not supported yet and has no effect" in lines[1]


def test_one_lost_entrypoint_of_several_is_a_warning(files: Files) -> None:
    settled = files.say(edited("entryPoints: [wbe, web]"))
    assert settled.dynamic.routers["web@file"].entry_points == ("web",)
    assert settled.status["routers/web@file"] == "warning"
    assert 'entrypoint "wbe" is not defined; the others serve (did you mean "web"?)' in told(settled)


def weighted(**children: str) -> str:
    lines = "".join(f"    {name}: {{weighted: {{services: [{{name: {child}, weight: 3}}]}}}}\n"
                    for name, child in children.items())
    return GOOD.split("  routers:")[0] + "  services:\n" + lines + GOOD.split("  services:\n")[1]


def test_weighted_services_resolve_their_children(files: Files) -> None:
    settled = files.say(weighted(all="shop", outer="all"))
    assert settled.is_good
    assert settled.dynamic.services["outer@file"].how == Weighted((("all@file", 3),))


def test_weighted_services_in_a_circle_are_disabled_and_the_circle_is_shown(files: Files) -> None:
    settled = files.say(weighted(a="b", b="c", c="a", outside="a", fine="shop"))
    assert {key for key, status in settled.status.items() if status == "disabled"} == {
        f"services/{name}@file" for name in ("a", "b", "c", "outside")}
    assert "weighted services in a circle: a -> b -> c -> a" in told(settled, "services.a")


def test_an_edit_that_closes_a_circle_costs_only_the_edit(files: Files) -> None:
    files.say(weighted(a="b", b="shop"))
    settled = files.say("# moved by a line\n" + weighted(a="b", b="a"))
    assert settled.status["services/a@file"] == "enabled"
    assert settled.status["services/b@file"] == "warning"
    assert settled.dynamic.services["b@file"].how == Weighted((("shop@file", 3),))


def test_a_service_refers_to_a_transport_of_another_file(files: Files) -> None:
    service = GOOD.replace("{servers:", "{serversTransport: slow, servers:")
    assert 'serversTransport "slow" is not defined' in told(files.say(service))
    settled = files.say("http: {serversTransports: {slow: {forwardingTimeouts: {dialTimeout: 1m}}}}", B)
    assert settled.is_good
    assert settled.dynamic.transports["slow@file"].dial_timeout == 60.0


def test_names_of_another_provider_are_written_with_it(files: Files) -> None:
    settled = files.say('http: {routers: {web: {rule: "Host(`a`)", service: orders.shop@mesh}}}\n'
                        "mesh: {services: {orders.shop: {endpoints: ['http://10.0.0.1:1']}}}")
    assert settled.is_good
    assert settled.dynamic.routers["web@file"].service == "orders.shop@mesh"


def test_a_service_of_the_admin_is_not_reached_by_a_router(files: Files) -> None:
    settled = files.say('http: {routers: {web: {rule: "Host(`a`)", service: api@internal}}}')
    assert "not supported yet" in told(settled)


def test_the_outcome_does_not_depend_on_the_order_of_the_news() -> None:
    news = {A: GOOD, B: weighted(a="b", b="a").replace("shop:", "shop2:"),
            "/etc/hostmesh/conf.d/c.yml": GOOD + "x: 1\n", "/etc/hostmesh/conf.d/d.yml": "http: ["}
    outcomes = []
    for order in permutations(news):
        files = Files()
        for file in order:
            files.catalog.said(file, news[file].encode())
        outcomes.append(files.settle())
    assert all(outcome == outcomes[0] for outcome in outcomes)


def test_a_catalog_that_went_through_json_still_has_the_last_good_versions(files: Files) -> None:
    files.say(GOOD)
    files.say(weighted(a="b", b="shop"), B)
    broken = files.say("http: [")
    again = Catalog.from_json(files.catalog.to_json(), no_disk)
    assert again.files == (A, B)
    assert again.settle({"web", "admin"}) == broken
    again.said(A, b"http: {still: broken")
    settled = again.settle({"web", "admin"})
    assert settled.dynamic == broken.dynamic
    again.said(A, GOOD.replace("Host(`a", "Hots(`a").encode())
    assert again.settle({"web", "admin"}).dynamic.routers["web@file"].rule == "Host(`a.example`)"


def test_a_remembered_rule_that_is_no_rule_any_more_is_forgotten(files: Files) -> None:
    files.say(GOOD)
    again = Catalog.from_json(files.catalog.to_json().replace(b"Host(`a.example`)", b"Hots(`a.example`)"), no_disk)
    assert list(again.settle({"web"}).dynamic.routers) == ["api@file"]


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"form": 0, "files": {}}', b'{"form": 1, "files": {"a": {}}}',
                                  b'{"form": 1, "files": {"a": {"objects": [[1]], "problems": [], "holds": []}}}'])
def test_bytes_that_are_no_catalog_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        Catalog.from_json(data, no_disk)


def test_of_fifty_files_with_one_broken_forty_nine_serve() -> None:
    def text(number: int) -> bytes:
        return GOOD.replace("web:", f"web{number}:").replace("api:", f"api{number}:").replace(
            "shop", f"shop{number}").replace("a.example", f"a{number}.example").encode()

    for data, expected in BROKEN.values():
        files = Files()
        names = [f"/etc/hostmesh/conf.d/{number:02}.yml" for number in range(50)]
        for number, name in enumerate(names):
            files.catalog.said(name, text(number))
        before = files.settle()
        assert len(before.dynamic.routers) == 100
        for number, name in enumerate(names):       # everybody saves, one of them something broken
            files.catalog.said(name, data if number == 7 else text(number).replace(b"b.example", b"new.example"))
        after = files.settle()
        rules = {name: router.rule for name, router in after.dynamic.routers.items()}
        assert len(rules) == 100
        assert rules["api7@file"] == "Host(`b.example`)"
        assert sum(rule == "Host(`new.example`)" for rule in rules.values()) == 49
        assert expected.replace(A, names[7]) in told(after)
        assert all(problem.place.file == names[7] for problem in after.problems)
        assert after.status["routers/web7@file"] == "warning"


def test_a_router_keeps_everything_that_was_said(files: Files) -> None:
    settled = files.say(edited('entryPoints: web, priority: "-7", ruleSyntax: v3'))
    assert settled.dynamic.routers["web@file"] == Router(
        "web@file", "Host(`a.example`)", "shop@file", ("web",), (), -7, settled.dynamic.routers["web@file"].place)


def test_what_is_remembered_of_a_file_that_did_not_change_is_written_as_if_it_had(files: Files) -> None:
    files.say(GOOD)
    files.say(GOOD.replace("a.example", "c.example").replace("web", "other").replace("shop", "mall"), B)
    files.catalog.to_json()
    files.say(edited("priority: -"), B)             # a reference of A's that stops serving changes what is good
    files.say(None, B)
    again = Catalog.from_json(files.catalog.to_json(), no_disk)
    assert again.to_json() == files.catalog.to_json()
    files.say(edited("priority: nonsense"))         # what was good stays, what is said does not
    again = Catalog.from_json(files.catalog.to_json(), no_disk)
    assert again.to_json() == files.catalog.to_json()
    assert "web@file" in again.settle({"web", "admin"}).dynamic.routers
