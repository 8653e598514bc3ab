"""The head of a model card for programs: YAML that the Hugging Face Hub reads.

Every value is written as JSON writes it, which YAML reads as the same text or number.
Source: Hugging Face Hub, "Model Cards", `modelcard.md` (metadata), "Licenses".
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from modelpack.cli import display
from modelpack.inspection.beside import EvaluationClaim, MetricClaim
from modelpack.inspection.value import Inspection

# By SPDX's names in lower case, without `-only` and `-or-later`; others are `other` there.
_LICENSES: Final = frozenset({
    "afl-3.0", "agpl-3.0", "apache-2.0", "artistic-2.0", "bsd-2-clause", "bsd-3-clause",
    "bsd-3-clause-clear", "bsl-1.0", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0",
    "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0",
    "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0", "cc-by-nd-4.0", "cc-by-sa-3.0",
    "cc-by-sa-4.0", "cc0-1.0", "cdla-permissive-1.0", "cdla-permissive-2.0", "cdla-sharing-1.0",
    "ecl-2.0", "epl-1.0", "epl-2.0", "eupl-1.1", "eupl-1.2", "gpl-2.0", "gpl-3.0", "isc",
    "lgpl-2.1", "lgpl-3.0", "lppl-1.3c", "mit", "mpl-2.0", "ms-pl", "ncsa", "odbl-1.0",
    "ofl-1.1", "osl-3.0", "postgresql", "unlicense", "wtfpl", "zlib",
})  # fmt: skip
_RENAMED: Final = {"odbl-1.0": "odbl"}
_HUB_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
_HUB_MODEL: Final = re.compile(rf"pkg:huggingface/({_HUB_NAME}(?:/{_HUB_NAME})?)(?:@[^?#]*)?")
_HUB_DATA: Final = re.compile(
    rf"(?:https://huggingface\.co/datasets/|hf://datasets/)({_HUB_NAME}(?:/{_HUB_NAME})?)/?"
)
_WORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,29})(?:\.[0-9]{1,30})?")
_MOST: Final = 200
"of a list"
_NAME: Final = "the author's evaluation"


def head(it: Inspection, evaluations: Sequence[EvaluationClaim]) -> str:
    """Return the lines before the card's text; what nobody states is left out."""
    said = dict(_said(it, evaluations))
    return "\n".join(["---", *_mapping(said), "---"]) if said else ""


def _said(
    it: Inspection, evaluations: Sequence[EvaluationClaim]
) -> Iterator[tuple[str, Any]]:  # fmt: skip
    model = it.model
    if model.license:
        yield from _license(model.license)
    if _WORD.fullmatch(model.framework):
        yield "library_name", model.framework
    if _WORD.fullmatch(model.task):
        yield "pipeline_tag", model.task
    if found := _HUB_MODEL.fullmatch(model.base):
        yield "base_model", found[1]
    data = [found[1] for one in it.training.data if (found := _HUB_DATA.fullmatch(one.uri))]
    if data:
        yield "datasets", list(dict.fromkeys(data))[:_MOST]
    words = ["modelpack"] * bool(it.claims.format) + [model.architecture]
    if tags := [word for word in dict.fromkeys(words) if _WORD.fullmatch(word)]:
        yield "tags", tags
    results = [result for one in evaluations for result in _results(model.task, one)]
    if results and model.name:
        yield "model-index", [{"name": model.name, "results": results[:_MOST]}]


def _license(expression: str) -> Iterator[tuple[str, str]]:
    name = re.sub(r"-(?:only|or-later)$", "", expression.lower())
    if name in _LICENSES:
        yield "license", _RENAMED.get(name, name)
    else:
        yield "license", "other"
        yield "license_name", expression


def _results(task: str, evaluation: EvaluationClaim) -> Iterator[Mapping[str, Any]]:
    """Yield the metrics of each slice: the Hub wants a task and a data set beside them."""
    slices: dict[str, list[MetricClaim]] = {}
    for metric in evaluation.metrics:
        if _NUMBER.fullmatch(metric.value):
            slices.setdefault(metric.slice, []).append(metric)
    for part, metrics in slices.items():
        data = {"type": "evaluation", "name": _NAME, **({"config": part} if part else {})}
        yield {
            "task": {"type": task if _WORD.fullmatch(task) else "other"},
            "dataset": data,
            "metrics": [
                {"type": one.name, "name": one.name, "value": _Number(one.value)}
                for one in metrics[:_MOST]
            ],
        }


class _Number(str):
    """Digits as they are written."""

    __slots__ = ()


def _mapping(value: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of a block mapping, whose keys are ours."""
    for key, item in value.items():
        if isinstance(item, Mapping):
            yield f"{key}:"
            yield from (f"  {line}" for line in _mapping(item))
        elif isinstance(item, list):
            yield f"{key}:"
            yield from _sequence(item)
        else:
            yield f"{key}: {_scalar(item)}"


def _sequence(items: Sequence[Any]) -> Iterator[str]:
    for item in items:
        if isinstance(item, Mapping):
            first, *rest = _mapping(item)
            yield f"- {first}"
            yield from (f"  {line}" for line in rest)
        else:
            yield f"- {_scalar(item)}"


def _scalar(value: str) -> str:
    """Return a number as it is written, a plain word as it is, all else in quotes."""
    if isinstance(value, _Number):
        return str(value)
    if re.fullmatch(r"[a-z][a-z-]*[a-z]", value) and value not in _WORDS_OF_YAML:
        return value
    return json.dumps(display.escape(value), ensure_ascii=False)


_WORDS_OF_YAML: Final = frozenset({"true", "false", "null", "yes", "no", "on", "off"})
"what YAML 1.1 and 1.2 take for something else than text"
