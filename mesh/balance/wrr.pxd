"""Smooth weighted round robin: whose turn is it."""
from libc.stdint cimport int64_t, uint64_t

cdef struct Weight:         # one weight and whose it is; what sorting needs
    uint64_t weight
    Py_ssize_t index

cdef struct Class:          # endpoints of one weight, which take turns among themselves
    uint64_t weight         # of all its members together
    uint64_t turns          # taken in this period; its next turn is due at (turns + 1/2) / weight
    Py_ssize_t first        # its members stand at members[first:first + count]
    Py_ssize_t count
    Py_ssize_t next         # whose turn it is among them
    Py_ssize_t lowest       # its first member, which stands for it among classes of the same weight


cdef class Wrr:
    cdef Weight *sorted     # `most` of each of these
    cdef Class *classes     # the heaviest first
    cdef Py_ssize_t *heap   # numbers of classes, the one that is due next at the top
    cdef Py_ssize_t *members
    cdef Py_ssize_t most    # weights that there is room for
    cdef Py_ssize_t total   # weights above 0
    cdef Py_ssize_t count   # of classes; 0 where nothing can be picked
    cdef uint64_t period    # turns until everybody had exactly its weight
    cdef uint64_t taken     # turns of this period
    cdef int reserve(self, Py_ssize_t most) except -1
    cdef void arrange(self, const uint64_t *weights, Py_ssize_t n, int64_t start) noexcept  # as if made of them
    cpdef Py_ssize_t pick(self) noexcept
    cdef void _begin(self) noexcept
    cdef void _sink(self, Py_ssize_t at) noexcept
    cdef inline bint _before(self, Py_ssize_t one, Py_ssize_t other) noexcept
