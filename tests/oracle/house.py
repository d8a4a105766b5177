"""What both proxies serve: routers of every kind, each with an endpoint of its own name, good ones beside bad ones.

Everything is made from constants and one seed, so that a difference can be looked at again.  `rules()` says which rule
each router has, `files()` the dynamic files, `ENTRY_POINTS` the listening addresses without their ports.
"""
from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from typing import Any

SEED = 20260301

ENTRY_POINTS: dict[str, dict[str, Any]] = {
    "web": {"asDefault": True, "forwardedHeaders": {"trustedIPs": ["127.0.0.2/32"]}},
    "side": {"asDefault": True},
    "open": {"forwardedHeaders": {"insecure": True}},
}

# One router for each way to write a matcher; on all default entrypoints.
MATCHERS = {
    "host": "Host(`exact.example`)",
    "host-upper": "Host(`UPPER.Example`)",
    "host-dot": "Host(`dotted.example.`)",
    "host-star": "Host(`*.star.example`)",
    "host-stars": "Host(`**.stars.example`)",
    "host-v6": "Host(`[fd00::1]`)",
    "host-v6-bare": "Host(`fd00::2`)",
    "host-underscore": "Host(`under_score.example`)",
    "host-v4": "Host(`10.1.2.3`)",
    "host-regexp": r"HostRegexp(`^re-[a-z]+\.example$`)",
    "host-regexp-loose": "HostRegexp(`loose`)",
    "host-regexp-capital": r"HostRegexp(`^Cap-[a-z]+\.Example$`)",
    "path": "Host(`paths.example`) && Path(`/products`)",
    "path-slash": "Host(`paths.example`) && Path(`/slashed/`)",
    "path-root": "Host(`paths.example`) && Path(`/`)",
    "path-space": "Host(`paths.example`) && Path(`/a b`)",
    "path-letter": "Host(`paths.example`) && Path(`/caf\u00e9`)",
    "path-escaped-letter": "Host(`paths.example`) && Path(`/th%C3%A9`)",
    "path-escaped-space": "Host(`paths.example`) && Path(`/c%20d`)",
    "path-escaped-slash": "Host(`paths.example`) && Path(`/e%2Ff`)",
    "path-escaped-slash-lower": "Host(`paths.example`) && Path(`/g%2fh`)",
    "path-semicolon": "Host(`paths.example`) && Path(`/semi;colon`)",
    "path-tilde": "Host(`paths.example`) && Path(`/~home`)",
    "path-braces": "Host(`paths.example`) && Path(`/{id}`)",
    "path-query": "Host(`paths.example`) && Path(`/asked?x=1`)",
    "path-prefix": "Host(`paths.example`) && PathPrefix(`/pre`)",
    "path-prefix-slash": "Host(`paths.example`) && PathPrefix(`/dir/`)",
    "path-regexp": r"Host(`paths.example`) && PathRegexp(`\\.(jpe?g|png)$`)".replace("\\\\", "\\"),
    "path-regexp-start": "Host(`paths.example`) && PathRegexp(`^/v[0-9]+/`)",
    "path-regexp-escape": "Host(`paths.example`) && PathRegexp(`^/x%2Fy$`)",
    "path-regexp-space": "Host(`paths.example`) && PathRegexp(`^/one two$`)",
    "path-regexp-caseless": "Host(`paths.example`) && PathRegexp(`(?i)^/caseless$`)",
    "method": "Host(`methods.example`) && Method(`POST`)",
    "method-lower": "Host(`methods.example`) && Method(`put`)",
    "method-own": "Host(`methods.example`) && Method(`BREW`)",
    "header": "Host(`headers.example`) && Header(`X-Kind`, `tea`)",
    "header-lower": "Host(`headers.example`) && Header(`x-lower`, `Tea`)",
    "header-regexp": "Host(`headers.example`) && HeaderRegexp(`X-Sort`, `^(green|black)$`)",
    "header-regexp-empty": "Host(`headers.example`) && HeaderRegexp(`X-Any`, ``)",
    "header-regexp-any": "Host(`headers.example`) && HeaderRegexp(`X-Any2`, `.*`)",
    "header-host": "Host(`headers.example`) && Header(`Host`, `headers.example`) && Path(`/host-header`)",
    "query": "Host(`queries.example`) && Query(`mobile`, `true`)",
    "query-key": "Host(`queries.example`) && Query(`bare`)",
    "query-space": "Host(`queries.example`) && Query(`q`, `a b`)",
    "query-letter": "Host(`queries.example`) && Query(`l`, `\u00e9`)",
    "query-regexp": "Host(`queries.example`) && QueryRegexp(`size`, `^[0-9]+$`)",
    "query-regexp-any": "Host(`queries.example`) && QueryRegexp(`any`, `.*`)",
    "client": "Host(`clients.example`) && ClientIP(`127.0.0.2`)",
    "client-range": "Host(`clients.example`) && ClientIP(`127.0.0.3/32`)",
    "client-v6": "Host(`clients.example`) && Path(`/v6`) && ClientIP(`::1/128`)",
    "not": "Host(`logic.example`) && !Method(`GET`)",
    "not-parentheses": "Host(`logic.example`) && !(Method(`POST`) || PathPrefix(`/x`)) && PathPrefix(`/`)",
    "or": "Host(`or-a.example`) || Host(`or-b.example`) && Path(`/b`)",
    "or-parentheses": "(Host(`or-c.example`) || Host(`or-d.example`)) && Path(`/b`)",
    "not-not": "Host(`twice.example`) && !(!Path(`/twice`))",
    "spaces": "Host(`spaces.example`)&&Path( `/tight` )",
    "quotes": 'Host("quotes.example") && PathRegexp("^/\\\\d+$")',
    "any-case": "host(`words.example`) && PATHPREFIX(`/any`)",
    "path-line": "Host(`paths.example`) && PathRegexp(`^/line.feed$`)",
    "path-line-dot": "Host(`paths.example`) && PathRegexp(`(?s)^/line.dot$`)",
    "path-line-end": "Host(`paths.example`) && PathRegexp(`^/last$`)",
    "path-line-many": "Host(`paths.example`) && PathRegexp(`(?m)^two$`)",
    "path-only": "Path(`/everywhere`)",
    "no-host-said": "!Host(`*`) && Path(`/nobody`)",
    "any-host-said": "Host(`*`) && Path(`/somebody`)",
    "line-breaks": "Host(`lines.example`)\n  && Path(`/broken`)",
    "line-breaks-after": "Host(`lines.example`) &&\n  Path(`/whole`)",
    "host-port": "Host(`ported.example:8080`)",
    "host-part-star": "Host(`a*.example`)",
    "query-equals": "Host(`queries.example`) && Query(`mobile=true`)",
    "template-host": "HostRegexp(`{sub:[a-z]+}.template.example`)",
}

