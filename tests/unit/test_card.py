"""`modelpack card`: what it says, and that no value is read as Markdown or HTML."""

import json
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from modelpack.cli.display import card_text
from modelpack.cli.display.card_text import Told
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


def elements(text: str) -> list[str]:
    """Return what a renderer of Markdown makes of a card, without its words."""
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(text)
    return [one.type for token in tokens for one in (token, *(token.children or ()))
            if one.type not in ("text", "text_special", "code_inline", "softbreak")]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_whatever_an_image_says_is_text(text: str) -> None:
    def told(words: str) -> Told:
        return Told(
            inspection=page.hostile(words), card=Card(intended_use=words, limitations=words),
            evaluations=({"weights": page.inspection().claims.weights,
                          "metrics": [{"name": words, "slice": words, "value": words}]},
                         {"weights": words}),
            verified=page.verified(words),
        )  # fmt: skip

    assert elements(card_text.card(told(text))) == elements(card_text.card(told("harmless words")))


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
    assert "| f1 | de | 0\\.8125 |" in card
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
    assert "**Refused** by the policy policy\\.toml" in done.out
    assert run_here(capsys, "card", f"oci:{layout}", "--trusted-root", policy).status == 2
