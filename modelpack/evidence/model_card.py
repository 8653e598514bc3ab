"""A model and its training data as CycloneDX has them: `modelCard` and `data`.

Source: CycloneDX 1.6, `modelCard`, `componentData`. Written as plain JSON: cyclonedx-python-lib
knows neither and would drop them. All of it is the author's claim, but for what is counted.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from modelpack.digest import hex_of, parse
from modelpack.errors import InputError
from modelpack.evidence.cyclonedx import PROPERTY
from modelpack.evidence.inventory import Inventory, Model
from modelpack.lock import tensors
from modelpack.metric import sliced
from modelpack.spec import Spec, TrainingData

_NAME = r"(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})"
_PATH = rf"(?:/|:|@|{_NAME})"
_URI = re.compile(
    rf"[A-Za-z][A-Za-z0-9+.-]*:(?://(?:{_NAME}*@)?{_NAME}*(?::[0-9]*)?(?:/{_PATH}*)?|(?!//){_PATH}+)"
    rf"(?:\?(?:\?|{_PATH})*)?(?:#(?:\?|{_PATH})*)?"
)
"a URI (RFC 3986) without an IP literal"


def card(inventory: Inventory, model: Model) -> dict[str, Any]:
    """Return the model card of one set of weights; members that nobody stated are left out."""
    spec = inventory.spec
    parameters: dict[str, Any] = {
        "task": spec.model.task,
        "modelArchitecture": spec.model.architecture,
        "datasets": [{"ref": data_ref(number)} for number, _ in enumerate(spec.training.data)],
    }
    found = {
        "bom-ref": f"card/{model.weights.name}",
        "modelParameters": _stated(parameters),
        "quantitativeAnalysis": _stated({"performanceMetrics": list(_metrics(inventory.metrics))}),
        "considerations": _stated({
            "useCases": [spec.card.intended_use] if spec.card.intended_use else [],
            "technicalLimitations": [spec.card.limitations] if spec.card.limitations else [],
        }),
        "properties": [
            {"name": PROPERTY + name, "value": value} for name, value in _properties(spec, model)
        ],
    }  # fmt: skip
    return _stated(found)


def data_sets(spec: Spec) -> list[dict[str, Any]]:
    """Return the data that the author claims to have trained on, as components."""
    return [_data_set(number, data) for number, data in enumerate(spec.training.data)]


def data_ref(number: int) -> str:
    """Return the reference of a data set."""
    return f"data/{number}"


def _data_set(number: int, data: TrainingData) -> dict[str, Any]:
    contents = {"url": data.uri} if _URI.fullmatch(data.uri) else {}
    stated = {
        "type": "data",
        "bom-ref": data_ref(number),
        "name": data.name,
        "version": data.version,
        "hashes": [{"alg": "SHA-256", "content": sha256} for sha256 in _sha256(data.digest)],
        "data": [_stated({"type": "dataset", "name": data.name, "contents": contents})],
        "properties": [
            {"name": f"{PROPERTY}training:{name}", "value": value}
            for name, value in (("uri", data.uri), ("digest", data.digest))
            if value
        ],
    }
    return _stated(stated)


def _sha256(digest: str) -> list[str]:
    try:
        return [hex_of(parse(digest))]
    except InputError:
        return []


def _metrics(metrics: Mapping[str, str]) -> Iterator[dict[str, str]]:
    for name, value in metrics.items():
        metric, part = sliced(name)
        yield {"type": metric, "value": value, **({"slice": part} if part else {})}


def _properties(spec: Spec, model: Model) -> Iterator[tuple[str, str]]:
    counts = tensors.total(model.weights.files)
    yield "weights:digest", model.weights.digest
    yield "weights:size", str(sum(file.size for file in model.weights.files))
    if counts:
        yield "parameters", str(sum(counts.values()))
    for dtype, count in counts.items():
        yield f"precision:{dtype}", str(count)
    for unsafe in model.weights.unsafe:
        yield "weights:unsafe", unsafe
    for name, value in (
        ("framework", spec.model.framework),
        ("training:run", spec.training.run),
        ("training:source", spec.training.source),
    ):
        if value:
            yield name, value
    for metric, bound in sorted(spec.evaluation.require.items()):
        yield f"evaluation:require:{metric}", bound


def _stated(members: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members that are not empty."""
    return {key: value for key, value in members.items() if value}
