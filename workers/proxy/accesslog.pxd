"""One line per request, written without ever waiting."""
from libc.stdint cimport int64_t

from workers.proxy.logline cimport Form
from workers.proxy.logwriter cimport LogWriter
from workers.proxy.outcome cimport Outcome


cdef class AccessLog:
    cdef char *_buffer              # lines that wait to be handed to the writer; NULL after close()
    cdef Py_ssize_t _used, _size
    cdef LogWriter _writer          # the thread that writes; this class only fills
    cdef Form _form
    cdef bint _json
    cdef int64_t _count             # requests told so far
    cdef int64_t *_gauge            # GAUGE_LOG_DROPPED of the worker's column, or NULL
    cdef object _column, _log
    cdef str _where
    cdef bint _in_trouble
    cdef int64_t _seen_dropped, _dropped_before
    cdef double _calm_since
    cdef readonly int64_t dropped   # lines that found no room, or that could not be written
    cdef void record(self, Outcome outcome) noexcept
    cdef bint _hand_over(self) noexcept
    cdef void _drop(self, int64_t lines) noexcept
