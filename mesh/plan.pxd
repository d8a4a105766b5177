"""What a worker serves from: the dynamic configuration, compiled and frozen."""
from libc.stdint cimport int64_t

from mesh.balance.balance cimport Balance
from mesh.balance.wrr cimport Wrr
from mesh.http1.head cimport RequestHead
from mesh.rules.index cimport Index


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
    cdef Wrr turns                          # of the children; None for others
    cdef Service leaf(self)                 # this service, or the one below whose turn it is; weights of 0 give None


cdef class Route:
    """A router on one entrypoint: where its requests go, and under which name they are counted."""
    cdef readonly str entry_point
    cdef readonly str router                # qualified
    cdef readonly Service service
    cdef public object account              # the worker's counters of it; set before the plan serves


cdef class Table:
    """The routers of one entrypoint."""
    cdef readonly str entry_point
    cdef readonly object matcher            # mesh.rules.matcher.Matcher of Routes
    cdef dict certain                       # the matcher's, as is
    cdef Index index
    cdef readonly tuple routes              # as the model lists their routers
    cdef list entries                       # what the matcher was built from; equal ones keep the table
    cdef Route find(self, RequestHead head)     # None: no router matches


cdef class Plan:
    """All of it; made by compile_plan, never changed."""
    cdef readonly dict tables               # entrypoint -> Table
    cdef readonly dict services             # qualified name -> Service
    cdef readonly dict endpoints            # (url, preserve_path, transport) -> Endpoint, all that are in use
    cdef readonly tuple problems            # of mesh.errors.Problem: what could not be compiled, and is left out
    cdef dict transports                    # those in use, each -> itself: certificates are compared once
    cdef dict rules                         # text -> (expression, default priority), of every rule in use
    cdef dict routes                        # (entrypoint, router) -> Route
