"""Request and response heads, read strictly in one scan (RFC 9112), nothing copied and nothing repaired.

Owns the start lines and what a target means.  What two readers could read differently is refused with a status and one
sentence; docs/http.md lists it.  Values, the host and the cleaned path are made when somebody asks.  Floor 1.
"""
from cpython.bytes cimport PyBytes_AS_STRING
from libc.string cimport memchr, memcmp

from mesh.http1.fields cimport decimal
from mesh.http1.grammar cimport (
    H1_BACKSLASH, H1_PERCENT, H1_PLAIN, H1_QUESTION, H1_SLASH, H1_SPACE, h1_hex, h1_in_target, h1_is_digit, h1_is_text,
    h1_is_token, h1_same_folded)
from mesh.http1.message cimport FIELDS, REFUSED, START_LINE, WHOLE, scan_fields, settle, version_minor
from mesh.http1.target cimport authority_fault, cleaned, key_of_host, query_lists

cdef enum:
    EMPTY_LINES = 4         # CRLFs before a request line that are skipped (RFC 9112 2.2 asks for one)
    METHOD_LONGEST = 64     # WebDAV's longest has 17
    AROUND_TARGET = METHOD_LONGEST + 12     # of a request line: the method, two spaces, the version, CRLF

cdef tuple METHODS = (b"", b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"CONNECT", b"TRACE")


