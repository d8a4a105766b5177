"""Power of two choices."""
from libc.stdint cimport int64_t

from mesh.balance.members cimport Members

cdef Py_ssize_t of_two(Members *members, int64_t now_ms, list tried) noexcept
