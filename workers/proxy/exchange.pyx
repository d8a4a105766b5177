"""One request and its answer, from the head to the account.

Owns the order of things: read the head, find the router, pick the endpoint, send, relay both bodies, account.  All of it
is one greenlet's straight way; where it must wait it waits on both sockets at once, so that an answer may come before
the request has ended, a slow side holds back the other, and a client that leaves is noticed.  What bytes mean stands in
mesh/http1, what a socket does in stream.pyx, where connections come from in upstream.pyx.  Floor 3.

A request is never lost or doubled by us:
- a connect that fails has sent nothing: the next endpoint is tried, whatever the method;
- a connection that breaks before a byte of the answer is tried again (a reused one at the same endpoint first) if the
  method is idempotent (RFC 9110 9.2.2) or the kernel took no byte of the request, and if the whole request is still
  here (RFC 9112 9.3.1: what has been streamed cannot be sent again);
- everything else is told to the client: 502, 504, or a message that visibly ends too early.

Buffers: the client's holds head and then a window of body behind it, the endpoint's likewise; the heads stay where they
are until the account is settled, because the access log reads them.  A body is read into the window when what was
read before has been sent: so a slow reader on one side holds back the other, and memory does not grow.
"""
from libc.stdint cimport int64_t
from libc.stdio cimport snprintf
from libc.string cimport memcpy

from mesh.http1.body cimport Body
from mesh.http1.head cimport (
    CONNECT, DELETE, GET, HEAD, OPTIONS, PUT, TRACE, X_REQUEST_ID, RequestHead, ResponseHead,
)
from mesh.http1.hop cimport (
    CHUNKED, NO_BODY, SIZED, Rewrite, is_request_id, response_room, write_interim, write_response,
)
from mesh.plan cimport Endpoint, Route, Service
from workers.proxy.account cimport Account
from workers.proxy.door cimport Door, new_request_id
from workers.proxy.outcome cimport Outcome
from workers.proxy.stream cimport (
    AGAIN, FAILED, LARGE, READ, SMALL, TIMED_OUT, WOKEN, WRITE, Piece, Stream, give_buffer, now_us, piece_clear,
    piece_set, take_buffer, wait,
)
from workers.proxy.upstream cimport Pool, Upstream

from workers.proxy.answer import own_answer

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

cdef enum:
    MOVED = 1
    NOTHING = 0
    TRIES = 3                   # endpoints that one request is sent to at most
    MOST_LOOKS = 64             # picks that look for one that was not tried
    TOGETHER = 4096             # so many bytes are copied behind the head, to be sent with it by one plain send
    ROOM = 4096                 # the least window for a body behind a head
    HALF_CLOSED_MS = 1000       # a client that has ended its side may still read; if nothing could be sent to it for
                                # so long it is gone.  FIN alone does not tell the two apart
    IN_A_ROW = 16               # requests, or moves of a body, before the others have their turn: a millisecond or two
    LOOK_MS = 1000              # how often a client is looked at whose unread bytes would hide its end
    LINGER_MS = 2000            # how long a refused client may take to stop sending, so that it can read the answer
    LINGER_BYTES = 4194304
    OWN_MS = 10000              # for an answer of our own to be taken
    SPARE = 256                 # exchanges kept for the next requests

cdef list spare = []
cdef int64_t wall_offset_us = 0     # what CLOCK_MONOTONIC lacks to the wall clock


def look_at_clock(int64_t wall_us):
    """The wall clock, from time to time: request times are told by it."""
    global wall_offset_us
    wall_offset_us = wall_us - now_us()