cdef class RequestHead(Head):
    """A request head on its way through: fed until it is whole, then asked; `reset` before the next one."""

    def __init__(self, Py_ssize_t max_bytes=1048576, int max_lines=200, Py_ssize_t max_target=16384):
        """`max_target`: bytes of a request target, beyond which 414 is answered."""
        Head.__init__(self, max_bytes, max_lines)
        self.max_target = max_target
        self.peer = b""
        self.reset()

    cdef void reset(self) noexcept:
        self._forget()
        self.method_id = OTHER_METHOD
        self.method_at = self.method_len = self.target_at = self.target_len = 0
        self.path_at = self.path_len = self.query_at = self.query_len = self.authority_at = self.authority_len = 0
        self.has_query = self.absolute = self.asterisk = False
        self.plain_path = True
        self.max_forwards = -1
        self._host = self._path = self._method = None
        self._query = None

    cdef Py_ssize_t parse(self, const char *buf, Py_ssize_t n) noexcept:
        cdef Py_ssize_t end
        if self.stage >= WHOLE:
            return -1
        self.base = buf
        if self.stage == START_LINE and self._start_line(buf, n) <= 0:
            return -1 if self.stage == REFUSED else 0
        end = scan_fields(self, buf, n)
        if end > 0 and self._settle(buf) < 0:
            return -1
        return end

    cdef int _start_line(self, const char *buf, Py_ssize_t n) noexcept:
        """1: it was read; 0: more bytes are needed; -1: refused."""
        cdef const char *found
        cdef Py_ssize_t lf
        while self._at < n and (buf[self._at] == b"\r" or buf[self._at] == b"\n"):
            if buf[self._at] == b"\n" or (self._at + 1 < n and buf[self._at + 1] != b"\n"):
                return self.refuse(400, b"a line ends with a bare LF or CR")
            if self._at + 1 == n:
                return 0
            if self._at >= 2 * EMPTY_LINES:
                return self.refuse(400, b"there are too many empty lines before the request")
            self._begin = self._at = self.seen = self._at + 2
        if self._at == n:
            return 0
        if not h1_is_token(buf[self._at]):      # TLS on a plain port, for one, would keep us waiting for its first LF
            return self.refuse(400, b"the method is not a name")
        found = <const char *>memchr(buf + self.seen, b"\n", n - self.seen)
        lf = found - buf if found is not NULL else n
        if lf - self._at >= self.max_target + AROUND_TARGET:
            return self.refuse(414, b"the request target is too long")
        if found is NULL:
            self.seen = n
            return 0
        if buf[lf - 1] != b"\r":
            return self.refuse(400, b"a line ends with a bare LF")
        if self._request_line(buf, self._at, lf - 1) < 0:
            return -1
        self.seen = self._at = lf + 1
        self.stage = FIELDS
        return 1

    cdef int _request_line(self, const char *buf, Py_ssize_t at, Py_ssize_t end) noexcept:
        """`method SP request-target SP HTTP-version` (RFC 9112 3); buf[end] is its CR, which ends every loop."""
        cdef Py_ssize_t i = at, begin
        cdef int kind
        while h1_is_token(buf[i]):
            i += 1
        if i == end:
            return self.refuse(400, b"the request line has no target")
        if buf[i] != b" ":
            return self.refuse(400, b"the method is not a name")
        self.method_at, self.method_len = <uint32_t>at, <uint32_t>(i - at)
        if self.method_len > METHOD_LONGEST:
            return self.refuse(501, b"the method is not known")
        self.method_id = method_number(buf + at, self.method_len)

        begin = i = i + 1
        if buf[i] == b"/":
            i = self._scan_path(buf, i)
            if i < 0:
                return -1
        else:
            while h1_in_target(buf[i]) < H1_SPACE:
                i += 1
        kind = h1_in_target(buf[i])
        if i == end:
            return self.refuse(400, b"the request line has no version")
        if kind != H1_SPACE:
            return self.refuse(400, b"the request target has a character that is not allowed")
        if i == begin or buf[i + 1] == b" ":
            return self.refuse(400, b"the request line has more than one space between its parts")
        if i - begin > self.max_target:
            return self.refuse(414, b"the request target is too long")
        self.target_at, self.target_len = <uint32_t>begin, <uint32_t>(i - begin)
        self.minor = version_minor(buf + i + 1, end - i - 1)
        if self.minor == -2:
            return self.refuse(505, b"only HTTP/1.0 and HTTP/1.1 are spoken here")
        if self.minor < 0:
            return self.refuse(400, b"the version is malformed")
        # RFC 9113 11.6 reserves it.  llhttp, for one, takes what follows for HTTP/2's preface and sees no end of it.
        if self.method_id == OTHER_METHOD and self.method_len == 3 and memcmp(buf + at, b"PRI", 3) == 0:
            return self.refuse(400, b"PRI begins HTTP/2 and is no method")
        if buf[begin] == b"/":
            if self.method_id == CONNECT:
                return self.refuse(400, b"CONNECT wants a host and a port")
            return 0
        return self._other_form(buf, begin, i)

    cdef Py_ssize_t _scan_path(self, const char *buf, Py_ssize_t at) noexcept:
        """The path from its `/` and the query; answers where they end, -1 after a refusal."""
        cdef Py_ssize_t i = at
        cdef int kind
        while True:
            kind = h1_in_target(buf[i])
            if kind == H1_PLAIN:
                i += 1
            elif kind == H1_SLASH:
                i += 1
                if buf[i] == b"/" or (buf[i] == b"." and is_dot_segment(buf + i)):
                    self.plain_path = False
            elif kind == H1_PERCENT:
                if h1_hex(buf[i + 1]) < 0 or h1_hex(buf[i + 2]) < 0:
                    return self.refuse(400, b"the path has a malformed escape")
                self.plain_path = False
                i += 3
            else:
                break
        if kind == H1_BACKSLASH:
            return self.refuse(400, b"there is a backslash in the path")
        self.path_at, self.path_len = <uint32_t>at, <uint32_t>(i - at)
        return self._scan_query(buf, i)

    cdef Py_ssize_t _scan_query(self, const char *buf, Py_ssize_t at) noexcept:
        """The query from its `?`, if there is one; answers where it ends."""
        cdef Py_ssize_t i = at
        if buf[i] != b"?":
            return i
        while h1_in_target(buf[i]) < H1_SPACE:
            i += 1
        self.has_query = True
        self.query_at, self.query_len = <uint32_t>(at + 1), <uint32_t>(i - at - 1)
        return i

    cdef int _other_form(self, const char *buf, Py_ssize_t at, Py_ssize_t end) noexcept:
        """Targets in buf[at:end] that do not begin with a slash (RFC 9112 3.2.2 to 3.2.4)."""
        cdef Py_ssize_t begin = at, i
        cdef const char *fault
        if self.method_id != CONNECT:
            if end - at == 1 and buf[at] == b"*":
                if self.method_id != OPTIONS:
                    return self.refuse(400, b"only OPTIONS can ask for *")
                self.asterisk = True
                self.path_at, self.path_len = <uint32_t>at, 1
                return 0
            if end - at >= 7 and h1_same_folded(buf + at, b"http://", 7):
                begin = at + 7
            elif end - at >= 8 and h1_same_folded(buf + at, b"https://", 8):
                begin = at + 8
            else:
                return self.refuse(400, b"the request target is neither a path nor an http address")
            self.absolute = True
        i = begin
        while i < end and buf[i] != b"/" and buf[i] != b"?":
            i += 1
        fault = authority_fault(buf + begin, i - begin)
        if fault is not NULL:
            return self.refuse(400, fault)
        self.authority_at, self.authority_len = <uint32_t>begin, <uint32_t>(i - begin)
        if self.method_id == CONNECT:
            if i < end or not h1_is_digit(buf[i - 1]) or memchr(buf + begin, b":", i - begin) is NULL:
                return self.refuse(400, b"CONNECT wants a host and a port")
            return 0
        if buf[i] == b"/":
            return 0 if self._scan_path(buf, i) >= 0 else -1
        # `http://host` and `http://host?query`: the path is "/", which the buffer does not hold
        self._scan_query(buf, i)
        self.path_at, self.plain_path = <uint32_t>i, False
        self.asterisk = self.method_id == OPTIONS and not self.has_query     # RFC 9112 3.2.4
        return 0

    cdef int _settle(self, const char *buf) noexcept:
        """What the whole head tells about a request; -1 after a refusal."""
        cdef int host = self.index[HOST]
        if host < 0 and self.minor == 1:
            return self.refuse(400, b"there is no Host")
        if host >= 0 and self.authority_len == 0:
            self.authority_at, self.authority_len = self.lines[host].value, self.lines[host].value_len
        if self.method_id == OPTIONS and self.index[MAX_FORWARDS] >= 0 and self._count_forwards(buf) < 0:
            return -1
        return settle(self, buf)

    cdef int _count_forwards(self, const char *buf) noexcept:
        """Max-Forwards, which means something for OPTIONS (and TRACE, which is not passed on); -1 after a refusal."""
        cdef int number
        cdef Line *line
        for number in range(self.index[MAX_FORWARDS], self.count):
            line = &self.lines[number]
            if line.id != MAX_FORWARDS:
                continue
            if self.max_forwards >= 0:
                return self.refuse(400, b"there is more than one Max-Forwards")
            self.max_forwards = decimal(buf + line.value, line.value_len)
            if self.max_forwards < 0:
                return self.refuse(400, b"the Max-Forwards is not a number")
        return 0

    cdef bytes host_key(self):
        """The authority in the form in which hosts are compared; b"" where none was said."""
        if self._host is None:
            self._host = key_of_host(self.base + self.authority_at, self.authority_len)
        return self._host

    cdef bytes target(self):
        """The target in origin-form as it was sent; `*` where it was asked for, CONNECT's host and port."""
        if not self.absolute:
            return self.base[self.target_at:self.target_at + self.target_len]
        if self.asterisk:
            return b"*"
        rest = self.base[self.path_at:self.target_at + self.target_len]
        return rest if self.path_len else b"/" + rest

    @property
    def host(self):
        """As mesh.rules.request.Asked."""
        return self.host_key()

    cdef bytes clean_path(self):
        """The path as rules see it and as it may be forwarded; `*` for asterisk-form."""
        if self._path is None:
            if self.path_len == 0:
                self._path = b"*" if self.asterisk else b"" if self.method_id == CONNECT else b"/"
            elif self.plain_path:
                self._path = self.base[self.path_at:self.path_at + self.path_len]
            else:
                self._path = cleaned(self.base + self.path_at, self.path_len)
        return self._path

    @property
    def path(self):
        """As mesh.rules.request.Asked."""
        return self.clean_path()

    @property
    def method(self):
        """As it was sent: methods are case-sensitive."""
        if self._method is None:
            self._method = (<bytes>METHODS[self.method_id] if self.method_id
                            else self.base[self.method_at:self.method_at + self.method_len])
        return self._method

    def query_values(self, bytes key):
        """As mesh.rules.request.Asked."""
        if self._query is None:
            self._query = query_lists(self.base[self.query_at:self.query_at + self.query_len])
        return self._query.get(key, [])

    # For callers in Python, such as tests and fuzzers.

    def parse_bytes(self, bytes data not None, Py_ssize_t upto=-1):
        """parse() of data[:upto], which is the message from its first byte: where the head ends, 0, or -1."""
        return self.parse(PyBytes_AS_STRING(data), self._hold(data, upto))

    def start_over(self):
        """reset()."""
        self.reset()

    def facts(self):
        """What a whole head says, by the names of its fields."""
        return {"method": self.method, "host": self.host, "path": self.path, "target": self.target(),
                "query": self.base[self.query_at:self.query_at + self.query_len] if self.has_query else None,
                "authority": self.base[self.authority_at:self.authority_at + self.authority_len],
                "minor": self.minor, "length": self.length, "chunked": bool(self.chunked), "close": bool(self.close),
                "upgrade": bool(self.upgrade), "expect_continue": bool(self.expect_continue),
                "max_forwards": self.max_forwards,
                "absolute": bool(self.absolute), "asterisk": bool(self.asterisk), "plain_path": bool(self.plain_path)}


