"""Model cards as people read them: `make golden` writes them anew."""

from dataclasses import replace
from pathlib import Path

import pytest

from modelpack.cli.display import card_text
from modelpack.cli.display.card_text import Told
from modelpack.inspection.beside import ReferrerClaim, SbomClaim
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
EVALUATION = {
    "weights": IT.claims.weights,
    "metrics": [{"name": "accuracy", "value": "0.90"},
                {"name": "f1", "slice": "en", "value": "0.7"}],
    "requirements": [{"metric": "slices.en.f1", "bound": ">= 0.5", "value": "0.7"}],
}  # fmt: skip
FULL = Told(
    inspection=replace(IT, referrers=(SBOM,), training=TrainingClaim(
        run="run 7", data=(DataClaim(name="pile", version="1", uri="https://example.org/a_b"),),
    )),
    card=Card(intended_use="Tests, *only*", limitations="<small>"),
    evaluations=(EVALUATION, {"weights": "sha256:" + "0" * 64}),
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
