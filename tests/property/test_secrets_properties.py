"""Tokens are found wherever they stand, and no text makes the scanner fail or talk."""

import re

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelpack.checks.secrets import assignments as secret_assignments
from modelpack.checks.secrets import gate as secrets
from modelpack.checks.secrets.rules import RULES

RELAXED = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SHAPES = {
    "github-token": "ghp_{36}",
    "gitlab-token": "glpat-{20}",
    "huggingface-token": "hf_{34}",
    "anthropic-key": "sk-ant-{40}",
    "openai-key": "sk-{48}",
    "npm-token": "npm_{36}",
    "stripe-key": "sk_live_{24}",
    "groq-key": "gsk_{52}",
}
alphabet = st.text("bcdfgjklmnpqrtvwzBCDFGJKLMNPQRTVWZ23456789", min_size=60, max_size=60)
before = st.sampled_from(["", " ", "\n", "'", '"', "=", "token: ", "(", "\t", "é", "`", ">", "…"])
after = st.sampled_from(["", " ", "\n", "'", '"', ",", ";", ")", "\t", "é", "`", "<", "…", "]"])


@RELAXED
@given(st.sampled_from(sorted(SHAPES)), alphabet, st.text(max_size=50), before, after)
def test_token_is_found_wherever_it_stands(
    rule: str, letters: str, text: str, left: str, right: str
) -> None:
    prefix, _, count = SHAPES[rule].rstrip("}").partition("{")
    token = prefix + letters[: int(count)]
    if secret_assignments.is_sample(token):
        return
    found = secrets.findings_in_text(f"{text}\n{left}{token}{right}\n", "a")
    assert f"secrets.{rule}" in {finding.rule for finding in found} or "://" in text
    assert all(token[6:] not in finding.message for finding in found)


@RELAXED
@given(st.text(max_size=400), st.dictionaries(st.text(max_size=20), st.text(max_size=60)))
def test_any_text_is_scanned_and_findings_can_be_printed(text: str, values: dict[str, str]) -> None:
    found = (*secrets.findings_in_text(text, "a"), *secrets.findings_in_values(values, "a"))
    assert all(finding.message.isprintable() for finding in found)


@RELAXED
@given(
    st.from_regex(
        re.compile(r"[a-z_]{0,10}(password|api_key|token|secret)[\w]{0,6} ?[=:] ?.{0,40}")
    )
)
def test_assignments_of_any_shape_are_judged(text: str) -> None:
    for finding in secrets.findings_in_text(text, "a"):
        assert finding.message.isprintable()
        assert finding.at.startswith("a:")


@RELAXED
@given(st.data())
def test_what_a_rule_matches_is_never_shown(data: st.DataObject) -> None:
    rule = data.draw(st.sampled_from(RULES))
    text = data.draw(st.from_regex(rule.pattern))
    for match in re.finditer(rule.pattern, text):
        secret = match["secret"]
        if len(secret) > 12 and not secret_assignments.is_placeholder(secret):
            found = secrets.findings_in_text(text, "a")
            assert all(secret not in finding.message for finding in found)
