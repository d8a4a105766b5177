"""One request and its answer, from the head to the account.

Owns the order of things: read the head, find the router, have an endpoint picked (trying.pyx), relay (relay.pyx), tell
the client what became of it, account.  Floor 3.

A request is never lost or doubled by us:
- a connect that fails has sent nothing: the next endpoint is tried, whatever the method;
- a connection that breaks before a byte of the answer is tried again (a reused one at the same endpoint first) if the
  method is idempotent (RFC 9110 9.2.2) or the kernel took no byte of the request, and if the whole request is still
  here (RFC 9112 9.3.1: what has been streamed cannot be sent again);
- everything else is told to the client: 502, 503, 504, or a message that visibly ends too early.
"""
from libc.stdint cimport int64_t

from mesh.balance.balance cimport ENDED, ENDED_BADLY, ENDED_WELL
from mesh.http1.head cimport (
    CONNECT, DELETE, GET, HEAD, KEEP_ALIVE, OPTIONS, PUT, TRACE, VIA, RequestHead,
)
from mesh.plan cimport Route
from workers.proxy.account cimport Account
from workers.proxy.client cimport Client
from workers.proxy.door cimport Door
from workers.proxy.outcome cimport Outcome
from workers.proxy.pipe cimport give_pipe
from workers.proxy.relay cimport ANSWERED, BROKEN, CUT, GONE, LATE, LOST, ODD, SLOW, TO_BEGIN, UNDER_WAY
from workers.proxy.stream cimport FAILED, LARGE, READ, SMALL, TIMED_OUT, WOKEN, give_buffer, now_us, piece_clear, wait
from workers.proxy.trying cimport Trying
from workers.proxy.tunnel cimport tunnel
from workers.proxy.upstream cimport Pool, Upstream

import re

cdef enum:
    RACE_US = 1000000           # a reused connection that ends later than this was not about to be closed anyway
    MOST_HOPS = 8               # through proxies of ours: an endpoint that is the proxy itself would go on for ever

TIMEOUT = re.compile(rb"(?:^|[,;\s])timeout\s*=\s*\"?([0-9]{1,6})", re.IGNORECASE)

cdef int64_t wall_offset_us = 0     # what CLOCK_MONOTONIC lacks to the wall clock


def look_at_clock(int64_t wall_us):
    """The wall clock, from time to time: request times are told by it."""
    global wall_offset_us
    wall_offset_us = wall_us - now_us()


