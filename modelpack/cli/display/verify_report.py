"""A Report of a verification as tables for people and as JSON."""

from collections.abc import Iterator, Mapping
from typing import Any

from modelpack.canonical_json import rfc3339
from modelpack.cli import display
from modelpack.trust.proof import Proof, Step
from modelpack.verifying.report import Judged, Refusal, Report, Requirement

_ANSWERS = {
    "verified": "verified",
    "refused": "refused: not everything that is asked for is proved",
    "unknown": "could not find out",
}
_MARKS = {"met": "+", "failed": "-", "unknown": "?", "waived": "~"}
_PASSED = {"passed": "+", "failed": "-", "not needed": "=", "not reached": " "}
_DIGITS = 19
"of a digest: `sha256:` and twelve"
_REFUSALS = 20


def text(report: Report, *, verbose: bool) -> str:
    """Return the report for people; `verbose` with every step of every proof."""
    return "\n".join(_lines(report, verbose=verbose))


def _lines(report: Report, *, verbose: bool) -> Iterator[str]:
    yield f"image  {report.digest}"
    for judged in report.judged:
        yield ""
        name = " ".join(filter(None, (judged.role, judged.platform)))
        yield f"{name} {judged.digest}"
        yield from _requirements(judged)
        if verbose:
            yield from _proofs(judged)
    yield from _refusals(report, verbose=verbose)
    if report.unsigned:
        yield ""
        count = len(report.unsigned)
        yield f"{count} statement{'s' * (count != 1)} beside it, signed by nobody: not counted"
    yield ""
    yield _ANSWERS[report.answer]


def _requirements(judged: Judged) -> Iterator[str]:
    rows = [[f"  {_MARKS[one.outcome]}", one.outcome, one.name, one.found]
            for one in judged.requirements]  # fmt: skip
    yield display.table(rows, width=0)
    for one in judged.requirements:
        if one.outcome in ("failed", "unknown"):
            yield f"    {one.name}: wanted {one.wanted}"
            if one.hint:
                yield f"    hint: {one.hint}"


def _proofs(judged: Judged) -> Iterator[str]:
    for one in judged.requirements:
        if one.proof is not None:
            yield f"  proof of {one.name}, {one.evidence}"
            rows = [
                [f"    {_PASSED[step.outcome]}", str(step.number), step.name, step.found]
                for step in one.proof.steps
            ]
            yield display.table(rows, right=[1], width=0)


def _refusals(report: Report, *, verbose: bool) -> Iterator[str]:
    """Yield why signed contents were refused: where something is missing, or when asked."""
    wanting = {
        one.name
        for judged in report.judged
        for one in judged.requirements
        if one.outcome in ("failed", "unknown")
    }
    once = {(one.evidence, one.step, one.reason): one for one in reversed(report.refused)}
    shown = [
        one for one in (report.refused if verbose else reversed(once.values()))
        if verbose or (one.requirement in wanting and one.step != "predicate type")
    ]  # fmt: skip
    if not shown:
        return
    yield ""
    yield "refused"
    rows = [
        ["  -", one.evidence[:_DIGITS], one.requirement, one.step, one.reason]
        for one in shown[: None if verbose else _REFUSALS]
    ]
    yield display.table(rows, width=0)
    if not verbose and len(shown) > _REFUSALS:
        yield f"  and {len(shown) - _REFUSALS} more; -v shows all"
    for hint in dict.fromkeys(one.hint for one in shown if one.hint):
        yield f"  hint: {hint}"


def document(report: Report) -> Mapping[str, Any]:
    """Return the report for programs."""
    return {
        "digest": report.digest,
        "answer": report.answer,
        "judged": [
            {
                "role": judged.role,
                "digest": judged.digest,
                "platform": judged.platform,
                "requirements": [_requirement(one) for one in judged.requirements],
            }
            for judged in report.judged
        ],
        "refused": [_refusal(one) for one in report.refused],
        "unsigned": list(report.unsigned),
        "findings": display.plain(report.notes),
    }


def _requirement(one: Requirement) -> Mapping[str, Any]:
    return {
        "name": one.name, "outcome": one.outcome, "wanted": one.wanted, "found": one.found,
        "hint": one.hint, "evidence": one.evidence or None,
        "proof": _proof(one.proof) if one.proof else None,
    }  # fmt: skip


def _proof(proof: Proof) -> Mapping[str, Any]:
    return {
        "signer": proof.signer,
        "identity": proof.identity,
        "issuer": proof.issuer,
        "key": proof.key,
        "extensions": dict(proof.extensions),
        "time": rfc3339(proof.time) if proof.time is not None else None,
        "log_index": proof.log_index,
        "predicate_type": proof.predicate_type,
        "steps": [_step(step) for step in proof.steps],
    }


def _step(step: Step) -> Mapping[str, Any]:
    return {
        "number": step.number, "name": step.name, "outcome": step.outcome, "found": step.found,
    }  # fmt: skip


def _refusal(one: Refusal) -> Mapping[str, Any]:
    return {
        "evidence": one.evidence, "subject": one.subject, "requirement": one.requirement,
        "predicate_type": one.predicate_type, "step": one.step, "reason": one.reason,
        "hint": one.hint,
    }  # fmt: skip
