"""An OCI image layout on disk, read: by anybody at any time, without its lock.

Source: OCI image-spec, image-layout.md.
"""

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from modelpack import digest as digests
from modelpack.digest import Digest, hex_of
from modelpack.errors import InputError, Unavailable
from modelpack.oci import references
from modelpack.oci.content import pump
from modelpack.oci.hashing import Sha256
from modelpack.oci.layer import Blob, Descriptor, StoredFile
from modelpack.oci.manifest import MANIFEST_LIMIT, Manifest, parse
from modelpack.oci.referrers import found, listed
from modelpack.oci.store import KnownDigests
from modelpack.oci.tar import FileRange


class ReadableLayout:
    """What a layout in a folder holds; its index is the one that was renamed into place last."""

    def __init__(self, root: Path, *, known: KnownDigests | None = None) -> None:
        self.root = root
        self._known = known

    @property
    def _blobs(self) -> Path:
        return self.root / "blobs" / "sha256"

    def path_of(self, digest: Digest) -> Path:
        """Return where the blob with `digest` is, or would be."""
        return self._blobs / hex_of(digest)

    def has(self, descriptor: Descriptor) -> bool:
        """Tell whether exactly this content is here; an unknown file is hashed."""
        path = str(self.path_of(descriptor.digest))
        if not self._stands(descriptor):
            return False
        found = self._known.digest_at(path) if self._known else None
        if found is None:
            found = _digest_of(path, descriptor.size)
            if found == descriptor.digest and self._known:
                self._known.keep(path, found)
        return found == descriptor.digest

    def _stands(self, descriptor: Descriptor) -> bool:
        try:
            status = os.lstat(self.path_of(descriptor.digest))
        except OSError:
            return False
        return stat.S_ISREG(status.st_mode) and status.st_size == descriptor.size

    def read(self, what: Descriptor | Digest, *, limit: int = MANIFEST_LIMIT) -> bytes:
        """Return a blob of up to `limit` bytes, its digest and size checked."""
        with self.open_blob(what) as stream:
            return references.read_checked(stream, what, limit=limit)

    def open_blob(self, what: Descriptor | Digest) -> BinaryIO:
        """Open a blob; whoever reads it checks its digest."""
        digest = what.digest if isinstance(what, Descriptor) else what
        path = self.path_of(digests.parse(digest))
        stream = _open_regular(path)
        if isinstance(what, Descriptor) and os.fstat(stream.fileno()).st_size != what.size:
            stream.close()
            raise InputError("the blob is damaged: it has another size", at=str(path))
        return stream

    def blob(self, descriptor: Descriptor) -> Blob:
        """Return a blob to be copied elsewhere; whoever reads it checks its digest."""
        path = self.path_of(digests.parse(descriptor.digest))
        return Blob(descriptor=descriptor, origin=StoredFile(str(path)))

    def manifests(self) -> tuple[Descriptor, ...]:
        """Return the entries of `index.json`."""
        with _open_regular(self.root / "oci-layout") as stream:
            marker = stream.read(MANIFEST_LIMIT + 1)
        with _open_regular(self.root / "index.json") as stream:
            return references.parse_index(
                marker, stream.read(MANIFEST_LIMIT + 1), at=str(self.root)
            )

    def resolve(self, name: str) -> Descriptor:
        """Return what a tag or digest names; an empty name means the only image there is."""
        return references.resolve(self.manifests(), name, self.image, at=str(self.root))

    def image(self, digest: Digest) -> Manifest:
        """Return the manifest or index with `digest`, parsed."""
        return parse(self.read(digest), at=digest)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Keep commits of others from removing, meanwhile, what `index.json` names now."""
        try:
            lock = os.open(self._blobs, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise InputError("not an OCI layout", at=str(self.root)) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_SH)
            yield
        finally:
            os.close(lock)

    def referrers(self, subject: Digest) -> tuple[Descriptor, ...]:
        """Return what vouches for the image `subject`: type and annotations as it says itself."""
        return found(self.manifests(), subject, self.image)

    def listed(self, subject: Digest) -> tuple[Descriptor, ...]:
        """Return what is listed as vouching for `subject`, unread."""
        return listed(self.manifests(), subject, self.image)

    def held_by(self, tag: str) -> str | None:
        """Return the digest of whatever has `tag`, unread; None: nothing has it."""
        return references.held_by(self._entries(), tag)

    def _entries(self) -> tuple[Descriptor, ...]:
        """Return the entries of `index.json`; none before the first commit."""
        return self.manifests() if (self.root / "index.json").exists() else ()


def _digest_of(path: str, size: int) -> Digest:
    whole = Sha256()
    pump((FileRange(path=path, size=size),), [whole], lambda _: None)
    return whole.digest


def _open_regular(path: Path) -> BinaryIO:
    """Open a regular file and nothing else, without following a link or blocking."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise InputError("the layout has no such file", at=str(path)) from error
    except OSError as error:
        raise Unavailable(f"cannot be read: {error.strerror}", at=str(path)) from error
    stream = os.fdopen(file, "rb")
    if not stat.S_ISREG(os.fstat(file).st_mode):
        stream.close()
        raise InputError("not a regular file", at=str(path))
    return stream
