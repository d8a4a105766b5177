"""The routers of one entrypoint, filed by the hosts that their rules name."""


cdef class Index:
    # Each list in order of rank; a candidate is (rank, what remains to be asked or None, target).
    cdef readonly dict exact                # host -> candidates: Host(`a.example`)
    cdef readonly dict one                  # suffix -> candidates: Host(`*.example`)
    cdef readonly dict deep                 # suffix -> candidates: Host(`**.example`)
    cdef readonly list rest                 # candidates that are bound to no host
    cpdef object find(self, request, bytes host)
