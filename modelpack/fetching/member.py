"""A weight file in one of the blobs of an image or artifact, and where such blobs are read."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from modelpack.oci.layer import Blob, Descriptor
from modelpack.oci.manifest import MANIFEST_LIMIT


class Shelf(Protocol):
    """The part of a layout, archive or registry that weights are taken from."""

    def read(self, what: Descriptor, *, limit: int = MANIFEST_LIMIT) -> bytes:
        """Return a small blob, its digest checked."""

    def resolve(self, name: str) -> Descriptor:
        """Return what a tag or digest names."""

    def blob(self, descriptor: Descriptor) -> Blob:
        """Return a blob, to be read by range; nobody has checked it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A weight file in a blob."""

    path: str
    "below the weights' folder; hostile until checked"
    size: int
    sha256: str
    "what the image says; empty: nothing"
    blob: Descriptor
    entry: str = ""
    "the member of the tar that `blob` is, compressed or not; empty: the blob is the file itself"


Reader = Callable[[Shelf, Descriptor, str], tuple[Member, ...] | None]
"""Takes an open store, a manifest or index in it, and the name of the wanted weights where there
are several; raises InputError when what it knows is damaged"""
