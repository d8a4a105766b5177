"""The thread behind the access log: it alone opens, writes and waits.

Owns two buffers and the file.  The loop fills one buffer while the thread writes the other, and they change hands by
one atomic word, so neither ever waits for the other.  The thread is a native one that never asks for the interpreter:
it runs while Python runs, and a disk that hangs stops nobody else.  It refuses to drop: what it was given it tries to
write until that succeeds or close() ends it; what finds no room meanwhile is the caller's to count.  Floor 3.

Several workers append to one file.  A write holds whole lines, and the system appends it as a whole: to a regular file
of any length (O_APPEND), to a pipe or a socket up to PIPE_LINE_BYTES, so anything but a regular file is written in
pieces of whole lines not longer than that.  A write that was cut short, as by a disk that fills up, is finished before
anything else of ours; another worker's lines may stand in between, which is the limit of it.
"""
from libc.errno cimport EAGAIN, EDQUOT, EINTR, ENOSPC, errno
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memchr, strerror
from posix.fcntl cimport O_APPEND, O_CLOEXEC, O_CREAT, O_NOCTTY, O_NONBLOCK, O_WRONLY, open as open_file
from posix.stat cimport S_ISREG, fstat, struct_stat
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec
from posix.unistd cimport close as close_file, write

from mesh.shared.cells cimport cell_load, cell_store
from workers.proxy.logline cimport PIPE_LINE_BYTES

cdef extern from "<semaphore.h>" nogil:
    int sem_init(sem_t *wake, int shared, unsigned int value)
    int sem_post(sem_t *wake)
    int sem_wait(sem_t *wake)
    int sem_destroy(sem_t *wake)

cdef extern from "<pthread.h>" nogil:
    ctypedef struct pthread_attr_t:
        pass
    int pthread_attr_init(pthread_attr_t *attributes)
    int pthread_attr_setstacksize(pthread_attr_t *attributes, size_t size)
    int pthread_attr_destroy(pthread_attr_t *attributes)
    int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *) noexcept nogil,
                       void *arg)
    int pthread_join(pthread_t thread, void **answer)
    int pthread_setname_np(pthread_t thread, const char *name)

cdef extern from "<signal.h>" nogil:
    ctypedef struct sigset_t:
        pass
    enum:
        SIG_SETMASK
        SIGBUS
        SIGFPE
        SIGILL
        SIGSEGV
    int sigfillset(sigset_t *signals)
    int sigdelset(sigset_t *signals, int number)
    int pthread_sigmask(int how, const sigset_t *signals, sigset_t *before)

cdef extern from *:
    """
    #include <unistd.h>
    #include <sys/syscall.h>
    #ifndef CLOSE_RANGE_UNSHARE
    #define CLOSE_RANGE_UNSHARE 2
    #endif
    /* A table of descriptors for the calling thread, with 0, 1 and 2 alone; -1 before Linux 5.9, where it keeps the other. */
    static int own_descriptors(void) {
    #ifdef SYS_close_range
        return syscall(SYS_close_range, 3u, ~0u, CLOSE_RANGE_UNSHARE);
    #else
        return -1;
    #endif
    }
    """
    int own_descriptors() nogil

cdef extern from "<poll.h>" nogil:
    struct pollfd:
        int fd
        short events
    enum:
        POLLOUT
    int poll(pollfd *files, unsigned long count, int timeout_ms)

cdef extern from "<string.h>" nogil:
    void *memrchr(const void *text, int c, size_t n)
    char *strdup(const char *text)

cdef enum:
    STANDARD_OUTPUT = 1
    MODE = 0o640                # of a file that is made: the same as the process log's
    PAUSE_MS = 100              # between two tries while it cannot be written; close() and reopen() are seen as soon
    OPENING_MS = 100
    STACK_BYTES = 256 * 1024


cdef int64_t _now_ns() noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return <int64_t>now.tv_sec * 1_000_000_000 + now.tv_nsec


