"""The requests of the comparison: those that somebody thought of, and those that chance made out of the same words.

Each says what it is about (`kind`), so that a difference that is meant can be told from the same difference elsewhere.
"""
from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import house
from proxies import FRIEND, PEER, head
from recorder import ANSWERS

BY_CHANCE = 400


@dataclass(frozen=True, slots=True)
class Case:
    """One request: the bytes, and what a list of differences may want to know of them."""

    kind: str
    target: str = "/"
    host: str | None = "echo.example"
    method: str = "GET"
    lines: tuple[tuple[str, str], ...] = ()
    version: str = "1.1"
    body: bytes = b""
    entry: str = "web"
    source: str = PEER

    @property
    def is_answered_as_it_stands(self) -> bool:
        """Whether the endpoint gives one of recorder.ANSWERS; what a proxy says in its place is a 502."""
        return self.kind.startswith("answer ")

    @property
    def request(self) -> bytes:
        return head(self.method, self.target, self.host, self.lines, self.version, self.body)

    def __str__(self) -> str:
        return f"[{self.kind}, {self.entry}, from {self.source}] {self.request!r}"


def _matchers() -> Iterator[Case]:
    for host in ("exact.example", "EXACT.Example", "exact.example.", "exact.example..", "exact.example:80",
                 "exact.example:8080", "exact.example.:80", "exact.example:", "xexact.example", "exact.example.x",
                 "upper.example", "UPPER.example", "dotted.example", "dotted.example.", "a.star.example",
                 "A.STAR.example:81", "star.example", "a.b.star.example", ".star.example", "a.stars.example",
                 "a.b.stars.example", "stars.example", "[fd00::1]", "[fd00::1]:8080", "[FD00::1]", "[fd00:0::1]",
                 "[fd00::2]", "[fd00::2]:90", "under_score.example", "10.1.2.3", "10.1.2.3:80", "re-abc.example",
                 "RE-ABC.example", "re-ABC.example", "re-abc.example:99", "re-1.example", "re-abc.example.",
                 "aloosened.example", "LOOSE.other", "cap-abc.example", "Cap-abc.Example", "ported.example:8080",
                 "ported.example", "ab.example", "a.template.example", "quotes.example", "twice.example", ""):
        yield Case("host", "/", host)
    for target in ("/products", "/products/", "/products?x=1", "/Products", "/product", "/%70roducts", "/products%20",
                   "/slashed", "/slashed/", "/slashed/x", "/slashed//", "/", "/a%20b", "/a+b", "/caf%C3%A9",
                   "/caf%c3%a9", "/caf%E9", "/th%C3%A9", "/th%c3%a9", "/c%20d", "/e%2Ff", "/e%2ff", "/e/f", "/g%2Fh",
                   "/g%2fh", "/semi;colon", "/semi%3Bcolon", "/semi%3bcolon", "/~home", "/%7Ehome", "/%7ehome", "/{id}",
                   "/%7Bid%7D", "/asked?x=1", "/asked%3Fx=1", "/pre", "/prefix", "/pre/fix", "/pr", "/dir", "/dir/",
                   "/dir/x", "/dirx", "/a.jpg", "/a.jpeg", "/a.png?x=.gif", "/a.jpgx", "/ajpg", "/v1/x", "/v12/", "/v1",
                   "/vx/", "/x%2Fy", "/x%2fy", "/x/y", "/one%20two", "/one%20two/", "/caseless", "/CASELESS",
                   "/everywhere", "/%65verywhere", "/a/../products", "/products/.", "/products/..", "/./products",
                   "//products", "/x/..//products", "/%2e/products", "/%2E%2E/products", "/x/%2e%2e/products",
                   "/products/%2e", "/products%2F", "/products%00", "/products%0A", "/products%25", "/products%23",
                   "/line%0Afeed", "/line%0Adot", "/last", "/last%0A", "/one%0Atwo%0Athree", "/line%FFfeed",
                   "/line%C3%A9feed"):
        yield Case("path", target, "paths.example")
    for method in ("GET", "POST", "post", "PUT", "put", "BREW", "brew", "HEAD", "OPTIONS", "PATCH"):
        yield Case("method", "/", "methods.example", method)
        yield Case("method", "/x", "logic.example", method)
        yield Case("method", "/y", "logic.example", method)
    for lines in ((), (("X-Kind", "tea"),), (("x-kind", "tea"),), (("X-Kind", "Tea"),), (("X-Kind", " tea \t"),),
                  (("X-Kind", "coffee"), ("X-Kind", "tea")), (("X-Kind", "coffee, tea"),), (("X-Kind", ""),),
                  (("X-Lower", "Tea"),), (("X-LOWER", "tea"),), (("X-Sort", "green"),), (("X-Sort", "greenish"),),
                  (("X-Sort", "red"), ("x-sort", "black")), (("X-Any", ""),), (("X-Any", "x"),), (("X-Any2", ""),),
                  (("X-Any2", "x"),), (("X_Kind", "tea"),)):
        yield Case("header", "/", "headers.example", lines=lines)
    yield Case("header-host", "/host-header", "headers.example")
    for query in ("mobile=true", "mobile=True", "mobile", "mobile=", "mobile=false&mobile=true", "x=1&mobile=true&y",
                  "mob%69le=true", "mobile=tr%75e", "mobile=true;x=1", "x=1;mobile=true", "mobile=true%",
                  "%=1&mobile=true",
                  "Mobile=true", "mobile%3Dtrue", "bare", "bare=", "bare=1", "bare&bare=1", "q=a+b", "q=a%20b",
                  "q=a b".replace(" ", "%2B"), "l=%C3%A9", "l=%E9", "size=10", "size=x10", "size=x&size=10", "any",
                  "any=", "any=1", "anyone=1", "", "?bare", "&&bare&&", "=1", "bare=%zz", "mobile=true#x"):
        yield Case("query", f"/?{query}", "queries.example")
    for source in (PEER, FRIEND, "127.0.0.3"):
        for lines in ((), (("X-Forwarded-For", "127.0.0.2"),), (("X-Real-Ip", "127.0.0.3"),)):
            for target in ("/", "/v6"):
                yield Case("client", target, "clients.example", lines=lines, source=source)
    for host, target in (("or-a.example", "/"), ("or-b.example", "/"), ("or-b.example", "/b"), ("or-c.example", "/b"),
                         ("or-d.example", "/b"), ("or-d.example", "/c"), ("twice.example", "/twice"),
                         ("twice.example", "/once"), ("spaces.example", "/tight"), ("quotes.example", "/42"),
                         ("quotes.example", "/4x"), ("words.example", "/any"), ("words.example", "/other"),
                         ("nobody.example", "/nobody"), ("nobody.example", "/somebody"), ("lines.example", "/broken"),
                         ("lines.example", "/whole")):
        yield Case("logic", target, host)
    for target in ("/nobody", "/somebody", "/everywhere", "/"):
        yield Case("no-host", target, None, version="1.0")
        yield Case("no-host", target, None)
        yield Case("empty-host", target, "")


