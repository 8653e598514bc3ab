"""All that hangs on an image against one expectation: what holds, and why the rest does not."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from modelpack.errors import InputError
from modelpack.inspection.referrer_document import ReferrerDocument
from modelpack.trust import verification
from modelpack.trust.expected import Expected
from modelpack.trust.proof import Proof, Step
from modelpack.trust.trusted_root import TrustedRoot
from modelpack.verifying import signed
from modelpack.verifying.report import Refusal
from modelpack.verifying.signed import Signed


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A proof that holds, and the bundle that it is of."""

    signed: Signed
    proof: Proof


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """What all proofs have in common."""

    trusted: TrustedRoot
    now: int

    def prove(
        self, requirement: str, beside: Iterable[ReferrerDocument], expected: Sequence[Expected]
    ) -> tuple[list[Accepted], list[Refusal]]:
        """Return what holds, the newest first, and why the others do not."""
        accepted, refused = list[Accepted](), list[Refusal]()
        for document in beside:
            if not signed.is_signed(document):
                continue
            try:
                found = signed.read(document)
            except InputError as error:
                refused.append(_unreadable(requirement, document, error))
                continue
            proof, failure = self._proof(found, expected)
            if failure is None:
                accepted.append(Accepted(signed=found, proof=proof))
            else:
                refused.append(_refusal(requirement, found, failure))
        accepted.sort(key=lambda one: one.proof.time or 0, reverse=True)
        return accepted, refused

    def _proof(self, found: Signed, expected: Sequence[Expected]) -> tuple[Proof, Step | None]:
        """Return the proof of the expectation that fits the type of `found`, and where it fails."""
        fitting = [one for one in expected if one.predicate_type == found.predicate_type]
        proof = verification.verify(
            found.bundle, subject=found.subject, trusted=self.trusted,
            expected=(fitting or expected)[0], now=self.now, payload=found.payload,
        )  # fmt: skip
        if proof.holds:
            return proof, None
        return proof, proof.failure or proof.steps[-1]


def _refusal(requirement: str, found: Signed, failure: Step) -> Refusal:
    return Refusal(
        evidence=found.evidence, subject=found.subject, requirement=requirement,
        predicate_type=found.predicate_type, step=failure.name, reason=failure.found,
        hint=failure.hint,
    )  # fmt: skip


def _unreadable(requirement: str, document: ReferrerDocument, error: InputError) -> Refusal:
    return Refusal(
        evidence=document.descriptor.digest, subject=document.subject, requirement=requirement,
        predicate_type=document.predicate_type, step="envelope", reason=str(error),
    )  # fmt: skip
