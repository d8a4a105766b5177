"""A client's connection: when its next request comes, and whether it is still there.

Owns what can be known of a client without reading: that it is idle, has ended its side, has reset the connection, or
hides its end behind bytes that nobody has read yet.  What a request is, exchange.pyx knows.  Floor 3.
"""
from libc.stdint cimport int64_t, uint64_t

from mesh.balance.hrw cimport fnv64a
from workers.proxy.door cimport Door
from workers.proxy.stream cimport FAILED, SMALL, WOKEN, WRITE, Stream, now_us, wait, watch

cdef extern from "sys/socket.h" nogil:
    struct linger:
        int l_onoff
        int l_linger
    int setsockopt(int, int, int, const void *, unsigned int)
    enum:
        SOL_SOCKET
        SO_LINGER

cdef extern from "poll.h" nogil:
    struct pollfd:
        int fd
        short events
        short revents
    int poll(pollfd *, unsigned long, int)
    enum:
        POLLIN
        POLLERR
        POLLRDHUP

cdef class Client(Stream):
    """One client's connection."""

    cdef void unasked(self):
        # While its request is under way: more requests, an end, or a reset.
        cdef int64_t soon_ms
        cdef bint has_left = self.has_left()
        if not self.readable:
            return                          # an event for what has been read since: the watch goes on
        self._stop_reading()
        if has_left:
            self.wake(WOKEN)
        elif not self.hung_ms:
            self.wake(0)                    # from now on it must be looked at: see relay.pyx, _wait
        elif self.waiter is not None:
            soon_ms = self.hung_ms + HALF_CLOSED_MS
            if not 0 < self.deadline_ms < soon_ms:
                self.deadline_ms = soon_ms

    cdef bint has_left(self):
        """Whether it has reset the connection; that it has ended its side, hung_ms remembers.

        Not by a recv: bytes that nobody has read yet, such as its next request, stand before either.
        """
        cdef pollfd asked
        asked.fd, asked.events, asked.revents = self.fd, POLLIN | POLLRDHUP, 0
        poll(&asked, 1, 0)
        self.readable = asked.revents != 0
        if asked.revents & POLLRDHUP and not self.hung_ms:
            self.hung_ms = now_us() // 1000
        return asked.revents & POLLERR

    cdef bint awaits_request(self) except -1:
        cdef Py_ssize_t got
        while True:
            if self.n == 2 and self.served and self.buf[0] == c'\r' and self.buf[1] == c'\n':
                self.n = 0                  # old clients send it behind a body (RFC 9112 2.2): no request has begun
            if self.n:
                break
            if not self.readable:
                self.park()
                return False
            self.need(SMALL)
            got = self.recv()
            if got == 0 or got == FAILED:
                return False
        self.in_a_row += 1
        return self.in_a_row <= IN_A_ROW or self._gives_way()

    cdef int park(self) except -1:
        """Idle from now on, without buffer and greenlet, until something comes or its time is over."""
        self.drop_buffer()
        self.in_a_row = 0
        self.idle = self.parked = True
        self.deadline_ms = now_us() // 1000 + self.door.idle_ms if self.door.idle_ms else 0
        return watch(self)

    cdef bint _gives_way(self) except -1:
        """Lets the others have their turn before its next request, and waits for it to take its answers; False: it left."""
        self.in_a_row = 0
        return not wait(self, WRITE, None, 0, self.thread,
                        now_us() // 1000 + self.door.body_idle_ms if self.door.body_idle_ms else 0)

    def is_idle(self):
        return self.idle

    def leave_within(self, int64_t ms):
        """If it is idle for so long, it is closed."""
        if self.idle:
            self.deadline_ms = now_us() // 1000 + ms

    cdef uint64_t hashed(self) noexcept:
        if not self.hash:
            self.hash = fnv64a(<const char *>self.peer.address, len(self.peer.address))
        return self.hash

    cdef void reset_at_close(self) noexcept:
        """Its close will be a reset: for one who could take the end of the connection for the end of a body."""
        cdef linger off
        off.l_onoff = 1
        off.l_linger = 0
        setsockopt(self.fd, SOL_SOCKET, SO_LINGER, &off, sizeof(off))
