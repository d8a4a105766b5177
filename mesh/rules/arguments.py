"""The eleven matchers of HTTP routers: what each takes, and what to say when it is given something else.

Owns every check of an argument, with the hint how to write it; what cannot match any request is refused here rather
than accepted in silence.  It refuses to know how text is read (language.py) and what a matcher does to a request
(predicates.pyx).  Floor 1.
"""
from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mesh.errors import did_you_mean
from mesh.rules.expression import RuleError, quoted
from mesh.rules.regexps import BadRegexp, compile_regexp

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HOST = re.compile(r"[a-z0-9_~!$&'()+,;=%.-]+", re.IGNORECASE)                  # RFC 3986 reg-name, without the star
_TEMPLATE = re.compile(r"\{([A-Za-z_][\w-]*)(?::((?:[^{}]|\{[^{}]*\})*))?\}")   # {id} and {id:[0-9]{1,3}} of v2
_LONGEST_HOST = 255                                                             # RFC 1035, with its dots
_LOOK_AROUND = ("(?=", "(?!", "(?<=", "(?<!", "(?<", "(?>")


@dataclass(frozen=True, slots=True)
class Argument:
    """A string as the rule has it: its value, the column of its opening quote, and where each character stands."""

    value: str
    column: int
    columns: Sequence[int]

    def at(self, index: int) -> int:
        return self.columns[index] if index < len(self.columns) else self.column


@dataclass(frozen=True, slots=True)
class Matcher:
    counts: tuple[int, ...]         # how many arguments it takes
    sample: str
    check: Callable[[Sequence[Argument]], None]


def check(name: str, column: int, arguments: Sequence[Argument]) -> None:
    """RuleError where the matcher (spelled as in MATCHERS) cannot take these arguments."""
    matcher = MATCHERS[name]
    if len(arguments) not in matcher.counts:
        wanted = " or ".join(map(str, matcher.counts))
        plural = "" if matcher.counts[-1] == 1 else "s"
        raise RuleError(f"{name} takes {wanted} argument{plural}, {len(arguments)} given", column,
                        _fewer(name, arguments) or f"such as {matcher.sample}")
    for argument in arguments:
        if not argument.value:
            raise RuleError(f"{name} has an empty argument", argument.column, f"such as {matcher.sample}")
    matcher.check(arguments)


def spelled(name: str, column: int) -> str:
    """The matcher's name as MATCHERS spells it, whatever its case; RuleError with the nearest word for any other."""
    lower = name.lower()
    if lower in _SPELLING:
        return _SPELLING[lower]
    if lower in _ELSEWHERE:
        raise RuleError(f"there is no matcher {name} in HTTP routers", column, _ELSEWHERE[lower])
    near = did_you_mean(name, MATCHERS) or f"there are {', '.join(sorted(MATCHERS))}"
    raise RuleError(f"there is no matcher {name}", column, near)


def _fewer(name: str, arguments: Sequence[Argument]) -> str:
    if len(arguments) < 2:
        return ""
    values = [each.value for each in arguments]
    if MATCHERS[name].counts == (1,):
        each = [f"{name}({quoted(value)})" for value in values]
        return "in v3 write one matcher for each: (" + " || ".join(each) + ")"
    if name.startswith("Header"):
        return f"one name and one value: {name}({quoted(values[0])}, {quoted(values[1])}) || ..."
    return f"one key and one value for each {name}: " + MATCHERS[name].sample


# What each matcher takes: one function for each kind of argument.

def _host(arguments: Sequence[Argument]) -> None:
    argument = arguments[0]
    host, column = argument.value, argument.column
    if not host.isascii():
        try:
            hint = f"write its punycode: Host({quoted(host.encode('idna').decode())})"
        except UnicodeError:
            hint = "write its punycode form, which begins with xn--"
        raise RuleError(f"the host {quoted(host)} is not ASCII, as no Host header is", column, hint)
    if "://" in host or "/" in host:
        bare, _, path = host.split("://")[-1].partition("/")
        also = f" && PathPrefix({quoted('/' + path)})" if path else ""
        hint = f"write Host({quoted(bare)}){also}" if bare else "write the name alone"
        raise RuleError(f"the host {quoted(host)} holds more than a host", column, hint)
    if len(host) > _LONGEST_HOST:
        raise RuleError(f"the host has {len(host)} characters, the longest name has {_LONGEST_HOST}", column)
    template = _TEMPLATE.search(host)
    if template:
        raise _v2(argument, template, f"HostRegexp({quoted(_anchored(_untemplated(host)))})")
    if host == "*":
        return
    stem = host[3:] if host.startswith("**.") else host[2:] if host.startswith("*.") else host
    if not stem.strip("."):
        raise RuleError(f"the host {quoted(host)} has no name", column, "such as Host(`example.com`)")
    if "*" in stem:
        raise RuleError(f"the star in {quoted(host)} does not stand for a whole first label",
                        argument.at(host.find("*")),
                        f"Host(`*.example.com`) is one label; else HostRegexp({quoted(_anchored(_starred(host)))})")
    if _is_v6(stem):
        return
    name, colon, port = stem.rpartition(":")
    if colon and port.isdigit():
        raise RuleError(f"the host {quoted(host)} has a port, which is not compared", column,
                        f"write Host({quoted(name)})")
    if not _HOST.fullmatch(stem):
        wrong = next((i for i, char in enumerate(host) if not _HOST.fullmatch(char) and char != "*"), 0)
        raise RuleError(f"the host {quoted(host)} holds {host[wrong]!r}, which no host name does", argument.at(wrong),
                        "a pattern goes into HostRegexp")


