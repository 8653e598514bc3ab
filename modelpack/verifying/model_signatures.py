"""Signatures over the model itself (OpenSSF Model Signing), against the weights of an image.

Source: ossf/model-signing-spec, v1.0: the subject is a digest over those of all files.
"""

from collections.abc import Sequence
from dataclasses import replace

from modelpack.errors import InputError
from modelpack.inputs.quoting import quoted
from modelpack.inspection.referrer_document import ReferrerDocument
from modelpack.trust import model_signature
from modelpack.trust.expected import Expected
from modelpack.trust.policy import TYPES, Weights
from modelpack.trust.policy.expecting import expected
from modelpack.trust.statement import Statement
from modelpack.verifying.bench import Bench, met, unmet
from modelpack.verifying.facts import Facts, WeightSet
from modelpack.verifying.proving import Accepted
from modelpack.verifying.report import Requirement
from modelpack.verifying.signed import is_signed


def requirement(bench: Bench, facts: Facts, rules: Weights) -> Requirement:
    """Judge that every weights of the image are signed by one of the policy's signers."""
    wanted = f"the model is signed by {bench.named(rules.signers)}"
    names = {one.name for one in facts.weights}
    if not names:
        return unmet("weights", wanted, "the image does not say what its weights are")
    kind = expected(bench.policy, rules.signers, TYPES["weights"][0])
    holds, reasons = list[Accepted](), list[str]()
    for document in bench.beside(facts.digest):
        accepted, reason = _proved(bench, document, kind)
        if accepted is not None and accepted.proof.statement is not None:
            name, reason = covered(accepted.proof.statement, facts.weights)
            names.discard(name)
            holds.append(accepted)
        reasons += [reason] if reason else []
    if not names:
        return met("weights", wanted, holds[0])
    sure = not {facts.digest, bench.gathered.within.get(facts.digest)} & bench.gathered.unavailable
    nothing = f"nothing that is signed covers {', '.join(map(quoted, sorted(names)))}"
    return unmet("weights", wanted, "; ".join(dict.fromkeys(reasons)) or nothing,
                 outcome="failed" if sure else "unknown")  # fmt: skip


def _proved(
    bench: Bench, document: ReferrerDocument, kind: Expected
) -> tuple[Accepted | None, str]:  # fmt: skip
    """Prove a signature whose subject is the model; what is none of those is passed over."""
    statement = document.statement
    if statement is None or statement.predicate_type != kind.predicate_type:
        return None, ""
    digest = statement.subjects[0].sha256
    if digest is None or not is_signed(document):
        return None, ""
    accepted, refused = bench.judge.prove("weights", [replace(document, subject=digest)], [kind])
    bench.refused.extend(refused)
    return (accepted[0], "") if accepted else (None, f"{refused[0].step}: {refused[0].reason}")


def covered(statement: Statement, sets: Sequence[WeightSet]) -> tuple[str, str]:
    """Return the name of the weights that `statement` covers whole, else why it covers none."""
    try:
        files = model_signature.read(statement).files
    except InputError as error:
        return "", error.findings[0].message
    for one in sets:
        packed = {
            name: sha256 for name, sha256 in one.files.items()
            if name != model_signature.SIGNATURE_FILE
        }  # fmt: skip
        if packed and all(files.get(name) == sha256 for name, sha256 in packed.items()):
            return one.name, ""
    names = ", ".join(quoted(one.name) for one in sets) or "none"
    return "", f"its files are not the weights of the image ({names})"
