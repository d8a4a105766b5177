"""What became of one request, for everybody who tells of it: counters, access log, later the trace.

Owns the fields and nothing else: the exchange fills them, one place settles them.  Floor 3.
"""


cdef class Outcome:
    """One per client connection, cleared for each request."""

    cdef void clear(self) noexcept:
        """A new request begins; what belongs to the connection (entry_point, peer, head) stays."""
        self.has_head = False
        self.request_id = None
        self.route = None
        self.service = None
        self.endpoint = None
        self.status = 0
        self.origin_status = 0
        self.cut = False
        self.retries = 0
        self.began_at_us = 0
        self.began_us = 0
        self.duration_us = 0
        self.origin_us = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self.origin_bytes = 0
        self.why = NULL
