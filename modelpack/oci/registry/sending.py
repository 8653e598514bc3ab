"""The content of a blob on its way out: read from any offset, hashed once and in order."""

import hashlib
from collections.abc import Iterator

from modelpack.errors import Unavailable
from modelpack.oci.blobs import check_content, part_of, pieces_of
from modelpack.oci.content import blocks
from modelpack.oci.layer import Blob, Remote
from modelpack.progress import Advance

_BLOCK = 256 << 10


class Sending:
    """What is sent of one blob; nothing of it is kept."""

    def __init__(self, blob: Blob, advance: Advance) -> None:
        self.blob = blob
        self._advance = advance
        self._told = 0
        self._running = hashlib.sha256(usedforsecurity=False)
        self._hashed = 0

    def tell(self, position: int) -> None:
        """Tell that `position` bytes are there, which may be fewer than before."""
        self._advance(position - self._told)
        self._told = position

    def read(self, start: int, length: int) -> Iterator[bytes]:
        """Yield `length` bytes from `start` on; raises what reading raises."""
        self._hash_until(start)
        position = start
        for block in self._blocks(start, length):
            self._take(block, position)
            yield block
            position += len(block)
            self.tell(position)

    def check(self) -> None:
        """Raise InputError, naming the sources, unless all of it is what the blob says."""
        self._hash_until(self.blob.size)
        check_content(self.blob, self._running.hexdigest(), self._hashed)

    def _hash_until(self, position: int) -> None:
        """Hash what another process sent, or what was sent and is to be proved."""
        if position > self._hashed:
            start = self._hashed
            for block in self._blocks(start, position - start):
                self._take(block, start)
                start += len(block)

    def _take(self, block: bytes, position: int) -> None:
        fresh = memoryview(block)[max(self._hashed - position, 0) :]
        self._running.update(fresh)
        self._hashed += len(fresh)

    def _blocks(self, start: int, length: int) -> Iterator[bytes]:
        """Yield exactly `length` bytes."""
        origin = self.blob.origin
        found = (
            origin.place.chunks(self.blob.descriptor, start, length)
            if isinstance(origin, Remote)
            else blocks(part_of(pieces_of(self.blob), start, length), _BLOCK)
        )
        left = length
        for block in found:
            left -= len(block)
            yield block
        if left:
            raise Unavailable(f"{left} bytes of the blob are missing", at=self.blob.digest)
