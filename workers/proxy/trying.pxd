"""Which endpoint a request is sent to, and what its tries say of endpoints."""
from libc.stdint cimport int64_t

from mesh.balance.balance cimport Balance
from workers.proxy.telling cimport Telling


cdef class Trying(Telling):
    cdef Balance balance        # of the outcome's service
    cdef int64_t picked_ms      # when its first endpoint was picked
    cdef Py_ssize_t trying      # index of the endpoint whose try is under way; -1: none is
    cdef int verdict            # what the try says of it, as far as that is known already
    cdef list failed            # indexes of the endpoints that were tried before; None: there are none
    cdef list told              # what Set-Cookie tells of children of weighted services; None: no cookie is asked for
    cdef Py_ssize_t kept        # index of the endpoint that the client's cookie names; -1: none
    cdef bint is_idempotent
    cdef bint wants_fresh       # the next connection is to be made for this request
    cdef int start(self) except -1
    cdef int pick(self, int64_t now_ms) except -1       # the outcome's service and endpoint; None: none may serve
    cdef bint another(self, int verdict) except -1      # ends the try; True: it is another endpoint's turn
    cdef void tried(self, int verdict, int64_t now_us) noexcept     # the try is over, if one is under way
    cdef bint is_failure(self) except -1                # whether its answer is one
    cdef int _try(self, Py_ssize_t index) except -1
    cdef int _tell_cookies(self, Py_ssize_t index) except -1
    cdef int _tell(self, bytes cookie) except -1
