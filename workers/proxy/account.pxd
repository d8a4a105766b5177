"""The counters of what one entrypoint, or one router on it, has served."""
from libc.stdint cimport int64_t

from mesh.shared.series cimport Column
from workers.proxy.outcome cimport Outcome

cdef enum:
    REMEMBERED = 16

cdef struct Cached:
    void *service           # borrowed: the plan that the route belongs to keeps it
    int code
    int method
    int kind
    int64_t *row


cdef class Account:
    cdef Column column
    cdef bytes _start       # entrypoint and router, as the labels begin
    cdef Cached _rows[REMEMBERED]
    cdef void settle(self, Outcome outcome, bint is_tunnel)
    cdef int64_t *_row(self, Outcome outcome, int method, bint is_tunnel) except NULL