cdef void _open(Shared *shared) noexcept nogil:
    """Opens the path, anew if it was open; where that fails, an open file stays in use."""
    cdef struct_stat about
    cdef bint is_known, is_same
    cdef void *line
    cdef bint anew = cell_load(&shared.reopen) != 0
    cdef int fd = STANDARD_OUTPUT
    cell_store(&shared.reopen, 0)
    if shared.path[0]:
        # O_NONBLOCK: a FIFO is opened only when somebody reads it (else ENXIO), and never blocks a write
        fd = open_file(shared.path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, MODE)
    if fd < 0:
        cell_store(&shared.reopen_error if anew and shared.fd >= 0 else &shared.error, errno)
        return
    if shared.fd >= 0 and shared.fd != STANDARD_OUTPUT:
        close_file(shared.fd)
    shared.fd = fd
    is_known = fstat(fd, &about) == 0
    is_same = is_known and about.st_dev == shared.device and about.st_ino == shared.inode
    cell_store(&shared.piece, 0 if is_known and S_ISREG(about.st_mode) else PIPE_LINE_BYTES)
    if is_known:
        shared.device, shared.inode = about.st_dev, about.st_ino
    if shared.done and not is_same:
        # A line that was begun in the old file stands in the new one from its beginning.
        line = memrchr(shared.writing, c"\n", shared.done)
        cell_store(&shared.done, <char *>line + 1 - shared.writing if line != NULL else 0)
    if not cell_load(&shared.given):
        cell_store(&shared.error, 0)


cdef bint _write(Shared *shared) noexcept nogil:
    """Writes once; False where nothing could be written, at once or after waiting for PAUSE_MS."""
    cdef char *text = shared.writing + shared.done
    cdef int64_t n = shared.given - shared.done
    cdef int64_t piece = shared.piece
    cdef pollfd asked
    cdef void *end
    cdef Py_ssize_t sent
    if piece:
        # Standard output may be a blocking pipe: the flag is shared with whoever else has it, so it is not ours to set.
        asked.fd = shared.fd
        asked.events = POLLOUT
        if poll(&asked, 1, PAUSE_MS) <= 0:
            cell_store(&shared.error, EAGAIN)
            return False
        if n > piece:
            end = memrchr(text, c"\n", piece)
            if end == NULL:
                end = memchr(text, c"\n", n)
            n = <char *>end + 1 - text if end != NULL else n
    sent = write(shared.fd, text, n)
    if sent > 0:
        cell_store(&shared.error, 0)
        cell_store(&shared.done, shared.done + sent)
        return True
    if sent == 0 or errno != EINTR:
        cell_store(&shared.error, errno if sent < 0 else ENOSPC)
    if shared.path[0] and shared.error not in (EAGAIN, EINTR, ENOSPC, EDQUOT):
        close_file(shared.fd)   # the file itself may be lost (ESTALE, EIO, a FIFO's EPIPE): the next try opens the path
        shared.fd = -1
    poll(NULL, 0, PAUSE_MS)
    return False


cdef void *_run(void *arg) noexcept nogil:
    cdef Shared *shared = <Shared *>arg
    cdef int64_t close_by
    cdef bint written
    # While two threads have one table of descriptors, each recv and send of the loop counts references: 50 ns a call.
    own_descriptors()
    while True:
        if shared.fd < 0 or cell_load(&shared.reopen):
            _open(shared)
            cell_store(&shared.tried, 1)
        close_by = cell_load(&shared.close_by)
        if not cell_load(&shared.given):
            if close_by:
                break
            while sem_wait(&shared.wake):
                pass    # EINTR
            continue
        if shared.fd < 0:
            written = False
            poll(NULL, 0, PAUSE_MS)
        else:
            written = _write(shared)
        if shared.done == shared.given:
            shared.done = 0
            cell_store(&shared.given, 0)
        elif not written and close_by and (shared.error != EAGAIN or _now_ns() > close_by):
            break
    if shared.fd >= 0 and shared.fd != STANDARD_OUTPUT:
        close_file(shared.fd)
    cell_store(&shared.ended, 1)
    return NULL


cdef int64_t _lines(const char *text, Py_ssize_t n) noexcept nogil:
    cdef int64_t lines = 0
    cdef const char *at = text
    while at < text + n:
        at = <const char *>memchr(at, c"\n", text + n - at)
        if at == NULL:
            break
        lines += 1
        at += 1
    return lines


