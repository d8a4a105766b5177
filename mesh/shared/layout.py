"""The shared memory of one host, drawn in one place.

Owns which part of the mapping means what, and refuses a mapping that was drawn by other code: every process of a
running instance reads the same words the same way, or does not start.  Pure over any buffer; `workers/memory.py` makes
the file.  Floor 1.

The bytes, every part on a page of its own:

    0       header     magic "HOSTMESH", then words: version, checksum of the layout, and what the parts are sized by
                       (bytes of the plan, bytes of the sources, columns, rows of a column, slots)
    512     facts      64 words, FACT_*: what the master and the agent say about themselves
    4096    plan       a board: the dynamic configuration that workers compile, written by the agent
    ...     sources    a board: what the providers last said, good versions and problems, written by the agent
    ...     columns    gauges and counters of one worker each (series.pyx draws a column)
    ...     slots      cells of every endpoint (slots.pyx draws them)

The file is sparse: a part that nothing was written to takes no memory.  There are twice as many columns as workers may
be, because a reload has the old and the new ones side by side.
"""
from __future__ import annotations

import struct
from typing import Any
from zlib import crc32

from mesh.shared.board import HEADER as BOARD_HEADER
from mesh.shared.board import Board, Reserve
from mesh.shared.cells import WORD, Cells
from mesh.shared.series import BUCKET_BOUNDS_US, ENTRY_BYTES, GAUGE_WORDS, ROW_WORDS, Column, column_size
from mesh.shared.slots import ENTRY_BYTES as SLOT_ENTRY_BYTES
from mesh.shared.slots import SLOT_WORDS, Slots, slots_size

MAGIC = b"HOSTMESH"
VERSION = 2
PAGE = 4096
PLAN_BYTES = SOURCES_BYTES = 32 << 20       # some 100,000 routers; a larger configuration is refused by name
COLUMNS = 128                               # 64 workers, twice
ROWS = 4096
SLOTS = 32768                               # endpoints with a memory; more are served without

_HEADER = struct.Struct("<8s7q")
_FACTS = 512

# The words of `Memory.facts`.  One writer each, named in front; counters only go up and survive a restart.
FACT_MASTER_PID = 0             # master
FACT_WORKERS = 1                # master: how many workers there should be
FACT_WORKER_STARTS = 2          # master: counter
FACT_WORKER_DEATHS = 3          # master: counter of those that nobody had asked to leave
FACT_AGENT_PID = 4              # master: 0 while there is none
FACT_AGENT_STARTS = 5           # master: counter
FACT_AGENT_BEAT_MS = 6          # agent: CLOCK_MONOTONIC in ms, each second or so.  0: this agent does not beat.
#                                 An agent that beat once and then is silent for too long is killed and replaced
FACT_STATIC_RELOADS = 7         # master: counter of HUPs that took effect
FACT_STATIC_REFUSED = 8         # master: counter of HUPs refused for a broken static file
FACT_DYNAMIC_RELOADS = 9        # agent: counter of plans published
FACT_DYNAMIC_FAILURES = 10      # agent: counter of changes with at least one error
FACT_ORIGIN = 11                # master: checksum of where the configuration comes from (other origin, other memory)
FACT_REDIS = 12                 # agent: REDIS_*
FACT_WORDS = 64

REDIS_NONE, REDIS_UP, REDIS_AWAY = 0, 1, 2


Sizes = tuple[int, int, int, int, int]


class LayoutMismatch(ValueError):
    """The buffer is not a shared memory that this version can read; says what differs."""


