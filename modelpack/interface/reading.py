"""Read the documents of an interface: JSON, of bounded size and depth, that fetches nothing."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from modelpack import strict_json
from modelpack.errors import Finding, InputError
from modelpack.interface import KINDS, Interface

LIMIT: Final = 4 << 20
"bytes of a document"
_DEPTH: Final = 64
_VALUES: Final = 200_000
_REFERENCES: Final = ("$ref", "$dynamicRef", "$recursiveRef")
_MOST: Final = 20
"findings of one document"


def parse(documents: Mapping[str, bytes]) -> Interface:
    """Return the interface that `documents`, by their kind, state; raise InputError with all."""
    values: dict[str, Any] = {}
    problems: list[Finding] = []
    for kind in KINDS:
        if kind not in documents:
            continue
        try:
            values[kind] = _document(documents[kind], kind)
        except InputError as error:
            problems += error.findings
    if problems:
        raise InputError(*problems)
    return Interface(**values)


def _document(data: bytes, kind: str) -> Any:  # noqa: ANN401  any JSON value
    at = f"interface.{kind}"
    if len(data) > LIMIT:
        raise InputError(f"larger than {LIMIT >> 20} MiB", at=at)
    try:
        value = strict_json.loads(data.decode())
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        hint = "write it as JSON" if kind == "openapi" else ""
        raise InputError(f"not valid JSON: {reason}", at=at, hint=hint) from None
    if not isinstance(value, dict) and (kind == "openapi" or not isinstance(value, bool)):
        raise InputError("not a JSON object", at=at)
    if problems := list(_problems(value, at)):
        raise InputError(*problems[:_MOST])
    return value


def _problems(document: Any, at: str) -> Iterator[Finding]:  # noqa: ANN401  any JSON value
    """Yield what makes a document unsafe to work with: its size, and what lies elsewhere."""
    stack: list[tuple[Any, str, int]] = [(document, "", 0)]
    count = 0
    while stack:
        value, place, depth = stack.pop()
        count += 1
        if count > _VALUES:
            yield Finding(message=f"more than {_VALUES} values", at=at, rule="interface.size")
            return
        if depth > _DEPTH:
            message = f"nested more than {_DEPTH} deep"
            yield Finding(message=message, at=at, rule="interface.size")
            return
        if isinstance(value, dict):
            yield from _elsewhere(value, f"{at}: {place[:200] or '/'}", is_root=not place)
            stack += [(item, f"{place}/{escaped(key)}", depth + 1) for key, item in value.items()]
        elif isinstance(value, list):
            stack += [(item, f"{place}/{n}", depth + 1) for n, item in enumerate(value)]


def _elsewhere(value: Mapping[str, Any], at: str, *, is_root: bool) -> Iterator[Finding]:
    for key in _REFERENCES:
        target = value.get(key)
        if isinstance(target, str) and not target.startswith("#"):
            yield Finding(
                message=f"`{key}` leads out of the document, and nothing is fetched",
                at=at, hint="bundle what it leads to into the document", rule="interface.reference",
            )  # fmt: skip
    if not is_root and isinstance(value.get("$id"), str):
        yield Finding(message="an inner `$id` makes other documents of its parts", at=at,
                      hint="leave it out", rule="interface.reference")  # fmt: skip


def escaped(key: str) -> str:
    """Return `key` as a token of a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")
