"""What vouches for an image: manifests that name it as subject, and the list of them.

Source: OCI image-spec, manifest.md, "Guidelines for Artifact Usage"; OCI distribution-spec,
"Referrers Tag Schema". Without an API for them, a store keeps them in an index under a tag that
is made of the image's digest.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from types import MappingProxyType
from typing import Any, Final, Protocol

from modelpack import canonical_json
from modelpack.digest import Digest, hex_of
from modelpack.errors import InputError, ModelpackError
from modelpack.oci.layer import INDEX, MANIFEST, REF_NAME, Blob, Descriptor, blob_of
from modelpack.oci.manifest import INDEXES, MANIFESTS, Manifest

KIND: Final = "dev.modelpack.evidence"
"annotation of what this program attaches: a later one takes the place of an earlier one"
VOUCHING: Final = "dev.modelpack.vouching"
"annotation of an entry of an archive: digest of the list of all that vouches for what is in it"
EMPTY: Final = blob_of(b"{}", "application/vnd.oci.empty.v1+json")
"the configuration of what has none"
LISTS: Final = re.compile(r"sha256-[0-9a-f]{64}(\..+)?")
"tags of lists of referrers, and of what cosign kept before there were any"
OLD_TAGS: Final = (".sig", ".att", ".sbom")
"after the tag that is made of a digest: where cosign before 3 keeps what vouches for an image"
_LIMIT = 1000
"referrers of one image that are looked at"
_NOTHING: Mapping[str, str] = MappingProxyType({})

Read = Callable[[Digest], Manifest]


@dataclass(frozen=True, slots=True, kw_only=True)
class Referrer:
    """One content that is to vouch for an image."""

    artifact_type: str
    content: Blob
    annotations: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    kind: str = ""
    "for what this program makes itself: `sbom`"

    def manifest(self, subject: Descriptor) -> Blob:
        """Return the manifest by which the content refers to `subject`."""
        entry = replace(subject, annotations=_NOTHING, platform=None, artifact_type="")
        value: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": self.artifact_type,
            "config": EMPTY.descriptor.as_json(),
            "layers": [self.content.descriptor.as_json()],
            "subject": entry.as_json(),
        }
        if self._all_annotations:
            value["annotations"] = self._all_annotations
        return blob_of(canonical_json.dumps(value), MANIFEST)

    def blobs(self, subject: Descriptor) -> tuple[Blob, Blob, Blob]:
        """Return all that a store must have: content, configuration, manifest."""
        return (self.content, EMPTY, self.manifest(subject))

    def entry(self, subject: Descriptor) -> Descriptor:
        """Return the manifest's entry in the list of the referrers of `subject`."""
        return replace(
            self.manifest(subject).descriptor,
            artifact_type=self.artifact_type,
            annotations=self._all_annotations,
        )

    @property
    def _all_annotations(self) -> dict[str, str]:
        return {**self.annotations, **({KIND: self.kind} if self.kind else {})}


class Vouching(Protocol):
    """What vouches for an image: made here, or copied as it is."""

    def blobs(self, subject: Descriptor) -> Sequence[Blob]:
        """Return all that a store must have, the manifest last."""

    def entry(self, subject: Descriptor) -> Descriptor:
        """Return the manifest's entry in the list of the referrers of `subject`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """A manifest that vouches for an image, from another store."""

    descriptor: Descriptor
    "its entry, with type and annotations as it says itself"
    manifest: Blob
    contents: tuple[Blob, ...]

    def blobs(self, subject: Descriptor) -> Sequence[Blob]:  # noqa: ARG002  it names its own
        """Return all that a store must have, the manifest last."""
        return (*self.contents, self.manifest)

    def entry(self, subject: Descriptor) -> Descriptor:  # noqa: ARG002
        """Return the manifest's entry in a list."""
        return self.descriptor


def tag_for(subject: Digest) -> str:
    """Return the tag of the list of the referrers of `subject`."""
    return f"sha256-{hex_of(subject)}"


def found(entries: Sequence[Descriptor], subject: Digest, image: Read) -> tuple[Descriptor, ...]:
    """Return what vouches for `subject` among the `entries` of an index, as it says itself.

    What the list says of a manifest is not relied on: there are tools that write it wrong.
    """
    known = []
    for entry in listed(entries, subject, image):
        try:
            known.append(checked(entry, subject, image))
        except ModelpackError:
            continue
    return tuple(known)


def listed(entries: Sequence[Descriptor], subject: Digest, image: Read) -> tuple[Descriptor, ...]:
    """Return what claims to vouch for `subject` among the `entries` of an index, each once."""
    claiming = {entry.digest: entry for entry in islice(_claiming(entries, subject, image), _LIMIT)}
    return tuple(claiming.values())


def _claiming(entries: Sequence[Descriptor], subject: Digest, image: Read) -> Iterator[Descriptor]:
    for entry in entries:
        tag = entry.annotations.get(REF_NAME, "")
        if tag == tag_for(subject) and entry.media_type in INDEXES:
            try:
                yield from image(entry.digest).manifests
            except ModelpackError:
                continue
        elif not tag and entry.media_type in MANIFESTS and _names(entry, subject, image):
            yield entry


def _names(entry: Descriptor, subject: Digest, image: Read) -> bool:
    try:
        named = image(entry.digest).subject
    except ModelpackError:
        return False
    return named is not None and named.digest == subject


def checked(entry: Descriptor, subject: Digest, image: Read) -> Descriptor:
    """Return the descriptor of the manifest `entry` with what it says itself.

    Raises InputError when it cannot be read or does not name `subject`.
    """
    manifest = image(entry.digest)
    if manifest.subject is None or manifest.subject.digest != subject:
        raise InputError("it is listed here and does not name this image", at=entry.digest)
    config = manifest.config.media_type if manifest.config else ""
    return Descriptor(
        media_type=manifest.media_type, digest=entry.digest, size=entry.size,
        annotations=manifest.annotations, artifact_type=manifest.artifact_type or config,
    )  # fmt: skip


def list_of(subject: Descriptor, new: Sequence[Vouching], old: Sequence[Descriptor]) -> Blob:
    """Return the list of the referrers of `subject`: the `new` ones after what is kept of `old`."""
    entries = [referrer.entry(subject) for referrer in new]
    replaced = {_role(entry) for entry in entries if KIND in entry.annotations}
    return appended(entries, [entry for entry in old if _role(entry) not in replaced])


def appended(new: Sequence[Descriptor], old: Sequence[Descriptor]) -> Blob:
    """Return a list that names all of `old` and then `new`, each once."""
    digests = {entry.digest for entry in new}
    kept = [entry for entry in old if entry.digest not in digests]
    value = {
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [entry.as_json() for entry in (*kept, *new)],
    }
    return blob_of(canonical_json.dumps(value), INDEX)


def _role(entry: Descriptor) -> tuple[str, str]:
    return (entry.artifact_type, entry.annotations.get(KIND, ""))