def _pages(size: int) -> int:
    return -(-size // PAGE) * PAGE


def _checksum(plan: int, sources: int, columns: int, rows: int, slots: int) -> int:
    """What two programs must agree on to share a mapping: every size, and the meaning of the histogram's words."""
    drawing = (VERSION, PAGE, BOARD_HEADER, GAUGE_WORDS, ROW_WORDS, ENTRY_BYTES, FACT_WORDS, BUCKET_BOUNDS_US,
               SLOT_WORDS, SLOT_ENTRY_BYTES, plan, sources, columns, rows, slots)
    return crc32(repr(drawing).encode())


class Memory:
    """The parts of a mapping: `plan` and `sources` (boards), `facts` (cells), `columns`, `slots`.

    `reserve(offset, length)`, if given, makes sure that this part of the buffer has memory behind it, or raises
    OSError.
    """

    def __init__(self, buffer: Any, reserve: Reserve | None = None) -> None:
        self._view = view = memoryview(buffer)
        if len(view) < PAGE:
            raise LayoutMismatch(f"{len(view)} bytes are no shared memory of hostmesh")
        magic, version, checksum, *sizes = _HEADER.unpack_from(view)
        if magic != MAGIC:
            raise LayoutMismatch("this is no shared memory of hostmesh")
        if version != VERSION:
            raise LayoutMismatch(f"layout version {version}, this program reads version {VERSION}")
        if checksum != _checksum(*sizes):
            raise LayoutMismatch("same layout version, but another drawing of its parts")
        if len(view) != self.size(*sizes):
            raise LayoutMismatch(f"{len(view)} bytes where the header says {self.size(*sizes)}")
        self.sizes: Sizes = tuple(sizes)
        plan, sources, columns, rows, slots = sizes
        self._reserve = reserve
        self.facts = Cells(view[_FACTS:_FACTS + FACT_WORDS * WORD])
        at = PAGE
        self.plan = Board(view[at:at + Board.size(plan)], self._from(at))
        at += _pages(Board.size(plan))
        self.sources = Board(view[at:at + Board.size(sources)], self._from(at))
        at += _pages(Board.size(sources))
        size = column_size(rows)
        self.columns: tuple[Column, ...] = tuple(
            Column(view[start:start + size], number, rows, self._from(start))
            for number, start in enumerate(range(at, at + columns * size, size)))
        at += columns * size
        self.slots = Slots(view[at:at + slots_size(slots, columns)], slots, columns, self._from(at))

    def _from(self, start: int) -> Reserve | None:
        reserve = self._reserve
        return None if reserve is None else lambda offset, length: reserve(start + offset, length)

    @staticmethod
    def size(plan: int = PLAN_BYTES, sources: int = SOURCES_BYTES, columns: int = COLUMNS, rows: int = ROWS,
             slots: int = SLOTS) -> int:
        """Bytes of a mapping with parts of these sizes."""
        return (PAGE + _pages(Board.size(plan)) + _pages(Board.size(sources)) + columns * column_size(rows)
                + int(slots_size(slots, columns)))

    @staticmethod
    def sizes_of(plan: int = PLAN_BYTES, sources: int = SOURCES_BYTES, columns: int = COLUMNS, rows: int = ROWS,
                 slots: int = SLOTS) -> Sizes:
        """What `size` and `format` take when they are told so much."""
        return plan, sources, columns, rows, slots

    @staticmethod
    def format(buffer: Any, plan: int = PLAN_BYTES, sources: int = SOURCES_BYTES, columns: int = COLUMNS,
               rows: int = ROWS, slots: int = SLOTS) -> None:
        """Draws the header into a zeroed buffer of `size(...)` bytes; the magic comes last."""
        sizes = (plan, sources, columns, rows, slots)
        if len(memoryview(buffer)) != Memory.size(*sizes):
            raise ValueError(f"a buffer of {len(memoryview(buffer))} bytes, {Memory.size(*sizes)} are needed")
        _HEADER.pack_into(buffer, 0, b"", VERSION, _checksum(*sizes), *sizes)
        memoryview(buffer)[:len(MAGIC)] = MAGIC

    def column(self, number: int) -> Column:
        """The column with this number."""
        return self.columns[number]

    def __repr__(self) -> str:
        return f"<Memory plan {self.plan.generation}, sources {self.sources.generation}, {len(self.columns)} columns>"
