"""Follow `#/…` inside a document (RFC 6901), never out of it."""

from collections.abc import Mapping
from typing import Any, Final

_STEPS: Final = 32
"references in a row"


def resolved(document: Any, value: Any) -> Any:  # noqa: ANN401  any JSON value
    """Return what `value` leads to; an empty object where it leads nowhere, or in a circle.

    What stands beside `$ref` in JSON Schema 2020-12 wins over what it leads to.
    """
    beside: dict[str, Any] = {}
    for _ in range(_STEPS):
        if not isinstance(value, Mapping) or not isinstance(value.get("$ref"), str):
            return {**value, **beside} if beside and isinstance(value, Mapping) else value
        others = {key: item for key, item in value.items() if key != "$ref"}
        beside = {**others, **beside}
        value = at(document, value["$ref"])
    return {}


def at(document: Any, pointer: str) -> Any:  # noqa: ANN401  any JSON value
    """Return the value at `pointer` (`#/components/schemas/A`); an empty object if there is none.

    Percent-encoding (RFC 6901, section 6) is not undone: names of components need none.
    """
    if pointer != "#" and not pointer.startswith("#/"):
        return {}
    value = document
    for token in pointer[1:].split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, Mapping) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            return {}
    return value
