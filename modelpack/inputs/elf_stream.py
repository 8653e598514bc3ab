"""An ELF file that can only be read forwards, in bounded memory.

Files of gigabytes are common in images for GPUs, and what the loader reads of them is at their
very start or, after a tool moved it, at their end.
"""

from dataclasses import dataclass, field
from typing import Protocol

from modelpack.inputs.debian import elf
from modelpack.inputs.debian.elf import ElfFile

_START = 16 << 20
"bytes of a file that are kept: all of most, and the strings of the others"
_AHEAD = 1 << 20
"bytes read at once"


class Source(Protocol):
    """What is read forwards, such as a layer."""

    position: int

    def read(self, count: int) -> bytes:
        """Return the next `count` bytes, fewer at the end."""

    def move(self, position: int) -> bool:
        """Go on to `position`; False when the end comes before."""


class Behind(Exception):  # noqa: N818  a state, not a fault
    """What is asked for was passed and not kept: read the file again, with the same Known."""


@dataclass(slots=True)
class Known:
    """Answers of earlier passes over a file, so that each pass gets further than the last."""

    answers: dict[tuple[int, int], bytes] = field(default_factory=dict)


def read(source: Source, size: int, known: Known) -> ElfFile | None:
    """Return the program or library of `size` bytes that `source` stands at; None for all else.

    Raises Behind where another pass is needed.
    """
    return elf.read(_Window(source, size, known).at)


class _Window:
    """The start of a file, and what follows the last place that was jumped to."""

    def __init__(self, source: Source, size: int, known: Known) -> None:
        self._source, self._size, self._known = source, size, known
        self._begin = source.position
        self._start = bytearray()
        self._late = bytearray()
        self._late_from = size

    def at(self, offset: int, size: int) -> bytes:
        """Return `size` bytes from `offset` on, fewer at the end of the file."""
        key = (offset, size)
        if key not in self._known.answers:
            self._known.answers[key] = self._read(offset, max(0, min(size, self._size - offset)))
        return self._known.answers[key]

    def _read(self, offset: int, size: int) -> bytes:
        end = offset + size
        if not size:
            return b""
        if offset < _START < end:
            return self._read(offset, _START - offset) + self._read(_START, end - _START)
        if end <= _START:
            self._fill(self._start, 0, end, limit=min(_START, self._size))
            return bytes(self._start[offset:end])
        near = self._late_from <= offset <= self._late_from + len(self._late) + _START
        if not near and not self._jump(offset):
            return b""
        self._fill(self._late, self._late_from, end, limit=self._size)
        first = offset - self._late_from
        return bytes(self._late[first : first + size])

    def _fill(self, kept: bytearray, first: int, end: int, *, limit: int) -> None:
        """Read on until `kept`, which begins at `first`, reaches `end`."""
        if end <= first + len(kept):
            return
        if self._source.position != self._begin + first + len(kept):
            raise Behind
        while first + len(kept) < end:
            missing = end - first - len(kept)
            data = self._source.read(min(max(missing, _AHEAD), limit - first - len(kept)))
            if not data:
                return
            kept += data

    def _jump(self, offset: int) -> bool:
        """Start to keep at `offset`, which must be ahead; False when the file ends before.

        The start is kept whole first.
        """
        whole = min(_START, self._size)
        if len(self._start) < whole and not self._late:
            self._fill(self._start, 0, whole, limit=whole)
        if self._begin + offset < self._source.position:
            raise Behind
        self._late, self._late_from = bytearray(), offset
        return self._source.move(self._begin + offset)