cdef class Client(Stream):
    """A client's connection; `converse` is its greenlet's whole life."""

    cdef void unasked(self):
        # While its request is under way: more requests, an end, or a reset.
        cdef int64_t soon_ms
        cdef bint has_left = self.has_left()
        if not self.readable:
            return                          # it was read since the event: the watcher must go on
        self._stop_reading()
        if has_left:
            self.wake(WOKEN)
        elif not self.hung_ms:
            self.wake(0)                    # from now on it must be looked at: see _wait
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

    cdef bint _next(self) except -1:
        """Waits for a request and serves it; False: the connection is over."""
        cdef Exchange exchange
        cdef Py_ssize_t got
        cdef int how
        cdef int64_t now_ms
        while True:
            if self.n == 2 and self.served and self.buf[0] == c'\r' and self.buf[1] == c'\n':
                self.n = 0                  # old clients send it behind a body (RFC 9112 2.2): no request has begun
            if self.n:
                break
            if not self.readable:
                self.drop_buffer()
                now_ms = now_us() // 1000
                self.idle = True
                how = wait(self, READ, None, 0, self.resume, now_ms + self.door.idle_ms if self.door.idle_ms else 0)
                self.idle = False
                self.in_a_row = 0
                if how & WOKEN:
                    return False
                self.readable = True        # at the end of its time, one last look
            else:
                how = 0
            self.need(SMALL)
            got = self.recv()
            if got == 0 or got == FAILED or (got == AGAIN and how):
                return False
        self.in_a_row += 1
        if self.in_a_row > IN_A_ROW and not self._gives_way():
            return False
        exchange = <Exchange>spare.pop() if spare else Exchange()
        try:
            return exchange.run(self)
        finally:
            if len(spare) < SPARE:
                spare.append(exchange)

    cdef bint _gives_way(self) except -1:
        """Lets the others have their turn before its next request, and waits for it to take its answers; False: it left."""
        self.in_a_row = 0
        return not wait(self, WRITE, None, 0, self.resume,
                        now_us() // 1000 + self.door.body_idle_ms if self.door.body_idle_ms else 0)

    def is_idle(self):
        return self.idle

    def leave_within(self, int64_t ms):
        """If it is idle for so long, it is closed."""
        if self.idle:
            self.deadline_ms = now_us() // 1000 + ms

    def abort(self):
        """From the hub: whatever goes on, it ends now."""
        self.wake(WOKEN)


cpdef converse(Client client):
    """Serves one connection until it ends: its greenlet's whole life."""
    try:
        while client._next():
            pass
    finally:
        client.close()


cdef Client new_client(Door door, int fd, bytes address, int port):
    cdef Client client = Client.__new__(Client)
    client.open(fd)
    client.door = door
    client.peer = door.peer(address)
    client.port = port
    client.opened_ms = now_us() // 1000
    return client


cdef class Exchange:
    """Everything that one request needs while it is under way; used again for others."""

    def __cinit__(self):
        self.request, self.response = RequestHead(), ResponseHead()
        self.sent, self.got = Body(), Body()
        self.rewrite, self.outcome = Rewrite(), Outcome()
        self.outcome.head = self.request

    def __dealloc__(self):
        if self.out is not NULL:
            give_buffer(self.out, self.out_size)
        if self.back is not NULL:
            give_buffer(self.back, self.back_size)

    cdef bint run(self, Client client) except -1:
        """Serves the request that begins in the client's buffer; True: another may follow on the connection."""
        cdef Outcome outcome = self.outcome
        cdef RequestHead request = self.request
        cdef Door door = client.door
        cdef bint keeps = False
        self.client, self.door = client, door
        outcome.clear()
        outcome.entry_point, outcome.peer_host, outcome.peer_port = door.name, client.peer.address, client.port
        outcome.began_us = now_us()
        outcome.began_at_us = outcome.began_us + wall_offset_us
        request.reset()
        request.max_bytes, request.max_lines, request.max_target = door.max_header_bytes, door.max_headers, door.max_target
        request.peer = client.peer.address
        self.next_at = self.body_at = self.held = self.in_a_row = 0
        self.has_body = self.body_filled = self.is_fed = self.is_odd_body = self.has_answer = self.is_tunnel = False
        self.unframed = False
        self.replayable = self.closing = True
        self.sent_us = self.ended_us = 0
        piece_clear(&self.to_up)
        piece_clear(&self.to_client)
        try:
            keeps = self._exchange()
        except Exception:
            # a bug of ours costs this request, and says where it is
            door.logger.exception("a request ended by an error inside hostmesh")
            self.closing = True
            if self.unframed:
                reset_at_close(client)
            if not self.has_answer:
                self._answer(500, b"an error inside hostmesh (its log says more)")
        finally:
            self._settle()
        return keeps

    cdef bint _exchange(self) except -1:
        cdef RequestHead request = self.request
        cdef int got = self._read_head()
        if got == 0:
            if self.client.n and not self.door.aborting:
                self.outcome.status = 499       # it left in the middle of a head
            return False
        if got < 0:
            return self._answer(request.status, request.why)
        self.outcome.has_head = True
        self.client.served += 1
        self.closing = request.close or self.door.draining or self._is_last()
        if request.chunked or request.length > 0:
            self.has_body = True
            self.sent.start(request.chunked, request.length)
            request.upgrade = False             # RFC 9110 7.8 lets us ignore it; a tunnel behind a body is a trap
        return self._route()

    cdef inline bint _is_taken(self) noexcept:
        """Whether all of the request has been read."""
        return not self.has_body or self.sent.done

    cdef inline bint _is_last(self) noexcept:
        cdef Door door = self.door
        if door.keep_alive_requests and self.client.served >= door.keep_alive_requests:
            return True
        return door.keep_alive_ms and self.outcome.began_us // 1000 - self.client.opened_ms >= door.keep_alive_ms

    cdef int _read_head(self) except -2:
        """1: it is there; 0: the client left; -1: it is refused, as the request says."""
        cdef Client client = self.client
        cdef RequestHead request = self.request
        cdef int64_t until_ms = self.outcome.began_us // 1000 + self.door.header_ms if self.door.header_ms else 0
        cdef Py_ssize_t got
        cdef int how
        while True:
            got = request.parse(client.buf, client.n)
            if got > 0:
                self.next_at = self.body_at = got
                return 1
            if got < 0:
                self.next_at = self.body_at = client.n      # what of it may be a body, nobody can say
                return -1
            if client.n == client.size:
                client.need(client.size * 2)    # parse() refuses what grows beyond the limit
            if not client.readable:
                how = wait(client, READ, None, 0, client.resume, until_ms)
                if how & WOKEN:
                    return 0
                if how & TIMED_OUT:
                    request.refuse(408, b"the head of the request did not come in time")
                    return -1
            got = client.recv()
            if got == 0 or got == FAILED:
                return 0

    cdef bint _route(self) except -1:
        cdef RequestHead request = self.request
        cdef Outcome outcome = self.outcome
        cdef Service service
        if request.method_id == CONNECT or request.method_id == TRACE:
            return self._answer(405, b"this proxy takes neither CONNECT nor TRACE")
        if request.asterisk:
            return self._answer(200, b"")
        outcome.route = self.door.table.find(request)
        if outcome.route is None:
            return self._answer(404, b"no router matches this request (hostmesh explain tells why)")
        service = outcome.route.service.leaf()
        if service is not None:
            outcome.service = service
            outcome.endpoint = service.pick()
        if outcome.endpoint is None:
            return self._answer(503, b"the service has no endpoint")
        return self._forward()

    cdef bint _forward(self) except -1:
        """Sends the request to an endpoint, or to another where that is safe, and relays the answer."""
        cdef RequestHead request = self.request
        cdef Outcome outcome = self.outcome
        cdef Client client = self.client
        cdef Pool pool
        cdef Upstream up
        cdef int how = 0
        cdef bint is_fresh, wants_fresh = False
        cdef bint is_idempotent = (request.method_id == GET or request.method_id == HEAD or request.method_id == PUT
                                   or request.method_id == DELETE or request.method_id == OPTIONS)
        cdef list tried = []
        self._request_id()
        while True:
            pool = <Pool>outcome.endpoint.pool
            up = None if wants_fresh else pool.take()
            while up is not None and not up.is_quiet():
                # what has come since the hub last looked would be taken for the answer (or be no answer at all)
                up.close()
                up = pool.take()
            is_fresh = up is None
            if is_fresh:
                up = pool.connect(client, client.resume, self._soonest(self._from_now(pool.dial_ms)), &how)
                if up is None:
                    if how > 0 and (how & WOKEN or self._has_hung()):
                        return self._end(GONE)
                    if self._another(tried):
                        wants_fresh = False
                        continue
                    return self._answer(504 if how > 0 else 502, pool.why)
            self.up = up
            self._prepare()
            how = self._converse()
            if how != LOST:
                return self._end(how)
            up.close()
            self.up = None
            if self.replayable and (is_idempotent or not self.sent_any):
                if not is_fresh:
                    wants_fresh = True      # that an idle connection was just being closed says nothing of the endpoint
                    outcome.retries += 1
                    continue
                if self._another(tried):
                    wants_fresh = False
                    continue
            return self._answer(502, b"the endpoint closed the connection before it answered")

    cdef bint _another(self, list tried) except -1:
        """Whether there is an endpoint that was not tried yet; from now on it is the outcome's."""
        cdef Outcome outcome = self.outcome
        cdef Endpoint other
        cdef Py_ssize_t look
        tried.append(outcome.endpoint)
        if len(tried) >= TRIES:
            return False
        for look in range(min(2 * len(outcome.service.endpoints), MOST_LOOKS)):
            other = outcome.service.pick()
            if other not in tried:
                outcome.endpoint = other
                outcome.retries += 1
                return True
        return False

    cdef int _prepare(self) except -1:
        """Makes the request ready to be sent to the endpoint, with what has come of its body."""
        cdef RequestHead request = self.request
        cdef Rewrite rewrite = self.rewrite
        cdef Endpoint endpoint = self.outcome.endpoint
        cdef Client client = self.client
        cdef Py_ssize_t room
        rewrite.peer = client.peer
        rewrite.host = None if self.outcome.service.pass_host_header and request.authority_len else endpoint.authority
        rewrite.prefix, rewrite.whole_path = endpoint.prefix, endpoint.whole_path
        rewrite.sanitize = self.door.sanitize
        rewrite.framing = CHUNKED if request.chunked else SIZED if request.length >= 0 else NO_BODY
        room = rewrite.room(request) + TOGETHER
        if self.out_size < room:
            if self.out is not NULL:
                give_buffer(self.out, self.out_size)
                self.out = NULL
                self.out_size = 0
            room = SMALL if room <= SMALL else LARGE if room <= LARGE else room
            self.out = take_buffer(room)
            self.out_size = room
        self.upload_over = self.upload_broken = self.sent_any = self.any_answer = self.is_ahead = False
        self.excess = 0
        self.response.reset()
        piece_clear(&self.to_up)
        piece_set(&self.to_up, 0, self.out, rewrite.write(self.out, request))
        if self.is_fed:
            self.up_tail = frame(&self.to_up, client.buf + self.body_at, self.held, request.chunked, self.sent)
        elif self.has_body and client.n > self.body_at and self._take_body(client.n - self.body_at) < 0:
            self.is_odd_body = True
        together(&self.to_up, self.out)
        return 0

    cdef int _take_body(self, Py_ssize_t count) except -9:
        """So many new bytes stand at body_at: what of them is payload is sent next; -1: broken framing."""
        cdef Py_ssize_t payload = 0
        cdef Py_ssize_t consumed = self.sent.feed(self.client.buf + self.body_at, count, &payload)
        if consumed < 0:
            return -1
        self.is_fed = True
        self.held = payload
        self.outcome.bytes_in += payload
        self.next_at = self.body_at + consumed
        self.up_tail = frame(&self.to_up, self.client.buf + self.body_at, payload, self.request.chunked, self.sent)
        return 0

    cdef int _converse(self) except -1:
        """Relays in both directions until the answer is with the client, or one side fails."""
        cdef Client client = self.client
        cdef Upstream up = self.up
        cdef Py_ssize_t got
        cdef int how
        cdef bint moved
        if self.is_odd_body:
            return BROKEN
        while True:
            moved = False
            # towards the endpoint
            if self.to_up.left and up.writable:
                got = up.send(&self.to_up)
                moved = got != AGAIN
                if got > 0:
                    self.sent_any = True
                elif got == FAILED:
                    # it may have answered before it stopped listening
                    piece_clear(&self.to_up)
                    self.upload_broken = up.readable = True
            if not self.to_up.left and not self.upload_over:
                if not self.has_body or self.sent.done or self.upload_broken:
                    self.upload_over = True
                    self.sent_us = now_us()
                else:
                    how = self._more_body()
                    if how < 0:
                        return -how
                    moved |= how
            # towards the client
            if not self.to_client.left and up.readable:
                how = self._more_answer()
                if how < 0:
                    return -how
                moved |= how
            if self.to_client.left and client.writable:
                got = client.send(&self.to_client)
                if got == FAILED:
                    return GONE
                moved |= got != AGAIN
                if client.hung_ms:
                    client.hung_ms = now_us() // 1000
            if self.has_answer and self.got.done:
                if not self.to_client.left:
                    return ANSWERED
                if not self.ended_us:
                    self.ended_us = now_us()
            self.in_a_row += 1
            if not moved or self.in_a_row > IN_A_ROW:
                how = self._wait(moved)
                if how:
                    return how

    cdef int _wait(self, bint is_ready) except -1:
        """Waits for whatever moves the exchange on; otherwise how it ended.

        `is_ready`: both sides may always be, so that nothing has to be waited for, but the others have their turn.
        """
        cdef Client client = self.client
        cdef int from_client = 0, from_up = 0, how
        cdef int late = CUT
        cdef int64_t until_ms = 0, other_ms, deadline_ms
        cdef bint is_hidden                 # the client's end would be, by what it has sent already
        self.in_a_row = 0
        if self.to_client.left:
            from_client = WRITE
            until_ms = self._from_now(self.door.body_idle_ms)
        else:
            from_up = READ
        if self.to_up.left:
            from_up |= WRITE
        elif not self.upload_over:
            from_client |= READ
        if not self.upload_over:
            late = LATE if self.to_up.left else SLOW
            until_ms = self._from_now(self.door.body_idle_ms)
            if self.door.read_ms:
                other_ms = self.outcome.began_us // 1000 + self.door.read_ms
                until_ms = other_ms if not until_ms or other_ms < until_ms else until_ms
        elif not self.has_answer:
            late = LATE
            if self.pool().answer_ms:
                until_ms = self.sent_us // 1000 + self.pool().answer_ms
        if is_ready:
            from_client = from_up = READ | WRITE    # one of these is possible at once, whatever comes next
        while True:
            deadline_ms = self._soonest(until_ms)
            is_hidden = client.readable and not from_client & READ and not client.hung_ms
            if is_hidden:
                other_ms = self._from_now(LOOK_MS)
                deadline_ms = other_ms if not deadline_ms or other_ms < deadline_ms else deadline_ms
            how = wait(client, from_client, self.up, from_up, client.resume, deadline_ms)
            if how & WOKEN or (how & TIMED_OUT and (is_hidden and client.has_left() or self._has_hung())):
                return GONE
            if not how and not is_ready:
                return 0
            # a deadline that was moved on meanwhile (by what could still be sent to a half-closed client) is none
            deadline_ms = self._soonest(until_ms)
            if deadline_ms and deadline_ms <= now_us() // 1000:
                return late
            if is_ready:
                return 0

    cdef inline Pool pool(self):
        return <Pool>self.outcome.endpoint.pool

    cdef inline int64_t _from_now(self, int64_t ms) noexcept:
        return now_us() // 1000 + ms if ms else 0

    cdef int64_t _soonest(self, int64_t deadline_ms) noexcept:
        """The deadline, or an earlier one: of the answer or the whole request, or of a client that has hung up.  0: none."""
        cdef int64_t other_ms
        if self.door.total_ms:
            other_ms = self.outcome.began_us // 1000 + self.door.total_ms
            if not deadline_ms or other_ms < deadline_ms:
                deadline_ms = other_ms
        if self.has_answer and self.door.write_ms:
            other_ms = self.answered_ms + self.door.write_ms
            if not deadline_ms or other_ms < deadline_ms:
                deadline_ms = other_ms
        if self.client.hung_ms:
            other_ms = self.client.hung_ms + HALF_CLOSED_MS
            if not deadline_ms or other_ms < deadline_ms:
                deadline_ms = other_ms
        return deadline_ms

    cdef inline bint _has_hung(self) noexcept:
        return self.client.hung_ms and now_us() // 1000 - self.client.hung_ms >= HALF_CLOSED_MS

    cdef int _more_body(self) except -99:
        """Reads more of the request's body; MOVED, NOTHING, or minus how the exchange ends."""
        cdef Client client = self.client
        cdef Py_ssize_t got
        if not client.readable:
            return NOTHING
        client.n = self.body_at
        if client.size - client.n < ROOM or (self.body_filled and client.size < LARGE):
            client.need(client.size + SMALL)    # the head leaves no room, or the body has filled what there was
            self.request.base = client.buf
        got = client.recv()
        if got == AGAIN:
            return NOTHING
        if got <= 0:
            return -GONE
        self.replayable = False
        self.body_filled = client.n == client.size
        if self._take_body(got) < 0:
            return -BROKEN
        return MOVED

    cdef int _more_answer(self) except -99:
        """Reads more of the answer; MOVED, NOTHING, or minus how the exchange ends."""
        cdef Upstream up = self.up
        cdef Py_ssize_t got, length
        if self.has_answer:
            if self.got.done:
                return NOTHING
            up.n = self.answer_at
            if self.filled and up.size < LARGE:
                up.need(LARGE)                  # the body has filled the window: a larger one needs fewer calls
                self.response.base = up.buf
            got = up.recv()
            if got == AGAIN:
                return NOTHING
            if got == 0 and self.response.until_close:
                self.got.done = True
                self.client_tail = frame(&self.to_client, NULL, 0, self.chunking, self.got)
                return MOVED
            if got <= 0 or self._take_payload(got) < 0:
                return -CUT
            return MOVED
        if self.is_ahead:
            self.is_ahead = False
        else:
            up.need(SMALL)
            got = up.recv()
            if got == AGAIN:
                return NOTHING
            if got <= 0:
                return -ODD if self.any_answer else -LOST
            self.any_answer = True
        while True:
            length = self.response.parse(up.buf, up.n, self.request.method_id == HEAD)
            if length < 0:
                return -ODD
            if length == 0:
                if up.n == up.size:
                    up.need(up.size * 2)        # parse() refuses what grows beyond the limit
                return MOVED
            if self.response.status >= 200 or self.response.status == 101:
                return self._take_head(length)
            self._interim(length)
            if self.to_client.left or up.n == 0:
                self.is_ahead = up.n > 0        # what is here already makes no event, and a recv would not find it
                up.readable = True
                return MOVED

    cdef int _interim(self, Py_ssize_t length) except -1:
        """A 1xx answer: passed on to clients that know such (RFC 9110 15.2)."""
        if self.request.minor:
            self._need_back(response_room(self.response))
            piece_clear(&self.to_client)
            piece_set(&self.to_client, 0, self.back, write_interim(self.back, self.response))
        self.up.consume(length)
        self.response.reset()
        return 0

    cdef int _need_back(self, Py_ssize_t room) except -1:
        if self.back_size < room:
            if self.back is not NULL:
                give_buffer(self.back, self.back_size)
                self.back = NULL
                self.back_size = 0
            room = SMALL if room <= SMALL else LARGE if room <= LARGE else room
            self.back = take_buffer(room)
            self.back_size = room
        return 0

    cdef int _take_head(self, Py_ssize_t length) except -99:
        """The head of the final answer is whole: what of it goes to the client, and how its body will end."""
        cdef ResponseHead response = self.response
        cdef RequestHead request = self.request
        cdef Upstream up = self.up
        cdef int framing
        if response.status == 101:
            if not request.upgrade or not response.upgrade:
                response.refuse(502, b"it switches protocols, which nobody asked for")
                return -ODD
            self.is_tunnel = True
        if self.is_tunnel or response.no_body or response.length >= 0:
            framing = SIZED
        elif request.minor:
            framing = CHUNKED
        else:
            framing = NO_BODY                   # a client of HTTP/1.0: its connection ends with the body
        self.unframed = framing == NO_BODY
        self.chunking = framing == CHUNKED
        # with the answer the upload ends, wherever it is then: nobody could say where the next request begins
        self.closing = self.closing or self.door.draining or self.unframed or not self._is_taken()
        self.outcome.origin_status = response.status
        self.answer_at = length
        if up.size - length < ROOM:
            up.need(up.size + SMALL)
            response.base = up.buf
        self._need_back(response_room(response) + TOGETHER)
        piece_clear(&self.to_client)
        piece_set(&self.to_client, 0, self.back,
                  write_response(self.back, response, request.minor, framing, self.closing, self.door.date))
        if self.is_tunnel or response.no_body or response.length == 0:
            self.got.done = True
            self.excess = 0 if self.is_tunnel else up.n - length
        else:
            self.got.start(response.chunked, -1 if response.until_close or response.chunked else response.length)
            if up.n > length and self._take_payload(up.n - length) < 0:
                piece_clear(&self.to_client)    # nothing has been sent yet: the client gets an answer of ours
                response.refuse(502, self.got.why)
                return -ODD
            together(&self.to_client, self.back)
        self.outcome.status = response.status
        self.has_answer = True
        self.answered_ms = now_us() // 1000 if self.door.write_ms else 0
        return MOVED

    cdef int _take_payload(self, Py_ssize_t count) except -99:
        """So many new bytes stand at answer_at of the endpoint's buffer; -1: broken framing."""
        cdef Py_ssize_t payload = 0
        cdef Py_ssize_t consumed = self.got.feed(self.up.buf + self.answer_at, count, &payload)
        if consumed < 0:
            return -1
        self.outcome.origin_bytes += payload
        self.outcome.bytes_out += payload
        self.excess = count - consumed
        self.filled = self.answer_at + count == self.up.size
        self.client_tail = frame(&self.to_client, self.up.buf + self.answer_at, payload, self.chunking, self.got)
        return 0

    # The end

    cdef bint _end(self, int how) except -1:
        """What the client is told, and whether its connection goes on."""
        cdef Outcome outcome = self.outcome
        if how == ANSWERED:
            return self._finish()
        if how == GONE or self.has_answer:
            if self.has_answer:
                outcome.cut = True
            else:
                outcome.status = 499
            if how != GONE and self.unframed:
                reset_at_close(self.client)     # else the end of the connection would look like the end of the body
            return False
        if how == BROKEN:
            return self._answer(400, self.sent.why)
        if how == SLOW:
            return self._answer(408, b"the body of the request did not come in time")
        if how == LATE:
            return self._answer(504, b"the endpoint did not answer in time")
        if self.response.why is not NULL:
            return self._answer(502, self.response.why)
        return self._answer(502, b"the endpoint closed the connection in the middle of the head of its answer")

    cdef bint _finish(self) except -1:
        """The answer is with the client: the connections go on, or end as is proper."""
        cdef Client client = self.client
        cdef Upstream up = self.up
        if self.is_tunnel:
            self._tunnel()
            return False
        if (self.upload_over and not self.upload_broken and not self.response.close and not self.response.until_close
                and self.excess == 0):
            self.up = None
            self.pool().give(up)
        if not self.closing:
            return True
        if not self._is_taken() or client.readable or client.n > self.next_at:
            self._linger()
        return False

    cdef int _tunnel(self) except -1:
        """After 101: bytes in both directions until both sides have ended theirs, or one is broken."""
        cdef Client client = self.client
        cdef Upstream up = self.up
        cdef bint moved, client_over = False, up_over = False
        cdef Py_ssize_t got
        cdef int64_t until_ms
        self.sent_us = now_us()
        piece_clear(&self.to_up)
        piece_clear(&self.to_client)
        # what came behind the heads belongs to the tunnel already
        piece_set(&self.to_up, 2, client.buf + self.body_at, client.n - self.body_at)
        piece_set(&self.to_client, 2, up.buf + self.answer_at, up.n - self.answer_at)
        while True:
            moved = False
            if not self.to_up.left and not client_over and client.readable:
                client.n = self.body_at
                if client.size - client.n < ROOM:
                    client.need(client.size + SMALL)
                    self.request.base = client.buf
                got = client.recv()
                if got == FAILED:
                    break
                moved = got != AGAIN
                if got > 0:
                    piece_set(&self.to_up, 2, client.buf + self.body_at, got)
                    self.outcome.bytes_in += got
                elif got == 0:
                    client_over = True
                    up.finish()
            if not self.to_client.left and not up_over and up.readable:
                up.n = self.answer_at
                got = up.recv()
                if got == FAILED:
                    break
                moved |= got != AGAIN
                if got > 0:
                    piece_set(&self.to_client, 2, up.buf + self.answer_at, got)
                    self.outcome.bytes_out += got
                elif got == 0:
                    up_over = True
                    client.finish()
            if self.to_up.left and up.writable:
                got = up.send(&self.to_up)
                if got == FAILED:
                    break
                moved |= got != AGAIN
            if self.to_client.left and client.writable:
                got = client.send(&self.to_client)
                if got == FAILED:
                    break
                moved |= got != AGAIN
            if client_over and up_over and not self.to_up.left and not self.to_client.left:
                break
            self.in_a_row += 1
            if moved and self.in_a_row <= IN_A_ROW:
                continue
            self.in_a_row = 0
            if moved:                       # the others have their turn
                if wait(client, READ | WRITE, up, READ | WRITE, client.resume, self._from_now(LOOK_MS)) & WOKEN:
                    break
                continue
            # a tunnel may be silent for as long as it likes; half a tunnel as long as an idle connection
            until_ms = self._from_now(self.door.idle_ms) if client_over or up_over else 0
            got = wait(client, (WRITE if self.to_client.left else 0) | (0 if self.to_up.left or client_over else READ),
                       up, (WRITE if self.to_up.left else 0) | (0 if self.to_client.left or up_over else READ),
                       client.resume, until_ms)
            if got & WOKEN or (got & TIMED_OUT and until_ms and until_ms <= now_us() // 1000):
                break
        self.outcome.origin_bytes = self.outcome.bytes_out
        return 0

    cdef bytes _request_id(self):
        """The client's own X-Request-Id where it can be kept, else a new one."""
        if self.outcome.request_id is None:
            if self.outcome.has_head and is_request_id(self.request):
                self.outcome.request_id = self.request.value(X_REQUEST_ID)
                self.rewrite.request_id = None
            else:
                self.outcome.request_id = self.rewrite.request_id = new_request_id()
        return self.outcome.request_id

    cdef bint _answer(self, int status, const char *why) except -1:
        """Answers by ourselves; True: the connection may go on."""
        cdef Outcome outcome = self.outcome
        cdef RequestHead request = self.request
        cdef Client client = self.client
        cdef Py_ssize_t payload = 0, consumed
        cdef bint is_whole = outcome.has_head and not self.is_odd_body
        cdef bytes message
        if self.to_client.left and not self._send_to_client():      # the rest of a 1xx
            outcome.status = 499
            return False
        if is_whole and self.has_body and not self.sent.done:
            # a small body that is here already is passed over, and the connection can go on
            is_whole = False
            if not self.is_fed and client.n > self.body_at:
                consumed = self.sent.feed(client.buf + self.body_at, client.n - self.body_at, &payload)
                if consumed >= 0 and self.sent.done:
                    is_whole = True
                    outcome.bytes_in = payload
                    self.next_at = self.body_at + consumed
        self.closing = self.closing or not is_whole or status == 400 or status == 408
        outcome.status = status
        outcome.why = why if why[0] else NULL
        message = own_answer(status, why, self._request_id(), self.door.date, self.closing,
                             outcome.has_head and request.method_id == HEAD, request.minor if outcome.has_head else 1)
        if outcome.why is not NULL and not (outcome.has_head and request.method_id == HEAD):
            outcome.bytes_out = len(message) - message.find(b"\r\n\r\n") - 4
        self.client_tail = message
        piece_clear(&self.to_client)
        piece_set(&self.to_client, 0, <const char *>message, len(message))
        if not self._send_to_client():
            outcome.cut = True
            return False
        if self.closing:
            self._linger()
        return not self.closing

    cdef bint _send_to_client(self) except -1:
        """Sends what is left for the client; False: it does not take it."""
        cdef Client client = self.client
        cdef int64_t until_ms = self._from_now(OWN_MS)
        while self.to_client.left:
            if not client.writable and wait(client, WRITE, None, 0, client.resume, until_ms):
                return False
            if client.send(&self.to_client) == FAILED:
                return False
        return True

    cdef int _linger(self) except -1:
        """Ends our side and lets the client finish: a close with unread bytes would reset what it has not read yet."""
        cdef Client client = self.client
        cdef int64_t until_ms = self._from_now(LINGER_MS)
        cdef Py_ssize_t got, total = 0
        client.finish()
        while total < LINGER_BYTES:
            if not client.readable and wait(client, READ, None, 0, client.resume, until_ms):
                break
            client.n = self.body_at             # the head is still to be accounted for
            if client.size - client.n < ROOM:
                client.need(client.size + SMALL)
                self.request.base = client.buf
            got = client.recv()
            if got == 0 or got == FAILED:
                break
            if got > 0:
                total += got
        client.n = self.next_at = self.body_at
        return 0

    cdef int _settle(self) except -1:
        """The one account of this request (law 6).  An error here ends the connection: it must not serve this again."""
        cdef Outcome outcome = self.outcome
        cdef Client client = self.client
        cdef Route route = outcome.route
        cdef Door door = self.door
        cdef int64_t now = now_us()
        if self.up is not None:
            self.up.close()                     # it was not given back: nobody knows what it would say next
            self.up = None
        if outcome.status:
            outcome.duration_us = now - outcome.began_us
            if self.sent_us and outcome.origin_status:
                outcome.origin_us = (self.ended_us or now) - self.sent_us
            outcome.bytes_out = max(0, outcome.bytes_out - self.to_client.left)
            if route is None:
                door.unrouted.settle(outcome, False)
            else:
                if route.account is None:
                    route.account = Account(door.column, door.name, route.router)
                (<Account>route.account).settle(outcome, self.is_tunnel)
            if door.log is not None:
                door.log.record(outcome)
        client.consume(min(self.next_at, client.n))
        self.client = None
        self.client_tail = self.up_tail = None
        if self.out_size > SMALL:
            give_buffer(self.out, self.out_size)
            self.out = NULL
            self.out_size = 0
        if self.back_size > SMALL:
            give_buffer(self.back, self.back_size)
            self.back = NULL
            self.back_size = 0
        return 0


cdef bytes frame(Piece *piece, const char *payload, Py_ssize_t length, bint chunked, Body body):
    """Makes the payload the next part of the piece, as a chunk or as it is; answers what must stay alive until sent."""
    cdef bytes tail
    if not chunked:
        piece_set(piece, 2, payload, length)
        return None
    if length:
        piece_set(piece, 1, piece.frame, snprintf(piece.frame, sizeof(piece.frame), b"%zx\r\n", length))
        piece_set(piece, 2, payload, length)
    if not body.done:
        if length:
            piece_set(piece, 3, b"\r\n", 2)
        return None
    tail = (b"\r\n0\r\n" if length else b"0\r\n") + body.trailers() + b"\r\n"
    piece_set(piece, 3, <const char *>tail, len(tail))
    return tail


cdef void together(Piece *piece, char *head) noexcept:
    """Copies what follows a head that nothing was sent of behind it, where it is small: one plain send takes it all."""
    cdef Py_ssize_t follows = piece.left - piece.length[0]
    cdef char *at = head + piece.length[0]
    cdef int number
    if not 0 < follows <= TOGETHER:
        return
    for number in range(1, 4):
        memcpy(at, piece.part[number], piece.length[number])
        at += piece.length[number]
        piece.length[number] = 0
    piece.length[0] += follows


cdef void reset_at_close(Client client) noexcept:
    """The close of this connection is a reset."""
    cdef linger off
    off.l_onoff = 1
    off.l_linger = 0
    setsockopt(client.fd, SOL_SOCKET, SO_LINGER, &off, sizeof(off))
