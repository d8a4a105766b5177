"""Cells of endpoints: what every worker and the agent know of each, found by its slot's number."""
from libc.stdint cimport int32_t, int64_t

from mesh.shared.cells cimport cell_add, cell_cas, cell_load, cell_store

cpdef enum:
    # Words of a slot.  Who writes stands in front; several writers of one word use add or compare-and-swap.
    SLOT_STATE = 0          # agent: bits STATE_* and, from bit WEIGHT_SHIFT on, an operator's weight + 1 (0: none)
    SLOT_EJECTED_MS = 1     # workers: CLOCK_MONOTONIC in ms until which it is ejected; 0: it never was, or all is over
    SLOT_IN_A_ROW = 2       # workers: failures since the last success, packed (mesh/health/passive.pyx)
    SLOT_WINDOW = 3         # workers: requests and failures of the present window, packed (mesh/health/passive.pyx)
    SLOT_LATENCY = 4        # workers: moving average of the time to the first byte, packed (mesh/balance/leasttime.pyx)
    SLOT_REQUESTS = 5       # workers: counter of tries that ended
    SLOT_FAILURES = 6       # workers: counter of tries that failed
    SLOT_EJECTIONS = 7      # workers: ejections in a row, by which their time grows
    SLOT_SINCE_MS = 8       # agent, and workers at an ejection: CLOCK_MONOTONIC in ms from which slow start counts; 0: it
    #                         has been there for ever
    SLOT_CHANGED_MS = 9     # whoever changes the state: unix time in ms, for people
    SLOT_PROBED_MS = 10     # agent: unix time in ms of the last probe; 0: none yet
    SLOT_PROBE_US = 11      # agent: how long it took
    SLOT_PROBES = 12        # agent: probes in a row with the same outcome; above 0 good, below 0 bad
    SLOT_PROBE_WHY = 13     # agent: why the last probe failed (mesh/health/verdict.py has the words); 0: it did not
    SLOT_FAILED_MS = 14     # workers: unix time in ms of the last failure
    SLOT_WORDS = 16         # two cache lines

    STATE_DOWN = 1          # active health: too many probes failed
    STATE_DRAIN = 2         # an operator's word, or the instance's own: what is under way and sticky goes on, nothing new
    STATE_DISABLED = 4      # an operator's word: nothing at all
    STATE_LOCAL = 8         # it is on this host
    STATE_WAITS = 16        # active health: it starts down and was not probed yet
    WEIGHT_SHIFT = 16

    # A slot goes to another endpoint at the earliest so long after every worker has served a plan without its former
    # one; a request that holds an older plan begins no try there when it is older than this less a margin.
    KEPT_MS = 180_000

    KEY_BYTES = 504         # longest key
    ENTRY_BYTES = 512       # of the directory: a word with the key's length (0: the slot is free), then the key


cdef struct SlotsHead:      # the part's first page
    int64_t used            # slots that were ever in use: 0..used-1
    int64_t changes         # goes up with whatever changes who may be picked, or with which weight
    int64_t columns         # columns that were ever in use: 0..columns-1


cdef class Slots:
    cdef SlotsHead *head
    cdef int64_t *_cells
    cdef int32_t *_flights
    cdef char *_entries
    cdef object _view
    cdef object _reserve
    cdef dict _numbers      # key -> slot, as the agent that writes the directory knows it
    cdef list _free
    cdef readonly int capacity
    cdef readonly int columns
    cdef readonly bint writable
    cdef int64_t *cells(self, Py_ssize_t slot) noexcept             # SLOT_WORDS of them
    cdef int32_t *flights(self, Py_ssize_t slot) noexcept           # one for each column
    cdef int _check(self, Py_ssize_t slot) except -1
    cdef bint _reserved(self, Py_ssize_t slot)


cdef inline int64_t in_flight(const int32_t *flights, int64_t columns) noexcept:
    """Requests under way in all workers: each has its own word, so a killed one's are taken back by zeroing it."""
    cdef int64_t sum = 0
    cdef int64_t column
    for column in range(columns):
        sum += flights[column]
    return sum
