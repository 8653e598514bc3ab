"""What others attach to images: signed by cosign's rules, with certificates as Fulcio writes them.

The signatures are real ones of throw-away keys; nobody here verifies them.
"""

import base64
import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from modelpack import canonical_json
from modelpack.digest import Digest, hex_of
from modelpack.oci.layer import MANIFEST, Blob, Descriptor, blob_of
from modelpack.oci.referrers import EMPTY, Referrer
from modelpack.oci.store import Root, Store
from modelpack.trust.bundle import MEDIA_TYPE, Bundle, Certificate, PublicKey
from modelpack.trust.dsse import Envelope, Signature, pae
from modelpack.trust.log_entry import LogEntry
from modelpack.trust.statement import Statement, about
from tests.images import nothing

IDENTITY: Final = "https://github.com/acme/minilm/.github/workflows/release.yml@refs/tags/v1"
ISSUER: Final = "https://token.actions.githubusercontent.com"
SIMPLE: Final = "application/vnd.dev.cosign.simplesigning.v1+json"
DSSE: Final = "application/vnd.dsse.envelope.v1+json"
MADE: Final = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)
_FULCIO: Final = "1.3.6.1.4.1.57264.1."


def _utf8(text: str) -> bytes:
    data = text.encode()
    assert len(data) < 128
    return bytes([0x0C, len(data)]) + data


@dataclass
class Signer:
    """A key and a certificate for it, which lives ten minutes."""

    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    def sign(self, data: bytes) -> bytes:
        return self.key.sign(data, ec.ECDSA(hashes.SHA256()))

    def certificate(self) -> x509.Certificate:
        name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "sigstore.test")])
        extensions = {
            f"{_FULCIO}1": ISSUER.encode(), f"{_FULCIO}8": _utf8(ISSUER),
            f"{_FULCIO}12": _utf8("https://github.com/acme/minilm"), f"{_FULCIO}13": _utf8("4f2a"),
        }  # fmt: skip
        builder = x509.CertificateBuilder(
            issuer_name=name, subject_name=x509.Name([]), public_key=self.key.public_key(),
            serial_number=7, not_valid_before=MADE, not_valid_after=MADE + timedelta(minutes=10),
        ).add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(IDENTITY)]), critical=True
        )  # fmt: skip
        for oid, value in extensions.items():
            extension = x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), value)
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(self.key, hashes.SHA256())

    @property
    def der(self) -> bytes:
        return self.certificate().public_bytes(serialization.Encoding.DER)

    @property
    def pem(self) -> str:
        return self.certificate().public_bytes(serialization.Encoding.PEM).decode()

    def envelope(self, statement: Statement) -> Envelope:
        payload = statement.as_bytes()
        return Envelope(payload=payload, signatures=(Signature(data=self.sign(pae(payload))),))

    def bundle(self, statement: Statement, *, hint: str = "") -> Bundle:
        """Return a keyless bundle with an entry of a log; with `hint`, one of a key without."""
        if hint:
            return Bundle(material=PublicKey(hint=hint), content=self.envelope(statement))
        entry = LogEntry(
            log_index=1234, log_id=b"\x07" * 32, kind="dsse", version="0.0.1",
            integrated_time=int(MADE.timestamp()), promise=b"p", body=b"{}",
        )  # fmt: skip
        return Bundle(
            material=Certificate(der=self.der), entries=(entry,), content=self.envelope(statement)
        )


def said(predicate_type: str, predicate: dict[str, Any], *digests: Digest) -> Statement:
    return Statement(
        subjects=about("acme/minilm", *digests), predicate_type=predicate_type, predicate=predicate
    )


def bundled(bundle: Bundle, predicate_type: str) -> Referrer:
    """Return a bundle as cosign 3 attaches it."""
    return Referrer(
        artifact_type=MEDIA_TYPE, content=bundle.as_blob(),
        annotations={"dev.sigstore.bundle.content": "dsse-envelope",
                     "dev.sigstore.bundle.predicateType": predicate_type},
    )  # fmt: skip


def bare(text: bytes, media_type: str) -> Referrer:
    """Return a document that is attached as it is."""
    return Referrer(artifact_type=media_type, content=blob_of(text, media_type))


def payload(digest: str) -> bytes:
    """Return what cosign 1 and 2 sign."""
    return json.dumps({
        "critical": {
            "identity": {"docker-reference": "acme/minilm"},
            "image": {"docker-manifest-digest": digest},
            "type": "cosign container image signature",
        },
        "optional": None,
    }).encode()  # fmt: skip


def signature_layer(signer: Signer, digest: str) -> Blob:
    data = payload(digest)
    log = {"SignedEntryTimestamp": "cA==", "Payload": {
        "body": "e30=", "integratedTime": int(MADE.timestamp()), "logIndex": 77, "logID": "ab12",
    }}  # fmt: skip
    annotations = {
        "dev.cosignproject.cosign/signature": base64.b64encode(signer.sign(data)).decode(),
        "dev.sigstore.cosign/certificate": signer.pem,
        "dev.sigstore.cosign/bundle": json.dumps(log),
    }
    return _annotated(blob_of(data, SIMPLE), annotations)


def attestation_layer(signer: Signer, statement: Statement) -> Blob:
    data = canonical_json.dumps(signer.envelope(statement).as_json())
    annotations = {
        "dev.cosignproject.cosign/signature": "", "predicateType": statement.predicate_type,
        "dev.sigstore.cosign/certificate": signer.pem,
    }  # fmt: skip
    return _annotated(blob_of(data, DSSE), annotations)


def _annotated(blob: Blob, annotations: dict[str, str]) -> Blob:
    return replace(blob, descriptor=replace(blob.descriptor, annotations=annotations))


def tag(store: Store, subject: Digest, suffix: str, *layers: Blob) -> Descriptor:
    """Put `layers` under the tag where cosign 1 and 2 look for them."""
    value = {
        "schemaVersion": 2, "mediaType": MANIFEST, "config": EMPTY.descriptor.as_json(),
        "layers": [layer.descriptor.as_json() for layer in layers],
    }  # fmt: skip
    for blob in (EMPTY, *layers):
        store.write(replace(blob, descriptor=replace(blob.descriptor, annotations={})), nothing)
    manifest = blob_of(canonical_json.dumps(value), MANIFEST)
    store.commit([Root(manifest=manifest, tags=(f"sha256-{hex_of(subject)}{suffix}",))])
    return manifest.descriptor
