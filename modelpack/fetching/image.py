"""Weights in an image or artifact: read by range out of its blobs, in a layout or a registry."""

import hashlib
import io
import posixpath
from collections.abc import Iterator, Mapping
from threading import Lock
from typing import BinaryIO, cast

from modelpack.digest import Digest, of_hex
from modelpack.errors import InputError, Refused
from modelpack.fetching.members import Member, Shelf, members
from modelpack.fetching.place import Listing, RemoteFile, Wanted
from modelpack.inputs.base_image import layer_stream
from modelpack.oci.blobs import part_of, pieces_of
from modelpack.oci.chunks import Chunks
from modelpack.oci.content import blocks
from modelpack.oci.layer import TAR, Blob, Descriptor, Partial, Remote
from modelpack.oci.tar_reading import Header, passing
from modelpack.progress import Advance
from modelpack.web.client import Passing

_CHUNK = 256 << 10
_AHEAD = 64 << 10
"bytes of a tar that are read at once to find its members"
_SIZE_LIMIT = 1 << 50
_CUTS = 1000
PLAIN_TARS = frozenset({
    TAR, "application/vnd.cncf.model.weight.v1.tar",
    "application/vnd.cncf.model.weight.config.v1.tar",
})  # fmt: skip
"media types whose blobs are tars as they stand, of which a range can be read"


class ImagePlace:
    """The weight files of one manifest or index."""

    def __init__(self, shelf: Shelf, root: Descriptor, *, name: str, at: str) -> None:
        """`name` says which weights are meant where the image holds several."""
        self._shelf, self._root, self._name, self._at = shelf, root, name, at
        self._members: Mapping[str, Member] | None = None
        self._indexes: dict[Digest, Mapping[str, tuple[int, int]]] = {}
        self._lock = Lock()

    @property
    def identity(self) -> str:
        """What its contents are remembered under: the digest says it all."""
        return f"{self._root.digest} {self._name}"

    def listing(self, wanted: Wanted) -> Listing:
        """Return the weight files that the image says it holds."""
        found = self._find()
        files = tuple(
            RemoteFile(path=one.path, size=one.size, sha256=one.sha256)
            for one in found.values()
            if wanted(one.path)
        )
        return Listing(files=files, revision=self._root.digest)

    def _find(self) -> Mapping[str, Member]:
        with self._lock:
            if self._members is None:
                found = members(self._shelf, self._root, name=self._name)
                self._members = {one.path: one for one in found}
                if len(self._members) != len(found):
                    raise InputError("the image names a weight file twice", at=self._at)
            return self._members

    def fill(self, into: Partial, file: RemoteFile, advance: Advance) -> None:
        """Write what is missing of `file` to `into`, beginning where it ends."""
        at = f"{self._at}: {file.path}"
        member = self._find().get(file.path)
        if member is None or member.size != file.size:
            raise Refused("the image holds no such file", at=at)
        advance(into.size)
        for _ in range(_CUTS):
            before = into.size
            try:
                for chunk in self._rest(member, into.size, at):
                    into.write(chunk)
                    advance(len(chunk))
            except Passing:
                if into.size <= before:
                    raise
            else:
                return

    def _rest(self, member: Member, start: int, at: str) -> Iterator[bytes]:
        """Yield the bytes of a member from `start` on."""
        blob = self._shelf.blob(member.blob)
        if start == member.size:
            return iter(())
        if member.sha256 and not member.entry:
            return ranged(blob, start, member.size - start)
        if member.sha256 and member.blob.media_type in PLAIN_TARS:
            offset, size = self._place(member, blob, at)
            if size != member.size:
                raise Refused(f"the file has {size} bytes in its layer", at=at)
            return ranged(blob, offset + start, size - start)
        return _proved(blob, member, start, at)

    def _place(self, member: Member, blob: Blob, at: str) -> tuple[int, int]:
        """Return where in its tar a member lies."""
        with self._lock:
            index = self._indexes.get(blob.digest)
            if index is None:
                headers = passing(_Leaping(blob), at=at)
                index = {_normal(h): (h.offset, h.size) for h in headers if h.is_file}
                self._indexes[blob.digest] = index
        if member.entry not in index:
            raise InputError(f"the layer has no file `{member.entry}`", at=at)
        return index[member.entry]


def _normal(header: Header) -> str:
    return posixpath.normpath(f"/{header.name}").lstrip("/")


def ranged(blob: Blob, start: int, length: int) -> Iterator[bytes]:
    """Yield `length` bytes of a blob from `start` on, unchecked, from wherever it is."""
    if not length:
        return iter(())
    if isinstance(blob.origin, Remote):
        return blob.origin.place.chunks(blob.descriptor, start, length)
    return blocks(part_of(pieces_of(blob), start, length), _CHUNK)


class _Leaping:
    """A plain tar of which only the headers are read: a Source of `tar_reading.passing`."""

    def __init__(self, blob: Blob) -> None:
        self._blob, self._at = blob, 0
        self._ahead, self._start = b"", 0

    def read(self, count: int) -> bytes:
        """Return the next `count` bytes, fewer at the end."""
        stop = min(self._at + count, self._blob.size)
        if not self._start <= self._at <= stop <= self._start + len(self._ahead):
            length = min(max(count, _AHEAD), self._blob.size - self._at)
            self._ahead, self._start = b"".join(ranged(self._blob, self._at, length)), self._at
        data = self._ahead[self._at - self._start : stop - self._start]
        self._at = stop
        return data

    def move(self, position: int) -> bool:
        """Go on to `position`; False when the end comes before."""
        self._at = position
        return position <= self._blob.size


def _proved(blob: Blob, member: Member, start: int, at: str) -> Iterator[bytes]:
    """Yield a member from `start` on, reading all of its blob: compressed, or vouched by nobody.

    Raises Refused at the end when the blob is not what its digest says.
    """
    hashed = _Hashed(ranged(blob, 0, blob.size))
    stored = cast("BinaryIO", io.BufferedReader(Chunks(iter(hashed)), _CHUNK))
    if not member.entry:
        yield from _after(iter(lambda: stored.read(_CHUNK), b""), start)
    else:
        with layer_stream.reading(stored, limit=_SIZE_LIMIT, at=at) as tar:
            yield from _after(_entry(tar, member, at), start)
            tar.finish()
    for _ in hashed:
        pass
    if hashed.digest != blob.digest:
        raise Refused(f"the layer is {hashed.digest} instead of {blob.digest}", at=at)


def _entry(tar: layer_stream.LayerStream, member: Member, at: str) -> Iterator[bytes]:
    for header in passing(tar, at=at):
        if header.is_file and _normal(header) == member.entry:
            if header.size != member.size:
                raise Refused(f"the file has {header.size} bytes in its layer", at=at)
            yield from _chunks(tar.content(header.size))
            return
    raise InputError(f"the layer has no file `{member.entry}`", at=at)


def _chunks(content: layer_stream.MemberContent) -> Iterator[bytes]:
    while chunk := content.read(_CHUNK):
        yield chunk


def _after(chunks: Iterator[bytes], skip: int) -> Iterator[bytes]:
    for chunk in chunks:
        if part := chunk[skip:]:
            yield part
        skip = max(skip - len(chunk), 0)


class _Hashed:
    """Chunks on their way, hashed."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._running = hashlib.sha256()

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self._running.update(chunk)
            yield chunk

    @property
    def digest(self) -> Digest:
        """The digest of all that came."""
        return of_hex(self._running.hexdigest())
