"""What this hop changes of a head on its way: written straight into the buffer that is sent.

Owns RFC 9110 section 7.6 for this proxy: hop-by-hop fields end here, Via, X-Forwarded-* and the framing are ours to say.
What the scan marked (Line.hop) is left out, everything else is copied in runs, in the order in which it came.  It decides
nothing about where a request goes.  Floor 1.

X-Forwarded-* and X-Real-Ip are Traefik's (reference: forwardedHeaders): of a peer that is not trusted the whole family is
dropped and made anew; of a trusted one it is kept, what is missing or empty is said, and X-Forwarded-For grows by the peer.
"""
from libc.stdint cimport uint32_t
from libc.stdio cimport sprintf
from libc.string cimport memcmp, memcpy

from mesh.http1.head cimport (
    CONTENT_LENGTH, DATE, HOST, MAX_FORWARDS, TE, UPGRADE, X_FORWARDED, X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PORT,
    X_FORWARDED_PROTO, X_FORWARDED_SERVER, X_REAL_IP, X_REQUEST_ID, Head, Line, RequestHead, ResponseHead,
)

cdef extern from "strings.h" nogil:
    int strncasecmp(const char *, const char *, size_t)

cdef enum:
    ADDED = 768             # more than all that write() and write_response() add by themselves
    LONGEST_ID = 128        # of a client's request id that is kept


cdef inline char *put(char *out, const char *text, Py_ssize_t length) noexcept:
    memcpy(out, text, length)
    return out + length


cdef inline char *put_bytes(char *out, bytes text) noexcept:
    return put(out, <const char *>text, len(text))


cdef class Peer:
    """`address` is the text of the client's address, `server` how this host calls itself."""

    def __init__(self, bytes address, bytes server, bint trusted):
        self.address, self.trusted, self.server = address, trusted, server
        self.lines = (b"X-Forwarded-For: " + address + b"\r\nX-Forwarded-Server: " + server
                      + b"\r\nX-Real-Ip: " + address + b"\r\n")

    def __repr__(self):
        return f"<Peer {self.address.decode()}{', trusted' if self.trusted else ''}>"


cdef bint is_request_id(RequestHead head) noexcept:
    """Whether the client has said one id, and one that can be kept."""
    cdef int at = head.index[X_REQUEST_ID]
    cdef Line *line
    cdef uint32_t i
    cdef int other
    if at < 0:
        return False
    line = &head.lines[at]
    if not 0 < line.value_len <= LONGEST_ID:
        return False
    for i in range(line.value_len):
        if not 0x21 <= <unsigned char>head.base[line.value + i] <= 0x7E:
            return False
    for other in range(at + 1, head.count):
        if head.lines[other].id == X_REQUEST_ID:
            return False
    return True


