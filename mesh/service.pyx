"""Endpoints and services: what a plan gives to the request path to choose from.

Owns what is read out of an endpoint's url once, so that no request does it, and the way from a service down to the one
whose endpoints serve, whose turn it is or where a client's cookies lead.  It refuses to know what a plan is (plan.pyx
makes these, and keeps them where an edit says the same).  Floor 2.
"""
import re
from urllib.parse import urlsplit

from mesh.balance.sticky import cookie_value

cdef enum:
    LOOKS = 64                              # turns of children that cannot serve, before the others are searched

_PLAIN = re.compile(r"[!-~]+")              # visible ASCII: nothing that could end a line of a request


cdef class Endpoint:
    """One instance, from its url; ValueError where the url cannot be used."""

    def __cinit__(self, str url, bint preserve_path, transport):
        scheme, mark, _ = url.partition("://")
        if not mark or scheme not in ("http", "https") or not _PLAIN.fullmatch(url) or any(map(url.count, "?#@\\")):
            raise ValueError(f"{url!r} is no URL such as http://10.0.0.1:8080")
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
        if not host or port == 0:
            raise ValueError(f"{url!r} names no {'port' if host else 'host'}")
        self.url = url
        self.transport = transport
        self.tls = scheme == "https"
        usual = 443 if self.tls else 80
        self.port = usual if port is None else port
        named = host
        if ":" in host:
            address, _, zone = host.partition("%")      # RFC 6874: %25 before a zone, which means nothing to the peer
            host = f"{address}%{zone.removeprefix('25')}" if zone else address
            named = f"[{address}]"
        self.host = host.encode("ascii")
        self.authority = (named if self.port == usual else f"{named}:{self.port}").encode("ascii")
        self.prefix = parts.path.encode("ascii").removesuffix(b"/") if preserve_path else b""

    def __repr__(self):
        how = f" by {self.transport.name}" if self.transport.name else ""
        return f"<Endpoint {self.url}{how}>"


cdef class Service:
    """A service of `endpoints` with their balance, or of `children` with their turns."""

    def __cinit__(self, str name, model, tuple endpoints, Balance balance, tuple slots, tuple children=(), Wrr turns=None):
        self.name = name
        self.model = model
        self.endpoints, self.balance, self.slots = endpoints, balance, slots
        self.children, self.turns, self.nobody_ms = children, turns, -1
        self.sticky = Sticky(model.how.sticky, name) if model is not None and model.how.sticky is not None else None
        if self.sticky is not None and children:
            self.values = tuple([cookie_value((<Service>child).name) for child in children])
        self.sticks = self.sticky is not None or any([(<Service>child).sticks for child in children])
        self.pass_host_header = True if model is None else getattr(model.how, "pass_host_header", True)

    cdef Service leaf(self, int64_t now_ms):
        # Children are made before their parents, so this ends.
        cdef Service service = self
        cdef Py_ssize_t turn
        while service.children:
            turn = service._turn(now_ms)
            if turn < 0:
                return None
            service = <Service>service.children[turn]
        return service

    cdef Py_ssize_t _turn(self, int64_t now_ms) except -2:
        """The child whose turn it is; of those that can serve, where one can."""
        cdef Py_ssize_t first = self.turns.pick(), turn = first, look, count = len(self.children)
        if first < 0 or count == 1:
            return first
        for look in range(LOOKS):
            if (<Service>self.children[turn]).can_serve(now_ms):
                return turn
            turn = self.turns.pick()
        self.spilt += 1
        for look in range(count):
            turn = (self.spilt + look) % count
            if self.model.how.children[turn][1] > 0 and (<Service>self.children[turn]).can_serve(now_ms):
                return turn
        return first

    cpdef Service leaf_for(self, list cookies, list told, int64_t now_ms):
        """leaf() for a client with these Cookie lines, who stays with the children that they name while those can serve.

        What a child that was chosen anew is to be kept by is appended to `told`: values of Set-Cookie lines.
        """
        cdef Service service = self
        cdef Py_ssize_t turn
        while service.children:
            turn = service._kept_child(cookies, now_ms) if service.sticky is not None else -1
            if turn < 0:
                turn = service._turn(now_ms)
                if turn < 0:
                    return None
                if service.sticky is not None:
                    told.append(service.sticky.told(<bytes>service.values[turn]))
            service = <Service>service.children[turn]
        return service

    cdef Py_ssize_t _kept_child(self, list cookies, int64_t now_ms) except -2:
        cdef bytes value = self.sticky.find(cookies)
        cdef Py_ssize_t index
        if value is None or value not in self.values:
            return -1
        index = self.values.index(value)
        # Without a weight it gets nothing, by a cookie neither.
        return index if self.model.how.children[index][1] > 0 and (<Service>self.children[index]).can_serve(now_ms) else -1

    cpdef bint can_serve(self, int64_t now_ms):
        """Whether there is an endpoint that may serve, at any level below; nobody's turn is taken."""
        if self.balance is not None:
            return self.balance.can_serve(now_ms)
        if self.nobody_ms == now_ms:
            return False
        for child in self.children:
            if (<Service>child).can_serve(now_ms):
                return True
        self.nobody_ms = now_ms         # by many ways down to the same services each is looked at once
        return False

    def take_turn(self, int64_t now_ms=0, client=0):
        """The endpoint whose turn it is, through all levels, or None: leaf() and balance.pick() for Python."""
        cdef Service service = self.leaf(now_ms)
        if service is None or service.balance is None:
            return None
        cdef Py_ssize_t index = service.balance.pick(now_ms, client)
        return None if index < 0 else service.endpoints[index]

    def __repr__(self):
        if self.children:
            return f"<Service {self.name}, shared by {', '.join([child.name for child in self.children])}>"
        count = len(self.endpoints)
        return f"<Service {self.name}, {count or 'no'} endpoint{'' if count == 1 else 's'}>"
