"""What a matcher asks of a request: from an expression to a function that answers yes or no.

Owns the meaning of the eleven matchers, as Traefik v3 has them.  The functions hold nothing but what they compare with,
so they outlive the configuration that made them.  Where a regular expression cannot be asked (TextTooLong), neither the
matcher nor its negation is satisfied: what is not known opens no route.  It is Cython because every request that has
no certain host waits for these: a look-up of Host && PathPrefix costs 70 ns with it, 670 ns without.  Floor 1.
"""
import ipaddress
import re
from collections.abc import Callable
from functools import lru_cache

from mesh.rules.expression import Match
from mesh.rules.hosts import All, Hosts, No
from mesh.rules.regexps import TextTooLong, compile_regexp
from mesh.rules.request import Asked

Test = Callable[[Asked], bool]

_ESCAPE = re.compile(rb"%[0-9A-Fa-f]{2}")
_RESERVED = frozenset(b":/?#[]@!$&'()*+,;=%")           # RFC 3986 section 2.2, and the percent sign itself

REGEXPS = frozenset(("HostRegexp", "PathRegexp", "HeaderRegexp", "QueryRegexp"))

# What is cheap is asked first; predicates have no effects, so their order is ours to choose.
_COST = {"Method": 0, "Path": 1, "PathPrefix": 1, "ClientIP": 2, "Header": 3, "Query": 4,
         "HostRegexp": 5, "PathRegexp": 5, "HeaderRegexp": 6, "QueryRegexp": 6}


def predicate(part):
    """A function that says whether a request satisfies the expression."""
    if isinstance(part, Match):
        test = _LEAVES[part.matcher](*part.args)
        return _known(test) if part.matcher in REGEXPS else test
    if isinstance(part, Hosts):
        return _hosts(part)
    if isinstance(part, No):
        return _not(_LEAVES[part.leaf.matcher](*part.leaf.args) if isinstance(part.leaf, Match) else _hosts(part.leaf))
    tests = [predicate(each) for each in sorted(part.parts, key=_cost)]
    return _all(tests) if isinstance(part, All) else _any(tests)


@lru_cache(maxsize=64)
def routing_path(bytes path):
    """A cleaned path with everything decoded but reserved characters: what Path, PathPrefix and PathRegexp compare.

    >>> routing_path(b"/caf%C3%A9%20au%2Flait")
    b'/caf\\xc3\\xa9 au%2Flait'
    """
    return _ESCAPE.sub(_decoded, path)


def _decoded(escape):
    byte = int(escape[0][1:], 16)
    return escape[0].upper() if byte in _RESERVED else bytes((byte,))


@lru_cache(maxsize=1024)
def address(bytes peer):
    """The version and number of an address; v4 in v6 is v4, a zone is dropped, None is no address."""
    try:
        found = ipaddress.ip_address(peer.partition(b"%")[0].decode("ascii"))
    except ValueError:
        return None
    mapped = found.ipv4_mapped if found.version == 6 else None
    return (4, int(mapped)) if mapped is not None else (found.version, int(found))


def _cost(part):
    if isinstance(part, Match):
        return _COST.get(part.matcher, 0)
    if isinstance(part, No):
        return _cost(part.leaf)
    return 0 if isinstance(part, Hosts) else 7


def _bytes(text):
    return text.encode("utf-8", "surrogateescape")


cdef bytes _path_of(request):
    cdef bytes path = request.path
    return routing_path(path) if c"%" in path else path


# One function for each matcher.

def _hosts(hosts):
    has = hosts.has
    return lambda request: has(request.host)


def _host_regexp(pattern):
    found = compile_regexp(pattern, fold_case=True)
    return lambda request: found(request.host)


def _path(said):
    cdef bytes wanted = routing_path(_bytes(said))
    return lambda request: _path_of(request) == wanted


def _path_prefix(said):
    cdef bytes prefix = routing_path(_bytes(said))
    return lambda request: _path_of(request).startswith(prefix)


def _path_regexp(pattern):
    found = compile_regexp(pattern)
    return lambda request: found(_path_of(request))


def _method(said):
    cdef bytes wanted = _bytes(said.upper())
    return lambda request: <bytes?>request.method == wanted


def _header(name, value):
    lower, wanted = _bytes(name.lower()), _bytes(value)
    return lambda request: wanted in request.header_values(lower)


def _header_regexp(name, pattern):
    lower, found = _bytes(name.lower()), compile_regexp(pattern)
    return lambda request: any(map(found, request.header_values(lower)))


def _query(key, value=""):
    name, wanted = _bytes(key), _bytes(value)
    return lambda request: wanted in request.query_values(name)


def _query_regexp(key, pattern=""):
    if not pattern:
        return _query(key)
    name, found = _bytes(key), compile_regexp(pattern)
    return lambda request: any(map(found, request.query_values(name)))


def _client_ip(said):
    network = ipaddress.ip_network(said, strict=False)
    version, first, last = network.version, int(network.network_address), int(network.broadcast_address)
    if version == 6 and first >> 32 == 0xFFFF and last >> 32 == 0xFFFF:     # ::ffff:10.0.0.0/104 is v4's 10.0.0.0/8
        version, first, last = 4, first & 0xFFFFFFFF, last & 0xFFFFFFFF

    def test(request):
        found = address(request.peer)
        return found is not None and found[0] == version and first <= found[1] <= last

    return test


_LEAVES = {
    "HostRegexp": _host_regexp, "Path": _path, "PathPrefix": _path_prefix, "PathRegexp": _path_regexp,
    "Method": _method, "Header": _header, "HeaderRegexp": _header_regexp, "Query": _query,
    "QueryRegexp": _query_regexp, "ClientIP": _client_ip,
}


# Their combinations.

def _not(part):
    def test(request):
        try:
            return not part(request)
        except TextTooLong:
            return False

    return test


def _known(part):
    def test(request):
        try:
            return part(request)
        except TextTooLong:
            return False

    return test


def _all(list parts):
    def test(request):
        for part in parts:
            if not part(request):
                return False
        return True

    return test


def _any(list parts):
    def test(request):
        for part in parts:
            if part(request):
                return True
        return False

    return test
