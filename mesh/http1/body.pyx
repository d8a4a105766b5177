"""Where a message's body ends (RFC 9112 section 6 and 7), decided byte by byte, nothing buffered but trailers.

Owns the framing of one body: a length, chunks, or the end of the connection.  It refuses what two readers could frame
differently: anything but CRLF, white space in a chunk-size line, sizes that overflow.  Chunk extensions are read, as
strictly, and dropped: nobody end to end can rely on them (RFC 9112 7.1.1).  Payload is never looked at.  Floor 1.
"""
from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memchr, memmove

from mesh.http1.fields cimport OTHER, REFERER, USER_AGENT, Line, scan_field
from mesh.http1.grammar cimport h1_hex, h1_is_text_byte, h1_is_token

cdef enum:
    # states of a chunked body
    SIZE = 0            # a digit of a chunk size, or what may follow it
    NAME_FIRST          # the first byte of a chunk extension's name
    NAME
    VALUE_FIRST
    VALUE
    QUOTED
    ESCAPED             # behind a backslash in a quoted value
    AFTER_QUOTED
    SIZE_LF
    DATA
    DATA_CR
    DATA_LF
    TRAILER_LINE        # the first byte of a line of the trailer section
    TRAILER_REST
    LAST_LF             # of the empty line that ends the message

    SIZE_DIGITS = 16            # of 64 bits
    SIZE_LINE = 4096            # bytes of one chunk-size line
    # A chunk may spend 16 bytes on its size line, and a body 16 KiB more than that in all (a chunk gives back what its
    # payload is worth twice over).  Without it one byte of payload could cost 4 KiB, and limits on bodies count payload
    # only: the same rule as Go's since CVE-2023-39326.
    SIZE_LINE_FREE = 16
    EXCESS = 16384
    # A trailer section is held until the message ends.  gRPC's, the longest in common use, stay below 8 KiB.
    TRAILER_BYTES = 16384
    TRAILER_LINES = 64

# Fields that must not come as trailers (RFC 9110 6.5.1), since they frame, route, authenticate or describe what has passed
# already.  They are dropped, as are those which the proxy says itself.
cdef frozenset NOT_IN_TRAILERS = frozenset((
    b"age", b"authorization", b"cache-control", b"content-encoding", b"content-location", b"content-range", b"content-type",
    b"cookie", b"expires", b"forwarded", b"if-match", b"if-modified-since", b"if-none-match", b"if-range",
    b"if-unmodified-since", b"location", b"pragma", b"proxy-authentication-info", b"range", b"retry-after", b"set-cookie",
    b"vary", b"warning", b"www-authenticate"))


