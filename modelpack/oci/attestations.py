"""What BuildKit puts beside an image in its index: a manifest of statements, marked as no image.

Source: moby/buildkit, docs/attestations/attestation-storage.md. Docker Scout and
`docker buildx imagetools` look there, and nowhere else.
"""

from collections.abc import Sequence
from typing import Any, Final

from modelpack import canonical_json
from modelpack.digest import Digest
from modelpack.oci.layer import INDEX, MANIFEST, Blob, Descriptor, blob_of
from modelpack.oci.manifest import MANIFESTS, Manifest
from modelpack.oci.referrers import EMPTY

TYPE: Final = "vnd.docker.reference.type"
"annotation of an entry of an index: it is no image"
_DIGEST: Final = "vnd.docker.reference.digest"
"annotation of the same entry: which image of the index it is about"
_ATTESTATION: Final = "attestation-manifest"
ARTIFACT: Final = "application/vnd.docker.attestation.manifest.v1+json"


def about(index: Manifest, image: Digest) -> tuple[Descriptor, ...]:
    """Return the attestation manifests of `image` in an index, of the newer and the older form."""
    return tuple(
        entry
        for entry in index.manifests
        if entry.media_type in MANIFESTS
        and entry.annotations.get(TYPE) == _ATTESTATION
        and entry.annotations.get(_DIGEST) == image
    )


def is_image(entry: Descriptor) -> bool:
    """Tell whether an entry of an index is an image, or an index of images."""
    return TYPE not in entry.annotations


def manifest(image: Descriptor, statements: Sequence[Descriptor]) -> Blob:
    """Return the attestation manifest by which `statements` are about `image`."""
    subject = Descriptor(media_type=image.media_type, digest=image.digest, size=image.size)
    value = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": ARTIFACT,
        "config": EMPTY.descriptor.as_json(),
        "layers": [one.as_json() for one in statements],
        "subject": subject.as_json(),
    }
    return blob_of(canonical_json.dumps(value), MANIFEST)


def entry(image: Digest, attestation: Blob) -> dict[str, Any]:
    """Return the entry of an attestation manifest in the index: no engine may take it for one."""
    return {
        **attestation.descriptor.as_json(),
        "annotations": {TYPE: _ATTESTATION, _DIGEST: image},
        "platform": {"architecture": "unknown", "os": "unknown"},
    }


def index(entries: Sequence[dict[str, Any]], annotations: dict[str, Any]) -> Blob:
    """Return the index of `entries`: images first, as they stood, then what is about them."""
    value: dict[str, Any] = {
        "schemaVersion": 2, "mediaType": INDEX, "manifests": list(entries),
    }  # fmt: skip
    if annotations:
        value["annotations"] = annotations
    return blob_of(canonical_json.dumps(value), INDEX)
