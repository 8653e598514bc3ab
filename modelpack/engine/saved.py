"""The documents of an image that an engine holds, from the stream of `docker save`.

The stream has every layer, and only what is asked for is kept: the weights pass by. An engine
changes nothing about a configuration and its diff_ids, so that its image can be compared.
"""

import hashlib
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, field

from modelpack.digest import Digest, of_hex
from modelpack.digest import of as digest_of
from modelpack.engine.door import Engine
from modelpack.engine.value import HeldImage
from modelpack.errors import InputError
from modelpack.oci import references
from modelpack.oci.docker_save import docker_images, docker_manifest
from modelpack.oci.layer import MANIFEST, Descriptor
from modelpack.oci.manifest import MANIFEST_LIMIT
from modelpack.oci.tar_index import Found, Member, note, resolved
from modelpack.oci.tar_reading import Header, passing

DOCUMENT_LIMIT = 8 << 20
"bytes of one document that is kept"
_DOCUMENTS_LIMIT = 64 << 20
"bytes of all documents together"
LAYER_LIMIT = 64 << 20
"bytes of the layer that is kept"
_LISTING = "manifest.json"
_INDEX, _MARKER = "index.json", "oci-layout"


class SavedImage:
    """What was kept of an image: a store from which documents and the last layer can be read."""

    def __init__(self, blobs: dict[Digest, bytes]) -> None:
        self._blobs = blobs

    def read(self, what: Descriptor, *, limit: int = MANIFEST_LIMIT) -> bytes:
        """Return a blob of up to `limit` bytes; it was hashed when it came."""
        data = self._blobs.get(what.digest)
        if data is None:
            raise InputError("not kept of what the engine sent", at=what.digest)
        if len(data) > limit:
            raise InputError(f"the blob is larger than {limit} bytes", at=what.digest)
        return data


def documents(engine: Engine, name: str) -> tuple[SavedImage, Descriptor]:
    """Return what an inspection needs of the image with a name or id, and its manifest.

    Raises InputError when the engine has none.
    """
    held = engine.image(name)
    if held is None:
        raise InputError(f"the engine has no image `{name}`", at=str(engine.about),
                         hint="modelpack build --load")  # fmt: skip
    with engine.saved(held.id) as blocks:
        kept = _keep(blocks, held, at=f"docker-daemon:{name}")
    return kept.image(at=f"docker-daemon:{name}")


@dataclass(slots=True, kw_only=True)
class _Kept:
    """What was kept of a stream."""

    members: dict[str, Found] = field(default_factory=dict)
    documents: dict[str, bytes] = field(default_factory=dict)
    "JSON by the member's name"
    layers: dict[Digest, bytes] = field(default_factory=dict)
    room: int = _DOCUMENTS_LIMIT

    def image(self, *, at: str) -> tuple[SavedImage, Descriptor]:
        """Return the one image: by its own manifest where the engine kept it, else by one made."""
        blobs = {digest_of(data): data for data in self.documents.values()} | self.layers
        if _INDEX in self.documents and _MARKER in self.documents:
            entries = references.parse_index(self.documents[_MARKER], self.documents[_INDEX], at=at)
            if entries and entries[0].digest in blobs:
                return SavedImage(blobs), entries[0]
        data = self._manifest(at)
        blobs[digest_of(data)] = data
        descriptor = Descriptor(media_type=MANIFEST, digest=digest_of(data), size=len(data))
        return SavedImage(blobs), descriptor

    def _manifest(self, at: str) -> bytes:
        images = list(docker_images(self._document(_LISTING, at), at=at))
        if not images:
            raise InputError("the engine saved no image", at=at)
        files = resolved(self.members)
        sizes = [files.get(name, Member(offset=0, size=0)).size for name in images[0].layers]
        return docker_manifest(self._document(images[0].config, at), sizes, at=at)[0]

    def _document(self, name: str, at: str) -> bytes:
        if name not in self.documents:
            raise InputError(f"the engine saved no `{name}`", at=at)
        return self.documents[name]


def _keep(blocks: Iterator[bytes], held: HeldImage, *, at: str) -> _Kept:
    """Read the whole stream and keep documents, and the last layer."""
    kept, source = _Kept(), Stream(blocks)
    last = held.diff_ids[-1] if held.diff_ids else ""
    for member in passing(source, at=at):
        note(kept.members, member)
        if member.is_file and member.size <= LAYER_LIMIT:
            _take(kept, member, source, last)
    return kept


def _take(kept: _Kept, member: Header, source: "Stream", last: str) -> None:
    """Keep a member that is a document or the layer with the diff_id `last`."""
    start = source.read(min(member.size, 1))
    if start in (b"{", b"["):
        if member.size <= min(DOCUMENT_LIMIT, kept.room):
            kept.room -= member.size
            kept.documents[posixpath.normpath(member.name)] = start + source.read(member.size - 1)
        return
    parts, hashed = [start], hashlib.sha256(start, usedforsecurity=False)
    for part in source.parts(member.size - len(start)):
        parts.append(part)
        hashed.update(part)
    digest = of_hex(hashed.hexdigest())
    if digest == last:
        kept.layers[digest] = b"".join(parts)


class Stream:
    """Blocks of an engine as a source that is read forwards."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._rest = memoryview(b"")
        self._position = 0

    def parts(self, count: int) -> Iterator[bytes]:
        """Yield the next `count` bytes as they come."""
        while count > 0:
            if not self._rest:
                block = next(self._blocks, b"")
                if not block:
                    return
                self._rest = memoryview(block)
            part, self._rest = self._rest[:count], self._rest[count:]
            self._position += len(part)
            count -= len(part)
            yield bytes(part)

    def read(self, count: int) -> bytes:
        """Return the next `count` bytes, fewer at the end."""
        return b"".join(self.parts(count))

    def move(self, position: int) -> bool:
        """Let everything before `position` pass; False when the stream ends before."""
        for _ in self.parts(position - self._position):
            pass
        return self._position == position
