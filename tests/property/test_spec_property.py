"""The decoder against any document: it ends in a Spec or in findings, and so says the schema."""

import copy
from collections.abc import Callable
from datetime import date
from pathlib import Path

import jsonschema
import tomli
from hypothesis import example, given, settings
from hypothesis import strategies as st

from modelpack.errors import Finding, InputError
from modelpack.spec import Spec
from modelpack.spec import decoding as spec_decoding
from modelpack.spec import schema as spec_schema
from modelpack.spec.problems import Problems
from modelpack.spec.structure import decode
from modelpack.spec.writing import written

FULL = tomli.loads((Path(__file__).parents[1] / "assets" / "full.toml").read_text())
SCHEMA = spec_schema.document()
VALIDATOR = jsonschema.Draft202012Validator(
    SCHEMA, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
)

TEXTS = st.one_of(
    st.sampled_from(["", "a", "bake", "full", "cuda", "HIGH", "1s", "1 GiB", "/x", "../x", "x/..",
                     "linux/amd64", ">= 1", "sm_90", "3.12", "debian:12", "2027-01-31", "A B",
                     "2027-02-30", "sha256:00", "test", "CVE-2025-1", "hf://a", "~", "a\\b"]),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=12),
)  # fmt: skip
KEYS = st.one_of(st.sampled_from(sorted({p.split(".")[-1] for p in spec_schema.places()})), TEXTS)
VALUES = st.recursive(
    st.one_of(
        TEXTS,
        st.integers(-2, 70_000),
        st.booleans(),
        st.just(0.5),
        st.dates(min_value=date(1000, 1, 1)),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=6,
)


def containers(value: object) -> list[list[object] | dict[str, object]]:
    """Return every table and array in `value`, outermost first."""
    if isinstance(value, dict):
        return [value, *(c for item in value.values() for c in containers(item))]
    if isinstance(value, list):
        return [value, *(c for item in value for c in containers(item))]
    return []


@st.composite
def documents(draw: st.DrawFn) -> dict[str, object]:
    """Draw the full example with a few places changed, removed or added."""
    document = copy.deepcopy(FULL)
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.sampled_from(containers(document)))
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        action = draw(st.sampled_from(["change", "remove", "add"] if keys else ["add"]))
        if action == "add":
            value = draw(VALUES)
            place.append(value) if isinstance(place, list) else place.update({draw(KEYS): value})
            continue
        key = draw(st.sampled_from(keys))
        if action == "remove":
            del place[key]
        else:
            place[key] = draw(VALUES)
    return document


def as_json(value: object) -> object:
    """Return `value` as an editor's validator sees it: a day is a text."""
    if isinstance(value, dict):
        return {key: as_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_json(item) for item in value]
    return value.isoformat() if isinstance(value, date) else value


def has_day_as_text(value: object) -> bool:
    """Tell whether a TOML day stands anywhere but where days belong."""
    if isinstance(value, dict):
        return any(
            has_day_as_text(item) or (isinstance(item, date) and key != "expires")
            for key, item in value.items()
        )
    if isinstance(value, list):
        return any(has_day_as_text(item) or isinstance(item, date) for item in value)
    return False


def test_the_schema_itself_is_valid():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_full_example_validates():
    VALIDATOR.validate(as_json(FULL))


@given(documents().filter(lambda document: not has_day_as_text(document)))
@settings(max_examples=300, deadline=None)
def test_schema_and_decoder_agree_on_structure(document):
    problems = Problems()
    decode(document, problems)
    schema_is_right = type(document.get("schema")) is not int or document["schema"] == 1
    accepted = not problems.findings and schema_is_right
    errors = [error.message for error in VALIDATOR.iter_errors(as_json(document))]
    assert accepted == (not errors), (problems.findings, errors)


def outcome(parse: Callable[[], Spec]) -> Spec | tuple[Finding, ...]:
    """Return what `parse` returns, or the findings that it raises."""
    try:
        return parse()
    except InputError as error:
        return error.findings


@given(documents())
@settings(max_examples=200, deadline=None)
def test_every_document_becomes_a_spec_or_findings(document):
    result = outcome(lambda: spec_decoding.decode_document(document))
    if isinstance(result, Spec):
        assert all(weights.name and weights.destination for weights in result.weights)
    else:
        assert result
        assert all(finding.message for finding in result)


@given(st.binary(max_size=400))
@example(b"\xef\xbb\xbfschema = 1")
@example(b'"" = 1\n[""]\n')
@settings(max_examples=200, deadline=None)
def test_any_bytes_become_a_spec_or_findings(data):
    result = outcome(lambda: spec_decoding.parse(data))
    assert isinstance(result, Spec) or result


@given(documents())
@example(FULL)
@settings(max_examples=60)
def test_what_is_written_of_a_spec_reads_back_and_holds_no_default(document: dict) -> None:
    try:
        spec = spec_decoding.decode_document(document)
    except InputError:
        return
    said = written(spec)
    assert spec_decoding.decode_document(said) == spec
    assert VALIDATOR.is_valid(as_json(said))


def test_what_is_not_said_leaves_no_trace() -> None:
    document = {
        "schema": 1,
        "model": {"name": "m", "version": "1"},
        "weights": [{"path": "w", "mode": "bake"}],
        "code": {"command": ["run"], "path": "."},
        "runtime": {"port": 0},
    }
    assert written(spec_decoding.decode_document(document)) == {
        "schema": 1,
        "model": {"name": "m", "version": "1"},
        "weights": [{"name": "m", "path": "w", "destination": "/models/m"}],
        "code": {"command": ["run"]},
    }
