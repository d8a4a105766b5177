"""A value in shared memory that one process replaces whole and any process reads whole: the larger shape (DESIGN 5).

Owns the promise that a reader never sees a torn value, and that a writer killed in the middle of its write leaves the
old value in place.  It refuses to know what the bytes mean, and to have two writers.  Pure over any writable buffer.
Floor 1.

The bytes of a board, words of 8, little care needed but for their order in time:

    0     generation     number of the value to read, 0 = nothing was ever written; stored last by the writer.
                         Its lowest bit says which half holds the value
    8,16  begun[2]       per half, the generation that was last begun there; stored before its first byte is touched
    24,32 length[2]      per half, bytes of the value
    40,48 crc32[2]       per half, of the value
    4096  half 0         capacity bytes
    ...   half 1         capacity bytes

Generation g+1 goes to the half that g does not use.  A reader that still copies g is only disturbed by g+2, which
begins in its half: it then finds `begun` changed and takes the newer value.  The checksum is not needed for that; it
tells a file that something else has damaged.
"""
from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any
from zlib import crc32

from mesh.shared.cells import WORD, Cells

HEADER = 4096                   # a page of its own, so that both halves begin on a page
_GENERATION, _BEGUN, _LENGTH, _CRC = 0, 1, 3, 5
_CHECKED_AT_ONCE = 1 << 18      # bytes: 0.2 ms
_TRIES = 1000                   # a reader loses a try only when two new values were written while it copied one

Reserve = Callable[[int, int], None]


class BoardFull(ValueError):
    """The value does not fit (or the memory behind the board could not be had); the old value stands."""


class BoardDamaged(ValueError):
    """What the board holds is not what was written to it."""


class Board:
    """One value, its generation, and two halves to keep it in.

    `reserve(offset, length)`, if given, makes sure before a write that this part of the buffer has memory behind it (a
    sparse file on a full disk would kill the writer with SIGBUS otherwise); it raises OSError if there is none.
    """

    def __init__(self, buffer: Any, reserve: Reserve | None = None) -> None:
        self._view = memoryview(buffer)
        self._words = Cells(self._view[:HEADER])
        self.capacity = (len(self._view) - HEADER) // 2 // WORD * WORD
        self._reserve = reserve

    @staticmethod
    def size(capacity: int) -> int:
        """Bytes of buffer that a board for values of up to `capacity` bytes needs."""
        return HEADER + 2 * (-(-capacity // WORD) * WORD)

    @property
    def generation(self) -> int:
        """Number of the value that a read would return; 0 before the first."""
        return self._words.load(_GENERATION)

    def write(self, data: bytes) -> int:
        """Replaces the value and returns its generation.  The one writer alone may call this."""
        if len(data) > self.capacity:
            raise BoardFull(f"{len(data)} bytes do not fit on a board of {self.capacity} bytes")
        generation = self.generation + 1
        half = generation & 1
        start = HEADER + half * self.capacity
        if self._reserve is not None:
            try:
                self._reserve(start, len(data))
            except OSError as error:
                raise BoardFull(f"no memory for {len(data)} bytes: {error.strerror}") from error
        self._words.store(_BEGUN + half, generation)
        self._view[start:start + len(data)] = data
        self._words.store(_LENGTH + half, len(data))
        self._words.store(_CRC + half, crc32(data))
        self._words.store(_GENERATION, generation)
        return generation

    def read(self) -> tuple[int, bytes]:
        """The value with its generation, whole; (0, b"") before the first."""
        steps = self.read_in_steps()
        while True:
            try:
                next(steps)
            except StopIteration as end:
                value: tuple[int, bytes] = end.value
                return value

    def read_in_steps(self) -> Generator[None, None, tuple[int, bytes]]:
        """The same for who has other things to do: the checksum of some MB takes milliseconds."""
        load = self._words.load
        for _ in range(_TRIES):
            generation = load(_GENERATION)
            if not generation:
                return 0, b""
            half = generation & 1
            length, crc = load(_LENGTH + half), load(_CRC + half)
            start = HEADER + half * self.capacity
            data = bytes(self._view[start:start + max(0, min(length, self.capacity))])
            if load(_BEGUN + half) != generation:
                continue
            found, view = 0, memoryview(data)
            for at in range(0, len(data), _CHECKED_AT_ONCE):
                found = crc32(view[at:at + _CHECKED_AT_ONCE], found)
                yield
            if len(data) != length or found != crc:
                break
            return generation, data
        raise BoardDamaged(f"generation {load(_GENERATION)} does not match its checksum")

    def __repr__(self) -> str:
        return f"<Board generation {self.generation}, {self._words.load(_LENGTH + (self.generation & 1))} bytes>"
