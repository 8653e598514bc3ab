"""Interfaces of chance: what is compatible, and that hostile documents make no traceback."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from modelpack.errors import InputError
from modelpack.interface import Interface
from modelpack.interface.compatibility import breaking
from modelpack.interface.judging import Exchange, judge
from modelpack.interface.reading import parse
from modelpack.interface.validation import findings, mismatches

_NUMBERS = st.integers(-3, 6)
_VALUES = st.recursive(
    st.none() | st.booleans() | _NUMBERS | st.sampled_from(["", "a", "bb", "ccc"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner),
    max_leaves=5,
)
_TYPES = st.sampled_from(["null", "boolean", "integer", "number", "string", "array", "object"])


def _schemas(*, fields: bool) -> st.SearchStrategy[Any]:
    def around(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        keywords: dict[str, st.SearchStrategy[Any]] = {
            "type": _TYPES | st.lists(_TYPES, min_size=1, max_size=3, unique=True),
            "enum": st.lists(_VALUES, min_size=1, max_size=3, unique_by=repr),
            "minimum": _NUMBERS, "exclusiveMaximum": _NUMBERS,
            "minLength": st.integers(0, 3), "maxLength": st.integers(0, 3),
            "minItems": st.integers(0, 2), "maxItems": st.integers(0, 3),
            "required": st.lists(st.sampled_from("ab"), unique=True, max_size=2),
            "items": inner, "not": inner, "anyOf": st.lists(inner, min_size=1, max_size=2),
        }  # fmt: skip
        if fields:
            keywords["properties"] = st.dictionaries(st.sampled_from("ab"), inner)
            keywords["additionalProperties"] = inner
        return st.fixed_dictionaries({}, optional=keywords)

    return st.recursive(st.booleans() | st.just({}), around, max_leaves=6)


@given(_schemas(fields=True))
def test_an_interface_is_compatible_with_itself(schema: Any) -> None:
    one = Interface(input=schema, output=schema)

    again = json.loads(json.dumps({"input": schema, "output": schema}))

    assert breaking(one, Interface(**again)) == ()


@given(_schemas(fields=True), _schemas(fields=True))
@settings(deadline=None)
def test_a_new_optional_field_is_fine(schema: Any, added: Any) -> None:
    before = {"type": "object", "properties": {"a": schema}, "required": ["a"]}
    after = {**before, "properties": {"a": schema, "z": added}}

    old, new = (Interface(input=one, output=one) for one in (before, after))

    assert breaking(old, new) == ()


@given(_schemas(fields=False), _schemas(fields=False), _VALUES)
@settings(deadline=None)
def test_a_compatible_request_schema_accepts_all_that_the_old_one_did(
    before: Any, after: Any, value: Any
) -> None:
    if breaking(Interface(input=before), Interface(input=after)):
        return
    if mismatches(before, value, within=before):
        return

    assert mismatches(after, value, within=after) == ()


@given(_schemas(fields=False), _schemas(fields=False), _VALUES)
@settings(deadline=None)
def test_a_compatible_answer_schema_lets_nothing_new_come(
    before: Any, after: Any, value: Any
) -> None:
    if breaking(Interface(output=before), Interface(output=after)):
        return
    if mismatches(after, value, within=after):
        return

    assert mismatches(before, value, within=before) == ()


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5)
    | st.sampled_from(["#/components", "#", "#/paths/~1a", "object"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["openapi", "paths", "/a", "post", "parameters", "requestBody", "content",
             "application/json", "schema", "responses", "200", "$ref", "components", "properties",
             "type", "items", "required", "info", "anyOf", "enum", "name", "in", "title"]
        ),
        inner, max_size=4,
    ),
    max_leaves=20,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(["paths", "components", "info", "tags"]), _JSON), _JSON)
@settings(deadline=None)
def test_a_hostile_document_makes_findings_and_no_traceback(document: Any, schema: Any) -> None:
    documents = {
        "openapi": json.dumps({"openapi": "3.1.0", **document}).encode(),
        "input": json.dumps(schema).encode(),
    }
    try:
        interface = parse(documents)
    except InputError:
        return

    findings(interface)
    breaking(interface, interface)
    breaking(interface, Interface(openapi={"openapi": "3.1.0"}, input=True))
    breaking(Interface(openapi={"openapi": "3.1.0"}, input=True), interface)


@given(
    st.from_regex(r"/[!-~]{0,20}(\?[!-~]{0,40})?", fullmatch=True),
    st.from_regex(r"(/([a-z]|\{[a-z]\}){0,5}){1,3}", fullmatch=True), _JSON, _JSON,
)  # fmt: skip
@settings(deadline=None)
def test_a_request_of_chance_is_judged_and_makes_no_traceback(
    path: str, template: str, parameters: Any, schema: Any
) -> None:
    stated = [
        {"name": name, "in": place, "schema": schema}
        for name in "abc" for place in ("path", "query")
    ]  # fmt: skip
    operation = {"parameters": [*stated, parameters], "responses": {"200": {}}}
    interface = Interface(openapi={"openapi": "3.1.0", "paths": {template: {"get": operation}}})

    for asked in (path, template, f"{template}?a=1&b&c=%C3"):
        judge(interface, Exchange(
            method="GET", path=asked, status=200, has_request=False, has_response=False,
        ))  # fmt: skip
