"""Which endpoint of a service gets a request, and what is learnt of it."""
from libc.stdint cimport int64_t, uint64_t

cimport cython

from mesh.balance.members cimport Member, Members
from mesh.balance.wrr cimport Wrr
from mesh.health.passive cimport Judge
from mesh.shared.slots cimport Slots

cpdef enum:                 # how a try ended
    ENDED = 0               # nothing is known of the endpoint by it: the client left, a lost keep-alive race
    ENDED_WELL = 1
    ENDED_BADLY = 2         # a failure: refused, reset, timed out, cut off, and where it is asked for, 500 and above


@cython.final
cdef class Balance:
    cdef Members members
    cdef Judge judge
    cdef Wrr turns                          # over members.serving; wrr alone
    cdef int how
    cdef int64_t slow_start_ms, panic_threshold
    cdef bint prefers_local
    cdef int64_t turn                       # picks so far, and where this worker began
    cdef int64_t seen_changes, looked_ms    # when it was last looked who has which share
    cdef int64_t wake_ms                    # something is over then: an ejection, a step of a slow start
    cdef bint is_stale
    cdef int64_t unix_offset_ms             # 0: not known
    cdef dict indexes                       # value of a cookie -> index; None where the service is not sticky
    cdef list values
    cdef int column
    cdef Py_ssize_t most
    cdef readonly Slots slots               # keeps their memory alive; None: all cells are its own
    cdef readonly bint needs_client         # pick wants the hash of the client's address (mesh.balance.hrw.client_hash)
    cdef readonly bint is_panicking         # too few are healthy, so health is not asked

    cdef int add(self, str url, object weight, Py_ssize_t slot, bytes value) except -1
    cpdef Py_ssize_t pick(self, int64_t now_ms, uint64_t client) noexcept       # index of the endpoint; -1: none may serve
    # One not in tried (indexes), for a request of `picked_ms` (-1: of now); -1: none.
    cpdef Py_ssize_t another(self, int64_t now_ms, uint64_t client, list tried, int64_t picked_ms=*)
    cdef void go_on_from(self, Balance former) noexcept
    cpdef bint can_serve(self, int64_t now_ms) noexcept
    cpdef Py_ssize_t kept(self, bytes value, int64_t now_ms)    # the endpoint of a cookie's value; -1: choose anew
    cpdef bytes cookie_of(self, Py_ssize_t index)               # its value
    cpdef void began(self, Py_ssize_t index) noexcept
    cpdef void ended(self, Py_ssize_t index, int how, int64_t first_byte_us, int64_t now_ms) noexcept
    cpdef bint refresh(self, int64_t now_ms, int64_t unix_ms=*) noexcept        # True: shares have changed
    cdef inline Py_ssize_t _choose(self, int64_t now_ms, uint64_t client, list tried) noexcept
    cdef Py_ssize_t _turn(self, int64_t now_ms, list tried) noexcept
    cdef bint _look(self, int64_t now_ms) noexcept
    cdef bint _look_again(self, int64_t now_ms) noexcept
    cdef inline int64_t _weight(self, const Member *member) noexcept
    cdef inline int64_t _latest(self, int64_t now_ms) noexcept
    cdef int64_t _share(self, const Member *member, int64_t now_ms) noexcept
    cdef void _eject(self, Py_ssize_t index, int64_t now_ms) noexcept
