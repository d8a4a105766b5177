"""What the client is told by ourselves, and how it is let go.

Owns the delivery of our own answers: behind what has been sent already, with the request's id, and so that the client can
read them even while it is still sending.  Which answer, exchange.pyx decides; its form stands in answer.py.  Floor 3.
"""
from libc.stdint cimport int64_t

from mesh.http1.head cimport HEAD, X_REQUEST_ID, RequestHead
from mesh.http1.hop cimport is_request_id
from workers.proxy.client cimport Client
from workers.proxy.door cimport new_request_id
from workers.proxy.outcome cimport Outcome
from workers.proxy.relay cimport ROOM, Relay
from workers.proxy.stream cimport FAILED, READ, SMALL, WRITE, piece_clear, piece_set, wait

from workers.proxy.answer import own_answer

cdef enum:
    LINGER_MS = 2000            # how long a refused client may take to stop sending, so that it can read the answer
    LINGER_BYTES = 4194304
    OWN_MS = 10000              # for an answer of our own to be taken


cdef class Telling(Relay):
    """A conversation whose client can be told something by us."""

    cdef bytes request_id(self):
        """The client's own X-Request-Id where it can be kept, else a new one."""
        if self.outcome.request_id is None:
            if self.outcome.has_head and is_request_id(self.request):
                self.outcome.request_id = self.request.value(X_REQUEST_ID)
                self.rewrite.request_id = None
            else:
                self.outcome.request_id = self.rewrite.request_id = new_request_id()
        return self.outcome.request_id

    cdef bint answer(self, int status, const char *why) except -1:
        """Answers by ourselves; True: the connection may go on."""
        cdef Outcome outcome = self.outcome
        cdef RequestHead request = self.request
        cdef Client client = self.client
        cdef Py_ssize_t payload = 0, consumed
        cdef bint is_whole = outcome.has_head and not self.is_odd_body
        cdef bytes message
        if self.to_client.left and not self.send_to_client():      # the rest of a 1xx
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
        message = own_answer(status, why, self.request_id(), self.door.date, self.closing,
                             outcome.has_head and request.method_id == HEAD, request.minor if outcome.has_head else 1)
        if outcome.why is not NULL and not (outcome.has_head and request.method_id == HEAD):
            outcome.bytes_out = len(message) - message.find(b"\r\n\r\n") - 4
        self.client_tail = message
        piece_clear(&self.to_client)
        piece_set(&self.to_client, 0, <const char *>message, len(message))
        if not self.send_to_client():
            outcome.cut = True
            return False
        if self.closing:
            self.linger()
        return not self.closing

    cdef bint send_to_client(self) except -1:
        """Sends what is left for the client; False: it does not take it."""
        cdef Client client = self.client
        cdef int64_t until_ms = self.from_now(OWN_MS)
        while self.to_client.left:
            if not client.writable and wait(client, WRITE, None, 0, client.thread, until_ms):
                return False
            if client.send(&self.to_client) == FAILED:
                return False
        return True

    cdef int linger(self) except -1:
        """Ends our side and lets the client finish: a close with unread bytes would reset what it has not read yet."""
        cdef Client client = self.client
        cdef int64_t until_ms = self.from_now(LINGER_MS)
        cdef Py_ssize_t got, total = 0
        client.finish()
        while total < LINGER_BYTES:
            if not client.readable and wait(client, READ, None, 0, client.thread, until_ms):
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
