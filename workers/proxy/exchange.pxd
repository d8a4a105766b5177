"""One request and its answer, from the head to the account."""
from libc.stdint cimport int64_t

from mesh.http1.body cimport Body
from mesh.http1.head cimport RequestHead, ResponseHead
from mesh.http1.hop cimport Peer, Rewrite
from workers.proxy.door cimport Door
from workers.proxy.outcome cimport Outcome
from workers.proxy.stream cimport Piece, Stream
from workers.proxy.upstream cimport Pool, Upstream

cdef enum:
    # how the conversation with an endpoint ended
    ANSWERED = 0        # the whole answer is with the client
    LOST                # the connection broke before a byte of an answer
    ODD                 # the answer is not HTTP as it must be, or broke off in its head
    LATE                # no answer in time
    CUT                 # the answer broke off, or took too long, after the client had its head
    GONE                # the client
    SLOW                # the client sends its body too slowly
    BROKEN              # the client's body is not framed as it must be


cdef class Client(Stream):
    cdef Door door
    cdef Peer peer
    cdef int port
    cdef object resume              # the switch of this connection's greenlet
    cdef int64_t opened_ms
    cdef int64_t hung_ms            # its end of stream was seen while a request was under way; 0: no
    cdef int served                 # requests
    cdef int in_a_row               # since it last waited
    cdef bint idle                  # waits for a request
    cdef bint has_left(self)
    cdef bint _gives_way(self) except -1
    cdef bint _next(self) except -1


cdef class Exchange:
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
    cdef bytes up_tail, client_tail # the end of a chunked body with its trailers, for the pieces to point to
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
    cdef int64_t sent_us, ended_us  # when the request had been sent, when the endpoint's last byte had come
    cdef int64_t answered_ms        # when the head of the answer had come
    cdef bint run(self, Client client) except -1
    cdef bint _exchange(self) except -1
    cdef inline bint _is_taken(self) noexcept
    cdef inline bint _is_last(self) noexcept
    cdef int _read_head(self) except -2
    cdef bint _route(self) except -1
    cdef bint _forward(self) except -1
    cdef bint _another(self, list tried) except -1
    cdef int _prepare(self) except -1
    cdef int _take_body(self, Py_ssize_t count) except -9
    cdef int _converse(self) except -1
    cdef int _wait(self, bint is_ready) except -1
    cdef inline Pool pool(self)
    cdef inline int64_t _from_now(self, int64_t ms) noexcept
    cdef int64_t _soonest(self, int64_t deadline_ms) noexcept
    cdef inline bint _has_hung(self) noexcept
    cdef int _more_body(self) except -99
    cdef int _more_answer(self) except -99
    cdef int _take_head(self, Py_ssize_t length) except -99
    cdef int _take_payload(self, Py_ssize_t count) except -99
    cdef int _interim(self, Py_ssize_t length) except -1
    cdef int _need_back(self, Py_ssize_t room) except -1
    cdef bint _end(self, int how) except -1
    cdef bint _finish(self) except -1
    cdef int _tunnel(self) except -1
    cdef bytes _request_id(self)
    cdef bint _answer(self, int status, const char *why) except -1
    cdef bint _send_to_client(self) except -1
    cdef int _linger(self) except -1
    cdef int _settle(self) except -1

cdef Client new_client(Door door, int fd, bytes address, int port)
cpdef converse(Client client)
