"""Image archives of anybody, read at random: members by offset, documents bounded and checked."""

import io
import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from modelpack import digest as digests
from modelpack.digest import Digest, hex_of
from modelpack.errors import InputError, Unavailable
from modelpack.oci import references
from modelpack.oci.docker_save import DockerImage, docker_images, docker_manifest
from modelpack.oci.layer import MANIFEST, REF_NAME, Blob, Descriptor, Pieces, blob_of
from modelpack.oci.manifest import MANIFEST_LIMIT, Manifest, parse, printable
from modelpack.oci.referrers import VOUCHING, found, listed
from modelpack.oci.tar import FileRange
from modelpack.oci.tar_index import Member, members


class Archive:
    """An archive to read from: ours, another tool's OCI archive, or `docker save`'s."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stream = _open(path)
        try:
            self._members = members(self._stream, at=str(path))
            self._made: dict[Digest, bytes] = {}
            self._layers: dict[Digest, Member] = {}
            self._entries = tuple(self._find())
        except BaseException:
            self._stream.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stream.close()

    def _find(self) -> Iterator[Descriptor]:
        """Yield the images: from the OCI index where there is one, else from `docker save`."""
        if "index.json" in self._members and "oci-layout" in self._members:
            yield from references.parse_index(
                self._document("oci-layout"), self._document("index.json"), at=str(self._path)
            )
        elif "manifest.json" in self._members:
            yield from self._docker_images()
        else:
            raise InputError("neither an OCI archive nor one of `docker save`", at=str(self._path))

    def _docker_images(self) -> Iterator[Descriptor]:
        listing = self._document("manifest.json")
        for image in docker_images(listing, at=f"{self._path}/manifest.json"):
            descriptor = self._docker_image(image)
            for tag in image.names or ("",):
                yield replace(descriptor, annotations={REF_NAME: tag} if tag else {})

    def _docker_image(self, image: DockerImage) -> Descriptor:
        config = self._document(image.config)
        members = [self._member(layer) for layer in image.layers]
        sizes = [member.size for member in members]
        data, diff_ids = docker_manifest(config, sizes, at=f"{self._path}/{image.config}")
        self._make(config)
        self._layers.update(zip(diff_ids, members, strict=True))
        return Descriptor(media_type=MANIFEST, digest=self._make(data), size=len(data))

    def _make(self, data: bytes) -> Digest:
        digest = digests.of(data)
        self._made[digest] = data
        return digest

    def _member(self, name: str) -> Member:
        member = self._members.get(name)
        if member is None:
            raise InputError(f"the archive has no `{printable(name)}`", at=str(self._path))
        return member

    def _document(self, name: str) -> bytes:
        member = self._member(name)
        if member.size > MANIFEST_LIMIT:
            raise InputError(f"larger than {MANIFEST_LIMIT} bytes", at=printable(name))
        return _Section(self._stream.fileno(), member).read(member.size)

    def manifests(self) -> tuple[Descriptor, ...]:
        """Return the images, one entry for each name."""
        return self._entries

    def resolve(self, name: str) -> Descriptor:
        """Return what a tag, name or digest means; an empty name: the only image there is."""
        entries = self._entries
        if references.is_about_image(name):
            entries = (*entries, *self._vouching())
        return references.resolve(entries, name, self.image, at=str(self._path))

    def referrers(self, subject: Digest) -> tuple[Descriptor, ...]:
        """Return what vouches for `subject`: type and annotations as it says itself."""
        return found((*self._entries, *self._vouching()), subject, self.image)

    def listed(self, subject: Digest) -> tuple[Descriptor, ...]:
        """Return what is listed as vouching for `subject`, unread."""
        return listed((*self._entries, *self._vouching()), subject, self.image)

    def _vouching(self) -> tuple[Descriptor, ...]:
        """Return what our own archives list beside their images; nothing where it is damaged."""
        named = {entry.annotations.get(VOUCHING, "") for entry in self._entries} - {""}
        try:
            lists = [self.image(digests.parse(text)) for text in sorted(named)]
        except InputError:
            return ()
        return tuple(entry for one in lists for entry in one.manifests)

    def held_by(self, tag: str) -> str | None:
        """Return the digest of whatever has `tag`, unread; None: nothing has it."""
        return references.held_by((*self._entries, *self._vouching()), tag)

    def image(self, digest: Digest) -> Manifest:
        """Return the manifest or index with `digest`, parsed."""
        return parse(self.read(digest), at=digest)

    def read(self, what: Descriptor | Digest, *, limit: int = MANIFEST_LIMIT) -> bytes:
        """Return a blob of up to `limit` bytes, its digest checked."""
        with self.open_blob(what) as stream:
            return references.read_checked(stream, what, limit=limit)

    def blob(self, descriptor: Descriptor) -> Blob:
        """Return a blob to be copied elsewhere; whoever reads it checks its digest."""
        if descriptor.digest in self._made:
            return blob_of(self._made[descriptor.digest], descriptor.media_type)
        member = self._blob_member(descriptor)
        path = os.path.realpath(self._path)
        part = FileRange(path=path, offset=member.offset, size=member.size)
        return Blob(descriptor=descriptor, origin=Pieces((part,)))

    def open_blob(self, what: Descriptor | Digest) -> BinaryIO:
        """Open a blob; whoever reads it checks its digest."""
        digest = what.digest if isinstance(what, Descriptor) else what
        if digest in self._made:
            return io.BytesIO(self._made[digest])
        return io.BufferedReader(_Section(self._stream.fileno(), self._blob_member(what)))

    def _blob_member(self, what: Descriptor | Digest) -> Member:
        digest = what.digest if isinstance(what, Descriptor) else what
        member = self._layers.get(digest) or self._member(f"blobs/sha256/{hex_of(digest)}")
        if isinstance(what, Descriptor) and member.size != what.size:
            raise InputError("the blob is damaged: it has another size", at=digest)
        return member


class _Section(io.RawIOBase):
    """One member of the archive as a file of its own."""

    def __init__(self, file: int, member: Member) -> None:
        super().__init__()
        self._file, self._member, self._at = file, member, 0

    def readable(self) -> bool:
        """Tell that it is."""
        return True

    def seekable(self) -> bool:
        """Tell that it is."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to where the next read begins."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._member.size}[whence]
        self._at = max(start + offset, 0)
        return self._at

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401  any writable buffer
        """Fill `buffer` from where the last read ended."""
        view = memoryview(buffer).cast("B")[: max(self._member.size - self._at, 0)]
        if not view:
            return 0
        count = os.preadv(self._file, [view], self._member.offset + self._at)
        if not count:
            raise InputError("the archive ends in the middle of a member")
        self._at += count
        return count


def _open(path: Path) -> BinaryIO:
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise InputError("there is no such archive", at=str(path)) from error
    except OSError as error:
        raise Unavailable(f"cannot be read: {error.strerror}", at=str(path)) from error
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise InputError("not a regular file", at=str(path))
    return os.fdopen(file, "rb")
