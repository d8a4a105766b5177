"""Counters and gauges of one worker, in its column of the shared memory.

Owns the bytes of a column and the promise that counters survive the worker that made them: its successor takes the
column over and counts on.  A column has one writer at a time (the master sees to it) and any number of readers.  It
refuses to know what labels mean, and to grow: what does not fit is counted in the overflow row, nothing is lost.
Floor 1.

The bytes of a column:

    0                    gauges           GAUGE_WORDS words: of the worker that holds the column, zeroed when it ends
    GAUGE_WORDS * 8      rows in use      one word, at least 1 (the overflow row); stored last when a row is added
    PAGE                 rows             capacity * ROW_WORDS words; row 0 is the overflow row
    ...                  directory        capacity * ENTRY_BYTES: length of the labels (a word), labels

A row is added at the end: its entry is written first, then the number of rows goes up.  A writer that is killed in
between leaves an entry that nobody reads and its successor overwrites.  Rows are never removed or renamed while a
worker serves, so whoever knows a row's number knows its labels.
"""
from cpython.buffer cimport Py_buffer
from cpython.memoryview cimport PyMemoryView_FromObject, PyMemoryView_GET_BUFFER
from libc.string cimport memcpy, memset

from mesh.shared.cells cimport cell_load, cell_store

cdef enum:
    PAGE = 4096
    ROW_BYTES = ROW_WORDS * 8
    CHUNK = PAGE / ROW_BYTES        # rows that share a page; memory is asked for by the chunk

# Traefik's default buckets (0.1, 0.3, 1.2, 5 s) are among ours, so that dashboards carry over; the low ones show a mesh.
BUCKET_BOUNDS_US = (500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 300_000, 500_000, 1_000_000,
                    1_200_000, 2_500_000, 5_000_000, 10_000_000)
OVERFLOW = b"overflow\x1foverflow\x1foverflow\x1f\x1f\x1f"     # the labels of row 0

BUCKETS = len(BUCKET_BOUNDS_US)
for _i in range(BUCKETS):
    BUCKETS_US[_i] = BUCKET_BOUNDS_US[_i]


def column_size(Py_ssize_t capacity):
    """Bytes of a column with `capacity` rows, the overflow row among them."""
    return PAGE + (capacity * (ROW_BYTES + ENTRY_BYTES) + PAGE - 1) // PAGE * PAGE


