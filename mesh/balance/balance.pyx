"""Which endpoint of a service gets a request, and what is learnt of it.

Owns one worker's view of a service: its members with the cells that all workers share (or, where an endpoint has no
slot, cells of its own), their present shares, and the strategy that picks.  It keeps nothing that would be missed: what
is known of an endpoint is in its cells, so a Balance made anew for an edited service goes on where the former was.
It refuses to know connections, requests and clocks: an endpoint is an index, time is an argument.

What has to be true at once is asked of the cells at every pick: down, drained, disabled, waiting, ejected.  What costs a
look at all members is done by `refresh`, ten times a second, and at once where a pick finds nobody: weights (an
operator's are in SLOT_STATE), slow start, panic, and whether endpoints on this host are enough.  Floor 1.
"""
cimport cython
from libc.stdint cimport INT64_MAX, int32_t
from libc.stdlib cimport calloc, free, malloc

from mesh.balance.hrw cimport fnv64a, of_client
from mesh.balance.leasttime cimport note_latency, of_least_time
from mesh.balance.members cimport drawn, is_tried, may_serve, mixed, scanned
from mesh.balance.p2c cimport of_two
from mesh.balance.sticky import cookie_value
from mesh.health.passive cimport Ejection, confirm, eject, judge_of, spare, went_badly, went_well
from mesh.shared.cells cimport cell_add, cell_cas, cell_fence, cell_load, cell_store
from mesh.shared.slots cimport (
    KEPT_MS,
    SLOT_CHANGED_MS,
    SLOT_EJECTED_MS,
    SLOT_FAILED_MS,
    SLOT_FAILURES,
    SLOT_REQUESTS,
    SLOT_SINCE_MS,
    SLOT_STATE,
    SLOT_WORDS,
    STATE_DISABLED,
    STATE_DOWN,
    STATE_DRAIN,
    STATE_LOCAL,
    STATE_WAITS,
    WEIGHT_SHIFT,
)

cdef enum:
    WRR = 0
    P2C = 1
    HRW = 2
    LEASTTIME = 3

    LOOKS = 64                      # turns that are passed over before the others are searched one by one
    FAILED_US = 1_000_000           # to leasttime a failure is an answer this late: refusing fast is not being fast
    LAST_TRY_MS = KEPT_MS - 30_000  # after its first pick a request is not tried elsewhere any more
    SLOW_STEPS = 20                 # a slow start goes from 2 to 20 of these
    FIRST_STEP = 2

cdef int64_t HEAVIEST = 1 << 31     # larger weights count as this one

STRATEGIES = {"wrr": WRR, "p2c": P2C, "hrw": HRW, "leasttime": LEASTTIME}


