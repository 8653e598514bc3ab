"""Bundles as referrers of images, as cosign attaches them."""

import json
from collections.abc import Mapping
from typing import Any

from modelpack.digest import Digest, hex_of
from modelpack.oci.layer import blob_of
from modelpack.oci.referrers import Referrer
from tests.sigstore.stack import BUNDLE

SIGNATURE = "https://sigstore.dev/cosign/sign/v1"
PROVENANCE = "https://slsa.dev/provenance/v1"


def statement(
    digest: Digest, predicate_type: str = SIGNATURE, predicate: Mapping[str, Any] | None = None
) -> bytes:
    """Return a statement about an image, as text of somebody else."""
    return json.dumps({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "image", "digest": {"sha256": hex_of(digest)}}],
        "predicateType": predicate_type,
        "predicate": predicate or {},
    }).encode()  # fmt: skip


def attached(bundle: bytes | Mapping[str, Any], predicate_type: str = SIGNATURE) -> Referrer:
    """Return a bundle as what vouches for an image."""
    content = bundle if isinstance(bundle, bytes) else json.dumps(bundle).encode()
    return Referrer(
        artifact_type=BUNDLE,
        content=blob_of(content, BUNDLE),
        annotations={
            "dev.sigstore.bundle.content": "dsse-envelope",
            "dev.sigstore.bundle.predicateType": predicate_type,
        },
    )