cdef class Rewrite:
    """How the request's head is changed for one endpoint; filled by the exchange, which owns it."""

    cdef Py_ssize_t room(self, RequestHead head) except -1:
        cdef Line *last = &head.lines[head.count - 1] if head.count else NULL
        cdef Py_ssize_t size = ADDED + (last.end if last is not NULL else 0)
        size += head.target_len + 2 * head.authority_len + len(self.peer.lines) + len(self.peer.server)
        if self.host is not None:
            size += len(self.host)
        if self.prefix is not None:
            size += len(self.prefix)
        return size if self.request_id is None else size + len(self.request_id)

    cdef Py_ssize_t write(self, char *out, RequestHead head) except -1:
        cdef char *begin = out
        cdef const char *base = head.base
        cdef Line *line
        cdef Py_ssize_t run = -1, run_end = 0       # the lines that are copied next, as one piece
        cdef bint trusted = self.peer.trusted
        cdef bint own_id = self.request_id is not None
        cdef bint kept
        cdef int last_for = -1, number

        out = put(out, base + head.method_at, head.method_len)
        out = put(out, b" ", 1)
        out = self._target(out, head)
        out = put(out, b" HTTP/1.1\r\nHost: ", 17)
        if self.host is not None:
            out = put_bytes(out, self.host)
        else:
            out = put(out, base + head.authority_at, head.authority_len)
        out = put(out, b"\r\n", 2)

        if trusted and head.index[X_FORWARDED_FOR] >= 0:
            for number in range(head.count):
                if head.lines[number].id == X_FORWARDED_FOR:
                    last_for = number
        for number in range(head.count):
            line = &head.lines[number]
            kept = not line.hop and line.id != HOST
            if kept and X_FORWARDED <= line.id <= X_REAL_IP:
                kept = trusted and (line.id <= X_FORWARDED_FOR or not is_missing(head, line.id))
            elif kept and line.id == X_REQUEST_ID:
                kept = not own_id
            elif kept and line.id == CONTENT_LENGTH:
                kept = self.framing == SIZED
            elif kept and line.id == MAX_FORWARDS:
                kept = head.max_forwards < 0
            if kept:
                if run < 0:
                    run = line.at
                run_end = line.end
                if last_for >= 0 and line == head.lines + last_for:
                    out = put(out, base + run, line.value + line.value_len - run)
                    if line.value_len:
                        out = put(out, b", ", 2)
                    out = put_bytes(out, self.peer.address)
                    out = put(out, b"\r\n", 2)
                    run = -1
            elif run >= 0:
                out = put(out, base + run, run_end - run)
                run = -1
        if run >= 0:
            out = put(out, base + run, run_end - run)

        out = self._about_peer(out, head, trusted, last_for)
        if own_id:
            out = put(out, b"X-Request-Id: ", 14)
            out = put_bytes(out, self.request_id)
            out = put(out, b"\r\n", 2)
        if head.max_forwards >= 0:      # RFC 9110 7.6.2; at 0 the exchange answers by itself
            out += sprintf(out, b"Max-Forwards: %lld\r\n", <long long>max(head.max_forwards - 1, 0))
        out = put(out, b"Via: 1.", 7)
        out[0] = b"1"[0] if head.minor else b"0"[0]
        out = put(out + 1, b" hostmesh\r\n", 11)
        if self.framing == CHUNKED:
            out = put(out, b"Transfer-Encoding: chunked\r\n", 28)
        if head.upgrade:
            out = put_upgrade(out, head)
        elif head.index[TE] >= 0 and self._takes_trailers(head):
            # RFC 9110 10.1.4: TE speaks of this hop only, and we pass trailers on
            out = put(out, b"TE: trailers\r\nConnection: TE\r\n", 30)
        out = put(out, b"\r\n", 2)
        return out - begin

    cdef char *_target(self, char *out, RequestHead head) except NULL:
        cdef const char *base = head.base
        cdef bytes path
        if self.prefix:
            out = put_bytes(out, self.prefix)
        if head.path_len == 0:
            out = put(out, b"/", 1)             # http://host?query
        elif head.plain_path or not self.sanitize:
            out = put(out, base + head.path_at, head.path_len)
        else:
            path = head.path
            out = put_bytes(out, path)
        if head.has_query:
            out = put(out, b"?", 1)
            out = put(out, base + head.query_at, head.query_len)
        return out

    cdef char *_about_peer(self, char *out, RequestHead head, bint trusted, int last_for) noexcept:
        cdef const char *base = head.base
        cdef const char *colon
        cdef const char *authority = base + head.authority_at
        if not trusted:
            out = put_bytes(out, self.peer.lines)
        else:
            if last_for < 0:
                out = put(out, b"X-Forwarded-For: ", 17)
                out = put_bytes(out, self.peer.address)
                out = put(out, b"\r\n", 2)
            if is_missing(head, X_REAL_IP):
                out = put(out, b"X-Real-Ip: ", 11)
                out = put_bytes(out, self.peer.address)
                out = put(out, b"\r\n", 2)
            if is_missing(head, X_FORWARDED_SERVER):
                out = put(out, b"X-Forwarded-Server: ", 20)
                out = put_bytes(out, self.peer.server)
                out = put(out, b"\r\n", 2)
        if not trusted or is_missing(head, X_FORWARDED_PROTO):
            out = put(out, b"X-Forwarded-Proto: ", 19)
            if is_websocket(head):
                out = put(out, b"ws", 2)
            else:
                out = put(out, b"http", 4)
            if self.secure:
                out = put(out, b"s", 1)
            out = put(out, b"\r\n", 2)
        if head.authority_len and (not trusted or is_missing(head, X_FORWARDED_HOST)):
            out = put(out, b"X-Forwarded-Host: ", 18)
            out = put(out, authority, head.authority_len)
            out = put(out, b"\r\n", 2)
        if not trusted or is_missing(head, X_FORWARDED_PORT):
            out = put(out, b"X-Forwarded-Port: ", 18)
            colon = port_of(authority, head.authority_len)
            if colon is not NULL:
                out = put(out, colon, authority + head.authority_len - colon)
            else:
                out = put(out, b"443", 3) if self.secure or (trusted and says_secure(head)) else put(out, b"80", 2)
            out = put(out, b"\r\n", 2)
        return out

    cdef bint _takes_trailers(self, RequestHead head) noexcept:
        """Is `trailers`, which has no weight, a member of what TE lists (RFC 9110 10.1.4)?"""
        cdef int number
        cdef Py_ssize_t i, n, begin
        cdef const char *at
        for number in range(head.count):
            if head.lines[number].id != TE:
                continue
            at, n = head.base + head.lines[number].value, head.lines[number].value_len
            i = 0
            while i < n:
                begin = i
                while i < n and at[i] != b","[0]:
                    i += 1
                if same_member(at + begin, i - begin):
                    return True
                i += 1
        return False


