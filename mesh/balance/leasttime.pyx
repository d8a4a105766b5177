"""Least time: the endpoint that answers soonest for what it has to do.

Owns the moving average of the time to the first byte and the score made of it: average * (1 + under way) / share, the
lowest wins.  (Traefik's leasttime takes the mean of 100 samples, which follows a change more slowly the rarer requests
are.)  The word SLOT_LATENCY:

    bits 0..31      the average in us, at least 1; 0: nothing was measured yet
    bits 32..63     CLOCK_MONOTONIC in ms of the last sample, modulo 2**32

All workers feed one word by a single compare-and-swap: who loses it loses one sample, not time.  An average that nobody
renews halves every HALF_LIFE_MS, so an endpoint that was slow is tried again: after 2 s one that was twice as slow as
the others, after 20 s one that was a thousand times.  Floor 1.
"""
from libc.stdint cimport uint32_t, uint64_t

from mesh.balance.members cimport drawn, is_tried, may_serve, scanned, under_way
from mesh.shared.cells cimport cell_cas, cell_load
from mesh.shared.slots cimport SLOT_LATENCY

cdef enum:
    HALF_LIFE_BITS = 11         # 2048 ms
    # A sample counts for 1/32 of the average, and the more the older that is: for half of it after 2 s.
    LEAST = 8                   # of 256
    MOST = 128
    AGE_BITS = 4
    LOOKS = 16                  # of a larger service so many are looked at, drawn at random
    AHEAD_MS = 10000            # by so much another worker's sample may be newer than our look at the clock


cdef Py_ssize_t of_least_time(Members *members, int64_t now_ms, list tried) noexcept:
    cdef Py_ssize_t n = members.serving_count, looks = n if n < LOOKS else LOOKS, look, index, place
    cdef Py_ssize_t best = -1, unknown = -1
    cdef double average, score, load, lowest = 0, least = 0, worst = 0
    if n == 0:
        return -1
    place = drawn(members, n)
    for look in range(looks):
        index = members.serving[place]
        if n > LOOKS:
            place = drawn(members, n)
        else:
            place = place + 1 if place + 1 < n else 0
        if not may_serve(members, index, now_ms) or is_tried(tried, index):
            continue
        load = <double>(1 + under_way(members, index)) / <double>members.each[index].share
        average = _average(cell_load(members.each[index].cells + SLOT_LATENCY), now_ms)
        if average == 0:
            if unknown < 0 or load < least:
                unknown, least = index, load
            continue
        score = average * load
        if average > worst:
            worst = average
        if best < 0 or score < lowest:
            best, lowest = index, score
    # One that was never measured comes first; while it has not answered it is taken for the slowest of the others.
    if unknown >= 0 and (best < 0 or under_way(members, unknown) == 0 or worst * least < lowest):
        return unknown
    return best if best >= 0 or n <= LOOKS else scanned(members, now_ms, tried, -1)


cdef inline uint32_t _age(int64_t word, int64_t now_ms) noexcept:
    """How old the last sample is, in ms.  One by the clock before a reboot, or of weeks ago, is old, whatever it is."""
    cdef uint32_t age = <uint32_t>now_ms - <uint32_t>(<uint64_t>word >> 32)
    return 0 if age > <uint32_t>0xffffffff - AHEAD_MS else age


cdef double _average(int64_t word, int64_t now_ms) noexcept:
    """What the average is worth now, in us; 0: nothing was measured yet."""
    cdef uint32_t age = _age(word, now_ms)
    cdef double value = <uint32_t>word
    if value == 0:
        return 0
    if age >> HALF_LIFE_BITS >= 32:
        return 1e-3
    value /= <double>(<uint64_t>1 << (age >> HALF_LIFE_BITS))
    return value * (1 - 0.5 * (age & ((1 << HALF_LIFE_BITS) - 1)) / (1 << HALF_LIFE_BITS))


cdef void note_latency(int64_t *cells, int64_t first_byte_us, int64_t now_ms) noexcept:
    cdef int64_t seen = cell_load(cells + SLOT_LATENCY)
    cdef int64_t average = <uint32_t>seen
    cdef uint32_t now = <uint32_t>now_ms
    cdef int64_t part = _age(seen, now_ms) >> AGE_BITS
    if first_byte_us > 0xffffffff:
        first_byte_us = 0xffffffff
    if average == 0:
        average = first_byte_us
    else:
        if part < LEAST:
            part = LEAST
        elif part > MOST:
            part = MOST
        average += (first_byte_us - average) * part // 256
    if average < 1:
        average = 1
    cell_cas(cells + SLOT_LATENCY, seen, <int64_t>((<uint64_t>now << 32) | <uint64_t>average))


def latency_us(int64_t word):
    """The average time to the first byte that a SLOT_LATENCY says, as of its last sample; 0: there was none."""
    return <uint32_t>word
