"""What all connections of one entrypoint share."""
from libc.stdint cimport int64_t

from mesh.http1.hop cimport Peer
from mesh.plan cimport Table
from mesh.shared.series cimport Column
from workers.proxy.accesslog cimport AccessLog
from workers.proxy.account cimport Account


cdef class Door:
    cdef readonly object entry_point        # mesh.model.EntryPoint
    cdef readonly str name
    cdef Table table                        # of the plan that serves now
    cdef readonly Account unrouted
    cdef Column column
    cdef int number                         # of the entrypoint, for its gauge
    cdef object logger                      # the process log
    cdef AccessLog log                      # None: there is none
    cdef bint draining                      # each answer is the last of its connection
    cdef bint aborting                      # nothing goes on
    cdef bint sanitize
    cdef Py_ssize_t max_header_bytes, max_target
    cdef int max_headers
    # milliseconds, 0: none
    cdef int64_t header_ms, read_ms, body_idle_ms, idle_ms, write_ms, total_ms, keep_alive_ms
    cdef int keep_alive_requests
    cdef bytes date                         # a whole Date line
    cdef bytes _server
    cdef dict _peers
    cdef tuple _trusted
    cdef bint _trust_all
    cdef Peer peer(self, bytes address)

cdef bytes new_request_id()
