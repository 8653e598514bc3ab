"""One verification under way: what is given, and what its steps have found so far."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from modelpack.digest import Digest
from modelpack.trust import public_keys
from modelpack.trust.bundle import Bundle
from modelpack.trust.expected import Expected, Key
from modelpack.trust.proof import Proof, Step
from modelpack.trust.statement import Statement
from modelpack.trust.trusted_root import Authority, Log, TrustedRoot


@dataclass(slots=True, kw_only=True)
class Case:
    """What is given, and what the steps have found so far."""

    bundle: Bundle
    subject: Digest
    trusted: TrustedRoot
    expected: Expected
    now: int
    payload: bytes
    data: bytes = b""
    "what the signature is over"
    statement: Statement | None = None
    key: PublicKeyTypes | None = None
    signed_by: Key | None = None
    certificate: x509.Certificate | None = None
    der: bytes = b""
    logs: list[Log] = field(default_factory=list)
    "those that have it"
    times: list[float] = field(default_factory=list)
    authority: Authority | None = None
    issuer: x509.Certificate | None = None
    certificate_logged: float = 0
    signer: str = ""
    identity: str = ""
    extensions: Mapping[str, str] = field(default_factory=dict)

    def proof(self, steps: tuple[Step, ...]) -> Proof:
        """Return what was found."""
        fingerprint = hashlib.sha256(public_keys.spki(self.key)).hexdigest() if self.key else ""
        return Proof(
            steps=steps,
            statement=self.statement,
            predicate_type=self.statement.predicate_type if self.statement else "",
            signer=self.signer,
            identity=self.identity,
            issuer=self.extensions.get("issuer", ""),
            key=fingerprint,
            extensions=self.extensions,
            time=int(min(self.times)) if self.times else None,
            log_index=self.bundle.entries[0].log_index if self.logs else None,
        )
