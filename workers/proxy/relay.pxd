"""A conversation with one endpoint: the request on its way there, the answer on its way back, both at once."""
from libc.stdint cimport int64_t

from mesh.http1.body cimport Body
from mesh.http1.head cimport RequestHead, ResponseHead
from mesh.http1.hop cimport Rewrite
from workers.proxy.client cimport Client
from workers.proxy.door cimport Door
from workers.proxy.outcome cimport Outcome
from workers.proxy.pipe cimport Pipe
from workers.proxy.stream cimport Piece
from workers.proxy.upstream cimport Upstream

cdef enum:
    ROOM = 4096             # the least window for a body behind a head

cdef enum:
    # how the conversation with an endpoint ended
    ANSWERED = 0        # the whole answer is with the client
    LOST                # the connection broke before a byte of an answer
    ODD                 # the answer is not HTTP as it must be, or broke off in its head
    LATE                # no answer in time
    CUT                 # the answer broke off after the client had its head
    OVERDUE             # it, or its client, took too long after that
    GONE                # the client
    SLOW                # the client sends its body too slowly
    BROKEN              # the client's body is not framed as it must be
    # and of one that has not ended
    UNDER_WAY           # it waits for one of the two sides
    TO_BEGIN            # it has no connection yet


cdef class Relay:
    cdef Client client
    cdef Door door
    cdef Upstream up
    cdef RequestHead request
    cdef ResponseHead response
    cdef Body sent, got             # the bodies of request and answer
    cdef Outcome outcome
    cdef Rewrite rewrite
    cdef char *out                  # the head for the endpoint
    cdef char *back                 # the head for the client
    cdef Py_ssize_t out_size, back_size
    cdef Piece to_up, to_client
    cdef Pipe pipe                  # the rest of the answer goes through it; to_client.left is what it holds
    cdef bytes up_tail, client_tail # the end of a chunked body with its trailers, for the pieces to point to
    cdef bytes added                # whole lines that the answer's head gets from us; None: there are none
    cdef Py_ssize_t body_at         # where the request's body begins in the client's buffer
    cdef Py_ssize_t next_at         # where the next request begins
    cdef Py_ssize_t held            # payload of the request that stands at body_at
    cdef Py_ssize_t answer_at       # where the answer's body begins in the endpoint's buffer
    cdef Py_ssize_t excess          # bytes of the endpoint behind the end of its answer
    cdef bint has_body              # the request has one
    cdef bint is_fed                # some of it has gone through `sent`
    cdef bint is_odd_body           # and is not framed as it must be
    cdef bint replayable            # all of the request that was sent still stands in the client's buffer
    cdef bint sent_any              # the kernel took bytes of it, on this connection
    cdef bint upload_over, upload_broken
    cdef bint any_answer            # at least one byte of an answer came
    cdef bint is_ahead              # bytes behind an interim answer are here that nobody has looked at
    cdef bint has_answer            # the head of the final one came, and is on its way to the client
    cdef bint body_filled           # the client's last bytes filled its buffer
    cdef bint filled                # the endpoint's last bytes filled its buffer
    cdef bint chunking              # the answer goes to the client in chunks
    cdef bint unframed              # it ends with the connection (HTTP/1.0)
    cdef bint closing               # the client's connection ends after this
    cdef bint is_tunnel
    cdef int in_a_row               # moves since it last waited
    cdef bint moved                 # and it could have gone on, but it is the others' turn
    cdef int64_t sent_us, ended_us  # when the request had been sent, when the endpoint's last byte had come
    cdef int64_t answered_us        # when the head of the answer had come; 0: all of it came with its head, or no limit
    #                                 needs to be known
    cdef inline bint is_taken(self) noexcept
    cdef int prepare(self) except -1            # makes the request ready for the outcome's endpoint, as often as wanted
    cdef int _take_body(self, Py_ssize_t count) except -9
    cdef int converse(self) except -1           # relays until the conversation has ended; how, in the words above
    cdef int advance(self) except -1            # as far as it goes without waiting: how it ended, or UNDER_WAY
    cdef bint may_park(self)                    # all that is waited for is more of the answer
    cdef int64_t parked_until(self) noexcept
    cdef int _wait(self, bint is_ready) except -1
    cdef inline int64_t from_now(self, int64_t ms) noexcept
    cdef int64_t soonest(self, int64_t deadline_ms) noexcept
    cdef inline bint has_hung(self) noexcept
    cdef int _more_body(self) except -99
    cdef int _more_answer(self) except -99
    cdef int _fill_pipe(self) except -99
    cdef Py_ssize_t _drain_pipe(self) except -3
    cdef int _take_head(self, Py_ssize_t length) except -99
    cdef int _take_payload(self, Py_ssize_t count) except -99
    cdef int _interim(self, Py_ssize_t length) except -1
