"""Request and response heads, read strictly in one scan (RFC 9112), nothing copied and nothing repaired.

Owns what a head means for the connection: where its lines are, how its body is framed, what is hop-by-hop, whether the
connection ends.  What two readers could read differently is refused with a status and one sentence; docs/http.md lists
it.  No Python object is made while scanning: values, the host and the cleaned path are made when somebody asks.

A head is fed as it arrives.  Lines are looked at when they are whole, so however the bytes were cut, the outcome is the
same, and no byte is searched twice.  Floor 1.
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdlib cimport free, realloc
from libc.string cimport memchr, memcmp, memset

from mesh.http1.grammar cimport (
    H1_BACKSLASH, H1_PERCENT, H1_PLAIN, H1_QUESTION, H1_SLASH, H1_SPACE, h1_hex, h1_in_target, h1_is_digit, h1_is_text,
    h1_is_token, h1_same, h1_same_folded)
from mesh.http1.target cimport authority_fault, cleaned, key_of_host, query_lists

cdef enum:
    # stages of a scan
    START_LINE = 0
    FIELDS
    WHOLE
    REFUSED

    # what Connection says
    CLOSE_OPTION = 1
    KEEP_ALIVE_OPTION = 2
    UPGRADE_OPTION = 4

    EMPTY_LINES = 4         # CRLFs before a request line that are skipped (RFC 9112 2.2 asks for one)
    METHOD_LONGEST = 64     # WebDAV's longest has 17
    NAME_LONGEST = 65535    # what Line can say
    LISTED_MOST = 64        # names in Connection: each is compared with every line
    LINES_FIRST = 16
    BYTES_MOST = 0x7fffffff     # offsets have 32 bits
    AROUND_TARGET = METHOD_LONGEST + 12     # of a request line: the method, two spaces, the version, CRLF

cdef tuple METHODS = (b"", b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"CONNECT", b"TRACE")


cdef class Head:
    """What requests and responses share."""

    def __init__(self, Py_ssize_t max_bytes=1048576, int max_lines=200):
        """`max_bytes` of a head, `max_lines` of header fields in it: Traefik's maxHeaderBytes, and what bounds our memory."""
        if not 0 < max_bytes <= BYTES_MOST or max_lines < 1:
            raise ValueError("a head has between 1 and 2**31-1 bytes and at least one line")
        self.max_bytes, self.max_lines = max_bytes, max_lines
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
        self.close = self.chunked = self.upgrade = False
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

    def field_lines(self):
        """(name, value, is it hop-by-hop) of each line."""
        return [(self.base[line.at:line.at + line.name_len], self.base[line.value:line.value + line.value_len],
                 bool(line.hop)) for line in self.lines[:self.count]]

    def refusal(self):
        """(status, why), or None."""
        return (self.status, self.why.decode("ascii")) if self.stage == REFUSED else None


cdef int scan_field(const char *buf, Py_ssize_t at, Py_ssize_t lf, Line *line, const char **why) noexcept:
    """One field line, `name ":" OWS value OWS CRLF` and nothing else (RFC 9112 5, without obs-fold)."""
    cdef Py_ssize_t i = at, end = lf - 1
    if end < at or buf[end] != b"\r":
        why[0] = b"a line ends with a bare LF"
        return 400
    while h1_is_token(buf[i]):      # CR is no token
        i += 1
    if buf[i] != b":" or i == at:
        if i == at and (buf[i] == b" " or buf[i] == b"\t"):
            why[0] = b"a header field is folded over several lines"
        elif i == at and buf[i] == b":":
            why[0] = b"a header field has no name"
        elif buf[i] == b" " or buf[i] == b"\t":
            why[0] = b"there is white space before a colon"
        elif i == end:
            why[0] = b"a header line has no colon"
        else:
            why[0] = b"the name of a header field has a character that is not allowed"
        return 400
    if i - at > NAME_LONGEST:
        why[0] = b"the name of a header field is too long"
        return 431
    line.at = <uint32_t>at
    line.name_len = <uint16_t>(i - at)
    i += 1
    while buf[i] == b" " or buf[i] == b"\t":
        i += 1
    while end > i and (buf[end - 1] == b" " or buf[end - 1] == b"\t"):
        end -= 1
    if not h1_is_text(buf + i, end - i):
        why[0] = b"the value of a header field has a control character"
        return 400
    line.value = <uint32_t>i
    line.value_len = <uint32_t>(end - i)
    line.end = <uint32_t>(lf + 1)
    line.id = recognized(buf + at, line.name_len)
    line.hop = (TRANSFER_ENCODING <= line.id <= TE and line.id != 0) or line.id == UPGRADE or (
        line.id == PROXY_AUTHENTICATE or line.id == PROXY_AUTHORIZATION)
    return 0


