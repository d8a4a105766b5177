"""A socket of the data path: a descriptor, a buffer while it needs one, and watchers that stay started."""
from libc.stdint cimport int64_t

cdef enum:
    READ = 1            # what a greenlet waits for
    WRITE = 2
    TIMED_OUT = 4       # how a wait ended, other than by what it waited for
    WOKEN = 8           # told to give up: the worker leaves, or the client is gone

cdef enum:
    AGAIN = -1          # nothing now; wait for it
    FAILED = -2         # the connection is broken, see `error`

cdef enum:
    SMALL = 16384       # a head, a small body
    LARGE = 131072      # a body that keeps filling the small one

cdef struct Piece:
    # What is being sent: up to four parts in a row, and how far it got.  The memory is somebody else's.
    const char *part[4]
    Py_ssize_t length[4]
    Py_ssize_t left     # bytes not sent yet; 0: there is nothing to send
    char frame[24]      # room for a chunk's size line, for a part to point to

cdef inline void piece_clear(Piece *piece) noexcept:
    piece.length[0] = piece.length[1] = piece.length[2] = piece.length[3] = piece.left = 0

cdef inline void piece_set(Piece *piece, int number, const char *data, Py_ssize_t length) noexcept:
    piece.part[number] = data
    piece.left += length - piece.length[number]
    piece.length[number] = length

cdef void piece_sent(Piece *piece, Py_ssize_t count) noexcept
cdef int64_t now_us() noexcept nogil
cdef char *take_buffer(Py_ssize_t size) except NULL
cdef void give_buffer(char *buffer, Py_ssize_t size) noexcept


cdef class Stream:
    cdef int fd
    cdef int error              # errno of the last FAILED
    cdef bint readable          # a recv may find something; False: it would say EAGAIN, wait for the event instead
    cdef bint writable
    cdef bint _reading, _writing
    cdef object _read_watcher, _write_watcher
    cdef object waiter          # the greenlet that waits, None where none does
    cdef int wanted             # READ | WRITE, what of this stream it waits for
    cdef bint parked            # no greenlet waits: what comes is served from the hub (`stirred`)
    cdef Stream partner         # who is told when something comes for this parked stream
    cdef int woken
    cdef int64_t deadline_ms    # CLOCK_MONOTONIC; 0: none.  Looked at by the sweep, ten times a second
    cdef char *buf              # NULL while there is nothing to keep
    cdef Py_ssize_t size, n     # bytes of buf, and how many of them (from the front) are filled
    cdef Stream _before, _after # all open streams, for the sweep
    cdef int open(self, int fd) except -1
    cdef int need(self, Py_ssize_t size) except -1      # a buffer of at least this size; keeps what is in it
    cdef void drop_buffer(self) noexcept
    cdef void consume(self, Py_ssize_t count) noexcept  # forgets so many bytes at the front
    cdef Py_ssize_t recv(self) except -3                # into buf behind n: bytes, 0 at the end, AGAIN, FAILED
    cdef Py_ssize_t send(self, Piece *piece) except -3  # bytes taken, AGAIN, FAILED
    cdef void finish(self)                              # nothing more is sent; the other direction goes on
    cdef void stirred(self)                             # readable, and parked
    cdef void answered(self)                            # a parked partner is readable
    cdef void unasked(self)                             # readable, and nobody waits for that
    cdef void expired(self, int64_t now_ms)             # the deadline has passed
    cdef void wake(self, int how)                       # from the hub only
    cdef int _start_reading(self) except -1
    cdef int _start_writing(self) except -1
    cdef void _stop_reading(self)
    cdef void _stop_writing(self)
    cdef void close(self)

cdef int wait(Stream one, int wants_one, Stream other, int wants_other, object thread, int64_t deadline_ms) except -1
cdef int watch(Stream stream) except -1         # its read watcher is started and stays so
