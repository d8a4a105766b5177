"""The cookie that keeps a client on its endpoint: read from a request, written into an answer."""
from mesh.http1.head cimport RequestHead


cdef class Sticky:
    cdef readonly bytes name
    cdef bytes _before, _after                  # the value stands between
    cdef bytes said_by(self, RequestHead head)  # the cookie's value, None where the client has none
    cdef bytes _value_in(self, const char *at, Py_ssize_t left)
    cdef bytes line(self, bytes value)          # the whole Set-Cookie line