def _host_regexp(arguments: Sequence[Argument]) -> None:
    if not arguments[0].value.isascii():
        raise RuleError(f"the pattern {quoted(arguments[0].value)} is not ASCII, as no Host header is",
                        arguments[0].column, "write the punycode form of the name, xn--...")
    _regexp(arguments, "HostRegexp", lambda text: _anchored(_untemplated(text)))


def _path(name: str) -> Callable[[Sequence[Argument]], None]:
    def check_path(arguments: Sequence[Argument]) -> None:
        argument = arguments[0]
        path = argument.value
        if not path.startswith("/"):
            raise RuleError(f"the path {quoted(path)} does not begin with /", argument.at(0),
                            f"write {name}({quoted('/' + path)})")
        template = _TEMPLATE.search(path)
        if template:
            end = "$" if name == "Path" else ""
            raise _v2(argument, template, f"PathRegexp({quoted('^' + _untemplated(path) + end)})")
        if "?" in path:
            before, _, query = path.partition("?")
            key, _, value = query.partition("&")[0].partition("=")
            also = f" && Query({', '.join(map(quoted, [key, value] if value else [key]))})" if key else ""
            raise RuleError(f"the path {quoted(path)} has a query, which is no part of a path",
                            argument.at(path.find("?")),
                            f"write {name}({quoted(before)}){also}; a question mark in a path is %3F")

    return check_path


def _path_regexp(arguments: Sequence[Argument]) -> None:
    _regexp(arguments, "PathRegexp", lambda text: "^" + _untemplated(text))


def _method(arguments: Sequence[Argument]) -> None:
    method = arguments[0].value
    if not _TOKEN.fullmatch(method):
        several = [each for each in re.split(r"[\s,|]+", method) if _TOKEN.fullmatch(each)]
        hint = " || ".join(f"Method({quoted(each)})" for each in several) or MATCHERS["Method"].sample
        raise RuleError(f"{quoted(method)} is not a method", arguments[0].column, f"write {hint}")


def _header(arguments: Sequence[Argument]) -> None:
    if not _TOKEN.fullmatch(arguments[0].value):
        raise RuleError(f"{quoted(arguments[0].value)} is not the name of a header", arguments[0].column,
                        f"such as {MATCHERS['Header'].sample}")


def _header_regexp(arguments: Sequence[Argument]) -> None:
    _header(arguments)
    _regexp(arguments[1:], "HeaderRegexp", _untemplated)


def _query(arguments: Sequence[Argument]) -> None:
    key, equals, value = arguments[0].value.partition("=")
    if equals:
        both = ", ".join(map(quoted, [key or "key", value] if value else [key or "key"]))
        raise RuleError("key and value are two arguments", arguments[0].at(len(key)), f"write Query({both})")


def _query_regexp(arguments: Sequence[Argument]) -> None:
    _query(arguments)
    if len(arguments) == 2:
        _regexp(arguments[1:], "QueryRegexp", _untemplated)


def _client_ip(arguments: Sequence[Argument]) -> None:
    said = arguments[0].value
    try:
        ipaddress.ip_network(said, strict=False)
        wrong = said.count("/") and not said.rpartition("/")[2].isdigit()       # Go reads no netmasks
    except ValueError:
        wrong = True
    if wrong:
        raise RuleError(f"{quoted(said)} is neither an address nor a range", arguments[0].column,
                        "such as ClientIP(`10.0.3.7`), ClientIP(`10.0.0.0/8`), ClientIP(`fd00::/8`)")


def _regexp(arguments: Sequence[Argument], name: str, rewritten: Callable[[str], str]) -> None:
    argument = arguments[0]
    template = _TEMPLATE.search(argument.value)
    if template and template[2] is not None and argument.value[template.start() - 1:template.start()] != "\\":
        raise _v2(argument, template, f"{name}({'name, ' if name[0] in 'HQ' and name != 'HostRegexp' else ''}"
                                      f"{quoted(rewritten(argument.value))}); a brace that is meant is \\{{")
    try:
        compile_regexp(argument.value, fold_case=name == "HostRegexp")
    except BadRegexp as error:
        at = argument.value.find(error.piece) if error.piece else -1
        raise RuleError(str(error), argument.at(at) if at >= 0 else argument.column, _advice(error, argument)) from None


