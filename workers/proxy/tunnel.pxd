"""What a connection is after 101."""
from workers.proxy.relay cimport Relay

cdef int tunnel(Relay relay) except -1      # relays until both sides have ended theirs, or one is broken
