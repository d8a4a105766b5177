"""The front of a worker: listeners, connections as they come, and the plan that all of them serve from.

Owns accepting and leaving: a greenlet for each connection, the swap of the plan (one reference per entrypoint, nothing
closed), the polite end (idle clients are let go, busy ones after their answer), and the clock that everybody looks at.
What one connection does, exchange.pyx knows; the process around it is worker.py's.  Floor 3.
"""
from libc.errno cimport EAGAIN, ECONNABORTED, EINTR, EMFILE, ENFILE, ENOBUFS, ENOMEM, errno
from libc.stdint cimport int64_t

import logging
import socket
import ssl
import time

import gevent
from gevent import get_hub
from gevent.event import Event

from mesh.shared.series cimport GAUGE_CONNECTIONS, GAUGE_ENTRYPOINTS, GAUGE_GENERATION, GAUGE_LOG_DROPPED, Column
from workers.proxy.accesslog cimport AccessLog
from workers.proxy.connection cimport Connection, new_connection
from workers.proxy.door cimport Door
from workers.proxy.upstream cimport Pool

from mesh.shared.cells cimport cell_store
from workers.proxy import door as doors
from workers.proxy import exchange, stream
from workers.proxy.resolver import Resolver
from workers.proxy.upstream import KEEP_ALIVE
from workers.tls import context_of

cdef extern from "sys/socket.h" nogil:
    struct sockaddr:
        unsigned short sa_family
    struct sockaddr_storage:
        pass
    ctypedef unsigned int socklen_t
    int accept4(int, sockaddr *, socklen_t *, int)
    enum:
        SOCK_NONBLOCK
        SOCK_CLOEXEC
        AF_INET

cdef extern from "netinet/in.h" nogil:
    struct in_addr:
        pass
    struct in6_addr:
        unsigned char s6_addr[16]
    struct sockaddr_in:
        unsigned short sin_port
        in_addr sin_addr
    struct sockaddr_in6:
        unsigned short sin6_port
        in6_addr sin6_addr
    unsigned short ntohs(unsigned short)

cdef extern from "arpa/inet.h" nogil:
    const char *inet_ntop(int, const void *, char *, socklen_t)

cdef enum:
    ACCEPTED_AT_ONCE = 16       # by one event; the rest is left to the other workers
    MAPPED = 7                  # length of "::ffff:" before an IPv4 address that came to an IPv6 socket
    ENTRYPOINT_GAUGES = 16

IDLE_LEAVES_MS = 1000           # at a drain: an idle client may have its next request on the way
TIRED_S = 0.5                   # without descriptors or memory: how long nothing is accepted


cdef class Listening:
    """One entrypoint's listening socket in this worker."""
    cdef Door door
    cdef Front front
    cdef object sock, watcher
    cdef int fd

    def __init__(self, Door door, Front front, sock):
        self.door, self.front, self.sock, self.fd = door, front, sock, sock.fileno()
        self.watcher = get_hub().loop.io(self.fd, 1)
        # Accepted sockets inherit these on Linux: no calls for each of them.  Who has vanished is found out in 2 minutes.
        for level, option, value in ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1), *KEEP_ALIVE):
            sock.setsockopt(level, option, value)

    def start(self):
        self.watcher.start(self._accept)

    def stop(self):
        self.watcher.stop()

    def close(self):
        self.watcher.stop()
        self.watcher.close()

    def accept_all(self):
        """Takes in whoever waits, before nobody accepts any more: the kernel resets who waits at a port that closes."""
        while not self.front.tired and self._accept() == ACCEPTED_AT_ONCE:
            pass

    def _accept(self):
        """Takes in some of those that wait; answers how many."""
        cdef sockaddr_storage address
        cdef socklen_t size
        cdef char text[64]
        cdef const char *shown
        cdef int count, fd, port
        for count in range(ACCEPTED_AT_ONCE):
            size = sizeof(address)
            fd = accept4(self.fd, <sockaddr *>&address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC)
            if fd < 0:
                if errno == EINTR or errno == ECONNABORTED:
                    continue
                if errno == EMFILE or errno == ENFILE or errno == ENOBUFS or errno == ENOMEM:
                    self.front.rest(self)
                return count
            if (<sockaddr *>&address).sa_family == AF_INET:
                shown = inet_ntop(AF_INET, &(<sockaddr_in *>&address).sin_addr, text, sizeof(text))
                port = ntohs((<sockaddr_in *>&address).sin_port)
            else:
                shown = inet_ntop((<sockaddr *>&address).sa_family, &(<sockaddr_in6 *>&address).sin6_addr, text,
                                  sizeof(text))
                port = ntohs((<sockaddr_in6 *>&address).sin6_port)
                if shown is not NULL and is_mapped(&(<sockaddr_in6 *>&address).sin6_addr):
                    shown += MAPPED
            self.front.welcome(self.door, fd, shown if shown is not NULL else b"", port)
        return ACCEPTED_AT_ONCE


cdef bint is_mapped(in6_addr *address) noexcept:
    cdef int i
    for i in range(10):
        if address.s6_addr[i]:
            return False
    return address.s6_addr[10] == 0xFF and address.s6_addr[11] == 0xFF


