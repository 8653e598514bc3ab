"""Bytes to look at in any place, never read as a whole: a file, a part of one, memory."""

import io
import os
from collections.abc import Callable
from dataclasses import dataclass

_BLOCK = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """`size` bytes of something, read where asked."""

    source: Callable[[int, int], bytes]
    "(offset, count) to bytes; may return fewer at the end"
    size: int
    cut: bool = False
    "whether the thing goes on after `size` and was not followed further"

    def read(self, offset: int, count: int) -> bytes:
        """Return up to `count` bytes from `offset`, fewer only at the end."""
        count = min(count, self.size - offset)
        return self.source(offset, count) if offset >= 0 and count > 0 else b""

    def part(self, offset: int, size: int) -> "Window":
        """Return the window of `size` bytes from `offset`, clipped to this one."""
        offset = min(max(offset, 0), self.size)
        kept = min(max(size, 0), self.size - offset)
        return Window(
            source=lambda at, count: self.source(offset + at, count), size=kept, cut=kept < size
        )


def of_bytes(data: bytes, *, cut: bool = False) -> Window:
    """Return a window on `data`."""
    return Window(source=lambda at, count: data[at : at + count], size=len(data), cut=cut)


def of_descriptor(descriptor: int) -> Window:
    """Return a window on an open regular file; the file's position is left alone."""

    def source(offset: int, count: int) -> bytes:
        pieces: list[bytes] = []
        while count > 0 and (piece := os.pread(descriptor, count, offset)):
            pieces.append(piece)
            offset += len(piece)
            count -= len(piece)
        return b"".join(pieces)

    return Window(source=source, size=os.fstat(descriptor).st_size)


class WindowReader(io.RawIOBase):
    """A window as a seekable stream, for readers of the standard library."""

    def __init__(self, window: Window) -> None:
        super().__init__()
        self._window = window
        self._position = 0

    def readable(self) -> bool:
        """Say yes."""
        return True

    def seekable(self) -> bool:
        """Say yes."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to `offset` from the start, here or the end."""
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._window.size}
        position = origin[whence] + offset
        if position < 0:
            raise OSError("position before the start")  # as a file would, zipfile relies on it
        self._position = position
        return position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override]
        """Fill `buffer` from here."""
        data = self._window.read(self._position, len(buffer))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


def buffered(window: Window) -> Window:
    """Return the same window, for readers of a few bytes at a time: they are read in blocks."""
    start, block = 0, b""

    def source(offset: int, count: int) -> bytes:
        nonlocal start, block
        if count >= _BLOCK:
            return window.read(offset, count)
        if not start <= offset <= offset + count <= start + len(block):
            start, block = offset, window.read(offset, _BLOCK)
        return block[offset - start : offset - start + count]

    return Window(source=source, size=window.size, cut=window.cut)
