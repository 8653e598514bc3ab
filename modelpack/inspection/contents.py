"""One content that vouches for an image, parsed by its media type: pure, nothing is verified.

Source: cosign, specs/BUNDLE_SPEC.md, SIGNATURE_SPEC.md, ATTESTATION_SPEC.md.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from modelpack import digest as digests
from modelpack.digest import Digest
from modelpack.errors import InputError
from modelpack.inspection import signers
from modelpack.inspection.beside import Form, LogClaim, SignatureClaim, SignerClaim
from modelpack.inspection.json_document import parse_object
from modelpack.inspection.json_values import table, text
from modelpack.inspection.predicates import CYCLONEDX_DOCUMENTS, SPDX_DOCUMENTS
from modelpack.oci.layer import Descriptor
from modelpack.trust import bundle as bundles
from modelpack.trust import dsse, model_signature
from modelpack.trust import statement as statements
from modelpack.trust.bundle import Bundle
from modelpack.trust.dsse import Envelope
from modelpack.trust.media_types import BUNDLES, DSSE, SIMPLE_SIGNING
from modelpack.trust.members import Members
from modelpack.trust.older_signature import CERTIFICATE, LOG, SIGNATURE, TIMESTAMP
from modelpack.trust.statement import Statement

_KNOWN: Final = CYCLONEDX_DOCUMENTS | SPDX_DOCUMENTS | {statements.MEDIA_TYPE, DSSE, SIMPLE_SIGNING}


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What was found in one content."""

    document: bytes
    "the statement or document itself, without what it is wrapped in"
    statement: Statement | None = None
    bom: Mapping[str, Any] | None = None
    "a bare SBOM"
    signature: SignatureClaim | None = None


def is_known(layer: Descriptor) -> bool:
    """Tell whether the content `layer` of a manifest is of a kind that is read."""
    return is_bundle(layer.media_type) or layer.media_type in _KNOWN


def is_bundle(media_type: str) -> bool:
    """Tell whether content of `media_type` is a Sigstore bundle, about an image or its weights."""
    return media_type.startswith(BUNDLES) or media_type == model_signature.ARTIFACT_TYPE


def parse(data: bytes, layer: Descriptor) -> Content:
    """Return what `data`, the content `layer` of a manifest, says; raise InputError."""
    kind = layer.media_type
    if is_bundle(kind):
        return _bundle(bundles.parse(data))
    if kind == statements.MEDIA_TYPE:
        return Content(document=data, statement=statements.parse(data))
    if kind == DSSE:
        return _envelope(data, layer.annotations)
    if kind == SIMPLE_SIGNING:
        return _simple(data, layer.annotations)
    if kind in CYCLONEDX_DOCUMENTS | SPDX_DOCUMENTS:
        return Content(document=data, bom=parse_object(data, at="SBOM"))
    return Content(document=data)


def _bundle(bundle: Bundle) -> Content:
    signature = signers.of_bundle(bundle)
    if not isinstance(bundle.content, Envelope):
        signs = ""
        if len(bundle.content.digest) == 32:  # noqa: PLR2004  bytes of a sha256
            signs = f"sha256:{bundle.content.digest.hex()}"
        return Content(
            document=bundle.as_bytes(),
            signature=SignatureClaim(
                form="bundle", signer=signature.signer, entries=signature.entries,
                timestamps=signature.timestamps, signs=signs,
            ),
        )  # fmt: skip
    payload = bundle.content.payload
    if bundle.content.payload_type != statements.MEDIA_TYPE:
        return Content(document=payload, signature=signature)
    return Content(document=payload, statement=statements.parse(payload), signature=signature)


def _envelope(data: bytes, annotations: Mapping[str, str]) -> Content:
    value = parse_object(data, at="envelope")
    envelope = dsse.taken(Members(value, at="envelope"))
    keys = tuple(dict.fromkeys(one.key_id for one in envelope.signatures if one.key_id))
    return Content(
        document=envelope.payload,
        statement=statements.parse(envelope.payload),
        signature=_annotated(annotations, form="dsse", hint=keys[0] if keys else ""),
    )


def _simple(data: bytes, annotations: Mapping[str, str]) -> Content:
    """Return a simple signature: what it signs is the digest of an image, and little else."""
    payload = parse_object(data, at="payload")
    signs = text(payload, "critical", "image", "docker-manifest-digest")
    if not annotations.get(SIGNATURE):
        raise InputError("a payload without a signature", at="payload")
    return Content(
        document=data, signature=_annotated(annotations, form="simple", signs=str(_digest(signs)))
    )  # fmt: skip


def _digest(signs: str) -> Digest:
    return digests.parse(signs, at="payload.critical.image.docker-manifest-digest")


def _annotated(
    annotations: Mapping[str, str], *, form: Form, signs: str = "", hint: str = ""
) -> SignatureClaim:
    """Return the signature that annotations of a layer tell of."""
    certificate = annotations.get(CERTIFICATE, "")
    signer = SignerClaim(key_hint=hint)
    if certificate:
        signer = signers.of_certificate(certificate.encode())
    stamp = _stamp(annotations.get(TIMESTAMP, ""))
    return SignatureClaim(
        form=form, signer=signer, entries=_entries(annotations.get(LOG, "")),
        timestamps=signers.timestamps([stamp] if stamp else []), signs=signs,
    )  # fmt: skip


def _entries(log: str) -> tuple[LogClaim, ...]:
    """Return the entry that Rekor v1 is said to have."""
    if not log:
        return ()
    payload = table(parse_object(log.encode(), at=LOG), "Payload")
    index = payload.get("logIndex")
    if isinstance(index, bool) or not isinstance(index, int):
        raise InputError("an entry of a log without an index", at=LOG)
    taken = signers.time(payload.get("integratedTime"))
    return (LogClaim(index=index, log=text(payload, "logID"), time=taken),)


def _stamp(annotation: str) -> bytes:
    if not annotation:
        return b""
    written = text(parse_object(annotation.encode(), at=TIMESTAMP), "SignedRFC3161Timestamp")
    try:
        return base64.b64decode(written, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError("not base64", at=TIMESTAMP) from error
