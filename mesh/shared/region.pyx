"""A part of the shared memory that is drawn by those who use it: pieces of one size, found by number.

Owns where a piece is and that it has memory behind it before anybody writes.  It refuses to know what the bytes mean:
mesh/limits draws them.  Floor 1.
"""
from cpython.buffer cimport Py_buffer
from cpython.memoryview cimport PyMemoryView_FromObject, PyMemoryView_GET_BUFFER

cdef enum:
    PAGE = 4096


def region_size(Py_ssize_t count, Py_ssize_t each):
    """Bytes of a part with so many pieces of that size."""
    return (count * each + PAGE - 1) // PAGE * PAGE


cdef class Region:
    """`count` pieces of `each` bytes over a buffer of `region_size(count, each)` zeroed or formerly used bytes.

    `reserve(offset, length)`, if given, makes sure that this part of the buffer has memory behind it, or raises OSError.
    """

    def __cinit__(self, buffer, Py_ssize_t count, Py_ssize_t each, reserve=None):
        view = PyMemoryView_FromObject(buffer)
        cdef Py_buffer *held = PyMemoryView_GET_BUFFER(view)
        if held.len < count * each or <size_t>held.buf % 8:
            raise ValueError(f"{count} pieces of {each} bytes need {count * each} aligned bytes, not {held.len}")
        self._view, self._reserve = view, reserve
        self.base, self.count, self.each = <char *>held.buf, count, each
        self.writable = not held.readonly

    def reserve(self, Py_ssize_t number=0, Py_ssize_t count=1):
        """Sees to it that these pieces have memory behind them; OSError where there is none."""
        if not (0 <= number and 0 <= count and number + count <= self.count):
            raise IndexError(f"pieces {number} to {number + count} of {self.count}")
        if self._reserve is not None:
            self._reserve(number * self.each, count * self.each)

    def __repr__(self):
        return f"<Region of {self.count} pieces of {self.each} bytes>"
