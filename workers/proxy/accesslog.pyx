"""One line per request, written without ever waiting.

Owns the buffer between the requests and the thread that writes (logwriter.pyx), and the account of what found no room.
What a line looks like is logline.pyx's.  It refuses to cost a request anything but the formatting: a disk that is full,
slow or gone loses lines, which are counted, never time.  Floor 3.
"""
import os
import time
from errno import EAGAIN

from libc.string cimport memmove

from mesh.http1.head cimport RequestHead
from mesh.plan cimport Endpoint, Route, Service
from mesh.shared.series cimport GAUGE_LOG_DROPPED, Column
from workers.proxy.logline cimport LINE_BYTES, PIPE_LINE_BYTES, Form
from workers.proxy.logwriter cimport LogWriter
from workers.proxy.outcome cimport Outcome

cdef enum:
    BUFFER_BYTES = 1 << 20      # of each of the two: some 2,500 lines, a stall of 100 ms at 25,000 requests/s
    HAND_OVER_BYTES = 1 << 16   # so much is handed over at once if the thread is free: what is read and written again
                                # is still in the cache, and waking the thread (2 us) is shared by 150 lines
    OVERSHOOT = 16              # bytes behind a line that its writing may spoil

CLOSE_S = 1.0                   # how long close() waits for a reader or a disk
CALM_S = 2.0                    # so long nothing was lost: it is well again


cdef class AccessLog:
    """The access log of one worker, made in the worker: it starts a thread.

    `told` is the static configuration's access log (mesh.model.AccessLog), `column` the worker's, whose
    GAUGE_LOG_DROPPED counts with `dropped`, or None.  A file that cannot be opened is no error: it is tried again, and
    `log` hears of it once, and once when it is well again.
    """

    def __cinit__(self, told, Column column, log):
        self._column, self._log = column, log
        self._gauge = NULL if column is None else column.gauges + GAUGE_LOG_DROPPED
        self._where = told.file_path or "on standard output"
        self._json = told.format == "json"
        self._form = Form()
        self._size = BUFFER_BYTES
        self._writer = LogWriter(os.fsencode(told.file_path), BUFFER_BYTES, LINE_BYTES + OVERSHOOT)
        self._buffer = self._writer.buffer()

    cdef void record(self, Outcome outcome) noexcept:
        cdef Py_ssize_t limit
        cdef char *line
        cdef char *end
        self._count += 1
        if self._buffer == NULL:
            self._drop(1)
            return
        # There are LINE_BYTES of room behind the buffer's size: the line is put first and measured afterwards.
        limit = PIPE_LINE_BYTES if self._writer.pieces() else LINE_BYTES
        line = self._buffer + self._used
        if self._json:
            end = self._form.json(line, limit, outcome, self._count)
        else:
            end = self._form.common(line, limit, outcome, self._count)
        if self._used + (end - line) > self._size:
            if not self._hand_over():
                self._drop(1)
                return
            memmove(self._buffer, line, end - line)
        self._used += end - line
        if self._used >= HAND_OVER_BYTES:
            self._hand_over()

    cdef bint _hand_over(self) noexcept:
        """Gives the thread what has gathered; False while it is not done with what it got before."""
        cdef char *other = self._writer.exchange(self._used)
        if other == NULL:
            return False
        self._buffer = other
        self._used = 0
        return True

    cdef void _drop(self, int64_t lines) noexcept:
        self.dropped += lines
        if self._gauge != NULL:
            self._gauge[0] += lines

    def tick(self):
        """Every 100 ms: hands over what has gathered, and says if something is wrong or well again."""
        if self._buffer == NULL:
            return
        if self._used:
            self._hand_over()
        cdef int reopening = self._writer.take_reopen_error()
        if reopening:
            self._log.warning("access log %s: %s; the old file is written on", self._where, os.strerror(reopening))
        cdef int error = self._writer.error()
        if error == EAGAIN:     # nobody reads at the moment: that alone loses nothing
            error = 0
        if error or self.dropped != self._seen_dropped:
            self._calm_since = time.monotonic()
            if not self._in_trouble:
                self._in_trouble = True
                self._dropped_before = self._seen_dropped
                self._log.warning("access log %s: %s; lines that find no room in memory are dropped and counted",
                                  self._where, os.strerror(error) if error else "it is written too slowly")
            self._seen_dropped = self.dropped
        elif self._in_trouble and self._writer.idle() and time.monotonic() - self._calm_since >= CALM_S:
            self._in_trouble = False
            self._log.warning("access log %s: it is written again; %d lines were dropped", self._where,
                              self.dropped - self._dropped_before)

    def reopen(self):
        """After a rotation: goes on in a new file of the old name, or in the old one if that cannot be made."""
        if self._buffer != NULL:
            self._writer.reopen()

    def close(self):
        """Writes what is left, for CLOSE_S at most, and ends the thread.  What comes afterwards is dropped."""
        if self._buffer != NULL:
            self._buffer = NULL
            self._drop(self._writer.close(self._used, CLOSE_S))

    @property
    def waiting(self):
        """Bytes of lines that are not written yet; 0 after close()."""
        return 0 if self._buffer == NULL else self._used + self._writer.unwritten()

    def tell(self, Outcome outcome not None):
        """One line; what the data path does by `record`, for callers in Python."""
        self.record(outcome)

    def tell_often(self, Outcome outcome not None, int times):
        """So many lines of the same outcome, without Python in between: for measurements."""
        for _ in range(times):
            self.record(outcome)

    def __repr__(self):
        return f"<AccessLog {self._where}, {self._count} requests, {self.dropped} dropped>"


cdef class Told(Outcome):
    """An outcome that owns the bytes behind its head and its sentence."""
    cdef bytes _raw, _why


def outcome_of(raw=None, RequestHead head=None, Route route=None, Service service=None, Endpoint endpoint=None,
               why=None, entry_point="web", peer=(b"127.0.0.1", 50000), request_id=None, status=200, origin_status=0,
               cut=False, retries=0, began_at_us=0, duration_us=0, origin_us=0, bytes_in=0, bytes_out=0,
               origin_bytes=0):
    """An outcome of plain facts, for callers in Python; names as in Outcome.

    `raw` is the head of a request as sent, which `head`, an unused RequestHead, parses; ValueError when it is refused
    or not whole.
    """
    cdef Told told = Told()
    told.clear()
    if raw is not None:
        told._raw, told.head = raw, head
        if head.parse(told._raw, len(told._raw)) <= 0:
            raise ValueError((<bytes>head.why).decode() if head.why != NULL else "the head is not whole")
        told.has_head = True
    if why is not None:
        told._why = why.encode()
        told.why = told._why
    told.route, told.service, told.endpoint = route, service, endpoint
    told.entry_point, told.request_id = entry_point, request_id
    told.peer_host, told.peer_port = peer
    told.status, told.origin_status, told.cut, told.retries = status, origin_status, cut, retries
    told.began_at_us, told.duration_us, told.origin_us = began_at_us, duration_us, origin_us
    told.bytes_in, told.bytes_out, told.origin_bytes = bytes_in, bytes_out, origin_bytes
    return told
