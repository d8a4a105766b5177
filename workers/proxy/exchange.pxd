"""One request and its answer, from the head to the account."""
from libc.stdint cimport int64_t

from workers.proxy.client cimport Client
from workers.proxy.door cimport Door
from workers.proxy.relay cimport Relay


cdef class Connection(Client):
    cdef Exchange exchange      # under way while no greenlet is
    cdef object front           # whom to tell when it is over
    cdef int _look(self, bint at_its_end) except -1
    cdef int _hand_over(self) except -1
    cdef int _over(self) except -1
    cdef void _broke(self)


cdef class Exchange(Relay):
    cdef int how                # how far it is, when the hub hands it over
    cdef bint is_idempotent
    cdef bint is_fresh          # the connection was made for this request
    cdef bint wants_fresh       # and the next one is to be
    cdef list tried             # endpoints
    cdef bint run(self, Client client) except -1
    cdef bint begin(self, Client client) except -1
    cdef bint go_on(self) except -1
    cdef int finish(self) except -1
    cdef int _open(self, Client client) except -1
    cdef bint _guarded(self, bint from_start) except -1
    cdef int _has_head(self) except -1
    cdef int _pick(self) except -1
    cdef bint _exchange(self) except -1
    cdef int _read_ahead(self) except -1
    cdef inline bint _is_last(self) noexcept
    cdef int _read_head(self) except -2
    cdef bint _route(self) except -1
    cdef bint _goes_round(self) except -1
    cdef bint _forward(self, int how) except -1
    cdef bint _another(self) except -1
    cdef bint _end(self, int how) except -1
    cdef bint _finish(self) except -1
    cdef bytes _request_id(self)
    cdef bint _answer(self, int status, const char *why) except -1
    cdef bint _send_to_client(self) except -1
    cdef int _linger(self) except -1
    cdef int _settle(self) except -1

cdef Connection new_connection(Door door, object front, int fd, bytes address, int port)
