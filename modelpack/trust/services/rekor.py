"""Entries in a transparency log, Rekor v1 or v2, for signatures by a key or with a certificate.

Source: Rekor's `openapi.yaml` with `dsse` and `hashedrekord` 0.0.1; rekor-tiles' `CLIENTS.md` with
`hashedrekord` 0.0.2, which stands for envelopes too: over SHA-256 of their encoding.
"""

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import Any, Final

from modelpack.errors import ModelpackError, Unavailable
from modelpack.oci.manifest import parse_object
from modelpack.trust import log_entry
from modelpack.trust.dsse import Envelope
from modelpack.trust.keys.key import certificate_pem, pem
from modelpack.trust.log_entry import InclusionProof, LogEntry
from modelpack.trust.members import Members, encoded
from modelpack.trust.services.calls import There, post
from modelpack.trust.services.signing_config import Service
from modelpack.web.client import Client
from modelpack.web.urls import host_of

_LIMIT: Final = 8 << 20
"bytes of an answer"
_DETAILS: Final = "PKIX_ECDSA_P256_SHA_256"
_JSON: Final = {"Content-Type": "application/json", "Accept": "application/json"}
_SMALL: Final = 64 << 10
_TEXT: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Verifier:
    """What a log verifies a signature with before it takes it."""

    spki: bytes = b""
    certificate: bytes = b""
    "DER; one of the two"

    @property
    def pem(self) -> str:
        """The key or certificate as PEM, in base64 once more, as Rekor v1 takes it."""
        text = certificate_pem(self.certificate) if self.certificate else pem(self.spki)
        return encoded(text.encode())

    @property
    def raw(self) -> dict[str, Any]:
        """The key or certificate as Rekor v2 takes it."""
        if self.certificate:
            return {"x509Certificate": {"rawBytes": encoded(self.certificate)}}
        return {"publicKey": {"rawBytes": encoded(self.spki)}}


def log_envelope(
    log: Service, envelope: Envelope, verifier: Verifier, client: Client
) -> LogEntry:  # fmt: skip
    """Return the log's entry for a signed envelope, which it has verified."""
    if log.version == 1:
        proposed = {
            "envelope": json.dumps(envelope.as_json()),
            "verifiers": [verifier.pem],
        }
        return _v1(log, "dsse", {"proposedContent": proposed}, client)
    (signature,) = envelope.signatures
    return _v2(log, envelope.signed, signature.data, verifier, client)


def log_signature(
    log: Service, message: bytes, signature: bytes, verifier: Verifier, client: Client
) -> LogEntry:
    """Return the entry of Rekor v1 for a signature over `message`, as legacy signatures have it."""
    spec = {
        "signature": {"content": encoded(signature), "publicKey": {"content": verifier.pem}},
        "data": {"hash": {"algorithm": "sha256", "value": hashlib.sha256(message).hexdigest()}},
    }
    return _v1(log, "hashedrekord", spec, client)


def _v1(log: Service, kind: str, spec: dict[str, Any], client: Client) -> LogEntry:
    request = {"apiVersion": "0.0.1", "kind": kind, "spec": spec}
    try:
        answer = _ask(log, "/api/v1/log/entries", request, client)
    except There as error:  # signatures of some HSMs are the same each time
        if not error.url:
            raise
        answer = client.read(error.url, limit=_LIMIT, at=host_of(log.url))
    try:
        return _of_v1(answer, host_of(log.url))
    except (ModelpackError, ValueError) as error:
        raise _nonsense(log) from error


def _v2(
    log: Service, signed: bytes, signature: bytes, verifier: Verifier, client: Client
) -> LogEntry:
    request = {
        "hashedRekordRequestV002": {
            "digest": encoded(hashlib.sha256(signed).digest()),
            "signature": {
                "content": encoded(signature),
                "verifier": {**verifier.raw, "keyDetails": _DETAILS},
            },
        }
    }
    answer = _ask(log, "/api/v2/log/entries", request, client)
    try:
        value = parse_object(answer, at=host_of(log.url), limit=_LIMIT)
        return log_entry.taken(Members(value, at=host_of(log.url)))
    except ModelpackError as error:
        raise _nonsense(log) from error


def _ask(log: Service, path: str, request: dict[str, Any], client: Client) -> bytes:
    return post(
        client, log.url + path, json.dumps(request).encode(), headers=_JSON,
        what="entry in the transparency log", limit=_LIMIT,
    )  # fmt: skip


def _of_v1(answer: bytes, at: str) -> LogEntry:
    """Return the one entry of an answer: an object by its id in the log."""
    value = parse_object(answer, at=at, limit=_LIMIT)
    (found,) = value.values()
    members = Members(found, at=at)
    verification = members.child("verification")
    body = members.data("body", limit=_LIMIT)
    proof = verification.child("inclusionProof")
    said = Members(parse_object(body, at=at, limit=_LIMIT), at=at)
    return LogEntry(
        log_index=members.number("logIndex"),
        log_id=bytes.fromhex(members.text("logID", limit=128)),
        kind=said.text("kind", limit=64),
        version=said.text("apiVersion", limit=64),
        integrated_time=members.number("integratedTime"),
        promise=base64.b64decode(
            verification.text("signedEntryTimestamp", limit=_TEXT), validate=True
        ),
        proof=InclusionProof(
            log_index=proof.number("logIndex"),
            root_hash=bytes.fromhex(proof.text("rootHash", limit=128)),
            tree_size=proof.number("treeSize"),
            hashes=tuple(
                bytes.fromhex(item) if isinstance(item, str) else b""
                for item, _ in proof.items("hashes", limit=64)
            ),
            checkpoint=proof.text("checkpoint", limit=_SMALL),
        ),
        body=body,
    )


def _nonsense(log: Service) -> Unavailable:
    return Unavailable("the answer of the transparency log makes no sense", at=host_of(log.url))