cdef class Column:
    """One worker's gauges and rows over a buffer of `column_size(capacity)` zeroed or formerly used bytes.

    `reserve(offset, length)`, if given, makes sure that this part of the buffer has memory behind it, or raises OSError.
    """

    def __cinit__(self, buffer, int number, int capacity, reserve=None):
        view = PyMemoryView_FromObject(buffer)
        cdef Py_buffer *held = PyMemoryView_GET_BUFFER(view)
        if held.len < column_size(capacity) or <size_t>held.buf % 8:
            raise ValueError(f"a column of {capacity} rows needs {column_size(capacity)} aligned bytes, not {held.len}")
        self._view = view
        self._base = <char *>held.buf
        self.gauges = <int64_t *>held.buf
        self.number = number
        self.capacity = capacity
        self.writable = not held.readonly
        self._reserve = reserve
        self._rows = {}
        self._labels = []

    def take(self, int64_t pid):
        """Makes the worker `pid` the writer: its gauges begin at zero, its counters where the predecessor's ended."""
        self.release()
        if not self._reserved(0):
            raise MemoryError(f"no memory for column {self.number}")
        cdef int64_t *used = self.gauges + GAUGE_WORDS
        if not 1 <= cell_load(used) <= self.capacity:
            memset(self._entry(0), 0, ENTRY_BYTES)
            cell_store(used, 1)
        self._learn()
        self.gauges[GAUGE_PID] = pid

    def release(self):
        """Nobody holds the column now: what its gauges said of the last holder is not true any more."""
        if not self.writable:
            raise TypeError("this column is mapped for reading only")
        cdef int64_t dropped = self.gauges[GAUGE_LOG_DROPPED]
        memset(self.gauges, 0, GAUGE_WORDS * 8)
        self.gauges[GAUGE_LOG_DROPPED] = dropped

    def forget(self):
        """Drops every row and count.  Only for a column without a writer, at the start of the service."""
        self.release()
        cdef Py_ssize_t used = min(max(cell_load(self.gauges + GAUGE_WORDS), 1), self.capacity)
        cell_store(self.gauges + GAUGE_WORDS, 0)
        memset(self._words(0), 0, used * ROW_BYTES)
        self.gauges[GAUGE_LOG_DROPPED] = 0
        self._rows, self._labels = {}, []

    cdef int64_t *_words(self, Py_ssize_t row) noexcept:
        return <int64_t *>(self._base + PAGE + row * ROW_BYTES)

    cdef char *_entry(self, Py_ssize_t row) noexcept:
        return self._base + PAGE + self.capacity * ROW_BYTES + row * ENTRY_BYTES

    cdef bint _reserved(self, Py_ssize_t row):
        """Whether the row has memory behind it; asks for a chunk of rows at a time."""
        if self._reserve is None or row % CHUNK:
            return True
        cdef Py_ssize_t rows = min(CHUNK, self.capacity - row)
        try:
            if row == 0:
                self._reserve(0, PAGE)
            self._reserve(PAGE + row * ROW_BYTES, rows * ROW_BYTES)
            self._reserve(PAGE + self.capacity * ROW_BYTES + row * ENTRY_BYTES, rows * ENTRY_BYTES)
        except OSError:
            return False
        return True

    cdef int _learn(self) except -1:
        """Reads the directory's entries that were added since the last time."""
        cdef Py_ssize_t used = min(cell_load(self.gauges + GAUGE_WORDS), self.capacity)
        cdef Py_ssize_t row = len(self._labels)
        cdef char *entry
        if used < row:                          # the service began anew with an emptied column
            self._rows, self._labels, row = {}, [], 0
        while row < used:
            entry = self._entry(row)
            labels = OVERFLOW if row == 0 else entry[8:8 + min(max((<int64_t *>entry)[0], 0), LABEL_BYTES)]
            self._labels.append(labels)
            self._rows[labels] = row
            row += 1
        return 0

    cdef int64_t *row(self, bytes labels) except NULL:
        known = self._rows.get(labels)
        if known is not None:
            return self._words(known)
        cdef Py_ssize_t row = len(self._labels)
        cdef Py_ssize_t length = len(labels)
        cdef char *entry
        # row 0 before `take` is a caller's mistake, but a count in the overflow row is still no lost request
        if row == 0 or row >= self.capacity or length > LABEL_BYTES or not self._reserved(row):
            return self._words(0)
        entry = self._entry(row)
        memcpy(entry + 8, <char *>labels, length)
        (<int64_t *>entry)[0] = length
        cell_store(self.gauges + GAUGE_WORDS, row + 1)
        self._labels.append(labels)
        self._rows[labels] = row
        return self._words(row)

    def record(self, bytes labels, int64_t duration_us=0, int64_t bytes_in=0, int64_t bytes_out=0):
        """Counts one request; what the data path does by `row` and `count`, for callers in Python."""
        if not self.writable:
            raise TypeError("this column is mapped for reading only")
        count(self.row(labels), duration_us, bytes_in, bytes_out)

    def gauge(self, int index):
        """One word of the column's own part, such as GAUGE_PID."""
        if not 0 <= index < GAUGE_WORDS:
            raise IndexError(f"gauge {index} of {GAUGE_WORDS}")
        return cell_load(self.gauges + index)

    def set_gauge(self, int index, int64_t value):
        """For the holder of the column alone."""
        if not 0 <= index < GAUGE_WORDS:
            raise IndexError(f"gauge {index} of {GAUGE_WORDS}")
        if not self.writable:
            raise TypeError("this column is mapped for reading only")
        cell_store(self.gauges + index, value)

    @property
    def used(self):
        """Rows in use, the overflow row among them; 0 when no worker ever held this column."""
        return cell_load(self.gauges + GAUGE_WORDS)

    def read(self):
        """The gauges and every row by its labels: (list of GAUGE_WORDS, {labels: list of ROW_WORDS}).

        The overflow row is there, under OVERFLOW, once it has counted something.
        """
        cdef Py_ssize_t row
        cdef int64_t *words
        cdef int i
        self._learn()
        rows = {}
        for row in range(len(self._labels)):
            words = self._words(row)
            if row or words[ROW_REQUESTS]:
                rows[self._labels[row]] = [words[i] for i in range(ROW_WORDS)]
        return [self.gauges[i] for i in range(GAUGE_WORDS)], rows

    def __repr__(self):
        return f"<Column {self.number}: pid {self.gauges[GAUGE_PID]}, {self.used} of {self.capacity} rows>"
