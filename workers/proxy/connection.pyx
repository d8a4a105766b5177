"""A connection's life: parked, served from the hub, or in the hands of a greenlet.

Owns who serves a connection at each moment.  The hub does as long as nothing but requests and answers come; whatever else
happens (a connect, a body, a slow side, an end, a time-out) is a greenlet's, which goes on from where the hub has left
it.  So a request that goes to an idle connection and is answered switches to no greenlet, which was a third of our
instructions, and none is kept while a connection waits or is idle.  Floor 3.
"""
from libc.stdint cimport int64_t

from workers.proxy.client cimport Client
from workers.proxy.door cimport Door
from workers.proxy.exchange cimport Exchange
from workers.proxy.relay cimport ANSWERED, UNDER_WAY
from workers.proxy.stream cimport AGAIN, SMALL, TIMED_OUT, WOKEN, now_us, watch

from gevent import get_hub
from greenlet import greenlet

cdef enum:
    SPARE = 256                 # exchanges kept for the next requests

cdef list spare = []


cdef class Connection(Client):
    """One client's connection."""

    cdef void stirred(self):
        # In the hub, idle until now.
        try:
            self._look(False)
        except Exception:
            self._broke()

    cdef void answered(self):
        # In the hub: the endpoint has sent something, while all that was waited for is that.
        cdef Exchange exchange = self.exchange
        try:
            exchange.how = exchange.advance()
            if exchange.how == UNDER_WAY and exchange.may_park():
                return
            exchange.up.parked = False
            exchange.up.partner = None
            if exchange.how != ANSWERED or exchange.closing or exchange.is_tunnel:
                self._hand_over()
                return
            self.exchange = None
            self.deadline_ms = 0
            try:
                exchange.finish()
            finally:
                give_back(exchange)
            if self.n or self.readable:
                self._hand_over()           # its next request has come already
            else:
                self.park()
        except Exception:
            self._broke()

    cdef void unasked(self):
        if self.exchange is None:
            Client.unasked(self)
            return
        self.has_left()
        if self.readable:
            self._stop_reading()
            self._hand_over()

    cdef void expired(self, int64_t now_ms):
        if self.thread is not None:
            self.wake(TIMED_OUT)
            return
        try:
            if self.exchange is not None:
                self._hand_over()
            else:
                self._look(True)            # at the end of its time, one last look
        except Exception:
            self._broke()

    cdef int _look(self, bint at_its_end) except -1:
        """An idle client may have said something."""
        cdef Exchange exchange
        cdef Py_ssize_t got
        self.parked = self.idle = False
        self.deadline_ms = 0
        self.need(SMALL)
        got = self.recv()
        if got == AGAIN and not at_its_end:
            return self.park()
        if got <= 0:
            return self._over()
        exchange = <Exchange>spare.pop() if spare else Exchange()
        self.exchange = exchange
        if exchange.begin(self):
            if exchange.how == UNDER_WAY and exchange.may_park():
                exchange.up.partner = self
                exchange.up.parked = True
                self.deadline_ms = exchange.parked_until()
                watch(exchange.up)
                return watch(self)
        else:
            self.exchange = None
            give_back(exchange)
        return self._hand_over()

    cdef int _hand_over(self) except -1:
        """To a greenlet, which goes on from here."""
        self.deadline_ms = 0
        if self.exchange is not None and self.exchange.up is not None:
            self.exchange.up.parked = False
            self.exchange.up.partner = None
        thread = greenlet(self._live, get_hub())
        self.thread = thread
        thread.switch()
        return 0

    def _live(self):
        """A greenlet's life: until the connection is over, or parked."""
        cdef Exchange exchange = self.exchange
        cdef bint goes_on = True
        try:
            if exchange is not None:
                self.exchange = None
                try:
                    goes_on = exchange.go_on()
                finally:
                    give_back(exchange)
            while goes_on and self.awaits_request():
                exchange = <Exchange>spare.pop() if spare else Exchange()
                try:
                    goes_on = exchange.run(self)
                finally:
                    give_back(exchange)
        except Exception:
            self.door.logger.exception("a connection ended by an error inside hostmesh")
        finally:
            self.thread = None
            if not self.parked:
                self._over()

    cdef int _over(self) except -1:
        self.close()
        if self.front is not None:
            self.front.farewell(self.door)
            self.front = None
        return 0

    cdef void _broke(self):
        cdef Exchange exchange = self.exchange
        self.door.logger.exception("a connection ended by an error inside hostmesh")
        self.exchange = None
        try:
            if exchange is not None:
                exchange.abandon()
            self._over()
        except Exception:
            self.door.logger.exception("and could not be closed")

    def begin(self):
        """From the hub: it has just been accepted."""
        self.stirred()

    def abort(self):
        """From the hub: whatever goes on, it ends now."""
        if self.fd < 0:
            return
        if self.parked:
            self._over()
            return
        if self.thread is None:
            self._hand_over()
        self.wake(WOKEN)


cdef Connection new_connection(Door door, object front, int fd, bytes address, int port):
    cdef Connection connection = Connection.__new__(Connection)
    connection.open(fd)
    connection.door, connection.front, connection.port = door, front, port
    connection.peer = door.peer(address)
    connection.opened_ms = now_us() // 1000
    return connection


cdef void give_back(Exchange exchange):
    exchange.client = None
    if len(spare) < SPARE:
        spare.append(exchange)
