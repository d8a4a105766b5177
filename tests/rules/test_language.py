"""The rule language: what is read, what is refused, and what is said about it."""
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.rules.expression import And, Match, Not, Or, all_of, any_of
from mesh.rules.language import MAX_DEPTH, MAX_LENGTH, RuleError, default_priority, parse

HOST, PATH, METHOD = Match("Host", ("a.example",)), Match("PathPrefix", ("/api",)), Match("Method", ("GET",))

READ = [
    ("Host(`a.example`)", HOST),
    ("  Host ( `a.example` ) ", HOST),
    ("Host(`a.example`,)", HOST),
    ('Host("a.example")', HOST),
    ("HOST(`a.example`)", HOST),
    ("host(`a.example`)", HOST),
    ("Pathprefix(`/api`)", PATH),
    ("(Host(`a.example`))", HOST),
    ("Host(`a.example`)&&PathPrefix(`/api`)", And((HOST, PATH))),
    ("Host(`a.example`)\n  && PathPrefix(`/api`)", And((HOST, PATH))),
    ("Host(`a.example`) || PathPrefix(`/api`) && Method(`GET`)", Or((HOST, And((PATH, METHOD))))),
    ("(Host(`a.example`) || PathPrefix(`/api`)) && Method(`GET`)", And((Or((HOST, PATH)), METHOD))),
    ("(Host(`a.example`) && PathPrefix(`/api`)) && Method(`GET`)", And((HOST, PATH, METHOD))),
    ("!Host(`a.example`) && PathPrefix(`/api`)", And((Not(HOST), PATH))),
    ("!(Host(`a.example`) && PathPrefix(`/api`))", Not(And((HOST, PATH)))),
    ("!!Host(`a.example`)", Not(Not(HOST))),
    (r'PathRegexp("^/\\d+\x2f\u00e9\060\"")', Match("PathRegexp", ('^/\\d+/\u00e90"',))),
    (r"PathRegexp(`^/\d+`)", Match("PathRegexp", (r"^/\d+",))),
    (r'Header("X", "\xc3\xa9")', Match("Header", ("X", "\u00e9"))),
    (r'Header("X", "\xff")', Match("Header", ("X", "\udcff"))),
    ("Query(`mobile`)", Match("Query", ("mobile",))),
    ("Host(`*.example.com`) || Host(`**.example.com`) || Host(`*`)",
     Or((Match("Host", ("*.example.com",)), Match("Host", ("**.example.com",)), Match("Host", ("*",))))),
    ("Host(`example.com.`)", Match("Host", ("example.com.",))),
    ("Host(`[2001:db8::1]`) || Host(`2001:db8::1`)",
     Or((Match("Host", ("[2001:db8::1]",)), Match("Host", ("2001:db8::1",))))),
    ("ClientIP(`10.0.0.1/8`) || ClientIP(`::1`)",
     Or((Match("ClientIP", ("10.0.0.1/8",)), Match("ClientIP", ("::1",))))),
]


@pytest.mark.parametrize("text, expected", READ)
def test_a_rule_is_read(text, expected):
    assert parse(text) == expected


@pytest.mark.parametrize("text, expected", READ)
def test_a_rule_written_back_is_the_same_rule(text, expected):
    assert parse(str(expected)) == expected