cdef bint same_member(const char *at, Py_ssize_t n) noexcept:
    while n and (at[n - 1] == b" "[0] or at[n - 1] == b"\t"[0]):
        n -= 1
    while n and (at[0] == b" "[0] or at[0] == b"\t"[0]):
        at += 1
        n -= 1
    return n == 8 and strncasecmp(at, b"trailers", 8) == 0


cdef const char *port_of(const char *authority, Py_ssize_t length) noexcept:
    """The digits behind the last colon that is not inside brackets, or NULL where there are none."""
    cdef Py_ssize_t at = length
    while at > 0 and b"0"[0] <= authority[at - 1] <= b"9"[0]:
        at -= 1
    return authority + at if 0 < at < length and authority[at - 1] == b":"[0] else NULL


cdef inline bint is_missing(RequestHead head, int id) noexcept:
    """Whether the client has not said the field, or said nothing in its first line."""
    return head.index[id] < 0 or head.lines[head.index[id]].value_len == 0


cdef bint says_secure(RequestHead head) noexcept:
    """Whether X-Forwarded-Proto is https or wss; whoever is asked through a proxy that speaks TLS is on 443."""
    cdef int at = head.index[X_FORWARDED_PROTO]
    cdef Line *line
    if at < 0:
        return False
    line = &head.lines[at]
    return (line.value_len == 5 and memcmp(head.base + line.value, b"https", 5) == 0) or (
        line.value_len == 3 and memcmp(head.base + line.value, b"wss", 3) == 0)


cdef bint is_websocket(RequestHead head) noexcept:
    """Is it one of what Upgrade lists, on whichever of its lines?"""
    cdef Line *line
    cdef const char *at
    cdef const char *end
    cdef int number
    if not head.upgrade:
        return False
    for number in range(head.count):
        line = &head.lines[number]
        if line.id != UPGRADE:
            continue
        at = head.base + line.value
        end = at + line.value_len
        while at < end:
            if (end - at >= 9 and strncasecmp(at, b"websocket", 9) == 0
                    and (at + 9 == end or at[9] in (c",", c" ", c"\t", c"/"))):
                return True
            while at < end and at[0] != c",":
                at += 1
            while at < end and at[0] in (c",", c" ", c"\t"):
                at += 1
    return False


cdef char *put_upgrade(char *out, Head head) noexcept:
    """All that Upgrade says, on however many lines, on one: never longer than they were, but for the first part."""
    cdef int number
    cdef bint is_first = True
    out = put(out, b"Connection: Upgrade\r\nUpgrade: ", 30)
    for number in range(head.count):
        if head.lines[number].id == UPGRADE and head.lines[number].value_len:
            if not is_first:
                out = put(out, b", ", 2)
            out = put(out, head.base + head.lines[number].value, head.lines[number].value_len)
            is_first = False
    return put(out, b"\r\n", 2)