# What a regular expression may be made of; asked of header values, which may hold any byte.
REGEXPS = (
    r"^a+$", r"^.$", r"^..$", r"^[[:alpha:]]+$", r"^\w+$", r"^\W+$", r"^\d+$", r"^\s*$", r"\bb\b", r"^\pL+$",
    r"^\p{Greek}$",
    r"^\PN*$", r"(?i)^abc$", r"(?i)^k$", r"(?i)^s$", r"^[^a-z]+$", r"^[^\x00-\x7F]+$", r"^\x{e9}$", r"^\xe9$",
    r"^\Qa.c\E$",
    r"^(?:a|b|ab)(?:c|bcd)?(?:d*)$", r"^(?P<one>a)(?<two>b)?", r"^a{2,3}$", r"^a{0}$", r"^(a*)*$", r"^$", r"\Aabc\z",
    r"^a.c$", r"(?s)^a.c$", r"(?U)^a+", r"^[\d\s]+$", r"^[a\]b]+$", r"\C", r"^a{1001}$", r"a**", r"^(?!a)", r"(a)\1",
    r"\Z", r"[z-a]", r"(?i)stra(ss|\x{df})e", r"^\p{Lu}", r"^[\pL\pN_]+$", r"\_", r"\/", r"^\-$", r"x{,2}", r"^[a-\d]$",
    r"\pX", r"(?x)a", r"^\Q", r"^[[:word:]]$", r"^[[:foo:]]$", r"(?i:A)b", r"^\u0061", r"\07", r"\a", r"[[a]]")

