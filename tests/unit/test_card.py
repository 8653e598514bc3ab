"""`modelpack card`: what it says, and that no value is read as Markdown or HTML."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt

from modelpack.cli import display
from modelpack.cli.display import card_text
from modelpack.cli.display.card_text import Told
from modelpack.inspection.beside import (
    EvaluationClaim,
    MetricClaim,
    SignatureClaim,
    SignerClaim,
    VerdictClaim,
)
from modelpack.inspection.value import Claims, DataClaim, ModelClaim, TrainingClaim
from modelpack.spec import Card
from tests import projects
from tests.command_line import run_here
from tests.described_image import complete
from tests.unit import test_page as page
from tests.unit.test_inspect_command import write_layout

HOSTILE = (
    *page.HOSTILE, "[click](javascript:alert(1))", "![x](http://evil.example/x.png)", "# heading",
    "a | b | c", "    code", "```\ncode", "- item\n- item", "<http://evil.example>", "**bold**",
)  # fmt: skip


def parts(text: str) -> tuple[dict[str, Any], str]:
    """Return what stands in the card's head, and its text."""
    start, head, body = text.split("---\n", 2)
    assert start == ""
    read: dict[str, Any] = yaml.safe_load(head)
    return read, body


def elements(text: str) -> list[str]:
    """Return what a renderer of Markdown makes of a card, without its words."""
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(parts(text)[1])
    return [one.type for token in tokens for one in (token, *(token.children or ()))
            if one.type not in ("text", "text_special", "code_inline", "softbreak")]  # fmt: skip


def told(words: str) -> Told:
    """Return a card that says `words` wherever somebody can say something."""
    it = page.hostile(words)
    one = it.referrers[0]
    metrics = (MetricClaim(name=words, slice=words, value="0.5", bound=words),)
    own = EvaluationClaim(weights=page.inspection().claims.weights, metrics=metrics)
    others = EvaluationClaim(weights=words, metrics=metrics)
    verdict = VerdictClaim(outcome=words, by=words, finished=words, measured={words: 1.5},
                           limits={words: words})  # fmt: skip
    beside = (
        replace(one, evaluation=own, document="one"), replace(one, evaluation=others),
        replace(one, what="test", verdict=verdict),
    )  # fmt: skip
    return Told(
        inspection=replace(it, referrers=beside),
        repository=words,
        card=Card(intended_use=words, limitations=words),
        verified=page.verified(words),
    )


@pytest.mark.parametrize("text", HOSTILE)
def test_whatever_an_image_says_is_text(text: str) -> None:
    assert elements(card_text.card(told(text))) == elements(card_text.card(told("harmless words")))


@pytest.mark.parametrize("text", [*HOSTILE, "yes", "null", "1e3", "---", "a: b", "- a", '"', "\\"])
def test_whatever_an_image_says_is_a_text_of_the_head(text: str) -> None:
    head, _ = parts(card_text.card(told(text)))
    assert head["license_name"] == display.escape(text)
    (model,) = head["model-index"]
    assert model["name"] == display.escape(text)
    (result,) = model["results"]
    assert result["dataset"]["config"] == display.escape(text)
    assert result["metrics"] == [
        {"type": display.escape(text), "name": display.escape(text), "value": 0.5}
    ]


