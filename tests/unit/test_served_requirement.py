"""What a service says that it serves, against an image."""

import pytest

from modelpack.digest import of as digest_of
from modelpack.verifying import running
from modelpack.verifying.facts import Facts

WEIGHTS = "dev.modelpack.weights.digest"


def judged(said: dict[str, object], labels: dict[str, str]) -> str:
    facts = Facts(
        digest=digest_of(b"image"), platform="", labels=labels, base=(), license="", unsafe=(),
        states_weights=False, weights=(),
    )  # fmt: skip
    return running.requirement(said, (facts,), "http://127.0.0.1/version").outcome


def test_the_weights_agree() -> None:
    assert judged({"weights_digest": "sha256:1"}, {WEIGHTS: "sha256:1"}) == "met"


@pytest.mark.parametrize("labels", [{}, {WEIGHTS: ""}])
def test_nothing_on_both_sides_is_no_agreement(labels: dict[str, str]) -> None:
    assert judged({"weights_digest": ""}, labels) == "failed"
