"""One line per request, written without ever waiting."""
from libc.stdint cimport int64_t

from workers.proxy.outcome cimport Outcome


cdef class AccessLog:
    cdef char *_buffer
    cdef Py_ssize_t _used, _size
    cdef object _writer             # the thread that writes; this class only fills
    cdef readonly int64_t dropped   # lines that found no room, or that could not be written
    cdef void record(self, Outcome outcome) noexcept
