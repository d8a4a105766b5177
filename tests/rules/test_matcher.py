"""The matcher: what each matcher means, which router wins, what is certain, and that the index changes nothing."""
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rules_built import built, routers

from mesh.rules.expression import And, Match, Not, all_of, any_of
from mesh.rules.hosts import plain
from mesh.rules.language import parse
from mesh.rules.matcher import Entry, Matcher
from mesh.rules.predicates import predicate
from mesh.rules.request import Request, host_key


def hit(rule, **request):
    return routers(rule).find(Request(**request)) is not None


MEANINGS = [
    # Host: exact, case-insensitive, a trailing dot tolerated
    ("Host(`example.com`)", {"host": b"example.com"}, True),
    ("Host(`EXAMPLE.com`)", {"host": b"example.com"}, True),
    ("Host(`example.com.`)", {"host": b"example.com"}, True),
    ("Host(`example.com`)", {"host": b"example.org"}, False),
    ("Host(`example.com`)", {"host": b"www.example.com"}, False),
    ("Host(`example.com`)", {"host": b""}, False),
    ("Host(`*.example.com`)", {"host": b"www.example.com"}, True),
    ("Host(`*.example.com`)", {"host": b"a.www.example.com"}, False),
    ("Host(`*.example.com`)", {"host": b"example.com"}, False),
    ("Host(`*.example.com`)", {"host": b"wwwexample.com"}, False),
    ("Host(`**.example.com`)", {"host": b"www.example.com"}, True),
    ("Host(`**.example.com`)", {"host": b"a.www.example.com"}, True),
    ("Host(`**.example.com`)", {"host": b"example.com"}, False),
    ("Host(`**.example.com`)", {"host": b"notexample.com"}, False),
    ("Host(`*`)", {"host": b"whatever"}, True),
    ("Host(`*`)", {"host": b""}, True),
    ("!Host(`*`)", {"host": b""}, False),
    ("Host(`::1`)", {"host": b"[::1]"}, True),
    ("Host(`[2001:DB8::1]`)", {"host": b"[2001:db8::1]"}, True),
    # HostRegexp: unanchored, case-insensitive
    ("HostRegexp(`shop`)", {"host": b"orders.shop.mesh"}, True),
    ("HostRegexp(`^shop`)", {"host": b"orders.shop.mesh"}, False),
    ("HostRegexp(`^[A-Z]+\\.com$`)", {"host": b"example.com"}, True),
    ("HostRegexp(`^[a-z]+\\.com$`)", {"host": b"example.com.evil.org"}, False),
    # Path and its kin see non-reserved characters decoded
    ("Path(`/css`)", {"path": b"/css"}, True),
    ("Path(`/css`)", {"path": b"/css/"}, False),
    ("Path(`/css`)", {"path": b"/CSS"}, False),
    ("Path(`/a b`)", {"path": b"/a%20b"}, True),
    ("Path(`/a%20b`)", {"path": b"/a%20b"}, True),
    ("Path(`/caf\u00e9`)", {"path": b"/caf%C3%A9"}, True),
    ("Path(`/a/b`)", {"path": b"/a%2Fb"}, False),
    ("Path(`/a%2fb`)", {"path": b"/a%2Fb"}, True),
    ("Path(`/%3Fx`)", {"path": b"/%3Fx"}, True),
    ("PathPrefix(`/products`)", {"path": b"/products/1"}, True),
    ("PathPrefix(`/products`)", {"path": b"/products-for-sale"}, True),
    ("PathPrefix(`/products/`)", {"path": b"/products"}, False),
    ("PathPrefix(`/a b`)", {"path": b"/a%20bc"}, True),
    ("PathRegexp(`^/(css|js)`)", {"path": b"/css/main.css"}, True),
    ("PathRegexp(`^/(css|js)`)", {"path": b"/x/css"}, False),
    ("PathRegexp(`js$`)", {"path": b"/a.js"}, True),
    ("PathRegexp(`^/a$`)", {"path": b"/a\n"}, False),
    ("PathRegexp(`^/. .$`)", {"path": b"/%C3%A9%20b"}, True),
    ("PathRegexp(`^/.$`)", {"path": b"/%FF"}, True),                        # one odd byte is one character, as in Go
    ("PathRegexp(`^/..$`)", {"path": b"/%E2%82"}, True),
    ("PathRegexp(`^/.$`)", {"path": b"/%E2%82"}, False),
    ("PathRegexp(`^/\\x{FFFD}$`)", {"path": b"/%FF"}, True),
    # Method
    ("Method(`GET`)", {"method": b"GET"}, True),
    ("Method(`get`)", {"method": b"GET"}, True),
    ("Method(`GET`)", {"method": b"get"}, False),
    # Header: any value of the header, names in any case
    ("Header(`X-Proto`, `https`)", {"headers": [(b"x-proto", b"http"), (b"X-PROTO", b"https")]}, True),
    ("Header(`X-Proto`, `https`)", {"headers": [(b"X-Proto", b"HTTPS")]}, False),
    ("Header(`X-Proto`, `https`)", {}, False),
    ('Header("X-Bytes", "\\xff")', {"headers": [(b"X-Bytes", b"\xff")]}, True),
    ("HeaderRegexp(`X-Proto`, `^https?$`)", {"headers": [(b"X-Proto", b"ws"), (b"X-Proto", b"https")]}, True),
    ("HeaderRegexp(`X-Proto`, `^https?$`)", {"headers": [(b"X-Proto", b"HTTPS")]}, False),
    ("HeaderRegexp(`X-Proto`, `.*`)", {}, False),
    # Query: any value of the key; without a value it wants the key without one
    ("Query(`q`, `traefik`)", {"query": b"rel=ddg&q=nginx&q=traefik"}, True),
    ("Query(`q`, `traefik`)", {"query": b"q=TRAEFIK&Q=traefik"}, False),
    ("Query(`q`, `a b`)", {"query": b"q=a+b"}, True),
    ("Query(`mobile`)", {"query": b"mobile"}, True),
    ("Query(`mobile`)", {"query": b"mobile="}, True),
    ("Query(`mobile`)", {"query": b"mobile=true"}, False),
    ("Query(`mobile`)", {"query": b""}, False),
    ("QueryRegexp(`q`, `^(traefik|nginx)$`)", {"query": b"q=awesome&q=nginx"}, True),
    ("QueryRegexp(`q`, `^(traefik|nginx)$`)", {"query": b"q=haproxy"}, False),
    ("QueryRegexp(`mobile`)", {"query": b"mobile"}, True),
    # ClientIP: the peer's address
    ("ClientIP(`127.0.0.1`)", {"peer": b"127.0.0.1"}, True),
    ("ClientIP(`192.168.1.0/24`)", {"peer": b"192.168.1.100"}, True),
    ("ClientIP(`192.168.1.7/24`)", {"peer": b"192.168.1.100"}, True),
    ("ClientIP(`192.168.1.0/24`)", {"peer": b"192.168.2.1"}, False),
    ("ClientIP(`10.0.0.0/8`)", {"peer": b"::ffff:10.1.2.3"}, True),
    ("ClientIP(`::ffff:10.0.0.0/104`)", {"peer": b"10.1.2.3"}, True),
    ("ClientIP(`fe80::/10`)", {"peer": b"fe80::1%eth0"}, True),
    ("ClientIP(`::/0`)", {"peer": b"10.1.2.3"}, False),
    ("ClientIP(`0.0.0.0/0`)", {"peer": b""}, False),
    # Combinations
    ("Host(`a`) || Host(`b`) && Path(`/css`)", {"host": b"a", "path": b"/js"}, True),
    ("Host(`a`) || Host(`b`) && Path(`/css`)", {"host": b"b", "path": b"/js"}, False),
    ("(Host(`a`) || Host(`b`)) && Path(`/css`)", {"host": b"a", "path": b"/js"}, False),
    ("(Host(`a`) && Path(`/j`) || Host(`b`) && Path(`/c`)) && Method(`GET`)", {"host": b"b", "path": b"/c"}, True),
    ("(Host(`a`) && Path(`/j`) || Host(`b`) && Path(`/c`)) && Method(`GET`)", {"host": b"b", "path": b"/j"}, False),
    ("!Host(`a`)", {"host": b"b"}, True),
    ("!(Host(`a`) || Host(`b`))", {"host": b"b"}, False),
    ("!(Host(`a`) && Path(`/css`))", {"host": b"a", "path": b"/js"}, True),
    ("!(Host(`a`) && !Path(`/css`))", {"host": b"a", "path": b"/css"}, True),
    ("!(!(Host(`a`) && PathPrefix(`/css`)))", {"host": b"a", "path": b"/css"}, True),
    ("!(!Host(`a`) || !Host(`*.b`))", {"host": b"a"}, False),
    ("Host(`a`) && Host(`b`)", {"host": b"a"}, False),
    ("Host(`*.example.com`) && !Host(`www.example.com`)", {"host": b"www.example.com"}, False),
    ("Host(`*.example.com`) && !Host(`www.example.com`)", {"host": b"api.example.com"}, True),
]


