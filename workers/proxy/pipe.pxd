"""A pipe that bytes go through from one socket to another, without a copy."""
from workers.proxy.stream cimport Stream

cdef enum:
    # A body of known length goes through a pipe when at least so much of it is still to come and reads have filled the
    # buffer.  Measured: at 256 KiB it is as dear as copying, at 1 MiB a quarter cheaper, at 100 MiB half as dear.
    PIPED = 262144
    # Where little has come at each look, as on few connections, copying is cheaper: after SHORTS splices in a row of less
    # than SHORT bytes the body is copied, until a read fills the large buffer.  1 MB on 4 connections: 0.85 times as dear.
    SHORT = 65536
    SHORTS = 3


cdef class Pipe:
    cdef int ends[2]            # to read from, to write to
    cdef Py_ssize_t held        # bytes in it
    cdef int shorts             # short splices since the last long one
    cdef Py_ssize_t fill(self, Stream source, Py_ssize_t most) except -3    # bytes, 0 at the end, AGAIN, FAILED
    cdef Py_ssize_t drain(self, Stream target) except -3                    # bytes, AGAIN, FAILED

cdef Pipe take_pipe()           # None where it is better to copy
cdef void give_pipe(Pipe pipe)
