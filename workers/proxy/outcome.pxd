"""What became of one request: filled while it goes on, settled in one place when it ends (law 6)."""
from libc.stdint cimport int64_t

from mesh.http1.head cimport RequestHead
from mesh.plan cimport Endpoint, Route, Service


cdef class Outcome:
    """One per client connection, cleared for each request.  Times in microseconds."""
    cdef RequestHead head           # of this request; its offsets are good until the outcome is settled
    cdef bint has_head              # False: refused before the head was understood; of `head` nothing may be used
    cdef str entry_point
    cdef bytes peer_host            # the client's address as text, and its port
    cdef int peer_port
    cdef bytes request_id
    cdef Route route                # None: no router matched
    cdef Service service            # the load balancer that was asked; None
    cdef Endpoint endpoint          # the last one that was tried; None
    cdef int status                 # sent to the client; 499: it went away before anything was sent; 0: tunnel refused
    cdef int origin_status          # received from the endpoint; 0: none
    cdef bint cut                   # the message to the client ended before its end
    cdef int retries                # tries beyond the first
    cdef int64_t began_at_us        # wall clock (since 1970) and
    cdef int64_t began_us           # CLOCK_MONOTONIC, when the first byte of the request was seen
    cdef int64_t duration_us        # until the last byte of the answer was handed to the kernel
    cdef int64_t origin_us          # from the request sent until the endpoint's last byte; 0 where there was none
    cdef int64_t bytes_in           # body bytes from the client, without framing
    cdef int64_t bytes_out          # body bytes to the client, without framing
    cdef int64_t origin_bytes       # body bytes from the endpoint
    cdef const char *why            # of an answer that is our own: the sentence in its body; NULL: it is the endpoint's
    cdef void clear(self) noexcept