cdef class LogWriter:
    """Writes buffers of `size` bytes (and `slack` behind them) to the path, or to standard output where it is empty.

    The file is opened by the thread, for which this waits OPENING_MS at most, so that the kind of file and what may be
    wrong with it are known from the start.  OSError where no thread can be started.
    """

    def __cinit__(self, bytes path, Py_ssize_t size, Py_ssize_t slack):
        cdef Shared *shared = <Shared *>calloc(1, sizeof(Shared))
        cdef pthread_attr_t attributes
        cdef sigset_t signals, before
        cdef int failed, waited = 0
        if shared == NULL:
            raise MemoryError
        shared.fd = -1
        shared.piece = PIPE_LINE_BYTES
        shared.path = strdup(path)
        shared.filling = <char *>malloc(size + slack)
        shared.writing = <char *>malloc(size + slack)
        sem_init(&shared.wake, 0, 0)
        if shared.path == NULL or shared.filling == NULL or shared.writing == NULL:
            _free(shared)
            raise MemoryError
        # Signals are for the main thread; what a fault raises stays on, so that faulthandler can tell of it.
        sigfillset(&signals)
        for number in (SIGBUS, SIGFPE, SIGILL, SIGSEGV):
            sigdelset(&signals, number)
        pthread_attr_init(&attributes)
        pthread_attr_setstacksize(&attributes, STACK_BYTES)
        pthread_sigmask(SIG_SETMASK, &signals, &before)
        failed = pthread_create(&shared.thread, &attributes, _run, shared)
        pthread_sigmask(SIG_SETMASK, &before, NULL)
        pthread_attr_destroy(&attributes)
        if failed:
            _free(shared)
            raise OSError(failed, f"the access log's thread: {strerror(failed).decode(errors='replace')}")
        pthread_setname_np(shared.thread, b"mesh access log")
        self._shared = shared
        while waited < OPENING_MS and not cell_load(&shared.tried):
            waited += 1
            with nogil:
                poll(NULL, 0, 1)

    def __dealloc__(self):
        if self._shared != NULL:
            self._end(0, 0.0)

    cdef char *buffer(self) noexcept:
        return self._shared.filling

    cdef bint idle(self) noexcept:
        return cell_load(&self._shared.given) == 0

    cdef int64_t unwritten(self) noexcept:
        return cell_load(&self._shared.given) - cell_load(&self._shared.done)

    cdef bint pieces(self) noexcept:
        return cell_load(&self._shared.piece) != 0

    cdef int error(self) noexcept:
        return cell_load(&self._shared.error)

    cdef int take_reopen_error(self) noexcept:
        cdef int error = cell_load(&self._shared.reopen_error)
        cell_store(&self._shared.reopen_error, 0)
        return error

    cdef char *exchange(self, Py_ssize_t n) noexcept:
        cdef Shared *shared = self._shared
        if cell_load(&shared.given):
            return NULL
        shared.filling, shared.writing = shared.writing, shared.filling
        cell_store(&shared.given, n)
        sem_post(&shared.wake)
        return shared.filling

    def reopen(self):
        """The path is opened anew before the next write."""
        cell_store(&self._shared.reopen, 1)
        sem_post(&self._shared.wake)

    def close(self, Py_ssize_t n, double timeout_s):
        """Writes the n bytes of the filled buffer and ends the thread within this time; answers how many lines it lost.

        A thread that hangs in the system beyond it (a dead network disk) is left alone, with its memory, to the end of
        the process.
        """
        return self._end(n, timeout_s)

    cdef int64_t _end(self, Py_ssize_t n, double timeout_s) noexcept:
        cdef Shared *shared = self._shared
        cdef int64_t by = _now_ns() + <int64_t>(timeout_s * 1e9)
        cdef int64_t lost = 0
        cdef bint ended
        with nogil:
            while n and _now_ns() < by and cell_load(&shared.error) in (0, EAGAIN) and cell_load(&shared.given):
                poll(NULL, 0, 1)
            if n and not cell_load(&shared.given):
                shared.filling, shared.writing = shared.writing, shared.filling
                cell_store(&shared.given, n)
                n = 0
            cell_store(&shared.close_by, by)
            sem_post(&shared.wake)
            # one more pause: the thread sees the end of its time after it at the latest
            while not cell_load(&shared.ended) and _now_ns() < by + 2 * PAUSE_MS * 1_000_000:
                poll(NULL, 0, 1)
            ended = cell_load(&shared.ended)
            if ended:
                pthread_join(shared.thread, NULL)
            lost = _lines(shared.filling, n)
            if cell_load(&shared.given):
                lost += _lines(shared.writing + cell_load(&shared.done), shared.given - cell_load(&shared.done))
        self._shared = NULL
        if ended:
            _free(shared)
        return lost


cdef void _free(Shared *shared) noexcept:
    sem_destroy(&shared.wake)
    free(shared.filling)
    free(shared.writing)
    free(shared.path)
    free(shared)
