"""Every check of one message that can be made in C, against llhttp, on memory that ends where the message ends.

`check(target, bytes)` answers what does not hold, or None; `drive` gives the same to libFuzzer.  What differs from llhttp
is judged in Python (fuzz/checks.py), where the one list of differences is.  Built by fuzz/building.py only.
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy, memmove, strcmp, strlen

from mesh.http1.body cimport Body
from mesh.http1.grammar cimport h1_hex, h1_lower
from mesh.http1.head cimport (
    CONNECT, CONNECTION, CONTENT_LENGTH, DATE, HOST, KEEP_ALIVE, MAX_FORWARDS, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION,
    PROXY_CONNECTION, TE, TRANSFER_ENCODING, UPGRADE, VIA, X_FORWARDED, X_REQUEST_ID, Head, Line, RequestHead,
    ResponseHead,
)
from mesh.http1.hop cimport CHUNKED, NO_BODY, SIZED, Peer, Rewrite, response_room, write_interim, write_response
from mesh.http1.message cimport REFUSED, WHOLE

cdef extern from "sys/mman.h" nogil:
    void *mmap(void *, size_t, int, int, int, long)
    int mprotect(void *, size_t, int)
    enum:
        PROT_NONE, PROT_READ, PROT_WRITE, MAP_PRIVATE, MAP_ANONYMOUS

cdef extern from "peer.h":
    struct PeerLine "":
        const char *name
        const char *value
        size_t name_len
        size_t value_len
    ctypedef struct Peer_heard:
        const char *url
        size_t url_len
        int count, head_over, over, odd
        PeerLine lines[512]
        size_t body_len
        char body[131072]
    enum:
        HPE_INVALID_METHOD
    void peer_start(Peer_heard *, int)
    int peer_feed(Peer_heard *, const char *, size_t)

cdef extern from "peer.h":
    uint64_t next_noise(uint64_t noise) noexcept
    uint64_t noise_of(const char *data, Py_ssize_t n) noexcept
    int LLVMFuzzerRunDriver(int *, char ***, int (*)(const uint8_t *, size_t) noexcept)

cdef enum:
    PAGE = 4096
    ROOM = 1 << 18
    LONGEST = 65536         # of a message that is looked at
    REQUEST = 0
    RESPONSE
    BODY

cdef bytes CHUNKED_HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
cdef bytes DATE_LINE = b"Date: now\r\n"

cdef char *mapped() except NULL:
    """The first byte of a room between two pages that nobody may touch."""
    cdef char *at = <char *>mmap(NULL, ROOM + 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    if mprotect(at, PAGE, PROT_NONE) or mprotect(at + PAGE + ROOM, PAGE, PROT_NONE):
        raise MemoryError
    return at + PAGE

cdef char *room_a = mapped()
cdef char *room_b = mapped()
cdef char *room_out = mapped()
cdef Peer_heard *heard = <Peer_heard *>malloc(sizeof(Peer_heard))
cdef char *payload_a = <char *>malloc(LONGEST)
cdef char *payload_b = <char *>malloc(LONGEST)

cdef RequestHead request = RequestHead()
cdef RequestHead request_cut = RequestHead()
cdef RequestHead request_new = RequestHead(1048576, 300)
cdef RequestHead request_bare = RequestHead()
cdef ResponseHead response = ResponseHead()
cdef ResponseHead response_cut = ResponseHead()
cdef ResponseHead response_new = ResponseHead(1048576, 300)
cdef ResponseHead response_bare = ResponseHead()
cdef Body body = Body()
cdef Body body_cut = Body()
cdef Rewrite rewrite = Rewrite()
cdef list peers = [Peer(b"10.9.8.7", b"host-a", False), Peer(b"10.9.8.7", b"host-a", True)]

cdef int the_target = REQUEST
cdef object the_judge = None
cdef int64_t executions = 0, accepted = 0, judged = 0


cdef inline const char *unless(bint holds, const char *what) noexcept:
    if holds:
        return NULL
    return what


cdef inline char *at_end(char *room, const char *data, Py_ssize_t n) noexcept:
    memcpy(room + ROOM - n, data, n)
    return room + ROOM - n


cdef const char *unlike(Head one, Head other) noexcept:
    """What two heads read differently, or NULL."""
    if one.stage != other.stage:
        return b"the outcome depends on how the bytes came"
    if one.stage == REFUSED:
        return unless(one.status == other.status and strcmp(one.why, other.why) == 0,
                      b"the refusal depends on how the bytes came")
    if (one.count != other.count or one.minor != other.minor or one.close != other.close or one.chunked != other.chunked
            or one.upgrade != other.upgrade or one.expect_continue != other.expect_continue or one.hops != other.hops
            or one.length != other.length or one.status != other.status or one._options != other._options
            or one._listed != other._listed or memcmp(one.index, other.index, sizeof(one.index))):
        return b"the facts depend on how the bytes came"
    if one.count and memcmp(one.lines, other.lines, one.count * sizeof(Line)):
        return b"the lines depend on how the bytes came"
    return NULL


cdef const char *unlike_requests(RequestHead one, RequestHead other) noexcept:
    cdef const char *what = unlike(one, other)
    if what is not NULL or one.stage != WHOLE:
        return what
    if (one.method_id != other.method_id or one.method_at != other.method_at or one.method_len != other.method_len
            or one.target_at != other.target_at or one.target_len != other.target_len or one.path_at != other.path_at
            or one.path_len != other.path_len or one.query_at != other.query_at or one.query_len != other.query_len
            or one.has_query != other.has_query or one.authority_at != other.authority_at
            or one.authority_len != other.authority_len or one.absolute != other.absolute
            or one.asterisk != other.asterisk or one.plain_path != other.plain_path
            or one.max_forwards != other.max_forwards):
        return b"the request line depends on how the bytes came"
    return NULL


cdef const char *is_forgotten(Head head, Head bare) noexcept:
    """After reset(), nothing but the memory for lines is left."""
    if (head.stage != bare.stage or head.count != 0 or head.minor != bare.minor or head.close or head.chunked
            or head.upgrade or head.expect_continue or head.length != -1 or head.hops or head.status
            or head.why is not NULL or head.seen or head._begin or head._at or head._options or head._listed
            or memcmp(head.index, bare.index, sizeof(head.index))):
        return b"something is left of a message"
    return NULL


cdef const char *lines_inside(Head head, Py_ssize_t begin, Py_ssize_t end) noexcept:
    """Lines follow each other up to the empty one, and each part of them lies inside."""
    cdef int number
    cdef Line *line
    cdef Py_ssize_t at = begin
    for number in range(head.count):
        line = &head.lines[number]
        if (line.at != at or line.name_len == 0 or line.at + line.name_len >= line.value
                or line.value + line.value_len > line.end - 2 or line.end > end - 2):
            return b"a line lies outside of the head"
        at = line.end
    return unless(at == end - 2, b"the lines end before the head")


cdef inline bint is_space(char c) noexcept:
    return c == c' ' or c == c'\t'


cdef bint same_name(const char *one, const char *other, Py_ssize_t n) noexcept:
    cdef Py_ssize_t i
    for i in range(n):
        if h1_lower(one[i]) != h1_lower(other[i]):
            return False
    return True


cdef const char *heard_otherwise(Head head, Peer_heard *heard) noexcept:
    """Are the lines that llhttp has heard ours?"""
    cdef int number
    cdef Line *line
    cdef const char *value
    cdef size_t length
    if heard.odd or heard.count != head.count:
        return b"llhttp reads other lines"
    for number in range(head.count):
        line = &head.lines[number]
        value, length = heard.lines[number].value, heard.lines[number].value_len
        while length and is_space(value[length - 1]):
            length -= 1
        while length and is_space(value[0]):
            length -= 1
            value += 1
        if (heard.lines[number].name_len != line.name_len or length != line.value_len
                or memcmp(heard.lines[number].name, head.base + line.at, line.name_len)
                or (length and memcmp(value, head.base + line.value, length))):
            return b"llhttp reads other lines"
    return NULL


cdef inline bint is_ours(int id) noexcept:
    return (id == HOST or id == CONTENT_LENGTH or id == TRANSFER_ENCODING or id == CONNECTION or id == TE or id == UPGRADE
            or id == VIA or id == DATE or id == MAX_FORWARDS or X_FORWARDED <= id <= X_REQUEST_ID)


cdef const char *carried(Head head, Head new) noexcept:
    """All end-to-end lines are in the new head, as they were, and no others."""
    cdef int one = 0, other = 0
    cdef Line *line
    cdef Line *same
    while True:
        while one < head.count and (head.lines[one].hop or is_ours(head.lines[one].id)):
            one += 1
        while other < new.count and is_ours(new.lines[other].id):
            other += 1
        if one == head.count or other == new.count:
            return unless(one == head.count and other == new.count, b"an end-to-end field is not as it was")
        line, same = &head.lines[one], &new.lines[other]
        if (line.name_len != same.name_len or line.value_len != same.value_len
                or memcmp(head.base + line.at, new.base + same.at, line.name_len)
                or memcmp(head.base + line.value, new.base + same.value, line.value_len)):
            return b"an end-to-end field is not as it was"
        one += 1
        other += 1


cdef const char *hops_left(Head new, bint switches) noexcept:
    cdef int number, id, connections = 0
    for number in range(new.count):
        id = new.lines[number].id
        if id == KEEP_ALIVE or id == PROXY_CONNECTION or id == PROXY_AUTHENTICATE or id == PROXY_AUTHORIZATION or (
                id == UPGRADE and not switches):
            return b"a hop-by-hop field is passed on"
        connections += id == CONNECTION
    if connections > 1 or (new.index[CONTENT_LENGTH] >= 0 and new.index[TRANSFER_ENCODING] >= 0):
        return b"two framings or two Connections are written"
    return NULL


# Bodies

cdef const char *read_body(const char *data, Py_ssize_t n, bint chunked, int64_t length, uint64_t noise,
                           Py_ssize_t *consumed, Py_ssize_t *payload) noexcept:
    """Whole and in pieces; *consumed is -1 where it is broken, and payload_a holds the payload."""
    cdef Py_ssize_t at = 0, taken, moved = 0, total = 0, step, i
    cdef char *whole = at_end(room_a, data, n)
    body.start(chunked, length)
    body_cut.start(chunked, length)
    consumed[0] = body.feed(whole, n, payload)
    if consumed[0] > n or payload[0] > n or payload[0] < 0:
        return b"a body takes more than there is"
    if consumed[0] >= 0:
        memcpy(payload_a, whole, payload[0])
        if memcmp(whole + consumed[0], data + consumed[0], n - consumed[0]):
            return b"what follows a body is not left alone"
    while at < n and not body_cut.done:
        noise = next_noise(noise)
        step = 1 + <Py_ssize_t>((noise >> 33) % (3 if noise & 1024 else 40))
        step = min(step, n - at)
        whole = at_end(room_b, data + at, step)
        taken = body_cut.feed(whole, step, &moved)
        if taken < 0:
            break
        if taken > step or moved > taken or (taken < step and not body_cut.done):
            return b"a body takes more or less than there is"
        memcpy(payload_b + total, whole, moved)
        total += moved
        at += taken
    if (consumed[0] < 0) != (body_cut.why is not NULL):
        return b"whether a body breaks depends on how the bytes came"
    if consumed[0] < 0:
        return unless(strcmp(body.why, body_cut.why) == 0, b"why a body breaks depends on how the bytes came")
    if at != consumed[0] or total != payload[0] or memcmp(payload_a, payload_b, total) or body.done != body_cut.done:
        return b"a body depends on how the bytes came"
    if body.done and body.trailers() != body_cut.trailers():
        return b"trailers depend on how the bytes came"
    if not chunked:
        return unless(payload[0] == consumed[0] and memcmp(payload_a, data, payload[0]) == 0,
                      b"the body is not what follows the head")
    return framed(data, consumed[0], payload[0]) if body.done else NULL


cdef const char *framed(const char *data, Py_ssize_t n, Py_ssize_t payload) noexcept:
    """Payload and framing are the input, by a reader that knows only what we accept."""
    cdef Py_ssize_t at = 0, total = 0, size
    while True:
        size = 0
        while at < n and h1_hex(data[at]) >= 0:
            size = 16 * size + h1_hex(data[at])
            at += 1
        while at < n and data[at] != c'\n':
            at += 1
        at += 1
        if size == 0:
            break
        if size > n - at - 2 or total + size > payload or memcmp(payload_a + total, data + at, size):
            return b"the payload is not what the chunks hold"
        total += size
        at += size + 2
    return unless(total == payload and n - at >= 2 and memcmp(data + n - 2, b"\r\n", 2) == 0,
                      b"the payload is not what the chunks hold")


# Requests

cdef const char *check_request(const char *data, Py_ssize_t n, uint64_t noise) noexcept:
    cdef Py_ssize_t end, end_cut, at, consumed = 0, payload = 0, cut
    cdef const char *what
    cdef const char *message = at_end(room_a, data, n)
    cdef bint has_body
    request.reset()
    request_cut.reset()
    end = request.parse(message, n)
    end_cut, at = 0, 0
    while end_cut == 0 and at < n:
        noise = next_noise(noise)
        at = min(n, at + 1 + <Py_ssize_t>((noise >> 33) % (1 if (noise & 7168) == 0 else n)))
        end_cut = request_cut.parse(at_end(room_b, data, at), at)
    if end != end_cut:
        return b"the outcome depends on how the bytes came"
    what = unlike_requests(request, request_cut)
    if what is not NULL:
        return what
    if end > n or (end == 0 and request.stage == REFUSED) or (end > 0 and request.stage != WHOLE):
        return b"the answer of a scan is not its stage"
    request_cut.reset()
    what = is_forgotten(request_cut, request_bare)
    if what is not NULL:
        return what
    if (request_cut.method_id or request_cut.method_len or request_cut.target_len or request_cut.path_len
            or request_cut.query_len or request_cut.authority_len or request_cut.has_query or request_cut.absolute
            or request_cut.asterisk or not request_cut.plain_path or request_cut.max_forwards != -1):
        return b"something is left of a request line"
    if end <= 0:
        return NULL
    request_cut.parse(memmoved(room_b, data, n), n)     # as far from the page behind it as can be
    what = unlike_requests(request, request_cut)
    if what is not NULL:
        return what
    what = lines_inside(request, request.lines[0].at if request.count else end - 2, end)
    if what is not NULL:
        return what
    if (request.target_at + request.target_len + 9 > end or request.method_at + request.method_len >= request.target_at
            or request.path_at + request.path_len > request.target_at + request.target_len
            or request.query_at + request.query_len > request.target_at + request.target_len
            or request.authority_at + request.authority_len > end - 2):
        return b"a part of the target lies outside of it"
    has_body = request.chunked or request.length > 0
    if has_body:
        what = read_body(data + end, n - end, request.chunked, request.length, noise, &consumed, &payload)
        if what is not NULL:
            return what
        request.base = at_end(room_a, data, n)
    if request.method_id == CONNECT or consumed < 0 or (has_body and not body.done):
        return NULL
    global accepted
    accepted += 1
    what = ask_about_request(request.base, request, end + consumed, payload)
    return what if what is not NULL else rewritten_request(noise)


cdef inline char *memmoved(char *room, const char *data, Py_ssize_t n) noexcept:
    memcpy(room, data, n)
    return room


cdef const char *ask_about_request(const char *message, RequestHead head, Py_ssize_t n, Py_ssize_t payload) noexcept:
    """llhttp, about a message that we accept and that has n bytes.  A method that it does not know, it is told as GET."""
    cdef Py_ssize_t at = head.method_at
    cdef int error
    peer_start(heard, 1)
    error = peer_feed(heard, message + at, n - 1 - at)
    if error == HPE_INVALID_METHOD:
        at += head.method_len
        peer_start(heard, 1)
        peer_feed(heard, b"GET", 3)
        error = peer_feed(heard, message + at, n - 1 - at)
    if error:
        return b"by_llhttp refuses a request"
    if heard.over:
        return b"by_llhttp sees an earlier end"
    if peer_feed(heard, message + n - 1, 1):
        return b"by_llhttp refuses a request"
    if not heard.over or <Py_ssize_t>heard.body_len != payload or memcmp(heard.body, payload_a, payload):
        return b"by_llhttp reads another body"
    if heard.url_len != head.target_len or memcmp(heard.url, message + head.target_at, head.target_len):
        return b"by_llhttp reads another target"
    return heard_otherwise(head, heard)


cdef const char *rewritten_request(uint64_t noise) noexcept:
    """What is written of `request` is a request like it."""
    cdef Py_ssize_t room, n
    cdef char *out
    cdef const char *what
    rewrite.peer = <Peer>(peers[noise >> 60 & 1])
    rewrite.host = b"b.mesh:81" if noise >> 61 & 1 else None
    rewrite.prefix = b"/base" if noise >> 62 & 1 else b""
    rewrite.request_id = b"id-1" if noise >> 63 else None
    rewrite.sanitize, rewrite.secure = True, noise >> 59 & 1
    rewrite.framing = CHUNKED if request.chunked else SIZED if request.length >= 0 else NO_BODY
    try:
        room = rewrite.room(request)
        if room > ROOM:
            return NULL
        out = room_out + ROOM - room
        n = rewrite.write(out, request)
    except Exception:
        return b"writing a request raises"
    if n > room:
        return b"more is written than there is room"
    request_new.reset()
    if request_new.parse(out, n) != n:
        return b"we refuse what we write"
    what = hops_left(request_new, request.upgrade)
    if what is not NULL:
        return what
    if (request_new.chunked != request.chunked or request_new.length != request.length or request_new.close
            or request_new.upgrade != request.upgrade or request_new.method_id != request.method_id
            or request_new.has_query != request.has_query or request_new.absolute
            or request_new.index[VIA] < 0 or request_new.expect_continue != request.expect_continue):
        return b"another request is written"
    if (request.has_query and (request.query_len != request_new.query_len or memcmp(
            request.base + request.query_at, out + request_new.query_at, request.query_len))):
        return b"another query is written"
    what = carried(request, request_new)
    if what is not NULL:
        return what
    # the head alone, as llhttp reads it
    peer_start(heard, 1)
    if peer_feed(heard, out, n) == HPE_INVALID_METHOD:
        peer_start(heard, 1)
        peer_feed(heard, b"GET", 3)
        peer_feed(heard, out + request_new.method_len, n - request_new.method_len)
    if not heard.head_over or heard.over != (not request.chunked and request.length <= 0):
        return b"llhttp reads another request in what is written"
    return heard_otherwise(request_new, heard)


# Responses

cdef const char *check_response(const char *data, Py_ssize_t n, uint64_t noise) noexcept:
    cdef Py_ssize_t end, end_cut = 0, at = 0, consumed = 0, payload = 0
    cdef const char *what
    cdef bint to_head = (noise >> 40) % 6 == 0
    response.reset()
    response_cut.reset()
    end = response.parse(at_end(room_a, data, n), n, to_head)
    while end_cut == 0 and at < n:
        noise = next_noise(noise)
        at = min(n, at + 1 + <Py_ssize_t>((noise >> 33) % (1 if (noise & 7168) == 0 else n)))
        end_cut = response_cut.parse(at_end(room_b, data, at), at, to_head)
    if end != end_cut:
        return b"the outcome depends on how the bytes came"
    what = unlike(response, response_cut)
    if what is NULL and response.stage == WHOLE and (
            response.until_close != response_cut.until_close or response.no_body != response_cut.no_body
            or response.reason_at != response_cut.reason_at or response.reason_len != response_cut.reason_len):
        what = b"the status line depends on how the bytes came"
    if what is not NULL:
        return what
    response_cut.reset()
    what = is_forgotten(response_cut, response_bare)
    if what is not NULL:
        return what
    if response_cut.until_close or response_cut.no_body or response_cut.reason_len:
        return b"something is left of a status line"
    if end <= 0:
        return NULL
    if end > n or response.reason_at + response.reason_len > end - 4 + 2:
        return b"a part of the status line lies outside of it"
    what = lines_inside(response, response.lines[0].at if response.count else end - 2, end)
    if what is not NULL:
        return what
    if not response.no_body and response.status != 101 and response.length != 0:
        what = read_body(data + end, n - end, response.chunked,
                         -1 if response.until_close or response.chunked else response.length, noise, &consumed, &payload)
        if what is not NULL:
            return what
        response.base = at_end(room_a, data, n)
        if consumed < 0 or not (body.done or response.until_close):
            return NULL
    if response.status == 101 and not response.upgrade:
        return NULL
    global accepted
    accepted += 1
    if not to_head and response.status != 101:
        what = ask_about_response(response.base, end + consumed, payload)
        if what is not NULL:
            return what
    what = rewritten_response(noise, to_head)
    if what is NULL and response.status < 200 and response.status != 101 and end < n:
        return check_response(data + end, n - end, noise)
    return what


cdef const char *ask_about_response(const char *message, Py_ssize_t n, Py_ssize_t payload) noexcept:
    cdef bint ends = not response.until_close
    peer_start(heard, 0)
    if peer_feed(heard, message, n - 1):
        return b"by_llhttp refuses a response"
    if heard.over:
        return b"by_llhttp sees an earlier end"
    if peer_feed(heard, message + n - 1, 1):
        return b"by_llhttp refuses a response"
    # "the length of an interim answer" is listed, and so frequent that Python would have little else to judge
    if (heard.over != ends or <Py_ssize_t>heard.body_len != payload or memcmp(heard.body, payload_a, payload)) and not (
            response.status < 200 and response.index[CONTENT_LENGTH] >= 0 and not heard.over and heard.body_len == 0):
        return b"by_llhttp reads another body"
    return heard_otherwise(response, heard)


cdef const char *rewritten_response(uint64_t noise, bint to_head) noexcept:
    cdef Py_ssize_t room = response_room(response), n
    cdef int minor = noise >> 50 & 1, framing = SIZED
    cdef bint close = noise >> 51 & 1, interim = response.status < 200 and response.status != 101
    cdef const char *what
    cdef char *out
    if room > ROOM:
        return NULL
    out = room_out + ROOM - room
    if response.status != 101 and not response.no_body and response.length < 0:
        framing = CHUNKED if minor else NO_BODY
    if interim:
        n = write_interim(out, response)
    else:
        n = write_response(out, response, minor, framing, close or framing == NO_BODY, DATE_LINE)
    if n > room:
        return b"more is written than there is room"
    response_new.reset()
    if response_new.parse(out, n, to_head) != n:
        return b"we refuse what we write"
    what = hops_left(response_new, response.status == 101)
    if what is not NULL:
        return what
    if (response_new.status != response.status or response_new.reason_len != response.reason_len or memcmp(
            out + response_new.reason_at, response.base + response.reason_at, response.reason_len)):
        return b"another status line is written"
    if not interim and (response_new.length != response.length or response_new.until_close != (framing == NO_BODY)
                        or response_new.chunked != (framing == CHUNKED)
                        or (response.status >= 200 and response_new.index[DATE] < 0)):
        return b"another framing is written, or no Date"
    if not interim and response.status != 101 and response_new.close != (close or framing == NO_BODY):
        return b"the connection is spoken of otherwise"
    what = carried(response, response_new)
    if what is not NULL or to_head or response.status == 101:
        return what
    peer_start(heard, 0)
    if peer_feed(heard, out, n) or not heard.head_over:
        return b"llhttp refuses what is written"
    return heard_otherwise(response_new, heard)


# Bodies alone, which are chunked

cdef const char *check_body(const char *data, Py_ssize_t n, uint64_t noise) noexcept:
    cdef Py_ssize_t consumed = 0, payload = 0
    cdef const char *what = read_body(data, n, True, -1, noise, &consumed, &payload)
    if what is not NULL or consumed < 0 or not body.done:
        return what
    global accepted
    accepted += 1
    peer_start(heard, 1)
    peer_feed(heard, PyBytes_AS_STRING(CHUNKED_HEAD), PyBytes_GET_SIZE(CHUNKED_HEAD))
    if peer_feed(heard, data, consumed - 1):
        return b"by_llhttp refuses a request"
    if heard.over:
        return b"by_llhttp sees an earlier end"
    if peer_feed(heard, data + consumed - 1, 1):
        return b"by_llhttp refuses a request"
    if not heard.over or <Py_ssize_t>heard.body_len != payload or memcmp(heard.body, payload_a, payload):
        return b"by_llhttp reads another body"
    return NULL


cdef const char *check_one(int target, const char *data, Py_ssize_t n) noexcept:
    cdef uint64_t noise = noise_of(data, n)
    if target == REQUEST:
        return check_request(data, n, noise)
    if target == RESPONSE:
        return check_response(data, n, noise)
    return check_body(data, n, noise)


def check(int target, bytes message not None):
    """What does not hold for a message of at most 64 KiB, or None."""
    cdef const char *what
    if PyBytes_GET_SIZE(message) > LONGEST:
        raise ValueError("a message has at most 64 KiB here")
    what = check_one(target, PyBytes_AS_STRING(message), PyBytes_GET_SIZE(message))
    return None if what is NULL else what.decode("ascii")


def figures():
    """(executions, of them accepted messages, of them judged by Python) so far."""
    return executions, accepted, judged


cdef int once(const uint8_t *data, size_t n) noexcept:
    global executions, judged
    cdef const char *what
    if n > LONGEST:
        return 0
    executions += 1
    what = check_one(the_target, <const char *>data, n)
    if what is not NULL:
        judged += 1
        try:
            the_judge(what.decode("ascii"), (<const char *>data)[:n])
        except BaseException as error:
            print("the judge failed:", repr(error), flush=True)
    return 0


def drive(int target, list words, judge):
    """libFuzzer with these words, until it ends the process; `judge(what, message)` is told what does not hold."""
    global the_target, the_judge
    cdef int count = len(words), number
    cdef char **argv = <char **>malloc((count + 1) * sizeof(char *))
    the_target, the_judge = target, judge
    for number in range(count):
        argv[number] = PyBytes_AS_STRING(<bytes>words[number])
    argv[count] = NULL
    return LLVMFuzzerRunDriver(&count, &argv, once)
