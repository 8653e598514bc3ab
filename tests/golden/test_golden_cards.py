"""Model cards as people read them: `make golden` writes them anew."""

from dataclasses import replace
from pathlib import Path

import pytest

from modelpack.cli.display import card_text
from modelpack.cli.display.card_text import Told
from modelpack.inspection.beside import (
    EvaluationClaim,
    MetricClaim,
    ReferrerClaim,
    SbomClaim,
    VerdictClaim,
)
from modelpack.inspection.value import DataClaim, TrainingClaim
from modelpack.spec import Card
from tests.unit import test_page as made

HERE = Path(__file__).parent / "cards"
IT = made.inspection()
SBOM = ReferrerClaim(
    digest="sha256:" + "1" * 64, subject=IT.digest, artifact_type="", predicate_type="",
    kind="sbom", size=1, summary="CycloneDX 1.6, 3 components", signed="", what="sbom",
    by="subject",
    sbom=SbomClaim(format="CycloneDX 1.6", made_by="", created="", components={},
                   licenses={"MIT": 2, "GPL-2.0-only": 1}, complete=True),
)  # fmt: skip
METRICS = (
    MetricClaim(name="accuracy", slice="", value="0.90", bound=""),
    MetricClaim(name="f1", slice="en", value="0.7", bound=">= 0.5"),
)
EVALUATION = replace(
    SBOM, what="evaluation", sbom=None, summary="2 numbers", signed="ci@acme.example by acme",
    document="one", evaluation=EvaluationClaim(weights=IT.claims.weights, metrics=METRICS),
)  # fmt: skip
OTHERS = replace(
    EVALUATION, document="other",
    evaluation=EvaluationClaim(weights="sha256:" + "0" * 64, metrics=METRICS),
)  # fmt: skip
TEST = replace(
    SBOM, what="test", sbom=None, summary="passed",
    verdict=VerdictClaim(
        outcome="PASSED", by="", finished="", limits={"p95": "200ms"},
        measured={"p95": 0.0123, "memory": 31_457_280.0, "requests": 120.0},
    ),
)  # fmt: skip
FULL = Told(
    inspection=replace(
        IT, referrers=(SBOM, EVALUATION, replace(EVALUATION, signed=""), OTHERS, TEST),
        training=TrainingClaim(
            run="run 7", data=(DataClaim(name="pile", version="1", uri="https://example.org/a_b"),),
        ),
    ),
    card=Card(intended_use="Tests, *only*", limitations="<small>"),
    repository="ghcr.io/acme/digits",
)  # fmt: skip
CASES = {
    "claims": FULL,
    "judged": replace(FULL, verified=made.verified("scan | it")),
    "silent": Told(inspection=replace(IT, training=TrainingClaim(), weight_sets=(), packages=())),
}


@pytest.mark.parametrize("name", CASES)
def test_the_card_is_the_one_that_was_reviewed(name: str, *, rewrite: bool) -> None:
    expected = HERE / f"{name}.md"
    found = card_text.card(CASES[name])
    if rewrite:
        expected.write_text(found, encoding="utf-8")
    assert found == expected.read_text(encoding="utf-8"), "if that was meant, `make golden`"
