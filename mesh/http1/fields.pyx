"""Field lines, read strictly (RFC 9112 5): `name ":" OWS value OWS CRLF`, never folded, never repaired.

Owns the names that a proxy must know, which are recognized by their length and letters, and the grammars of the values that
decide about framing: Content-Length, Transfer-Encoding, lists of tokens.  Trailer sections are read with the same.  Floor 1.
"""
from mesh.http1.grammar cimport h1_is_digit, h1_is_text, h1_is_token, h1_same, h1_same_folded

cdef enum:
    NAME_LONGEST = 65535    # what Line can say


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
