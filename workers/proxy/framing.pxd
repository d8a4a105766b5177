"""What is sent next, made of a head and a payload: framed, and together where it is small."""
from mesh.http1.body cimport Body
from workers.proxy.stream cimport Piece

cdef enum:
    TOGETHER = 4096             # so many bytes are copied behind the head, to be sent with it by one plain send


cdef int at_least(char **buffer, Py_ssize_t *size, Py_ssize_t room) except -1
cdef bytes frame(Piece *piece, const char *payload, Py_ssize_t length, bint chunked, Body body)
cdef void together(Piece *piece, char *head) noexcept
