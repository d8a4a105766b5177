"""The cookie that keeps a client on its endpoint: read from a request, written into an answer.

Owns name and attributes (Traefik: sticky.cookie).  What a value means, mesh/balance knows; when one is given, the
exchange decides.  Floor 3.
"""
from libc.string cimport memchr, memcmp

from mesh.http1.head cimport OTHER, Line, RequestHead

import hashlib
import re

cdef extern from "strings.h" nogil:
    int strncasecmp(const char *, const char *, size_t)

_NO_TOKEN = re.compile(r"[^!#$%&'*+.^_`|~0-9A-Za-z-]")     # in a name (RFC 6265 4.1.1)
_NO_VALUE = re.compile(r"[^ -:<-~]")                        # in an attribute: what could end it or the line
_SAME_SITE = {"none": b"None", "lax": b"Lax", "strict": b"Strict"}


def cookie_name(str said, str service):
    """The cookie's name: as said, what may not stand in one replaced by _; or of the qualified service's, as Traefik
    makes it: an underscore and 5 hex digits of its SHA-1."""
    if said:
        return _NO_TOKEN.sub("_", said)
    return "_" + hashlib.sha1(service.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()[:5]


cdef class Sticky:
    """A mesh.model.Cookie, compiled for the service that has it."""

    def __init__(self, cookie, str service):
        self.name = cookie_name(cookie.name, service).encode()
        self._before = b"Set-Cookie: %s=" % self.name
        said = []
        if cookie.path:
            said.append(b"Path=" + _plain(cookie.path))
        if cookie.domain:
            said.append(b"Domain=" + _plain(cookie.domain))
        if cookie.max_age:
            said.append(b"Max-Age=%d" % max(0, cookie.max_age))     # below 0: the browser is to forget it at once
        if cookie.http_only:
            said.append(b"HttpOnly")
        if cookie.secure:
            said.append(b"Secure")
        if same_site := _SAME_SITE.get(cookie.same_site.lower()):
            said.append(b"SameSite=" + same_site)
        self._after = b"".join([b"; " + each for each in said]) + b"\r\n"

    cdef bytes said_by(self, RequestHead head):
        cdef Line *line
        cdef int number
        cdef bytes found
        for number in range(head.count):
            line = &head.lines[number]
            if line.id == OTHER and line.name_len == 6 and strncasecmp(head.base + line.at, b"cookie", 6) == 0:
                found = self._value_in(head.base + line.value, line.value_len)
                if found is not None:
                    return found
        return None

    cdef bytes _value_in(self, const char *at, Py_ssize_t left):
        """The value in one Cookie header: pairs divided by semicolons (RFC 6265 4.2.1)."""
        cdef const char *end
        cdef const char *name = <const char *>self.name
        cdef Py_ssize_t length = len(self.name), pair, stop
        while left > 0:
            if at[0] == b" "[0] or at[0] == b"\t"[0]:
                at += 1
                left -= 1
                continue
            end = <const char *>memchr(at, b";"[0], left)
            pair = end - at if end is not NULL else left
            if pair > length and at[length] == b"="[0] and memcmp(at, name, length) == 0:
                stop = pair
                while stop > length + 1 and (at[stop - 1] == b" "[0] or at[stop - 1] == b"\t"[0]):
                    stop -= 1
                if stop - length > 2 and at[length + 1] == b'"'[0] and at[stop - 1] == b'"'[0]:
                    return at[length + 2:stop - 1]
                return at[length + 1:stop]
            at += pair + 1
            left -= pair + 1
        return None

    cdef bytes line(self, bytes value):
        return self._before + value + self._after

    # For callers in Python: tests

    def read(self, RequestHead head not None):
        """The cookie's value in a head, or None."""
        return self.said_by(head)

    def written(self, bytes value not None):
        """The whole Set-Cookie line with this value."""
        return self.line(value)

    def __repr__(self):
        return f"<Sticky {self.name.decode()}>"


def _plain(str said):
    return _NO_VALUE.sub("", said).encode()
