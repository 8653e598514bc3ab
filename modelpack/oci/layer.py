"""Blobs, descriptors and layers: what an image is made of, and where each byte comes from."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Protocol

from modelpack.digest import Digest
from modelpack.digest import of as digest_of
from modelpack.oci.tar import Content
from modelpack.platform import Platform
from modelpack.progress import Advance

MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
INDEX: Final = "application/vnd.oci.image.index.v1+json"
CONFIG: Final = "application/vnd.oci.image.config.v1+json"
TAR: Final = "application/vnd.oci.image.layer.v1.tar"
TAR_GZIP: Final = TAR + "+gzip"
TAR_ZSTD: Final = TAR + "+zstd"
DOCKER_TAR: Final = "application/vnd.docker.image.rootfs.diff.tar"
"of layers that Docker wrote; with `.gzip` or `.zstd` behind it"
CONFIGS: Final = frozenset({CONFIG, "application/vnd.docker.container.image.v1+json"})
"of images, not of artifacts"
REF_NAME: Final = "org.opencontainers.image.ref.name"
"annotation that holds the tag of an entry in an index.json"

_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """A typed pointer to content (OCI image-spec, descriptor.md); `size` in bytes."""

    media_type: str
    digest: Digest
    size: int
    annotations: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    platform: Platform | None = None
    artifact_type: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the descriptor as OCI writes it; empty members are left out."""
        value: dict[str, Any] = {
            "mediaType": self.media_type,
            "digest": self.digest,
            "size": self.size,
        }
        if self.artifact_type:
            value["artifactType"] = self.artifact_type
        if self.annotations:
            value["annotations"] = dict(self.annotations)
        if self.platform:
            value["platform"] = {
                "architecture": self.platform.architecture,
                "os": self.platform.os,
            }
        return value


@dataclass(frozen=True, slots=True)
class Pieces:
    """Content that is bytes and ranges of files, in order."""

    pieces: tuple[Content, ...]


@dataclass(frozen=True, slots=True)
class StoredFile:
    """Content that is the whole of one file: spilled to the cache, or a blob of a layout."""

    path: str


@dataclass(frozen=True, slots=True)
class Absent:
    """Content known by digest only: a store must have it already."""

    name: str = ""
    "what people call it, who may have it elsewhere"


class Partial(Protocol):
    """A file that has the beginning of a content, or nothing yet."""

    @property
    def size(self) -> int:
        """How many bytes are there."""

    def write(self, data: bytes) -> None:
        """Append `data`."""

    def restart(self) -> None:
        """Throw away what is there."""


class Far(Protocol):
    """A place in the network that has contents."""

    @property
    def repository(self) -> str:
        """Its name, with the host."""

    def fill(self, into: Partial, descriptor: Descriptor, advance: Advance) -> None:
        """Write what is missing of a content to `into`, unchecked."""

    def chunks(self, descriptor: Descriptor, start: int, length: int) -> Iterator[bytes]:
        """Yield `length` bytes of a content from `start` on, unchecked."""


@dataclass(frozen=True, slots=True)
class Remote:
    """Content that is to be fetched; whoever names it checks it."""

    place: Far


Origin = Pieces | StoredFile | Absent | Remote


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """Content by digest, with one place to take it from."""

    descriptor: Descriptor
    origin: Origin

    @property
    def digest(self) -> Digest:
        """The digest of the content."""
        return self.descriptor.digest

    @property
    def size(self) -> int:
        """The bytes of the content."""
        return self.descriptor.size


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A Blob that is a file system change set; `diff_id` is the digest of it uncompressed."""

    blob: Blob
    diff_id: Digest
    created_by: str
    "for the image's history: what it holds, never a path or version of the machine"


def blob_of(data: bytes, media_type: str) -> Blob:
    """Return `data` as a Blob."""
    return Blob(
        descriptor=Descriptor(media_type=media_type, digest=digest_of(data), size=len(data)),
        origin=Pieces((data,)),
    )
