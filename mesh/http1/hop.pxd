"""What this hop changes of a head on its way: written straight into the buffer that is sent."""
from mesh.http1.head cimport RequestHead, ResponseHead

cdef enum:
    NO_BODY = 0
    SIZED           # Content-Length, as it was said
    CHUNKED         # Transfer-Encoding: chunked, made by us


cdef class Peer:
    """A client by its address: what is said about it to endpoints, and whether what it says itself is believed."""
    cdef readonly bytes address         # as text
    cdef readonly bint trusted
    cdef bytes lines                    # X-Forwarded-For, X-Forwarded-Server and X-Real-Ip, each with its CRLF
    cdef bytes server                   # X-Forwarded-Server alone, without name and CRLF


cdef class Rewrite:
    """How the request's head is changed for one endpoint."""
    cdef Peer peer
    cdef bytes host             # sent as Host; None: the client's
    cdef bytes prefix           # before the path
    cdef bint sanitize          # the path is sent cleaned
    cdef bint secure            # the client came by TLS
    cdef bytes request_id       # made by us; None: the client's own X-Request-Id is kept
    cdef int framing
    cdef Py_ssize_t room(self, RequestHead head) except -1      # bytes that write() may need
    cdef Py_ssize_t write(self, char *out, RequestHead head) except -1
    cdef char *_target(self, char *out, RequestHead head) except NULL
    cdef char *_about_peer(self, char *out, RequestHead head, bint trusted, int last_for) noexcept
    cdef bint _takes_trailers(self, RequestHead head) noexcept

cdef bint is_request_id(RequestHead head) noexcept      # the client's X-Request-Id may be kept
cdef Py_ssize_t response_room(ResponseHead head) noexcept
# minor: the client's HTTP/1.<minor>.  date: a whole Date line, added where there is none.
cdef Py_ssize_t write_response(char *out, ResponseHead head, int minor, int framing, bint close, bytes date) noexcept
cdef Py_ssize_t write_interim(char *out, ResponseHead head) noexcept
