"""A socket as a greenlet sees it: read, write, wait; and the sweep that ends waits which take too long.

Owns descriptors, buffers and watchers.  It knows nothing of HTTP.  What it is made for (figures in docs/performance.md):
- the read watcher is started once and stays started, so that a wait costs no epoll_ctl;
- `readable` remembers whether a recv can find anything: after a short read, or a request just sent, it is not tried;
- a stream without bytes to keep has no buffer; buffers come from a free list of the worker;
- a stream may be parked: nobody waits, and no greenlet's stack is kept, until something comes;
- there is no timer per wait: the sweep looks at all deadlines ten times a second, so time-outs are late by up to 0.1 s.
Nothing large stands on the C stack: greenlets share it, and every switch copies the slice in use.  Floor 3.
"""
from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc
from cpython.object cimport PyObject
from libc.errno cimport EAGAIN, EINTR, errno
from libc.string cimport memmove, memset

from gevent import get_hub

cdef extern from "time.h" nogil:
    struct timespec:
        long tv_sec
        long tv_nsec
    int clock_gettime(int clock, timespec *now)

cdef extern from "sys/socket.h" nogil:
    struct iovec:
        void *iov_base
        size_t iov_len
    struct msghdr:
        iovec *msg_iov
        size_t msg_iovlen
    ssize_t c_recv "recv"(int, void *, size_t, int)
    ssize_t c_send "send"(int, const void *, size_t, int)
    ssize_t sendmsg(int, const msghdr *, int)
    int shutdown(int, int)
    enum:
        MSG_DONTWAIT
        MSG_NOSIGNAL
        SHUT_WR

cdef extern from "unistd.h" nogil:
    int c_close "close"(int)

cdef enum:
    MONOTONIC = 1
    KEPT_SMALL = 256        # free buffers that are kept: 4 MiB
    KEPT_LARGE = 64         # 8 MiB

cdef extern from "greenlet.h":
    ctypedef class greenlet.greenlet [object PyGreenlet, check_size ignore]:
        pass
    void PyGreenlet_Import()
    object PyGreenlet_Switch(greenlet, PyObject *, PyObject *)

PyGreenlet_Import()

cdef object loop = None
cdef greenlet hub = None
cdef Stream first = None            # the most recently opened of all open streams


def begin():
    """To be called once in the process that serves, after the fork: binds the streams to its hub."""
    global loop, hub
    hub = get_hub()
    loop = hub.loop


cdef int64_t now_us() noexcept nogil:
    """CLOCK_MONOTONIC in microseconds."""
    cdef timespec now
    clock_gettime(MONOTONIC, &now)
    return <int64_t>now.tv_sec * 1000000 + now.tv_nsec // 1000


# Buffers

cdef char *small_free[KEPT_SMALL]
cdef char *large_free[KEPT_LARGE]
cdef int small_count = 0
cdef int large_count = 0


cdef char *take_buffer(Py_ssize_t size) except NULL:
    global small_count, large_count
    cdef char *buffer
    if size == SMALL and small_count:
        small_count -= 1
        return small_free[small_count]
    if size == LARGE and large_count:
        large_count -= 1
        return large_free[large_count]
    buffer = <char *>PyMem_RawMalloc(size)
    if buffer is NULL:
        raise MemoryError
    return buffer


cdef void give_buffer(char *buffer, Py_ssize_t size) noexcept:
    global small_count, large_count
    if size == SMALL and small_count < KEPT_SMALL:
        small_free[small_count] = buffer
        small_count += 1
    elif size == LARGE and large_count < KEPT_LARGE:
        large_free[large_count] = buffer
        large_count += 1
    else:
        PyMem_RawFree(buffer)


