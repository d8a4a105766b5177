"""What a line of the access log looks like, in either format.

Owns the spelling: Traefik's field names, escapes, dates, and how long a line may become.  Everything that is printed is
ASCII without control characters, whatever a client sent, so a line is one line and a terminal is safe.  Nothing here
makes a Python object per line, or raises; the text of a date is made once per second.  Floor 3.
"""
from cpython.exc cimport PyErr_Clear
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memchr, memcpy, memrchr, strlen
from libc.time cimport time_t, tm

from mesh.http1.head cimport REFERER, USER_AGENT, RequestHead
from workers.proxy.outcome cimport Outcome

cdef extern from "<time.h>" nogil:
    tm *gmtime_r(const time_t *second, tm *parts)
    tm *localtime_r(const time_t *second, tm *parts)
    size_t strftime(char *text, size_t room, const char *form, const tm *parts)

cdef extern from "Python.h":
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *n)

cdef enum:
    # Longest texts of a field, escaped.  Together with the names of all fields they are below PIPE_LINE_BYTES: what is
    # left of a line's limit is the target's (json) or shared by target, referer and agent (common).
    NAME_BYTES = 256        # routers, services, URLs, our own sentence
    HOST_BYTES = 288        # a host name is at most 253 bytes long
    ID_BYTES = 144          # request ids, which a client may have chosen
    SHORT_BYTES = 80        # methods, entrypoints, addresses
    FIXED_BYTES = 960       # common: everything but target, referer and agent
    MARK_BYTES = 5
    LONGEST_ESCAPE = 12     # a surrogate pair: \ud83d\ude00

cdef const char *MARK = b"[...]"        # stands where a text was cut
cdef const char *HEX = b"0123456789abcdef"
cdef const char *PAIRS = (b"00010203040506070809101112131415161718192021222324252627282930313233343536373839"
                          b"40414243444546474849505152535455565758596061626364656667686970717273747576777879"
                          b"8081828384858687888990919293949596979899")
cdef const char *MONTHS = b"JanFebMarAprMayJunJulAugSepOctNovDec"
cdef const char *ABSENT = b"-"

cdef enum:
    US = 1_000_000          # microseconds in a second

cdef uint64_t ONES = 0x0101010101010101
cdef uint64_t HIGH = 0x8080808080808080


cdef inline bint _is_plain(uint64_t eight) noexcept nogil:
    """None of the eight bytes needs an escape: no control character, quote, backslash, nothing from 0x7f on."""
    cdef uint64_t quote = eight ^ (ONES * 0x22)
    cdef uint64_t slash = eight ^ (ONES * 0x5c)
    return not ((eight | (eight + ONES) | (eight - ONES * 0x20) | (quote - ONES) | (slash - ONES)) & HIGH)


cdef inline char *_put(char *p, const char *text) noexcept nogil:
    cdef size_t n = strlen(text)        # a constant where the text is one
    memcpy(p, text, n)
    return p + n


cdef inline char *_put_byte(char *p, char byte) noexcept nogil:
    p[0] = byte
    return p + 1


cdef inline char *_put_pair(char *p, int value) noexcept nogil:
    memcpy(p, PAIRS + 2 * value, 2)
    return p + 2


cdef inline char *_put_int(char *p, int64_t value) noexcept nogil:
    cdef char digits[24]
    cdef char *at = digits + 24
    cdef uint64_t left = value if value >= 0 else -<uint64_t>value
    while left >= 100:
        at -= 2
        memcpy(at, PAIRS + 2 * (left % 100), 2)
        left //= 100
    if left >= 10:
        at -= 2
        memcpy(at, PAIRS + 2 * left, 2)
    else:
        at -= 1
        at[0] = c"0" + <char>left
    if value < 0:
        at -= 1
        at[0] = c"-"
    memcpy(p, at, digits + 24 - at)
    return p + (digits + 24 - at)


