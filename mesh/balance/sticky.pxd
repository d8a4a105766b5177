"""Cookies that keep a client on its endpoint."""

cdef class Sticky:
    cdef readonly bytes name        # of the cookie
    cdef readonly bytes tail        # what follows the value in Set-Cookie: "; Path=/; HttpOnly"
    cpdef bytes find(self, list values)         # what the client's Cookie lines say under this name; None: nothing
    cpdef bytes told(self, bytes value)         # the value of a Set-Cookie line


cpdef bytes cookie_in(bytes line, bytes name)