cdef Py_ssize_t response_room(ResponseHead head) noexcept:
    return ADDED + head.reason_len + (head.lines[head.count - 1].end if head.count else 0)


cdef char *put_status_line(char *out, ResponseHead head) noexcept:
    out = put(out, b"HTTP/1.1 ", 9)
    out[0] = <char>(b"0"[0] + head.status // 100)
    out[1] = <char>(b"0"[0] + head.status // 10 % 10)
    out[2] = <char>(b"0"[0] + head.status % 10)
    out[3] = b" "[0]
    out = put(out + 4, head.base + head.reason_at, head.reason_len)
    return put(out, b"\r\n", 2)


cdef char *put_lines(char *out, ResponseHead head, bint sized) noexcept:
    cdef Line *line
    cdef int number
    cdef Py_ssize_t run = -1, run_end = 0
    for number in range(head.count):
        line = &head.lines[number]
        if not line.hop and (sized or line.id != CONTENT_LENGTH):
            if run < 0:
                run = line.at
            run_end = line.end
        elif run >= 0:
            out = put(out, head.base + run, run_end - run)
            run = -1
    return put(out, head.base + run, run_end - run) if run >= 0 else out


cdef Py_ssize_t write_response(char *out, ResponseHead head, int minor, int framing, bint close, bytes date) noexcept:
    """The final head as the client gets it; NO_BODY keeps a Content-Length (HEAD, 304).  101 is one of these."""
    cdef char *begin = out
    out = put_lines(put_status_line(out, head), head, framing != CHUNKED)
    if head.index[DATE] < 0 and head.status >= 200:
        out = put_bytes(out, date)          # RFC 9110 6.6.1
    if framing == CHUNKED:
        out = put(out, b"Transfer-Encoding: chunked\r\n", 28)
    if head.status == 101:
        out = put_upgrade(out, head)
    elif head.status == 426 and minor and head.index[UPGRADE] >= 0:
        out = put_upgrade(out, head)        # RFC 9110 15.5.22: the answer has to say which protocols would do
    if close and head.status != 101:
        out = put(out, b"Connection: close\r\n", 19)
    elif minor == 0 and head.status != 101:
        out = put(out, b"Connection: keep-alive\r\n", 24)
    out = put(out, b"\r\n", 2)
    return out - begin


cdef Py_ssize_t write_interim(char *out, ResponseHead head) noexcept:
    """A 1xx head other than 101."""
    cdef char *begin = out
    out = put(put_lines(put_status_line(out, head), head, False), b"\r\n", 2)
    return out - begin


# For callers in Python, such as tests and fuzzers; the exchange calls write() and its like with its own buffers.

def written_request(RequestHead head not None, Peer peer not None, bytes host=None, bytes prefix=b"", bint sanitize=True,
                    bint secure=False, bytes request_id=None):
    """A whole head as an endpoint gets it, its body framed as the client framed it."""
    cdef Rewrite rewrite = Rewrite()
    cdef bytearray room
    rewrite.peer, rewrite.host, rewrite.prefix, rewrite.request_id = peer, host, prefix, request_id
    rewrite.sanitize, rewrite.secure = sanitize, secure
    rewrite.framing = CHUNKED if head.chunked else SIZED if head.length >= 0 else NO_BODY
    room = bytearray(rewrite.room(head))
    return bytes(room[:rewrite.write(room, head)])


def written_response(ResponseHead head not None, int minor=1, bint close=False, bytes date=b"Date: now\r\n"):
    """A whole head as a client of HTTP/1.`minor` gets it, interim or final, framed as the exchange would.

    ValueError for a 101 that switches to nothing, which the exchange refuses.
    """
    if head.status == 101 and not head.upgrade:
        raise ValueError("it switches protocols, but says no protocol")
    cdef bytearray room = bytearray(response_room(head))
    cdef int framing = SIZED
    if 100 <= head.status < 200 and head.status != 101:
        return bytes(room[:write_interim(room, head)])
    if head.status != 101 and not head.no_body and head.length < 0:
        framing = CHUNKED if minor else NO_BODY
    return bytes(room[:write_response(room, head, minor, framing, close or framing == NO_BODY, date)])