@pytest.mark.parametrize("rule, request_, expected", MEANINGS)
def test_a_rule_means_what_it_means_in_traefik(rule, request_, expected):
    assert hit(rule, **request_) is expected


@pytest.mark.parametrize("rule, request_, expected", MEANINGS)
def test_explain_agrees_with_the_matcher(rule, request_, expected):
    (reason,) = routers(rule).explain(Request(**request_))
    assert reason.matched is expected


def test_the_longer_rule_comes_first_and_a_priority_comes_before_that():
    request = Request(host=b"a", path=b"/api/x")
    assert routers("Host(`a`)", "Host(`a`) && PathPrefix(`/api`)").find(request) == "r1"
    assert routers(("Host(`a`)", 100), "Host(`a`) && PathPrefix(`/api`)").find(request) == "r0"
    assert routers(("Host(`a`)", -1), ("PathPrefix(`/`)", -2)).find(request) == "r0"


def test_the_highest_priority_wins_whichever_list_it_stands_in():
    request = Request(host=b"a.b")
    rules = {"exact": "Host(`a.b`)", "one": "Host(`*.b`)", "deep": "Host(`**.b`)", "rest": "PathPrefix(`/`)"}
    for winner in rules:
        matcher = routers(**{name: (rule, 9 if name == winner else 1) for name, rule in rules.items()})
        assert matcher.find(request) == winner


