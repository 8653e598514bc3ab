"""The images that one name stands for: an index, its platforms, and the mounted weights."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from modelpack.errors import Finding
from modelpack.oci import copying
from modelpack.oci.layer import Descriptor
from modelpack.oci.manifest import INDEXES, MANIFESTS, parse
from modelpack.trust.statement import MEDIA_TYPE

Role = Literal["index", "serve", "weights"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """An image that gets a signature."""

    descriptor: Descriptor
    role: Role


def of(store: copying.Source, root: Descriptor) -> tuple[tuple[Subject, ...], tuple[Finding, ...]]:
    """Return the image `root` and all that belong to it, and a warning for what is not there."""
    found = copying.closure(store, root, tags=(), referrers=False)
    below = (blob.descriptor for blob in found.blobs)
    subjects = [
        *_images(store, root),
        *(one for entry in below for one in _images(store, entry)),
        *(
            Subject(descriptor=weights.manifest.descriptor, role="weights")
            for weights in found.roots[1:]
        ),
    ]
    distinct = {subject.descriptor.digest: subject for subject in reversed(subjects)}
    return tuple(reversed(distinct.values())), found.findings


def _images(store: copying.Source, entry: Descriptor) -> Iterator[Subject]:
    """Yield `entry` if it is an index or image, and not what BuildKit puts beside images."""
    if entry.media_type in INDEXES:
        yield Subject(descriptor=entry, role="index")
    elif entry.media_type in MANIFESTS:
        manifest = parse(store.read(entry), at=entry.digest)
        if not any(layer.media_type == MEDIA_TYPE for layer in manifest.layers):
            yield Subject(descriptor=entry, role="serve")