cdef class Body:
    """One body on its way through; `start` before the first byte of each."""

    def __init__(self):
        self.start(False, 0)

    cdef void start(self, bint chunked, int64_t length) noexcept:
        """`length` of a body that is not chunked, -1 until the connection closes.  A request without length has 0."""
        self.chunked = chunked
        self.left = 0 if chunked else length
        self.done = not chunked and length == 0
        self.why = NULL
        self.state = SIZE
        self.overhead = 0
        self._digits = self._lines = 0
        self._line = 0
        self._trailers = None

    cdef int _broken(self, const char *why) noexcept:
        self.why = why
        return -1

    cdef Py_ssize_t feed(self, char *data, Py_ssize_t n, Py_ssize_t *payload) noexcept:
        cdef Py_ssize_t taken
        payload[0] = 0
        if self.done:
            return 0
        if self.why is not NULL:
            return -1
        if self.chunked:
            return self._feed_chunks(data, n, payload)
        taken = n if self.left < 0 or n < self.left else <Py_ssize_t>self.left
        if self.left > 0:
            self.left -= taken
            self.done = self.left == 0
        payload[0] = taken
        return taken

    cdef Py_ssize_t _feed_chunks(self, char *data, Py_ssize_t n, Py_ssize_t *payload) noexcept:
        cdef Py_ssize_t i = 0, out = 0, length
        while i < n:
            if self.state == DATA:
                length = n - i if n - i < self.left else <Py_ssize_t>self.left
                if i != out:
                    memmove(data + out, data + i, length)
                out += length
                i += length
                self.left -= length
                if self.left == 0:
                    self.state = DATA_CR
            elif self.state >= TRAILER_LINE:
                length = self._feed_trailers(data + i, n - i)
                if length < 0:
                    return -1
                i += length
                if self.done:
                    break
            else:
                if self._step(data[i]) < 0:
                    return -1
                i += 1
        payload[0] = out
        return i

    cdef int _step(self, char c) noexcept:
        """One byte of what stands between payloads; -1 where it must not stand there."""
        cdef int digit
        if self.state == DATA_CR or self.state == DATA_LF:
            if c != (c'\r' if self.state == DATA_CR else c'\n'):
                return self._broken(b"a chunk does not end where its size says")
            self.state = DATA_LF if self.state == DATA_CR else SIZE
            return 0
        self._line += 1
        if self._line > SIZE_LINE:
            return self._broken(b"a chunk-size line is too long")
        if self.state == SIZE:
            digit = h1_hex(c)
            if digit >= 0:
                self._digits += 1
                if self._digits > SIZE_DIGITS or self.left > 0x7ffffffffffffff:
                    return self._broken(b"a chunk size is too large")
                self.left = 16 * self.left + digit
                return 0
            if self._digits and c == b";":
                self.state = NAME_FIRST
                return 0
            if not self._digits or c != b"\r":
                return self._broken(b"a chunk size is not a hexadecimal number")
            self.state = SIZE_LF
            return 0
        if self.state == SIZE_LF:
            return self._size_line() if c == b"\n" else self._broken(b"a chunk-size line does not end with CRLF")
        return self._extension(c)

    cdef int _extension(self, char c) noexcept:
        """`*( ";" name [ "=" ( token / quoted-string ) ] )`, without the white space that RFC 9112 still tolerates there.

        Readers differ about that white space, and no client sends it.
        """
        if self.state == QUOTED or self.state == ESCAPED:
            if not h1_is_text_byte(<uint8_t>c):
                return self._broken(b"a chunk extension has a control character")
            if self.state == ESCAPED:
                self.state = QUOTED
            elif c == b"\\":
                self.state = ESCAPED
            elif c == b"\"":
                self.state = AFTER_QUOTED
            return 0
        if h1_is_token(c) and self.state != AFTER_QUOTED:
            if self.state == NAME_FIRST or self.state == VALUE_FIRST:
                self.state += 1
        elif c == b"\"" and self.state == VALUE_FIRST:
            self.state = QUOTED
        elif self.state == NAME_FIRST or self.state == VALUE_FIRST:
            return self._broken(b"a chunk extension is malformed")
        elif c == b"=" and self.state == NAME:
            self.state = VALUE_FIRST
        elif c == b";":
            self.state = NAME_FIRST
        elif c == b"\r":
            self.state = SIZE_LF
        else:
            return self._broken(b"a chunk extension is malformed")
        return 0

    cdef int _size_line(self) noexcept:
        """A chunk-size line is whole: payload follows, or the trailer section."""
        self.overhead = max(self.overhead + self._line - SIZE_LINE_FREE - 2 * <Py_ssize_t>min(self.left, EXCESS), 0)
        if self.overhead > EXCESS:
            return self._broken(b"the chunks are mostly extensions")
        self._line = self._digits = 0
        self.state = DATA
        if self.left == 0:
            self.state, self.overhead = TRAILER_LINE, 0
        return 0

    cdef Py_ssize_t _feed_trailers(self, char *data, Py_ssize_t n) noexcept:
        """Takes what belongs to the line under way, at most the whole of it; n > 0."""
        cdef char *lf
        cdef Py_ssize_t taken
        if self.state == LAST_LF:
            if data[0] != b"\n":
                return self._broken(b"the trailer section has a bare CR")
            self.done = True
            return 1
        if self.state == TRAILER_LINE:
            if data[0] == b"\r":
                self.state = LAST_LF
                return 1
            self.state = TRAILER_REST
        lf = <char *>memchr(data, b"\n", n)
        taken = lf - data + 1 if lf is not NULL else n
        self.overhead += taken
        if self.overhead > TRAILER_BYTES:
            return self._broken(b"the trailer section is too large")
        try:
            if self._trailers is None:
                self._trailers = bytearray()
            self._trailers += data[:taken]
            if lf is not NULL and self._trailer_line() < 0:
                return -1
        except MemoryError:
            return self._broken(b"no memory is left for the trailer section")
        return taken

    cdef int _trailer_line(self) except -2:
        """The line at the end of what was kept is whole: it stays there, or it is taken out again."""
        cdef Line line
        cdef const char *why = NULL
        cdef const char *kept = self._trailers
        self._lines += 1
        if self._lines > TRAILER_LINES:
            return self._broken(b"the trailer section has too many lines")
        if scan_field(kept, self._line, len(self._trailers) - 1, &line, &why):
            return self._broken(why)
        # A name with a number is known because a proxy must: none of them is for the end of a message, but these two.
        if (line.id not in (OTHER, USER_AGENT, REFERER)
                or kept[line.at:line.at + line.name_len].lower() in NOT_IN_TRAILERS):
            del self._trailers[self._line:]
        self._line = len(self._trailers)
        self.state = TRAILER_LINE
        return 0

    cdef bytes trailers(self):
        return b"" if self._trailers is None else bytes(self._trailers)

    # For callers in Python, such as tests and fuzzers; the data path calls start() and feed().

    def begin(self, bint chunked, int64_t length):
        """start()."""
        self.start(chunked, length)

    def feed_bytes(self, bytes data not None):
        """feed(): (how many were consumed, or -1; the payload among them)."""
        cdef bytearray room = bytearray(data)
        cdef Py_ssize_t payload = 0
        consumed = self.feed(room, len(room), &payload)
        return consumed, bytes(room[:payload])

    def facts(self):
        """Where it stands."""
        return {"done": bool(self.done), "left": self.left, "trailers": self.trailers(),
                "why": None if self.why is NULL else self.why.decode("ascii")}

