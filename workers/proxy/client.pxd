"""A client's connection: when its next request comes, and whether it is still there."""
from libc.stdint cimport int64_t, uint64_t

from mesh.http1.hop cimport Peer
from workers.proxy.door cimport Door
from workers.proxy.stream cimport Stream

cdef enum:
    HALF_CLOSED_MS = 1000   # a client that has ended its side may still read; if nothing could be sent to it for so
                            # long it is gone.  FIN alone does not tell the two apart
    IN_A_ROW = 16           # requests, or moves of a body, before the others have their turn: a millisecond or two


cdef class Client(Stream):
    cdef Door door
    cdef Peer peer
    cdef uint64_t hash              # of its address; 0: nobody has asked for it yet
    cdef int port
    cdef object thread              # this connection's greenlet; None while it is parked
    cdef int64_t opened_ms
    cdef int64_t hung_ms            # its end of stream was seen while a request was under way; 0: no
    cdef int served                 # requests
    cdef int in_a_row               # since it last waited
    cdef bint idle                  # waits for a request
    cdef bint has_left(self)
    cdef bint _gives_way(self) except -1
    cdef bint awaits_request(self) except -1    # True: some of one is there; False: it is over, or parked until one comes
    cdef int park(self) except -1
    cdef uint64_t hashed(self) noexcept         # the hash of its address
    cdef void reset_at_close(self) noexcept
