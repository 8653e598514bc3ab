"""The author's report: its numbers as written, whatever else is in it."""

from pathlib import Path

import pytest

from modelpack.errors import InputError
from modelpack.inputs import evaluation


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "evaluation.json"
    path.write_text(text, encoding="utf-8")
    return path


def test_numbers_stay_as_they_are_written(tmp_path: Path) -> None:
    text = '{"f1": 0.10, "n": 360, "big": 1e400, "set": "test", "ok": true, "none": null, "l": [1]}'
    assert evaluation.metrics(write(tmp_path, text)) == {"big": "1e400", "f1": "0.10", "n": "360"}


def test_inner_numbers_have_a_path(tmp_path: Path) -> None:
    text = '{"slices": {"en": {"f1": 0.9}, "de": {"f1": 0.8}}}'
    assert evaluation.metrics(write(tmp_path, text)) == {
        "slices.de.f1": "0.8", "slices.en.f1": "0.9",
    }  # fmt: skip


@pytest.mark.parametrize("text", ["", "[1]", "{", '"x"', "[" * 5000])
def test_what_is_no_report_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError):
        evaluation.metrics(write(tmp_path, text))


def test_a_missing_report_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        evaluation.metrics(tmp_path / "none.json")
    assert caught.value.findings[0].at.endswith("none.json")


def test_there_are_bounds(tmp_path: Path) -> None:
    deep = '{"a":' * 50 + "1" + "}" * 50
    assert evaluation.metrics(write(tmp_path, deep)) == {}
    many = "{" + ",".join(f'"m{n}": {n}' for n in range(2000)) + "}"
    assert len(evaluation.metrics(write(tmp_path, many))) == 1000
    assert evaluation.metrics(write(tmp_path, '{"a\\u001b[2J": 1}')) == {}
