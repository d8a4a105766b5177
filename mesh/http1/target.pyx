"""What stands in a request target and in Host: authorities, paths and queries, each with one meaning.

Owns the form in which rules see them.  A path is cleaned as Traefik cleans it (normalizePath, then sanitizePath), so
that `/a/../admin`, `//admin` and `/%61dmin` are matched as what they are, and forwarded as what was matched.  Floor 1.
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memchr, memcpy

from mesh.http1.grammar cimport h1_hex, h1_is_digit, h1_is_unreserved, h1_lower

cdef extern from "arpa/inet.h" nogil:
    int inet_pton(int family, const char *text, void *address)
    int AF_INET6

cdef enum:
    V6_LONGEST = 45     # ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255

cdef const char *DIGITS = b"0123456789ABCDEF"


cdef const char *authority_fault(const char *at, Py_ssize_t n) noexcept:
    """NULL for `host [":" port]` (RFC 9110 7.2 without userinfo), else what is wrong with it.

    A host is an address of v6 in brackets or consists of letters, digits and `-._~`.  RFC 3986 would allow escapes and
    sub-delims as well; no host has such a name, and `,` or `;` in one would be read differently further on.
    """
    cdef Py_ssize_t end = 0, digits
    cdef char text[V6_LONGEST + 1]
    cdef char address[16]
    cdef int port = 0
    if n and at[0] == b"[":
        while end < n and at[end] != b"]":
            end += 1
        if end == n or end - 1 > V6_LONGEST:
            return b"the host is not a valid IPv6 address"
        memcpy(text, at + 1, end - 1)
        text[end - 1] = 0
        if memchr(text, 0, end - 1) is not NULL or inet_pton(AF_INET6, text, address) != 1:
            return b"the host is not a valid IPv6 address"
        end += 1
    else:
        while end < n and h1_is_unreserved(at[end]):
            end += 1
        if end == 0 or (end == 1 and at[0] == b"."):
            return b"the host has no name"
        if end < n and at[end] != b":":
            return b"the host has a character that no host name has"
    if end == n:
        return NULL
    if at[end] != b":":
        return b"the host has a character that no host name has"
    digits = n - end - 1
    if digits > 5:
        return b"the host's port is not a number below 65536"
    while end + 1 < n:
        end += 1
        if not h1_is_digit(at[end]):
            return b"the host's port is not a number below 65536"
        port = 10 * port + (at[end] - c'0')
    if port > 65535:
        return b"the host's port is not a number below 65536"
    return NULL


cdef bytes key_of_host(const char *at, Py_ssize_t n):
    """What rules compare: mesh.rules.request.host_key of a faultless authority."""
    cdef Py_ssize_t end = n, i
    cdef bytes key
    cdef char *out
    while end and h1_is_digit(at[end - 1]):
        end -= 1
    end = end - 1 if end and at[end - 1] == b":" else n
    if end and at[end - 1] == b".":
        end -= 1
    key = PyBytes_FromStringAndSize(NULL, end)
    out = PyBytes_AS_STRING(key)
    for i in range(end):
        out[i] = h1_lower(at[i])
    return key


cdef bytes cleaned(const char *at, Py_ssize_t n):
    """The path with unreserved characters decoded, escapes in upper case, then without dot segments and double slashes.

    In this order: `/a/%2e%2e/b` is `/b`.  Escapes of every other character stay, `%2F` most of all.  `..` never leads
    above `/`.  A trailing slash is kept; as in Go's path.Clean, `/a/b/..` is `/a` (RFC 3986 5.2.4 would say `/a/`).
    """
    cdef bytes said = PyBytes_FromStringAndSize(NULL, n)
    cdef char *text = PyBytes_AS_STRING(said)
    cdef Py_ssize_t i = 0, length = 0, begin, end, w = 0
    cdef int code
    while i < n:
        if at[i] != b"%":
            text[length] = at[i]
            i += 1
            length += 1
            continue
        code = 16 * h1_hex(at[i + 1]) + h1_hex(at[i + 2])
        i += 3
        if code < 128 and h1_is_unreserved(<char>code):
            text[length] = <char>code
            length += 1
        else:
            text[length], text[length + 1], text[length + 2] = b"%", DIGITS[code >> 4], DIGITS[code & 15]
            length += 3
    cdef bint slash = text[length - 1] == b"/"
    end = 0
    while end < length:         # segment by segment, written over what was read already
        begin = end + 1         # behind a slash
        end = begin
        while end < length and text[end] != b"/":
            end += 1
        if end == begin or (end - begin == 1 and text[begin] == b"."):
            continue
        if end - begin == 2 and text[begin] == b"." and text[begin + 1] == b".":
            while w and text[w - 1] != b"/":
                w -= 1
            w -= w > 0
            continue
        text[w] = b"/"
        w += 1
        while begin < end:
            text[w] = text[begin]
            w += 1
            begin += 1
    if slash or w == 0:
        text[w] = b"/"
        w += 1
    return said[:w]


cdef dict query_lists(bytes query):
    """As mesh.rules.request.Request reads a query: pairs with a stray `%` do not count."""
    cdef dict found = {}
    cdef bytes pair, name, value
    for pair in query.split(b"&"):
        if not pair:
            continue
        said, _, answer = pair.partition(b"=")
        name, value = _form_decoded(said), _form_decoded(answer)
        if name is not None and value is not None:
            (<list>found.setdefault(name, [])).append(value)
    return found


cdef bytes _form_decoded(bytes said):
    """None where a `%` is not followed by two digits."""
    cdef const char *at = PyBytes_AS_STRING(said)
    cdef Py_ssize_t n = PyBytes_GET_SIZE(said), i = 0, length = 0
    cdef bytes decoded = PyBytes_FromStringAndSize(NULL, n)
    cdef char *text = PyBytes_AS_STRING(decoded)
    while i < n:
        if at[i] == b"%":
            if i + 2 >= n or h1_hex(at[i + 1]) < 0 or h1_hex(at[i + 2]) < 0:
                return None
            text[length] = <char>(16 * h1_hex(at[i + 1]) + h1_hex(at[i + 2]))
            i += 2
        else:
            text[length] = c' ' if at[i] == b"+" else at[i]
        i += 1
        length += 1
    return decoded[:length]
