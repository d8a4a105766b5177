"""Endpoints and services: what a plan gives to the request path to choose from."""
from libc.stdint cimport int64_t

from mesh.balance.balance cimport Balance
from mesh.balance.sticky cimport Sticky
from mesh.balance.wrr cimport Wrr


cdef class Endpoint:
    """One instance as a worker talks to it; one of the same (url, preserve_path, transport) is the same object."""
    cdef readonly str url                   # as the file says it
    cdef readonly bytes host                # whom to connect to: a name or an address, without brackets
    cdef readonly int port
    cdef readonly bint tls                  # https
    cdef readonly bytes authority           # for Host where the client's is not passed: no default port, v6 in brackets
    cdef readonly bytes prefix              # preservePath: the url's path, without a trailing slash; else b""
    cdef readonly object transport          # mesh.model.Transport
    cdef public object pool                 # the worker's connections to it; set before the plan serves


cdef class Service:
    """Endpoints and who of them gets a request; or, for a weighted one, the services that take turns."""
    cdef readonly str name                  # qualified
    cdef readonly bint pass_host_header
    cdef readonly tuple endpoints           # of Endpoint; () for a weighted service, or where nothing serves
    cdef readonly tuple children            # of Service, for a weighted one
    cdef readonly object model              # what it was compiled from: an equal one in the next plan is this object
    cdef readonly Balance balance           # picks among `endpoints`, by their index; None for a weighted service
    cdef readonly tuple slots               # of the endpoints, as far as they have one
    cdef readonly Sticky sticky             # its cookie: for an endpoint, or for a child of a weighted one; None: it has none
    cdef Wrr turns                          # of the children; None for others
    cdef int64_t nobody_ms                  # when none of the children could serve, last
    cdef Py_ssize_t spilt                   # turns that were nobody's of those that can serve
    cdef tuple values                       # of the cookie, for each child of a sticky weighted one
    cdef readonly bint sticks               # its own cookie, or that of a service below, may be asked for
    # This service, or the one below whose turn it is, of those that can serve; weights of 0 give None.
    cdef Service leaf(self, int64_t now_ms)
    # The same for a client with these Cookie lines; what is to be told by Set-Cookie is appended to `told`.
    cpdef Service leaf_for(self, list cookies, list told, int64_t now_ms)
    cpdef bint can_serve(self, int64_t now_ms)
    cdef Py_ssize_t _turn(self, int64_t now_ms) except -2
    cdef Py_ssize_t _kept_child(self, list cookies, int64_t now_ms) except -2
