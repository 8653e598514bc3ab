"""Whether the path and the query of a request have the parameters that an operation describes.

Source: OpenAPI Specification 3.1.1, Parameter Object: `style` form in a query, simple in a path.
Other styles, and parameters with `content`, are not judged.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from modelpack.interface.operations import Operation, path_values
from modelpack.interface.validation import mismatches

_ESCAPED = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_STYLES: Final = {"query": "form", "path": "simple"}


def complaints(document: Mapping[str, Any], operation: Operation, path: str) -> Iterator[str]:
    """Yield what is wrong with the parameters of a request for `path`, which has the query."""
    asked, _, query = path.partition("?")
    given = {
        "query": _of_query(query),
        "path": {name: [_decoded(text)] for name, text in path_values(operation, asked).items()},
    }
    for (place, name), stated in operation.parameters.items():
        if place not in _STYLES:
            continue
        found = given[place].get(name, [])
        if not found and stated.get("required") is True:
            yield f"{place} parameter `{name}` is missing"
        elif found and "schema" in stated and stated.get("style", _STYLES[place]) == _STYLES[place]:
            for reason in _mismatches(stated["schema"], found, document)[:1]:
                yield f"{place} parameter `{name}`: {reason}"


def _of_query(query: str) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    for pair in query.split("&") if query else ():
        name, _, value = pair.replace("+", " ").partition("=")
        found.setdefault(_decoded(name), []).append(_decoded(value))
    return found


def _decoded(text: str) -> str:
    return _ESCAPED.sub(
        lambda found: bytes.fromhex(found[0].replace("%", "")).decode("utf-8", "replace"), text
    )


def _mismatches(schema: Any, texts: Sequence[str], document: Mapping[str, Any]) -> tuple[str, ...]:  # noqa: ANN401
    """Return why no reading of `texts` fits: a text may stand for a number, several for a list."""
    words = [word for text in texts for word in text.split(",")]
    readings: list[Any] = [list(map(_read, texts)), list(map(_read, words)), list(texts), words]
    if len(texts) == 1:
        readings += [texts[0], _read(texts[0])]
    reasons = [mismatches(schema, reading, within=document) for reading in readings]
    return () if () in reasons else reasons[-1]


def _read(text: str) -> Any:  # noqa: ANN401  any JSON value
    """Return the number, boolean or null that `text` is, or else `text`."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, int | float | None) and value == value else text  # noqa: PLR0124
