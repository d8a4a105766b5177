"""What is known of every endpoint, in cells that outlive plans, workers and the agent.

Owns the directory of slots and the promise that a slot keeps its name: the agent alone gives slots to names and takes
them back, and a name keeps its slot through reloads, restarts and the agent's own death, with all that its cells say.
It refuses to know what a state leads to (mesh/balance and mesh/health do) and to grow: an endpoint without a slot is
served all the same, by cells of its worker's own.  Floor 1.

The bytes, every block on a page of its own:

    head        words: slots ever in use, changes, columns ever in use
    cells       capacity * SLOT_WORDS words
    flights     capacity * columns words of 32 bits: requests under way, one word for each worker's column.  The columns
                of one slot stand together, so that their sum is read from few cache lines.  There is no word for the sum:
                two words that belong together could be torn apart by a kill, and a count would stay behind for ever
    directory   capacity * ENTRY_BYTES: length of the key (a word; 0: free), key

A name's entry is written key first, length last; a slot that is given back is zeroed before its length is.  A key is
"service 0x1f url", with the service's qualified name.
"""
from cpython.buffer cimport Py_buffer
from cpython.memoryview cimport PyMemoryView_FromObject, PyMemoryView_GET_BUFFER
from libc.string cimport memcpy, memset

cdef enum:
    PAGE = 4096
    CELL_BYTES = SLOT_WORDS * 8

DIVIDER = "\x1f"


def _pages(Py_ssize_t size):
    return (size + PAGE - 1) // PAGE * PAGE


def slots_size(Py_ssize_t capacity, Py_ssize_t columns):
    """Bytes of a part with so many slots and columns."""
    return (PAGE + _pages(capacity * CELL_BYTES) + _pages(capacity * columns * 4) + _pages(capacity * ENTRY_BYTES))


def key_of(str service, str url):
    """The name of an endpoint's slot."""
    return f"{service}{DIVIDER}{url}"