REGEXP_RULES = {f"regexp-{number}": f"Host(`regexps.example`) && HeaderRegexp(`X-Said-{number}`, `{pattern}`)"
                for number, pattern in enumerate(REGEXPS)}

# Which of several routers takes a request: (rule, priority).
PRIORITIES = {
    "rank-long": ("Host(`rank.example`) && PathPrefix(`/a/long/prefix`)", 0),
    "rank-short": ("Host(`rank.example`) && PathPrefix(`/a`)", 0),
    "rank-raised": ("Host(`rank.example`) && PathPrefix(`/a/raised`)", 1000),
    "rank-lowered": ("Host(`rank.example`) && PathPrefix(`/a/long/prefix/but/low`)", 1),
    "rank-negative": ("Host(`rank.example`)", -5),
    "rank-huge": ("Host(`rank.example`) && Header(`X-Rank`, `huge`)", 9223372036854774807),
    "star-long": ("Host(`*.order.example`) && PathPrefix(`/`)", 0),
    "star-named": ("Host(`www.order.example`)", 0),
    "stars-prefixed": ("Host(`**.depth.example`)", 0),
    "star-prefixed": ("Host(`*.depth.example`)", 0),
    **{f"equal-{letter}{side}": (f"Host(`equal-{letter}.example`) && PathPrefix(`/{path}`)", 50)
       for letter in "abcdefghijklmnopqrst" for side, path in ((1, ""), (2, "x"))},
}

# A service of each kind: a router of the same name takes the host NAME.svc.example.
SERVERS = ("weights-3", "weights-1", "weights-0", "shared-a", "shared-b", "nested-a", "nested-b", "keep-host",
           "drop-host", "plain-path", "kept-path", "kept-root", "tls-any", "tls-named", "tls-trusted", "tls-refused",
           "slow-timeouts")
SECURE = ("tls-any", "tls-named", "tls-trusted", "tls-refused")

# Entrypoints: which router stands where.
PLACED = {
    "on-web": ("Host(`placed.example`) && Path(`/web`)", ["web"]),
    "on-side": ("Host(`placed.example`) && Path(`/side`)", ["side"]),
    "on-open": ("Host(`placed.example`) && Path(`/open`)", ["open"]),
    "on-two": ("Host(`placed.example`) && Path(`/two`)", ["web", "open"]),
    "on-default": ("Host(`placed.example`) && Path(`/default`)", None),
    "on-one-of-two": ("Host(`placed.example`) && Path(`/half`)", ["web", "nowhere"]),
    "echo-open": ("Host(`echo.example`)", ["web", "side", "open"]),
}

# What is wrong alone takes nothing else with it; host NAME.bad.example.
_BAD: dict[str, dict[str, Any]] = {
    "unknown-middleware": {"middlewares": ["nobody"]},
    "unknown-service": {"service": "nobody"},
    "unknown-transport": {"service": "unknown-transport"},
    "unknown-child": {"service": "unknown-child"},
    "circle": {"service": "circle"},
    "no-such-entrypoint": {"entryPoints": ["nowhere"]},
    "bad-rule": {"rule": "Host(`bad-rule.bad.example`) &&"},
    "bad-matcher": {"rule": "Host(`bad-matcher.bad.example`) && Colour(`red`)"},
    "bad-regexp": {"rule": "Host(`bad-regexp.bad.example`) && PathRegexp(`(`)"},
    "bad-client": {"rule": "Host(`bad-client.bad.example`) && ClientIP(`10.0.0.0/40`)"},
    "bad-arguments": {"rule": "Host(`bad-arguments.bad.example`, `other.example`)"},
    "bad-quotes": {"rule": "Host('bad-quotes.bad.example')"},
    "no-slash": {"rule": "Host(`no-slash.bad.example`) && Path(`x`)"},
    "look-ahead": {"rule": "Host(`look-ahead.bad.example`) && PathRegexp(`^/(?!x)`)"},
}
BAD = tuple(_BAD)

