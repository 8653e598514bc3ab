"""Parts of a blob, wherever it is: a range of bytes, and a plain tar by its headers alone.

Nothing here is checked against the digest of the blob: that would take all of it.
"""

from collections.abc import Iterator

from modelpack.errors import InputError
from modelpack.oci.blobs import part_of, pieces_of
from modelpack.oci.content import blocks
from modelpack.oci.layer import Blob, Remote

_CHUNK = 256 << 10
_AHEAD = 64 << 10
"bytes of a tar that are read at once to find its members"


def ranged(blob: Blob, start: int, length: int) -> Iterator[bytes]:
    """Yield `length` bytes of a blob from `start` on, unchecked, from wherever it is."""
    if not length:
        return iter(())
    if isinstance(blob.origin, Remote):
        return blob.origin.place.chunks(blob.descriptor, start, length)
    return blocks(part_of(pieces_of(blob), start, length), _CHUNK)


def part(blob: Blob, start: int, length: int) -> bytes:
    """Return `length` bytes of a blob from `start` on, or raise InputError when they end before."""
    data = b"".join(ranged(blob, start, length))
    if len(data) != length:
        raise InputError("the blob is shorter than its descriptor says", at=blob.digest)
    return data


class Leaping:
    """A plain tar of which only the headers are read: a Source of `tar_reading.passing`."""

    def __init__(self, blob: Blob) -> None:
        self._blob, self._at = blob, 0
        self._ahead, self._start = b"", 0

    def read(self, count: int) -> bytes:
        """Return the next `count` bytes, fewer at the end."""
        stop = min(self._at + count, self._blob.size)
        if not self._start <= self._at <= stop <= self._start + len(self._ahead):
            length = min(max(count, _AHEAD), self._blob.size - self._at)
            self._ahead, self._start = part(self._blob, self._at, length), self._at
        data = self._ahead[self._at - self._start : stop - self._start]
        self._at = stop
        return data

    def move(self, position: int) -> bool:
        """Go on to `position`; False when the end comes before."""
        self._at = position
        return position <= self._blob.size
