"""Weights in an image or artifact: read by range out of its blobs, in a layout or a registry."""

import hashlib
import io
import posixpath
from collections.abc import Iterator, Mapping
from threading import Lock
from typing import BinaryIO, cast

from modelpack.digest import Digest, of_hex
from modelpack.errors import InputError, Refused
from modelpack.fetching.member import Member, Shelf
from modelpack.fetching.members import members
from modelpack.fetching.place import Listing, RemoteFile, Wanted
from modelpack.fetching.ranges import keep_trying
from modelpack.inputs.base_image import layer_stream
from modelpack.inputs.model_artifact.media_types import layer_type
from modelpack.oci.chunks import Chunks
from modelpack.oci.layer import TAR, Blob, Descriptor, Partial
from modelpack.oci.ranges import Leaping, ranged
from modelpack.oci.tar_reading import Header, passing
from modelpack.progress import Advance

_CHUNK = 256 << 10
_SIZE_LIMIT = 1 << 50
_PATIENCE = 2
"cuts in a row that bring nothing"


class ImagePlace:
    """The weight files of one manifest or index."""

    def __init__(self, shelf: Shelf, root: Descriptor, *, name: str, at: str) -> None:
        """`name` says which weights are meant where the image holds several."""
        self._shelf, self._root, self._name, self._at = shelf, root, name, at
        self._members: Mapping[str, Member] | None = None
        self._indexes: dict[Digest, Mapping[str, tuple[int, int]]] = {}
        self._digests: dict[Digest, Mapping[str, str]] = {}
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
        # Who knows its digest checks the whole file; else nobody could prove an older beginning.
        known = bool(file.sha256 or member.sha256)
        advance(into.size)

        def rest() -> None:
            if not known and into.size:
                advance(-into.size)
                into.restart()
            for chunk in self._rest(member, into.size, at, known=known):
                into.write(chunk)
                advance(len(chunk))

        keep_trying(rest, into, patience=_PATIENCE)

    def _rest(self, member: Member, start: int, at: str, *, known: bool) -> Iterator[bytes]:
        """Yield the bytes of a member from `start` on; of one that nobody knows, proved."""
        blob = self._shelf.blob(member.blob)
        if start == member.size:
            return iter(())
        if known and not member.entry:
            return ranged(blob, start, member.size - start)
        if not _is_plain_tar(blob.descriptor) or not (known or self._has_others(member)):
            return _proved(blob, member, start, at)
        offset, size = self._place(member, blob, at)
        if size != member.size:
            raise Refused(f"the file has {size} bytes in its layer", at=at)
        if known:
            return ranged(blob, offset + start, size - start)
        return _expected(ranged(blob, offset, size), self._digest(member, blob, at), at)

    def _has_others(self, member: Member) -> bool:
        """Tell whether the layer of a member has other files: it is not read for each of them."""
        return sum(one.blob.digest == member.blob.digest for one in self._find().values()) > 1

    def _digest(self, member: Member, blob: Blob, at: str) -> str:
        """Return the sha256 of a member, from one pass over its layer, whose digest proves it."""
        with self._lock:
            if blob.digest not in self._digests:
                self._digests[blob.digest] = _hashed_members(blob, at)
            return self._digests[blob.digest].get(member.entry, "")

    def _place(self, member: Member, blob: Blob, at: str) -> tuple[int, int]:
        """Return where in its tar a member lies."""
        with self._lock:
            index = self._indexes.get(blob.digest)
            if index is None:
                headers = passing(Leaping(blob), at=at)
                index = {_normal(h): (h.offset, h.size) for h in headers if h.is_file}
                self._indexes[blob.digest] = index
        if member.entry not in index:
            raise InputError(f"the layer has no file `{member.entry}`", at=at)
        return index[member.entry]


def _normal(header: Header) -> str:
    return posixpath.normpath(f"/{header.name}").lstrip("/")


def _is_plain_tar(layer: Descriptor) -> bool:
    """Tell whether a layer is a tar as it stands, of which a range can be read."""
    form = layer_type(layer.media_type)
    return layer.media_type == TAR or (
        form is not None and form.form == "tar" and not form.compression
    )


def _expected(chunks: Iterator[bytes], sha256: str, at: str) -> Iterator[bytes]:
    """Yield a whole file; raise Refused at its end when it is another one."""
    running = hashlib.sha256()
    for chunk in chunks:
        running.update(chunk)
        yield chunk
    if running.hexdigest() != sha256:
        raise Refused("the registry sends another file than before", at=at)


def _hashed_members(blob: Blob, at: str) -> Mapping[str, str]:
    """Return the sha256 of every file of a tar, whose own digest is proved in the same pass."""
    hashed = _Hashed(ranged(blob, 0, blob.size))
    stored = cast("BinaryIO", io.BufferedReader(Chunks(iter(hashed)), _CHUNK))
    found: dict[str, str] = {}
    with layer_stream.reading(stored, limit=_SIZE_LIMIT, at=at) as tar:
        for header in passing(tar, at=at):
            if header.is_file:
                running = hashlib.sha256()
                for chunk in _chunks(tar.content(header.size)):
                    running.update(chunk)
                found[_normal(header)] = running.hexdigest()
        tar.finish()
    _expect_digest(hashed, blob, at)
    return found


def _expect_digest(hashed: "_Hashed", blob: Blob, at: str) -> None:
    """Read what is left of a blob; raise Refused when all of it is not what its digest says."""
    for _ in hashed:
        pass
    if hashed.digest != blob.digest:
        raise Refused(f"the layer is {hashed.digest} instead of {blob.digest}", at=at)


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
    _expect_digest(hashed, blob, at)


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