cdef int method_number(const char *at, Py_ssize_t n) noexcept:
    if n == 3:
        return GET if memcmp(at, b"GET", 3) == 0 else PUT if memcmp(at, b"PUT", 3) == 0 else OTHER_METHOD
    if n == 4:
        return POST if memcmp(at, b"POST", 4) == 0 else HEAD if memcmp(at, b"HEAD", 4) == 0 else OTHER_METHOD
    if n == 5:
        return PATCH if memcmp(at, b"PATCH", 5) == 0 else TRACE if memcmp(at, b"TRACE", 5) == 0 else OTHER_METHOD
    if n == 6:
        return DELETE if memcmp(at, b"DELETE", 6) == 0 else OTHER_METHOD
    if n == 7 and memcmp(at, b"OPTIONS", 7) == 0:
        return OPTIONS
    return CONNECT if n == 7 and memcmp(at, b"CONNECT", 7) == 0 else OTHER_METHOD


cdef bint is_dot_segment(const char *at) noexcept:
    """Is it `.` or `..`, and then the end of the segment?"""
    cdef const char *end = at + 1 if at[1] != b"." else at + 2
    return h1_in_target(end[0]) in (H1_SLASH, H1_QUESTION, H1_SPACE)


cdef class ResponseHead(Head):
    """A response head on its way back, as strict as requests: what is refused here is answered with 502."""

    def __init__(self, Py_ssize_t max_bytes=1048576, int max_lines=200):
        Head.__init__(self, max_bytes, max_lines)
        self.is_response = True
        self.reset()

    cdef void reset(self) noexcept:
        self._forget()
        self.until_close = self.no_body = False
        self.reason_at = self.reason_len = 0

    cdef Py_ssize_t parse(self, const char *buf, Py_ssize_t n, bint to_head) noexcept:
        cdef Py_ssize_t end
        if self.stage >= WHOLE:
            return -1
        self.base = buf
        if self.stage == START_LINE and self._start_line(buf, n) <= 0:
            return -1 if self.stage == REFUSED else 0
        end = scan_fields(self, buf, n)
        if end < 0 or (end > 0 and self._settle(buf, to_head) < 0):
            self.status = 502
            return -1
        return end

    cdef int _start_line(self, const char *buf, Py_ssize_t n) noexcept:
        """`HTTP/1.x SP 3DIGIT [SP reason] CRLF`; many send no space behind the digits, which is all the same here."""
        cdef Py_ssize_t lf, i
        cdef const char *found = <const char *>memchr(buf + self.seen, b"\n", n - self.seen)
        lf = found - buf if found is not NULL else n
        if lf >= self.max_bytes:
            return self.refuse(502, b"the head is too large")
        if found is NULL:
            self.seen = n
            return 0
        if lf == 0 or buf[lf - 1] != b"\r":
            return self.refuse(502, b"a line ends with a bare LF")
        self.minor = version_minor(buf, 8 if lf > 12 and buf[8] == b" " else 0)
        if self.minor < 0:
            return self.refuse(502, b"the status line does not begin with HTTP/1.0 or HTTP/1.1")
        for i in range(9, 12):
            if not h1_is_digit(buf[i]):
                return self.refuse(502, b"the status is not a number of three digits")
            self.status = 10 * self.status + (buf[i] - c'0')
        if not 100 <= self.status <= 599:
            return self.refuse(502, b"the status is not between 100 and 599")
        if lf > 13:
            if buf[12] != b" " or not h1_is_text(buf + 13, lf - 14):
                return self.refuse(502, b"the status line is malformed")
            self.reason_at, self.reason_len = 13, <uint32_t>(lf - 14)
        self.seen = self._at = lf + 1
        self.stage = FIELDS
        return 1

    cdef int _settle(self, const char *buf, bint to_head) noexcept:
        """Where the body ends (RFC 9112 6.3); -1 after a refusal."""
        cdef bint never = self.status < 200 or self.status == 204
        cdef Line *line
        if never and self.chunked:
            return self.refuse(502, b"there is a Transfer-Encoding in an answer that has no body")
        if settle(self, buf) < 0:
            return -1
        if never and self.length >= 0:      # RFC 9110 8.6 forbids it: it says nothing and is not passed on
            line = &self.lines[self.index[CONTENT_LENGTH]]
            line.hop, self.hops, self.length = 1, self.hops + 1, -1
        self.no_body = never or to_head or self.status == 304
        self.until_close = not (self.no_body or self.chunked or self.length >= 0)
        self.close = self.close or self.until_close
        return 0

    # For callers in Python, such as tests and fuzzers.

    def parse_bytes(self, bytes data not None, Py_ssize_t upto=-1, bint to_head=False):
        """parse() of data[:upto], which is the message from its first byte: where the head ends, 0, or -1."""
        return self.parse(PyBytes_AS_STRING(data), self._hold(data, upto), to_head)

    def start_over(self):
        """reset()."""
        self.reset()

    def facts(self):
        """What a whole head says, by the names of its fields."""
        return {"status": self.status, "reason": self.base[self.reason_at:self.reason_at + self.reason_len],
                "minor": self.minor, "length": self.length, "chunked": bool(self.chunked), "close": bool(self.close),
                "upgrade": bool(self.upgrade), "until_close": bool(self.until_close), "no_body": bool(self.no_body)}
