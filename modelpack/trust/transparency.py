"""What a transparency log says of a signature: that it has it, and since when.

Sources: RFC 9162 §2.1.3.2 (inclusion), C2SP signed-note and tlog-checkpoint, Rekor's OpenAPI
(`pluggable-types`) and rekor-tiles `rekor-v2-spec`.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from modelpack import canonical_json
from modelpack.errors import InputError
from modelpack.oci.manifest import parse_object
from modelpack.trust import certificates, public_keys
from modelpack.trust.log_entry import InclusionProof, LogEntry
from modelpack.trust.proof import Unproved
from modelpack.trust.trusted_root import Log

_HINT = 4
"bytes before a signature in a note: the beginning of the key's id"
_SIGNATURES = 32
_LINE = re.compile(r"\u2014 (\S{1,256}) ([A-Za-z0-9+/=]{1,16384})")
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_BODY_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """What a log's entry must be about."""

    data: bytes
    "what the signature is over"
    payload: bytes
    "what it is a signature of"
    signature: bytes
    key: PublicKeyTypes
    certificate: bytes = b""
    "DER; empty for a bare key"


def log_of(entry: LogEntry, logs: Sequence[Log]) -> Log:
    """Return the log that `entry` says it is of, or raise Unproved."""
    found = [log for log in logs if log.id == entry.log_id]
    if not found:
        raise Unproved(
            f"an entry of the log {entry.log_id.hex()[:16]}, which the trusted root does not know"
        )
    return found[0]


def check(entry: LogEntry, log: Log, signed: Signed, *, promise_is_enough: bool) -> bool:
    """Return whether the log also promised a time; raises Unproved where it proves nothing.

    `promise_is_enough`: signatures of cosign before bundles have no proof of inclusion.
    """
    check_body(entry, signed)
    key = public_keys.load(log.key)
    if entry.proof and entry.proof.checkpoint:
        _check_inclusion(entry.proof, entry.body)
        _check_checkpoint(entry.proof, log, key)
    elif not (promise_is_enough and entry.promise):
        raise Unproved("no proof that the log has it")
    if not entry.promise:
        return False
    promised = {
        "body": base64.b64encode(entry.body).decode(),
        "integratedTime": entry.integrated_time,
        "logID": entry.log_id.hex(),
        "logIndex": entry.log_index,
    }
    if not public_keys.has_signed(key, entry.promise, canonical_json.dumps(promised)):
        raise Unproved("the log did not sign the promise that it has it")
    return entry.integrated_time > 0


def _check_inclusion(proof: InclusionProof, body: bytes) -> None:
    """Fold the hashes from the leaf up (RFC 9162 §2.1.3.2), or raise Unproved."""
    if proof.log_index >= proof.tree_size:
        raise Unproved("an entry beyond the size of the log")
    node, last = proof.log_index, proof.tree_size - 1
    root = hashlib.sha256(b"\0" + body).digest()
    for sibling in proof.hashes:
        if last == 0:
            raise Unproved("a proof of inclusion that is too long")
        if node & 1 or node == last:
            root = hashlib.sha256(b"\1" + sibling + root).digest()
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            root = hashlib.sha256(b"\1" + root + sibling).digest()
        node, last = node >> 1, last >> 1
    if last != 0 or root != proof.root_hash:
        raise Unproved("the proof of inclusion does not lead to the root of the log")


def _check_checkpoint(proof: InclusionProof, log: Log, key: PublicKeyTypes) -> None:
    """Find the log's own signature below its state, and the state to be that of the proof."""
    text, blank, signatures = proof.checkpoint.partition("\n\n")
    lines = text.split("\n")
    if not blank or len(lines) < 3 or not _SIZE.fullmatch(lines[1]):  # noqa: PLR2004  its members
        raise Unproved("a checkpoint that is none")
    if not any(
        public_keys.has_signed(key, signature, f"{text}\n".encode())
        for signature in _note_signatures(signatures, lines[0], log.id[:_HINT])
    ):
        raise Unproved("a checkpoint that the log has not signed")
    if int(lines[1]) != proof.tree_size or _decoded(lines[2]) != proof.root_hash:
        raise Unproved("a checkpoint of another state of the log")


