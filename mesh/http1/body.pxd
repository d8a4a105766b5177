"""Where a message's body ends (RFC 9112 section 6 and 7), decided byte by byte, nothing buffered."""
from libc.stdint cimport int64_t


cdef class Body:
    """One body on its way through: told what arrived, it says what of it is payload and when the message is over."""
    cdef bint done              # the last byte of the message has been consumed
    cdef bint chunked
    cdef int64_t left           # of a Content-Length, or of the chunk under way; -1: until the connection closes
    cdef const char *why        # after feed() returned -1
    cdef int state
    cdef int _digits            # of the chunk size under way
    cdef Py_ssize_t _line       # bytes of the chunk-size line under way; where the trailer line under way begins
    cdef int _lines             # of the trailer section
    cdef Py_ssize_t overhead    # bytes of chunk-size lines beyond what is free, or of the trailer section; bounded
    cdef bytearray _trailers
    cdef void start(self, bint chunked, int64_t length) noexcept
    # Consumes up to n bytes at data and returns how many, or -1 when the framing is broken (self.why).  The payload
    # among them is moved together to the front: data[0:payload[0]].  data[consumed:n] is left alone (it is the next
    # message).
    cdef Py_ssize_t feed(self, char *data, Py_ssize_t n, Py_ssize_t *payload) noexcept
    cdef bytes trailers(self)   # field lines that may be forwarded, each with its CRLF; b"" where none
    cdef Py_ssize_t _feed_chunks(self, char *data, Py_ssize_t n, Py_ssize_t *payload) noexcept
    cdef Py_ssize_t _feed_trailers(self, char *data, Py_ssize_t n) noexcept
    cdef int _trailer_line(self) except -2
    cdef int _step(self, char c) noexcept
    cdef int _size_line(self) noexcept
    cdef int _extension(self, char c) noexcept
    cdef int _broken(self, const char *why) noexcept
