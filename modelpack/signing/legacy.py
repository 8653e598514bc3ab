"""Signatures as cosign 2 wrote them, under a tag: for clients that read nothing newer.

Source: cosign, `specs/SIGNATURE_SPEC.md` and `pkg/oci/static`. Several signers share one tag.
"""

import json
from typing import Any, Final

from modelpack import canonical_json
from modelpack.digest import Digest, hex_of
from modelpack.digest import of as digest_of
from modelpack.errors import InputError, ModelpackError, Refused
from modelpack.oci.layer import CONFIG, MANIFEST, Blob, Descriptor, blob_of
from modelpack.oci.registry.writing import WritableRepository
from modelpack.oci.store import Root
from modelpack.signing.signing import Prove
from modelpack.trust import older_signature
from modelpack.trust.bundle import Bundle, MessageSignature
from modelpack.trust.log_entry import LogEntry
from modelpack.trust.media_types import SIMPLE_SIGNING
from modelpack.trust.predicate_types import SIGNATURE
from modelpack.trust.signer import Signer
from modelpack.trust.simple_signing import SIZE_LIMIT

_TYPE: Final = "cosign container image signature"


def payload_for(subject: Digest, repository: str) -> bytes:
    """Return what is signed, as cosign writes it: that the image has a digest."""
    return json.dumps(
        {
            "critical": {
                "identity": {"docker-reference": repository},
                "image": {"docker-manifest-digest": subject},
                "type": _TYPE,
            },
            "optional": None,
        },
        separators=(",", ":"),
    ).encode()


def sign(
    repository: WritableRepository, subject: Descriptor, signer: Signer, prove: Prove
) -> Digest | None:
    """Add a signature under the tag of `subject`; return its manifest, None: it was there.

    Raises Refused when what was signed does not verify; then nothing is written.
    """
    payload = payload_for(subject.digest, repository.repository)
    tag = f"sha256-{hex_of(subject.digest)}.sig"
    layers = _layers(repository, tag)
    if any(_is_ours(layer, payload, subject, signer, prove) for layer in layers):
        return None
    signature, entry = signer.sign_bytes(payload)
    bundle = _bundle(signer, signature, entry)
    if reason := prove(
        bundle, subject=subject.digest, predicate_type=SIGNATURE, payload=payload
    ):  # fmt: skip
        raise Refused(f"the older signature does not verify, and goes nowhere: {reason}")
    layer = Descriptor(
        media_type=SIMPLE_SIGNING, digest=digest_of(payload), size=len(payload),
        annotations=older_signature.annotations(signature, signer.material, signer.issuers, entry),
    )  # fmt: skip
    config = _config((*layers, layer))
    for blob in (blob_of(payload, SIMPLE_SIGNING), config):
        repository.write(blob, lambda _: None)
    manifest = _manifest(config, (*layers, layer))
    repository.commit([Root(manifest=manifest, tags=(tag,))])
    return manifest.digest


def _layers(repository: WritableRepository, tag: str) -> tuple[Descriptor, ...]:
    """Return the signatures that are there, or raise InputError when something else is."""
    if repository.held_by(tag) is None:
        return ()
    found = repository.image(repository.resolve(tag).digest)
    if any(layer.media_type != SIMPLE_SIGNING for layer in found.layers):
        raise InputError("something else than signatures has the tag", at=tag)
    return found.layers


def _is_ours(
    layer: Descriptor, payload: bytes, subject: Descriptor, signer: Signer, prove: Prove
) -> bool:
    """Tell whether a signature is one by `signer` of the same payload, proved like a new one."""
    if layer.digest != digest_of(payload) or len(payload) > SIZE_LIMIT:
        return False
    said = layer.annotations
    try:
        bundle = Bundle(
            material=older_signature.material(said)
            if said.get(older_signature.CERTIFICATE)
            else signer.material,
            entries=older_signature.entries(said),
            content=older_signature.content(said),
        )
    except ModelpackError:
        return False
    return signer.identity.may_be(bundle.material) and not prove(
        bundle, subject=subject.digest, predicate_type=SIGNATURE, payload=payload
    )


def _bundle(signer: Signer, signature: bytes, entry: LogEntry | None) -> Bundle:
    return Bundle(
        material=signer.material,
        entries=(entry,) if entry else (),
        content=MessageSignature(signature=signature),
    )


def _config(layers: tuple[Descriptor, ...]) -> Blob:
    """Return a configuration of no image: clients want one that names the layers."""
    nothing = "0001-01-01T00:00:00Z"
    value = {
        "architecture": "",
        "created": nothing,
        "history": [{"created": nothing} for _ in layers],
        "os": "",
        "rootfs": {"type": "layers", "diff_ids": [layer.digest for layer in layers]},
        "config": {},
    }
    return blob_of(canonical_json.dumps(value), CONFIG)


def _manifest(config: Blob, layers: tuple[Descriptor, ...]) -> Blob:
    value: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config.descriptor.as_json(),
        "layers": [layer.as_json() for layer in layers],
    }
    return blob_of(canonical_json.dumps(value), MANIFEST)
