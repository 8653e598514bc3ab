"""The schema of golden files takes what is read, and refuses what no golden file may be."""

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from modelpack.errors import InputError
from modelpack.functional import golden_files
from modelpack.functional.golden_schema import schema
from modelpack.inputs.tensor_references import TensorFiles
from tests.command_line import run

EXAMPLES = Path(__file__).parents[2] / "examples"
FILES = sorted(EXAMPLES.glob("*/golden/**/*.json"))
HTTP: dict[str, Any] = {
    "$schema": "../golden.schema.json",
    "request": {"path": "/x", "json": {"a": [1.0]}, "headers": {"X-A": "b c"}},
    "response": {"json": {"b": [2.0]}},
    "tolerance": {"absolute": 1}, "ranges": {"": [0, 1], "/b/*": [0, 2.5]},
    "batch": {"input": ["/a"], "output": "/b", "max": 4},
}  # fmt: skip
CALL: dict[str, Any] = {
    "request": {"call": "a.b:c.d", "arguments": [[1]]}, "response": {"returns": [1]},
    "batch": {"input": "/0", "output": ""},
}  # fmt: skip


def valid(value: object) -> bool:
    return jsonschema.Draft202012Validator(schema()).is_valid(value)


def read(value: object) -> bool:
    data = json.dumps(value).encode()
    try:
        golden_files.decode(data, name="one.json", files=TensorFiles(EXAMPLES))
    except InputError:
        return False
    return True


def test_it_is_a_schema_and_the_command_prints_it(tmp_path: Path) -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    assert run("schema", "--golden", cache=tmp_path).document == schema()
    assert run("schema", "--golden", "--policy", cache=tmp_path).status == 2


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_examples_are_valid(file: Path) -> None:
    assert valid(json.loads(file.read_bytes()))


@pytest.mark.parametrize(
    ("whole", "at", "value"),
    [
        (HTTP, ("request", "path"), "x"), (HTTP, ("request", "path"), None),
        (HTTP, ("request", "method"), "get"), (HTTP, ("request", "header"), {}),
        (HTTP, ("request", "tensors"), "x.safetensors"), (HTTP, ("request", "arguments"), {}),
        (HTTP, ("request", "headers"), {"a": 1}), (HTTP, ("response", "status"), 1),
        (HTTP, ("response", "returns"), 1), (HTTP, ("tolerance", "absolute"), -1),
        (HTTP, ("tolerance", "other"), 1), (HTTP, ("ranges", "b"), [0, 1]),
        (HTTP, ("ranges", "/b"), [0]), (HTTP, ("batch", "max"), 1),
        (HTTP, ("batch", "input"), "/*"), (HTTP, ("batch", "input"), []), (HTTP, ("more",), 1),
        (HTTP, ("response",), None), (CALL, ("request", "call"), "a.b"),
        (CALL, ("request", "call"), "a:b()"), (CALL, ("request", "arguments"), 1),
        (CALL, ("request", "path"), "/x"), (CALL, ("response", "json"), 1),
        (CALL, ("response", "status"), 200),
    ],
)  # fmt: skip
def test_both_refuse_the_same(whole: dict[str, Any], at: tuple[str, ...], value: Any) -> None:
    assert valid(whole)
    assert read(whole)
    wrong = copy.deepcopy(whole)
    *folders, key = at
    table = wrong
    for folder in folders:
        table = table[folder]
    if value is None:
        del table[key]
    else:
        table[key] = value

    assert not valid(wrong)
    assert not read(wrong)
