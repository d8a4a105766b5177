"""Connections to endpoints: made, kept while idle, and dropped as soon as anything about them is odd.

Owns one pool per endpoint and worker.  An idle connection is watched: whatever comes in while nobody asked (an end of
stream, or bytes, which would be the answer to a request that was never sent) closes it, so that such a connection is
never used again.  The freshest is taken first: it is the one least likely to be closed by the other side just now.
Names were resolved before the plan served (resolver.py): no DNS here.  TLS is Python's own ssl over memory buffers, so
that it waits as everything else does.  Floor 3.
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.errno cimport EADDRNOTAVAIL, ECONNREFUSED, ECONNRESET, EINPROGRESS, EMFILE, ENFILE, errno
from libc.string cimport memcpy

import socket
import ssl

from workers.proxy.stream cimport (
    AGAIN, FAILED, LARGE, READ, TIMED_OUT, WRITE, Piece, Stream, now_us, piece_sent, wait, watch,
)

cdef extern from "sys/socket.h" nogil:
    struct sockaddr:
        unsigned short sa_family
    ctypedef unsigned int socklen_t
    int c_socket "socket"(int, int, int)
    int c_connect "connect"(int, const sockaddr *, socklen_t)
    int getsockopt(int, int, int, void *, socklen_t *)
    int setsockopt(int, int, int, const void *, socklen_t)
    ssize_t c_recv "recv"(int, void *, size_t, int)
    ssize_t c_send "send"(int, const void *, size_t, int)
    enum:
        SOCK_STREAM
        SOCK_NONBLOCK
        SOCK_CLOEXEC
        SOL_SOCKET
        SO_ERROR
        SO_KEEPALIVE
        MSG_DONTWAIT
        MSG_NOSIGNAL
        MSG_PEEK

cdef extern from "netinet/in.h" nogil:
    enum:
        IPPROTO_TCP

cdef extern from "netinet/tcp.h" nogil:
    enum:
        TCP_NODELAY
        TCP_KEEPIDLE
        TCP_KEEPINTVL
        TCP_KEEPCNT

cdef extern from "unistd.h" nogil:
    int c_close "close"(int)

cdef enum:
    RECORDS = 65536         # ciphertext read at once
    SURELY_US = 5000        # nobody closes connections that have been idle for less
    NO_LIMIT_US = 10000     # a close after less has another reason
    # A host that has vanished without a word is noticed after 60 + 4 * 15 s, also by a tunnel or a stream that is silent.
    IDLE_S = 60
    INTERVAL_S = 15
    PROBES = 4

KEEP_ALIVE = ((socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1), (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, IDLE_S),
              (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, INTERVAL_S), (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, PROBES))


cdef class Upstream(Stream):
    """One connection to one endpoint."""

    cdef void unasked(self):
        if self.idle:
            self.pool.lost(self, self.look())
        else:
            self._stop_reading()

    cdef void expired(self, int64_t now_ms):
        if self.idle:
            self.pool.lost(self, QUIET)
        else:
            self.wake(TIMED_OUT)

    cdef int secure(self, Stream client, object thread, int64_t deadline_ms) except -3:
        return 0

    cdef int look(self):
        cdef char byte = 0
        cdef ssize_t got = c_recv(self.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT)
        if got < 0:
            return QUIET if errno == 11 else ENDED      # EAGAIN; a reset is an end, too
        return NOISY if got else ENDED

    cdef bint holds(self):
        return False

    def __repr__(self):
        return f"<Upstream {self.pool.url}{', idle' if self.idle else ''}>"


cdef class SecureUpstream(Upstream):
    """The same through TLS; verified as its pool's context says."""

    cdef int secure(self, Stream client, object thread, int64_t deadline_ms) except -3:
        cdef int how
        cdef Py_ssize_t got
        self._incoming, self._outgoing, self._owed = ssl.MemoryBIO(), ssl.MemoryBIO(), b""
        self._tls = self.pool.context.wrap_bio(self._incoming, self._outgoing, server_hostname=self.pool.server_name)
        while True:
            done = False
            try:
                self._tls.do_handshake()
                done = True
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLCertVerificationError:
                self.pool.why = b"the endpoint's certificate cannot be verified"
                self._flush()       # the alert that tells the other side why
                return FAILED
            except ssl.SSLError:
                self.pool.why = b"the TLS handshake with the endpoint failed"
                self._flush()
                return FAILED
            if self._flush() == FAILED:
                self.pool.why = b"the endpoint closed the connection during the TLS handshake"
                return FAILED
            if done and not self._owed:
                return 0
            if not done:
                got = self._refill()
                if got > 0:
                    continue
                if got != AGAIN:
                    self.pool.why = b"the endpoint closed the connection during the TLS handshake"
                    return FAILED
            how = wait(client, 0, self, (0 if done else READ) | (WRITE if self._owed else 0), thread, deadline_ms)
            if how:
                return how

    cdef Py_ssize_t _refill(self) except -3:
        """Ciphertext from the socket into TLS."""
        cdef bytes data = PyBytes_FromStringAndSize(NULL, RECORDS)
        cdef ssize_t got = c_recv(self.fd, PyBytes_AS_STRING(data), RECORDS, MSG_DONTWAIT)
        if got < 0:
            if errno == 11:         # EAGAIN
                self.readable = False
                return AGAIN
            self.error = errno
            return FAILED
        if got == 0:
            self._incoming.write_eof()
            return 0
        self._incoming.write(data if got == RECORDS else data[:got])
        return got

    cdef Py_ssize_t recv(self) except -3:
        cdef Py_ssize_t got
        cdef bytes data
        while True:
            try:
                data = self._tls.read(self.size - self.n)
            except ssl.SSLWantReadError:
                got = self._refill()
                if got == AGAIN or got == FAILED:
                    return got
                continue
            except ssl.SSLZeroReturnError:      # the other side said goodbye: the end is the end
                return 0
            except ssl.SSLError:                # an end without goodbye may be a cut
                self.error = ECONNRESET
                return FAILED
            got = PyBytes_GET_SIZE(data)
            if got == 0:
                return 0
            memcpy(self.buf + self.n, PyBytes_AS_STRING(data), got)
            self.n += got
            self.readable = True                # more may wait inside TLS, where no event tells of it
            return got

    cdef Py_ssize_t send(self, Piece *piece) except -3:
        cdef int number
        cdef Py_ssize_t took
        cdef list parts = []
        if self.error:
            return FAILED
        if self._owed:
            self.writable = False
            return AGAIN
        for number in range(4):
            if piece.length[number]:
                parts.append(piece.part[number][:piece.length[number]])
        data = b"".join(parts)
        try:
            took = self._tls.write(data)
        except ssl.SSLError:
            self.error = ECONNRESET
            return FAILED
        piece_sent(piece, took)
        if self._flush() == FAILED:
            return FAILED
        return took

    cdef int _flush(self) except -3:
        """Sends what TLS has made; what the socket does not take now is sent when it can."""
        cdef bytes data = self._owed + self._outgoing.read()
        cdef ssize_t sent
        if not data:
            if self._finishing:
                Stream.finish(self)
            return 0
        sent = c_send(self.fd, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), MSG_DONTWAIT | MSG_NOSIGNAL)
        if sent < 0:
            if errno != 11:         # EAGAIN
                self.error = errno
                self._owed = b""        # nobody will take it
                return FAILED
            sent = 0
        self._owed = data[sent:]
        if self._owed:
            self.writable = False
            if not self._writing:
                self._start_writing()
        elif self._finishing:
            Stream.finish(self)
        return 0

    def _on_writable(self):
        if self._owed and self._flush() != FAILED and self._owed:
            return                  # the watcher goes on
        Stream._on_writable(self)

    cdef void finish(self):
        try:
            self._tls.unwrap()      # says goodbye; the other side's need not be waited for
        except ssl.SSLError:
            pass
        self._finishing = True
        self._flush()

    cdef bint holds(self):
        return self._incoming.pending > 0 or self._tls.pending() > 0

    cdef int look(self):
        # Session tickets and the like may have come; only what TLS makes of them counts.
        cdef int seen
        if self._owed or self._tls.pending():
            return NOISY
        seen = Upstream.look(self)
        if seen != NOISY:
            return seen
        if self._refill() <= 0:
            return ENDED
        try:
            self._tls.read(1)
        except ssl.SSLWantReadError:
            return QUIET
        except ssl.SSLError:            # a goodbye, usually
            return ENDED
        return NOISY

    cdef void unasked(self):
        cdef int seen
        if not self.idle:
            self._stop_reading()
            return
        seen = self.look()
        if seen != QUIET:
            self.pool.lost(self, seen)