def test_the_hub_reads_the_head() -> None:
    it = page.inspection()
    metrics = (
        MetricClaim(name="accuracy", slice="", value="0.97", bound=">= 0.9"),
        MetricClaim(name="f1", slice="en", value="0.5", bound=""),
        MetricClaim(name="loss", slice="", value="1e-3", bound=""),
    )
    one = page.hostile("x").referrers[0]
    evaluation = EvaluationClaim(weights=it.claims.weights, metrics=metrics)
    model = ModelClaim(
        name="minilm", license="GPL-3.0-only", task="sentence-similarity", framework="numpy",
        architecture="bert", base="pkg:huggingface/nreimers/MiniLM-L6@4f2a",
    )  # fmt: skip
    data = tuple(
        DataClaim(uri=uri)
        for uri in ("https://huggingface.co/datasets/acme/pile", "https://huggingface.co/datasets/eli5",
                    "https://example.org/datasets/x", "s3://acme/x")
    )  # fmt: skip
    it = replace(it, model=model, training=TrainingClaim(data=data),
                 referrers=(replace(one, evaluation=evaluation),))  # fmt: skip
    read = ModelCard(card_text.card(Told(inspection=it))).data
    assert (read.license, read.pipeline_tag, read.library_name) == (
        "gpl-3.0", "sentence-similarity", "numpy",
    )  # fmt: skip
    assert read.base_model == "nreimers/MiniLM-L6"
    assert read.datasets == ["acme/pile", "eli5"]
    assert read.tags == ["modelpack", "bert"]
    results = [(one.metric_type, one.metric_value, one.dataset_config) for one in read.eval_results]
    assert results == [("accuracy", 0.97, None), ("f1", 0.5, "en")]


def test_a_licence_that_the_hub_does_not_know_has_a_name() -> None:
    it = replace(page.inspection(), model=ModelClaim(license="MIT OR Apache-2.0"))
    head, _ = parts(card_text.card(Told(inspection=it)))
    assert (head["license"], head["license_name"]) == ("other", "MIT OR Apache-2.0")


@pytest.mark.parametrize(
    ("signer", "options"),
    [
        (SignerClaim(key_hint="x"), "--key KEY.pub"),
        (SignerClaim(identities=("a@b",)), "--certificate-identity WHO"),
    ],
)
def test_the_commands_fit_how_it_is_signed(signer: SignerClaim, options: str) -> None:
    one = page.hostile("x").referrers[0]
    signed = replace(one, signature=SignatureClaim(form="bundle", signer=signer))
    it = replace(page.inspection(), referrers=(signed,))
    card = card_text.card(Told(inspection=it, repository="ghcr.io/acme/x"))
    assert f"modelpack verify ghcr.io/acme/x@{it.digest} \\\n  {options}" in card


def test_a_foreign_image_is_not_called_ours() -> None:
    it = page.inspection()
    it = replace(it, claims=Claims(), model=ModelClaim(), training=TrainingClaim())
    assert card_text.card(Told(inspection=it)).startswith("# A model without a name\n")


def test_a_card_of_a_built_project_has_its_evaluation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setenv("MODELPACK_CACHE", str(cache))
    toml = projects.TOML + '[card]\nintended-use = "Tests"\n[evaluation]\nreport = "e.json"\n'
    folder = projects.make_project(tmp_path / "project", cache, toml=toml)
    lock = json.loads((folder / "modelpack.lock").read_bytes())
    report = {"weights": lock["weights"][0]["digest"], "slices": {"de": {"f1": 0.8125}}}
    (folder / "e.json").write_text(json.dumps(report))
    done = run_here(capsys, "build", folder, "--locked", "--offline", "-q")
    assert done.status == 0, done.err
    card = run_here(capsys, "card", folder).out
    assert "| f1 | de | 0.8125 |" in card
    assert "Claims, not verified" in card
    assert run_here(capsys, "card", folder, "--json").document["card"].rstrip() == card.rstrip()


def test_a_policy_is_judged_and_ends_as_verify_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    layout = write_layout(tmp_path / "image", complete().image())
    (tmp_path / "release.pub").write_bytes(page.public_pem(page.new_key().public_key()))
    policy = tmp_path / "policy.toml"
    policy.write_text(
        'schema = 1\nlog = false\n[signers.release]\nkey = "release.pub"\n'
        '[signature]\nsigners = ["release"]\n'
    )
    done = run_here(capsys, "card", f"oci:{layout}", "--policy", policy)
    assert done.status == 1
    assert "**Refused** by the policy policy.toml" in done.out
    assert run_here(capsys, "card", f"oci:{layout}", "--trusted-root", policy).status == 2
