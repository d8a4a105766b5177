"""Passive health: what requests tell of an endpoint, and when it is left alone for a while.

Owns the words SLOT_IN_A_ROW, SLOT_WINDOW, SLOT_EJECTED_MS and SLOT_EJECTIONS, which all workers write, and the decision
that one of them takes alone at the failure that was one too many.  It refuses to know the other endpoints of the
service: who sees them all (mesh/balance) counts the ejected ones after `eject`, and takes it back by `spare` if they
are too many.  Set first, count afterwards: of two workers that eject at the same time at least one sees both, so
they may both take theirs back, but never leave too many.

    SLOT_IN_A_ROW   bits 0..15      failures since the last success, at most 65535
                    bits 16..62     CLOCK_MONOTONIC in ms of the first of them
    SLOT_WINDOW     bits 0..17      failures in the present window
                    bits 18..35     requests in it; both are halved when they do not fit any more
                    bits 36..63     its begin, CLOCK_MONOTONIC in ms / 64, modulo 2**28

A row that is older than the window begins anew with the next failure, and so does a window.  Floor 1.
"""
from libc.stdint cimport uint64_t

from mesh.shared.cells cimport cell_cas, cell_load, cell_store
from mesh.shared.slots cimport SLOT_EJECTED_MS, SLOT_EJECTIONS, SLOT_IN_A_ROW, SLOT_SINCE_MS, SLOT_WINDOW

cdef enum:
    ROW_BITS = 16
    ROW_MOST = 65535
    COUNT_BITS = 18
    COUNT_MOST = 262143
    TICK_BITS = 6               # of the window's begin
    MOST_DOUBLINGS = 20
    AHEAD_MS = 10000            # by so much another worker may have looked at the clock later than we did

cdef uint64_t TICKS = (<uint64_t>1 << 28) - 1


cdef int judge_of(Judge *judge, object passive, Py_ssize_t endpoints) except -1:
    """Of one endpoint alone none is ever ejected, of two or more at least one may be, unless the share is 0."""
    judge.attempts, judge.ratio, judge.min_requests = passive.attempts, passive.ratio, passive.min_requests
    judge.window_ms = int(passive.window * 1000)
    judge.ejection_ms, judge.max_ejection_ms = int(passive.ejection * 1000), int(passive.max_ejection * 1000)
    judge.most = 0
    if endpoints > 1 and passive.max_ejected > 0:
        judge.most = max(endpoints * passive.max_ejected // 100, 1)
    return 0


cdef void went_well(int64_t *cells, const Judge *judge, int64_t now_ms) noexcept:
    if cell_load(cells + SLOT_IN_A_ROW):
        cell_store(cells + SLOT_IN_A_ROW, 0)
    if judge.ratio:
        _count(cells, judge, 0, now_ms)


cdef bint went_badly(int64_t *cells, const Judge *judge, int64_t now_ms) noexcept:
    cdef int64_t seen, count, first
    cdef bint too_many = False
    while True:
        seen = cell_load(cells + SLOT_IN_A_ROW)
        count, first = seen & ROW_MOST, seen >> ROW_BITS
        # One that begins later than any worker could know of is by the clock before a reboot.
        if count == 0 or now_ms - first >= judge.window_ms or first - now_ms > AHEAD_MS:
            count, first = 1, now_ms
        elif count < ROW_MOST:
            count += 1
        if cell_cas(cells + SLOT_IN_A_ROW, seen, (first << ROW_BITS) | count):
            break
    if judge.ratio:
        too_many = _count(cells, judge, 1, now_ms)
    return too_many or (judge.attempts > 0 and count >= judge.attempts)


cdef bint _count(int64_t *cells, const Judge *judge, int failed, int64_t now_ms) noexcept:
    """True where the window has too many failures."""
    cdef uint64_t now = (<uint64_t>now_ms >> TICK_BITS) & TICKS, begun, age, word
    cdef int64_t seen, requests, failures, length = judge.window_ms >> TICK_BITS
    while True:
        seen = cell_load(cells + SLOT_WINDOW)
        word = <uint64_t>seen
        failures, requests, begun = word & COUNT_MOST, (word >> COUNT_BITS) & COUNT_MOST, word >> (2 * COUNT_BITS)
        age = (now - begun) & TICKS
        # An age of nearly all there is: another worker, whose clock is ahead by a tick, has begun it.
        if requests == 0 or (<int64_t>age >= (length if length else 1) and age <= TICKS - (AHEAD_MS >> TICK_BITS)):
            failures, requests, begun = failed, 1, now
        else:
            if requests == COUNT_MOST:
                failures, requests = failures // 2, requests // 2
            failures, requests = failures + failed, requests + 1
        word = (begun << (2 * COUNT_BITS)) | (<uint64_t>requests << COUNT_BITS) | <uint64_t>failures
        if cell_cas(cells + SLOT_WINDOW, seen, <int64_t>word):
            return failed and requests >= judge.min_requests and failures * 100 >= judge.ratio * requests


cdef bint eject(int64_t *cells, const Judge *judge, Ejection *made, int64_t now_ms) noexcept:
    cdef int64_t row, length = judge.ejection_ms
    made.before = cell_load(cells + SLOT_EJECTED_MS)
    if made.before > now_ms:
        return False
    row = cell_load(cells + SLOT_EJECTIONS)
    if made.before == 0 or row < 0 or now_ms - made.before >= judge.max_ejection_ms:
        row = 0                 # it has served well for as long as it could have been ejected
    length <<= row if row < MOST_DOUBLINGS else MOST_DOUBLINGS
    if length > judge.max_ejection_ms:
        length = judge.max_ejection_ms
    made.until_ms, made.in_a_row = now_ms + length, row + 1
    return length > 0 and cell_cas(cells + SLOT_EJECTED_MS, made.before, made.until_ms)


cdef void spare(int64_t *cells, const Ejection *made) noexcept:
    cell_cas(cells + SLOT_EJECTED_MS, made.until_ms, made.before)
    _forget(cells)              # or every further failure would count all endpoints again


cdef void confirm(int64_t *cells, const Ejection *made) noexcept:
    cell_store(cells + SLOT_EJECTIONS, made.in_a_row)
    cell_store(cells + SLOT_SINCE_MS, made.until_ms)
    _forget(cells)


cdef void _forget(int64_t *cells) noexcept:
    cell_store(cells + SLOT_IN_A_ROW, 0)
    cell_store(cells + SLOT_WINDOW, 0)


def failures_in_a_row(int64_t word):
    """What a SLOT_IN_A_ROW says: failures since the last success."""
    return word & ROW_MOST
