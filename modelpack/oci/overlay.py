"""A view of an image: manifests made in memory, over a place that has all the rest."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from modelpack.digest import Digest
from modelpack.errors import Finding
from modelpack.oci.blobs import content_of
from modelpack.oci.copying import Source
from modelpack.oci.layer import Blob, Descriptor
from modelpack.oci.manifest import MANIFEST_LIMIT
from modelpack.oci.referrers import Vouching


class Overlay:
    """A Source that has what was made, and everything that `under` has."""

    def __init__(
        self, under: Source, made: Iterable[Blob],
        vouching: Iterable[tuple[Descriptor, Sequence[Vouching]]] = (),
    ) -> None:  # fmt: skip
        """`vouching` is what vouches for manifests that were made, by subject."""
        self._under = under
        self._made = {blob.digest: blob for blob in made}
        self._referrers: dict[Digest, tuple[Descriptor, ...]] = {}
        for subject, new in vouching:
            for blob in (blob for referrer in new for blob in referrer.blobs(subject)):
                self._made[blob.digest] = blob
            self._referrers[subject.digest] = tuple(one.entry(subject) for one in new)

    def read(self, what: Descriptor, *, limit: int = MANIFEST_LIMIT) -> bytes:
        """Return a small blob, its digest checked."""
        made = self._made.get(what.digest)
        return content_of(made) if made else self._under.read(what, limit=limit)

    def blob(self, descriptor: Descriptor) -> Blob:
        """Return a blob to be copied elsewhere; whoever names it checks its digest."""
        made = self._made.get(descriptor.digest)
        return replace(made, descriptor=descriptor) if made else self._under.blob(descriptor)

    def resolve(self, name: str) -> Descriptor:
        """Return what a tag or digest names in the place below."""
        return self._under.resolve(name)

    def referrers(self, subject: Digest) -> tuple[Descriptor, ...]:
        """Return what vouches for `subject`."""
        made = self._referrers.get(subject)
        return made if made is not None else self._under.referrers(subject)


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What is copied in the place of an image."""

    source: Source
    root: Descriptor
    findings: tuple[Finding, ...] = ()
    "warnings"


Viewer = Callable[[Source, Descriptor], View]
"makes a view of the image that a manifest or index leads to"
