"""Smooth weighted round robin: whose turn is it."""
from libc.stdint cimport uint64_t

cdef struct Class:          # endpoints of one weight, which take turns among themselves
    uint64_t weight         # of all its members together
    uint64_t turns          # taken in this period; its next turn is due at (turns + 1/2) / weight
    Py_ssize_t first        # its members stand at members[first:first + count]
    Py_ssize_t count
    Py_ssize_t next         # whose turn it is among them


cdef class Wrr:
    cdef Class *classes     # the heaviest first
    cdef Py_ssize_t *heap   # numbers of classes, the one that is due next at the top
    cdef Py_ssize_t *members
    cdef Py_ssize_t count   # of classes; 0 where nothing can be picked
    cdef uint64_t period    # turns until everybody had exactly its weight
    cdef uint64_t taken     # turns of this period
    cpdef Py_ssize_t pick(self) noexcept
    cdef void _begin(self) noexcept
    cdef void _sink(self, Py_ssize_t at) noexcept
    cdef inline bint _before(self, Py_ssize_t one, Py_ssize_t other) noexcept
