"""What a line of the access log looks like, in either format."""
from libc.stdint cimport int64_t

from workers.proxy.outcome cimport Outcome

cdef enum:
    LINE_BYTES = 16384      # longest line of a file
    PIPE_LINE_BYTES = 4096  # longest line of anything else: what the system writes to a pipe whole (PIPE_BUF)

cdef struct Moment:
    int64_t second          # since 1970
    char utc[19]            # 2026-03-01T12:34:56
    char local[19]
    char clf[26]            # 01/Mar/2026:12:34:56 +0100
    char zone[6]            # Z or +01:00
    int zone_len


cdef class Form:
    cdef Moment moments[8]
    cdef const Moment *_moment(self, int64_t second) noexcept
    # Both answer the end of the line that they wrote at p.  It has at most `limit` bytes, which are PIPE_LINE_BYTES or
    # more; 16 bytes behind it may be overwritten.  `count` is RequestCount.
    cdef char *json(self, char *p, Py_ssize_t limit, Outcome outcome, int64_t count) noexcept
    cdef char *common(self, char *p, Py_ssize_t limit, Outcome outcome, int64_t count) noexcept
