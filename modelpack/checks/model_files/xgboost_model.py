"""An XGBoost model, JSON or UBJSON: its version, and whether its trees can be walked safely.

Source: xgboost, doc/model.schema, and doc/tutorials/saving_model.rst.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from modelpack.checks.formats.window import Window
from modelpack.checks.model_files import ubjson
from modelpack.checks.model_files.shard_index import parse_json
from modelpack.errors import Finding, InputError
from modelpack.lock import tensors as lock_tensors

RULE = "weights.xgboost"
_JSON = re.compile(rb'\s*\{\s*"(?:learner"|version"\s*:\s*\[[^]]{0,40}\]\s*,\s*"learner")')
_UBJ = re.compile(rb"\{(?:[iU].|I..|l....|L.{8})learner", re.DOTALL)
_HEAD = 512
_LIMIT = 256 << 20
"bytes of a model; forests of thousands of trees take some ten megabytes"
_TREES = {"gbtree": ("model",), "dart": ("gbtree", "model")}
"where a booster keeps its trees"
_ARRAYS = ("left_children", "right_children", "split_indices", "split_conditions")
_NUMBER = re.compile(r"[0-9]{1,9}")
_LEAF = -1
_HALF = "[5E-1]"


@dataclass(frozen=True, slots=True, kw_only=True)
class XgboostModel:
    """What a model says of itself."""

    form: Literal["json", "ubj"]
    version: tuple[int, int, int]
    "of the library that wrote it"
    booster: str
    listed_base: bool
    "its `base_score` is a list, other than of 0.5, which all releases take where they find none"
    vectors: bool
    "leaves of its trees are vectors: one tree for several outputs"
    tensors: tuple[str, ...]
    "what was learned, as the lock writes it: of all trees together, or the weights of a line"


class _Malformed(Exception):  # noqa: N818  a state of the input
    """The model is not what its schema allows."""


def form_of(window: Window) -> Literal["json", "ubj", ""]:
    """Tell whether the first bytes are those of a model of XGBoost, and in which form."""
    head = window.read(0, _HEAD)
    if _JSON.match(head):
        return "json"
    return "ubj" if _UBJ.match(head) else ""


def read(window: Window, *, at: str, form: Literal["json", "ubj"]) -> XgboostModel:
    """Return what the model in `window` says, or raise InputError naming it as `at`."""
    if window.size > _LIMIT:
        raise _refusal(f"{window.size} bytes of model, the limit is {_LIMIT}", at)
    try:
        if form == "ubj":
            value = ubjson.parse(window)
        else:
            value = parse_json(window.read(0, window.size), at=at)
        return _model(value, form)
    except (ubjson.Malformed, _Malformed) as error:
        raise _refusal(f"is no whole model of XGBoost: {error}", at) from None
    except InputError as error:
        message = f"is no whole model of XGBoost: it {error.findings[0].message}"
        raise _refusal(message, at) from None


def _model(value: object, form: Literal["json", "ubj"]) -> XgboostModel:
    learner = _member(value, "learner")
    booster = _member(learner, "gradient_booster")
    name = booster.get("name")
    if name not in (*_TREES, "gblinear"):
        raise _Malformed("`gradient_booster.name` is none of gbtree, dart, gblinear")
    version = _version(value)
    parameters = _member(learner, "learner_model_param")
    features = _number(parameters.get("num_feature"), "num_feature")
    base = parameters.get("base_score")
    vectors = False
    if name in _TREES:
        model = booster
        for key in _TREES[name]:
            model = _member(model, key)
        nodes, vectors = _forest(model, features)
        learned = [("I32", "trees.split_indices"), ("F32", "trees.split_conditions")]
        lines = tuple(lock_tensors.line(dtype, [nodes], key) for dtype, key in learned)
    else:
        lines = (lock_tensors.line("F32", [_weights(booster)], "weights"),)
    return XgboostModel(
        form=form, version=version, booster=name, tensors=lines, vectors=vectors,
        listed_base=isinstance(base, str) and base.startswith("[") and base != _HALF,
    )  # fmt: skip


def _weights(booster: Mapping[str, Any]) -> int:
    """Return how many weights a linear model has."""
    weights = _member(booster, "model").get("weights")
    if not isinstance(weights, Sequence) or isinstance(weights, str):
        raise _Malformed("`weights` is no list")
    return len(weights)


def _version(value: Any) -> tuple[int, int, int]:  # noqa: ANN401  any value
    numbers = value.get("version")
    if (
        not isinstance(numbers, Sequence)
        or len(numbers) != 3  # noqa: PLR2004  major, minor, patch
        or any(type(one) is not int or not 0 <= one < 1 << 31 for one in numbers)
    ):
        raise _Malformed("`version` is not three numbers")
    return numbers[0], numbers[1], numbers[2]


def _forest(model: Mapping[str, Any], features: int) -> tuple[int, bool]:
    """Return how many nodes all trees have, and whether leaves are vectors.

    Raises where a tree cannot be walked.
    """
    nodes, vectors = 0, False
    trees = model.get("trees")
    if not isinstance(trees, Sequence) or isinstance(trees, str):
        raise _Malformed("`trees` is no list")
    stated = _number(_member(model, "gbtree_model_param").get("num_trees"), "num_trees")
    if stated != len(trees):
        raise _Malformed(f"`num_trees` is {stated}, there are {len(trees)} trees")
    for index, tree in enumerate(trees):
        for problem in _tree_problems(tree, features):
            raise _Malformed(f"tree {index}: {problem}")
        nodes += len(tree["left_children"])
        vectors = vectors or tree["tree_param"].get("size_leaf_vector", "1") not in ("0", "1")
    return nodes, vectors


def _tree_problems(tree: object, features: int) -> Iterator[str]:
    """Yield what would lead a reader out of the tree's arrays, or round in a circle."""
    count = _number(_member(tree, "tree_param").get("num_nodes"), "num_nodes")
    columns = [_column(tree, key, count) for key in _ARRAYS]
    left, right, splits = columns[:3]
    parents: set[int] = set()
    for node in range(count):
        if left[node] == _LEAF:  # where a leaf is a vector, the other is its place
            continue
        for child in (left[node], right[node]):
            if type(child) is not int or not 0 < child < count:
                yield f"node {node} leads to a node {_shown(child)}, there are {count}"
            elif child in parents:
                yield f"two ways lead to node {child}"
            parents.add(child)
        if type(splits[node]) is not int or not 0 <= splits[node] < max(features, 1):
            yield f"node {node} asks for feature {_shown(splits[node])}, there are {features}"


def _column(tree: Any, key: str, count: int) -> Sequence[Any]:  # noqa: ANN401  any value
    column = tree.get(key)
    if not isinstance(column, Sequence) or isinstance(column, str) or len(column) != count:
        raise _Malformed(f"`{key}` has not one entry for each of {count} nodes")
    return column


def _member(value: object, key: str) -> Mapping[str, Any]:
    found = value.get(key) if isinstance(value, Mapping) else None
    if not isinstance(found, Mapping):
        raise _Malformed(f"`{key}` is missing or no object")
    return found


def _number(text: object, key: str) -> int:
    """Numbers of parameters are texts."""
    if not isinstance(text, str) or not _NUMBER.fullmatch(text):
        raise _Malformed(f"`{key}` is no number")
    return int(text)


def _shown(value: object) -> str:
    return str(value) if type(value) is int and abs(value) < 1 << 31 else "that is no number"


def _refusal(message: str, at: str) -> InputError:
    return InputError(Finding(message=message, at=at, rule=RULE))
