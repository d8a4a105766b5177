"""The memory of limits, drawn in one place: buckets, counts, windows and waiting lines.

Owns which part belongs to what.  A limit's slot is bound to "kind 0x1f name" (mesh/shared/slots.pyx has the directory,
and the agent alone gives slots), so a bucket, a breaker's state and a count live through reloads, restarts and the
agent's death.  It refuses to know what is allowed: mesh/limits decides.  Floor 1.

The kinds: rateLimit, inFlightReq, circuitBreaker (name: the middleware's, qualified); serviceRate, serviceBreaker,
adaptive, line (the service's); endpointRate, endpointBreaker (the service's, 0x1f, url).
"""
from mesh.shared.region import region_size

KINDS = ("rateLimit", "inFlightReq", "circuitBreaker", "serviceRate", "serviceBreaker", "adaptive", "line",
         "endpointRate", "endpointBreaker")


cdef class LimitCells:
    """The parts that belong to limits."""

    def __cinit__(self, Slots slots not None, Region sources not None, Region crowds not None, Region windows not None,
                  Region lines not None, Region wants not None):
        self.slots, self.sources, self.crowds = slots, sources, crowds
        self.windows, self.lines, self.wants = windows, lines, wants


def parts(Py_ssize_t limits, Py_ssize_t sets, Py_ssize_t crowds, Py_ssize_t columns):
    """(name, pieces, bytes of each) of the regions, in the order of LimitCells, for so many limits and sources."""
    return (("source_sets", sets, SOURCE_SET), ("crowds", crowds, CROWD_HEAD + columns * 4),
            ("windows", limits, WINDOW_BYTES), ("lines", limits, LINE_BYTES), ("wants", 1, WANTS_BYTES))


def limits_size(Py_ssize_t limits, Py_ssize_t sets, Py_ssize_t crowds, Py_ssize_t columns):
    """Bytes of all the regions."""
    return sum([region_size(count, each) for _, count, each in parts(limits, sets, crowds, columns)])
