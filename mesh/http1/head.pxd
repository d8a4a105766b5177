"""Request and response heads as one strict scan leaves them: offsets into the caller's buffer, nothing copied."""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t

# What the data path asks for by name is recognized while scanning; everything else is OTHER.
cdef enum:
    OTHER = 0
    HOST
    CONTENT_LENGTH
    TRANSFER_ENCODING
    CONNECTION
    KEEP_ALIVE
    PROXY_CONNECTION
    TE
    TRAILER
    UPGRADE
    EXPECT
    PROXY_AUTHENTICATE
    PROXY_AUTHORIZATION
    X_FORWARDED         # X-Forwarded-* and its underscore variants, the family that Traefik deletes from untrusted peers
    X_FORWARDED_FOR
    X_FORWARDED_HOST
    X_FORWARDED_PROTO
    X_FORWARDED_PORT
    X_FORWARDED_SERVER
    X_REAL_IP
    X_REQUEST_ID
    VIA
    DATE
    SERVER
    MAX_FORWARDS
    USER_AGENT
    REFERER

# The methods that have a number; any other token is OTHER_METHOD and is asked for as bytes.
cdef enum:
    OTHER_METHOD = 0
    GET
    HEAD
    POST
    PUT
    DELETE
    OPTIONS
    PATCH
    CONNECT
    TRACE

cdef struct Line:
    uint32_t at             # offset of the name
    uint32_t value          # offset of the value, without the white space around it
    uint32_t value_len
    uint32_t end            # offset behind the line's CRLF
    uint16_t name_len
    uint8_t id              # one of the enum above
    uint8_t hop             # 1: hop-by-hop (RFC 9110 7.6.1), by name or because Connection lists it: not forwarded


# One field line in buf[at:lf + 1], lf being its LF.  0: *line is filled in; else the status to refuse with, and *why.
cdef int scan_field(const char *buf, Py_ssize_t at, Py_ssize_t lf, Line *line, const char **why) noexcept


cdef class Head:
    """What requests and responses share.  All offsets count from `base`, the buffer given to the last parse()."""
    cdef const char *base
    cdef Line *lines
    cdef int count              # lines in use
    cdef int room               # lines allocated
    cdef int minor              # HTTP/1.<minor>: 0 or 1
    cdef bint close             # the connection ends after this message (Connection: close, or 1.0 without keep-alive)
    cdef bint chunked
    cdef bint upgrade           # Connection: upgrade together with an Upgrade header, no body, HTTP/1.1, and it is not to h2c
    cdef int64_t length         # Content-Length, or -1 where none was said
    cdef int hops               # how many lines are hop-by-hop
    cdef int status             # requests: the status to refuse with; responses: the status code
    cdef const char *why        # after a refusal: what was wrong, one ASCII sentence without markup
    # where the resumable scan stands
    cdef Py_ssize_t seen        # bytes in which no further LF is to be looked for
    cdef Py_ssize_t _begin      # of the start line
    cdef Py_ssize_t _at         # of the line under way
    cdef int stage
    cdef int _options           # what Connection says: CLOSE_OPTION ...
    cdef int _listed            # how many other names it lists
    cdef object _held           # what Python gave to parse_bytes
    cdef readonly Py_ssize_t max_bytes
    cdef readonly int max_lines
    cdef int index[32]          # by header id: the first line with it, or -1
    cdef bint is_response
    cdef int refuse(self, int status, const char *why) noexcept
    cdef int _grow(self) noexcept
    cdef void _forget(self) noexcept
    cdef bytes value(self, int id)                                # the value of the first such line, or None
    cpdef list header_values(self, bytes lower_name)              # every value of a header, by its lower-case name


cdef class RequestHead(Head):
    cdef int method_id          # one of the enum above; `method`, `host`, `path`, `peer`, header_values and query_values
                                # are the properties and methods of mesh.rules.request.Asked, computed when asked for
    cdef uint32_t method_len    # the method begins at offset 0 (after leading empty lines were skipped: at method_at)
    cdef uint32_t method_at
    cdef uint32_t target_at, target_len         # as sent
    cdef uint32_t path_at, path_len             # origin-form part of it, without the query ("*" for asterisk-form)
    cdef uint32_t query_at, query_len           # without the "?"; query_len 0 where there is none
    cdef bint has_query
    cdef uint32_t authority_at, authority_len   # Host's value, or the target's authority in absolute-form
    cdef bint absolute          # absolute-form target
    cdef bint asterisk          # "*"
    cdef bint plain_path        # nothing in the path needs cleaning: no %, no //, no /. segment, and it is not empty
    cdef bint expect_continue
    cdef Py_ssize_t max_target
    cdef bytes _host, _path, _method            # made when asked for
    cdef dict _query
    cdef public bytes peer                      # the client's address as text; set by the connection, for ClientIP
    cdef void reset(self) noexcept
    # >0: the head is whole, so many bytes of buf (leading empty lines included); 0: more bytes are needed, the scan
    # resumes where it stands (buf may have moved); -1: refused, see status and why
    cdef Py_ssize_t parse(self, const char *buf, Py_ssize_t n) noexcept
    cdef bytes host_key(self)                   # lower case, without port and trailing dot; b"" where none
    cdef bytes clean_path(self)                 # what `path` is for rules: fit to be forwarded, without the query
    cdef bytes target(self)                     # origin-form target as it may be forwarded, not cleaned
    cdef int _start_line(self, const char *buf, Py_ssize_t n) noexcept
    cdef int _request_line(self, const char *buf, Py_ssize_t at, Py_ssize_t end) noexcept
    cdef Py_ssize_t _scan_path(self, const char *buf, Py_ssize_t at) noexcept
    cdef Py_ssize_t _scan_query(self, const char *buf, Py_ssize_t at) noexcept
    cdef int _other_form(self, const char *buf, Py_ssize_t at, Py_ssize_t end) noexcept
    cdef int _settle(self, const char *buf) noexcept


cdef class ResponseHead(Head):
    cdef bint until_close       # the body ends where the connection ends
    cdef bint no_body           # 1xx, 204, 304, or the answer to HEAD
    cdef uint32_t reason_at, reason_len
    cdef void reset(self) noexcept
    cdef Py_ssize_t parse(self, const char *buf, Py_ssize_t n, bint to_head) noexcept   # to_head: answers a HEAD
    cdef int _start_line(self, const char *buf, Py_ssize_t n) noexcept
    cdef int _settle(self, const char *buf, bint to_head) noexcept
