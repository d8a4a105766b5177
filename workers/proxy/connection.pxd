"""A connection's life: parked, served from the hub, or in the hands of a greenlet."""
from workers.proxy.client cimport Client
from workers.proxy.door cimport Door
from workers.proxy.exchange cimport Exchange


cdef class Connection(Client):
    cdef Exchange exchange      # under way while no greenlet is
    cdef object front           # whom to tell when it is over
    cdef int _look(self, bint at_its_end) except -1
    cdef int _hand_over(self) except -1
    cdef int _over(self) except -1
    cdef void _broke(self)

cdef Connection new_connection(Door door, object front, int fd, bytes address, int port)