cdef uint8_t recognized(const char *name, int n) noexcept:
    """The id of a header name, which must be a token."""
    cdef char first = name[0] | 0x20
    if n == 2:
        return TE if h1_same(name, b"te", n) else OTHER
    if n == 3:
        return VIA if h1_same(name, b"via", n) else OTHER
    if n == 4:
        return HOST if h1_same(name, b"host", n) else DATE if h1_same(name, b"date", n) else OTHER
    if n == 6:
        return EXPECT if h1_same(name, b"expect", n) else SERVER if h1_same(name, b"server", n) else OTHER
    if n == 7:
        return (TRAILER if h1_same(name, b"trailer", n) else UPGRADE if h1_same(name, b"upgrade", n)
                else REFERER if h1_same(name, b"referer", n) else OTHER)
    if first == b"x":
        return recognized_x(name, n)
    if n == 10:
        return (CONNECTION if h1_same(name, b"connection", n) else USER_AGENT if h1_same(name, b"user-agent", n)
                else KEEP_ALIVE if h1_same(name, b"keep-alive", n) else OTHER)
    if n == 12:
        return MAX_FORWARDS if h1_same(name, b"max-forwards", n) else OTHER
    if n == 14:
        return CONTENT_LENGTH if h1_same(name, b"content-length", n) else OTHER
    if n == 16:
        return PROXY_CONNECTION if h1_same(name, b"proxy-connection", n) else OTHER
    if n == 17:
        return TRANSFER_ENCODING if h1_same(name, b"transfer-encoding", n) else OTHER
    if n == 18:
        return PROXY_AUTHENTICATE if h1_same(name, b"proxy-authenticate", n) else OTHER
    if n == 19:
        return PROXY_AUTHORIZATION if h1_same(name, b"proxy-authorization", n) else OTHER
    return OTHER


cdef uint8_t recognized_x(const char *name, int n) noexcept:
    """Names that begin with an x.  Those with `_` for `-` are the same to a CGI or WSGI application, so they are family."""
    cdef const char *family = b"x-forwarded-"
    cdef int i, underscores = 0
    if n == 9:
        for i in range(n):
            if name[i] == b"_" and b"x-real-ip"[i] == b"-":
                underscores += 1
            elif (name[i] | 0x20) != b"x-real-ip"[i]:
                return OTHER
        return X_FORWARDED if underscores else X_REAL_IP
    if n == 12 and h1_same(name, b"x-request-id", n):
        return X_REQUEST_ID
    if n < 13:
        return OTHER
    for i in range(12):
        if name[i] == b"_" and family[i] == b"-":
            underscores += 1
        elif (name[i] | 0x20) != family[i]:
            return OTHER
    if underscores:
        return X_FORWARDED
    name += 12
    n -= 12
    if n == 3 and h1_same(name, b"for", n):
        return X_FORWARDED_FOR
    if n == 4:
        return (X_FORWARDED_HOST if h1_same(name, b"host", n) else X_FORWARDED_PORT if h1_same(name, b"port", n)
                else X_FORWARDED)
    if n == 5 and h1_same(name, b"proto", n):
        return X_FORWARDED_PROTO
    if n == 6 and h1_same(name, b"server", n):
        return X_FORWARDED_SERVER
    return X_FORWARDED


cdef Py_ssize_t scan_fields(Head head, const char *buf, Py_ssize_t n) noexcept:
    """The lines up to the empty one.  >0: where the body begins; 0: more bytes are needed; -1: refused."""
    cdef const char *found
    cdef Py_ssize_t lf
    cdef Line *line
    cdef int status
    while True:
        found = <const char *>memchr(buf + head.seen, b"\n", n - head.seen)
        lf = found - buf if found is not NULL else n
        if lf - head._begin >= head.max_bytes:      # also for a whole line: the outcome must not depend on how it arrived
            return head.refuse(431, b"the head is too large")
        if found is NULL:
            head.seen = n
            return 0
        if lf == head._at + 1 and buf[head._at] == b"\r":
            return lf + 1
        if head.count == head.room and head._grow() < 0:
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
        # llhttp, for one, does not see chunked in `chunked HTAB`, and what stands before it may not have either
        if line.end - 2 != line.value + line.value_len or memchr(buf + line.at, c'\t', line.value - line.at) is not NULL:
            return head.refuse(400, b"there is odd white space around chunked")
        head.chunked = True
    elif id == CONNECTION:
        return read_connection(head, value, n)
    elif not head.is_response:
        if id == HOST:
            if head.index[id] >= 0:
                return head.refuse(400, b"there is more than one Host")
            if n:       # empty where the target has no authority: RFC 9110 7.2
                fault = authority_fault(value, n)
                if fault is not NULL:
                    return head.refuse(400, fault)
        elif id == EXPECT:
            if head.minor == 0:     # RFC 9110 10.1.1: ignored; so it must not reach an upstream in our HTTP/1.1
                line.hop = 1
            elif n == 12 and h1_same_folded(value, b"100-continue", n):
                (<RequestHead>head).expect_continue = True
            else:
                return head.refuse(417, b"only 100-continue can be expected")
    return 0


