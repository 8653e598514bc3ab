"""What is signed: a payload with its type, in an envelope.

Source: DSSE 1.0.2, protocol.md ("Signature Definition") and envelope.md.
"""

from dataclasses import dataclass
from typing import Any, Final

from modelpack.trust.members import Members, encoded
from modelpack.trust.statement import MEDIA_TYPE, SIZE_LIMIT

_SIGNATURES: Final = 16
_SIGNATURE_LIMIT: Final = 8 << 10
"bytes; one of RSA-4096 has 512"
_TYPE_LIMIT: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """A signature over the pre-authentication encoding of a payload."""

    data: bytes
    key_id: str = ""
    "a hint, not signed, to be relied on for nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A payload and who signed it."""

    payload: bytes
    payload_type: str = MEDIA_TYPE
    signatures: tuple[Signature, ...]

    @property
    def signed(self) -> bytes:
        """The bytes that each signature is over."""
        return pae(self.payload, self.payload_type)

    def as_json(self) -> dict[str, Any]:
        """Return the envelope as JSON values."""
        return {
            "payload": encoded(self.payload),
            "payloadType": self.payload_type,
            "signatures": [
                {"sig": encoded(one.data), **({"keyid": one.key_id} if one.key_id else {})}
                for one in self.signatures
            ],
        }


def pae(payload: bytes, payload_type: str = MEDIA_TYPE) -> bytes:
    """Return the pre-authentication encoding: no two payloads and types have the same."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def taken(members: Members) -> Envelope:
    """Return the envelope that `members` are, or raise InputError."""
    envelope = Envelope(
        payload=members.data("payload", limit=SIZE_LIMIT),
        payload_type=members.text("payloadType", limit=_TYPE_LIMIT),
        signatures=tuple(
            _signature(one) for one in members.children("signatures", limit=_SIGNATURES)
        ),
    )
    members.done()
    return envelope


def _signature(members: Members) -> Signature:
    signature = Signature(
        data=members.data("sig", limit=_SIGNATURE_LIMIT),
        key_id=members.text("keyid", limit=1024, default=""),
    )
    members.done()
    return signature
