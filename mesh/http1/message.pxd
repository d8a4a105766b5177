"""What a request head and a response head share, and the scan of their field lines."""
from libc.stdint cimport int64_t

from mesh.http1.fields cimport Line

cdef enum:          # stages of a scan
    START_LINE = 0
    FIELDS
    WHOLE
    REFUSED


cdef class Head:
    """What requests and responses share.  All offsets count from `base`, the buffer given to the last parse()."""
    cdef const char *base
    cdef Line *lines
    cdef int count              # lines in use
    cdef int room               # lines allocated
    cdef int minor              # HTTP/1.<minor>: 0 or 1
    cdef bint close             # the connection ends after this message (Connection: close, or 1.0 without keep-alive)
    cdef bint chunked
    cdef bint upgrade           # Connection: upgrade together with an Upgrade header, no body, HTTP/1.1, and it is not to h2c
    cdef bint expect_continue   # a request's Expect: 100-continue
    cdef int64_t length         # Content-Length, or -1 where none was said
    cdef int hops               # how many lines are hop-by-hop
    cdef int status             # requests: the status to refuse with; responses: the status code
    cdef const char *why        # after a refusal: what was wrong, one ASCII sentence without markup
    # where the resumable scan stands
    cdef Py_ssize_t seen        # bytes in which no further LF is to be looked for
    cdef Py_ssize_t _begin      # of the start line
    cdef Py_ssize_t _at         # of the line under way
    cdef int stage
    cdef int _options           # what Connection says: CLOSE_OPTION ...
    cdef int _listed            # how many other names it lists
    cdef object _held           # what Python gave to parse_bytes
    cdef readonly Py_ssize_t max_bytes
    cdef readonly int max_lines
    cdef int index[32]          # by header id: the first line with it, or -1
    cdef bint is_response
    cdef int refuse(self, int status, const char *why) noexcept
    cdef int _grow(self) noexcept
    cdef void _forget(self) noexcept
    cdef bytes value(self, int id)                                # the value of the first such line, or None
    cpdef list header_values(self, bytes lower_name)              # every value of a header, by its lower-case name


# The lines up to the empty one.  >0: where the body begins; 0: more bytes are needed; -1: refused.
cdef Py_ssize_t scan_fields(Head head, const char *buf, Py_ssize_t n) noexcept
cdef int settle(Head head, const char *buf) noexcept                        # -1 after a refusal
cdef int version_minor(const char *at, Py_ssize_t n) noexcept               # 0, 1; -1: malformed; -2: another version