# Each row: the rule, the column that is named, words of the message, words of the hint.
REFUSED = [
    ("", 1, "empty", "Host("),
    (" \n ", 1, "empty", "Host("),
    ("Hsot(`a`)", 1, "no matcher Hsot", 'did you mean "Host"?'),
    ("PathPrefx(`/a`)", 1, "no matcher PathPrefx", '"PathPrefix"'),
    ("Foobar(`a`)", 1, "no matcher Foobar", "there are ClientIP, Header"),
    ("Host(`a`) && HostSNI(`a`)", 14, "no matcher HostSNI", "TCP routers"),
    ("HostHeader(`a`)", 1, "HostHeader", "write Host("),
    ("Headers(`a`, `b`)", 1, "Headers", "Header(`name`, `value`)"),
    ("Host(`a`, `b`)", 1, "takes 1 argument, 2 given", "(Host(`a`) || Host(`b`))"),
    ("Method(`GET`, `POST`)", 1, "takes 1 argument", "Method(`GET`) || Method(`POST`)"),
    ("Header(`X-A`)", 1, "takes 2 arguments, 1 given", "Header(`Content-Type`"),
    ("Query(`a`, `b`, `c`)", 1, "takes 1 or 2 arguments, 3 given", "one key and one value"),
    ("Host()", 1, "takes 1 argument, 0 given", "Host("),
    ("Host(``)", 6, "empty argument", "Host("),
    ("Header(`X`, ``)", 13, "empty argument", "Header("),
    ("Path(`/users/{id:[0-9]+}`)", 14, "{id:[0-9]+} is a template of Traefik v2", "PathRegexp(`^/users/[0-9]+$`)"),
    ("PathPrefix(`/users/{id}/x`)", 20, "{id} is a template", "PathRegexp(`^/users/[^/]+/x`)"),
    ("HostRegexp(`{s:[a-z]{2,3}}.example.com`)", 13, "{s:[a-z]{2,3}} is a template", r"^[a-z]{2,3}\.example\.com$"),
    ("QueryRegexp(`q`, `{v:a|b}`)", 19, "template", r"a brace that is meant is \{"),
    ("Host(a.example)", 6, "not quoted", "write Host(`a.example`)"),
    ("Host('a.example')", 6, "single quotes", "write Host(`a.example`)"),
    ("Host:a.example", 1, "v1", "write Host(`a.example`)"),
    ("Host", 1, "no arguments", "such as Host("),
    ("Host(`a`) and Path(`/`)", 11, "`and` between matchers", "write &&"),
    ("not Host(`a`)", 1, "not is not an operator", "write !"),
    ("Host(`a`) | Path(`/`)", 11, "single |", "write ||"),
    ("Host(`a`), Path(`/`)", 10, "between matchers", "&& (both) or || (either)"),
    ("Host(`a`) Path(`/`)", 11, "where && or || should stand", ""),
    ("&& Host(`a`)", 1, "&& has nothing on its left", "either side"),
    ("Host(`a`) &&", 13, "the rule ends", "such as"),
    ("(Host(`a`)", 1, "never closed", 'add ")"'),
    ("Host(`a`))", 10, "never opened", "take it away"),
    ("Host(`a`", 5, "never closed", 'add ")"'),
    ("Host(`a)", 6, "never closed", "add a `"),
    ('Host("a)', 6, "never closed", 'add a "'),
    (r'Path("/\d")', 8, r"\d is not an escape", "back-ticks"),
    (r'Path("/\ud800")', 8, "not an escape", "back-ticks"),
    ("Host(`b\u00fcro.example`)", 6, "not ASCII", "Host(`xn--bro-hoa.example`)"),
    ("Host(`a.example:8080`)", 6, "port", "write Host(`a.example`)"),
    ("Host(`http://a.example/x`)", 6, "more than a host", "Host(`a.example`) && PathPrefix(`/x`)"),
    ("Host(`a*.example`)", 8, "star", r"HostRegexp(`^a[^.]+\.example$`)"),
    ("Host(`a.*.example`)", 9, "star", "HostRegexp("),
    ("Host(`a b`)", 8, "' '", "HostRegexp"),
    ("HostRegexp(`b\u00fc`)", 12, "not ASCII", "punycode"),
    ("Path(`css`)", 7, "does not begin with /", "write Path(`/css`)"),
    ("PathPrefix(`/a?b=c`)", 15, "query", "PathPrefix(`/a`) && Query(`b`, `c`)"),
    ("Method(`GET,POST`)", 8, "not a method", "Method(`GET`) || Method(`POST`)"),
    ("Header(`X A`, `b`)", 8, "not the name of a header", "Content-Type"),
    ("Query(`a=b`)", 9, "two arguments", "write Query(`a`, `b`)"),
    ("ClientIP(`10.0.0`)", 10, "neither an address nor a range", "10.0.0.0/8"),
    ("ClientIP(`10.0.0.0/255.0.0.0`)", 10, "neither an address nor a range", "10.0.0.0/8"),
    ("PathRegexp(`^/a(?=b)`)", 16, "(?=", "look-around"),
    (r"PathRegexp(`(a)\1`)", 16, r"\1", "back-references"),
    (r'PathRegexp("/\\d+[z-a]")', 19, "z-a", "syntax is Go's"),
    ("PathRegexp(`*.jpg`)", 13, "repetition", "write `.*.jpg`"),
    ("PathRegexp(`a{2000}`)", 14, "{2000}", "repeat less"),
    ("PathRegexp(`(a{30}){30}b{900}c{900}d{900}e{900}`)", 12, "instructions", "repeat less"),
    ("PathRegexp(`/(css`)", 13, "missing )", "syntax is Go's"),
    ("!" * (MAX_DEPTH + 1) + "Host(`a`)", MAX_DEPTH + 1, "64", ""),
    ("Host(`" + "a" * MAX_LENGTH + "`)", 1, "characters", "divide"),
]