def _advice(error: BadRegexp, argument: Argument) -> str:
    piece, pattern = error.piece, argument.value
    if piece in _LOOK_AROUND:
        return "look-around is not in Go's syntax, whose time is bounded; matchers combine: && !PathRegexp(`...`)"
    if re.fullmatch(r"\\[1-9]", piece):
        return "back-references are not in Go's syntax, whose time is bounded"
    if piece == "\\/":
        return "a slash needs no backslash"
    if piece in ("*", "+", "?") and pattern.startswith("*"):
        return f"* repeats what stands before it; any text is .*, so write {quoted('.' + pattern)}"
    if " bytes" in str(error):
        return "divide it among several matchers with ||"
    if piece.startswith("{") or "instructions" in str(error) or "too large" in str(error):
        return "repeat less"
    return "the syntax is Go's: https://pkg.go.dev/regexp/syntax"


def _is_v6(host: str) -> bool:
    """Whether the host is an address of IPv6, with or without its brackets."""
    if ":" not in host:
        return False
    try:
        ipaddress.IPv6Address(host[1:-1] if host.startswith("[") and host.endswith("]") else host)
    except ValueError:
        return False
    return True


# The way from v2's templates and from stars to regular expressions.

def _v2(argument: Argument, template: re.Match[str], instead: str) -> RuleError:
    return RuleError(f"{template[0]} is a template of Traefik v2; v3 has regular expressions in its place",
                     argument.at(template.start()), f"write {instead}")


def _untemplated(text: str) -> str:
    pieces, at = [], 0
    for template in _TEMPLATE.finditer(text):
        pieces += [_literal(text[at:template.start()]), template[2] or "[^/]+"]
        at = template.end()
    return "".join([*pieces, _literal(text[at:])])


def _literal(text: str) -> str:
    return re.sub(r"([.+*?()|\[\]{}^$\\])", r"\\\1", text)


def _anchored(pattern: str) -> str:
    return f"^{pattern}$"


def _starred(host: str) -> str:
    return "[^.]+".join(map(_literal, re.split(r"\*+", host)))


MATCHERS = {
    "Host": Matcher((1,), "Host(`example.com`)", _host),
    "HostRegexp": Matcher((1,), r"HostRegexp(`^[a-z]+\.example\.com$`)", _host_regexp),
    "Path": Matcher((1,), "Path(`/products`)", _path("Path")),
    "PathPrefix": Matcher((1,), "PathPrefix(`/api`)", _path("PathPrefix")),
    "PathRegexp": Matcher((1,), r"PathRegexp(`\.(jpeg|jpg|png)$`)", _path_regexp),
    "Method": Matcher((1,), "Method(`GET`)", _method),
    "Header": Matcher((2,), "Header(`Content-Type`, `application/json`)", _header),
    "HeaderRegexp": Matcher((2,), "HeaderRegexp(`Content-Type`, `^application/(json|yaml)$`)", _header_regexp),
    "Query": Matcher((1, 2), "Query(`mobile`, `true`)", _query),
    "QueryRegexp": Matcher((1, 2), "QueryRegexp(`mobile`, `^(true|yes)$`)", _query_regexp),
    "ClientIP": Matcher((1,), "ClientIP(`10.0.0.0/8`)", _client_ip),
}

_SPELLING = {name.lower(): name for name in MATCHERS}

_TCP = "it matches the name in a TLS handshake and belongs to TCP routers; here write Host(`example.com`)"

# Words of TCP routers and of older versions, each with its word of today.
_ELSEWHERE = {
    "hostsni": _TCP,
    "hostsniregexp": _TCP.replace("Host(`example.com`)", MATCHERS["HostRegexp"].sample),
    "alpn": "it matches the protocol of a TLS handshake and belongs to TCP routers",
    "hostheader": "it was another name of Host in v2; write Host(`example.com`)",
    "headers": "in v3 it is Header(`name`, `value`)",
    "headersregexp": "in v3 it is HeaderRegexp(`name`, `pattern`)",
    "headerregex": "it is HeaderRegexp(`name`, `pattern`)",
    "pathstrip": "write Path(`/x`) and the middleware stripPrefix",
    "pathprefixstrip": "write PathPrefix(`/x`) and the middleware stripPrefix",
    "pathstripregex": "write PathRegexp(`^/x`) and the middleware stripPrefixRegex",
    "pathprefixstripregex": "write PathRegexp(`^/x`) and the middleware stripPrefixRegex",
    "addprefix": "it is a middleware: addPrefix",
    "replacepath": "it is a middleware: replacePath",
}
