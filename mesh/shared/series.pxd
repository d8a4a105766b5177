"""Counters of one worker: rows of words in shared memory, found by their labels."""
from libc.stdint cimport int64_t

cpdef enum:
    # words of a row; each only ever goes up, and has one writer: the worker that holds the column
    ROW_REQUESTS = 0
    ROW_DURATION_US         # sum of whole durations
    ROW_BYTES_IN            # request body bytes received from clients
    ROW_BYTES_OUT           # response body bytes sent to clients
    ROW_RETRIES             # tries beyond the first
    ROW_UPSTREAM_US         # sum of time spent waiting for and reading from endpoints
    ROW_BUCKETS = 8         # histogram of durations: one word per bucket of BUCKETS_US, then +Inf; not cumulative
    ROW_WORDS = 32

cpdef enum:
    # words of a column's own part, gauges and facts of the worker that holds it
    GAUGE_PID = 0
    GAUGE_GENERATION        # plan generation that this worker serves; 0: it does not serve yet
    GAUGE_BEAT_MS           # CLOCK_MONOTONIC in milliseconds, at the worker's last tick
    GAUGE_CONNECTIONS       # open client connections
    GAUGE_LOG_DROPPED       # access log lines dropped (only goes up)
    GAUGE_DRAINING          # 1 while the worker finishes what it has
    GAUGE_ENTRYPOINTS = 16  # open client connections by entrypoint, in the order of the static file, 16 of them
    GAUGE_WORDS = 32

cpdef enum:
    LABEL_BYTES = 504       # longest labels of a row; longer ones are counted in the overflow row
    ENTRY_BYTES = 512       # of the directory: a word with the labels' length, then the labels

cdef int64_t BUCKETS_US[16]
cdef int BUCKETS


cdef class Column:
    cdef int64_t *gauges
    # The row with these labels, made when it is new; the overflow row when the column is full.  Never NULL.
    cdef int64_t *row(self, bytes labels) except NULL
    cdef int64_t *_words(self, Py_ssize_t row) noexcept
    cdef char *_entry(self, Py_ssize_t row) noexcept
    cdef int _learn(self) except -1
    cdef bint _reserved(self, Py_ssize_t row)
    cdef object _view
    cdef object _reserve
    cdef char *_base
    cdef dict _rows         # labels -> row number
    cdef list _labels       # row number -> labels, as far as the directory was read
    cdef readonly int number
    cdef readonly int capacity
    cdef readonly bint writable


cdef inline void count(int64_t *row, int64_t duration_us, int64_t bytes_in, int64_t bytes_out) noexcept:
    """One request ended: its share of a row.  Plain adds: the column has one writer."""
    cdef int b = 0
    row[ROW_REQUESTS] += 1
    row[ROW_DURATION_US] += duration_us
    row[ROW_BYTES_IN] += bytes_in
    row[ROW_BYTES_OUT] += bytes_out
    while b < BUCKETS and duration_us > BUCKETS_US[b]:
        b += 1
    row[ROW_BUCKETS + b] += 1
