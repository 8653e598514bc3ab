"""The author's report: its numbers as written, whatever else is in it."""

from pathlib import Path

import pytest

from modelpack.checks import evaluation as checks
from modelpack.digest import of as digest_of
from modelpack.errors import InputError
from modelpack.inputs import evaluation
from modelpack.metric import reaches, sliced
from modelpack.spec import Evaluation


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "evaluation.json"
    path.write_text(text, encoding="utf-8")
    return path


def test_numbers_stay_as_they_are_written(tmp_path: Path) -> None:
    text = '{"f1": 0.10, "n": 360, "big": 1e400, "set": "test", "ok": true, "none": null, "l": [1]}'
    assert evaluation.read(write(tmp_path, text)).metrics == {
        "big": "1e400",
        "f1": "0.10",
        "n": "360",
    }


def test_inner_numbers_have_a_path(tmp_path: Path) -> None:
    text = '{"slices": {"en": {"f1": 0.9}, "de": {"f1": 0.8}}}'
    assert evaluation.read(write(tmp_path, text)).metrics == {
        "slices.de.f1": "0.8", "slices.en.f1": "0.9",
    }  # fmt: skip


@pytest.mark.parametrize("text", ["", "[1]", "{", '"x"', "[" * 5000])
def test_what_is_no_report_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError):
        evaluation.read(write(tmp_path, text))


def test_a_missing_report_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        evaluation.read(tmp_path / "none.json")
    assert caught.value.findings[0].at.endswith("none.json")


def test_there_are_bounds(tmp_path: Path) -> None:
    deep = '{"a":' * 50 + "1" + "}" * 50
    assert evaluation.read(write(tmp_path, deep)).metrics == {}
    many = "{" + ",".join(f'"m{n}": {n}' for n in range(2000)) + "}"
    assert len(evaluation.read(write(tmp_path, many)).metrics) == 1000
    assert evaluation.read(write(tmp_path, '{"a\\u001b[2J": 1}')).metrics == {}


WEIGHTS, OTHERS = digest_of(b"weights"), digest_of(b"others")


def report(weights: object = WEIGHTS, **metrics: str) -> evaluation.EvaluationReport:
    return evaluation.EvaluationReport(
        digest=digest_of(b"report"), weights=weights, metrics=metrics,  # type: ignore[arg-type]
    )  # fmt: skip


def test_the_report_names_its_weights(tmp_path: Path) -> None:
    found = evaluation.read(write(tmp_path, f'{{"weights": "{WEIGHTS}", "f1": 1}}'))
    assert found.weights == WEIGHTS
    assert found.metrics == {"f1": "1"}
    assert evaluation.read(write(tmp_path, "{}")).weights is None
    for text in ('{"weights": 1}', '{"weights": "sha256:12"}', '{"weights": ["x"]}'):
        with pytest.raises(InputError):
            evaluation.read(write(tmp_path, text))


@pytest.mark.parametrize(
    ("value", "bound", "reached"),
    [
        ("0.9", ">= 0.9", True), ("0.8999999999999999", ">= 0.9", False), ("0.90", "== 0.9", True),
        ("1e-1", "< 0.2", True), ("-1", "> -2", True), ("-2", "> -2", False), ("5", "<=5", True),
        ("1e999999999", "> 1", True), ("1e9999999999999999999", "> 1", False), ("x", "> 1", False),
        ("0.1", "== 0.1000000000000000055", False), ("2", "!! 1", False),
    ],
)  # fmt: skip
def test_bounds_are_exact(value: str, bound: str, *, reached: bool) -> None:
    assert reaches(value, bound) is reached


def test_every_missed_bound_is_named() -> None:
    wanted = Evaluation(report="e.json", require={
        "f1": ">= 0.9", "slices.de.f1": ">= 0.8", "recall": ">= 0.5", "loss": "< 1",
    })  # fmt: skip
    found = list(checks.findings(
        wanted, report(**{"f1": "0.91", "slices.de.f1": "0.7", "loss": "1"}), WEIGHTS
    ))  # fmt: skip
    assert [one.at for one in found] == [
        "evaluation.require.loss", "evaluation.require.recall", "evaluation.require.slices.de.f1",
    ]  # fmt: skip
    assert "it is `0.7`, and must be >= 0.8" in found[2].message
    assert "no number `recall`: it has `f1`, `slices.de.f1`, `loss`" in found[1].message


def test_a_report_about_other_weights_is_refused() -> None:
    (found,) = checks.findings(Evaluation(report="e.json"), report(OTHERS), WEIGHTS)
    assert found.severity == "error"
    assert str(OTHERS) in found.message
    assert not list(checks.findings(Evaluation(report="e.json"), report(), WEIGHTS))
    assert not list(checks.findings(Evaluation(report="e.json"), report(OTHERS), None))


def test_a_report_about_nothing_is_a_warning_that_says_what_to_write() -> None:
    (found,) = checks.findings(Evaluation(report="e.json"), report(None), WEIGHTS)
    assert found.severity == "warning"
    assert f'"weights": "{WEIGHTS}"' in found.hint


@pytest.mark.parametrize(
    ("name", "means"),
    [
        ("f1", ("f1", "")), ("slices.en.f1", ("f1", "en")), ("slices.v1.2.f1", ("f1", "v1.2")),
        ("slices.f1", ("slices.f1", "")), ("group.f1", ("group.f1", "")),
    ],
)  # fmt: skip
def test_slices_are_told_by_their_name(name: str, means: tuple[str, str]) -> None:
    assert sliced(name) == means