cdef class Stream:
    """One socket; the greenlet of its connection alone reads, writes and waits on it."""

    def __cinit__(self):
        self.fd = -1

    cdef int open(self, int fd) except -1:
        """Takes over a descriptor, which must be non-blocking."""
        global first
        self.fd = fd
        self.readable = self.writable = True
        self._after = first
        if first is not None:
            first._before = self
        first = self
        return 0

    cdef int need(self, Py_ssize_t size) except -1:
        cdef char *larger
        if self.buf is NULL:
            size = SMALL if size <= SMALL else LARGE if size <= LARGE else size
            self.buf = take_buffer(size)
            self.size = size
        elif self.size < size:
            size = LARGE if size <= LARGE else size
            larger = take_buffer(size)
            memmove(larger, self.buf, self.n)
            give_buffer(self.buf, self.size)
            self.buf, self.size = larger, size
        return 0

    cdef void drop_buffer(self) noexcept:
        if self.buf is not NULL:
            give_buffer(self.buf, self.size)
            self.buf = NULL
        self.size = self.n = 0

    cdef void consume(self, Py_ssize_t count) noexcept:
        self.n -= count
        if self.n:
            memmove(self.buf, self.buf + count, self.n)

    cdef Py_ssize_t recv(self) except -3:
        cdef Py_ssize_t room = self.size - self.n
        cdef ssize_t got
        while True:
            got = c_recv(self.fd, self.buf + self.n, room, MSG_DONTWAIT)
            if got >= 0:
                self.n += got
                # a short read has emptied the socket; what comes later, an end too, makes an event
                self.readable = got == room or got == 0
                return got
            if errno == EAGAIN:
                self.readable = False
                return AGAIN
            if errno != EINTR:
                self.error = errno
                return FAILED

    cdef Py_ssize_t send(self, Piece *piece) except -3:
        cdef iovec parts[4]
        cdef msghdr message
        cdef int number, count = 0
        cdef ssize_t sent = 0
        cdef Py_ssize_t took
        for number in range(4):
            if piece.length[number]:
                parts[count].iov_base = <void *>piece.part[number]
                parts[count].iov_len = piece.length[number]
                count += 1
        while True:
            if count == 1:
                sent = c_send(self.fd, parts[0].iov_base, parts[0].iov_len, MSG_DONTWAIT | MSG_NOSIGNAL)
            else:
                memset(&message, 0, sizeof(message))
                message.msg_iov = parts
                message.msg_iovlen = count
                sent = sendmsg(self.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL)
            if sent >= 0:
                break
            if errno == EAGAIN:
                self.writable = False
                return AGAIN
            if errno != EINTR:
                self.error = errno
                return FAILED
        took = sent
        if took < piece.left:
            self.writable = False       # the socket is full; a send now would only say so
        piece_sent(piece, took)
        return took

    cdef void finish(self):
        shutdown(self.fd, SHUT_WR)

    # Waiting

    cdef void stirred(self):
        self.partner.answered()

    cdef void answered(self):
        self.unasked()

    cdef void unasked(self):
        # Level-triggered: it would come again and again.  Whoever wants to read starts it anew.
        self._stop_reading()

    cdef void expired(self, int64_t now_ms):
        self.wake(TIMED_OUT)

    cdef void wake(self, int how):
        cdef greenlet waiter = self.waiter
        if waiter is not None:
            self.waiter = None
            self.deadline_ms = 0
            self.woken = how
            PyGreenlet_Switch(waiter, NULL, NULL)

    def _on_readable(self):
        self.readable = True
        if self.wanted & READ:
            self.wake(READ)
        elif self.parked:
            self.stirred()
        else:
            self.unasked()

    def _on_writable(self):
        self._stop_writing()
        self.writable = True
        if self.wanted & WRITE:
            self.wake(WRITE)

    def _on_sweep(self, int64_t now_ms):
        if self.deadline_ms and now_ms >= self.deadline_ms:     # it may have been served since it was found
            self.expired(now_ms)

    cdef int _start_reading(self) except -1:
        if self._read_watcher is None:
            self._read_watcher = loop.io(self.fd, 1)
        self._read_watcher.start(self._on_readable)
        self._reading = True
        return 0

    cdef int _start_writing(self) except -1:
        if self._write_watcher is None:
            self._write_watcher = loop.io(self.fd, 2)
        self._write_watcher.start(self._on_writable)
        self._writing = True
        return 0

    cdef void _stop_reading(self):
        if self._reading:
            self._reading = False
            self._read_watcher.stop()

    cdef void _stop_writing(self):
        if self._writing:
            self._writing = False
            self._write_watcher.stop()

    cdef void close(self):
        """Gives everything back; to be called once more does nothing."""
        global first
        if self.fd < 0:
            return
        self._stop_reading()
        self._stop_writing()
        for watcher in (self._read_watcher, self._write_watcher):
            if watcher is not None:
                watcher.close()
        self._read_watcher = self._write_watcher = self.waiter = self.partner = None
        self.parked = False
        self.deadline_ms = 0
        c_close(self.fd)
        self.fd = -1
        self.drop_buffer()
        if self._before is not None:
            self._before._after = self._after
        else:
            first = self._after
        if self._after is not None:
            self._after._before = self._before
        self._before = self._after = None

    def __dealloc__(self):
        if self.fd >= 0:
            c_close(self.fd)
        if self.buf is not NULL:
            give_buffer(self.buf, self.size)


