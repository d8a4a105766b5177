"""Smooth weighted round robin: shares that are exact over a period, and turns that are spread over it.

Owns the order of turns.  Endpoints of one weight form a class and take turns among themselves; the k-th turn of a class
(from 0) is due at (k + 1/2) / weight of the class, and the class that is due first is next.  So a service whose weights
are equal costs an increment, and any other a heap of its *distinct* weights; nginx's way goes through all endpoints for
every request, and earliest-deadline-first without classes and halves serves 5:1:1 as a a a a a b c (this: a b a a a c a).

A pick is a number, not a promise: whether that endpoint may serve is not known here.  One worker owns a Wrr; workers
differ by `start`, so that they do not all begin with the same endpoint.  Floor 1.
"""
from libc.stdlib cimport free, malloc, qsort

from math import gcd

cdef extern from *:
    """
    typedef unsigned __int128 mesh_wide;
    /* (turns + 1/2) / weight of a, compared with that of b; weights and turns are below 2**62 */
    static inline int mesh_is_due_before(uint64_t turns_a, uint64_t weight_a, uint64_t turns_b, uint64_t weight_b) {
        return (mesh_wide)(2 * turns_a + 1) * weight_b < (mesh_wide)(2 * turns_b + 1) * weight_a;
    }
    /* turns of a class that are due in the first `begin` of a period: those with (k + 1/2) / weight < begin / period */
    static inline uint64_t mesh_turns_before(uint64_t begin, uint64_t weight, uint64_t period) {
        return (uint64_t)(((mesh_wide)begin * weight * 2 + period) / ((mesh_wide)period * 2));
    }
    """
    uint64_t mesh_turns_before(uint64_t begin, uint64_t weight, uint64_t period) noexcept nogil
    bint mesh_is_due_before(uint64_t turns_a, uint64_t weight_a, uint64_t turns_b, uint64_t weight_b) noexcept nogil

MOST = 1 << 60                  # of all weights together; larger ones are divided, which costs exactness


cdef int _heavier(const void *one, const void *other) noexcept nogil:
    cdef const Weight *a = <const Weight *>one
    cdef const Weight *b = <const Weight *>other
    if a.weight != b.weight:
        return -1 if a.weight > b.weight else 1
    return -1 if a.index < b.index else 1


cdef int _heavier_class(const void *one, const void *other) noexcept nogil:
    cdef const Class *a = <const Class *>one
    cdef const Class *b = <const Class *>other
    if a.weight != b.weight:
        return -1 if a.weight > b.weight else 1
    return -1 if a.lowest < b.lowest else 1


cdef uint64_t _common(uint64_t one, uint64_t other) noexcept:
    """The greatest common divisor; that of 0 and a number is the number."""
    while other:
        one, other = other, one % other
    return one


cdef class Wrr:
    """Turns by weight; `start` is where in the period they begin (any number: it is taken modulo the period)."""

    def __init__(self, weights, start=0):
        if self.sorted is not NULL:
            raise TypeError("a Wrr is made once")
        cdef list said = [max(int(weight), 0) for weight in weights]
        while sum(said) > MOST:
            said = [weight and max(weight >> 8, 1) for weight in said]
        cdef Py_ssize_t count = len(said), at
        self.reserve(count)
        cdef uint64_t *plain = <uint64_t *>malloc(max(count, 1) * sizeof(uint64_t))
        if plain is NULL:
            raise MemoryError
        for at in range(count):
            plain[at] = said[at]
        period = sum(said) // (gcd(*said) or 1)
        self.arrange(plain, count, start % period if period else 0)
        free(plain)

    cdef int reserve(self, Py_ssize_t most) except -1:
        """Room for so many weights; once, before anything else."""
        cdef Py_ssize_t count = max(most, 1)
        self.sorted = <Weight *>malloc(count * sizeof(Weight))
        self.classes = <Class *>malloc(count * sizeof(Class))
        self.heap = <Py_ssize_t *>malloc(count * sizeof(Py_ssize_t))
        self.members = <Py_ssize_t *>malloc(count * sizeof(Py_ssize_t))
        if self.sorted is NULL or self.classes is NULL or self.heap is NULL or self.members is NULL:
            raise MemoryError
        self.most = most
        return 0

    cdef void arrange(self, const uint64_t *weights, Py_ssize_t n, int64_t start) noexcept:
        """Begins anew with these weights, at most `most`, together below 2**60; in C, since shares may change often."""
        cdef Py_ssize_t index, at = 0, number
        cdef uint64_t divisor = 0, begin, turns
        cdef bint is_sorted = True
        cdef Class *made
        self.total = self.count = 0
        self.period = self.taken = 0
        for index in range(n):
            if weights[index]:
                divisor = _common(divisor, weights[index])
                self.sorted[at].weight, self.sorted[at].index = weights[index], index
                is_sorted = is_sorted and (at == 0 or weights[index] == self.sorted[at - 1].weight)
                at += 1
        self.total = at
        if not is_sorted:
            qsort(self.sorted, self.total, sizeof(Weight), _heavier)
        for at in range(self.total):
            if at == 0 or self.sorted[at].weight != self.sorted[at - 1].weight:
                made = &self.classes[self.count]
                self.count += 1
                made.weight, made.first, made.count, made.lowest = 0, at, 0, self.sorted[at].index
            made = &self.classes[self.count - 1]
            made.weight += self.sorted[at].weight // divisor
            made.count += 1
            self.period += self.sorted[at].weight // divisor
            self.members[at] = self.sorted[at].index
        # The heaviest first: a valid heap at the beginning of a period, when nobody has had a turn.
        qsort(self.classes, self.count, sizeof(Class), _heavier_class)
        if self.count == 0:
            return
        # All turns that are due before `begin` count as taken; they are found without taking them one by one.
        begin = <uint64_t>start % self.period
        for number in range(self.count):
            made = &self.classes[number]
            turns = mesh_turns_before(begin, made.weight, self.period)
            made.turns, made.next = turns, turns % made.count
            self.heap[number] = number
            self.taken += turns
        if self.taken >= self.period:
            self._begin()
        for number in range(self.count - 1, -1, -1):
            self._sink(number)

    def __dealloc__(self):
        free(self.sorted)
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
        return f"<Wrr {self.total} endpoints in {self.count} weights, a period of {self.period} turns>"
