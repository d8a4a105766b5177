"""Cookies that keep a client on its endpoint: how they are called, found in a request, and told in an answer.

Owns the words on the wire; whether the endpoint that a cookie names may serve, the Balance knows.  Names and values are
Traefik's, so clients stay where they are when hostmesh takes its place: the cookie is called "_" and the first 5 hex
digits of the SHA-1 of the service's name, its value is the first 16 of the SHA-256 of the endpoint's url.  Nobody
is trusted by it: the value chooses among the endpoints of one service, which anybody may reach anyway.  Floor 1.
"""
import re
from hashlib import sha1, sha256

from libc.string cimport memchr, memcmp

cdef enum:
    LONGEST_VALUE = 64      # ours have 16; whatever is longer is not ours

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")        # RFC 6265 4.1.1: cookie-name
_ATTRIBUTE = re.compile(r"[ -:<-~]*")                       # the same: any character but controls and ";"
_SAME_SITE = {"": "", "none": "None", "lax": "Lax", "strict": "Strict"}


def cookie_name(str service):
    """The name of a service's cookie where none is configured; `service` is qualified."""
    return f"_{sha1(service.encode('utf-8', 'surrogatepass')).hexdigest()[:5]}"


def cookie_value(str named):
    """What a cookie says of an endpoint, by its url, or of a child of a weighted service, by its name."""
    return sha256(named.encode("utf-8", "surrogatepass")).hexdigest()[:16].encode()


cpdef bytes cookie_in(bytes line, bytes name):
    """The value that a Cookie line (RFC 6265 4.2) gives under this name, None where it gives none.

    Names are compared byte by byte.  Of several the first counts; an empty value, and one that is longer than ours could
    be, is none.  Nothing is made of the other cookies, however many and however broken.
    """
    cdef const char *at = line
    cdef const char *end = at + len(line)
    cdef const char *stop
    cdef const char *wanted = name
    cdef Py_ssize_t length = len(name)
    while at < end:
        while at < end and (at[0] == c' ' or at[0] == c'\t'):
            at += 1
        stop = <const char *>memchr(at, c';', end - at)
        if stop is NULL:
            stop = end
        if stop - at > length and at[length] == c'=' and memcmp(at, wanted, length) == 0:
            at += length + 1
            while stop > at and ((stop - 1)[0] == c' ' or (stop - 1)[0] == c'\t'):
                stop -= 1
            return at[:stop - at] if 0 < stop - at <= LONGEST_VALUE else None
        at = stop + 1
    return None


cdef class Sticky:
    """The cookie of a service, of a mesh.model.Cookie; ValueError where its words could not stand in a header."""

    def __cinit__(self, cookie, str service):
        name = cookie.name or cookie_name(service)
        if not _TOKEN.fullmatch(name):
            raise ValueError(f"{name!r} cannot be the name of a cookie")
        for said in (cookie.path, cookie.domain):
            if not _ATTRIBUTE.fullmatch(said):
                raise ValueError(f"{said!r} cannot stand in a cookie")
        if cookie.same_site.lower() not in _SAME_SITE:
            raise ValueError(f"sameSite {cookie.same_site!r} is neither none, lax nor strict")
        tail = f"; Path={cookie.path}" if cookie.path else ""
        if cookie.domain:
            tail += f"; Domain={cookie.domain}"
        if cookie.max_age:
            tail += f"; Max-Age={max(cookie.max_age, 0)}"
        if cookie.http_only:
            tail += "; HttpOnly"
        if cookie.secure:
            tail += "; Secure"
        if cookie.same_site:
            tail += f"; SameSite={_SAME_SITE[cookie.same_site.lower()]}"
        self.name, self.tail = name.encode("ascii"), tail.encode("ascii")

    cpdef bytes find(self, list values):
        """What the client's Cookie lines say under this name; None: nothing."""
        cdef bytes value
        for line in values:
            value = cookie_in(line, self.name)
            if value is not None:
                return value
        return None

    cpdef bytes told(self, bytes value):
        """The value of the Set-Cookie line that tells it to the client."""
        return self.name + b"=" + value + self.tail

    def __repr__(self):
        return f"<Sticky {self.name.decode()}{self.tail.decode()}>"
