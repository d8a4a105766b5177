"""splice(2): from socket to socket through a pipe, the pages change hands and nobody copies them.

Owns the pipes of the worker.  A pipe is filled only when it is empty: so EAGAIN says which side has to be waited for, and
a slow reader holds back the other side as a buffer would.  What a pipe holds (at most 1 MiB) is the kernel's memory, not
the worker's; so there are never more than MOST, in use and free together, and the bodies beyond that are copied.
Only for plain sockets.  A splice cannot ask for no SIGPIPE as a send does; Python ignores the signal.  Floor 3.
"""
from libc.errno cimport EAGAIN, EINTR, errno

from workers.proxy.stream cimport AGAIN, FAILED, Stream

cdef extern from "fcntl.h" nogil:
    ssize_t splice(int, void *, int, void *, size_t, unsigned int)
    int fcntl(int, int, ...)
    enum:
        F_SETPIPE_SZ
        O_CLOEXEC
        O_NONBLOCK
        SPLICE_F_MOVE
        SPLICE_F_NONBLOCK

cdef extern from "unistd.h" nogil:
    int pipe2(int *, int)
    int c_close "close"(int)

cdef enum:
    # A pipe counts pages, and a segment begins a page of its own: one of 64 KiB takes little at a time and is dearer
    # than copying, 483 us for 1 MB; 256 KiB 225, 512 KiB 209, 1 MiB 207 (copying 271).  1 MiB is Linux's pipe-max-size.
    SIZE = 1048576
    MOST = 64

cdef list free = []
cdef int made = 0               # pipes that there are
cdef int most = MOST


cdef class Pipe:
    """One pipe; whoever has taken it gives it back."""

    def __cinit__(self):
        self.ends[0] = self.ends[1] = -1

    def __dealloc__(self):
        global made
        if self.ends[0] >= 0:
            c_close(self.ends[0])
            c_close(self.ends[1])
            made -= 1

    cdef Py_ssize_t fill(self, Stream source, Py_ssize_t most) except -3:
        """Moves up to so many bytes into the pipe, which must be empty; as Stream.recv."""
        cdef Py_ssize_t room = most if most < SIZE else SIZE
        cdef ssize_t got
        while True:
            got = splice(source.fd, NULL, self.ends[1], NULL, room, SPLICE_F_MOVE | SPLICE_F_NONBLOCK)
            if got >= 0:
                self.held = got
                self.shorts = self.shorts + 1 if got < SHORT else 0
                # More may be there, where the pipe has no page left; then there is an event for it at once.
                source.readable = got == room or got == 0
                return got
            if errno == EAGAIN:
                source.readable = False
                return AGAIN
            if errno != EINTR:
                source.error = errno
                return FAILED

    cdef Py_ssize_t drain(self, Stream target) except -3:
        """Moves what the pipe holds on, as far as the socket takes it; as Stream.send."""
        cdef ssize_t sent
        while True:
            # not SPLICE_F_MORE: it would hold back the end of what a slow endpoint sends in parts
            sent = splice(self.ends[0], NULL, target.fd, NULL, self.held, SPLICE_F_MOVE | SPLICE_F_NONBLOCK)
            if sent >= 0:
                self.held -= sent
                if self.held:
                    target.writable = False
                return sent
            if errno == EAGAIN:
                target.writable = False
                return AGAIN
            if errno != EINTR:
                target.error = errno
                return FAILED


cdef Pipe take_pipe():
    """A free pipe or a new one.  Where the kernel gives no more of this size (an unprivileged user has 64 MiB of them in
    all, pipe(7); or there is no descriptor left), so many as there are is the most from then on."""
    global made, most
    cdef Pipe pipe
    if free:
        pipe = free.pop()
        pipe.shorts = 0
        return pipe
    if made >= most:
        return None
    pipe = Pipe()
    if pipe2(pipe.ends, O_NONBLOCK | O_CLOEXEC) < 0:
        most = made
        return None
    made += 1
    if fcntl(pipe.ends[1], F_SETPIPE_SZ, SIZE) < SIZE:
        most = made - 1         # this one goes
        return None
    return pipe


cdef void give_pipe(Pipe pipe):
    if not pipe.held:
        free.append(pipe)
