"""Members of JSON values of anybody: of the type that is wanted, or nothing; never raises."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_TEXT_LIMIT = 2000
"characters of a text that is shown"
_NOTHING: Mapping[str, Any] = {}


def table(value: object, *keys: str) -> Mapping[str, Any]:
    """Return the object that stands below `keys`, else an empty one."""
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else _NOTHING


def text(value: object, *keys: str) -> str:
    """Return the text that stands below `keys`, cut where it is long, else an empty one."""
    *above, last = keys
    found = table(value, *above).get(last)
    return found[:_TEXT_LIMIT] if isinstance(found, str) else ""


def array(value: object, *keys: str) -> Sequence[Any]:
    """Return the list that stands below `keys`, else an empty one."""
    *above, last = keys
    found = table(value, *above).get(last)
    return found if isinstance(found, list) else ()


def tables(value: object, *keys: str) -> Iterator[Mapping[str, Any]]:
    """Yield the objects in the list that stands below `keys`."""
    return (item for item in array(value, *keys) if isinstance(item, Mapping))
