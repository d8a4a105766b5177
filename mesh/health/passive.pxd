"""Passive health: what requests tell of an endpoint, and when it is left alone for a while."""
from libc.stdint cimport int64_t


cdef struct Judge:              # mesh.model.Passive, in ms and counts
    int64_t attempts            # failures in a row; 0: rows do not count
    int64_t window_ms
    int64_t ratio               # percent; 0: the ratio does not count
    int64_t min_requests
    int64_t ejection_ms
    int64_t max_ejection_ms
    Py_ssize_t most             # endpoints of the service that may be ejected at once


cdef struct Ejection:           # one in the making
    int64_t before              # what SLOT_EJECTED_MS said
    int64_t until_ms
    int64_t in_a_row


cdef int judge_of(Judge *judge, object passive, Py_ssize_t endpoints) except -1
cdef void went_well(int64_t *cells, const Judge *judge, int64_t now_ms) noexcept
cdef bint went_badly(int64_t *cells, const Judge *judge, int64_t now_ms) noexcept       # True: it is to be ejected
cdef bint eject(int64_t *cells, const Judge *judge, Ejection *made, int64_t now_ms) noexcept    # False: it is already
cdef void spare(int64_t *cells, const Ejection *made) noexcept      # takes that back: too many are ejected
cdef void confirm(int64_t *cells, const Ejection *made) noexcept    # it stands
