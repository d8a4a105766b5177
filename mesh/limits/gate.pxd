"""A step between router and service that may refuse a request; what plans hold and the request path asks."""
from libc.stdint cimport int64_t, uint64_t

from mesh.limits.source cimport Source

cdef enum:
    # what a gate says
    PASSED = 0
    REFUSED
    PENDING             # a lease is being asked for: ask again in a millisecond, with how long it has been waited

    # how a request ended, for those that hear of it
    HEARD_ANSWER = 0    # an endpoint answered; `status` is its own
    HEARD_NETWORK       # no endpoint did: refused, reset, timed out or broke off
    HEARD_NOTHING       # the client left, or another gate refused: says nothing


cdef struct Leave:
    # What a gate gave to one request: kept by the request until it is over, and for the headers of its answer.
    int64_t wait_ns     # refused: how long until coming again makes sense; 0: nobody knows
    int64_t most        # what is allowed: tokens of a full bucket, requests at once; -1: not said
    int64_t left        # what is left of it; -1: not said
    int64_t reset_ns    # until all of it is left; 0: not said
    int64_t held        # of what is taken back: the number of a count, a time; -1: nothing


cdef class Gate:
    cdef readonly str name              # qualified: the middleware's or the service's
    cdef readonly str kind              # Traefik's word: rateLimit, inFlightReq, circuitBreaker; or adaptiveConcurrency
    cdef readonly Source source         # whose request it is; None: all are alike
    cdef readonly bint holds            # `left` is to be called when a request that passed is over
    cdef readonly int status            # of the answer to a refused request: 429, 503
    cdef readonly bytes why             # the sentence in it
    cdef readonly object fallback       # the service that takes a refused request instead; None: it is answered
    cdef readonly bint tells            # its state is told in headers of every answer
    cdef readonly bytes policy          # the RateLimit-Policy of it, where it tells
    # Whether one request may pass now.  `who` and `hash` are the source's (b"" and 0 without one); `waited_us`: since it
    # was first asked for this request.
    cdef int enter(self, bytes who, uint64_t hash, int64_t now_ns, int64_t waited_us, Leave *leave) noexcept
    # The request is over: exactly once for each that passed, where the gate holds.
    cdef void left(self, const Leave *leave, int heard, int status, int64_t took_us, int64_t now_ns) noexcept
