"""Words in shared memory that any process may read or change at any time: the smaller of the two shapes (DESIGN 5).

Owns the atomic operations on aligned 64-bit words: load, store, add, compare-and-swap.  It refuses to know what a word
means (`layout` and `series` do), and it never waits: there is no lock here, so none can be held by a killed process.
Cython callers use the functions of cells.pxd on plain pointers; `Cells` is the same for Python, fully fenced, which the
data path does not need and boards do.  Floor 1.
"""
from cpython.buffer cimport Py_buffer
from cpython.memoryview cimport PyMemoryView_FromObject, PyMemoryView_GET_BUFFER

WORD = 8        # bytes of a cell


cdef class Cells:
    """`len(buffer) // 8` signed 64-bit words over a buffer, which must be aligned; read-only if the buffer is."""

    def __cinit__(self, buffer):
        view = PyMemoryView_FromObject(buffer)
        cdef Py_buffer *held = PyMemoryView_GET_BUFFER(view)
        if <size_t>held.buf % WORD:
            raise ValueError("cells need a buffer aligned to 8 bytes")
        self._owner = view
        self.words = <int64_t *>held.buf
        self.count = held.len // WORD
        self.writable = not held.readonly

    cdef Py_ssize_t _at(self, Py_ssize_t index, bint write) except -1:
        if not 0 <= index < self.count:
            raise IndexError(f"cell {index} of {self.count}")
        if write and not self.writable:
            raise TypeError("these cells are mapped for reading only")
        return index

    def load(self, Py_ssize_t index):
        """The word as it is now; what its writer stored before it is visible."""
        cdef Py_ssize_t at = self._at(index, False)
        cell_fence()
        cdef int64_t value = cell_load(self.words + at)
        cell_fence()
        return value

    def store(self, Py_ssize_t index, int64_t value):
        """Replaces the word; everything stored before is visible to whoever sees it, nothing stored after comes first."""
        cdef Py_ssize_t at = self._at(index, True)
        cell_fence()
        cell_store(self.words + at, value)
        cell_fence()

    def add(self, Py_ssize_t index, int64_t delta):
        """Adds, whoever else adds at the same time; answers the sum."""
        return cell_add(self.words + self._at(index, True), delta)

    def cas(self, Py_ssize_t index, int64_t seen, int64_t wanted):
        """Replaces `seen` by `wanted` and answers True, or answers False when the word holds something else by now."""
        return bool(cell_cas(self.words + self._at(index, True), seen, wanted))

    def __len__(self):
        return self.count

    def __repr__(self):
        return f"<Cells {self.count} words{'' if self.writable else ', read-only'}>"
