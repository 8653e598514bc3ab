"""The author's evaluation as the predicate of an in-toto statement.

Source: docs/predicates/evaluation-v1.md.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from modelpack.digest import Digest, hex_of
from modelpack.inputs.evaluation import EvaluationReport
from modelpack.metric import sliced
from modelpack.spec import Spec
from modelpack.trust import predicate_types
from modelpack.trust.statement import Statement, about


def statement(
    spec: Spec, report: EvaluationReport, weights: Digest, name: str, *images: Digest
) -> Statement:
    """Return what `report` says of `weights`, which the `images` hold; its bounds are reached."""
    return Statement(
        subjects=about(name, *images), predicate_type=predicate_types.EVALUATION,
        predicate={
            "weights": weights,
            "report": {"name": spec.evaluation.report, "digest": {"sha256": hex_of(report.digest)}},
            "metrics": list(_metrics(report.metrics)),
            "requirements": [
                {"metric": metric, "bound": bound, "value": report.metrics[metric]}
                for metric, bound in sorted(spec.evaluation.require.items())
            ],
        },
    )  # fmt: skip


def _metrics(metrics: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
    for name, value in metrics.items():
        metric, part = sliced(name)
        yield {"name": metric, "value": value, **({"slice": part} if part else {})}
