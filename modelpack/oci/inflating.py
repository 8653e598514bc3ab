"""The tar inside a layer as stored, compressed or not, read from its beginning to its end."""

import hashlib
import io
import zlib
from collections.abc import Iterator
from typing import BinaryIO, Final, cast

from modelpack.digest import Digest, of_hex
from modelpack.errors import InputError, Unavailable

_READ: Final = 256 << 10
_LIMIT: Final = 64 << 30
"bytes; more than any honest layer, and a bomb costs time only"
_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"


class LayerTar(io.RawIOBase):
    """A layer's tar as a stream that moves forwards only and hashes all that passes.

    Asked for its end, it tells what no layer reaches. Reading raises InputError when the data are
    damaged, and Unavailable when this Python cannot read zstd.
    """

    def __init__(self, stream: BinaryIO, *, at: str) -> None:
        """`stream` has the layer as stored, and stands at its beginning."""
        self._chunks, self._at = _plain(stream, at), at
        self._chunk = memoryview(b"")
        self._position = 0
        self._hash = hashlib.sha256()

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """Return the next `size` bytes, fewer at the end only."""
        return b"".join(self._take(_LIMIT if size < 0 else size))

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Move forwards to `offset` from the beginning."""
        if whence == io.SEEK_END:
            return _LIMIT
        if offset < self._position:
            raise ValueError("the stream moves forwards only")
        for _ in self._take(offset - self._position):
            pass
        if self._position < offset:
            raise InputError("the layer is cut off", at=self._at)
        return self._position

    def finish(self) -> Digest:
        """Read what is left and return the digest of the whole tar: the layer's diff_id."""
        for _ in self._take(_LIMIT):
            pass
        return of_hex(self._hash.hexdigest())

    def _take(self, size: int) -> Iterator[memoryview]:
        while size:
            while not self._chunk:
                chunk = next(self._chunks, None)
                if chunk is None:
                    return
                self._hash.update(chunk)
                self._chunk = memoryview(chunk)
            part, self._chunk = self._chunk[:size], self._chunk[size:]
            self._position += len(part)
            if self._position > _LIMIT:
                raise InputError(f"holds more than {_LIMIT} bytes when decompressed", at=self._at)
            size -= len(part)
            yield part


def _plain(stream: BinaryIO, at: str) -> Iterator[bytes]:
    first = stream.read(_READ)
    stored = _from(first, stream)
    if first.startswith(_GZIP):
        return _gzip(stored, at)
    return _zstd(stored, at) if first.startswith(_ZSTD) else stored


def _from(first: bytes, stream: BinaryIO) -> Iterator[bytes]:
    while first:
        yield first
        first = stream.read(_READ)


def _gzip(stored: Iterator[bytes], at: str) -> Iterator[bytes]:
    """Yield the content of all members, one after the other (RFC 1952)."""
    inflate = zlib.decompressobj(wbits=31)
    data = next(stored, b"")
    try:
        while True:
            plain = inflate.decompress(data, _READ)
            yield plain
            if inflate.eof:
                data = inflate.unused_data.lstrip(b"\0") or next(stored, b"")
                if not data:
                    return
                inflate = zlib.decompressobj(wbits=31)
            elif inflate.unconsumed_tail or len(plain) == _READ:
                data = inflate.unconsumed_tail
            else:
                data = next(stored, b"")
                if not data:
                    raise InputError("the compressed data end too early", at=at)
    except zlib.error as error:
        raise InputError(f"damaged gzip data: {error}", at=at) from error


def _zstd(stored: Iterator[bytes], at: str) -> Iterator[bytes]:
    try:
        import zstandard  # noqa: PLC0415  optional
    except ImportError as error:
        raise Unavailable(
            "this Python cannot read zstd", at=at, hint="pip install 'modelpack-build[zstd]'"
        ) from error
    source = cast("BinaryIO", _Source(stored))
    reader = zstandard.ZstdDecompressor().stream_reader(source, read_across_frames=True)
    try:
        while data := reader.read(_READ):
            yield data
    except zstandard.ZstdError as error:
        raise InputError(f"damaged zstd data: {error}", at=at) from error


class _Source:
    """Chunks as the library wants to read them: no more than asked for."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._rest = chunks, b""

    def read(self, size: int) -> bytes:
        data = self._rest or next(self._chunks, b"")
        self._rest = data[size:]
        return data[:size]
