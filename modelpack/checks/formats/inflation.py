"""Look into compressed data within limits: so much output, never more, and bombs are recognised."""

import bz2
import lzma
import zlib
from dataclasses import dataclass
from typing import Protocol

from modelpack.checks.formats.window import Window

RATIO_LIMIT = 200
"output bytes for one input byte; text and weights stay far below"
RATIO_FROM = 1 << 20
"bytes of output from which the ratio is judged"
_PIECE = 1 << 10
"bytes of input at a time: so fine is the ratio known"
_PADDING = 1 << 14
_MEMORY_LIMIT = 64 << 20
_DAMAGED = (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError, MemoryError)


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, limit: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Inflated:
    """The first bytes of what a stream holds."""

    data: bytes
    cut: bool
    "there is more output than was asked for"
    damaged: bool
    "the stream breaks off or is no such stream"
    trailing: int
    "bytes after the end of the stream that are not padding"
    bomb: bool
    "the output is more than 200 times its input"


class _Deflate:
    """zlib's decompressor with the interface of the other two."""

    def __init__(self, window_bits: int) -> None:
        self._inner = zlib.decompressobj(window_bits)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, limit: int, /) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, limit)


def _decompressor(kind: str) -> _Decompressor:
    match kind:
        case "deflate":
            return _Deflate(-zlib.MAX_WBITS)
        case "zlib":
            return _Deflate(zlib.MAX_WBITS)
        case "gzip":
            return _Deflate(16 + zlib.MAX_WBITS)
        case "bzip2":
            return bz2.BZ2Decompressor()
        case "lzma":
            return lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=_MEMORY_LIMIT)
        case _:
            return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY_LIMIT)


def inflate(window: Window, kind: str, limit: int) -> Inflated:
    """Decompress at most `limit` bytes of `window`, which holds a stream of `kind`.

    `kind` is `deflate` (raw), `zlib`, `gzip`, `bzip2`, `xz` or `lzma`; streams that follow one
    another count as one, as their programs have it.
    """
    output = bytearray()
    position, consumed, damaged, trailing = 0, 0, False, 0
    decompressor = _decompressor(kind)
    pending = b""
    while len(output) < limit:
        if decompressor.eof:
            rest = decompressor.unused_data
            consumed = position - len(rest)
            following = window.read(consumed, 6)
            if kind in ("deflate", "zlib", "lzma") or following[:2] != window.read(0, 2):
                trailing = _trailing(window, consumed)
                break
            position, pending, decompressor = consumed, b"", _decompressor(kind)
        try:
            piece = decompressor.decompress(pending, limit - len(output))
        except _DAMAGED:
            damaged = True
            break
        output += piece
        pending = b""
        if not piece and not decompressor.eof:
            pending = window.read(position, _PIECE)
            position += len(pending)
            if not pending:
                damaged = not window.cut
                break
    ratio = len(output) / max(1, position)
    return Inflated(
        data=bytes(output),
        cut=len(output) >= limit or window.cut,
        damaged=damaged,
        trailing=trailing,
        bomb=len(output) >= RATIO_FROM and ratio > RATIO_LIMIT,
    )


def _trailing(window: Window, position: int) -> int:
    """Return how many bytes follow; zeros at the end are padding of tapes and blocks."""
    follows = window.size - position
    return follows if window.read(position, _PADDING).strip(b"\0") else 0
