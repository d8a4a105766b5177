"""The thread behind the access log: it alone opens, writes and waits."""
from libc.stdint cimport int64_t

cdef extern from "<semaphore.h>" nogil:
    ctypedef struct sem_t:
        pass

cdef extern from "<pthread.h>" nogil:
    ctypedef unsigned long pthread_t

cdef struct Shared:
    # What the loop and the thread both know.  The words that both touch while the thread runs are cells.
    sem_t wake              # posted whenever there is something to do
    pthread_t thread
    char *path              # "": standard output
    char *filling           # the loop's buffer
    char *writing           # the thread's, while `given` is not 0
    int64_t given           # cell: bytes in `writing`; set by the loop, cleared by the thread when all are written
    int64_t done            # cell: of these, bytes that were written
    int64_t error           # cell: errno of the last try to write or open; 0: it went well
    int64_t reopen_error    # cell: errno of a reopen() that failed
    int64_t reopen          # cell: 1 while a reopen() is asked for
    int64_t close_by        # cell: CLOCK_MONOTONIC in ns by which the thread must end; 0: it serves on
    int64_t tried           # cell: 1 when the thread has tried to open the path
    int64_t ended           # cell: 1 when the thread touches nothing any more
    int64_t piece           # cell: longest write; 0: any (a regular file)
    int fd
    unsigned long device, inode     # of the file that was opened last


cdef class LogWriter:
    cdef Shared *_shared
    cdef int64_t _end(self, Py_ssize_t n, double timeout_s) noexcept
    cdef bint idle(self) noexcept                       # the thread has nothing to write
    cdef char *exchange(self, Py_ssize_t n) noexcept    # gives n bytes to write; the buffer to fill next, NULL: not yet
    cdef char *buffer(self) noexcept                    # the one to fill first
    cdef int64_t unwritten(self) noexcept               # bytes that the thread still has to write
    cdef bint pieces(self) noexcept                     # what is written to is no regular file
    cdef int error(self) noexcept
    cdef int take_reopen_error(self) noexcept
