"""The content of a blob on its way out: read from any offset, and hashed once and in order.

What this machine hashed before, in a file that has not changed since, is not hashed again: the
system sends it straight from the file, which is looked at before and after. The registry refuses
what is not its digest (OCI distribution-spec 1.1, "Pushing blobs").
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import closing
from typing import Protocol

from modelpack.errors import ModelpackError, Unavailable
from modelpack.oci.blobs import check_content, part_of, pieces_of
from modelpack.oci.content import changed, identity, open_file, views
from modelpack.oci.layer import Blob, Remote
from modelpack.oci.store import KnownDigests
from modelpack.oci.tar import Content, FileRange
from modelpack.progress import Advance
from modelpack.web.connections import Chunk
from modelpack.web.spans import Span

_BLOCK = 256 << 10
_SPAN = 4 << 20
"bytes after which a part of a file counts as sent"


class Sending(Protocol):
    """What is sent of one blob; nothing of it is kept."""

    @property
    def blob(self) -> Blob:
        """The blob."""

    def tell(self, position: int) -> None:
        """Tell that `position` bytes are there, which may be fewer than before."""

    def read(self, start: int, length: int) -> Iterator[Chunk]:
        """Yield `length` bytes from `start` on, each chunk good until the next one."""

    def check(self) -> None:
        """Raise InputError, naming the sources, unless all of it is what the blob says."""


def sending(blob: Blob, advance: Advance, known: KnownDigests | None) -> Sending:
    """Return what sends `blob`; without hashing where `known` proves what it is."""
    file = _proved_file(blob, known) if known is not None else None
    return Hashed(blob, advance) if file is None else Proved(blob, advance, file)


def _proved_file(blob: Blob, known: KnownDigests) -> os.stat_result | None:
    """Return the status of the one file that makes `blob`, where its content is known."""
    if isinstance(blob.origin, Remote):
        return None
    try:
        files = [piece for piece in pieces_of(blob) if isinstance(piece, FileRange)]
        if len(files) != 1 or files[0].offset:
            return None
        handle, status = open_file(files[0])
    except ModelpackError:
        return None  # who reads it tells why
    os.close(handle)
    whole = status.st_size == files[0].size
    return status if whole and known.proves(status, blob.digest) else None


class _Told:
    def __init__(self, blob: Blob, advance: Advance) -> None:
        self._blob = blob
        self._advance = advance
        self._told = 0

    @property
    def blob(self) -> Blob:
        """The blob."""
        return self._blob

    def tell(self, position: int) -> None:
        """Tell that `position` bytes are there, which may be fewer than before."""
        self._advance(position - self._told)
        self._told = position


class Proved(_Told):
    """A blob made of one file of which is known what it holds."""

    def __init__(self, blob: Blob, advance: Advance, status: os.stat_result) -> None:
        super().__init__(blob, advance)
        self._status = status

    def read(self, start: int, length: int) -> Iterator[Chunk]:
        """Yield `length` bytes from `start` on; raises InputError where the file has changed."""
        position = start
        for piece in part_of(pieces_of(self._blob), start, length):
            for chunk, size in self._chunks(piece):
                yield chunk
                position += size
                self.tell(position)

    def _chunks(self, piece: Content) -> Iterator[tuple[Chunk, int]]:
        if not isinstance(piece, FileRange):
            yield piece, len(piece)
            return
        handle, status = open_file(piece)
        with closing(os.fdopen(handle, "rb", buffering=0)) as file:
            self._expect(status, piece)
            for start in range(piece.offset, piece.offset + piece.size, _SPAN):
                size = min(_SPAN, piece.offset + piece.size - start)
                yield Span(file, start, size), size
            self._expect(os.fstat(handle), piece)

    def _expect(self, status: os.stat_result, piece: FileRange) -> None:
        if identity(status) != identity(self._status):
            raise changed(piece.path)

    def check(self) -> None:
        """Do nothing: it was looked at whenever it was read."""


class Hashed(_Told):
    """A blob that is hashed while it is sent."""

    def __init__(self, blob: Blob, advance: Advance) -> None:
        super().__init__(blob, advance)
        self._running = hashlib.sha256(usedforsecurity=False)
        self._hashed = 0

    def read(self, start: int, length: int) -> Iterator[bytes | memoryview]:
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
        self._hash_until(self._blob.size)
        check_content(self._blob, self._running.hexdigest(), self._hashed)

    def _hash_until(self, position: int) -> None:
        """Hash what another process sent, or what was sent and is to be proved."""
        if position > self._hashed:
            start = self._hashed
            for block in self._blocks(start, position - start):
                self._take(block, start)
                start += len(block)

    def _take(self, block: bytes | memoryview, position: int) -> None:
        fresh = memoryview(block)[max(self._hashed - position, 0) :]
        self._running.update(fresh)
        self._hashed += len(fresh)

    def _blocks(self, start: int, length: int) -> Iterator[bytes | memoryview]:
        """Yield exactly `length` bytes."""
        origin = self._blob.origin
        found = (
            origin.place.chunks(self._blob.descriptor, start, length)
            if isinstance(origin, Remote)
            else views(part_of(pieces_of(self._blob), start, length), _BLOCK)
        )
        left = length
        for block in found:
            left -= len(block)
            yield block
        if left:
            raise Unavailable(f"{left} bytes of the blob are missing", at=self._blob.digest)
