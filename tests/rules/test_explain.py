"""Why a router takes a request, or does not, in words."""
import pytest
from rules_built import routers

from mesh.rules.request import Request

REQUEST = Request(host=b"users.shop.mesh", path=b"/apo", method=b"GET", peer=b"10.1.2.3",
                  headers=[(b"X-A", b"one"), (b"x-a", b"two"), (b"X-Evil", b"a\x1b[31m\xff")],
                  query=b"q=1&q=2&mobile=true")


def why(rule, request=REQUEST):
    (reason,) = routers(rule).explain(request)
    assert not reason.matched
    return reason.why


@pytest.mark.parametrize("rule, expected", [
    ("Host(`orders.shop.mesh`)", 'Host is "users.shop.mesh", the rule wants "orders.shop.mesh"'),
    ("Host(`a`) || Host(`b`)", 'Host is "users.shop.mesh", the rule wants "a" or "b"'),
    ("Host(`a`) || Host(`b`) || Host(`c`) || Host(`d`) || Host(`e`)",
     'Host is "users.shop.mesh", the rule wants "a", "b", "c" or one of 2 more'),
    ("HostRegexp(`^orders`)", 'HostRegexp("^orders") is not found in "users.shop.mesh"'),
    ("Path(`/api`)", 'Path is "/apo", the rule wants "/api"'),
    ("PathPrefix(`/api`)", 'PathPrefix("/api") does not begin "/apo"'),
    ("PathRegexp(`^/api`)", 'PathRegexp("^/api") is not found in "/apo"'),
    ("Method(`post`)", 'Method is "GET", the rule wants "POST"'),
    ("Header(`X-A`, `three`)", 'header X-A is "one", "two", the rule wants "three"'),
    ("Header(`X-B`, `three`)", 'there is no header X-B, the rule wants "three"'),
    ("Header(`X-Evil`, `a`)", r'header X-Evil is "a\x1b[31m\xff", the rule wants "a"'),
    ("HeaderRegexp(`X-A`, `^t.+e`)", 'HeaderRegexp("^t.+e") is not found in X-A: "one", "two"'),
    ("HeaderRegexp(`X-B`, `^t`)", 'there is no header X-B, the rule wants one in which "^t" is found'),
    ("Query(`q`, `3`)", 'query parameter q is "1", "2", the rule wants "3"'),
    ("Query(`z`, `3`)", 'there is no query parameter z, the rule wants "3"'),
    ("Query(`mobile`)", 'query parameter mobile is "true", the rule wants it without a value'),
    ("QueryRegexp(`q`, `3`)", 'QueryRegexp("3") is not found in q: "1", "2"'),
    ("ClientIP(`10.2.0.0/16`)", 'ClientIP is "10.1.2.3", the rule wants "10.2.0.0/16"'),
    ("Host(`users.shop.mesh`) && Path(`/api`) && Method(`POST`)", 'Path is "/apo", the rule wants "/api"'),
    ("Host(`a`) || Path(`/api`)",
     'Host is "users.shop.mesh", the rule wants "a"; Path is "/apo", the rule wants "/api"'),
    ("!PathPrefix(`/apo`)", "the rule excludes PathPrefix(`/apo`)"),
    ("!(Host(`a`) || PathPrefix(`/apo`))", "the rule excludes PathPrefix(`/apo`)"),
    ("!(Method(`GET`) && Path(`/apo`))", "the rule excludes Method(`GET`) && Path(`/apo`)"),
    ("!!Path(`/api`)", 'Path is "/apo", the rule wants "/api"'),
])
def test_the_first_failing_part_is_named(rule, expected):
    assert why(rule) == expected


def test_a_request_without_host_is_told_so():
    assert why("Host(`a`)", Request()) == 'there is no Host, the rule wants "a"'


def test_a_long_value_is_cut():
    assert len(why("Path(`/`)", Request(path=b"/" + b"x" * 10_000))) < 300


def test_of_a_hundred_alternatives_three_are_told():
    said = why(" || ".join(f"Path(`/{n}`)" for n in range(100)))
    assert said.startswith('Path is "/apo", the rule wants "/0"; ')
    assert said.endswith("and 97 more alternatives fail")


def test_the_winner_is_named_where_a_router_matches_in_vain():
    matcher = routers(web=("PathPrefix(`/`)", 120), zeb=("PathPrefix(`/`)", 120), api=("PathPrefix(`/a`)", 7))
    told = matcher.explain(REQUEST)
    assert [(reason.name, reason.matched, reason.why) for reason in told] == [
        ("web", True, "matched, as the first in order of priority (120)"),
        ("zeb", True, "matched, but web has the same priority 120 and comes first by its name"),
        ("api", True, "matched, but web has the higher priority 120")]
