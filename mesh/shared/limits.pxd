"""The memory of limits: buckets, counts, windows and waiting lines, shared by all workers and the agent of a host."""
from mesh.shared.region cimport Region
from mesh.shared.slots cimport Slots

cpdef enum:
    # A bucket is four words, in the slot of a limit or in the entry of one of its sources.  All are changed by
    # compare-and-swap or exchange; none depends on another one's order.  Times are CLOCK_MONOTONIC of this boot.
    BUCKET_TAT = 0          # ns: the theoretical arrival time (GCRA); 0: the bucket is full
    BUCKET_LEASE = 1        # scope mesh: until when (ms, 40 bits) << 24 | tokens that are left of the lease
    BUCKET_REFUSED = 2      # scope mesh: ms until which the store gives nothing; 0: it has not refused
    BUCKET_WANT = 3         # scope mesh: when it was last asked for (ms, 40 bits) << 24 | requests that found no token
    BUCKET_WORDS = 4

    # Words of a limit's slot, beyond its bucket.  Its `flights` count what it has under way, by worker.
    LIMIT_ADMITTED = 4      # counter
    LIMIT_REFUSED = 5       # counter
    LIMIT_REFUSED_MS = 6    # unix time in ms of the last refusal, for people
    LIMIT_KIND = 8          # from here on each kind has its own words, see its module

    LEASE_BITS = 24         # of tokens
    LEASE_MOST = (1 << 24) - 1

cpdef enum:
    # Sizes of the parts; mesh/shared/layout.py draws them.
    SOURCE_WAYS = 16        # sources of a set: who hashes there competes with these for a place
    SOURCE_LABEL = 64       # of one source: slot of its limit (4 bytes), length (4 bytes), text (56 bytes)
    SOURCE_SET = 16 * (8 + 4 * 8 + 64)      # a set: 16 tags, then 16 buckets, then 16 labels
    CROWD_HEAD = 64         # of a source's count of requests under way: tag (8 bytes), label as above without padding
    WINDOW_BYTES = 4096     # of a breaker: what it has seen in its windows
    LINE_PLACES = 1024      # requests that may wait for one service, at most
    LINE_BYTES = 8192
    WANTS = 4096            # buckets that may be waiting for a lease, before the oldest are asked for again
    WANTS_BYTES = 4096 * 8 + 64     # a head of eight words (STORE_*), then the ring

cpdef enum:
    # words of the head of the wants
    WANTS_NEXT = 0          # workers: how many were ever put there; the ring's place is this modulo WANTS
    STORE_SEEN_MS = 1       # agent: CLOCK_MONOTONIC in ms of the store's last answer about leases; 0: there is no store
    STORE_HOSTS = 2         # agent: hosts that were last seen, this one among them; at least 1
    STORE_TIME_US = 3       # agent: the store's own time less CLOCK_MONOTONIC, in us, at that answer


cdef class LimitCells:
    cdef readonly Slots slots           # of limits, by key_of(kind, name): cells as above, flights by worker
    cdef readonly Region sources        # sets of sources
    cdef readonly Region crowds         # counts of requests under way by source
    cdef readonly Region windows        # of breakers, by the number of their slot
    cdef readonly Region lines          # of services, by the number of their slot
    cdef readonly Region wants          # one piece
