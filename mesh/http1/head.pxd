"""Request and response heads as one strict scan leaves them: offsets into the caller's buffer, nothing copied."""
from libc.stdint cimport int64_t, uint32_t

# Whoever works with heads finds all of it here.
from mesh.http1.fields cimport (
    CONNECTION, CONTENT_LENGTH, DATE, EXPECT, HOST, KEEP_ALIVE, MAX_FORWARDS, OTHER, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, PROXY_CONNECTION, REFERER, SERVER, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, USER_AGENT, VIA,
    X_FORWARDED, X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PORT, X_FORWARDED_PROTO, X_FORWARDED_SERVER, X_REAL_IP,
    X_REQUEST_ID, Line)
from mesh.http1.message cimport Head

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


cdef class RequestHead(Head):
    # `method`, `host`, `path`, `peer`, header_values and query_values are the properties and methods of
    # mesh.rules.request.Asked, computed when asked for
    cdef int method_id          # one of the enum above
    cdef uint32_t method_len    # the method begins at offset 0 (after leading empty lines were skipped: at method_at)
    cdef uint32_t method_at
    cdef uint32_t target_at, target_len         # as sent
    cdef uint32_t path_at, path_len             # origin-form part of it, without the query ("*" for asterisk-form);
                                                # empty in `http://host`
    cdef uint32_t query_at, query_len           # without the "?"; query_len 0 where there is none
    cdef bint has_query
    cdef uint32_t authority_at, authority_len   # Host's value, or the target's authority in absolute-form
    cdef bint absolute          # absolute-form target
    cdef bint asterisk          # "*"
    cdef bint plain_path        # the path needs no cleaning: no %, no //, no /. segment, and it is not empty
    cdef int64_t max_forwards   # of OPTIONS: how often it may be passed on (RFC 9110 7.6.2); -1 where nothing is said
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
    cdef int _count_forwards(self, const char *buf) noexcept


cdef class ResponseHead(Head):
    cdef bint until_close       # the body ends where the connection ends
    cdef bint no_body           # 1xx, 204, 304, or the answer to HEAD
    cdef uint32_t reason_at, reason_len
    cdef void reset(self) noexcept
    cdef Py_ssize_t parse(self, const char *buf, Py_ssize_t n, bint to_head) noexcept   # to_head: answers a HEAD
    cdef int _start_line(self, const char *buf, Py_ssize_t n) noexcept
    cdef int _settle(self, const char *buf, bint to_head) noexcept
