"""Connections to endpoints: a pool for each, and what a connection adds to a stream."""
from libc.stdint cimport int64_t

from workers.proxy.stream cimport Stream


cdef enum:
    QUIET               # nothing has come in
    ENDED               # the other side has closed it
    NOISY               # bytes that nobody asked for, or a broken connection

cdef enum:
    CLOSINGS = 8        # that are remembered


cdef class Upstream(Stream):
    cdef readonly Pool pool
    cdef bint idle              # in its pool; else it belongs to one exchange
    cdef bint reused            # it has carried a request before
    cdef int64_t since_us       # when it became idle
    # After the connect: 0, or TIMED_OUT, WOKEN, FAILED
    cdef int secure(self, Stream client, object thread, int64_t deadline_ms) except -3
    cdef int look(self)         # QUIET, ENDED or NOISY
    cdef bint holds(self)       # bytes are here of which no event of the socket tells


cdef class SecureUpstream(Upstream):
    cdef object _tls, _incoming, _outgoing
    cdef bytes _owed            # ciphertext that the socket did not take yet
    cdef bint _finishing        # our side ends when it has
    cdef int _flush(self) except -3
    cdef Py_ssize_t _refill(self) except -3


cdef class Pool:
    cdef readonly str url
    cdef readonly bytes host        # of the endpoint: a name or an address
    cdef readonly int port
    cdef readonly list idle     # the freshest last
    cdef readonly list addresses    # packed sockaddrs; [] while the name is not resolved
    cdef readonly object context    # ssl.SSLContext, or None for http
    cdef object server_name
    cdef Py_ssize_t _most_idle
    cdef int64_t _idle_ms
    cdef int64_t dial_ms, answer_ms     # of its transport; 0: no limit
    cdef int _turn
    cdef bint _retired
    cdef const char *why        # after a connect that failed: what to tell the client, and with which status
    cdef int status
    cdef bint is_lacking        # and it was the proxy that lacked something, which says nothing of the endpoint
    cdef readonly int64_t made      # connections that were made
    # What the endpoint's idle time seems to be, in microseconds; 0: not known
    cdef int64_t _closed_us[CLOSINGS]
    cdef int _closings
    cdef int64_t _limit_us
    cdef int64_t _said_us       # by Keep-Alive: timeout
    cdef int64_t _proven_us     # an idle connection was seen alive at this age
    # An idle one, the freshest first, if it is surely not about to be closed; None.  may_repeat: to lose it is no harm
    cdef Upstream take(self, bint may_repeat)
    cdef bint _is_young(self, int64_t age_us, int64_t now_us, bint may_repeat)
    cdef void _learn(self, int64_t age_us)
    cdef void keep_alive_said(self, int64_t seconds)
    # A new one: None, and `how` is TIMED_OUT, WOKEN or FAILED
    cdef Upstream connect(self, Stream client, object thread, int64_t deadline_ms, int *how)
    cdef int _dial(self, Upstream up, bytes address, Stream client, object thread, int64_t deadline_ms) except -3
    cdef void give(self, Upstream up)
    cdef void lost(self, Upstream up, int seen)
