"""Whether the author's evaluation is of these weights, and reaches what the spec asks for."""

from collections.abc import Iterator, Mapping
from typing import Final

from modelpack.digest import Digest
from modelpack.errors import Finding
from modelpack.inputs.evaluation import EvaluationReport
from modelpack.inputs.quoting import quoted
from modelpack.metric import reaches
from modelpack.spec import Evaluation

_NAMED: Final = 8
"metrics that a message lists"


def findings(
    wanted: Evaluation, report: EvaluationReport, weights: Digest | None
) -> Iterator[Finding]:
    """Yield what is wrong; `weights` are the locked ones, None where none are locked."""
    if report.weights is None:
        known = f'"weights": "{weights}"' if weights else "the digest of the weights"
        yield Finding(
            message="the report does not say which weights it is about: nothing can be stated",
            at="evaluation.report", severity="warning", rule="evaluation.weights",
            hint=f"write {known} into {wanted.report}",
        )  # fmt: skip
    elif weights is not None and report.weights != weights:
        yield Finding(
            message=f"the report is about other weights: {report.weights}, not {weights}",
            at="evaluation.report", rule="evaluation.weights",
            hint="evaluate these weights and write their digest into the report",
        )  # fmt: skip
    for metric, bound in sorted(wanted.require.items()):
        complaint = _complaint(metric, bound, report.metrics)
        if complaint:
            yield Finding(
                message=complaint, at=f"evaluation.require.{metric}", rule="evaluation.require",
                hint="train a better model, or ask for less and say why",
            )  # fmt: skip


def _complaint(metric: str, bound: str, metrics: Mapping[str, str]) -> str:
    """Return how `metric` misses its bound; empty: it does not."""
    if metric not in metrics:
        named = ", ".join(quoted(name) for name in list(metrics)[:_NAMED])
        more = ", …" if len(metrics) > _NAMED else ""
        has = f"it has {named}{more}" if named else "it has no numbers"
        return f"the report has no number {quoted(metric)}: {has}"
    return "" if reaches(metrics[metric], bound) else (
        f"it is {quoted(metrics[metric])}, and must be {bound}"
    )  # fmt: skip