cdef class Exchange(Trying):
    """Everything that one request needs while it is under way; used again for others."""

    cdef bint run(self, Client client) except -1:
        """Serves the request that begins in the client's buffer; True: another may follow on the connection."""
        self._open(client)
        return self._guarded(True)

    cdef bint go_on(self) except -1:
        """The same for one that begin() has begun."""
        return self._guarded(False)

    cdef int finish(self) except -1:
        """After an answer that leaves nothing to be done, from the hub."""
        try:
            self._finish()
        finally:
            self._settle()
        return 0

    cdef bint begin(self, Client client) except -1:
        """From the hub: sends a plain request that is all here to an idle connection of its endpoint, without waiting.

        True: it has been taken on, and `how` says how far it is.  False: nothing has been done.
        """
        cdef RequestHead request = self.request
        cdef Outcome outcome = self.outcome
        cdef Py_ssize_t got
        self._open(client)
        got = request.parse(client.buf, client.n)
        if (got <= 0 or request.chunked or request.length > 0 or request.upgrade or request.asterisk
                or request.method_id == CONNECT or request.method_id == TRACE or request.index[VIA] >= 0
                or request.max_forwards == 0 or client.n > got):
            return False
        outcome.route = self.door.table.find(request)
        if outcome.route is None:
            return False
        self.next_at = self.body_at = got
        self._has_head()
        self.pick(outcome.began_us // 1000)
        self.how = TO_BEGIN
        if outcome.endpoint is None:
            return True
        self.up = (<Pool>outcome.endpoint.pool).take(self.is_idempotent)
        if self.up is not None:
            self.is_fresh = False
            self.prepare()
            self.how = self.advance()
        return True

    cdef int abandon(self) except -1:
        """From the hub, after an error inside hostmesh: nothing is told to anybody, and nothing stays behind."""
        self.tried(ENDED, now_us())
        if self.up is not None:
            self.up.close()
            self.up = None
        return 0

    cdef int _open(self, Client client) except -1:
        """A request begins."""
        cdef Outcome outcome = self.outcome
        cdef RequestHead request = self.request
        cdef Door door = client.door
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
        self.sent_us = self.ended_us = self.answered_us = 0
        self.start()
        piece_clear(&self.to_up)
        piece_clear(&self.to_client)
        return 0

    cdef bint _guarded(self, bint from_start) except -1:
        cdef bint keeps = False
        try:
            keeps = self._exchange() if from_start else self._forward(self.how)
        except Exception:
            # a bug of ours costs this request, and says where it is
            self.door.logger.exception("a request ended by an error inside hostmesh")
            self.closing = True
            if self.unframed:
                self.client.reset_at_close()
            if not self.has_answer:
                self.answer(500, b"an error inside hostmesh (its log says more)")
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
            return self.answer(request.status, request.why)
        self._has_head()
        if request.chunked or request.length > 0:
            self.has_body = True
            self.sent.start(request.chunked, request.length)
            if request.length > self.client.n - self.body_at and self.client.readable:
                self._read_ahead()
            request.upgrade = False             # RFC 9110 7.8 lets us ignore it; a tunnel behind a body is a trap
        return self._route()

    cdef int _has_head(self) except -1:
        self.outcome.has_head = True
        self.client.served += 1
        self.closing = self.request.close or self.door.draining or self._is_last()
        return 0

    cdef int _read_ahead(self) except -1:
        """A body that is here already goes with its head in one send, or in few."""
        cdef Client client = self.client
        cdef Py_ssize_t whole = LARGE if self.request.length > LARGE else self.body_at + self.request.length
        client.need(LARGE if whole > LARGE else whole)
        self.request.base = client.buf
        client.recv()       # what of an end or an error there is to say, the next one says
        return 0

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
                how = wait(client, READ, None, 0, client.thread, until_ms)
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
        if request.method_id == CONNECT or request.method_id == TRACE:
            return self.answer(405, b"this proxy takes neither CONNECT nor TRACE")
        if request.asterisk or request.max_forwards == 0:       # RFC 9110 7.6.2: it has come to its last recipient
            return self.answer(200, b"")
        if request.index[VIA] >= 0 and self._goes_round():
            return self.answer(508, b"this request has come through hostmesh too often: an endpoint leads back here")
        outcome.route = self.door.table.find(request)
        if outcome.route is None:
            return self.answer(404, b"no router matches this request (hostmesh explain tells why)")
        self.pick(now_us() // 1000)             # its head may have taken a while
        return self._forward(TO_BEGIN)

    cdef bint _goes_round(self) except -1:
        """RFC 9110 7.6.3: Via tells who has passed the request on."""
        cdef int passed = 0
        for value in self.request.header_values(b"via"):
            passed += (<bytes>value).count(b" hostmesh")
        return passed >= MOST_HOPS

    cdef bint _forward(self, int how) except -1:
        """Sends the request to an endpoint, or to another where that is safe, and relays the answer.

        `how` is how far it is: TO_BEGIN, UNDER_WAY with a connection, or how the conversation has ended.
        """
        cdef Outcome outcome = self.outcome
        cdef Client client = self.client
        cdef Pool pool
        cdef int64_t dial_until_ms, until_ms
        cdef bint is_its_fault
        if outcome.endpoint is None:
            if outcome.service is None:
                return self.answer(503, b"no service behind the weighted one has a weight")
            if not outcome.service.endpoints:
                return self.answer(503, b"the service has no endpoint")
            return self.answer(503, b"no endpoint of the service may serve now: down, ejected, drained, disabled,"
                                    b" without a weight, or not probed yet")
        while True:
            if how == TO_BEGIN:
                pool = <Pool>outcome.endpoint.pool
                self.up = None if self.wants_fresh else pool.take(self.is_idempotent)
                self.is_fresh = self.up is None
                if self.is_fresh:
                    dial_until_ms = self.from_now(pool.dial_ms)
                    until_ms = self.soonest(dial_until_ms)
                    self.up = pool.connect(client, client.thread, until_ms, &how)
                    if self.up is None:
                        if how > 0 and (how & WOKEN or self.has_hung()):
                            return self._end(GONE)
                        # out of a time that was the request's says as little of the endpoint as what the proxy lacked
                        is_its_fault = until_ms == dial_until_ms if how > 0 else not pool.is_lacking
                        how = TO_BEGIN
                        if self.another(ENDED_BADLY if is_its_fault else ENDED):
                            continue
                        return self.answer(pool.status, pool.why)
                self.prepare()
                how = UNDER_WAY
            if how == UNDER_WAY:
                how = self.converse()
            if how != LOST:
                return self._end(how)
            self.up.close()
            self.up = None
            how = TO_BEGIN
            # that an idle connection was just being closed says nothing of the endpoint
            is_its_fault = self.is_fresh or (self.sent_us and now_us() - self.sent_us > RACE_US)
            if self.replayable and (self.is_idempotent or not self.sent_any):
                if not self.is_fresh:
                    self.wants_fresh = True
                    outcome.retries += 1
                    continue
                if self.another(ENDED_BADLY):
                    continue
            self.tried(ENDED_BADLY if is_its_fault else ENDED, now_us())
            return self.answer(502, b"the endpoint closed the connection before it answered")

    cdef bint _end(self, int how) except -1:
        """What the client is told, and whether its connection goes on."""
        cdef Outcome outcome = self.outcome
        if how == ANSWERED:
            return self._finish()
        self.tried(ENDED_BADLY if how == CUT or how == LATE or how == ODD else ENDED, now_us())
        if how == GONE or self.has_answer:
            if self.has_answer:
                outcome.cut = True
            else:
                outcome.status = 499
            if how != GONE and self.unframed:
                self.client.reset_at_close()     # else the end of the connection would look like the end of the body
            return False
        if how == BROKEN:
            return self.answer(400, self.sent.why)
        if how == SLOW:
            return self.answer(408, b"the body of the request did not come in time")
        if how == LATE:
            return self.answer(504, b"the endpoint did not answer in time")
        if self.response.why is not NULL:
            return self.answer(502, self.response.why)
        return self.answer(502, b"the endpoint closed the connection in the middle of the head of its answer")

    cdef bint _finish(self) except -1:
        """The answer is with the client: the connections go on, or end as is proper."""
        cdef Client client = self.client
        cdef Upstream up = self.up
        if self.is_tunnel:
            tunnel(self)
            if not up.error:
                self.verdict = ENDED_WELL
            return False
        self.verdict = ENDED_BADLY if self.is_failure() else ENDED_WELL
        if (self.upload_over and not self.upload_broken and not self.response.close and not self.response.until_close
                and self.excess == 0):
            self.up = None
            if self.response.index[KEEP_ALIVE] >= 0:
                up.pool.keep_alive_said(timeout_of(self.response.value(KEEP_ALIVE)))
            up.pool.give(up)
        if not self.closing:
            return True
        if not self.is_taken() or client.readable or client.n > self.next_at:
            self.tried(self.verdict, now_us())
            self.linger()
        return False

    cdef int _settle(self) except -1:
        """The one account of this request (law 6).  An error here ends the connection: it must not serve this again."""
        cdef Outcome outcome = self.outcome
        cdef Client client = self.client
        cdef Route route = outcome.route
        cdef Door door = self.door
        cdef int64_t now = now_us()
        self.tried(self.verdict, now)
        if self.up is not None:
            self.up.close()                     # it was not given back: nobody knows what it would say next
            self.up = None
        if self.pipe is not None:
            give_pipe(self.pipe)
            self.pipe = None
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
        self.client_tail = self.up_tail = self.added = None
        self.balance = None
        if self.out_size > SMALL:
            give_buffer(self.out, self.out_size)
            self.out = NULL
            self.out_size = 0
        if self.back_size > SMALL:
            give_buffer(self.back, self.back_size)
            self.back = NULL
            self.back_size = 0
        return 0


cdef int64_t timeout_of(bytes said):
    """The seconds in `timeout=5, max=100`; 0: it does not say."""
    found = TIMEOUT.search(said)
    return int(found[1]) if found is not None else 0
