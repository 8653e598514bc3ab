"""A layer of somebody's image, decompressed and hashed as it is read forwards, once."""

import gzip
import hashlib
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO, cast

from modelpack.digest import Digest, of_hex
from modelpack.errors import InputError, Unavailable
from modelpack.inputs.opening import open_regular

_CHUNK = 1 << 20
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_WINDOW = 128 << 20
"bytes of a zstd window: what decoders take without being asked to"


class LayerStream:
    """The plain tar of a layer: what `tar_reading.passing` reads from."""

    def __init__(self, stream: IO[bytes], *, limit: int, at: str) -> None:
        self._stream, self._limit, self._at = stream, limit, at
        self._digest = hashlib.sha256()
        self.position = 0

    def read(self, count: int) -> bytes:
        """Return the next `count` bytes, fewer at the end; raises InputError past the limit."""
        data = self._stream.read(count)
        self._digest.update(data)
        self.position += len(data)
        if self.position > self._limit:
            raise InputError(f"holds more than {self._limit} bytes when decompressed", at=self._at)
        return data

    def move(self, position: int) -> bool:
        """Go on to `position`; False when the end comes before."""
        while self.position < position:
            if not self.read(min(position - self.position, _CHUNK)):
                return False
        return True

    def content(self, size: int) -> "MemberContent":
        """Return the next `size` bytes, to be read before anything else is."""
        return MemberContent(self, size)

    def finish(self) -> Digest:
        """Read what is left and return the digest of the whole, the `diff_id`."""
        while self.read(_CHUNK):
            pass
        return of_hex(self._digest.hexdigest())


class MemberContent:
    """The content of the member at which a LayerStream stands."""

    def __init__(self, stream: LayerStream, size: int) -> None:
        self._stream, self._end = stream, stream.position + size

    def read(self, count: int) -> bytes:
        """Return the next `count` bytes, fewer at the end."""
        return self._stream.read(min(count, self._end - self._stream.position))


@contextmanager
def opened(path: Path, *, limit: int, at: str) -> Iterator[LayerStream]:
    """Open the layer in the file `path`, to be read as `reading` does."""
    with open_regular(path, at=at) as file, reading(file, limit=limit, at=at) as stream:
        yield stream


@contextmanager
def reading(stored: BinaryIO, *, limit: int, at: str) -> Iterator[LayerStream]:
    """Read the layer in `stored`, which is gzip, zstd or a plain tar by its first bytes; close it.

    Damage that is met within the block raises InputError; more than `limit` bytes of content do
    so too. Raises Unavailable when this Python cannot read it.
    """
    damage: tuple[type[Exception], ...] = (OSError, EOFError, zlib.error, *_zstd_errors())
    # Not every place of layers can go back to its beginning.
    file = io.BufferedReader(cast("io.RawIOBase", stored), _CHUNK)
    with file, _plain(file, at) as stream:
        try:
            yield LayerStream(stream, limit=limit, at=at)
        except damage as error:
            raise InputError(f"the layer is damaged: {error}", at=at) from error


def _plain(file: "io.BufferedReader[io.RawIOBase]", at: str) -> IO[bytes]:
    start = file.peek(len(_ZSTD))
    if start.startswith(_GZIP):
        return cast("IO[bytes]", gzip.GzipFile(fileobj=file))
    if not start.startswith(_ZSTD):
        return file
    try:
        import zstandard  # noqa: PLC0415  optional
    except ImportError as error:
        raise Unavailable(
            "this Python cannot read zstd", at=at, hint="pip install 'modelpack-build[zstd]'"
        ) from error
    decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
    return decompressor.stream_reader(file, read_across_frames=True, read_size=_CHUNK)


def _zstd_errors() -> tuple[type[Exception], ...]:
    try:
        import zstandard  # noqa: PLC0415  optional
    except ImportError:
        return ()
    return (zstandard.ZstdError,)
