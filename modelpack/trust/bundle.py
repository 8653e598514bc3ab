"""A statement with its signature and what proves who signed it when: Sigstore bundles.

Parsed strictly, written canonically; nothing is believed here. Source: sigstore/protobuf-specs
0.5, `sigstore_bundle.proto`, `sigstore_rekor.proto`, `sigstore_common.proto`.
"""

from dataclasses import dataclass
from typing import Any, Final

from modelpack import canonical_json
from modelpack.errors import InputError
from modelpack.oci.layer import Blob, blob_of
from modelpack.oci.manifest import parse_object, printable
from modelpack.trust import dsse
from modelpack.trust.dsse import Envelope
from modelpack.trust.log_entry import LogEntry, as_json, taken
from modelpack.trust.members import Members, encoded, without_empty
from modelpack.trust.statement import PREDICATE_TYPE
from modelpack.trust.statement import SIZE_LIMIT as _STATEMENT_LIMIT

MEDIA_TYPE: Final = "application/vnd.dev.sigstore.bundle.v0.3+json"
MEDIA_TYPES: Final = frozenset({
    "application/vnd.dev.sigstore.bundle+json;version=0.1",
    "application/vnd.dev.sigstore.bundle+json;version=0.2",
    "application/vnd.dev.sigstore.bundle+json;version=0.3",
    MEDIA_TYPE,
})  # fmt: skip
"of bundles that are read"
PREDICATE: Final = "dev.sigstore.bundle.predicateType"
"annotation by which cosign chooses bundles (`specs/BUNDLE_SPEC.md`)"
SIZE_LIMIT: Final = _STATEMENT_LIMIT // 3 * 4 + (4 << 20)
"bytes of a bundle"
_CERTIFICATE: Final = 64 << 10
_CHAIN: Final = 10
_ENTRIES: Final = 10
_TIMESTAMPS: Final = 10
_TIMESTAMP: Final = 64 << 10
_SIGNATURE: Final = 8 << 10
_HASH: Final = 64
_HINT: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A leaf certificate, whose chain is the trusted root's business."""

    der: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """A leaf certificate and what issued it, as bundles before 0.3 and OMS have it."""

    certificates: tuple[bytes, ...]
    "DER, the leaf first"


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKey:
    """No more than a hint at a key that must be known already."""

    hint: str = ""
    raw: bytes = b""
    "the key itself, which proves nothing; old signatures of models have it for the hint"


Material = Certificate | Chain | PublicKey


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageSignature:
    """A signature over bytes that are elsewhere."""

    signature: bytes
    algorithm: str = ""
    "such as `SHA2_256`; empty: no digest is said"
    digest: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """What was signed, and the means to verify it."""

    media_type: str = MEDIA_TYPE
    "empty: never was one; put together from the annotations of cosign's older signatures"
    material: Material
    entries: tuple[LogEntry, ...] = ()
    timestamps: tuple[bytes, ...] = ()
    "RFC 3161 responses over the signature, DER"
    content: Envelope | MessageSignature

    @property
    def envelope(self) -> Envelope:
        """The signed envelope, or InputError when it is a signature over something else."""
        if isinstance(self.content, Envelope):
            return self.content
        raise InputError("the bundle holds no statement", at="bundle.dsseEnvelope")

    @property
    def signature(self) -> bytes:
        """The one signature."""
        if isinstance(self.content, Envelope):
            return self.content.signatures[0].data
        return self.content.signature

    def as_json(self) -> dict[str, Any]:
        """Return the bundle as JSON values; `tlogEntries` always, some readers ask for it."""
        material = _material_json(self.material)
        material["tlogEntries"] = [as_json(one) for one in self.entries]
        if self.timestamps:
            stamps = [{"signedTimestamp": encoded(one)} for one in self.timestamps]
            material["timestampVerificationData"] = {"rfc3161Timestamps": stamps}
        content = (
            {"dsseEnvelope": self.content.as_json()}
            if isinstance(self.content, Envelope)
            else {"messageSignature": _message_json(self.content)}
        )
        return {"mediaType": self.media_type, "verificationMaterial": material, **content}

    def as_bytes(self) -> bytes:
        """Return the bundle as it is stored: one value, one text."""
        return canonical_json.dumps(self.as_json())

    def as_blob(self) -> Blob:
        """Return the bundle as content of a store."""
        return blob_of(self.as_bytes(), MEDIA_TYPE)


