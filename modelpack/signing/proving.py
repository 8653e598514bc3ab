"""Whether a bundle of ours will convince others: judged before it is attached."""

from modelpack.digest import Digest
from modelpack.signing.signing import Prove
from modelpack.trust import verification
from modelpack.trust.bundle import Bundle
from modelpack.trust.expected import Expected, Identity, Key, Pattern, Signer
from modelpack.trust.signer import Signer as OurSigner
from modelpack.trust.trusted_root import TrustedRoot


def prover(signer: OurSigner, trusted: TrustedRoot, *, now: int) -> Prove:
    """Return what judges bundles of `signer` by `trusted`, of which a bare key needs nothing."""
    expected = _expected(signer)

    def prove(bundle: Bundle, *, subject: Digest, predicate_type: str, payload: bytes = b"") -> str:
        proof = verification.verify(
            bundle, subject=subject, trusted=trusted, now=now, payload=payload,
            expected=Expected(
                predicate_type=predicate_type, signers=(expected,),
                # Rekor v2 takes no signatures of the older form, which a key can do without.
                log=bool(bundle.entries if payload else signer.services.logs),
            ),
        )  # fmt: skip
        if proof.holds:
            return ""
        step = proof.failure
        return f"{step.name}: {step.found}" if step else "no step failed, and not all were taken"

    return prove


def _expected(signer: OurSigner) -> Signer:
    identity = signer.identity
    if identity.key:
        return Key(name="the key that signs", spki=signer.key.spki)
    return Identity(
        name="the identity that signs",
        identity=Pattern(text=identity.subject), issuer=Pattern(text=identity.issuer),
    )  # fmt: skip
