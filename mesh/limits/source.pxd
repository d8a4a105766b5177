"""Whose request it is, for limits that count by source."""
from libc.stdint cimport int64_t, uint64_t

from mesh.http1.head cimport RequestHead

cdef enum:
    LONGEST = 56            # bytes of a source's name; of a longer one a digest is its name


cdef class Source:
    cdef readonly object model          # mesh.model.SourceCriterion
    cdef bytes of(self, RequestHead request)            # the source's name; request.peer is the client's address


cdef uint64_t hash_of(int64_t limit, const char *name, Py_ssize_t length) noexcept     # of a limit's slot and a name; never 0