cdef class Front:
    """All entrypoints of one worker; `listeners` are pairs of (EntryPoint, bound socket)."""
    cdef Column column
    cdef object logger, hub, resolver, _second
    cdef AccessLog log
    cdef list listening
    cdef dict doors, pools, contexts
    cdef readonly int connections
    cdef readonly bint accepting
    cdef bint tired
    cdef double tired_until

    def __init__(self, listeners, Column column, static, logger):
        stream.begin()
        doors.begin()
        self.hub = get_hub()
        self.column, self.logger = column, logger
        self.log = None if static.access_log is None else AccessLog(static.access_log, column, logger)
        self.resolver = Resolver(logging.getLogger(f"{logger.name}.names"))
        self.doors, self.pools, self.contexts, self.listening = {}, {}, {}, []
        server = static.host_name.encode("ascii", "replace")
        for number, (entry_point, sock) in enumerate(listeners):
            door = Door(entry_point, column, number, self.log, server, logger)
            self.doors[entry_point.name] = door
            self.listening.append(Listening(door, self, sock))
        self._look_at_clock()

    # The plan

    def resolve(self, plan):
        """Makes a plan fit to serve: connections and addresses for its endpoints.  Waits a little for new names."""
        fresh = []
        for number, endpoint in enumerate(plan.endpoints.values()):
            if endpoint.pool is None:
                endpoint.pool = self._pool(endpoint)
            (<Pool>endpoint.pool).revive()
            if endpoint not in self.pools:
                fresh.append(endpoint.pool)
            if number % 200 == 199:
                gevent.sleep(1e-6)     # not 0: that is no turn of the loop
        self.resolver.resolve(fresh)

    def serve(self, plan, int64_t generation):
        """From the next request on, this plan."""
        cdef Door door
        for name, door in self.doors.items():
            door.table = plan.tables[name]
        here = set(plan.endpoints.values())
        for endpoint in [endpoint for endpoint in self.pools if endpoint not in here]:
            self.pools.pop(endpoint).retire()
        for endpoint in here:
            self.pools[endpoint] = endpoint.pool
        cell_store(self.column.gauges + GAUGE_GENERATION, generation)

    def _pool(self, endpoint):
        if not endpoint.tls:
            return Pool(endpoint, None, None)
        transport = endpoint.transport
        context = self.contexts.get(transport)
        if context is None:
            try:
                context = context_of(transport)
            except ssl.SSLError as error:
                self.logger.error("serversTransport %s: rootCAs cannot be used (%s): no certificate is believed",
                                  transport.name or "default", error.reason or error)
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            self.contexts[transport] = context
        return Pool(endpoint, context, transport.server_name or endpoint.host.decode())

    # Connections

    def start(self):
        """Accepts from now on."""
        self.accepting = True
        for each in self.listening:
            each.start()

    def welcome(self, Door door, int fd, bytes address, int port):
        """A connection has come; called from the hub."""
        self._count(door, 1)
        new_connection(door, self, fd, address, port).begin()

    def farewell(self, Door door):
        """A connection is over."""
        self._count(door, -1)

    cdef _count(self, Door door, int change):
        self.connections += change
        self.column.gauges[GAUGE_CONNECTIONS] += change
        if door.number < ENTRYPOINT_GAUGES:
            self.column.gauges[GAUGE_ENTRYPOINTS + door.number] += change

    def rest(self, Listening tired):
        """There is no descriptor or memory for another connection: those that are there go on."""
        if not self.tired:
            self.logger.error("no descriptors or memory left with %d connections: new ones wait", self.connections)
        self.tired = True
        self.tired_until = time.monotonic() + TIRED_S
        tired.stop()

    def tick(self):
        """To be called ten times a second."""
        stream.sweep()
        self._look_at_clock()
        now = time.monotonic()
        if self.tired and now >= self.tired_until:
            self.tired = False
            if self.accepting:
                self.start()
        self.resolver.tick(now, self.pools)
        if self.log is not None:
            self.log.tick()

    def _look_at_clock(self):
        now_us = time.time_ns() // 1000
        exchange.look_at_clock(now_us)
        if now_us // 1_000_000 != self._second:
            self._second = now_us // 1_000_000
            for door in self.doors.values():
                door.look_at_clock()

    def reopen_log(self):
        if self.log is not None:
            self.log.reopen()

    # Leaving

    def stop_accepting(self, bint takes_in=True):
        """Nobody is accepted any more, but for those that wait already, unless all is to end at once."""
        if takes_in and self.accepting:
            done = Event()
            stream.run_in_hub(self._take_in, done)
            done.wait()
        for each in self.listening:
            each.close()
        self.accepting = False

    def _take_in(self, done):
        """In the hub: a connection that goes on in a greenlet of its own never comes back to whom it was taken from."""
        try:
            for each in self.listening:
                each.accept_all()
        finally:
            done.set()

    def drain(self):
        """Idle clients are let go when no request comes from them for a second; for the others it is the last one."""
        cdef Door door
        for door in self.doors.values():
            door.draining = True
        for each in stream.every():
            if isinstance(each, Connection):
                each.leave_within(IDLE_LEAVES_MS)

    def abort(self):
        """Whatever is under way ends now."""
        cdef Door door
        for door in self.doors.values():
            door.aborting = True
        for each in stream.every():
            if isinstance(each, Connection):
                stream.run_in_hub(each.abort)

    def close(self):
        """The end: the last lines of the access log, and all connections to endpoints."""
        for pool in self.pools.values():
            pool.retire()
        if self.log is not None:
            self.log.close()

    def __repr__(self):
        return f"<Front {', '.join(self.doors)}: {self.connections} connections>"
