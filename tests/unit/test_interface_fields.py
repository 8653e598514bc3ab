"""What a JSON Schema asks for, field by field."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelpack.interface.fields import Field, fields

DOCUMENT = {
    "components": {
        "schemas": {
            "Request": {
                "type": "object", "required": ["pixels"],
                "properties": {
                    "pixels": {
                        "type": "array", "minItems": 8, "maxItems": 8,
                        "items": {"type": "array", "items": {"type": "number"}},
                    },
                    "options": {"$ref": "#/components/schemas/Options"},
                    "again": {"$ref": "#/components/schemas/Request"},
                    "more": {"type": "array", "items": {"$ref": "#/components/schemas/Options"}},
                },
            },
            "Options": {
                "allOf": [
                    {"properties": {"k": {"type": "integer", "minimum": 1, "description": "most"}},
                     "required": ["k"]},
                    {"properties": {"mode": {"enum": ["fast", "exact"]}}},
                ],
            },
        }
    }
}  # fmt: skip


def found(schema: object, most: int = 100) -> tuple[Field, ...]:
    return fields(DOCUMENT, schema, most=most)


def test_fields_are_named_by_their_place_and_circles_end() -> None:
    shown = [(one.name, one.type, one.required)
             for one in found({"$ref": "#/components/schemas/Request"})]  # fmt: skip
    assert shown == [
        ("pixels", "list of list of number", True),
        ("options", "object", False),
        ("options.k", "integer", True),
        ("options.mode", 'one of "fast", "exact"', False),
        ("again", "object", False),
        ("more", "list of object", False),
        ("more[].k", "integer", True),
        ("more[].mode", 'one of "fast", "exact"', False),
    ]


def test_bounds_and_words_of_the_author_are_kept() -> None:
    by_name = {one.name: one for one in found({"$ref": "#/components/schemas/Request"})}
    assert by_name["pixels"].bounds == "exactly 8 items"
    assert (by_name["options.k"].bounds, by_name["options.k"].about) == ("≥ 1", "most")


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        (True, "any value"),
        ({}, "any value"),
        ({"type": "string", "format": "date"}, "string (date)"),
        ({"type": ["integer", "null"]}, "integer or null"),
        ({"type": "string", "nullable": True}, "string or null"),
        ({"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "string"}]},
         "string or number"),
        ({"const": 3}, "always 3"),
        ({"enum": list(range(9))}, "one of 0, 1, 2, 3, 4, 5, …"),
        ({"type": "array", "items": {"type": "number"}}, "list of number"),
        ({"type": "array"}, "list"),
        ({"$ref": "#/nowhere"}, "any value"),
    ],
)  # fmt: skip
def test_what_is_no_object_is_one_field_without_a_name(schema: object, words: str) -> None:
    assert [(one.name, one.type) for one in found(schema)] == [("", words)]


def test_of_many_fields_the_first_are_returned() -> None:
    schema = {"properties": {f"f{number}": {} for number in range(10_000)}}
    assert [one.name for one in found(schema, 3)] == ["f0", "f1", "f2"]


KEYS = st.sampled_from(
    ["type", "properties", "items", "allOf", "anyOf", "enum", "const", "required", "$ref",
     "minimum", "minItems", "maxItems", "pattern", "format", "nullable", "title", "a"]
)  # fmt: skip
SCHEMAS = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.just(1e300),
              st.sampled_from(["string", "array", "#", "#/properties/a", "#/items", ""])),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=5)),
    max_leaves=20,
)  # fmt: skip


@given(SCHEMAS)
def test_no_schema_is_too_odd(schema: Any) -> None:
    """What `reading` would have refused ends no inspection either."""
    shown = fields(schema, schema, most=50)
    assert 1 <= len(shown) <= 50
    assert all(len(one.name) <= 130 and len(one.type) < 1000 for one in shown)
