"""An entry of a transparency log, Rekor v1 or v2, as bundles and Rekor itself write it.

Source: sigstore/protobuf-specs 0.5, `sigstore_rekor.proto`.
"""

from dataclasses import dataclass
from typing import Any, Final

from modelpack.trust.members import Members, decoded, encoded, without_empty

_HASH: Final = 64
_SIGNATURE: Final = 8 << 10
_BODY: Final = 1 << 20
"bytes of a log's entry; it holds digests, a signature and a certificate"
_CHECKPOINT: Final = 16 << 10
_DEPTH: Final = 64
"hashes from a leaf of a log to its root"


@dataclass(frozen=True, slots=True, kw_only=True)
class InclusionProof:
    """That a log has an entry (RFC 6962, 2.1.1), and the log's signature over its state."""

    log_index: int
    root_hash: bytes
    tree_size: int
    hashes: tuple[bytes, ...]
    checkpoint: str
    "a C2SP signed note; empty in bundles 0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """An entry of a transparency log, Rekor v1 or v2."""

    log_index: int
    log_id: bytes
    kind: str
    version: str
    integrated_time: int = 0
    "seconds since 1970; 0: the log says none, as Rekor v2"
    promise: bytes = b""
    "Rekor v1's signed entry timestamp"
    proof: InclusionProof | None = None
    "None only in bundles 0.1"
    body: bytes
    "canonical JSON, what the leaf of the log is the hash of"


def taken(members: Members) -> LogEntry:
    """Return the entry of a log that `members` are, or raise InputError."""
    kind = members.child("kindVersion")
    log = members.child("logId")
    promise = members.child("inclusionPromise") if members.has("inclusionPromise") else None
    found = LogEntry(
        log_index=members.number("logIndex", default=0),
        log_id=log.data("keyId", limit=_HASH),
        kind=kind.text("kind", limit=64),
        version=kind.text("version", limit=64),
        integrated_time=members.number("integratedTime", default=0),
        promise=promise.data("signedEntryTimestamp", limit=_SIGNATURE) if promise else b"",
        proof=_proof(members.child("inclusionProof")) if members.has("inclusionProof") else None,
        body=members.data("canonicalizedBody", limit=_BODY, default=b""),
    )
    for part in (kind, log, promise, members):
        if part:
            part.done()
    return found


def _proof(members: Members) -> InclusionProof:
    checkpoint = members.child("checkpoint") if members.has("checkpoint") else None
    proof = InclusionProof(
        log_index=members.number("logIndex", default=0),
        root_hash=members.data("rootHash", limit=_HASH),
        tree_size=members.number("treeSize"),
        hashes=tuple(
            decoded(item, limit=_HASH, at=at) for item, at in members.items("hashes", limit=_DEPTH)
        ),
        checkpoint=checkpoint.text("envelope", limit=_CHECKPOINT) if checkpoint else "",
    )
    if checkpoint:
        checkpoint.done()
    members.done()
    return proof


def as_json(entry: LogEntry) -> dict[str, Any]:
    """Return `entry` as JSON values."""
    return {
        "logIndex": str(entry.log_index),
        "logId": {"keyId": encoded(entry.log_id)},
        "kindVersion": {"kind": entry.kind, "version": entry.version},
        "integratedTime": str(entry.integrated_time),
        "canonicalizedBody": encoded(entry.body),
        **without_empty({
            "inclusionPromise": without_empty({"signedEntryTimestamp": encoded(entry.promise)}),
            "inclusionProof": _proof_json(entry.proof) if entry.proof else None,
        }),
    }  # fmt: skip


def _proof_json(proof: InclusionProof) -> dict[str, Any]:
    return {
        "logIndex": str(proof.log_index),
        "rootHash": encoded(proof.root_hash),
        "treeSize": str(proof.tree_size),
        "hashes": [encoded(one) for one in proof.hashes],
        **without_empty({"checkpoint": without_empty({"envelope": proof.checkpoint})}),
    }
