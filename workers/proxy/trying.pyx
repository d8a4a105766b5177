"""Which endpoint a request is sent to, and what its tries say of endpoints.

Owns the count of what is under way: every try is counted where it begins and taken back where it ends, exactly once,
however that is.  Who is picked, mesh/balance decides; whether another try is safe, exchange.pyx.  Floor 3.

What a try says of its endpoint:
- well: the whole answer came; where the service asks for it, one of 500 or above is a failure all the same;
- a failure: no connection, no answer in time, none that is HTTP, or one that broke off;
- nothing: the client left or was too slow, the proxy lacked a descriptor or a port, or an idle connection ended just as
  the request went out on it.  Such a lost race is not the end of the try: it goes on over a fresh connection.
"""
from libc.stdint cimport int64_t

from mesh.balance.balance cimport ENDED, ENDED_BADLY
from mesh.http1.head cimport DELETE, GET, HEAD, OPTIONS, PUT
from mesh.plan cimport Endpoint, Service
from workers.proxy.stream cimport now_us
from workers.proxy.telling cimport Telling

cdef enum:
    TRIES = 3                   # endpoints that one request is sent to at most


cdef class Trying(Telling):
    """A conversation that may be begun anew with another endpoint."""

    cdef int start(self) except -1:
        """A request begins."""
        self.trying = self.kept = -1
        self.verdict = ENDED
        self.balance = self.failed = self.told = self.added = None
        return 0

    cdef int pick(self, int64_t now_ms) except -1:
        """Whose turn it is, and what stays the same however often the request is sent."""
        cdef int method = self.request.method_id
        cdef Service service = self.outcome.route.service
        cdef Py_ssize_t index = -1
        cdef list cookies = None
        cdef bytes value
        self.picked_ms = now_ms
        if service.sticks:
            cookies, self.told = self.request.header_values(b"cookie"), []
            service = service.leaf_for(cookies, self.told, now_ms)
        else:
            service = service.leaf(now_ms)
        if service is not None and service.balance is not None:
            self.outcome.service, self.balance = service, service.balance
            if service.sticky is not None:
                value = service.sticky.find(cookies)
                if value is not None:
                    index = self.kept = self.balance.kept(value, now_ms)
            if index < 0:
                index = self.balance.pick(now_ms, self.client.hashed() if self.balance.needs_client else 0)
            if index >= 0:
                self._try(index)
        self.is_idempotent = method == GET or method == HEAD or method == PUT or method == DELETE or method == OPTIONS
        self.wants_fresh = False
        self.request_id()
        return 0

    cdef bint another(self, int verdict) except -1:
        """Ends the try; True: there is an endpoint that was not tried yet, and its try has begun."""
        cdef int64_t now = now_us()
        cdef Py_ssize_t index
        if self.failed is None:
            self.failed = []
        self.failed.append(self.trying)
        self.tried(verdict, now)
        self.wants_fresh = False
        if len(self.failed) >= TRIES:
            return False
        index = self.balance.another(now // 1000, self.client.hashed() if self.balance.needs_client else 0, self.failed,
                                     self.picked_ms)
        if index < 0:
            return False
        self._try(index)
        self.outcome.retries += 1
        return True

    cdef int _try(self, Py_ssize_t index) except -1:
        """The request is this endpoint's from now on."""
        self.balance.began(index)
        self.trying, self.verdict, self.sent_us = index, ENDED, 0
        self.outcome.endpoint = <Endpoint>self.outcome.service.endpoints[index]
        if self.told is not None:
            self._tell_cookies(index)
        return 0

    cdef void tried(self, int verdict, int64_t now) noexcept:
        cdef Py_ssize_t index = self.trying
        cdef int64_t took = -1
        if index < 0:
            return
        if self.sent_us and not self.is_tunnel:
            if self.has_answer:
                took = (self.answered_us or self.ended_us or now) - self.sent_us
            elif verdict == ENDED_BADLY:
                took = now - self.sent_us       # at least so long it would have taken
        self.trying = -1
        self.balance.ended(index, verdict, took, now // 1000)

    cdef bint is_failure(self) except -1:
        return self.response.status >= 500 and self.outcome.service.model.how.passive.statuses

    cdef int _tell_cookies(self, Py_ssize_t index) except -1:
        """A client that was not here before learns where it is, and so does one whose endpoint had to be another one."""
        cdef Service service = self.outcome.service
        self.added = None
        for each in self.told:
            self._tell(<bytes>each)
        if service.sticky is not None and index != self.kept:
            self._tell(service.sticky.told(self.balance.cookie_of(index)))
        return 0

    cdef int _tell(self, bytes cookie) except -1:
        cdef bytes line = b"Set-Cookie: " + cookie + b"\r\n"
        self.added = line if self.added is None else self.added + line
        return 0
