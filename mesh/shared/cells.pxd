"""Atomic words for Cython: what several processes may change at once, without a lock whose holder could be killed."""
from libc.stdint cimport int64_t

cdef extern from * nogil:
    """
    #include <stdint.h>
    static inline int64_t cell_load(const int64_t *cell) { return __atomic_load_n(cell, __ATOMIC_ACQUIRE); }
    static inline void cell_store(int64_t *cell, int64_t value) { __atomic_store_n(cell, value, __ATOMIC_RELEASE); }
    static inline int64_t cell_add(int64_t *cell, int64_t delta) {
        return __atomic_add_fetch(cell, delta, __ATOMIC_ACQ_REL);
    }
    static inline int cell_cas(int64_t *cell, int64_t seen, int64_t wanted) {
        return __atomic_compare_exchange_n(cell, &seen, wanted, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
    }
    static inline void cell_fence(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
    """
    int64_t cell_load(const int64_t *cell) noexcept         # acquire
    void cell_store(int64_t *cell, int64_t value) noexcept  # release
    int64_t cell_add(int64_t *cell, int64_t delta) noexcept     # the value after the addition
    bint cell_cas(int64_t *cell, int64_t seen, int64_t wanted) noexcept     # True: it held `seen` and now holds `wanted`
    void cell_fence() noexcept


cdef class Cells:
    cdef int64_t *words
    cdef readonly Py_ssize_t count
    cdef readonly bint writable
    cdef object _owner          # keeps the buffer, and with it `words`, alive
    cdef Py_ssize_t _at(self, Py_ssize_t index, bint write) except -1
