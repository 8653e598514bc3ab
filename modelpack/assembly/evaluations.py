"""The author's evaluation of a project, read and judged: by `lock`, `check`, and before a build."""

from dataclasses import dataclass, replace
from pathlib import Path

from modelpack.errors import Finding, InputError, ModelpackError, Refused
from modelpack.inputs.evaluation import EvaluationReport
from modelpack.lock import Lock
from modelpack.metadata import weights_digest
from modelpack.spec import Spec


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """What is known of an evaluation."""

    report: EvaluationReport | None = None
    "None: there is none, or it cannot be read and nothing is asked of it"
    findings: tuple[Finding, ...] = ()


def evaluate(spec: Spec, lock: Lock | None, root: Path) -> Evaluated:
    """Return the project's evaluation; raise Refused with every bound that it misses."""
    wanted = spec.evaluation
    if not wanted.report:
        return Evaluated()
    from modelpack.checks import evaluation as checks  # noqa: PLC0415  only where there is one
    from modelpack.inputs import evaluation  # noqa: PLC0415

    try:
        report = evaluation.read(root / wanted.report)
    except InputError as error:
        if wanted.require:
            raise
        doubt = Finding(
            message=f"the SBOM has no metrics: {error.findings[0].message}",
            at="evaluation.report", severity="warning", rule="evaluation.report",
        )  # fmt: skip
        return Evaluated(findings=(doubt,))
    found = tuple(checks.findings(wanted, report, weights_digest(lock) if lock else None))
    if any(finding.severity == "error" for finding in found):
        raise Refused(*found)
    return Evaluated(report=report, findings=found)


def doubts(spec: Spec, lock: Lock, root: Path) -> tuple[Finding, ...]:
    """Return as warnings what would refuse a build.

    Only a lock says which weights are to be evaluated: it is made before there is an evaluation.
    """
    try:
        return evaluate(spec, lock, root).findings
    except ModelpackError as error:
        return tuple(replace(finding, severity="warning") for finding in error.findings)