cdef class Slots:
    """The slots over a buffer of `slots_size(capacity, columns)` zeroed or formerly used bytes.

    `reserve(offset, length)`, if given, makes sure that this part of the buffer has memory behind it, or raises OSError.
    """

    def __cinit__(self, buffer, int capacity, int columns, reserve=None):
        view = PyMemoryView_FromObject(buffer)
        cdef Py_buffer *held = PyMemoryView_GET_BUFFER(view)
        if held.len < slots_size(capacity, columns) or <size_t>held.buf % 8:
            raise ValueError(f"{capacity} slots of {columns} columns need {slots_size(capacity, columns)} aligned bytes,"
                             f" not {held.len}")
        self._view, self._reserve = view, reserve
        cdef char *base = <char *>held.buf
        self.head = <SlotsHead *>base
        self._cells = <int64_t *>(base + PAGE)
        self._flights = <int32_t *>(base + PAGE + <Py_ssize_t>_pages(capacity * CELL_BYTES))
        self._entries = base + (PAGE + <Py_ssize_t>_pages(capacity * CELL_BYTES)
                                + <Py_ssize_t>_pages(<Py_ssize_t>capacity * columns * 4))
        self.capacity, self.columns = capacity, columns
        self.writable = not held.readonly
        self._numbers, self._free = None, []

    cdef int64_t *cells(self, Py_ssize_t slot) noexcept:
        return self._cells + slot * SLOT_WORDS

    cdef int32_t *flights(self, Py_ssize_t slot) noexcept:
        return self._flights + slot * self.columns

    cdef int _check(self, Py_ssize_t slot) except -1:
        if not 0 <= slot < self.capacity:
            raise IndexError(f"slot {slot} of {self.capacity}")
        return 0

    # The directory, for the agent that writes it

    def _learn(self):
        """What a former agent has given; a slot without a name is free."""
        self._numbers, self._free = {}, []
        for slot in range(self.used):
            key = self.key(slot)
            if key and key not in self._numbers:
                self._numbers[key] = slot
            else:
                self._free.append(slot)
        self._free.reverse()        # the lowest is given first

    def give(self, str key):
        """The slot of a name: its own, or a free one, zeroed; -1 where there is none left.  For the agent alone."""
        if self._numbers is None:
            self._learn()
        known = self._numbers.get(key)
        if known is not None:
            return known
        cdef bytes said = key.encode("utf-8", "surrogatepass")
        cdef Py_ssize_t slot, length = len(said)
        if length > KEY_BYTES:
            return -1
        if self._free:
            slot = self._free.pop()
        elif self.head.used < self.capacity:
            slot = self.head.used
            if not self._reserved(slot):
                return -1
            self.head.used = slot + 1
        else:
            return -1
        self._clear(slot)
        cdef char *entry = self._entries + slot * ENTRY_BYTES
        memcpy(entry + 8, <char *>said, length)
        cell_store(<int64_t *>entry, length)
        self._numbers[key] = slot
        return slot

    def take_back(self, Py_ssize_t slot):
        """Frees a slot that no plan knows any more and on which nothing is under way.  For the agent alone."""
        self._check(slot)
        if self._numbers is None:
            self._learn()
        key = self.key(slot)
        if not key:
            return
        self._clear(slot)
        cell_store(<int64_t *>(self._entries + slot * ENTRY_BYTES), 0)
        self._numbers.pop(key, None)
        self._free.append(slot)

    def _clear(self, Py_ssize_t slot):
        memset(self.cells(slot), 0, CELL_BYTES)
        memset(self.flights(slot), 0, self.columns * 4)

    cdef bint _reserved(self, Py_ssize_t slot):
        if self._reserve is None:
            return True
        cdef Py_ssize_t cells = PAGE, flights = PAGE + <Py_ssize_t>_pages(self.capacity * CELL_BYTES)
        cdef Py_ssize_t entries = flights + <Py_ssize_t>_pages(<Py_ssize_t>self.capacity * self.columns * 4)
        try:
            self._reserve(0, PAGE)
            if slot % (PAGE // CELL_BYTES) == 0:
                self._reserve(cells + slot * CELL_BYTES, PAGE)
            if slot % 8 == 0:
                self._reserve(flights + slot * self.columns * 4, 8 * self.columns * 4)
                self._reserve(entries + slot * ENTRY_BYTES, 8 * ENTRY_BYTES)
        except OSError:
            return False
        return True

    # For everybody

    @property
    def used(self):
        """Slots that were ever in use; those beyond are free."""
        return min(max(cell_load(&self.head.used), 0), self.capacity)

    @property
    def changes(self):
        """Goes up with whatever changes who may be picked, or with which weight."""
        return cell_load(&self.head.changes)

    def key(self, Py_ssize_t slot):
        """The name that has this slot; "" where it is free, or what stands there is no name."""
        self._check(slot)
        cdef char *entry = self._entries + slot * ENTRY_BYTES
        cdef int64_t length = cell_load(<int64_t *>entry)
        if not 0 < length <= KEY_BYTES:
            return ""
        try:
            return entry[8:8 + length].decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            return ""           # damaged, or read while it was given to another one

    def find(self, str key):
        """The slot of a name, -1 where it has none; reads the whole directory."""
        if self._numbers is not None and self.writable:
            return self._numbers.get(key, -1)
        for slot in range(self.used):
            if self.key(slot) == key:
                return slot
        return -1

    def items(self):
        """(slot, key) of every name that has one."""
        return [(slot, key) for slot in range(self.used) if (key := self.key(slot))]

    def load(self, Py_ssize_t slot, int word):
        """One word of a slot."""
        self._check(slot)
        if not 0 <= word < SLOT_WORDS:
            raise IndexError(f"word {word} of {SLOT_WORDS}")
        return cell_load(self.cells(slot) + word)

    def words(self, Py_ssize_t slot):
        """All SLOT_WORDS words of a slot, and behind them its requests under way."""
        self._check(slot)
        cdef int64_t *cells = self.cells(slot)
        cdef int word
        said = [cell_load(cells + word) for word in range(SLOT_WORDS)]
        said.append(self.in_flight(slot))
        return said

    def ejected(self, int64_t now_ms):
        """Slot -> until when (CLOCK_MONOTONIC in ms) for every slot that is ejected now."""
        cdef Py_ssize_t slot, used = self.used
        cdef int64_t until
        found = {}
        for slot in range(used):
            until = cell_load(self.cells(slot) + SLOT_EJECTED_MS)
            if until > now_ms:
                found[slot] = until
        return found

    def store(self, Py_ssize_t slot, int word, int64_t value):
        """Replaces one word, for its one writer."""
        self._may_write(slot, word)
        cell_store(self.cells(slot) + word, value)

    def add(self, Py_ssize_t slot, int word, int64_t delta):
        """Adds to one word, whoever else does; answers the sum."""
        self._may_write(slot, word)
        return cell_add(self.cells(slot) + word, delta)

    def _may_write(self, Py_ssize_t slot, int word):
        self._check(slot)
        if not 0 <= word < SLOT_WORDS:
            raise IndexError(f"word {word} of {SLOT_WORDS}")
        if not self.writable:
            raise TypeError("these slots are mapped for reading only")

    def set_state(self, Py_ssize_t slot, int64_t bits, int64_t mask):
        """Makes the masked bits of SLOT_STATE those of `bits`, whatever else changes at the same time.

        True when that changed something; `changes` has gone up then.
        """
        self._may_write(slot, SLOT_STATE)
        cdef int64_t *state = self.cells(slot) + SLOT_STATE
        cdef int64_t seen, wanted
        while True:
            seen = cell_load(state)
            wanted = (seen & ~mask) | (bits & mask)
            if wanted == seen:
                return False
            if cell_cas(state, seen, wanted):
                cell_add(&self.head.changes, 1)
                return True

    def note_change(self):
        """Something else has changed who may be picked."""
        cell_add(&self.head.changes, 1)

    def in_flight(self, Py_ssize_t slot):
        """Requests under way in all workers."""
        self._check(slot)
        return in_flight(self.flights(slot), min(max(cell_load(&self.head.columns), 0), self.columns))

    # Columns

    def hold_column(self, int column):
        """A worker begins: its column counts from zero, and is among those that are summed.  Raises OSError."""
        if self._reserve is not None:
            self._reserve(0, PAGE)
        self.clear_column(column)
        cdef int64_t seen
        while True:
            seen = cell_load(&self.head.columns)
            if seen > column or cell_cas(&self.head.columns, seen, column + 1):
                return

    def clear_column(self, int column):
        """What a worker that has ended left under way is not under way any more.  For its supervisor, or successor."""
        if not 0 <= column < self.columns:
            raise IndexError(f"column {column} of {self.columns}")
        if not self.writable:
            raise TypeError("these slots are mapped for reading only")
        cdef Py_ssize_t slot, used = self.used
        for slot in range(used):
            self.flights(slot)[column] = 0

    def __repr__(self):
        return f"<Slots {len(self.items())} of {self.capacity}, {self.head.columns} columns>"