_CHANCE_HOSTS = 10
_PATHS = ("/", "/a", "/a/b", "/a/b/c", "/b", "/b/a", "/c.png", "/v1/a", "/v2/b", "/A")
_METHODS = ("GET", "POST", "DELETE")
_SAID = (("X-Kind", "tea"), ("X-Kind", "coffee"), ("X-Sort", "green"), ("X-Sort", "red"))
_ASKED = (("q", "1"), ("q", "2"), ("size", "10"), ("size", "big"))


def _leaf(chance: random.Random) -> str:
    path, name, key = chance.choice(_PATHS), chance.choice(_SAID), chance.choice(_ASKED)
    return chance.choice((
        f"Path(`{path}`)", f"PathPrefix(`{path}`)", f"PathPrefix(`{path}`)", f"PathRegexp(`{path[1:2] or 'a'}$`)",
        f"Method(`{chance.choice(_METHODS)}`)", f"Header(`{name[0]}`, `{name[1]}`)",
        f"HeaderRegexp(`{name[0]}`, `^{name[1][:2]}`)", f"Query(`{key[0]}`, `{key[1]}`)",
        f"QueryRegexp(`{key[0]}`, `[0-9]`)", f"ClientIP(`127.0.0.{chance.choice((1, 2))}`)"))


def _tree(chance: random.Random, depth: int) -> str:
    if depth == 0 or chance.random() < 0.3:
        leaf = _leaf(chance)
        return f"!{leaf}" if chance.random() < 0.25 else leaf
    parts = [_tree(chance, depth - 1) for _ in range(chance.choice((2, 2, 3)))]
    pieces = parts[0]
    for part in parts[1:]:
        pieces += f" {chance.choice(('&&', '||'))} {part}"
    return f"{'!' if chance.random() < 0.2 else ''}({pieces})"


def _by_chance() -> dict[str, tuple[str, int]]:
    """Rules that nobody wrote, six for each host, with ranks that differ within a host."""
    chance = random.Random(SEED)
    found = {}
    for host in range(_CHANCE_HOSTS):
        ranks = chance.sample(range(1, 100), 6)
        for number, rank in enumerate(ranks):
            found[f"chance-{host}-{number}"] = (f"Host(`chance-{host}.example`) && {_tree(chance, 3)}", rank)
    return found


CHANCE = _by_chance()


def chance_request(chance: random.Random) -> tuple[str, str, str, list[tuple[str, str]]]:
    """Method, target, host and header lines out of the words that the rules made by chance are made of."""
    path = chance.choice(_PATHS) + chance.choice(("", "", "/", "/a", "b"))
    asked = "&".join(f"{key}={value}" for key, value in chance.sample(_ASKED, chance.choice((0, 0, 1, 2))))
    said = chance.sample(_SAID, chance.choice((0, 1, 1, 2)))
    return (chance.choice(_METHODS), path + (f"?{asked}" if asked else ""),
            f"chance-{chance.randrange(_CHANCE_HOSTS)}.example", list(said))


def names() -> tuple[str, ...]:
    """Every endpoint there must be."""
    return (*MATCHERS, *REGEXP_RULES, *PRIORITIES, *CHANCE, *PLACED, *SERVERS, "decoy")


