"""What stands beside an image as something that can be proved: a bundle, whoever wrote it.

Source: cosign, `specs/BUNDLE_SPEC.md`, `SIGNATURE_SPEC.md`, `ATTESTATION_SPEC.md`.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from modelpack.digest import Digest
from modelpack.errors import InputError
from modelpack.inspection.contents import is_bundle
from modelpack.inspection.referrer_document import ReferrerDocument
from modelpack.oci.manifest import parse_object
from modelpack.trust import bundle as bundles
from modelpack.trust import dsse, predicate_types, simple_signing
from modelpack.trust import statement as statements
from modelpack.trust.bundle import (
    Bundle,
    Certificate,
    Material,
    MessageSignature,
    PublicKey,
)
from modelpack.trust.log_entry import LogEntry
from modelpack.trust.members import Members, decoded
from modelpack.trust.proof import Unproved

_DSSE: Final = "application/vnd.dsse.envelope.v1+json"
_SIGNATURE: Final = "dev.cosignproject.cosign/signature"
_CERTIFICATE: Final = "dev.sigstore.cosign/certificate"
_LOG: Final = "dev.sigstore.cosign/bundle"
_TIMESTAMP: Final = "dev.sigstore.cosign/rfc3161timestamp"
"annotations of a layer that is signed in cosign's older way"
_LIMIT: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A bundle that hangs on an image."""

    evidence: Digest
    "of the manifest by which it hangs there"
    subject: Digest
    bundle: Bundle
    predicate_type: str
    "as it says"
    payload: bytes = b""
    "what is signed, where the bundle has no envelope"


def is_signed(document: ReferrerDocument) -> bool:
    """Tell whether `document` is of a kind that somebody has signed."""
    kind = document.layer.media_type if document.layer else document.descriptor.artifact_type
    return is_bundle(kind) or kind in (_DSSE, simple_signing.MEDIA_TYPE)


def is_bare_statement(document: ReferrerDocument) -> bool:
    """Tell whether `document` is a statement that nobody has signed."""
    return document.layer is not None and document.layer.media_type == statements.MEDIA_TYPE


def read(document: ReferrerDocument) -> Signed:
    """Return the bundle in `document`, or raise InputError with what is wrong with it."""
    layer = document.layer
    if layer is None or not document.stored:
        raise InputError(document.trouble or "it has no content")
    found = Signed(
        evidence=document.descriptor.digest,
        subject=document.subject,
        bundle=_bundle(document.stored, layer.media_type, layer.annotations),
        predicate_type=document.predicate_type,
    )
    if layer.media_type == simple_signing.MEDIA_TYPE:
        return replace(
            found, payload=document.stored, predicate_type=predicate_types.SIGNATURE
        )  # fmt: skip
    return found


def _bundle(data: bytes, media_type: str, annotations: Mapping[str, str]) -> Bundle:
    if is_bundle(media_type):
        return bundles.parse(data)
    content: MessageSignature | dsse.Envelope
    if media_type == _DSSE:
        content = dsse.taken(Members(parse_object(data, at="envelope"), at="envelope"))
        if len(content.signatures) != 1:
            raise InputError("not exactly one signature", at="envelope.signatures")
    else:
        written = annotations.get(_SIGNATURE, "")
        content = MessageSignature(signature=decoded(written, limit=8 << 10, at=_SIGNATURE))
    return Bundle(
        media_type="",
        material=_material(annotations.get(_CERTIFICATE, "")),
        entries=_entries(annotations.get(_LOG, "")),
        timestamps=_timestamps(annotations.get(_TIMESTAMP, "")),
        content=content,
    )


def _material(pem: str) -> Material:
    """Return the certificate of an annotation; without one it is somebody's key."""
    if not pem.strip():
        return PublicKey(hint="")
    from cryptography import x509  # noqa: PLC0415  heavy, and only for older signatures
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415

    from modelpack.trust import certificates  # noqa: PLC0415

    try:
        with certificates.strictly():
            certificate = x509.load_pem_x509_certificate(pem.encode())
    except (*certificates.UNREADABLE, Unproved) as error:
        raise InputError("not a certificate", at=_CERTIFICATE) from error
    return Certificate(der=certificate.public_bytes(Encoding.DER))


def _entries(text: str) -> tuple[LogEntry, ...]:
    """Return what Rekor v1 promised: cosign keeps no proof of inclusion."""
    if not text:
        return ()
    value = parse_object(text.encode(), at=_LOG, limit=_LIMIT)
    promise = decoded(value.get("SignedEntryTimestamp"), limit=8 << 10, at=_LOG)
    payload = Members(value.get("Payload"), at=f"{_LOG}.Payload")
    body = payload.data("body", limit=_LIMIT)
    kind = parse_object(body, at=f"{_LOG}.Payload.body", limit=_LIMIT)
    log = payload.text("logID", limit=128)
    try:
        log_id = bytes.fromhex(log)
    except ValueError as error:
        raise InputError("not hexadecimal", at=payload.where("logID")) from error
    return (
        LogEntry(
            log_index=payload.number("logIndex"),
            log_id=log_id,
            kind=_text(kind.get("kind")),
            version=_text(kind.get("apiVersion")),
            integrated_time=payload.number("integratedTime"),
            promise=promise,
            body=body,
        ),
    )


def _timestamps(text: str) -> tuple[bytes, ...]:
    if not text:
        return ()
    value = parse_object(text.encode(), at=_TIMESTAMP, limit=_LIMIT)
    stamp = value.get("SignedRFC3161Timestamp")
    try:
        return (base64.b64decode(stamp or "", validate=True),)
    except (binascii.Error, ValueError, TypeError) as error:
        raise InputError("not base64", at=_TIMESTAMP) from error


def _text(value: Any) -> str:  # noqa: ANN401  any JSON value
    return value if isinstance(value, str) else ""
