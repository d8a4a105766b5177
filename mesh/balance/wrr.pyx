"""Smooth weighted round robin: shares that are exact over a period, and turns that are spread over it.

Owns the order of turns.  Endpoints of one weight form a class and take turns among themselves; the k-th turn of a class
(from 0) is due at (k + 1/2) / weight of the class, and the class that is due first is next.  So a service whose weights
are equal costs an increment, and any other a heap of its *distinct* weights; nginx's way goes through all endpoints for
every request, and earliest-deadline-first without classes and halves serves 5:1:1 as a a a a a b c (this: a b a a a c a).

A pick is a number, not a promise: whether that endpoint may serve is not known here.  One worker owns a Wrr; workers
differ by `start`, so that they do not all begin with the same endpoint.  Floor 1.
"""
from libc.stdlib cimport free, malloc

from math import gcd

cdef extern from *:
    """
    typedef unsigned __int128 mesh_wide;
    /* (turns + 1/2) / weight of a, compared with that of b; weights and turns are below 2**62 */
    static inline int mesh_is_due_before(uint64_t turns_a, uint64_t weight_a, uint64_t turns_b, uint64_t weight_b) {
        return (mesh_wide)(2 * turns_a + 1) * weight_b < (mesh_wide)(2 * turns_b + 1) * weight_a;
    }
    """
    bint mesh_is_due_before(uint64_t turns_a, uint64_t weight_a, uint64_t turns_b, uint64_t weight_b) noexcept nogil

MOST = 1 << 60                  # of all weights together; larger ones are divided, which costs exactness


cdef class Wrr:
    """Turns by weight; `start` is where in the period they begin (any number: it is taken modulo the period)."""

    def __init__(self, weights, start=0):
        if self.members is not NULL:
            raise TypeError("a Wrr is made once")
        cdef list said = [max(int(weight), 0) for weight in weights]
        while sum(said) > MOST:
            said = [weight and max(weight >> 8, 1) for weight in said]
        divisor = gcd(*said)
        by_weight = {}
        for index, weight in enumerate(said):
            if weight:
                by_weight.setdefault(weight // divisor, []).append(index)
        # The heaviest first: a valid heap at the beginning of a period, when nobody has had a turn.
        ordered = sorted(by_weight.items(), key=lambda item: (-item[0] * len(item[1]), item[1][0]))
        cdef Py_ssize_t total = sum(map(len, by_weight.values())), at = 0, number
        self.classes = <Class *>malloc(max(len(ordered), 1) * sizeof(Class))
        self.heap = <Py_ssize_t *>malloc(max(len(ordered), 1) * sizeof(Py_ssize_t))
        self.members = <Py_ssize_t *>malloc(max(total, 1) * sizeof(Py_ssize_t))
        if self.classes is NULL or self.heap is NULL or self.members is NULL:
            raise MemoryError
        self.period = sum([weight * len(indexes) for weight, indexes in ordered])
        # All turns that are due before `begin` count as taken; they are found without taking them one by one.
        begin = start % self.period if self.period else 0
        for number, (weight, indexes) in enumerate(ordered):
            share = weight * len(indexes)
            turns = (2 * begin * share + self.period) // (2 * self.period)
            self.classes[number] = Class(share, turns, at, len(indexes), turns % len(indexes))
            self.heap[number] = number
            self.taken += turns
            for index in indexes:
                self.members[at] = index
                at += 1
        self.count = len(ordered)
        if self.taken == self.period:
            self._begin()
        for number in range(self.count - 1, -1, -1):
            self._sink(number)

    def __dealloc__(self):
        free(self.classes)
        free(self.heap)
        free(self.members)

    cpdef Py_ssize_t pick(self) noexcept:
        """The index of the weight whose turn it is; -1 where no weight is above 0."""
        if self.count == 0:
            return -1
        cdef Class *due = &self.classes[self.heap[0]]
        cdef Py_ssize_t picked = self.members[due.first + due.next]
        due.next += 1
        if due.next == due.count:
            due.next = 0
        if self.count == 1:
            return picked
        due.turns += 1
        self.taken += 1
        if self.taken < self.period:
            self._sink(0)
        else:
            self._begin()
        return picked

    cdef void _begin(self) noexcept:
        """A new period: nobody has had a turn, the heaviest is due first."""
        cdef Py_ssize_t number
        self.taken = 0
        for number in range(self.count):
            self.classes[number].turns = 0
            self.heap[number] = number

    cdef void _sink(self, Py_ssize_t at) noexcept:
        """Moves the class at this place of the heap down to where it belongs; among equals the heavier stays above."""
        cdef Py_ssize_t moved = self.heap[at], below = 2 * at + 1
        while below < self.count:
            if below + 1 < self.count and self._before(self.heap[below + 1], self.heap[below]):
                below += 1
            if not self._before(self.heap[below], moved):
                break
            self.heap[at] = self.heap[below]
            at, below = below, 2 * below + 1
        self.heap[at] = moved

    cdef inline bint _before(self, Py_ssize_t one, Py_ssize_t other) noexcept:
        cdef Class *a = &self.classes[one]
        cdef Class *b = &self.classes[other]
        if mesh_is_due_before(a.turns, a.weight, b.turns, b.weight):
            return True
        return one < other and not mesh_is_due_before(b.turns, b.weight, a.turns, a.weight)

    def __repr__(self):
        cdef Py_ssize_t members = sum([self.classes[number].count for number in range(self.count)])
        return f"<Wrr {members} endpoints in {self.count} weights, a period of {self.period} turns>"
