"""The endpoints of a service as strategies see them: plain structs, so that a choice makes no Python object.

`serving` lists the members that had a share when it was last looked; whether one may be picked at this moment, its cells
say.  A strategy is a function of (members, now_ms, ..., tried): an index of `each`, or -1.
"""
from libc.stdint cimport int32_t, int64_t, uint64_t

from mesh.shared.cells cimport cell_load
from mesh.shared.slots cimport SLOT_EJECTED_MS, SLOT_STATE


cdef struct Member:
    int64_t *cells              # SLOT_WORDS of them; in shared memory, or its own
    int32_t *flights            # requests under way, a word for each worker
    int32_t *own                # this worker's among them: nobody else writes it
    int64_t weight              # as the configuration says
    int64_t share               # what it has of the requests now: 0 where it gets none
    uint64_t hash               # of its url
    bint is_shared              # its cells are in shared memory


cdef struct Members:
    Member *each
    Py_ssize_t count
    Py_ssize_t *serving         # indexes of those that have a share
    uint64_t *shares            # theirs
    uint64_t *sums              # and summed up to each
    Py_ssize_t serving_count
    bint is_equal               # all have the same share
    int64_t bars                # bits of SLOT_STATE with which nobody is picked
    bint heeds_ejections
    const int64_t *columns      # how many words of `flights` are in use
    int64_t most_columns
    uint64_t random


cdef inline bint may_serve(const Members *members, Py_ssize_t index, int64_t now_ms) noexcept:
    cdef const int64_t *cells = members.each[index].cells
    if cell_load(cells + SLOT_STATE) & members.bars:
        return False
    return not (members.heeds_ejections and cell_load(cells + SLOT_EJECTED_MS) > now_ms)


cdef inline bint is_tried(list tried, Py_ssize_t index) noexcept:
    return tried is not None and index in tried


cdef inline int64_t under_way(const Members *members, Py_ssize_t index) noexcept:
    """Requests of all workers on this endpoint."""
    cdef const Member *member = members.each + index
    cdef int64_t columns = 1, column, sum = 0
    if member.is_shared:
        columns = cell_load(members.columns)
        if columns > members.most_columns:
            columns = members.most_columns
    for column in range(columns):
        sum += member.flights[column]
    return sum if sum > 0 else 0


cdef inline uint64_t mixed(uint64_t value) noexcept:
    """All bits of the result depend on all bits of the value (the finalizer of splitmix64)."""
    value = (value ^ (value >> 30)) * <uint64_t>0xbf58476d1ce4e5b9
    value = (value ^ (value >> 27)) * <uint64_t>0x94d049bb133111eb
    return value ^ (value >> 31)


cdef inline uint64_t drawn(Members *members, uint64_t below) noexcept:
    """A number below `below`, which is less than 2**32 (xorshift64; its high bits are the good ones)."""
    cdef uint64_t x = members.random
    x ^= x << 13
    x ^= x >> 7
    x ^= x << 17
    members.random = x
    return ((x >> 32) * below) >> 32


cdef inline Py_ssize_t scanned(Members *members, int64_t now_ms, list tried, Py_ssize_t but) noexcept:
    """The first from a random place on that may serve: what is left where drawing lots met only those that may not."""
    cdef Py_ssize_t n = members.serving_count, look, index
    cdef Py_ssize_t place = drawn(members, n) if n else 0
    for look in range(n):
        index = members.serving[place]
        if index != but and may_serve(members, index, now_ms) and not is_tried(tried, index):
            return index
        place += 1
        if place == n:
            place = 0
    return -1
