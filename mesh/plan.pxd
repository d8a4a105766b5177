"""What a worker serves from: the dynamic configuration, compiled and frozen."""
from libc.stdint cimport int64_t

from mesh.http1.head cimport RequestHead
from mesh.rules.index cimport Index
from mesh.service cimport Endpoint, Service


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
    cdef list balances                      # of its services
    cdef Py_ssize_t next_balance            # where refresh goes on
    cpdef bint refresh(self, int64_t now_ms, int64_t unix_ms=*)