cdef void piece_sent(Piece *piece, Py_ssize_t count) noexcept:
    """So many bytes of it are gone."""
    cdef int number
    cdef Py_ssize_t part
    piece.left -= count
    for number in range(4):
        part = count if count < piece.length[number] else piece.length[number]
        piece.part[number] += part
        piece.length[number] -= part
        count -= part


cdef int wait(Stream one, int wants_one, Stream other, int wants_other, object thread, int64_t deadline_ms) except -1:
    """Waits until one of two streams is as wanted; 0, TIMED_OUT or WOKEN.  What has become possible, their flags say.

    `thread` is the greenlet that calls.  Of the two streams, `one` carries the deadline.  greenlet's C interface: the
    switch as Python has it, and gevent's that asks each greenlet for a switch_out first, cost 850 instructions more.
    """
    one.waiter, one.wanted, one.woken, one.deadline_ms = thread, wants_one, 0, deadline_ms
    if not one._reading and (wants_one & READ or not one.readable):
        one._start_reading()        # also where nothing is wanted of it: `unasked` is told of its end
    if wants_one & WRITE and not one._writing:
        one._start_writing()
    if other is not None:
        other.waiter, other.wanted, other.woken = thread, wants_other, 0
        if wants_other & READ and not other._reading:
            other._start_reading()
        if wants_other & WRITE and not other._writing:
            other._start_writing()
    PyGreenlet_Switch(hub, NULL, NULL)
    cdef int how = one.woken
    one.waiter, one.wanted, one.deadline_ms = None, 0, 0
    if other is not None:
        how |= other.woken
        other.waiter, other.wanted = None, 0
    return how & (TIMED_OUT | WOKEN)


cdef int watch(Stream stream) except -1:
    """Starts the read watcher of a stream that nobody waits on, so that `unasked` is told of what happens to it."""
    if not stream._reading:
        stream._start_reading()
    return 0


def sweep():
    """Ends the waits whose deadline has passed; to be called about ten times a second."""
    cdef int64_t now_ms = now_us() // 1000
    cdef Stream stream = first
    cdef list late = None
    while stream is not None:
        if stream.deadline_ms and now_ms >= stream.deadline_ms:
            if late is None:
                late = []
            late.append(stream)
        stream = stream._after
    if late is not None:
        for stream in late:
            loop.run_callback(stream._on_sweep, now_ms)     # waking is the hub's


def every():
    """All open streams; for a drain."""
    cdef Stream stream = first
    found = []
    while stream is not None:
        found.append(stream)
        stream = stream._after
    return found


def run_in_hub(call, *arguments):
    """Calls it from the hub, where greenlets may be woken."""
    loop.run_callback(call, *arguments)
