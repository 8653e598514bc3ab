"""Whether somebody expected has signed the files of a model: proof of the bundle, then the files.

Source: ossf/model-signing-spec v1.0, section 8. The methods `key` and `sigstore` are verified; a
certificate of an authority that is in no trusted root is not.
"""

from dataclasses import dataclass

from modelpack.digest import Digest
from modelpack.errors import Finding, InputError
from modelpack.lock import WeightsLock
from modelpack.trust import bundle as bundles
from modelpack.trust import model_signature, predicate_types, verification
from modelpack.trust import statement as statements
from modelpack.trust.bundle import Bundle
from modelpack.trust.expected import Expected, Key, Signer
from modelpack.trust.proof import Proof
from modelpack.trust.trusted_root import TrustedRoot


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A set of weights that somebody has signed."""

    weights: str
    digest: Digest
    "over all signed files: the subject"
    files: int
    "signed ones; packed may be a part of them"
    proof: Proof
    bundle: Bundle

    @property
    def signer(self) -> str:
        """Who it was, as far as that is known: an identity and its issuer, or a key."""
        if self.proof.identity:
            return f"{self.proof.identity} (issuer {self.proof.issuer})"
        return f"key sha256:{self.proof.key}"


def verify(
    data: bytes, weights: WeightsLock, signers: tuple[Signer, ...], *, trusted: TrustedRoot,
    now: int, at: str,
) -> tuple[Signed | None, tuple[Finding, ...]]:  # fmt: skip
    """Return who of `signers` signed exactly the packed files, or what is wrong with that.

    1. The bundle holds a statement about files (OMS). 2. One of `signers` has signed it: all steps
    of `verification.verify`; by key no log is needed, by identity it is. 3. Each packed file is a
    signed one with this digest.
    """
    try:
        bundle = bundles.parse(data, at=at)
        manifest = model_signature.read(statements.parse(bundle.envelope.payload, at=at), at=at)
    except InputError as error:
        return None, error.findings
    by_key = all(isinstance(signer, Key) for signer in signers)
    expected = Expected(
        predicate_type=predicate_types.OMS, signers=signers, log=not by_key
    )  # fmt: skip
    proof = verification.verify(
        bundle, subject=manifest.digest, trusted=trusted, expected=expected, now=now
    )
    if not proof.holds:
        failed = proof.failure
        reason = f"{failed.name}: {failed.found}" if failed else "it was not proved"
        hint = failed.hint if failed else ""
        return None, (
            Finding(message=f"the signature does not hold: {reason}", at=at, hint=hint,
                    rule="weights.signature"),
        )  # fmt: skip
    findings = tuple(model_signature.differences(manifest, weights, at=at))
    if findings:
        return None, findings
    return Signed(
        weights=weights.name, digest=manifest.digest, files=len(manifest.files), proof=proof,
        bundle=bundle,
    ), ()  # fmt: skip