cdef inline char *_put_micros(char *p, int micros) noexcept nogil:
    """The fraction of a second: .123456"""
    p = _put_byte(p, c".")
    p = _put_pair(p, micros // 10_000)
    p = _put_pair(p, micros // 100 % 100)
    return _put_pair(p, micros % 100)


cdef int _code_point(const uint8_t *text, Py_ssize_t n, int *length) noexcept nogil:
    """The character that begins here, or -1 where these bytes are not UTF-8 (Unicode 3.9, table 3-7)."""
    cdef int first = text[0], low = 0x80, high = 0xbf, more, i, point
    length[0] = 1
    if first < 0xc2 or first > 0xf4:
        return -1
    if first < 0xe0:
        more, point = 1, first & 0x1f
    elif first < 0xf0:
        more, point = 2, first & 0x0f
        if first == 0xe0:
            low = 0xa0
        elif first == 0xed:
            high = 0x9f
    else:
        more, point = 3, first & 0x07
        if first == 0xf0:
            low = 0x90
        elif first == 0xf4:
            high = 0x8f
    if n <= more:
        return -1
    for i in range(1, more + 1):
        if not low <= text[i] <= high:
            return -1
        point = point << 6 | text[i] & 0x3f
        low, high = 0x80, 0xbf
    length[0] = more + 1
    return point


cdef char *_put_unit(char *p, int unit) noexcept nogil:
    """One \\u escape."""
    p[0], p[1] = c"\\", c"u"
    p[2], p[3], p[4], p[5] = HEX[unit >> 12], HEX[unit >> 8 & 15], HEX[unit >> 4 & 15], HEX[unit & 15]
    return p + 6


cdef char *_put_escape(char *p, const uint8_t *text, Py_ssize_t n, bint json, int *length) noexcept nogil:
    """The character that begins at `text`, escaped if it must be; `length` is how many bytes it has."""
    cdef int point = text[0]
    length[0] = 1
    if 0x20 <= point < 0x7f:
        if point == c'"' or point == c"\\":
            p = _put_byte(p, c"\\")
        return _put_byte(p, <char>point)
    if not json:            # as Apache's access log; no short forms such as \n, so that there is one form only
        p[0], p[1], p[2], p[3] = c"\\", c"x", HEX[point >> 4], HEX[point & 15]
        return p + 4
    if point >= 0x80:
        point = _code_point(text, n, length)
    if point < 0:
        return _put_unit(p, 0xfffd)
    if point >= 0x10000:
        p = _put_unit(p, 0xd7c0 + (point >> 10))
        return _put_unit(p, 0xdc00 | point & 0x3ff)
    return _put_unit(p, point)


cdef char *_put_text(char *p, char *end, const char *text, Py_ssize_t n, bint json) noexcept nogil:
    """The text, escaped; what would not fit before `end` is cut, with a mark.  8 bytes behind it may be overwritten."""
    cdef char *stop = end - MARK_BYTES
    cdef uint64_t eight
    cdef int length
    while n >= 8 and stop - p >= 8:
        memcpy(&eight, text, 8)
        if not _is_plain(eight):
            break
        memcpy(p, &eight, 8)
        p += 8
        text += 8
        n -= 8
    while n > 0:
        if stop - p < LONGEST_ESCAPE:
            return _put(p, MARK)
        if n >= 8:
            memcpy(&eight, text, 8)
            length = 8
        else:
            eight = ONES * c"a"
            memcpy(&eight, text, n)
            length = <int>n
        if _is_plain(eight):
            memcpy(p, &eight, 8)
            p += length
        else:
            p = _put_escape(p, <const uint8_t *>text, n, json, &length)
        text += length
        n -= length
    return p


cdef inline char *_json_text(char *p, const char *name, const char *text, Py_ssize_t n, Py_ssize_t room) noexcept nogil:
    """A field with a text; `name` is all up to the text's first character."""
    p = _put(p, name)
    p = _put_text(p, p + room, text, n, True)
    return _put_byte(p, c'"')


cdef inline char *_json_int(char *p, const char *name, int64_t value) noexcept nogil:
    return _put_int(_put(p, name), value)


cdef inline char *_quoted(char *p, const char *text, Py_ssize_t n, Py_ssize_t room) noexcept nogil:
    p = _put_byte(p, c'"')
    p = _put_text(p, p + room, text, n, False)
    return _put_byte(p, c'"')


cdef inline const char *_utf8(str text, Py_ssize_t *n) noexcept:
    """The text's own UTF-8 form, which it keeps: made once per name.  What has none (a lone surrogate) is "?"."""
    cdef const char *utf8 = PyUnicode_AsUTF8AndSize(text, n)
    if utf8 == NULL:
        PyErr_Clear()
        n[0] = 1
        return b"?"
    return utf8


cdef char *_put_target(char *p, char *end, RequestHead head, bint json) noexcept:
    """Path and query as sent, without the scheme and host of an absolute-form target."""
    if head.path_len == 0:
        p = _put_byte(p, c"/")
    # the query stands behind the path and its "?"
    return _put_text(p, end, head.base + head.path_at,
                     head.path_len + (1 + head.query_len if head.has_query else 0), json)


cdef char *_put_header(char *p, RequestHead head, int id, Py_ssize_t room) noexcept:
    """The value of the first such line, quoted; "-" where there is none."""
    cdef int i = head.index[id]
    if i < 0:
        return _put(p, b'"-"')
    return _quoted(p, head.base + head.lines[i].value, head.lines[i].value_len, room)


cdef void _split_authority(const char *text, Py_ssize_t n, const char **host, Py_ssize_t *host_len,
                           const char **port, Py_ssize_t *port_len) noexcept nogil:
    """As Go's net.SplitHostPort, which Traefik uses: no brackets; where it fails, all is the host and "-" the port."""
    cdef const char *colon = <const char *>memrchr(text, c":", n) if n else NULL
    host[0], host_len[0], port[0], port_len[0] = text, n, ABSENT, 1
    if n and text[0] == c"[":
        if colon == NULL or (colon - 1)[0] != c"]":
            if text[n - 1] == c"]":
                host[0], host_len[0] = text + 1, n - 2
            return
        host[0], host_len[0] = text + 1, colon - text - 2
    elif colon == NULL or memchr(text, c":", colon - text) != NULL:
        return
    else:
        host_len[0] = colon - text
    if colon + 1 < text + n:
        port[0], port_len[0] = colon + 1, text + n - colon - 1


cdef class Form:
    """Puts lines together; holds the dates of the last seconds."""

    def __cinit__(self):
        for i in range(8):
            self.moments[i].second = -1

    cdef const Moment *_moment(self, int64_t second) noexcept:
        """Requests end in another order than they began: several seconds are in use at a time."""
        cdef Moment *moment = &self.moments[second & 7]
        cdef tm utc, local
        cdef time_t when = second
        cdef char text[32]
        if moment.second == second:
            return moment
        moment.second = second
        # Never localtime(): it looks at /etc/localtime each time.  A changed zone is seen by new workers.
        gmtime_r(&when, &utc)
        localtime_r(&when, &local)
        strftime(text, 32, b"%Y-%m-%dT%H:%M:%S", &utc)
        memcpy(moment.utc, text, 19)
        strftime(text, 32, b"%Y-%m-%dT%H:%M:%S%z", &local)
        memcpy(moment.local, text, 19)
        memcpy(moment.zone, text + 19, 3)
        moment.zone[3] = c":"
        memcpy(moment.zone + 4, text + 22, 2)
        memcpy(moment.clf + 21, text + 19, 5)
        # not by strftime: names of months follow the locale
        _put_pair(moment.clf, local.tm_mday)
        moment.clf[2] = moment.clf[6] = c"/"
        memcpy(moment.clf + 3, MONTHS + 3 * local.tm_mon, 3)
        memcpy(moment.clf + 7, text, 4)
        moment.clf[11] = c":"
        memcpy(moment.clf + 12, text + 11, 8)
        moment.clf[20] = c" "
        moment.zone_len = 6
        if moment.zone[1:6] == b"00:00":
            moment.zone[0] = c"Z"
            moment.zone_len = 1
        return moment

    cdef char *json(self, char *p, Py_ssize_t limit, Outcome outcome, int64_t count) noexcept:
        """Traefik's fields; the target stands last, so that whatever room is left is its own."""
        cdef char *begin = p
        cdef const Moment *began = self._moment(outcome.began_at_us // US)
        cdef const Moment *ended = self._moment((outcome.began_at_us + outcome.duration_us) // US)
        cdef int micros = outcome.began_at_us % US
        cdef RequestHead head = outcome.head
        cdef const char *text
        cdef const char *port
        cdef Py_ssize_t n, port_n
        p = _put(p, b'{"time":"')
        memcpy(p, ended.local, 19)
        memcpy(p + 19, ended.zone, 6)
        p = _put(p + 19 + ended.zone_len, b'","level":"info","msg":"","StartUTC":"')
        memcpy(p, began.utc, 19)
        p = _put(_put_micros(p + 19, micros), b'Z","StartLocal":"')
        memcpy(p, began.local, 19)
        p = _put_micros(p + 19, micros)
        memcpy(p, began.zone, 6)
        p = _json_int(p + began.zone_len, b'","Duration":', outcome.duration_us * 1000)
        p = _json_int(p, b',"DownstreamStatus":', outcome.status)
        p = _json_int(p, b',"DownstreamContentSize":', outcome.bytes_out)
        p = _json_int(p, b',"RequestContentSize":', outcome.bytes_in)
        p = _json_int(p, b',"OriginStatus":', outcome.origin_status)
        p = _json_int(p, b',"OriginContentSize":', outcome.origin_bytes)
        p = _json_int(p, b',"OriginDuration":', outcome.origin_us * 1000)
        p = _json_int(p, b',"Overhead":', max(outcome.duration_us - outcome.origin_us, 0) * 1000)
        p = _json_int(p, b',"RetryAttempts":', outcome.retries)
        p = _json_int(p, b',"RequestCount":', count)
        if outcome.entry_point is not None:
            text = _utf8(outcome.entry_point, &n)
            p = _json_text(p, b',"entryPointName":"', text, n, SHORT_BYTES)
        if outcome.request_id is not None:
            p = _json_text(p, b',"RequestId":"', outcome.request_id, len(outcome.request_id), ID_BYTES)
        if outcome.peer_host is not None:
            text, n = outcome.peer_host, len(outcome.peer_host)
            if memchr(text, c":", n) == NULL:
                p = _put_text(_put(p, b',"ClientAddr":"'), p + 15 + SHORT_BYTES, text, n, True)
                p = _put(p, b":")
            else:
                p = _put_text(_put(p, b',"ClientAddr":"['), p + 16 + SHORT_BYTES, text, n, True)
                p = _put(p, b"]:")
            p = _put_int(p, outcome.peer_port)
            p = _json_text(p, b'","ClientHost":"', text, n, SHORT_BYTES)
            p = _put(_json_int(p, b',"ClientPort":"', outcome.peer_port), b'"')
        p = _put(p, b',"ClientUsername":"-"')
        if outcome.route is not None:
            text = _utf8(outcome.route.router, &n)
            p = _json_text(p, b',"RouterName":"', text, n, NAME_BYTES)
        if outcome.service is not None:
            text = _utf8(outcome.service.name, &n)
            p = _json_text(p, b',"ServiceName":"', text, n, NAME_BYTES)
        if outcome.endpoint is not None:
            text = _utf8(outcome.endpoint.url, &n)
            p = _json_text(p, b',"ServiceURL":"', text, n, NAME_BYTES)
            text, n = outcome.endpoint.authority, len(outcome.endpoint.authority)
            p = _json_text(p, b',"ServiceAddr":"', text, n, NAME_BYTES)
        if outcome.why != NULL:
            p = _json_text(p, b',"Error":"', outcome.why, strlen(outcome.why), NAME_BYTES)
        if outcome.cut:
            p = _put(p, b',"Cut":true')
        if outcome.has_head:
            text, n = head.base + head.authority_at, head.authority_len
            p = _json_text(p, b',"RequestAddr":"', text, n, HOST_BYTES)
            _split_authority(text, n, &text, &n, &port, &port_n)
            p = _json_text(p, b',"RequestHost":"', text, n, HOST_BYTES)
            p = _json_text(p, b',"RequestPort":"', port, port_n, SHORT_BYTES)
            p = _json_text(p, b',"RequestMethod":"', head.base + head.method_at, head.method_len, SHORT_BYTES)
            p = _put(p, b',"RequestProtocol":"HTTP/1.')
            p = _put_byte(p, c"0" + <char>head.minor)
            p = _put(p, b'","RequestScheme":"http","RequestPath":"')
            p = _put_byte(_put_target(p, begin + limit - 3, head, True), c'"')
        return _put(p, b"}\n")

    cdef char *common(self, char *p, Py_ssize_t limit, Outcome outcome, int64_t count) noexcept:
        """The Common Log Format with Traefik's tail: referer, agent, count, router, server URL, milliseconds."""
        cdef const Moment *began = self._moment(outcome.began_at_us // US)
        cdef RequestHead head = outcome.head
        cdef Py_ssize_t room = (limit - FIXED_BYTES) // 4       # of referer and of agent; twice as much is the target's
        cdef const char *text
        cdef Py_ssize_t n
        if outcome.peer_host is None:
            p = _put(p, ABSENT)
        else:
            p = _put_text(p, p + SHORT_BYTES, outcome.peer_host, len(outcome.peer_host), False)
        p = _put(p, b" - - [")
        memcpy(p, began.clf, 26)
        p = _put(p + 26, b'] "')
        if outcome.has_head:
            p = _put_text(p, p + SHORT_BYTES, head.base + head.method_at, head.method_len, False)
            p = _put_byte(p, c" ")
            p = _put_target(p, p + 2 * room, head, False)
            p = _put(p, b" HTTP/1.")
            p = _put_byte(p, c"0" + <char>head.minor)
        else:
            p = _put(p, b"- - -")
        p = _put_int(_put(p, b'" '), outcome.status)
        p = _put_byte(_put_int(_put_byte(p, c" "), outcome.bytes_out), c" ")
        if outcome.has_head:
            p = _put_header(p, head, REFERER, room)
            p = _put_header(_put_byte(p, c" "), head, USER_AGENT, room)
        else:
            p = _put(p, b'"-" "-"')
        p = _put_byte(_put_int(_put_byte(p, c" "), count), c" ")
        if outcome.route is not None:
            text = _utf8(outcome.route.router, &n)
            p = _quoted(p, text, n, NAME_BYTES)
        else:
            p = _put(p, b'"-"')
        p = _put_byte(p, c" ")
        if outcome.endpoint is not None:
            text = _utf8(outcome.endpoint.url, &n)
            p = _quoted(p, text, n, NAME_BYTES)
        else:
            p = _put(p, b'"-"')
        return _put(_put_int(_put_byte(p, c" "), outcome.duration_us // 1000), b"ms\n")
