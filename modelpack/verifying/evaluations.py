"""What a signed evaluation says, judged by a policy's own bounds: whatever its author asked for."""

from collections.abc import Iterator, Mapping
from typing import Any

from modelpack.inputs.quoting import quoted
from modelpack.inspection.json_values import tables, text
from modelpack.metric import reaches, sliced
from modelpack.trust.policy import Evaluation
from modelpack.verifying.bench import Bench
from modelpack.verifying.facts import Facts
from modelpack.verifying.proving import Accepted
from modelpack.verifying.report import Requirement


def requirement(bench: Bench, facts: Facts, rules: Evaluation) -> Requirement:
    """Judge the newest evaluation: of exactly the image's weights, with metrics in bounds."""

    def complaints(one: Accepted) -> Iterator[str]:
        said = one.proof.statement.predicate if one.proof.statement else {}
        weights = text(said, "weights")
        if not facts.weights_digest:
            yield "the image does not say what its weights are"
        elif weights != facts.weights_digest:
            yield f"it is about other weights: {quoted(weights or 'none')}"
        for metric, bound in sorted(rules.require.items()):
            yield from _complaint(said, metric, bound)

    bounds = ", ".join(f"{metric} {bound}" for metric, bound in sorted(rules.require.items()))
    return bench.newest(
        "evaluation", facts, rules.signers, rules.max_age,
        wanted=f"{bounds or 'an evaluation'} of exactly these weights", complaints=complaints,
    )  # fmt: skip


def _complaint(said: Mapping[str, Any], metric: str, bound: str) -> Iterator[str]:
    """Yield how a metric misses its bound; each value that it has must reach it."""
    values = [
        text(one, "value") for one in tables(said, "metrics")
        if (text(one, "name"), text(one, "slice")) == sliced(metric)
    ]  # fmt: skip
    if not values:
        yield f"it has no {quoted(metric)}"
    for value in values:
        if not reaches(value, bound):
            yield f"{quoted(metric)} is {quoted(value)}, and must be {bound}"
