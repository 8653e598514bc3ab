"""A signature as cosign kept it before bundles: in annotations of the layer that is signed.

Source: cosign, `specs/SIGNATURE_SPEC.md` and `pkg/oci/static`.
"""

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from modelpack.errors import InputError
from modelpack.oci.manifest import parse_object
from modelpack.trust.bundle import Certificate, Material, MessageSignature, PublicKey
from modelpack.trust.keys.key import certificate_pem
from modelpack.trust.log_entry import LogEntry
from modelpack.trust.members import Members, decoded, encoded
from modelpack.trust.proof import Unproved

SIGNATURE: Final = "dev.cosignproject.cosign/signature"
CERTIFICATE: Final = "dev.sigstore.cosign/certificate"
CHAIN: Final = "dev.sigstore.cosign/chain"
LOG: Final = "dev.sigstore.cosign/bundle"
TIMESTAMP: Final = "dev.sigstore.cosign/rfc3161timestamp"
_LIMIT: Final = 1 << 20
_LARGEST: Final = 8 << 10
"bytes of a signature"


def annotations(
    signature: bytes, material: Material, issuers: Iterable[bytes], entry: LogEntry | None
) -> dict[str, str]:
    """Return the annotations that keep a signature; a key is not among them."""
    found = {SIGNATURE: encoded(signature)}
    if isinstance(material, Certificate):
        found[CERTIFICATE] = certificate_pem(material.der)
        found[CHAIN] = "".join(certificate_pem(issuer) for issuer in issuers)
    if entry is not None:
        found[LOG] = json.dumps(
            {
                "SignedEntryTimestamp": encoded(entry.promise),
                "Payload": {
                    "body": encoded(entry.body),
                    "integratedTime": entry.integrated_time,
                    "logIndex": entry.log_index,
                    "logID": entry.log_id.hex(),
                },
            }
        )
    return found


def content(annotations: Mapping[str, str]) -> MessageSignature:
    """Return the signature itself."""
    written = annotations.get(SIGNATURE, "")
    return MessageSignature(signature=decoded(written, limit=_LARGEST, at=SIGNATURE))


def material(annotations: Mapping[str, str]) -> Material:
    """Return the certificate; without one it is somebody's key."""
    pem = annotations.get(CERTIFICATE, "")
    if not pem.strip():
        return PublicKey(hint="")
    from cryptography import x509  # noqa: PLC0415  heavy, and only for older signatures
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415

    from modelpack.trust import certificates  # noqa: PLC0415

    try:
        with certificates.strictly():
            certificate = x509.load_pem_x509_certificate(pem.encode())
    except (*certificates.UNREADABLE, Unproved) as error:
        raise InputError("not a certificate", at=CERTIFICATE) from error
    return Certificate(der=certificate.public_bytes(Encoding.DER))


def entries(annotations: Mapping[str, str]) -> tuple[LogEntry, ...]:
    """Return what Rekor v1 promised: cosign keeps no proof of inclusion."""
    text = annotations.get(LOG, "")
    if not text:
        return ()
    value = parse_object(text.encode(), at=LOG, limit=_LIMIT)
    promise = decoded(value.get("SignedEntryTimestamp"), limit=8 << 10, at=LOG)
    payload = Members(value.get("Payload"), at=f"{LOG}.Payload")
    body = payload.data("body", limit=_LIMIT)
    kind = parse_object(body, at=f"{LOG}.Payload.body", limit=_LIMIT)
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


def timestamps(annotations: Mapping[str, str]) -> tuple[bytes, ...]:
    """Return what a timestamp authority said of the signature."""
    text = annotations.get(TIMESTAMP, "")
    if not text:
        return ()
    value = parse_object(text.encode(), at=TIMESTAMP, limit=_LIMIT)
    stamp = value.get("SignedRFC3161Timestamp")
    try:
        return (base64.b64decode(stamp or "", validate=True),)
    except (binascii.Error, ValueError, TypeError) as error:
        raise InputError("not base64", at=TIMESTAMP) from error


def _text(value: Any) -> str:  # noqa: ANN401  any JSON value
    return value if isinstance(value, str) else ""
