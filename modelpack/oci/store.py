"""Where images are kept: what a build, a copy and an inspection ask of a Store, and no more."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

from modelpack.digest import Digest
from modelpack.oci.layer import Blob, Descriptor
from modelpack.oci.manifest import INDEXES
from modelpack.oci.referrers import Vouching
from modelpack.progress import Advance

_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """A manifest or index that a Store keeps by name, and what hangs below it with it."""

    manifest: Blob
    tags: tuple[str, ...] = ()
    "none: kept by digest only"
    annotations: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    "of the entry that names it, not of the manifest"
    referrers: tuple[Vouching, ...] = ()
    "what vouches for it, beside what does already"
    below: tuple[tuple[Descriptor, tuple[Vouching, ...]], ...] = ()
    "what vouches for other images below it, and for what vouches; subjects first"

    def vouching_for(self) -> tuple[tuple[Descriptor, tuple[Vouching, ...]], ...]:
        """Return everything that vouches, with its subject; subjects first."""
        return ((self.manifest.descriptor, self.referrers), *self.below)


def local_image(media_type: str) -> Mapping[str, str]:
    """Return the annotation by which `cosign verify --local-image` finds an image in a layout."""
    return {"kind": f"dev.cosignproject.cosign/image{'Index' if media_type in INDEXES else ''}"}


class Store(Protocol):
    """Blobs by digest, manifests by name."""

    def has(self, descriptor: Descriptor) -> bool:
        """Tell whether exactly this content is here."""

    def write(self, blob: Blob, advance: Advance) -> bool:
        """Keep `blob`; False when it was here already. `advance` gets the bytes either way."""

    def read(self, descriptor: Descriptor) -> bytes:
        """Return a small blob, its digest checked."""

    def resolve(self, name: str) -> Descriptor:
        """Return what a tag or digest names; an empty name means the only image there is."""

    def commit(self, roots: Sequence[Root]) -> None:
        """Make `roots`, whose blobs are here, visible by their names in one step."""

    def attach(self, subject: Descriptor, referrers: Sequence[Vouching]) -> None:
        """Keep `referrers` with the image `subject`, which is here."""

    def referrers(self, subject: Digest) -> tuple[Descriptor, ...]:
        """Return what vouches for the image `subject`: type and annotations as it says itself."""


class KnownDigests(Protocol):
    """What is known of files that did not change since they were hashed."""

    def digest_at(self, path: str) -> Digest | None:
        """Return the digest of the file at `path`, or None when it is not known."""

    def proves(self, status: os.stat_result, digest: Digest) -> bool:
        """Tell whether the unchanged file with `status`, or a layer of just it, has `digest`."""

    def keep(self, path: str, digest: Digest) -> None:
        """Remember the digest of a file that this process has just written itself."""
