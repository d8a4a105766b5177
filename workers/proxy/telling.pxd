"""What the client is told by ourselves, and how it is let go."""
from workers.proxy.relay cimport Relay


cdef class Telling(Relay):
    cdef bytes request_id(self)                                     # the client's own where it can be kept, or a new one
    cdef bint answer(self, int status, const char *why) except -1   # True: the connection may go on
    cdef bint send_to_client(self) except -1                        # what is left for it; False: it does not take it
    cdef int linger(self) except -1                                 # our side ends, and it may finish what it is sending
