"""Rekor in both of its versions: entries that were checked before they went into the log.

Sources: rekor `pkg/types/{dsse,hashedrekord}/v0.0.1`, rekor-tiles `api/proto/rekor/v2`; entries are
canonical JSON (RFC 8785), and only what is in them is logged.
"""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import rfc8785
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from tests.sigstore.certificates import SHA256, PublicKey, sha256
from tests.sigstore.log import Inclusion, Log

Json = dict[str, Any]
_HASHES: Mapping[int, tuple[hashes.HashAlgorithm, str]] = {
    256: (hashes.SHA256(), "SHA2_256"),
    384: (hashes.SHA384(), "SHA2_384"),
    521: (hashes.SHA512(), "SHA2_512"),
}


@dataclass
class RekorV2:
    """rekor-tiles: `hashedrekord` 0.0.2, no time of its own, no promise."""

    log: Log

    def add(self, request: Mapping[str, Any]) -> Json:
        """Answer `/api/v2/log/entries`: the entry as bundles hold it."""
        asked = request["hashedRekordRequestV002"]
        signature = asked["signature"]
        key = _verifier(signature["verifier"])
        algorithm, name = _HASHES[key.curve.key_size]
        key.verify(_plain(signature["content"]), _plain(asked["digest"]),
                   ec.ECDSA(Prehashed(algorithm)))  # fmt: skip
        data = {"algorithm": name, "digest": asked["digest"]}
        body = rfc8785.dumps({
            "apiVersion": "0.0.2",
            "kind": "hashedrekord",
            "spec": {"hashedRekordV002": {"data": data, "signature": signature}},
        })  # fmt: skip
        return {
            **entry(body, self.log.add(body), kind="hashedrekord", version="0.0.2"),
            "integratedTime": "0",
            "inclusionPromise": None,
        }


@dataclass
class RekorV1:
    """Rekor: `dsse` and `hashedrekord` 0.0.1, with the time and a promise (SET)."""

    log: Log
    clock: Callable[[], float]

    def add(self, request: Mapping[str, Any]) -> Json:
        """Answer `/api/v1/log/entries`: the entry as this API writes it."""
        body = rfc8785.dumps(_checked(request))
        place = self.log.add(body)
        said = {
            "body": _text(body),
            "integratedTime": int(self.clock()),
            "logID": place.log_id.hex(),
            "logIndex": place.index,
        }
        proof = {
            "checkpoint": place.checkpoint,
            "hashes": [item.hex() for item in place.path],
            "logIndex": place.index,
            "rootHash": place.root.hex(),
            "treeSize": place.size,
        }
        promise = _text(self.log.sign(rfc8785.dumps(said)))
        verification = {"signedEntryTimestamp": promise, "inclusionProof": proof}
        return {(b"\0" * 8 + sha256(b"\0" + body)).hex(): {**said, "verification": verification}}

    def entry(self, request: Mapping[str, Any]) -> Json:
        """Add and return the entry as bundles hold it, which the client makes of the answer."""
        (answer,) = self.add(request).values()
        proof = answer["verification"]["inclusionProof"]
        place = Inclusion(
            index=proof["logIndex"],
            size=proof["treeSize"],
            root=bytes.fromhex(proof["rootHash"]),
            path=tuple(bytes.fromhex(item) for item in proof["hashes"]),
            checkpoint=proof["checkpoint"],
            log_id=bytes.fromhex(answer["logID"]),
        )
        return {
            **entry(_plain(answer["body"]), place, kind=request["kind"], version="0.0.1"),
            "integratedTime": str(answer["integratedTime"]),
            "inclusionPromise": {
                "signedEntryTimestamp": answer["verification"]["signedEntryTimestamp"]
            },
        }


def entry(body: bytes, place: Inclusion, *, kind: str, version: str) -> Json:
    """Return an entry as the JSON form of protobuf `TransparencyLogEntry`."""
    return {
        "logIndex": str(place.index),
        "logId": {"keyId": _text(place.log_id)},
        "kindVersion": {"kind": kind, "version": version},
        "inclusionProof": {
            "logIndex": str(place.index),
            "rootHash": _text(place.root),
            "treeSize": str(place.size),
            "hashes": [_text(item) for item in place.path],
            "checkpoint": {"envelope": place.checkpoint},
        },
        "canonicalizedBody": _text(body),
    }


def dsse_request(envelope: Mapping[str, Any], verifier: bytes) -> Json:
    """Return what a client of version 1 asks for an envelope; `verifier` is PEM."""
    content = {"envelope": json.dumps(envelope), "verifiers": [_text(verifier)]}
    return {"apiVersion": "0.0.1", "kind": "dsse", "spec": {"proposedContent": content}}


def artifact_request(digest: bytes, signature: bytes, verifier: bytes) -> Json:
    """Return what a client of version 1 asks for a signature over an artifact."""
    return {
        "apiVersion": "0.0.1",
        "kind": "hashedrekord",
        "spec": {
            "data": {"hash": {"algorithm": "sha256", "value": digest.hex()}},
            "signature": {"content": _text(signature), "publicKey": {"content": _text(verifier)}},
        },
    }


def _checked(request: Mapping[str, Any]) -> Json:
    """Return the entry that is logged for a request whose signatures are right."""
    spec = request["spec"]
    if request["kind"] == "dsse":
        spec = _checked_envelope(spec["proposedContent"])
    elif request["kind"] == "hashedrekord":
        signature, digest = spec["signature"], bytes.fromhex(spec["data"]["hash"]["value"])
        _from_pem(_plain(signature["publicKey"]["content"])).verify(
            _plain(signature["content"]), digest, ec.ECDSA(Prehashed(hashes.SHA256()))
        )
    else:
        raise ValueError(f"no entries of kind {request['kind']}")
    return {"apiVersion": "0.0.1", "kind": request["kind"], "spec": spec}


def _checked_envelope(proposed: Mapping[str, Any]) -> Json:
    envelope = json.loads(proposed["envelope"])
    payload, kind = _plain(envelope["payload"]), envelope["payloadType"]
    signed = b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)
    pairs = list(zip(envelope["signatures"], proposed["verifiers"], strict=True))
    for signature, verifier in pairs:
        _from_pem(_plain(verifier)).verify(_plain(signature["sig"]), signed, SHA256)
    return {
        "envelopeHash": _hash(proposed["envelope"].encode()),
        "payloadHash": _hash(payload),
        "signatures": [
            {"signature": signature["sig"], "verifier": verifier} for signature, verifier in pairs
        ],
    }


def _verifier(value: Mapping[str, Any]) -> PublicKey:
    if "x509Certificate" in value:
        raw = _plain(value["x509Certificate"]["rawBytes"])
        return _on_curve(x509.load_der_x509_certificate(raw).public_key())
    return _on_curve(serialization.load_der_public_key(_plain(value["publicKey"]["rawBytes"])))


def _from_pem(data: bytes) -> PublicKey:
    if b"BEGIN CERTIFICATE" in data:
        return _on_curve(x509.load_pem_x509_certificate(data).public_key())
    return _on_curve(serialization.load_pem_public_key(data))


def _on_curve(key: object) -> PublicKey:
    if not isinstance(key, PublicKey):
        raise TypeError("only keys on elliptic curves")
    return key


def _hash(data: bytes) -> Json:
    return {"algorithm": "sha256", "value": sha256(data).hex()}


def _plain(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
