"""What a JSON Schema asks for or promises, field by field, in words for people.

It is a summary: what has no simple words (`not`, `if`, `patternProperties`) is left out.
Source: JSON Schema 2020-12, Validation; OpenAPI 3.0.4, Schema Object (`nullable`).
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from modelpack.interface.pointers import resolved

_DEPTH: Final = 4
"objects within objects"
_CHOICES: Final = 6
"values of an enumeration that are named"
_LONGEST: Final = 120
"characters of a value, or of what the author says of a field"
_BOUNDS: Final = (
    ("minimum", "≥ {}"), ("exclusiveMinimum", "> {}"), ("maximum", "≤ {}"),
    ("exclusiveMaximum", "< {}"), ("minLength", "characters ≥ {}"),
    ("maxLength", "characters ≤ {}"), ("minItems", "items ≥ {}"), ("maxItems", "items ≤ {}"),
)  # fmt: skip

_EXACT: Final = (("minItems", "maxItems", "items"), ("minLength", "maxLength", "characters"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of a request or an answer."""

    name: str
    "dotted, `[]` after that of a list: `texts[]`, `options.k`; empty: the whole value"
    type: str
    "in words: `list of string`"
    required: bool
    bounds: str
    "what else must hold: `≥ 0, ≤ 1`"
    about: str
    "what the author says of it"


def fields(document: Any, schema: Any, *, most: int) -> tuple[Field, ...]:  # noqa: ANN401  JSON
    """Return the first `most` fields of `schema`, whose references lead into `document`."""
    return tuple(islice(_fields(document, schema, "", required=True, within=()), most))


def _fields(
    document: Any, schema: Any, name: str, *, required: bool, within: tuple[str, ...]  # noqa: ANN401
) -> Iterator[Field]:  # fmt: skip
    """Yield a value and what is in it, but for an object of a kind that it is `within`."""
    stated = _merged(document, schema)
    properties = stated.get("properties")
    to = _reference(schema)
    inside = (*within, to)
    deeper = len(inside) <= _DEPTH and (not to or to not in within)
    if not isinstance(properties, Mapping) or not properties or not deeper:
        properties = {}
    if name or not properties:
        yield Field(name=name, type=_type(document, stated), required=required,
                    bounds=_bounds(stated), about=_about(stated))  # fmt: skip
    needed = stated.get("required")
    for key, item in properties.items():
        below = f"{name}.{key}" if name else str(key)
        yield from _fields(document, item, below[:_LONGEST], within=inside,
                           required=isinstance(needed, list) and key in needed)  # fmt: skip
    item = stated.get("items")
    if deeper and isinstance(_merged(document, item).get("properties"), Mapping):
        found = _fields(document, item, f"{name}[]", required=True, within=inside)
        yield from (one for one in found if one.name != f"{name}[]")  # said by its list


def _reference(schema: object) -> str:
    to = schema.get("$ref") if isinstance(schema, Mapping) else None
    return to if isinstance(to, str) else ""


def _merged(document: Any, schema: Any) -> Mapping[str, Any]:  # noqa: ANN401
    """Return a schema with what it leads to, and all parts of `allOf`, in one table."""
    stated = resolved(document, schema)
    if not isinstance(stated, Mapping):
        return {}
    parts = stated.get("allOf")
    if not isinstance(parts, list):
        return stated
    properties: dict[str, Any] = {}
    needed: list[Any] = []
    merged: dict[str, Any] = {}
    for part in (*(resolved(document, one) for one in parts[:_CHOICES]), stated):
        if isinstance(part, Mapping):
            merged |= part
            properties |= part["properties"] if isinstance(part.get("properties"), Mapping) else {}
            needed += part["required"] if isinstance(part.get("required"), list) else []
    return {**merged, **({"properties": properties, "required": needed} if properties else {})}


def _type(document: Any, stated: Mapping[str, Any], depth: int = _DEPTH) -> str:  # noqa: ANN401
    """Return the type in words."""
    for key in ("anyOf", "oneOf"):
        parts = stated.get(key)
        if isinstance(parts, list) and depth > 0:
            any_of = [_type(document, _merged(document, one), depth - 1)
                      for one in parts[:_CHOICES]]  # fmt: skip
            return " or ".join(dict.fromkeys(any_of))[:_LONGEST]
    if "const" in stated:
        return f"always {_value(stated['const'])}"
    if isinstance(stated.get("enum"), list):
        shown = [_value(one) for one in stated["enum"][:_CHOICES]]
        return "one of " + ", ".join([*shown, *(["…"] if len(stated["enum"]) > _CHOICES else [])])
    kinds = stated.get("type")
    names = kinds if isinstance(kinds, list) else [kinds]
    words = [_word(document, stated, str(one), depth) for one in names if isinstance(one, str)]
    if stated.get("nullable") is True:
        words.append("null")
    if not words:
        words = ["object"] if isinstance(stated.get("properties"), Mapping) else ["any value"]
    return " or ".join(words)[:_LONGEST]


def _word(document: Any, stated: Mapping[str, Any], kind: str, depth: int) -> str:  # noqa: ANN401
    if kind == "array":
        if "items" not in stated or depth <= 0:
            return "list"
        return f"list of {_type(document, _merged(document, stated['items']), depth - 1)}"
    form = stated.get("format")
    return f"{kind} ({form[:_LONGEST]})" if isinstance(form, str) else kind


def _bounds(stated: Mapping[str, Any]) -> str:
    """Return what a value must keep to."""
    found = [
        f"exactly {_value(stated[least])} {noun}"
        for least, most, noun in _EXACT
        if stated.get(least) is not None and stated.get(least) == stated.get(most)
    ]
    if found:
        return ", ".join(found)
    found = [words.format(_value(stated[key])) for key, words in _BOUNDS
             if isinstance(stated.get(key), int | float)
             and not isinstance(stated[key], bool)]  # fmt: skip
    if isinstance(stated.get("pattern"), str):
        found.append(f"matches {_value(stated['pattern'])}")
    return ", ".join(found)


def _about(stated: Mapping[str, Any]) -> str:
    text = stated.get("description") or stated.get("title")
    return text[:_LONGEST] if isinstance(text, str) else ""


def _value(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)[:_LONGEST]
