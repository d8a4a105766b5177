"""Field lines: where name and value are, which name it is, and the few values that a proxy must read."""
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
cdef int64_t decimal(const char *at, Py_ssize_t n) noexcept                 # 1*DIGIT below 2**63, else -1
cdef bint is_coded_and_chunked(const char *at, Py_ssize_t n) noexcept       # `gzip, chunked` and its like
# The next token of a list, *i on; False at its end, and (with *i < n) where it is no list of tokens.
cdef bint next_option(const char *at, Py_ssize_t n, Py_ssize_t *i, const char **option, Py_ssize_t *length) noexcept
