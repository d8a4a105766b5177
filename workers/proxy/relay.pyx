"""A conversation with one endpoint: the request on its way there, the answer on its way back, both at once.

Owns the two bodies.  All of it is one greenlet's straight way; where it must wait it waits on both sockets, so that an
answer may come before the request has ended, a slow side holds back the other, and a client that leaves is noticed.  It
decides nothing: which endpoint, how often, and what the client is told when it fails, exchange.pyx decides.  What bytes
mean stands in mesh/http1, what a socket does in stream.pyx.  Floor 3.

Buffers: the client's holds the head and then a window of body behind it, the endpoint's likewise; the heads stay where
they are until the account is settled, because the access log reads them.  A body is read into its window when what was
read before has been sent: so memory does not grow, whoever is slow.  The rest of a long answer goes through a pipe.
"""
from libc.stdint cimport int64_t
from libc.string cimport memcpy

from mesh.http1.body cimport Body
from mesh.http1.head cimport HEAD, RequestHead, ResponseHead
from mesh.http1.hop cimport CHUNKED, NO_BODY, SIZED, Rewrite, response_room, write_interim, write_response
from mesh.plan cimport Endpoint
from workers.proxy.client cimport HALF_CLOSED_MS, IN_A_ROW, Client
from workers.proxy.framing cimport TOGETHER, at_least, frame, together
from workers.proxy.outcome cimport Outcome
from workers.proxy.pipe cimport PIPED, SHORTS, give_pipe, take_pipe
from workers.proxy.stream cimport (
    AGAIN, FAILED, LARGE, READ, SMALL, TIMED_OUT, WOKEN, WRITE, give_buffer, now_us, piece_clear, piece_set, wait,
)
from workers.proxy.upstream cimport Upstream

cdef enum:
    MOVED = 1
    NOTHING = 0
    LOOK_MS = 1000              # how often a client is looked at whose unread bytes would hide its end