@cython.final
cdef class Balance:
    """The endpoints of a mesh.model.LoadBalancer, given by `add`, at most `most`.

    `slots` is where their cells are; `column` is this worker's word in the counts of requests under way.  Workers
    differ by `seed`, so that they do not all begin with the same endpoint.
    """

    def __cinit__(self, how, Py_ssize_t most, Slots slots=None, int column=0, seed=0):
        self.how = STRATEGIES[how.strategy]
        self.needs_client = self.how == HRW
        self.prefers_local = how.locality == "local"
        self.slow_start_ms, self.panic_threshold = int(how.slow_start * 1000), how.panic_threshold
        self.indexes, self.values = ({}, []) if how.sticky is not None else (None, None)
        judge_of(&self.judge, how.passive, most)
        self.turn, self.wake_ms, self.looked_ms, self.is_stale = seed & 0x7fffffff, INT64_MAX, -1, True
        self.column, self.most = column, most
        cdef Members *members = &self.members
        members.random = mixed(<uint64_t>(seed & 0x7fffffff) + <uint64_t>0x9e3779b97f4a7c15)
        cdef Py_ssize_t room = max(most, 1)
        members.each = <Member *>calloc(room, sizeof(Member))
        members.serving = <Py_ssize_t *>malloc(room * sizeof(Py_ssize_t))
        members.shares = <uint64_t *>malloc(room * sizeof(uint64_t))
        members.sums = <uint64_t *>malloc(room * sizeof(uint64_t))
        if members.each is NULL or members.serving is NULL or members.shares is NULL or members.sums is NULL:
            raise MemoryError
        if slots is not None and slots.writable and 0 <= column < slots.columns:
            self.slots = slots
            members.columns, members.most_columns = &slots.head.columns, slots.columns
        if self.how == WRR:
            self.turns = Wrr.__new__(Wrr)
            self.turns.reserve(most)

    def __dealloc__(self):
        cdef Py_ssize_t index
        if self.members.each is not NULL:
            for index in range(self.members.count):
                if not self.members.each[index].is_shared:
                    free(self.members.each[index].cells)
        free(self.members.each)
        free(self.members.serving)
        free(self.members.shares)
        free(self.members.sums)

    cdef int add(self, str url, object weight, Py_ssize_t slot, bytes value) except -1:
        """One endpoint more; `slot` is -1 where it has none, `value` is its cookie's where the service is sticky."""
        if self.members.count == self.most:
            raise IndexError(f"more than {self.most} endpoints")
        cdef Member *member = &self.members.each[self.members.count]
        cdef bytes said = url.encode("utf-8", "surrogatepass")
        member.weight = max(0, min(weight, HEAVIEST))
        member.hash = mixed(fnv64a(<const char *>said, len(said)))
        if self.slots is not None and 0 <= slot < self.slots.capacity:
            member.cells, member.flights = self.slots.cells(slot), self.slots.flights(slot)
            member.own, member.is_shared = member.flights + self.column, True
        else:
            member.cells = <int64_t *>calloc(SLOT_WORDS + 1, sizeof(int64_t))
            if member.cells is NULL:
                raise MemoryError
            member.flights = member.own = <int32_t *>(member.cells + SLOT_WORDS)
        if self.indexes is not None:
            self.indexes.setdefault(value, self.members.count)
            self.values.append(value)
        self.members.count += 1
        self.is_stale = True
        return 0

    cdef void go_on_from(self, Balance former) noexcept:
        """Turns go on where those of the former balance of this service were, and failures have a date at once."""
        self.turn, self.members.random = former.turn, former.members.random
        self.unix_offset_ms = former.unix_offset_ms

    # Whose turn it is

    cpdef Py_ssize_t pick(self, int64_t now_ms, uint64_t client) noexcept:
        """The index of the endpoint that gets the next request; -1: none may serve."""
        cdef Py_ssize_t index = self._choose(now_ms, client, None)
        if index < 0 and self._look_again(now_ms):
            index = self._choose(now_ms, client, None)
        return index

    cpdef Py_ssize_t another(self, int64_t now_ms, uint64_t client, list tried, int64_t picked_ms=-1):
        """An endpoint whose index is not in `tried`, for one more try of a request; -1: there is none.

        It may be one that only spill-over would have come to, but none with a weight of 0.  A request that was first
        picked for at `picked_ms`, long ago, gets none: its plan may be a former one, and its slots a stranger's by now.
        """
        if picked_ms >= 0 and now_ms - picked_ms >= LAST_TRY_MS:
            return -1
        cdef Py_ssize_t index = self._choose(now_ms, client, tried), look, at
        if index < 0 and self._look_again(now_ms):
            index = self._choose(now_ms, client, tried)
        if index < 0 and self.prefers_local:
            at = drawn(&self.members, self.members.count)
            for look in range(self.members.count):
                at = at + 1 if at + 1 < self.members.count else 0
                if (not is_tried(tried, at) and may_serve(&self.members, at, now_ms)
                        and self._weight(&self.members.each[at]) > 0):
                    return at
        return index

    cdef inline Py_ssize_t _choose(self, int64_t now_ms, uint64_t client, list tried) noexcept:
        if self.how == WRR:
            return self._turn(now_ms, tried)
        if self.how == P2C:
            return of_two(&self.members, now_ms, tried)
        if self.how == HRW:
            return of_client(&self.members, now_ms, client, tried)
        return of_least_time(&self.members, now_ms, tried)

    cdef Py_ssize_t _turn(self, int64_t now_ms, list tried) noexcept:
        cdef Py_ssize_t look, index
        if self.members.serving_count == 0:
            return -1
        self.turn += 1
        for look in range(LOOKS):
            index = self.members.serving[self.turns.pick()]
            if may_serve(&self.members, index, now_ms) and not is_tried(tried, index):
                return index
        return scanned(&self.members, now_ms, tried, -1)

    cpdef bint can_serve(self, int64_t now_ms) noexcept:
        """Whether a pick would find somebody; nobody's turn is taken."""
        return (scanned(&self.members, now_ms, None, -1) >= 0
                or (self._look_again(now_ms) and scanned(&self.members, now_ms, None, -1) >= 0))

    # Clients that stay

    cpdef Py_ssize_t kept(self, bytes value, int64_t now_ms):
        """The endpoint that a cookie's value names; -1: it is gone or may not serve, so choose anew.

        A drained endpoint keeps the clients that it has; one with a weight of 0 has none.
        """
        found = self.indexes.get(value) if self.indexes is not None else None
        if found is None:
            return -1
        cdef Py_ssize_t index = found
        if self.is_stale:
            self._look(now_ms)
        cdef Member *member = &self.members.each[index]
        cdef int64_t bars = self.members.bars & ~STATE_DRAIN
        if cell_load(member.cells + SLOT_STATE) & bars or self._weight(member) <= 0:
            return -1
        if self.members.heeds_ejections and cell_load(member.cells + SLOT_EJECTED_MS) > now_ms:
            return -1
        return index

    cpdef bytes cookie_of(self, Py_ssize_t index):
        """The value that brings a client back to this endpoint; None where the service is not sticky."""
        return None if self.values is None else <bytes>self.values[index]

    # What is learnt

    cpdef void began(self, Py_ssize_t index) noexcept:
        """A try is under way there; `ended` ends it, exactly once."""
        self.members.each[index].own[0] += 1

    cpdef void ended(self, Py_ssize_t index, int how, int64_t first_byte_us, int64_t now_ms) noexcept:
        """A try is over: ENDED_WELL, ENDED_BADLY or just ENDED; `first_byte_us` is how long the answer took, -1: none."""
        cdef Member *member = &self.members.each[index]
        cdef int64_t *cells = member.cells
        member.own[0] -= 1
        cell_add(cells + SLOT_REQUESTS, 1)
        if how == ENDED_BADLY:
            if self.how == LEASTTIME and first_byte_us < FAILED_US:
                first_byte_us = FAILED_US
            if first_byte_us >= 0:
                note_latency(cells, first_byte_us, now_ms)
            cell_add(cells + SLOT_FAILURES, 1)
            if self.unix_offset_ms:
                cell_store(cells + SLOT_FAILED_MS, now_ms + self.unix_offset_ms)
            if went_badly(cells, &self.judge, now_ms):
                self._eject(index, now_ms)
            return
        if first_byte_us >= 0:
            note_latency(cells, first_byte_us, now_ms)
        if how == ENDED_WELL:
            went_well(cells, &self.judge, now_ms)

    cdef void _eject(self, Py_ssize_t index, int64_t now_ms) noexcept:
        cdef int64_t *cells = self.members.each[index].cells
        cdef Ejection made
        cdef Py_ssize_t look, count = 0
        if self.judge.most == 0 or not eject(cells, &self.judge, &made, now_ms):
            return
        cell_fence()
        for look in range(self.members.count):
            count += cell_load(self.members.each[look].cells + SLOT_EJECTED_MS) > now_ms
        if count > self.judge.most:
            spare(cells, &made)
            return
        confirm(cells, &made)
        if self.unix_offset_ms:
            cell_store(cells + SLOT_CHANGED_MS, now_ms + self.unix_offset_ms)
        self.is_stale = True
        if self.slots is not None:
            cell_add(&self.slots.head.changes, 1)

    # Shares

    cpdef bint refresh(self, int64_t now_ms, int64_t unix_ms=0) noexcept:
        """Looks who has which share now; True when that has changed.  A few ns where nothing can have changed.

        `unix_ms` is the same moment as people say it, so that they can be told when an endpoint failed; 0: not known.
        """
        if unix_ms:
            self.unix_offset_ms = unix_ms - now_ms
        if (not self.is_stale and now_ms < self.wake_ms
                and (self.slots is None or cell_load(&self.slots.head.changes) == self.seen_changes)):
            return False
        return self._look(now_ms)

    cdef bint _look_again(self, int64_t now_ms) noexcept:
        """Nobody was found: a look helps where something may have changed since the last one."""
        if (not self.is_stale and now_ms == self.looked_ms
                and (self.slots is None or cell_load(&self.slots.head.changes) == self.seen_changes)):
            return False
        self._look(now_ms)
        return True

    cdef inline int64_t _weight(self, const Member *member) noexcept:
        cdef int64_t said = cell_load(member.cells + SLOT_STATE) >> WEIGHT_SHIFT
        return said - 1 if said > 0 else member.weight

    cdef inline int64_t _latest(self, int64_t now_ms) noexcept:
        """Until when an endpoint may be ejected as of now; workers' clocks differ by less than a second."""
        return now_ms + self.judge.max_ejection_ms + 1000

    cdef int64_t _share(self, const Member *member, int64_t now_ms) noexcept:
        """Its weight, or with a slow start, so many twentieths of it as it has come to."""
        cdef int64_t weight = self._weight(member), since, step = SLOW_STEPS, next_ms
        if self.slow_start_ms <= 0:
            return weight
        since = cell_load(member.cells + SLOT_SINCE_MS)
        if 0 < since <= self._latest(now_ms) and now_ms < since + self.slow_start_ms:
            step = FIRST_STEP
            if now_ms > since:
                step += (SLOW_STEPS - FIRST_STEP) * (now_ms - since) // self.slow_start_ms
            next_ms = since + (step + 1 - FIRST_STEP) * self.slow_start_ms // (SLOW_STEPS - FIRST_STEP)
            next_ms = now_ms + 1 if next_ms <= now_ms else next_ms
            if next_ms < self.wake_ms:
                self.wake_ms = next_ms
        return weight * step

    cdef bint _look(self, int64_t now_ms) noexcept:
        cdef Members *members = &self.members
        cdef Member *member
        cdef Py_ssize_t index, count = 0, candidates = 0, healthy = 0, local = 0
        cdef int64_t state, ejected, share
        cdef bint changed = False
        if self.slots is not None:
            self.seen_changes = cell_load(&self.slots.head.changes)     # before the words that it speaks of
        self.is_stale, self.looked_ms, self.wake_ms = False, now_ms, INT64_MAX
        for index in range(members.count):
            member = &members.each[index]
            state, ejected = cell_load(member.cells + SLOT_STATE), cell_load(member.cells + SLOT_EJECTED_MS)
            if ejected > self._latest(now_ms):
                # By another clock (the memory has outlived a reboot), or by another configuration: it is over.
                cell_cas(member.cells + SLOT_EJECTED_MS, ejected, 0)
                ejected = 0
            if ejected > now_ms and ejected < self.wake_ms:
                self.wake_ms = ejected
            if state & (STATE_DRAIN | STATE_DISABLED | STATE_WAITS) or self._weight(member) <= 0:
                continue
            candidates += 1
            if not state & STATE_DOWN and ejected <= now_ms:
                healthy += 1
                local += state & STATE_LOCAL != 0
        self.is_panicking = self.panic_threshold > 0 and healthy * 100 < self.panic_threshold * candidates
        members.heeds_ejections = not self.is_panicking
        members.bars = STATE_DRAIN | STATE_DISABLED | STATE_WAITS | (0 if self.is_panicking else STATE_DOWN)
        members.is_equal = True
        for index in range(members.count):
            member = &members.each[index]
            share = self._share(member, now_ms)
            if not may_serve(members, index, now_ms):
                share = 0
            elif (self.prefers_local and local and not self.is_panicking
                    and not cell_load(member.cells + SLOT_STATE) & STATE_LOCAL):
                share = 0
            changed = changed or share != member.share
            member.share = share
            if share > 0:
                members.serving[count] = index
                members.shares[count] = share
                members.sums[count] = share + (members.sums[count - 1] if count else 0)
                members.is_equal = members.is_equal and members.shares[count] == members.shares[0]
                count += 1
        members.serving_count = count
        if changed and self.turns is not None:
            self.turns.arrange(members.shares, count, self.turn)
        return changed

    # For people, and tests

    def share_of(self, Py_ssize_t index):
        """The share of an endpoint as of the last look; shares are to be compared with each other alone."""
        if not 0 <= index < self.members.count:
            raise IndexError(f"endpoint {index} of {self.members.count}")
        return self.members.each[index].share

    def __len__(self):
        return self.members.count

    def __repr__(self):
        name = next(name for name, how in STRATEGIES.items() if how == self.how)
        return (f"<Balance {name}, {self.members.serving_count} of {self.members.count} endpoints serve"
                f"{', whether healthy or not' if self.is_panicking else ''}>")


def balance_of(how, Slots slots=None, numbers=(), int column=0, seed=0):
    """The Balance of a LoadBalancer at once; `numbers` are the slots of its servers.  Plans make theirs in steps."""
    cdef Balance balance = Balance(how, len(how.servers), slots, column, seed)
    for number, server in enumerate(how.servers):
        balance.add(server.url, server.weight, numbers[number] if number < len(numbers) else -1,
                    cookie_value(server.url) if how.sticky is not None else None)
    return balance
