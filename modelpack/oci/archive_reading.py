"""Image archives of anybody, read at random: members by offset, documents bounded and checked."""

import io
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from modelpack import canonical_json
from modelpack import digest as digests
from modelpack.digest import Digest, hex_of
from modelpack.errors import InputError, Unavailable
from modelpack.oci import references
from modelpack.oci.layer import CONFIG, MANIFEST, REF_NAME, TAR, Descriptor
from modelpack.oci.manifest import MANIFEST_LIMIT, Manifest, parse, parse_object, printable
from modelpack.oci.tar_index import Member, members

_LAYER_LIMIT = 4096
"layers of one image"


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
        at = f"{self._path}/manifest.json"
        try:
            value = json.loads(self._document("manifest.json"))
        except (ValueError, RecursionError) as error:
            raise InputError("not valid JSON", at=at) from error
        if not isinstance(value, list) or len(value) > _LAYER_LIMIT:
            raise InputError("not a list of images", at=at)
        for image in value:
            if not isinstance(image, dict):
                raise InputError("not an image", at=at)
            descriptor = self._docker_image(image, at)
            for tag in image.get("RepoTags") or [""]:
                named = {REF_NAME: tag} if isinstance(tag, str) and tag else {}
                yield Descriptor(
                    media_type=MANIFEST,
                    digest=descriptor.digest,
                    size=descriptor.size,
                    annotations=named,
                )

    def _docker_image(self, image: dict[str, Any], at: str) -> Descriptor:
        """Make the manifest that an image of `docker save` has not; layers are by diff_id."""
        name, layers = image.get("Config"), image.get("Layers")
        if not isinstance(name, str) or not isinstance(layers, list):
            raise InputError("an image without `Config` and `Layers`", at=at)
        config = self._document(name)
        rootfs = parse_object(config, at=f"{self._path}/{printable(name)}").get("rootfs")
        diff_ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
        if not isinstance(diff_ids, list) or not len(diff_ids) == len(layers) <= _LAYER_LIMIT:
            raise InputError("`rootfs` and `Layers` do not fit together", at=at)
        below = [
            self._docker_layer(layer, digests.parse(diff_id, at=at), at)
            for layer, diff_id in zip(layers, diff_ids, strict=True)
        ]
        digest = self._make(config)
        data = canonical_json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": Descriptor(media_type=CONFIG, digest=digest, size=len(config)).as_json(),
                "layers": [layer.as_json() for layer in below],
            }
        )
        return Descriptor(media_type=MANIFEST, digest=self._make(data), size=len(data))

    def _docker_layer(self, name: object, diff_id: Digest, at: str) -> Descriptor:
        if not isinstance(name, str):
            raise InputError("a layer's name is not a text", at=at)
        member = self._member(name)
        self._layers[diff_id] = member
        return Descriptor(media_type=TAR, digest=diff_id, size=member.size)

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
        return references.resolve(self._entries, name, self.image, at=str(self._path))

    def image(self, digest: Digest) -> Manifest:
        """Return the manifest or index with `digest`, parsed."""
        return parse(self.read(digest), at=digest)

    def read(self, what: Descriptor | Digest, *, limit: int = MANIFEST_LIMIT) -> bytes:
        """Return a blob of up to `limit` bytes, its digest checked."""
        with self.open_blob(what) as stream:
            return references.read_checked(stream, what, limit=limit)

    def open_blob(self, what: Descriptor | Digest) -> BinaryIO:
        """Open a blob; whoever reads it checks its digest."""
        digest = what.digest if isinstance(what, Descriptor) else what
        if digest in self._made:
            return io.BytesIO(self._made[digest])
        member = self._layers.get(digest) or self._member(f"blobs/sha256/{hex_of(digest)}")
        if isinstance(what, Descriptor) and member.size != what.size:
            raise InputError("the blob is damaged: it has another size", at=digest)
        return io.BufferedReader(_Section(self._stream.fileno(), member))


class _Section(io.RawIOBase):
    """One member of the archive as a file of its own."""

    def __init__(self, file: int, member: Member) -> None:
        super().__init__()
        self._file, self._member, self._at = file, member, 0

    def readable(self) -> bool:
        """Tell that it is."""
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401  any writable buffer
        """Fill `buffer` from where the last read ended."""
        view = memoryview(buffer).cast("B")[: self._member.size - self._at]
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