cdef int64_t decimal(const char *at, Py_ssize_t n) noexcept:
    """1*DIGIT; -1 for anything else, and for what has no room in 63 bits."""
    cdef int64_t number = 0
    cdef Py_ssize_t i
    cdef int digit
    if n == 0:
        return -1
    for i in range(n):
        if not h1_is_digit(at[i]):
            return -1
        digit = at[i] - c'0'
        if number > (<int64_t>0x7fffffffffffffff - digit) // 10:
            return -1
        number = 10 * number + digit
    return number


cdef bint is_coded_and_chunked(const char *at, Py_ssize_t n) noexcept:
    """Is it a list of registered codings that ends with chunked, such as `gzip, chunked`?"""
    cdef Py_ssize_t i = 0, begin, length
    cdef bint is_last
    while True:
        begin = i
        while i < n and h1_is_token(at[i]):
            i += 1
        length = i - begin
        while i < n and (at[i] == b" " or at[i] == b"\t"):
            i += 1
        is_last = i == n
        if is_last or at[i] != b",":
            return is_last and length == 7 and h1_same_folded(at + begin, b"chunked", 7)
        if not ((length == 4 and h1_same_folded(at + begin, b"gzip", 4)) or
                (length == 6 and h1_same_folded(at + begin, b"x-gzip", 6)) or
                (length == 7 and h1_same_folded(at + begin, b"deflate", 7)) or
                (length == 8 and h1_same_folded(at + begin, b"compress", 8)) or
                (length == 10 and h1_same_folded(at + begin, b"x-compress", 10))):
            return False
        i += 1
        while i < n and (at[i] == b" " or at[i] == b"\t"):
            i += 1


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


cdef bint next_option(const char *at, Py_ssize_t n, Py_ssize_t *i, const char **option, Py_ssize_t *length) noexcept:
    """The next token of a list; False at its end, and (with i[0] < n) where it is no list of tokens."""
    cdef Py_ssize_t j = i[0]
    while j < n and (at[j] == b" " or at[j] == b"\t" or at[j] == b","):
        j += 1
    option[0] = at + j
    i[0] = j
    while j < n and h1_is_token(at[j]):
        j += 1
    length[0] = j - i[0]
    while j < n and (at[j] == b" " or at[j] == b"\t"):
        j += 1
    if length[0] == 0 or (j < n and at[j] != b","):
        return False
    i[0] = j
    return True


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

    Behind a switch to h2c every further request would pass unseen, and RFC 9113 3.1 has withdrawn it.  A body before the
    switch is read by some as the new protocol (llhttp does).  A server may always ignore Upgrade (RFC 9110 7.8): we do.
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
        self.has_query = self.absolute = self.asterisk = self.expect_continue = False
        self.plain_path = True
        self._host = self._path = self._method = None
        self._query = None

    cdef Py_ssize_t parse(self, const char *buf, Py_ssize_t n) noexcept:
        cdef Py_ssize_t end
        self.base = buf
        if self.stage == START_LINE and self._start_line(buf, n) <= 0:
            return -1 if self.stage == REFUSED else 0
        if self.stage != FIELDS:
            return -1
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
        """`method SP request-target SP HTTP-version` (RFC 9112 3); buf[end] is the CR behind it, which ends every loop."""
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
        return settle(self, buf)

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
        self._held = data
        return self.parse(PyBytes_AS_STRING(data), min(<size_t>upto, <size_t>PyBytes_GET_SIZE(data)))

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
    if n == 7:
        return OPTIONS if memcmp(at, b"OPTIONS", 7) == 0 else CONNECT if memcmp(at, b"CONNECT", 7) == 0 else OTHER_METHOD
    return OTHER_METHOD


cdef bint is_dot_segment(const char *at) noexcept:
    """Is it `.` or `..`, and then the end of the segment?"""
    cdef const char *end = at + 1 if at[1] != b"." else at + 2
    return h1_in_target(end[0]) in (H1_SLASH, H1_QUESTION, H1_SPACE)


cdef int version_minor(const char *at, Py_ssize_t n) noexcept:
    """0 or 1 of HTTP/1.x; -1: malformed; -2: another version."""
    if n != 8 or memcmp(at, b"HTTP/", 5) != 0 or not h1_is_digit(at[5]) or at[6] != b"." or not h1_is_digit(at[7]):
        return -1
    return at[7] - c'0' if at[5] == b"1" and at[7] <= b"1" else -2


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
        self.base = buf
        if self.stage == START_LINE and self._start_line(buf, n) <= 0:
            return -1 if self.stage == REFUSED else 0
        end = scan_fields(self, buf, n) if self.stage == FIELDS else -1
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
        self._held = data
        return self.parse(PyBytes_AS_STRING(data), min(<size_t>upto, <size_t>PyBytes_GET_SIZE(data)), to_head)

    def start_over(self):
        """reset()."""
        self.reset()

    def facts(self):
        """What a whole head says, by the names of its fields."""
        return {"status": self.status, "reason": self.base[self.reason_at:self.reason_at + self.reason_len],
                "minor": self.minor, "length": self.length, "chunked": bool(self.chunked), "close": bool(self.close),
                "upgrade": bool(self.upgrade), "until_close": bool(self.until_close), "no_body": bool(self.no_body)}
