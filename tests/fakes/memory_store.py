"""A Store in memory: the smallest thing that keeps the promises of one."""

from collections.abc import Sequence

from modelpack.digest import Digest, hex_of
from modelpack.digest import of as digest_of
from modelpack.errors import InputError
from modelpack.oci import references
from modelpack.oci.blobs import check_content, pieces_of
from modelpack.oci.content import blocks
from modelpack.oci.layer import Blob, Descriptor
from modelpack.oci.manifest import Manifest, parse
from modelpack.oci.referrers import Vouching, found
from modelpack.oci.store import Root
from modelpack.progress import Advance


class MemoryStore:
    """Blobs in a dict."""

    def __init__(self) -> None:
        self.blobs: dict[Digest, bytes] = {}
        self.entries: tuple[Descriptor, ...] = ()

    def has(self, descriptor: Descriptor) -> bool:
        return len(self.blobs.get(descriptor.digest, b"")) == descriptor.size and (
            descriptor.digest in self.blobs
        )

    def write(self, blob: Blob, advance: Advance) -> bool:
        if self.has(blob.descriptor):
            advance(blob.size)
            return False
        data = b"".join(blocks(pieces_of(blob), 1 << 20))
        check_content(blob, hex_of(digest_of(data)), len(data))
        self.blobs[blob.digest] = data
        advance(blob.size)
        return True

    def read(self, descriptor: Descriptor) -> bytes:
        if not self.has(descriptor):
            raise InputError("there is no such blob", at=descriptor.digest)
        return self.blobs[descriptor.digest]

    def image(self, digest: Digest) -> Manifest:
        if digest not in self.blobs:
            raise InputError("there is no such blob", at=digest)
        return parse(self.blobs[digest])

    def resolve(self, name: str) -> Descriptor:
        return references.resolve(self.entries, name, self.image, at="memory")

    def commit(self, roots: Sequence[Root]) -> None:
        for root in roots:
            self.write(root.manifest, lambda _: None)
        for digest in references.closure([r.manifest.descriptor for r in roots], self.image):
            if digest not in self.blobs:
                raise InputError("a blob of the image is missing", at=digest)
        self._name(roots, [pair for root in roots for pair in root.vouching_for()])

    def attach(self, subject: Descriptor, referrers: Sequence[Vouching]) -> None:
        if subject.digest not in references.closure(self.entries, self.image):
            raise InputError("there is no such image", at=subject.digest)
        self._name((), [(subject, referrers)])

    def referrers(self, subject: Digest) -> tuple[Descriptor, ...]:
        return found(self.entries, subject, self.image)

    def _name(
        self, roots: Sequence[Root], vouching: Sequence[tuple[Descriptor, Sequence[Vouching]]]
    ) -> None:
        blobs = [b for to, new in vouching for referrer in new for b in referrer.blobs(to)]
        lists = references.lists(self.entries, vouching, self.image)
        for blob in (*blobs, *(item.manifest for item in lists)):
            self.write(blob, lambda _: None)
        self.entries = references.merge(self.entries, (*roots, *lists), self.image)
        kept = references.closure(self.entries, self.image)
        self.blobs = {digest: data for digest, data in self.blobs.items() if digest in kept}
