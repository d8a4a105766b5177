"""What is sent next, made of a head and a payload: framed, and together where it is small.

Owns how a piece is put together for one send.  It knows no connection and no direction: relay.pyx has two of each.
Floor 3.
"""
from libc.stdio cimport snprintf
from libc.string cimport memcpy

from mesh.http1.body cimport Body
from workers.proxy.stream cimport LARGE, SMALL, Piece, give_buffer, piece_set, take_buffer


cdef int at_least(char **buffer, Py_ssize_t *size, Py_ssize_t room) except -1:
    """Makes the buffer, of which nothing is needed any more, large enough."""
    if size[0] >= room:
        return 0
    if buffer[0] is not NULL:
        give_buffer(buffer[0], size[0])
        buffer[0] = NULL
        size[0] = 0
    room = SMALL if room <= SMALL else LARGE if room <= LARGE else room
    buffer[0] = take_buffer(room)
    size[0] = room
    return 0


cdef bytes frame(Piece *piece, const char *payload, Py_ssize_t length, bint chunked, Body body):
    """Makes the payload the next part of the piece, as a chunk or as it is; answers what must stay alive until sent."""
    cdef bytes tail
    if not chunked:
        piece_set(piece, 2, payload, length)
        return None
    if length:
        piece_set(piece, 1, piece.frame, snprintf(piece.frame, sizeof(piece.frame), b"%zx\r\n", length))
        piece_set(piece, 2, payload, length)
    if not body.done:
        if length:
            piece_set(piece, 3, b"\r\n", 2)
        return None
    tail = (b"\r\n0\r\n" if length else b"0\r\n") + body.trailers() + b"\r\n"
    piece_set(piece, 3, <const char *>tail, len(tail))
    return tail


cdef void together(Piece *piece, char *head) noexcept:
    """Copies what follows a head that nothing was sent of behind it, where it is small: one plain send takes it all."""
    cdef Py_ssize_t follows = piece.left - piece.length[0]
    cdef char *at = head + piece.length[0]
    cdef int number
    if not 0 < follows <= TOGETHER:
        return
    for number in range(1, 4):
        memcpy(at, piece.part[number], piece.length[number])
        at += piece.length[number]
        piece.length[number] = 0
    piece.length[0] += follows