def test_among_equal_priorities_the_name_decides_whatever_the_order_of_the_files():
    request = Request(host=b"a.b")
    for first in ("PathPrefix(`/`)", "Host(`*.b`)", "Host(`**.b`)", "Host(`a.b`)"):
        rules = {"x": ("Host(`a.b`)", 5), "w": (first, 5)}
        assert routers(**rules).find(request) == "w"
        assert routers(**dict(reversed(rules.items()))).find(request) == "w"


def test_nothing_matches_where_there_is_nothing():
    assert Matcher().find(Request(host=b"a")) is None
    assert routers().certain == {}
    assert routers("Host(`a`)").find(Request(host=b"b")) is None


def test_a_host_is_certain_when_its_first_router_asks_nothing_more():
    matcher = routers("Host(`a.x`) || Host(`b.x`)", "Host(`b.x`) && PathPrefix(`/a-long-path`)",
                      "Host(`c.x`) && Path(`/`)")
    assert matcher.certain == {b"a.x": "r0"}


def test_a_router_that_may_come_before_takes_the_certainty_away():
    assert routers("Host(`a.x`)", ("PathPrefix(`/`)", 99)).certain == {}
    assert routers("Host(`a.x`)", ("PathPrefix(`/`)", 1)).certain == {b"a.x": "r0"}
    assert routers("Host(`a.x`) || Host(`a.y`)", ("Host(`*.x`)", 99)).certain == {b"a.y": "r0"}
    assert routers("Host(`b.a.x`) || Host(`a.y`)", ("Host(`**.x`) && Path(`/`)", 99)).certain == {b"a.y": "r0"}


def test_a_router_that_cannot_match_the_host_takes_no_certainty_away():
    assert routers("Host(`a.x`)", ("HostRegexp(`^b`)", 99)).certain == {b"a.x": "r0"}
    assert routers("Host(`a.x`)", ("Path(`/`) && !Host(`a.x`)", 99)).certain == {b"a.x": "r0"}
    assert routers("Host(`a.x`)", ("HostRegexp(`^a`)", 99)).certain == {}


def test_what_was_compiled_before_is_not_compiled_again():
    rules = [f"Host(`h{n}`) && PathRegexp(`^/{n}`)" for n in range(20)]
    first = routers(*rules)
    entries = [Entry(f"r{n}", 50, parse(rule), n) for n, rule in enumerate([*rules[:-1], "Host(`new`)"])]
    second = built(entries, first)
    kept = [second._compiled[entry.expr] is first._compiled.get(entry.expr) for entry in entries]
    assert kept == [True] * 19 + [False]
    assert len(second._compiled) == 20
    assert second.find(Request(host=b"h3", path=b"/3")) == 3
    assert second.find(Request(host=b"h19", path=b"/19")) is None


def test_ten_thousand_routers_are_built_in_steps_of_few_and_no_request_asks_more_than_its_own():
    entries = [Entry(f"r{n}", 10, parse(f"Host(`h{n}.mesh`) && PathPrefix(`/{n}`)"), n) for n in range(10_000)]
    taken = []

    def handed_out():
        for entry in entries:
            taken.append(entry)
            yield entry

    steps, most, before = Matcher.build(handed_out()), 0, 0
    try:
        while True:
            next(steps)
            most, before = max(most, len(taken) - before), len(taken)
    except StopIteration as end:
        matcher = end.value
    assert most <= 250
    asked = []

    class Counted:
        host = b"h77.mesh"

        @property
        def path(self):
            asked.append(1)
            return b"/77"

    assert matcher.find(Counted()) == 77
    assert len(asked) == 1


