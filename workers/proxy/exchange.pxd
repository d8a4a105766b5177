"""One request and its answer, from the head to the account."""
from workers.proxy.client cimport Client
from workers.proxy.trying cimport Trying


cdef class Exchange(Trying):
    cdef int how                # how far it is, when the hub hands it over
    cdef bint is_fresh          # the connection was made for this request
    cdef bint run(self, Client client) except -1
    cdef bint begin(self, Client client) except -1
    cdef bint go_on(self) except -1
    cdef int finish(self) except -1
    cdef int abandon(self) except -1
    cdef int _open(self, Client client) except -1
    cdef bint _guarded(self, bint from_start) except -1
    cdef int _has_head(self) except -1
    cdef bint _exchange(self) except -1
    cdef int _read_ahead(self) except -1
    cdef inline bint _is_last(self) noexcept
    cdef int _read_head(self) except -2
    cdef bint _route(self) except -1
    cdef bint _goes_round(self) except -1
    cdef bint _forward(self, int how) except -1
    cdef bint _end(self, int how) except -1
    cdef bint _finish(self) except -1
    cdef int _settle(self) except -1
