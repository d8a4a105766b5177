"""The counters of what one entrypoint, or one router on it, has served: one row for each (service, code, method).

Owns the labels of rows and the short way to a row that was used before.  What a row holds, mesh/shared/series.pyx
knows; who adds the columns up, workers/agent/metrics.py.  Floor 3.

Labels: entrypoint, router, service, code, method, protocol, divided by 0x1f; "" where there is none.  What a client can
make up is not in them: a method without a number is EXTENSION_METHOD, as in Traefik.
"""
from libc.string cimport memset

from mesh.http1.head cimport CONNECT, DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT, TRACE
from mesh.shared.series cimport ROW_RETRIES, ROW_UPSTREAM_US, Column, count

cdef dict METHODS = {GET: b"GET", HEAD: b"HEAD", POST: b"POST", PUT: b"PUT", DELETE: b"DELETE", OPTIONS: b"OPTIONS",
                     PATCH: b"PATCH", CONNECT: b"CONNECT", TRACE: b"TRACE"}


cdef class Account:
    """`router` is "" for what found no router."""

    def __init__(self, Column column, str entry_point, str router):
        self.column = column
        self._start = f"{entry_point}\x1f{router}\x1f".encode()
        memset(self._rows, 0, sizeof(self._rows))

    cdef void settle(self, Outcome outcome, bint is_tunnel):
        cdef int method = outcome.head.method_id if outcome.has_head else 0
        cdef void *service = <void *>outcome.service
        cdef Cached *known = &self._rows[(outcome.status * 7 + method * 5 + (<size_t>service >> 4)) % REMEMBERED]
        if (known.row is NULL or known.service != service or known.code != outcome.status or known.method != method
                or known.kind != is_tunnel):
            known.row = self._row(outcome, method, is_tunnel)
            known.service, known.code, known.method, known.kind = service, outcome.status, method, is_tunnel
        count(known.row, outcome.duration_us, outcome.bytes_in, outcome.bytes_out)
        known.row[ROW_UPSTREAM_US] += outcome.origin_us
        known.row[ROW_RETRIES] += outcome.retries

    cdef int64_t *_row(self, Outcome outcome, int method, bint is_tunnel) except NULL:
        service = outcome.service.name.encode() if outcome.service is not None else b""
        return self.column.row(b"%s%s\x1f%d\x1f%s\x1f%s" % (
            self._start, service, outcome.status, METHODS.get(method, b"EXTENSION_METHOD"),
            b"websocket" if is_tunnel else b"http"))
