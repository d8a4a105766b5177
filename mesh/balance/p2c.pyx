"""Power of two choices: of two endpoints drawn at random, the one that has less to do.

Owns the draw.  Lots are drawn by share, so a service that has little to do keeps its shares exactly as wrr does; an
endpoint with nothing under way is taken at once, and of two busy ones that with the smaller (under way + 1) / share.
"Under way" is what all workers have on it, so workers do not pile up on the same endpoint.  Two looks are enough: the
longest queue grows as log log n instead of log n / log log n (Mitzenmacher 2001).  Floor 1.
"""
from libc.stdint cimport uint64_t

from mesh.balance.members cimport drawn, is_tried, may_serve, scanned, under_way

cdef enum:
    LOOKS = 8               # before it is searched one by one
    SCALE_BITS = 31


cdef Py_ssize_t of_two(Members *members, int64_t now_ms, list tried) noexcept:
    cdef Py_ssize_t one = _draw(members, now_ms, tried, -1), other
    cdef int64_t busy
    if one < 0 or members.serving_count == 1:
        return one
    busy = under_way(members, one)
    if busy == 0:
        return one
    other = _draw(members, now_ms, tried, one)
    if other < 0:
        return one
    if (<double>(under_way(members, other) + 1) * <double>members.each[one].share
            < <double>(busy + 1) * <double>members.each[other].share):
        return other
    return one


cdef Py_ssize_t _draw(Members *members, int64_t now_ms, list tried, Py_ssize_t but) noexcept:
    """One that may serve, by its share; not `but`, and none of those that were tried."""
    cdef Py_ssize_t look, index
    if members.serving_count == 0:
        return -1
    for look in range(LOOKS):
        index = members.serving[_place(members)]
        if index != but and may_serve(members, index, now_ms) and not is_tried(tried, index):
            return index
    return scanned(members, now_ms, tried, but)


cdef inline Py_ssize_t _place(Members *members) noexcept:
    cdef Py_ssize_t n = members.serving_count, low = 0, high = n - 1, middle
    cdef uint64_t lot
    if members.is_equal:
        return drawn(members, n)
    # the sum of shares may be beyond what a lot can be below: then by halves of it
    lot = _lot(members, members.sums[n - 1])
    while low < high:
        middle = (low + high) // 2
        if members.sums[middle] > lot:
            high = middle
        else:
            low = middle + 1
    return low


cdef inline uint64_t _lot(Members *members, uint64_t below) noexcept:
    if below >> SCALE_BITS == 0:
        return drawn(members, below)
    return <uint64_t>(<double>drawn(members, <uint64_t>1 << SCALE_BITS) / <double>(<uint64_t>1 << SCALE_BITS) * below)