@pytest.mark.parametrize("text, column, message, hint", REFUSED)
def test_what_is_wrong_is_told_with_its_place_and_its_remedy(text, column, message, hint):
    with pytest.raises(RuleError) as caught:
        parse(text)
    assert (caught.value.column, message in caught.value.message, hint in caught.value.hint) == (column, True, True), \
        str(caught.value)


@pytest.mark.parametrize("text", [row[0] for row in REFUSED if "write " in row[3] or row[3].startswith("(Host")])
def test_what_a_hint_writes_can_be_read(text):
    with pytest.raises(RuleError) as caught:
        parse(text)
    for piece in caught.value.hint.split("write ", 1)[1:]:
        if piece[0].isupper():
            parse(piece.split(";")[0])


def test_what_is_said_about_a_long_rule_is_short():
    for text in ("Path(`" + "x" * 60_000 + "`)", "Host(" + ", ".join(["`a.example`"] * 4000) + ")", "x" * 60_000):
        with pytest.raises(RuleError) as caught:
            parse(text)
        assert len(str(caught.value)) < 1000


def test_a_chain_of_two_thousand_hosts_is_one_level():
    rule = parse(" || ".join(f"Host(`h{n}.example`)" for n in range(2000)))
    assert isinstance(rule, Or)
    assert len(rule.parts) == 2000


@pytest.mark.parametrize("text, priority", [
    ("Host(`a`)", 9), ("Path(`/\u00e9`)", 11), ("Host(`**.a.b`)", 12), ("!Host(`**.a.b`)", 15),
    ("!(!Host(`**.a.b`))", 16)])
def test_the_default_priority_is_the_length_of_the_rule_without_the_stars_of_a_deep_wildcard(text, priority):
    assert default_priority(text, parse(text)) == priority


any_text = st.one_of(st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
                     st.binary(min_size=1).map(lambda data: data.decode("utf-8", "surrogateescape")))
matches = st.one_of(
    st.from_regex(r"[a-z0-9]{1,8}(\.[a-z0-9]{1,8}){0,2}", fullmatch=True).map(lambda text: Match("Host", (text,))),
    any_text.filter(lambda text: "{" not in text and "?" not in text).map(lambda text: Match("Path", ("/" + text,))),
    any_text.map(lambda text: Match("Header", ("X-Any", text))))
expressions = st.recursive(matches, lambda inner: st.one_of(
    inner.map(Not), st.lists(inner, min_size=2, max_size=4).map(all_of),
    st.lists(inner, min_size=2, max_size=4).map(any_of)), max_leaves=12)


@given(expressions)
def test_every_expression_survives_being_written_and_read(expression):
    assert parse(str(expression)) == expression


@given(st.text("Host(`a`)\"'!&|,\\ x.*{}[]PathRegexp/", max_size=40))
def test_any_text_is_read_or_refused_with_a_place_inside_it(text):
    try:
        parse(text)
    except RuleError as error:
        column = error.column
    else:
        column = 1
    assert 1 <= column <= len(text) + 1
