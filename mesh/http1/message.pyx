"""What the field lines of a head mean for the connection: framing, persistence, what ends at this hop.

Owns the scan that requests and responses share.  Lines are looked at when they are whole, so the outcome is the same
however the bytes were cut, and no byte is searched twice.  No Python object is made while scanning.  Floor 1.
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdlib cimport free, realloc
from libc.string cimport memchr, memcmp, memset

from mesh.http1.fields cimport (
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, MAX_FORWARDS, OTHER, TRANSFER_ENCODING, UPGRADE, X_FORWARDED, decimal,
    is_coded_and_chunked, next_option, scan_field)
from mesh.http1.grammar cimport h1_is_digit, h1_is_token, h1_same_folded
from mesh.http1.target cimport authority_fault

cdef enum:
    # what Connection says
    CLOSE_OPTION = 1
    KEEP_ALIVE_OPTION = 2
    UPGRADE_OPTION = 4

    LISTED_MOST = 64        # names in Connection: each is compared with every line
    LINES_FIRST = 16
    BYTES_MOST = 0x7fffffff     # offsets have 32 bits


cdef class Head:
    """What requests and responses share."""

    def __init__(self, Py_ssize_t max_bytes=1048576, int max_lines=200):
        """`max_bytes` of a head (Traefik's maxHeaderBytes), `max_lines` of fields in it: what bounds our memory."""
        if not 0 < max_bytes <= BYTES_MOST or max_lines < 1:
            raise ValueError("a head has between 1 and 2**31-1 bytes and at least one line")
        self.max_bytes, self.max_lines = max_bytes, max_lines
        free(self.lines)
        self.lines, self.room = NULL, 0
        self._forget()

    def __dealloc__(self):
        free(self.lines)

    cdef int refuse(self, int status, const char *why) noexcept:
        """Ends the scan; answers -1."""
        self.status, self.why, self.stage = status, why, REFUSED
        return -1

    cdef int _grow(self) noexcept:
        """Room for another line; -1 after a refusal."""
        cdef int wanted
        cdef void *grown
        if self.count >= self.max_lines:
            return self.refuse(431, b"there are too many header fields")
        wanted = min(2 * self.room if self.room else LINES_FIRST, self.max_lines)
        grown = realloc(self.lines, wanted * sizeof(Line))
        if grown is NULL:
            return self.refuse(503, b"no memory is left for the header fields")
        self.lines, self.room = <Line *>grown, wanted
        return 0

    cdef void _forget(self) noexcept:
        self.base = self.why = NULL
        self.count = self.hops = self.status = self.stage = self._options = self._listed = 0
        self.seen = self._begin = self._at = 0
        self.minor = 1
        self.close = self.chunked = self.upgrade = self.expect_continue = False
        self.length = -1
        memset(self.index, 0xff, sizeof(self.index))

    cdef bytes value(self, int id):
        """The value of the first line with this id, or None."""
        if self.index[id] < 0:
            return None
        cdef Line *line = &self.lines[self.index[id]]
        return self.base[line.value:line.value + line.value_len]

    cpdef list header_values(self, bytes lower_name):
        """Every value of a header, in their order."""
        cdef list values = []
        cdef Py_ssize_t length = PyBytes_GET_SIZE(lower_name)
        cdef const char *name = PyBytes_AS_STRING(lower_name)
        cdef Line *line
        cdef int number
        for number in range(self.count):
            line = &self.lines[number]
            if line.name_len == length and h1_same_folded(self.base + line.at, name, length):
                values.append(self.base[line.value:line.value + line.value_len])
        return values

    # For callers in Python, such as tests and fuzzers; the data path calls parse() and reads the fields.

    cdef Py_ssize_t _hold(self, bytes data, Py_ssize_t upto) except -1:
        """How much of data is to be parsed; keeps it alive, as long as offsets count from it."""
        cdef Py_ssize_t n = PyBytes_GET_SIZE(data)
        if 0 <= upto < n:
            n = upto
        if n < self.seen:
            raise ValueError("a message does not become shorter")
        if self.stage < WHOLE:
            self._held = data
        return n

    def field_lines(self):
        """(name, value, is it hop-by-hop) of each line."""
        cdef list lines = []
        cdef Line *line
        cdef int number
        for number in range(self.count):
            line = &self.lines[number]
            lines.append((self.base[line.at:line.at + line.name_len],
                          self.base[line.value:line.value + line.value_len], bool(line.hop)))
        return lines

    def refusal(self):
        """(status, why), or None."""
        return (self.status, self.why.decode("ascii")) if self.stage == REFUSED else None


cdef Py_ssize_t scan_fields(Head head, const char *buf, Py_ssize_t n) noexcept:
    """The lines up to the empty one.  >0: where the body begins; 0: more bytes are needed; -1: refused."""
    cdef const char *found
    cdef Py_ssize_t lf
    cdef Line *line
    cdef int status
    while True:
        found = <const char *>memchr(buf + head.seen, b"\n", n - head.seen)
        lf = found - buf if found is not NULL else n
        if lf - head._begin >= head.max_bytes:      # of a whole line too: how it arrived must not matter
            return head.refuse(431, b"the head is too large")
        if found is NULL:
            head.seen = n
            return 0
        if lf == head._at + 1 and buf[head._at] == b"\r":
            return lf + 1
        if (head.count == head.room or head.count >= head.max_lines) and head._grow() < 0:
            return -1
        line = &head.lines[head.count]
        status = scan_field(buf, head._at, lf, line, &head.why)
        if status:
            return head.refuse(status, head.why)
        if line.id != OTHER:
            if said_of_message(head, buf, line) < 0:
                return -1
            if head.index[line.id] < 0:
                head.index[line.id] = head.count
        head.hops += line.hop
        head.count += 1
        head.seen = head._at = lf + 1


cdef int said_of_message(Head head, const char *buf, Line *line) noexcept:
    """Reads what a field says about the message and the connection; -1 after a refusal."""
    cdef const char *value = buf + line.value
    cdef Py_ssize_t n = line.value_len
    cdef const char *fault
    cdef int id = line.id
    if id == CONTENT_LENGTH:
        if head.index[id] >= 0:
            return head.refuse(400, b"there is more than one Content-Length")
        head.length = decimal(value, n)
        if head.length < 0:
            return head.refuse(400, b"the Content-Length is not a number")
    elif id == TRANSFER_ENCODING:
        if head.index[id] >= 0:
            return head.refuse(400, b"there is more than one Transfer-Encoding")
        if head.minor == 0:
            return head.refuse(400, b"there is a Transfer-Encoding in HTTP/1.0")
        if n != 7 or not h1_same_folded(value, b"chunked", n):
            if is_coded_and_chunked(value, n):
                return head.refuse(501, b"this transfer coding is not implemented")
            return head.refuse(400, b"the Transfer-Encoding is not chunked")
        if has_odd_space(buf, line):
            return head.refuse(400, b"there is odd white space around chunked")
        head.chunked = True
    elif id == CONNECTION:
        return read_connection(head, value, n)
    elif not head.is_response:
        if id == HOST:
            if head.index[id] >= 0:
                return head.refuse(400, b"there is more than one Host")
            if n == 0:      # the target has no authority: RFC 9110 7.2
                return 0
            fault = authority_fault(value, n)
            if fault is not NULL:
                return head.refuse(400, fault)
            if has_odd_space(buf, line):
                return head.refuse(400, b"there is odd white space around the host")
        elif id == EXPECT:
            if head.minor == 0:     # RFC 9110 10.1.1: ignored; so it must not reach an upstream in our HTTP/1.1
                line.hop = 1
            elif n == 12 and h1_same_folded(value, b"100-continue", n):
                head.expect_continue = True
            else:
                return head.refuse(417, b"only 100-continue can be expected")
    return 0


cdef bint has_odd_space(const char *buf, Line *line) noexcept:
    """Is there any white space behind the value, or a tab before it?

    It is not of the value, but for llhttp it is: `chunked HTAB` is not chunked for it, and the host has a tab.  Clients
    send a single space before values.
    """
    return (line.end - 2 != line.value + line.value_len
            or memchr(buf + line.at, b"\t", line.value - line.at) is not NULL)


cdef int read_connection(Head head, const char *at, Py_ssize_t n) noexcept:
    """A list of tokens; empty members count for nothing (RFC 9110 5.6.1)."""
    cdef Py_ssize_t i = 0, length
    cdef const char *option
    while next_option(at, n, &i, &option, &length):
        if length == 5 and h1_same_folded(option, b"close", length):
            head._options |= CLOSE_OPTION
        elif length == 10 and h1_same_folded(option, b"keep-alive", length):
            head._options |= KEEP_ALIVE_OPTION
        elif length == 7 and h1_same_folded(option, b"upgrade", length):
            head._options |= UPGRADE_OPTION
        else:
            head._listed += 1
            if head._listed > LISTED_MOST:
                return head.refuse(400, b"Connection lists too many names")
    if i < n:
        return head.refuse(400, b"Connection is not a list of names")
    return 0


cdef void drop_listed(Head head, const char *buf) noexcept:
    """Marks the fields that Connection lists, wherever it stands.

    Never what the proxy relies on or adds itself: a client must not be able to take that away from an upstream.
    """
    cdef Line *line
    cdef Line *other
    cdef const char *option
    cdef Py_ssize_t i, length
    cdef int number, second
    for number in range(head.count):
        line = &head.lines[number]
        if line.id != CONNECTION:
            continue
        i = 0
        while next_option(buf + line.value, line.value_len, &i, &option, &length):
            for second in range(head.count):
                other = &head.lines[second]
                if other.hop or other.name_len != length or other.id == HOST or other.id == CONTENT_LENGTH or (
                        other.id == EXPECT or X_FORWARDED <= other.id <= MAX_FORWARDS):
                    continue
                if h1_same_folded(buf + other.at, option, length):
                    other.hop = 1
                    head.hops += 1


cdef bint wants_upgrade(Head head, const char *buf) noexcept:
    """Does an Upgrade header name a protocol, and none name h2c, and is there no body?

    Behind a switch to h2c every further request would pass unseen, and RFC 9113 3.1 has withdrawn it.  A body before
    the switch is read by some as the new protocol (llhttp does).  A server may always ignore Upgrade (RFC 9110 7.8).
    """
    cdef Line *line
    cdef const char *protocol
    cdef Py_ssize_t i, end
    cdef bint wanted = False
    cdef int number
    if head.chunked or head.length > 0:
        return False
    for number in range(head.count):
        line = &head.lines[number]
        if line.id != UPGRADE:
            continue
        i = line.value
        end = line.value + line.value_len
        while i < end:
            protocol = buf + i
            while i < end and h1_is_token(buf[i]):
                i += 1
            if buf + i - protocol == 3 and h1_same_folded(protocol, b"h2c", 3):
                return False
            wanted = wanted or buf + i > protocol
            while i < end and not h1_is_token(buf[i]):
                i += 1
    return wanted


cdef int settle(Head head, const char *buf) noexcept:
    """What only the whole head tells, for requests and responses alike; -1 after a refusal."""
    if head.chunked and head.length >= 0:
        return head.refuse(400, b"there are both a Content-Length and a Transfer-Encoding")
    head.close = bool(head._options & CLOSE_OPTION) or (head.minor == 0 and not head._options & KEEP_ALIVE_OPTION)
    head.upgrade = bool(head._options & UPGRADE_OPTION) and head.minor == 1 and wants_upgrade(head, buf)
    if head._listed:
        drop_listed(head, buf)
    head.stage = WHOLE
    return 0


cdef int version_minor(const char *at, Py_ssize_t n) noexcept:
    """0 or 1 of HTTP/1.x; -1: malformed; -2: another version."""
    if n != 8 or memcmp(at, b"HTTP/", 5) != 0 or not h1_is_digit(at[5]) or at[6] != b"." or not h1_is_digit(at[7]):
        return -1
    return at[7] - c'0' if at[5] == b"1" and at[7] <= b"1" else -2
