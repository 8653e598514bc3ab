"""Decompression with a bound on what comes out, so that no input can fill the memory."""

import io
import zlib
from collections.abc import Callable
from typing import Protocol

from modelpack.errors import InputError, Unavailable

_XZ_MEMORY = 256 << 20
"bytes that the decoder may take; `xz -9` needs 65 MiB"
_MAX_STREAMS = 64
"one file may hold several streams; hostile ones hold millions of empty ones"


class _Stream(Protocol):
    """What `lzma` and `zlib` have in common."""

    @property
    def eof(self) -> bool:
        """Whether the end of the stream was seen."""

    @property
    def unused_data(self) -> bytes:
        """What follows the end of the stream."""

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        """Return at most `max_length` bytes."""


def decompress(data: bytes, suffix: str, *, limit: int, at: str = "") -> bytes:
    """Return what `data` holds, at most `limit` bytes; `suffix` is `xz`, `gz`, `zst` or nothing.

    Raises InputError when `data` is damaged, longer or of another kind, and Unavailable when
    this Python cannot read it.
    """
    match suffix:
        case "xz":
            plain = _xz(data, limit, at)
        case "gz":
            plain = _gzip(data, limit, at)
        case "zst":
            plain = _zstd(data, limit, at)
        case "":
            plain = data
        case _:
            raise InputError(f"unknown compression `{suffix}`", at=at)
    if len(plain) > limit:
        raise InputError(f"holds more than {limit} bytes when decompressed", at=at)
    return plain


def _xz(data: bytes, limit: int, at: str) -> bytes:
    import lzma  # noqa: PLC0415  not needed when every layer is remembered

    def start() -> _Stream:
        return lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)

    try:
        return _streams(data, start, limit, at)
    except (lzma.LZMAError, MemoryError) as error:
        raise InputError(f"damaged xz data: {error}", at=at) from error


def _gzip(data: bytes, limit: int, at: str) -> bytes:
    try:
        return _streams(data, lambda: zlib.decompressobj(wbits=31), limit, at)
    except zlib.error as error:
        raise InputError(f"damaged gzip data: {error}", at=at) from error


def _streams(data: bytes, start: Callable[[], _Stream], limit: int, at: str) -> bytes:
    """Return what all streams in `data` hold; of what is longer than `limit` a little more."""
    out = io.BytesIO()
    for _ in range(_MAX_STREAMS):
        stream = start()
        out.write(stream.decompress(data, limit + 1 - out.tell()))
        if out.tell() > limit:
            return out.getvalue()
        if not stream.eof:
            raise InputError("the compressed data end too early", at=at)
        data = stream.unused_data.lstrip(b"\0")  # padding between streams
        if not data:
            return out.getvalue()
    raise InputError(f"more than {_MAX_STREAMS} compressed streams", at=at)


def _zstd(data: bytes, limit: int, at: str) -> bytes:
    try:
        import zstandard  # noqa: PLC0415  optional
    except ImportError as error:
        raise Unavailable(
            "this Python cannot read zstd", at=at, hint="pip install 'modelpack-build[zstd]'"
        ) from error
    try:
        with zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True) as stream:
            return stream.read(limit + 1)
    except zstandard.ZstdError as error:
        raise InputError(f"damaged zstd data: {error}", at=at) from error