cdef class Pool:
    """All connections of this worker to one endpoint; `context` is an ssl.SSLContext for https."""

    def __init__(self, endpoint, context, server_name):
        # not the endpoint itself, which knows its pool: the collector never looks at plans (worker.py), so no circles
        self.url, self.host, self.port = endpoint.url, endpoint.host, endpoint.port
        self.context = context
        self.server_name = server_name
        self.idle = []
        self.addresses = []
        transport = endpoint.transport
        self._most_idle = transport.max_idle_conns_per_host or 200
        self._idle_ms = int(transport.idle_conn_timeout * 1000)
        self.dial_ms = int(transport.dial_timeout * 1000)
        self.answer_ms = int(transport.response_header_timeout * 1000)

    def resolved(self, list addresses):
        """From now on connections are made to these packed addresses, in turn."""
        self.addresses = addresses

    cdef Upstream take(self, bint may_repeat):
        cdef Upstream up
        cdef int64_t now = now_us()
        cdef int seen
        while self.idle:
            up = <Upstream>self.idle[len(self.idle) - 1]
            if not self._is_young(now - up.since_us, now, may_repeat):
                return None             # the others are older; they stay, to tell by their end what the limit is
            self.idle.pop()
            up.idle = False
            up.deadline_ms = 0
            seen = up.look()            # what has come since the hub last looked would be taken for the answer
            if seen == QUIET:
                return up
            if seen == ENDED:
                self._learn(now - up.since_us)
            up.close()
        return None

    cdef bint _is_young(self, int64_t age_us, int64_t now, bint may_repeat):
        """Whether a connection that has been idle for so long is not about to be closed.

        Endpoints close idle connections after a time of their own (nginx 75 s, Node 5 s, some 50 ms), perhaps at the
        moment in which a request is on its way to them.  One that may be repeated is risked up to close before that
        time; one that may not only where there is ample room, and before anything is known only on a connection half as
        old as one that is alive.
        """
        cdef int64_t limit = self._limit_us
        cdef int64_t oldest_us = now - (<Upstream>self.idle[0]).since_us
        if oldest_us > self._proven_us:
            self._proven_us = oldest_us
        if limit and oldest_us > limit + limit // 4:
            # alive beyond the time at which others were closed: those were closed for another reason, such as a restart
            self._closings = 0
            self._limit_us = limit = 0
            self._proven_us = oldest_us
        if self._said_us and (not limit or self._said_us < limit):
            limit = self._said_us
        if may_repeat:
            return not limit or age_us < limit - limit // 8
        if limit:
            return age_us < limit // 2
        return age_us < SURELY_US or 2 * age_us <= self._proven_us

    cdef void _learn(self, int64_t age_us):
        """An idle connection of this age was closed by the endpoint."""
        cdef int number
        if age_us < NO_LIMIT_US:
            return
        self._closed_us[self._closings % CLOSINGS] = age_us
        self._closings += 1
        self._limit_us = age_us
        for number in range(min(self._closings, CLOSINGS)):
            self._limit_us = min(self._limit_us, self._closed_us[number])

    cdef void keep_alive_said(self, int64_t seconds):
        """The endpoint's own word (Keep-Alive: timeout=N)."""
        self._said_us = seconds * 1000000

    cdef Upstream connect(self, Stream client, object thread, int64_t deadline_ms, int *how):
        cdef Py_ssize_t count = len(self.addresses), number
        cdef bytes address
        cdef Upstream up
        how[0] = FAILED
        self.why, self.status = b"the endpoint's name cannot be resolved", 503
        self.is_lacking = False
        self._turn += 1
        for number in range(count):
            address = <bytes>self.addresses[(self._turn + number) % count]
            up = SecureUpstream.__new__(SecureUpstream) if self.context is not None else Upstream.__new__(Upstream)
            up.pool = self
            how[0] = self._dial(up, address, client, thread, deadline_ms)
            if how[0] == 0:
                self.status = 502           # somebody is there, and is not whom we want
                how[0] = up.secure(client, thread, deadline_ms)
            if how[0] == 0:
                self.made += 1
                return up
            up.close()
            if how[0] > 0:          # out of time, or nobody wants it any more
                if how[0] == TIMED_OUT:
                    self.why, self.status = b"the endpoint did not accept the connection in time", 504
                return None
        return None

    cdef int _dial(self, Upstream up, bytes address, Stream client, object thread, int64_t deadline_ms) except -3:
        cdef const sockaddr *packed = <const sockaddr *>PyBytes_AS_STRING(address)
        cdef int yes = 1, error = 0, how, idle = IDLE_S, interval = INTERVAL_S, probes = PROBES
        cdef socklen_t size = sizeof(error)
        self.status, self.is_lacking = 503, False
        cdef int fd = c_socket(packed.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)
        if fd < 0:
            self.is_lacking = True
            self.why = (b"the proxy has no descriptor left for a connection" if errno == EMFILE or errno == ENFILE
                        else b"the proxy cannot make a connection")
            return FAILED
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes))
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof(yes))
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle))
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval))
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes))
        if c_connect(fd, packed, PyBytes_GET_SIZE(address)) == 0:
            up.open(fd)
            return 0
        error = errno
        if error == EINPROGRESS:
            up.open(fd)
            up.writable = False
            while not up.writable:      # the client may wake us as well
                how = wait(client, 0, up, WRITE, thread, deadline_ms)
                if how:
                    return how
            getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size)
            if error == 0:
                return 0
        else:
            c_close(fd)
        up.error = error
        self.is_lacking = error == EADDRNOTAVAIL
        self.why = (b"the endpoint refused the connection" if error == ECONNREFUSED
                    else b"the proxy has no local port left for a connection" if error == EADDRNOTAVAIL
                    else b"the endpoint cannot be reached")
        return FAILED

    cdef void give(self, Upstream up):
        """Takes back a connection whose last answer was complete and which may serve again."""
        if self._retired or len(self.idle) >= self._most_idle:
            up.close()
            return
        up.drop_buffer()
        up.idle = up.reused = True
        up.since_us = now_us()
        if self._idle_ms:
            up.deadline_ms = up.since_us // 1000 + self._idle_ms
        self.idle.append(up)
        watch(up)

    cdef void lost(self, Upstream up, int seen):
        """An idle connection is not good any more."""
        if seen == ENDED:
            self._learn(now_us() - up.since_us)
        up.idle = False
        self.idle.remove(up)
        up.close()

    def retire(self):
        """No plan has the endpoint any more: idle connections are closed, the others when they come back."""
        self._retired = True
        for up in self.idle:
            (<Upstream>up).close()
        self.idle = []

    def revive(self):
        """A plan has it again, before the last request on it was over."""
        self._retired = False

    def __repr__(self):
        return f"<Pool {self.url}: {len(self.idle)} idle, {self.made} made>"
