"""What a service says that it runs, against what an image says of itself."""

from collections.abc import Mapping
from typing import Any

from modelpack.inputs.quoting import quoted
from modelpack.run_configuration import NAMESPACE
from modelpack.verifying.facts import Facts
from modelpack.verifying.report import Requirement

_LABELS: Mapping[str, str] = {
    "weights_digest": f"{NAMESPACE}weights.digest",
    "model": f"{NAMESPACE}model.name",
    "version": f"{NAMESPACE}model.version",
    "revision": "org.opencontainers.image.revision",
}
"members of the answer of `health.version`, and the labels that say the same"
_NEEDED = "weights_digest"


def requirement(said: Mapping[str, Any], images: tuple[Facts, ...], url: str) -> Requirement:
    """Judge that what answers at `url` serves one of the `images`: these weights, this commit."""
    wanted = f"{url} serves it"
    complaints = [_complaint(said, facts) for facts in images]
    if not complaints or all(complaints):
        return Requirement(
            name="running", outcome="failed", wanted=wanted,
            found=complaints[0] if complaints else "there is no image",
            hint="deploy what is promoted, by digest",
        )  # fmt: skip
    return Requirement(name="running", outcome="met", wanted=wanted,
                       found=f"weights {quoted(str(said[_NEEDED]))}")  # fmt: skip


def _complaint(said: Mapping[str, Any], facts: Facts) -> str:
    """Return what is not as `facts` have it; empty: all that both sides say agrees."""
    if _NEEDED not in said:
        return f"the answer has no `{_NEEDED}`"
    if not facts.labels.get(_LABELS[_NEEDED]):
        return "the image does not say what its weights are"
    wrong = [
        f"{name} is {quoted(str(said[name]))}, not {quoted(facts.labels.get(label, ''))}"
        for name, label in _LABELS.items()
        if name in said
        and (name == _NEEDED or label in facts.labels)
        and said[name] != facts.labels.get(label, "")
    ]
    return "; ".join(wrong)