def test_a_rule_of_thousands_of_hosts_is_filed_by_host():
    hosts = " || ".join(f"Host(`h{n}.x`) && Path(`/{n}`)" for n in range(1000))
    more = " || ".join(f"Host(`g{n}`)" for n in range(2000))
    matcher = routers(f"({hosts}) && Method(`GET`)", f"({more}) && Path(`/`)")
    assert matcher.find(Request(host=b"h500.x", path=b"/500")) == "r0"
    assert matcher.find(Request(host=b"h500.x", path=b"/501")) is None
    assert matcher.find(Request(host=b"g1999")) == "r1"
    assert repr(matcher) == "<Matcher 2 routers, 3000 hosts (0 certain), 0 wildcards, 0 without host>"


def test_the_form_in_which_hosts_are_compared():
    assert host_key(b"[::1]:80") == b"[::1]"
    assert host_key(b"[::1]") == b"[::1]"
    assert host_key(b"A.B.") == b"a.b"
    assert host_key(b"") == b""


@pytest.mark.parametrize("rule", ["HeaderRegexp(`K`, `v{900}`)", "!HeaderRegexp(`K`, `v{900}`)",
                                  "Path(`/`) && !(HeaderRegexp(`K`, `v{900}`) || Path(`/x`))"])
def test_a_text_too_long_for_an_expression_opens_no_route_negated_or_not(rule):
    matcher = routers(rule, other=("Path(`/`)", 1))
    request = Request(headers=[(b"K", b"x" * 1_000_000)])
    assert matcher.find(request) == "other"
    assert "too long to be searched" in matcher.explain(request)[0].why
    assert routers("HeaderRegexp(`K`, `v{900}`) || Path(`/`)").find(request) == "r0"


# The index against the naive way: every rule evaluated as written, in order.

def matches(rule, request):
    if isinstance(rule, Match):
        return predicate(plain(rule))(request)
    if isinstance(rule, Not):
        return not matches(rule.part, request)
    return (all if isinstance(rule, And) else any)(matches(part, request) for part in rule.parts)


words = st.sampled_from(["a.x", "b.x", "c.a.x", "x", "y"])
leaves = st.one_of(
    words.map(lambda word: Match("Host", (word,))),
    st.sampled_from(["*.x", "*.a.x", "**.x", "**.a.x", "*"]).map(lambda word: Match("Host", (word,))),
    st.sampled_from(["^a", "x$", "."]).map(lambda word: Match("HostRegexp", (word,))),
    st.sampled_from(["/", "/p", "/p/q"]).map(lambda word: Match("PathPrefix", (word,))),
    st.sampled_from(["GET", "POST"]).map(lambda word: Match("Method", (word,))),
    st.just(Match("Header", ("K", "v"))))
rules = st.recursive(leaves, lambda inner: st.one_of(
    inner.map(Not), st.lists(inner, min_size=2, max_size=3).map(all_of),
    st.lists(inner, min_size=2, max_size=3).map(any_of)), max_leaves=8)
requests = st.builds(
    Request, host=st.one_of(words.map(str.encode), st.just(b"")), path=st.sampled_from([b"/", b"/p", b"/p/q/r"]),
    method=st.sampled_from([b"GET", b"POST"]), headers=st.sampled_from([(), ((b"k", b"v"),)]))


@settings(max_examples=300)
@given(st.lists(st.tuples(rules, st.integers(-2, 2)), max_size=12), st.lists(requests, min_size=1, max_size=5))
def test_the_index_finds_what_asking_every_router_in_order_finds(chosen, asked):
    entries = [Entry(f"r{n}", priority, rule, n) for n, (rule, priority) in enumerate(chosen)]
    matcher = built(entries)
    order = sorted(entries, key=lambda entry: (-entry.priority, entry.name))
    for request in asked:
        expected = next((entry.target for entry in order if matches(entry.expr, request)), None)
        assert matcher.find(request) == expected
        if request.host in matcher.certain:
            assert matcher.certain[request.host] == expected
        told = matcher.explain(request)
        assert [reason.name for reason in told] == [entry.name for entry in order]
        assert [reason.matched for reason in told] == [matches(entry.expr, request) for entry in order]
