"""The operations of an OpenAPI document, and which of them a request is for.

Source: OpenAPI Specification 3.0.4 and 3.1.1, Paths Object, Operation Object.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from modelpack.interface.pointers import resolved

METHODS: Final = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_IN_ONE: Final = 3
"templates between two slashes: with more of them a search would have no end"
_TEMPLATE = re.compile(r"\{[^/{}]{1,200}\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one path; every reference but those within schemas is followed."""

    method: str
    "in capitals"
    path: str
    "as written: `/models/{name}`"
    summary: str = ""
    parameters: Mapping[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    "by place (`query`) and name"
    body: Mapping[str, Any] = field(default_factory=dict)
    "schema of the request by media type; empty: no body is described"
    body_required: bool = False
    responses: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    "by status as written (`200`, `2XX`, `default`): schema by media type"

    @property
    def name(self) -> str:
        """What people call it: `POST /predict`."""
        return f"{self.method} {self.path}"


def operations(document: Mapping[str, Any]) -> tuple[Operation, ...]:
    """Return all operations of `document`, in the order in which they stand there."""
    return tuple(_operations(document))


def _operations(document: Mapping[str, Any]) -> Iterator[Operation]:
    for path, stated in _table(document.get("paths")).items():
        item = _table(resolved(document, stated))
        shared = _parameters(document, item.get("parameters"))
        for method in METHODS:
            if isinstance(item.get(method), Mapping):
                yield _operation(document, path, method, item[method], shared)


def _operation(
    document: Mapping[str, Any], path: str, method: str, stated: Mapping[str, Any],
    shared: Mapping[tuple[str, str], Mapping[str, Any]],
) -> Operation:  # fmt: skip
    body = _table(resolved(document, stated.get("requestBody", {})))
    summary = stated.get("summary")
    return Operation(
        method=method.upper(),
        path=path,
        summary=summary if isinstance(summary, str) else "",
        parameters={**shared, **_parameters(document, stated.get("parameters"))},
        body=_contents(body),
        body_required=body.get("required") is True,
        responses={
            status: _contents(_table(resolved(document, response)))
            for status, response in _table(stated.get("responses")).items()
        },
    )


def _parameters(
    document: Mapping[str, Any], stated: object
) -> Mapping[tuple[str, str], Mapping[str, Any]]:
    found = {}
    for item in stated if isinstance(stated, list) else ():
        one = _table(resolved(document, item))
        if isinstance(one.get("in"), str) and isinstance(one.get("name"), str):
            found[one["in"], one["name"]] = one
    return found


def _contents(stated: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the schema of each media type; True where any value may stand."""
    return {
        media_type.partition(";")[0].strip().lower(): _table(item).get("schema", True)
        for media_type, item in _table(stated.get("content")).items()
    }


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def find(document: Mapping[str, Any], method: str, path: str) -> Operation | None:
    """Return the operation that a request is for: a path without templates comes first."""
    asked = path.partition("?")[0]
    fitting = [
        one for one in operations(document)
        if one.method == method.upper() and _fits(one.path, asked)
    ]  # fmt: skip
    return min(fitting, key=lambda one: one.path.count("{"), default=None)


def _fits(template: str, path: str) -> bool:
    return _matched(template, path) is not None


def _matched(template: str, path: str) -> re.Match[str] | None:
    if any(part.count("{") > _IN_ONE for part in template.split("/")):
        return None
    pieces = [re.escape(piece) for piece in _TEMPLATE.split(template)]
    return re.fullmatch("([^/]+)".join(pieces), path)


def path_values(operation: Operation, path: str) -> Mapping[str, str]:
    """Return what stands in `path` for each name in the template of its operation."""
    names = [name[1:-1] for name in _TEMPLATE.findall(operation.path)]
    found = _matched(operation.path, path)
    return dict(zip(names, found.groups(), strict=True)) if found else {}


def schema_of(contents: Mapping[str, Any], media_type: str = "application/json") -> Any:  # noqa: ANN401
    """Return the schema for `media_type`, exact before a range; None where there is none."""
    kind = media_type.partition("/")[0]
    for key in (media_type, f"{kind}/*", "*/*"):
        if key in contents:
            return contents[key]
    return None


def response_of(operation: Operation, status: int) -> Mapping[str, Any] | None:
    """Return the contents of the response with `status`; None where it is not described."""
    for key in (str(status), f"{status // 100}XX", "default"):
        if key in operation.responses:
            return operation.responses[key]
    return None
