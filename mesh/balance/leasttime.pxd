"""Least time to the first byte; and the average itself, which every strategy feeds."""
from libc.stdint cimport int64_t

from mesh.balance.members cimport Members

cdef Py_ssize_t of_least_time(Members *members, int64_t now_ms, list tried) noexcept
cdef void note_latency(int64_t *cells, int64_t first_byte_us, int64_t now_ms) noexcept
