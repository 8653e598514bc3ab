"""Requests that a service must refuse with 4xx, made from good ones and the interface."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from modelpack.interface import Interface
from modelpack.interface.judging import JSON
from modelpack.interface.operations import find, schema_of
from modelpack.interface.pointers import resolved
from modelpack.interface.validation import mismatches

_OTHERS: Final[tuple[Any, ...]] = (None, True, 7, "text", [], {})
"one of each type of JSON"
_FIELDS: Final = 20
_DEEP: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Malformed:
    """A request that does not fit the interface."""

    name: str
    "what is wrong with it, for people"
    body: bytes
    content_type: str = JSON


def requests(interface: Interface, method: str, path: str, good: Any) -> tuple[Malformed, ...]:  # noqa: ANN401
    """Return malformed variants of a JSON request that is `good`.

    Those that the schema would let through are left out: nobody has to refuse them.
    """
    within, schema = _schema(interface, method, path)
    found = [
        Malformed(name="not JSON", body=b'{"'),
        Malformed(name="not UTF-8", body=b'{"\xff": 1}'),
        Malformed(name="nested without end", body=b"[" * _DEEP),
    ]
    operation = find(interface.openapi, method, path) if interface.openapi else None
    if operation is None or operation.body_required:
        found.append(Malformed(name="an empty body", body=b""))
    if schema is None:
        return tuple(found)
    found += [
        Malformed(name=name, body=json.dumps(value).encode())
        for name, value in _values(within, schema, good)
        if mismatches(schema, value, within=within)
    ]
    media_types = _media_types(interface, method, path)
    if media_types and not media_types & {"text/plain", "text/*", "*/*"}:
        body = json.dumps(good).encode()
        found.append(Malformed(name="content type text/plain", body=body,
                               content_type="text/plain"))  # fmt: skip
    return tuple(found)


def _schema(interface: Interface, method: str, path: str) -> tuple[Any, Any]:
    operation = find(interface.openapi, method, path) if interface.openapi else None
    if operation is not None:
        return interface.openapi, schema_of(operation.body, JSON)
    return interface.input, interface.input


def _media_types(interface: Interface, method: str, path: str) -> set[str]:
    operation = find(interface.openapi, method, path) if interface.openapi else None
    return set(operation.body) if operation else set()


def _values(within: Any, schema: Any, good: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    for other in _OTHERS:
        yield f"the whole body is {_kind(other)}", other
    stated = resolved(within, schema)
    if not isinstance(good, dict) or not isinstance(stated, Mapping):
        return
    for key in list(good)[:_FIELDS]:
        yield f"without `{key}`", {name: item for name, item in good.items() if name != key}
        for other in _OTHERS:
            yield f"`{key}` is {_kind(other)}", {**good, key: other}
        if isinstance(good[key], list):
            for other in _OTHERS:
                yield f"`{key}` holds {_kind(other)}", {**good, key: [other]}
    yield "an unknown field", {**good, "modelpack-unknown-field": 1}


def _kind(value: object) -> str:
    return {
        type(None): "null", bool: "a boolean", int: "a number", str: "a text",
        list: "an empty list", dict: "an empty object",
    }[type(value)]  # fmt: skip
