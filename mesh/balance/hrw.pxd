"""Rendezvous hashing."""
from libc.stdint cimport int64_t, uint64_t

from mesh.balance.members cimport Members

cdef Py_ssize_t of_client(Members *members, int64_t now_ms, uint64_t client, list tried) noexcept
cdef uint64_t fnv64a(const char *data, Py_ssize_t length) noexcept
