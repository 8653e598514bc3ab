"""What the functional gate compares, parses and makes of golden requests."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelpack.functional import batching, judging, prometheus
from modelpack.functional.asking import Answer
from modelpack.functional.comparing import (
    NotANumber,
    differences,
    matching,
    outside,
    parse,
)
from modelpack.functional.golden import Golden
from modelpack.functional.golden_files import decode
from modelpack.functional.tolerance import Tolerance
from modelpack.inputs.tensor_references import TensorFiles

EXACT = Tolerance()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False,
                                                                      allow_infinity=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20,
)  # fmt: skip
BEFORE = """\
# TYPE http_requests_total counter
http_requests_total{path="/a",status="200"} 4
# TYPE seconds histogram
seconds_count 4
seconds_sum 0.5
python_gc_objects_collected_total 9
"""


@given(JSON)
def test_a_value_is_like_itself(value: object) -> None:
    assert not list(differences(value, value, EXACT))


@pytest.mark.parametrize(
    ("got", "wanted"),
    [
        (1, True), (True, 1), (1.0, 1), ("1", 1), (None, 0), ([], {}), ({}, []), ([1], [1, 2]),
        ({"a": 1}, {"b": 1}), ({"a": 1, "b": 1}, {"a": 1}), (2, 1), (1.2, 1.0), ("a", "b"),
        (False, None), ([[1.0]], [[1.5]]),
    ],
)  # fmt: skip
def test_shape_kind_and_value_count(got: object, wanted: object) -> None:
    assert list(differences(got, wanted, Tolerance(absolute=0.1)))


def test_a_fraction_may_be_within_either_tolerance_and_a_whole_number_not() -> None:
    assert not list(differences(1.05, 1.0, Tolerance(absolute=0.1)))
    assert not list(differences(1050.0, 1000.0, Tolerance(relative=0.1)))
    assert not list(differences(1, 1.0, EXACT))
    assert list(differences(101, 100, Tolerance(absolute=5, relative=0.5)))


@pytest.mark.parametrize("text", ["NaN", "-Infinity", "[1, Infinity]", '{"a": 1e999}'])
def test_what_is_no_number_is_found(text: str) -> None:
    with pytest.raises(NotANumber):
        parse(text.encode())


def test_ranges_reach_every_element_and_say_where_nothing_is() -> None:
    value = {"rows": [{"p": [0.0, 1.0]}, {"p": [0.5, 1.5]}]}

    (beyond,) = outside(value, {"/rows/*/p/*": (0, 1)})
    assert beyond == "`/rows/1/p/1`: 1.5 is not between 0 and 1"
    (whole,) = outside(value, {"/rows/1/p": (0, 1)})
    assert whole == beyond
    assert not list(outside([[0.5, 1], [0]], {"": (0, 1)}))
    assert list(outside([[0.5, 1], ["a"]], {"": (0, 1)})) == ["`/1/0`: a text instead of a number"]
    assert list(outside(value, {"/other/*": (0, 1)})) == ["`/other/*`: nothing is there"]
    assert [at for at, _ in matching({"a/b": {"~": 1}}, "/a~1b/~0")] == ["/a~1b/~0"]


def golden(name: str, values: list[float], **more: object) -> Golden:
    data = json.dumps({
        "request": {"path": "/x", "json": {"in": {"v": values}, "mode": more.get("mode", "a")}},
        "response": {"json": {"out": [2 * value for value in values]}},
        "batch": {"input": "/in/v", "output": "/out", "max": 4},
    }).encode()  # fmt: skip
    return decode(data, name=name, files=TensorFiles(Path("/nowhere")))


def test_examples_are_asked_alone_and_with_those_of_like_requests() -> None:
    files = [
        golden("one", [1.0, 2.0]),
        golden("two", [3.0]),
        golden("three", [9.0], mode="b"),
    ]

    found = list(batching.variants(files))

    asked = [variant.request.json["in"]["v"] for variant in found]
    assert asked == [[1.0], [2.0], [3.0], [9.0], [3.0, 2.0, 1.0], [9.0, 9.0]]
    assert [variant.request.json["mode"] for variant in found] == ["a"] * 3 + ["b", "a", "b"]
    for variant in found:
        right = {"out": [2 * value for value in variant.request.json["in"]["v"]]}
        assert not list(batching.complaints(variant, right))
        assert list(batching.complaints(variant, {"out": [0.5, *right["out"][1:]]}))
        assert list(batching.complaints(variant, {"out": []}))


def test_metrics_that_move_are_told_from_those_that_do_not() -> None:
    before = prometheus.parse(BEFORE)
    good = prometheus.parse(
        BEFORE.replace('"200"} 4', '"200"} 5').replace("_count 4", "_count 6")
        + 'http_requests_total{path="/a",status="400"} 1\n'
    )
    only_runtime = prometheus.parse(BEFORE.replace("total 9", "total 99"))

    assert not list(prometheus.complaints(before, good, asked=2))
    assert len(list(prometheus.complaints(before, good, asked=3))) == 1
    assert len(list(prometheus.complaints(before, only_runtime, asked=2))) == 3
    assert list(prometheus.complaints(before, prometheus.parse("<html>"), asked=1))


@pytest.mark.parametrize(
    ("body", "kind", "complaint"),
    [
        (b'{"a": NaN}', "application/json; charset=utf-8", "it holds NaN, which is no number"),
        (b"NaN", "text/plain", ""), (b'{"a": 1}', "application/json", ""),
        (b"<p>", "application/json", ""),
    ],
)  # fmt: skip
def test_nan_fails_where_the_content_does_not_matter(
    body: bytes, kind: str, complaint: str
) -> None:
    one = decode(b'{"request": {"path": "/x"}, "response": {}}', name="x",
                 files=TensorFiles(Path("/nowhere")))  # fmt: skip
    answer = Answer(status=200, body=body, seconds=0.1, headers=(("Content-Type", kind),))

    found = judging.answers(one, [answer])

    assert found.outcome == ("failed" if complaint else "passed")
    assert complaint in found.found


def test_ranges_alone_are_judged() -> None:
    data = {"request": {"path": "/x"}, "response": {}, "ranges": {"/p": [0, 1]}}
    one = decode(json.dumps(data).encode(), name="x", files=TensorFiles(Path("/nowhere")))

    found = [
        judging.answers(one, [Answer(status=200, body=body, seconds=0.1)]).outcome
        for body in (b'{"p": 0.5, "q": "a"}', b'{"p": 1.5}', b"{}", b"<p>")
    ]

    assert found == ["passed", "failed", "failed", "failed"]