def _note_signatures(text: str, origin: str, hint: bytes) -> list[bytes]:
    """Return the signatures of a note by the key with `hint`, under the name of its origin."""
    found = []
    for line in text.split("\n")[:_SIGNATURES]:
        if not (match := _LINE.fullmatch(line)):
            continue
        data = _decoded(match[2])
        if match[1] == origin.partition(" ")[0] and data[:_HINT] == hint:
            found.append(data[_HINT:])
    return found


def check_body(entry: LogEntry, signed: Signed) -> None:
    """Find in the entry's body this very signature, payload and key, or raise Unproved."""
    try:
        body = parse_object(entry.body, at="entry", limit=_BODY_LIMIT)
    except InputError as error:
        raise Unproved("an entry of the log that cannot be read") from error
    kind, version = entry.kind, entry.version
    if (body.get("kind"), body.get("apiVersion")) != (kind, version):
        raise Unproved("an entry of the log of another kind than the bundle says")
    is_message = signed.data == signed.payload
    match kind, version:
        case "dsse", "0.0.1" if not is_message:
            found = _dsse(body, signed)
        case "hashedrekord", "0.0.1" if is_message:
            found = _hashedrekord_v1(body, signed)
        case "hashedrekord", "0.0.2":
            found = _hashedrekord_v2(body, signed)
        case _:
            raise Unproved(f"an entry of the log of a kind that is not read: {kind} {version}")
    if not found:
        raise Unproved("the entry of the log is about another signature")


def _dsse(body: Mapping[str, Any], signed: Signed) -> bool:
    payload = _at(body, "spec", "payloadHash")
    signatures = _at(body, "spec").get("signatures")
    if not isinstance(signatures, list) or len(signatures) != 1:
        return False
    one = signatures[0] if isinstance(signatures[0], dict) else {}
    return (
        payload.get("algorithm") == "sha256"
        and payload.get("value") == hashlib.sha256(signed.payload).hexdigest()
        and _decoded(one.get("signature")) == signed.signature
        and _is_of(_decoded(one.get("verifier")), signed)
    )


def _hashedrekord_v1(body: Mapping[str, Any], signed: Signed) -> bool:
    said = _at(body, "spec", "data", "hash")
    signature = _at(body, "spec", "signature")
    algorithm = {"sha256": hashlib.sha256, "sha384": hashlib.sha384, "sha512": hashlib.sha512}.get(
        str(said.get("algorithm"))
    )
    return (
        algorithm is not None
        and said.get("value") == algorithm(signed.data).hexdigest()
        and _decoded(signature.get("content")) == signed.signature
        and _is_of(_decoded(_at(signature, "publicKey").get("content")), signed)
    )


def _hashedrekord_v2(body: Mapping[str, Any], signed: Signed) -> bool:
    spec = _at(body, "spec", "hashedRekordV002")
    verifier = _at(spec, "signature", "verifier")
    if signed.certificate:
        same = _decoded(_at(verifier, "x509Certificate").get("rawBytes")) == signed.certificate
    else:
        same = _decoded(_at(verifier, "publicKey").get("rawBytes")) == public_keys.spki(signed.key)
    return (
        same
        and _decoded(_at(spec, "data").get("digest")) == public_keys.digest(signed.key, signed.data)
        and _decoded(_at(spec, "signature").get("content")) == signed.signature
    )


def _is_of(pem: bytes, signed: Signed) -> bool:
    """Tell whether PEM text is the certificate, or the bare key, of the signature."""
    try:
        if signed.certificate:
            with certificates.strictly():
                certificate = x509.load_pem_x509_certificate(pem)
            return certificate.public_bytes(serialization.Encoding.DER) == signed.certificate
        key = serialization.load_pem_public_key(pem)
    except certificates.UNREADABLE:
        return False
    return public_keys.spki(key) == public_keys.spki(signed.key)


def _at(value: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    """Return the object below `keys`; an empty one where there is none."""
    for key in keys:
        below = value.get(key)
        value = below if isinstance(below, dict) else {}
    return value


def _decoded(text: object) -> bytes:
    """Return the bytes that base64 `text` stands for; none where it is no base64."""
    try:
        return base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except (binascii.Error, ValueError):
        return b""