def files(url: Callable[..., str], dead: int, authority: str) -> Mapping[str, str]:
    """The dynamic files by name; `dead` is a port where nobody listens, `authority` a certificate that others trust."""
    def alone(name: str, path: str = "", **said: Any) -> dict[str, Any]:
        return {"loadBalancer": {"servers": [{"url": url(name, path)}], **said}}

    ruled = {**MATCHERS, **REGEXP_RULES}
    matchers = {"routers": {name: {"rule": rule, "service": name} for name, rule in ruled.items()},
                "services": {name: alone(name) for name in ruled}}
    ranked = {**PRIORITIES, **CHANCE}
    priorities = {"routers": {name: {"rule": rule, "service": name, **({"priority": rank} if rank else {})}
                              for name, (rule, rank) in ranked.items()},
                  "services": {name: alone(name) for name in ranked}}
    placed = {"routers": {name: {"rule": rule, "service": name, **({} if where is None else {"entryPoints": where})}
                          for name, (rule, where) in PLACED.items()},
              "services": {name: alone(name) for name in PLACED}}
    kinds: dict[str, Any] = {
        "weights": {"loadBalancer": {"servers": [{"url": url(f"weights-{w}"), "weight": w} for w in (3, 1, 0)]}},
        "shared": {"weighted": {"services": [{"name": "shared-a", "weight": 2}, {"name": "shared-b", "weight": 1}]}},
        "shared-a": alone("shared-a"), "shared-b": alone("shared-b"),
        "nested": {"weighted": {"services": [{"name": "inner", "weight": 1}, {"name": "nested-b", "weight": 3}]}},
        "inner": {"weighted": {"services": [{"name": "nested-a"}, {"name": "empty", "weight": 0}]}},
        "nested-a": alone("nested-a"), "nested-b": alone("nested-b"),
        "keep-host": alone("keep-host"),
        "drop-host": alone("drop-host", passHostHeader=False),
        "plain-path": alone("plain-path", "/ignored/base"),
        "kept-path": {"loadBalancer": {"servers": [{"url": url("kept-path", "/base"), "preservePath": True}]}},
        "kept-root": {"loadBalancer": {"servers": [{"url": url("kept-root", "/"), "preservePath": True}]}},
        "empty": {"loadBalancer": {"servers": []}},
        "all-zero": {"loadBalancer": {"servers": [{"url": url("weights-0"), "weight": 0}]}},
        "dead": {"loadBalancer": {"servers": [{"url": f"http://127.0.0.1:{dead}"}]}},
        "tls-any": alone("tls-any", serversTransport="any"),
        "tls-named": alone("tls-named", serversTransport="named"),
        "tls-trusted": alone("tls-trusted", serversTransport="trusted"),
        "tls-refused": alone("tls-refused"),
        "slow-timeouts": alone("slow-timeouts", serversTransport="timed"),
    }
    services = {"routers": {name: {"rule": f"Host(`{name}.svc.example`)", "service": name} for name in kinds},
                "services": kinds,
                "serversTransports": {
                    "any": {"insecureSkipVerify": True},
                    "named": {"serverName": "named.example", "rootCAs": [authority]},
                    "trusted": {"rootCAs": [authority]},
                    "timed": {"forwardingTimeouts": {"dialTimeout": "2s", "responseHeaderTimeout": "5s",
                                                     "idleConnTimeout": "1s"}, "maxIdleConnsPerHost": 4}}}
    bad = {"routers": {name: {"rule": f"Host(`{name}.bad.example`)", "service": "decoy", **said}
                       for name, said in _BAD.items()},
           "services": {"decoy": alone("decoy"), "unknown-transport": alone("decoy", serversTransport="nobody"),
                        "unknown-child": {"weighted": {"services": [{"name": "nobody", "weight": 1}]}},
                        "circle": {"weighted": {"services": [{"name": "circle", "weight": 1}]}}}}
    return {f"{name}.yml": json.dumps({"http": said}, indent=1) for name, said in (
        ("matchers", matchers), ("priorities", priorities), ("placed", placed), ("services", services), ("bad", bad))}
