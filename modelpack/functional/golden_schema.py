"""The JSON Schema of golden files, for editors. What it lets pass is read more strictly still."""

from typing import Any, Final

from modelpack.functional.golden import MOST, TENSORS
from modelpack.functional.golden_reading import (
    CALL_REQUEST,
    CALL_RESPONSE,
    FUNCTION,
    HTTP_REQUEST,
    HTTP_RESPONSE,
    KEYS,
)
from modelpack.inputs.tensor_references import ALL, ONE
from modelpack.spec.schema import DIALECT

_NAMED: Final = f'{{"{ONE}": "FILE#NAME"}} or {{"{ALL}": "FILE"}} in it stand for tensors'
_FILE: Final = {"type": "string", "minLength": 1}
_POINTER: Final = {"type": "string", "pattern": "^(/[^*]*)?$"}
_LISTS: Final = {
    "description": "JSON pointer, or several of lists that belong together.",
    "anyOf": [_POINTER, {"type": "array", "items": _POINTER, "minItems": 1}],
}
_REQUEST: Final[dict[str, Any]] = {
    "method": {
        "description": "HTTP method.", "type": "string", "pattern": "^[A-Z]+$", "default": "POST",
    },
    "path": {"description": "Path with query.", "type": "string", "pattern": "^/[!-~]*$"},
    "json": {"description": f"The body, as JSON; {_NAMED}."},
    "tensors": {
        **_FILE,
        "description": f"Instead of `json`: safetensors file that is the body ({TENSORS}).",
    },
    "headers": {
        "description": "Further headers.", "type": "object",
        "additionalProperties": {"type": "string", "pattern": "^[ -~]+$"},
    },
    "call": {
        "description": "Instead of `path`: function of the image, `package.module:function`.",
        "type": "string", "pattern": f"^{FUNCTION}$",
    },
    "arguments": {
        "description": f"Named ones, or a list; {_NAMED}.", "type": ["object", "array"],
        "default": {},
    },
}  # fmt: skip
_RESPONSE: Final[dict[str, Any]] = {
    "status": {
        "description": "HTTP status.", "type": "integer", "minimum": 100, "maximum": 599,
        "default": 200,
    },
    "json": {"description": f"What must be answered, as JSON; {_NAMED}."},
    "tensors": {
        **_FILE,
        "description": "Instead of `json`: safetensors file with the tensors that are expected.",
    },
    "returns": {"description": f"What the function must return; {_NAMED}."},
}  # fmt: skip
_OTHERS: Final[dict[str, Any]] = {
    "$schema": {"description": "Where this schema is, for editors.", "type": "string"},
    "tolerance": {
        "description": "How far fractions may be off: the larger of both.", "type": "object",
        "additionalProperties": False,
        "properties": {
            "absolute": {"type": "number", "minimum": 0, "default": 0},
            "relative": {"description": "Times the expected value.", "type": "number",
                         "minimum": 0, "default": 0},
        },
    },
    "ranges": {
        "description": "Least and greatest value by JSON pointer; `*` is every key or element.",
        "type": "object", "propertyNames": {"pattern": "^(/.*)?$"},
        "additionalProperties": {
            "type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2,
        },
    },
    "batch": {
        "description": "Where lists, or tensors, have an element for each example.",
        "type": "object", "required": ["input", "output"], "additionalProperties": False,
        "properties": {
            "input": _LISTS, "output": _LISTS,
            "max": {"description": "Examples in one request.", "type": "integer", "minimum": 2,
                    "default": MOST},
        },
    },
}  # fmt: skip


def schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a golden file."""
    calls = {"properties": {"request": {"required": ["call"]}}}
    return {
        "$schema": DIALECT,
        "title": "modelpack golden file",
        "description": "A request, and what must be answered: `[test] golden` of modelpack.toml.",
        "type": "object",
        "required": ["request", "response"],
        "additionalProperties": False,
        "properties": {key: _OTHERS.get(key, {"type": "object"}) for key in KEYS},
        "if": calls,
        "then": _sides(CALL_REQUEST, ["call"], CALL_RESPONSE),
        "else": _sides(HTTP_REQUEST, ["path"], HTTP_RESPONSE),
    }


def _sides(asked: tuple[str, ...], needed: list[str], answered: tuple[str, ...]) -> dict[str, Any]:
    """Return what request and response may have; never `json` and `tensors` at once."""
    not_both = {"not": {"required": ["json", "tensors"]}} if "tensors" in asked else {}
    request = {key: _REQUEST[key] for key in asked}
    response = {key: _RESPONSE[key] for key in answered}
    return {"properties": {
        "request": {"properties": request, "required": needed, "additionalProperties": False,
                    **not_both},
        "response": {"properties": response, "additionalProperties": False, **not_both},
    }}  # fmt: skip