cdef class Relay:
    """Everything that one conversation needs; used again for others."""

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

    cdef inline bint is_taken(self) noexcept:
        """Whether all of the request has been read."""
        return not self.has_body or self.sent.done

    cdef int prepare(self) except -1:
        """Makes the request ready to be sent to the endpoint, with what has come of its body."""
        cdef RequestHead request = self.request
        cdef Rewrite rewrite = self.rewrite
        cdef Endpoint endpoint = self.outcome.endpoint
        cdef Client client = self.client
        rewrite.peer = client.peer
        rewrite.host = None if self.outcome.service.pass_host_header and request.authority_len else endpoint.authority
        rewrite.prefix = endpoint.prefix
        rewrite.sanitize = self.door.sanitize
        rewrite.framing = CHUNKED if request.chunked else SIZED if request.length >= 0 else NO_BODY
        at_least(&self.out, &self.out_size, rewrite.room(request) + TOGETHER)
        self.upload_over = self.upload_broken = self.sent_any = self.any_answer = self.is_ahead = False
        self.excess = self.sent_us = 0
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

    cdef int converse(self) except -1:
        cdef int how
        while True:
            how = self.advance()
            if how == UNDER_WAY:
                how = self._wait(self.moved)
                if how == 0:
                    continue
            return how

    cdef bint may_park(self):
        # Where it was merely the others' turn, what came through TLS already may be all: no event will tell of that.
        return (self.upload_over and not self.to_client.left and not self.is_tunnel and not self.client.readable
                and not self.client.hung_ms and not (self.moved and self.up.holds()))

    cdef int64_t parked_until(self) noexcept:
        cdef int64_t until_ms = 0
        if not self.has_answer and self.up.pool.answer_ms:
            until_ms = self.sent_us // 1000 + self.up.pool.answer_ms
        return self.soonest(until_ms)

    cdef int advance(self) except -1:
        """Relays in both directions until the answer is with the client, one side fails, or nothing can be done now."""
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
                got = client.send(&self.to_client) if self.pipe is None else self._drain_pipe()
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
                self.in_a_row = 0
                self.moved = moved
                return UNDER_WAY

    cdef int _wait(self, bint is_ready) except -1:
        """Waits for whatever moves the exchange on; otherwise how it ended.

        `is_ready`: both sides may always be, so that nothing has to be waited for, but the others have their turn.
        """
        cdef Client client = self.client
        cdef int from_client = 0, from_up = 0, how
        cdef int late = OVERDUE
        cdef int64_t until_ms = 0, other_ms, deadline_ms
        cdef bint is_hidden                 # the client's end would be, by what it has sent already
        if self.to_client.left:
            from_client = WRITE
            until_ms = self.from_now(self.door.body_idle_ms)
        else:
            from_up = READ
        if self.to_up.left:
            from_up |= WRITE
        elif not self.upload_over:
            from_client |= READ
        if not self.upload_over:
            late = LATE if self.to_up.left else SLOW
            until_ms = self.from_now(self.door.body_idle_ms)
            if self.door.read_ms:
                other_ms = self.outcome.began_us // 1000 + self.door.read_ms
                until_ms = other_ms if not until_ms or other_ms < until_ms else until_ms
        elif not self.has_answer:
            late = LATE
            if self.up.pool.answer_ms:
                until_ms = self.sent_us // 1000 + self.up.pool.answer_ms
        if is_ready:
            from_client = from_up = READ | WRITE    # one of these is possible at once, whatever comes next
        while True:
            deadline_ms = self.soonest(until_ms)
            is_hidden = client.readable and not from_client & READ and not client.hung_ms
            if is_hidden:
                other_ms = self.from_now(LOOK_MS)
                deadline_ms = other_ms if not deadline_ms or other_ms < deadline_ms else deadline_ms
            how = wait(client, from_client, self.up, from_up, client.thread, deadline_ms)
            if how & WOKEN or (how & TIMED_OUT and (is_hidden and client.has_left() or self.has_hung())):
                return GONE
            if not how and not is_ready:
                return 0
            # a deadline that was moved on meanwhile (by what could still be sent to a half-closed client) is none
            deadline_ms = self.soonest(until_ms)
            if deadline_ms and deadline_ms <= now_us() // 1000:
                return late
            if is_ready:
                return 0

    cdef inline int64_t from_now(self, int64_t ms) noexcept:
        return now_us() // 1000 + ms if ms else 0

    cdef int64_t soonest(self, int64_t deadline_ms) noexcept:
        """The deadline, or an earlier one: of the answer or the whole request, or of a client that has hung up.  0: none."""
        cdef int64_t other_ms
        if self.door.total_ms:
            other_ms = self.outcome.began_us // 1000 + self.door.total_ms
            if not deadline_ms or other_ms < deadline_ms:
                deadline_ms = other_ms
        if self.has_answer and self.door.write_ms:
            other_ms = self.answered_us // 1000 + self.door.write_ms
            if not deadline_ms or other_ms < deadline_ms:
                deadline_ms = other_ms
        if self.client.hung_ms:
            other_ms = self.client.hung_ms + HALF_CLOSED_MS
            if not deadline_ms or other_ms < deadline_ms:
                deadline_ms = other_ms
        return deadline_ms

    cdef inline bint has_hung(self) noexcept:
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
            if (self.filled and self.pipe is None and self.got.left >= PIPED and not self.got.chunked
                    and up.pool.context is None):
                self.pipe = take_pipe()
            if self.pipe is not None and self.pipe.shorts == SHORTS:
                give_pipe(self.pipe)            # little has come at each look: such are cheaper to copy
                self.pipe, self.filled = None, False
                if up.size < LARGE:
                    up.need(LARGE)
                    self.response.base = up.buf
            if self.pipe is not None:
                return self._fill_pipe()
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

    cdef int _fill_pipe(self) except -99:
        """As _more_answer, once the answer goes through a pipe."""
        cdef Py_ssize_t got = self.pipe.fill(self.up, self.got.left)
        if got == AGAIN:
            return NOTHING
        if got <= 0:
            return -CUT
        self.got.left -= got
        self.got.done = self.got.left == 0
        self.outcome.origin_bytes += got
        self.outcome.bytes_out += got
        self.to_client.left = got
        return MOVED

    cdef Py_ssize_t _drain_pipe(self) except -3:
        cdef Py_ssize_t sent = self.pipe.drain(self.client)
        self.to_client.left = self.pipe.held
        return sent

    cdef int _interim(self, Py_ssize_t length) except -1:
        """A 1xx answer: passed on to clients that know such (RFC 9110 15.2)."""
        if self.request.minor:
            at_least(&self.back, &self.back_size, response_room(self.response))
            piece_clear(&self.to_client)
            piece_set(&self.to_client, 0, self.back, write_interim(self.back, self.response))
        self.up.consume(length)
        self.response.reset()
        return 0

    cdef int _take_head(self, Py_ssize_t length) except -99:
        """The head of the final answer is whole: what of it goes to the client, and how its body will end."""
        cdef ResponseHead response = self.response
        cdef RequestHead request = self.request
        cdef Upstream up = self.up
        cdef Py_ssize_t written, added = len(self.added) if self.added is not None else 0
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
        self.closing = self.closing or self.door.draining or self.unframed or not self.is_taken()
        self.outcome.origin_status = response.status
        self.answer_at = length
        if up.size - length < ROOM:
            up.need(up.size + SMALL)
            response.base = up.buf
        at_least(&self.back, &self.back_size, response_room(response) + added + TOGETHER)
        written = write_response(self.back, response, request.minor, framing, self.closing, self.door.date)
        if added:
            memcpy(self.back + written - 2, <const char *>self.added, added)        # before the empty line
            written += added
            memcpy(self.back + written - 2, b"\r\n", 2)
        piece_clear(&self.to_client)
        piece_set(&self.to_client, 0, self.back, written)
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
        # of an answer that came whole, its end tells when it came
        self.answered_us = now_us() if not self.got.done or self.door.write_ms else 0
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