def _regexps() -> Iterator[Case]:
    values = ("", "a", "aa", "aaaa", "abc", "ABC", "AbC", "a.c", "a c", "abcd", "ab", "b", "k", "K", "\u212a", "s",
              "\u017f", "_",
              "1", "12 3", "\u0663", "\u00e9", "\u00c9", "\u03b1", "\u4e2d", "\U0001f600", "a\u00e9c", "stra\u00dfe",
              "STRASSE", "a]", "-", "/", "ab b")
    raw = ("\xe9", "\xff", "a\xffc", "\xc3", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xc0\xaf", "\xef\xbf\xbd")
    for number in range(len(house.REGEXPS)):
        for value in (*(each.encode().decode("latin-1") for each in values), *raw):
            yield Case(f"regexp {number}", "/", "regexps.example", lines=((f"X-Said-{number}", value),))


def _ranks() -> Iterator[Case]:
    for target in ("/", "/a", "/a/long/prefix", "/a/long/prefix/but/low", "/a/raised", "/a/raised/long/prefix"):
        yield Case("rank", target, "rank.example")
        yield Case("rank", target, "rank.example", lines=(("X-Rank", "huge"),))
    for host in ("www.order.example", "api.order.example", "a.depth.example", "a.b.depth.example"):
        yield Case("rank", "/", host)
    for letter in "abcdefghijklmnopqrst":
        yield Case("equal", "/x", f"equal-{letter}.example")
        yield Case("rank", "/y", f"equal-{letter}.example")


def _services() -> Iterator[Case]:
    for name in ("keep-host", "drop-host", "plain-path", "kept-path", "kept-root", "empty", "all-zero", "dead",
                 "tls-any", "tls-named", "tls-trusted", "tls-refused", "slow-timeouts", "weights"):
        for target in ("/", "/x/y?z=1", "/a%20b/../c"):
            kind = f"service {name}" if name != "weights" else "weights"
            if kind != "weights":
                yield Case(kind, target, f"{name}.svc.example")
    for name in house.BAD:
        yield Case(f"bad {name}", f"/{name}", f"{name}.bad.example")
    for entry in house.ENTRY_POINTS:
        for path in ("web", "side", "open", "two", "default", "half", "none"):
            yield Case("placed", f"/{path}", "placed.example", entry=entry)
        yield Case("placed", "/everywhere", "any.example", entry=entry)


def _forwarded() -> Iterator[Case]:
    lines_said: tuple[tuple[tuple[str, str], ...], ...] = (
        (), (("X-Forwarded-For", "203.0.113.7"),), (("X-Forwarded-For", "203.0.113.7, 10.0.0.1"),),
        (("X-Forwarded-For", "203.0.113.7"), ("X-Forwarded-For", "10.0.0.1")), (("X-Forwarded-For", ""),),
        (("x-forwarded-for", "garbage"),), (("X-Forwarded-Proto", "https"),), (("X-Forwarded-Proto", "HTTPS"),),
        (("X-Forwarded-Proto", "wss"),), (("X-Forwarded-Host", "other.example"),), (("X-Forwarded-Port", "8443"),),
        (("X-Forwarded-Server", "edge-1"),), (("X-Real-Ip", "203.0.113.9"),), (("X-Forwarded-Prefix", "/old"),),
        (("X-Forwarded-Uri", "/old"),), (("X-Forwarded-Method", "POST"),), (("X-Forwarded-Tls-Client-Cert", "none"),),
        (("X-Forwarded-Tls-Client-Cert-Info", "none"),), (("X-Forwarded-Scheme", "https"),),
        (("X-Forwarded-Ssl", "on"),), (("X-Forwarded-Other", "kept?"),), (("X_Forwarded_For", "203.0.113.7"),),
        (("X_Real_Ip", "203.0.113.7"),), (("X-Forwarded_For", "203.0.113.7"),),
        (("Forwarded", "for=203.0.113.7;proto=https"),),
        (("X-Real-Ip", ""),), (("X-Forwarded-Proto", ""),), (("X-Forwarded-Host", ""),), (("X-Forwarded-Port", ""),),
        (("X-Forwarded-For", ""), ("X-Forwarded-For", "203.0.113.7")), (("X-Scheme", "https"),),
        (("X_Scheme", "https"),),
        (("X-Real-Ip", "203.0.113.9"), ("X-Real-Ip", "203.0.113.8")), (("x-real-ip", "203.0.113.9"),),
        (("Upgrade", "websocket"), ("Connection", "Upgrade")),
        (("Upgrade", "WebSocket"), ("Connection", "keep-alive, upgrade")),
        (("Upgrade", "tea"), ("Connection", "Upgrade")),
        (("Upgrade", "tea"), ("Upgrade", "cake"), ("Connection", "Upgrade")),
        (("X-Forwarded-Proto", "https"), ("Upgrade", "websocket"), ("Connection", "Upgrade")),
        (("X-Forwarded-For", "203.0.113.7"), ("Connection", "X-Forwarded-For")),
        (("X-Real-Ip", "203.0.113.9"), ("Connection", "X-Real-Ip, X-Forwarded-Host")),
        (("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "h.example:444"), ("X-Forwarded-For", "1.2.3.4"),
         ("X-Forwarded-Port", "444"), ("X-Forwarded-Server", "s"), ("X-Real-Ip", "1.2.3.4")))
    for lines in lines_said:
        for entry, source in (("web", PEER), ("web", FRIEND), ("side", FRIEND), ("open", PEER)):
            yield Case("forwarded", "/f", "echo.example", lines=lines, entry=entry, source=source)
    for host in ("echo.example:8080", "ECHO.example", "echo.example.", "Echo.Example.:81", "echo.example:",
                 "echo.example:80", "echo.example:443"):
        for source in (PEER, FRIEND):
            yield Case("forwarded", "/f", host, source=source)


def _targets() -> Iterator[Case]:
    for target in ("/", "/a", "/a/", "/a//b", "//", "//a//b//", "///", "/.", "/./", "/..", "/../", "/a/.", "/a/./b",
                   "/a/..", "/a/../", "/a/../b", "/../../etc", "/a/b/../../..", "/...", "/a/...", "/.a", "/a.", "/a..b",
                   "/%2e", "/%2e%2e/", "/a/%2E%2E/b", "/a/%2e./b", "/a/.%2e", "/a%2f..%2fb", "/a/%2f/b", "/a%2F%2Fb",
                   "/%2F", "/%2f%2e%2e%2f", "/a%5cb", "/a%5C..%5Cb", "/a%00b", "/a%3bb", "/a%3Bb", "/a;b", "/a;b=1/c",
                   "/a%25b", "/a%2525", "/a%3fb", "/a%3Fb?c", "/a%23b", "/a%20b", "/a+b", "/a%2bb", "/a%7e", "/a%7Eb",
                   "/%41", "/%61%62", "/a%2Db", "/a%5Fb", "/a%2e%2eb", "/a%c3%a9", "/a%ff", "/a%80", "/a%01", "/a%7f",
                   "/a'b", "/a\"b", "/a<b>", "/a[b]", "/a{b}", "/a|b", "/a^b", "/a`b", "/a!$&'()*+,=:@b", "/a%21%24%26",
                   "/a%27%28%29%2A", "/a%2C%3A%3D%40", "/a%5B%5D", "/a%22%3C%3E", "/a\\b", "/a%", "/a%2", "/a%zz",
                   "/a%2g", "/a#b", "/a b", "/\u00e9", "/a\x01b", "/a\x7fb", "a", "", "*", "/*", "?a", "/?", "/??",
                   "/?a?b", "/?a=b&c=d", "/?a=%20&b=+", "/?a=%zz", "/?%", "/?a=b;c=d", "/?a=b%3Bc", "/?;", "/?&&&",
                   "/?a=/../b", "/?a=//", "/?a#b", "/?a=%C3%A9&b=\u00e9", "/?a=[b]", "/?a='\"<>", "/?a\\b",
                   "/a/../b?c=/..", "/a/b/c/../../d", "/a/b/c/./../..//d/", "/" + "x" * 3000, "/" + "x" * 20000):
        yield Case("target", target)
        yield Case("target", target, version="1.0")
    for target in ("http://echo.example/a", "http://echo.example", "http://echo.example?q", "http://ECHO.example:80/a",
                   "http://echo.example:8080/a/../b", "https://echo.example/a", "http://other.example/a",
                   "ftp://echo.example/a", "http:///a", "http://u:p@echo.example/a", "http://u@echo.example/",
                   "HTTP://echo.example/a", "http://echo.example./", "http:/a", "//echo.example/a",
                   "ws://echo.example/", "http://[::1]/a", "http://echo.example/%2e%2e/a", "http://echo.example/a#b",
                   "http://echo.example:x/"):
        for host in ("echo.example", "other.example", None):
            yield Case("absolute", target, host)
    yield Case("absolute", "http://echo.example/a", None, version="1.0")
    yield Case("absolute", "http://exact.example/", "echo.example")


def _hosts() -> Iterator[Case]:
    for host in ("echo.example", "ECHO.EXAMPLE", "echo.example.", "echo.example:1", "echo.example:65535",
                 "echo.example:65536", "echo.example:0", "echo.example:x", "echo.example:-1", "echo.example:", ":80",
                 "echo.example:80:80", "u@echo.example", "echo.example/a", "echo.example, other", "echo example",
                 "echo.example\tx", "[::1]", "[::1", "::1", "[::1]x", "[zz]", "echo%2eexample", "\u00e9cho.example",
                 "echo.example?x", "echo.example#", "echo.example;x", "*", ".", "..", "-", "_", "a" * 300):
        yield Case("host syntax", "/h", host)
        yield Case("host syntax", "/nobody", host)
    yield Case("two hosts", "/h", "echo.example", lines=(("Host", "echo.example"),))
    yield Case("two hosts", "/h", "echo.example", lines=(("Host", "other.example"),))
    yield Case("host case", "/h", None, lines=(("hOsT", "echo.example"),))


def _messages() -> Iterator[Case]:
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get",
                   "X-Y", "G(T", "M" * 64, "M" * 65, ""):
        yield Case("method name", "/m", method=method)
        yield Case("method name", "/m", method=method, version="1.0")
    yield Case("options star", "*", method="OPTIONS")
    for forwards in ("0", "1", "3", "x", ""):
        for method in ("OPTIONS", "GET"):
            yield Case("max-forwards", "/m", method=method, lines=(("Max-Forwards", forwards),))
    yield Case("options star", "*", method="GET")
    yield Case("connect", "echo.example:80", method="CONNECT")
    for version in ("1.0", "1.1", "1.2", "2.0", "0.9", "3.0", "1", "1.10", "x.y", "11"):
        yield Case("version", "/v", version=version)
    for lines in (
            (("X-A", "1"), ("X-A", "2"), ("x-a", "3")), (("X-Empty", ""),), (("X-Space", "  a  b  "),),
            (("X-High", "caf\u00e9"),), (("X-Tab", "a\tb"),), (("X-Long", "y" * 4000),), (("X-Comma", "a,b,,c"),),
            (("x-lower-name", "1"), ("X-UPPER-NAME", "2")), (("X_Under", "1"),), (("X.Dot", "1"),),
            (("X~T!#$%&'*+^`|", "1"),),
            (("User-Agent", "probe/1"),), (("Accept-Encoding", "gzip"),), (("Accept-Encoding", ""),),
            (("Accept", "*/*"),),
            (("Cookie", "a=1"), ("Cookie", "b=2")), (("Cookie", "a=1; b=2"),), (("Authorization", "Basic eDp5"),),
            (("Proxy-Authorization", "Basic eDp5"),), (("Proxy-Connection", "keep-alive"),),
            (("Keep-Alive", "timeout=5"),),
            (("Connection", "close"),), (("Connection", "keep-alive"),), (("Connection", "X-Hop"), ("X-Hop", "1")),
            (("Connection", "close, X-Hop"), ("X-Hop", "1"), ("X-Kept", "2")), (("Connection", "Host"),),
            (("Connection", "Authorization"), ("Authorization", "Basic eDp5")), (("TE", "trailers"),),
            (("TE", "trailers"), ("Connection", "TE")), (("TE", "gzip"), ("Connection", "TE")),
            (("Trailer", "X-T"),), (("Via", "1.1 edge"),), (("X-Request-Id", "abc"),), (("Max-Forwards", "3"),),
            (("Date", "Tue, 24 Nov 2026 00:00:00 GMT"),), (("Range", "bytes=0-1"),), (("If-None-Match", '"x"'),),
            (("Referer", "http://x/"),), (("Origin", "http://x"),), (("Content-Type", "text/plain"),),
            (("Upgrade", "h2c"), ("Connection", "Upgrade, HTTP2-Settings"), ("HTTP2-Settings", "AAMAAABkAAQAAP__")),
            (("Upgrade", "websocket"),), (("Expect", "100-continue"),), (("Expect", "tea"),),
            (("Traceparent", "00-1"),),
            (("X Y", "1"),), (("X-A ", "1"),), (("", "1"),), (("X(A", "1"),), (("X-N", "a\x00b"),),
            (("X-N", "a\x01b"),), (("X-N", "a\rb"),), (("X-Fold", "a\r\n b"),), (("X-\u00e9", "1"),)):
        yield Case("header line", "/l", lines=lines)
        yield Case("header line", "/l", lines=lines, version="1.0")
    yield Case("many headers", "/l", lines=tuple((f"X-{n}", "1") for n in range(150)))
    yield Case("too many headers", "/l", lines=tuple((f"X-{n}", "1") for n in range(250)))
    yield Case("long head", "/l", lines=(("X-Long", "y" * 200_000),))
    yield Case("too long head", "/l", lines=(("X-Long", "y" * 1_100_000),))
    chunked = (("Transfer-Encoding", "chunked"),)
    framings: tuple[tuple[tuple[tuple[str, str], ...], bytes], ...] = (
        ((("Content-Length", "4"),), b"body"), ((("Content-Length", "0"),), b""),
        ((("Content-Length", "004"),), b"body"),
        ((), b""), ((("Content-Length", "+4"),), b"body"), ((("Content-Length", "-1"),), b""),
        ((("Content-Length", ""),), b""),
        ((("Content-Length", "4, 4"),), b"body"), ((("Content-Length", "4"), ("Content-Length", "4")), b"body"),
        ((("Content-Length", "4"), ("Content-Length", "5")), b"body!"), ((("Content-Length", "0x4"),), b"body"),
        ((("Content-Length", "99999999999999999999"),), b""), (chunked, b"4\r\nbody\r\n0\r\n\r\n"),
        (chunked, b"2;x=y\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n"), (chunked, b"0\r\n\r\n"),
        (chunked, b"4\r\nbody\r\n0\r\nX-T: 1\r\n\r\n"), ((("Transfer-Encoding", "Chunked"),), b"0\r\n\r\n"),
        ((("Transfer-Encoding", "gzip, chunked"),), b"0\r\n\r\n"), ((("Transfer-Encoding", "gzip"),), b""),
        ((("Transfer-Encoding", "identity"),), b""), ((("Transfer-Encoding", "chunked"),
                                                       ("Transfer-Encoding", "chunked")),
                                                      b"0\r\n\r\n"),
        ((("Transfer-Encoding", ""),), b""), ((("Transfer-Encoding", "xchunked"),), b"0\r\n\r\n"),
        ((("Content-Length", "4"), *chunked), b"4\r\nbody\r\n0\r\n\r\n"), ((("Content_Length", "4"),), b""))
    for method in ("POST", "GET", "DELETE"):
        for framing, body in framings:
            yield Case("framing", "/b", method=method, lines=framing, body=body)
    yield Case("framing", "/b", method="POST", lines=(("Content-Length", "4"),), body=b"body", version="1.0")
    yield Case("framing", "/b", method="POST", lines=chunked, body=b"4\r\nbody\r\n0\r\n\r\n", version="1.0")
    yield Case("framing", "/b", method="POST", lines=(("Content-Length", "4"), ("Expect", "100-continue")),
               body=b"body")
    for trailer in ("X-T: 1", "x-t: 1\r\nX-U: 2", "X-Forwarded-For: 1.2.3.4", "Content-Length: 9", "Host: evil.example",
                    "Authorization: x", "X-Other: 1"):
        for announced in ("", "X-T", trailer.partition(":")[0]):
            said = (*chunked, ("Trailer", announced)) if announced else chunked
            yield Case("trailers", "/b", method="POST", lines=said,
                       body=f"4\r\nbody\r\n0\r\n{trailer}\r\n\r\n".encode())
    yield Case("framing", "/b", method="POST", lines=(("Content-Length", "70000"),), body=b"z" * 70000)


def _answers() -> Iterator[Case]:
    for name in ANSWERS:
        for method, version in (("GET", "1.1"), ("GET", "1.0"), ("POST", "1.1")):
            lines = (("Content-Length", "0"),) if method == "POST" else ()
            yield Case(f"answer {name}", f"/answer/{name}", method=method, version=version, lines=lines)


def _by_chance() -> Iterator[Case]:
    chance = random.Random(house.SEED + 1)
    for _ in range(BY_CHANCE):
        method, target, host, lines = house.chance_request(chance)
        yield Case("chance", target, host, method, tuple(lines), entry=chance.choice(("web", "side")),
                   source=chance.choice((PEER, FRIEND)))
    pieces = ("a", "b", ".", "..", "", "%2e", "%2E.", "%2f", "%2F", "%5c", "%20", "%41", "%7e", ";", ";p=1", "%3b",
              "%25", "%c3%a9", "+", "~", "a.b", "...", "%3F", "@", ":", "=", "!", "$&'()*,")
    for _ in range(BY_CHANCE):
        target = "/" + "/".join(chance.choice(pieces) for _ in range(chance.randrange(1, 6)))
        query = "".join(chance.choice(("a", "=", "&", "%20", "+", ";", "%", "/",
                                       "..")) for _ in range(chance.randrange(4)))
        yield Case("chance target", target + (f"?{query}" if query else ""))


def cases() -> list[Case]:
    """All of them, in one order."""
    return [*_matchers(), *_regexps(), *_ranks(), *_services(), *_forwarded(), *_targets(), *_hosts(), *_messages(),
            *_answers(), *_by_chance()]