def annotations(predicate_type: str) -> dict[str, str]:
    """Return what says of a bundle beside an image which statement is in it."""
    content = {"dev.sigstore.bundle.content": "dsse-envelope"}
    return {**content, PREDICATE: predicate_type, PREDICATE_TYPE: predicate_type}


def parse(data: bytes, *, at: str = "bundle") -> Bundle:
    """Return the bundle in `data`, or raise InputError with what is not as specified."""
    members = Members(parse_object(data, at=at, limit=SIZE_LIMIT), at=at)
    media_type = members.text("mediaType", limit=_HINT)
    if media_type not in MEDIA_TYPES:
        raise InputError(
            f"not a kind of bundle that is read: `{printable(media_type)}`",
            at=members.where("mediaType"),
        )
    material = members.child("verificationMaterial")
    bundle = Bundle(
        media_type=media_type,
        material=_material(material),
        entries=tuple(taken(one) for one in material.children("tlogEntries", limit=_ENTRIES)),
        timestamps=_timestamps(material),
        content=_content(members),
    )
    material.done()
    members.done()
    return bundle


def _material(members: Members) -> Material:
    match members.only("certificate", "x509CertificateChain", "publicKey"):
        case "certificate":
            return Certificate(der=_raw(members.child("certificate")))
        case "publicKey":
            key = members.child("publicKey")
            found_key = PublicKey(
                hint=key.text("hint", limit=_HINT, default=""),
                raw=key.data("rawBytes", limit=_CERTIFICATE, default=b""),
            )
            key.text("keyDetails", limit=_HINT, default="")
            key.done()
            return found_key
        case _:
            chain = members.child("x509CertificateChain")
            found = tuple(_raw(one) for one in chain.children("certificates", limit=_CHAIN))
            chain.done()
            if not found:
                raise InputError("a chain without a certificate", at=chain.at)
            return Chain(certificates=found)


def _raw(members: Members) -> bytes:
    der = members.data("rawBytes", limit=_CERTIFICATE)
    members.done()
    return der


def _timestamps(material: Members) -> tuple[bytes, ...]:
    if not material.has("timestampVerificationData"):
        return ()
    members = material.child("timestampVerificationData")
    found = []
    for one in members.children("rfc3161Timestamps", limit=_TIMESTAMPS):
        found.append(one.data("signedTimestamp", limit=_TIMESTAMP))
        one.done()
    members.done()
    return tuple(found)


def _content(members: Members) -> Envelope | MessageSignature:
    if members.only("dsseEnvelope", "messageSignature") == "messageSignature":
        return _message(members.child("messageSignature"))
    envelope = dsse.taken(members.child("dsseEnvelope"))
    if len(envelope.signatures) != 1:
        raise InputError(
            "not exactly one signature", at=f"{members.where('dsseEnvelope')}.signatures"
        )
    return envelope


def _message(members: Members) -> MessageSignature:
    algorithm, digest = "", b""
    if members.has("messageDigest"):
        said = members.child("messageDigest")
        algorithm = said.text("algorithm", limit=64)
        digest = said.data("digest", limit=_HASH)
        said.done()
    signature = members.data("signature", limit=_SIGNATURE)
    members.done()
    return MessageSignature(signature=signature, algorithm=algorithm, digest=digest)


def _material_json(material: Material) -> dict[str, Any]:
    match material:
        case Certificate():
            return {"certificate": {"rawBytes": encoded(material.der)}}
        case Chain():
            chain = [{"rawBytes": encoded(one)} for one in material.certificates]
            return {"x509CertificateChain": {"certificates": chain}}
        case PublicKey():
            raw = encoded(material.raw)
            return {"publicKey": without_empty({"hint": material.hint, "rawBytes": raw})}


def _message_json(message: MessageSignature) -> dict[str, Any]:
    value: dict[str, Any] = {"signature": encoded(message.signature)}
    if message.algorithm:
        digest = {"algorithm": message.algorithm, "digest": encoded(message.digest)}
        value["messageDigest"] = digest
    return value
