"""JSON of others, read so that it means one thing to everybody who reads it, or refused."""

import json
from typing import Any


class RepeatedKey(ValueError):  # noqa: N818  a state of the input
    """A key stands twice in one object, so two readers may see two things."""

    def __init__(self, key: str) -> None:
        super().__init__("a key stands twice")
        self.key = key
        "hostile: nobody has looked at it"


def loads(text: str) -> Any:  # noqa: ANN401  any JSON value
    """Return the value; raise ValueError or RecursionError, also for `NaN`."""
    return json.loads(text, object_pairs_hook=once, parse_constant=_no_constant)


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the members of an object; raise RepeatedKey: a hook of `json.loads`."""
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise RepeatedKey(key)
            seen.add(key)
    return value


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no number")
