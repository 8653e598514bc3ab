"""Which changes of an interface break those who use it: numbered rules, a pure function.

 1. operation-removed    an operation is no longer there
 2. parameter-required   a parameter is new and required, became required, or changed its place
 3. parameter-narrowed   a parameter accepts less
 4. body-required        a request needs a body now
 5. media-type-removed   a media type of a request or an answer is no longer there
 6. status-removed       an answer of success is no longer described
 7. request-required     a request needs a new field
 8. request-refused      a field of a request is no longer accepted
 9. request-type         a type of a request is no longer accepted
10. request-enum         a value of a request is no longer accepted
11. request-bound        a bound of a request was tightened
12. response-promised    a field of an answer is gone, or may be missing
13. response-type        a type may come that was not described
14. response-enum        a value may come that was not listed
15. response-bound       a bound of an answer was loosened
16. request-opaque, response-opaque   something changed that nobody can compare

Optional fields and parameters, operations, media types and answers may be added; so may fields
in answers. A field that a request could always have, undescribed, may be described.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from modelpack.errors import Finding
from modelpack.interface import Interface
from modelpack.interface.operations import Operation, operations
from modelpack.interface.shapes import Pair, Side, differences

RULES: Final = (
    "operation-removed", "parameter-required", "parameter-narrowed", "body-required",
    "media-type-removed", "status-removed", "request-required", "request-refused",
    "request-type", "request-enum", "request-bound", "response-promised", "response-type",
    "response-enum", "response-bound", "request-opaque", "response-opaque", "removed",
)  # fmt: skip
_MOST: Final = 100


def breaking(old: Interface, new: Interface) -> tuple[Finding, ...]:
    """Return what breaks for those who use `old` when it becomes `new`."""
    found: list[Finding] = []
    for finding in _breaking(old, new):
        if finding not in found:
            found.append(finding)
        if len(found) == _MOST:
            break
    return tuple(found)


def _breaking(old: Interface, new: Interface) -> Iterator[Finding]:
    if old.openapi and not new.openapi:
        yield _finding("removed", "interface.openapi", "is no longer stated")
    elif old.openapi:
        yield from _operations(old.openapi, new.openapi)
    if old.input is not None and new.input is not None:
        yield from _schemas(
            old.input, new.input, old.input, new.input, "request", "interface.input"
        )
    elif old.input is not None and not new.openapi:
        yield _finding("removed", "interface.input", "is no longer stated")
    if old.output is not None and new.output is not None:
        yield from _schemas(
            old.output, new.output, old.output, new.output, "response", "interface.output"
        )
    elif old.output is not None and not new.openapi:
        yield _finding("removed", "interface.output", "is no longer stated")


def _operations(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Finding]:
    there = {_key(one): one for one in operations(new)}
    for was in operations(old):
        now = there.get(_key(was))
        if now is None:
            yield _finding("operation-removed", was.name, "is no longer there")
            continue
        yield from _parameters(was, now, old, new)
        yield from _bodies(was, now, old, new)
        yield from _answers(was, now, old, new)


def _key(operation: Operation) -> tuple[str, str]:
    """Return what makes two operations one: the names of a path's parameters do not matter."""
    parts = [
        "{}" if part.startswith("{") and part.endswith("}") else part
        for part in operation.path.split("/")
    ]
    return operation.method, "/".join(parts)


def _parameters(
    was: Operation, now: Operation, old: Mapping[str, Any], new: Mapping[str, Any]
) -> Iterator[Finding]:
    for (place, name), stated in now.parameters.items():
        before = was.parameters.get((place, name))
        if place == "path":
            if before is not None:
                yield from _narrowed(was, before, stated, old, new)
        elif stated.get("required") is True and (before or {}).get("required") is not True:
            message = f"{place} parameter `{name}` is required now"
            yield _finding("parameter-required", was.name, message)
        if before is not None and place != "path":
            yield from _narrowed(was, before, stated, old, new)
    for place, name in was.parameters.keys() - now.parameters.keys():
        if place != "path":
            message = f"{place} parameter `{name}` is no longer described"
            yield _finding("parameter-narrowed", was.name, message)


def _narrowed(
    was: Operation, before: Mapping[str, Any], after: Mapping[str, Any],
    old: Mapping[str, Any], new: Mapping[str, Any],
) -> Iterator[Finding]:  # fmt: skip
    pair = Pair(
        old=before.get("schema", True), new=after.get("schema", True),
        old_document=old, new_document=new, side="request",
    )  # fmt: skip
    for one in differences(pair):
        message = f"parameter `{before['name']}`: {one.at}: {one.message}"
        yield _finding("parameter-narrowed", was.name, message)


def _bodies(
    was: Operation, now: Operation, old: Mapping[str, Any], new: Mapping[str, Any]
) -> Iterator[Finding]:
    if now.body_required and not was.body_required:
        yield _finding("body-required", was.name, "the request needs a body now")
    for media_type, schema in was.body.items():
        if media_type not in now.body:
            message = f"the request may no longer be `{media_type}`"
            yield _finding("media-type-removed", was.name, message)
        else:
            at = f"{was.name} request"
            yield from _schemas(schema, now.body[media_type], old, new, "request", at)


def _answers(
    was: Operation, now: Operation, old: Mapping[str, Any], new: Mapping[str, Any]
) -> Iterator[Finding]:
    for status, contents in was.responses.items():
        if status not in now.responses:
            if status[:1] in "23":
                message = f"the answer with status {status} is no longer described"
                yield _finding("status-removed", was.name, message)
            continue
        for media_type, schema in contents.items():
            if media_type not in now.responses[status]:
                message = f"the answer with status {status} is no longer `{media_type}`"
                yield _finding("media-type-removed", was.name, message)
            else:
                yield from _schemas(
                    schema, now.responses[status][media_type], old, new, "response",
                    f"{was.name} {status}",
                )  # fmt: skip


def _schemas(
    old: Any, new: Any, old_document: Any, new_document: Any, side: Side, at: str  # noqa: ANN401
) -> Iterator[Finding]:  # fmt: skip
    pair = Pair(
        old=old, new=new, old_document=old_document, new_document=new_document, side=side
    )  # fmt: skip
    for one in differences(pair):
        yield _finding(f"{side}-{one.rule}", at, f"{one.at}: {one.message}")


def _finding(rule: str, at: str, message: str) -> Finding:
    return Finding(message=message, at=at, rule=f"interface.{rule}")


def major(version: str) -> int | None:
    """Return the major version (SemVer 2.0.0, rule 8); None where `version` has none."""
    first = version.removeprefix("v").partition(".")[0]
    return int(first) if first.isdecimal() and first.isascii() and len(first) < 10 else None  # noqa: PLR2004
