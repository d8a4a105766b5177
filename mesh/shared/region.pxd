"""A part of the shared memory that is drawn by those who use it: pieces of one size, found by number."""


cdef class Region:
    cdef char *base
    cdef readonly Py_ssize_t each       # bytes of a piece
    cdef readonly Py_ssize_t count      # pieces
    cdef readonly bint writable
    cdef object _view
    cdef object _reserve
    cdef inline char *at(self, Py_ssize_t number) noexcept:
        return self.base + number * self.each
