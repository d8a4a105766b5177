"""One request and its answer, from the head to the account."""
from workers.proxy.client cimport Client
from workers.proxy.relay cimport Relay


cdef class Exchange(Relay):
    cdef bint run(self, Client client) except -1
    cdef bint _exchange(self) except -1
    cdef int _read_ahead(self) except -1
    cdef inline bint _is_last(self) noexcept
    cdef int _read_head(self) except -2
    cdef bint _route(self) except -1
    cdef bint _goes_round(self) except -1
    cdef bint _forward(self) except -1
    cdef bint _another(self, list tried) except -1
    cdef bint _end(self, int how) except -1
    cdef bint _finish(self) except -1
    cdef bytes _request_id(self)
    cdef bint _answer(self, int status, const char *why) except -1
    cdef bint _send_to_client(self) except -1
    cdef int _linger(self) except -1
    cdef int _settle(self) except -1

cpdef converse(Client client)
