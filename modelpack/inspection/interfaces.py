"""The interface that an image carries: a summary for people, and whether it is the stated one."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from modelpack import metadata
from modelpack.digest import of as digest_of
from modelpack.errors import InputError
from modelpack.inputs.quoting import quoted
from modelpack.inspection.description import Description
from modelpack.inspection.value import AnswerClaim, InterfaceClaim, OperationClaim
from modelpack.interface import KINDS, Interface
from modelpack.interface.fields import Field, fields
from modelpack.interface.operations import Operation, operations, schema_of
from modelpack.interface.pointers import resolved
from modelpack.interface.reading import parse

_MOST: Final = 1000
"operations, or fields"
_DETAILS: Final = 100
"operations of which is said what they take and give"
_FIELDS: Final = 60
"of a request or an answer, or answers of an operation"
_SHOWN: Final = 6
_SUMMARY: Final = 200
"characters"


def documents(files: Mapping[str, bytes]) -> Mapping[str, bytes]:
    """Return the documents of the interface among the files of a meta layer, by their kind."""
    named = {kind: f"interface/{kind}.json" for kind in KINDS}
    return {kind: files[name] for kind, name in named.items() if name in files}


def claim(description: Description) -> InterfaceClaim | None:
    """Return what the image says of its interface; None where it says nothing legible."""
    source = description.source
    digest = metadata.interface_digest(source) if source else None
    if digest is None:
        return None
    try:
        interface = parse(documents(description.files))
    except InputError:
        return InterfaceClaim(digest=digest)
    return _summary(interface, digest)


def _summary(interface: Interface, digest: str) -> InterfaceClaim:
    found = operations(interface.openapi)
    information = interface.openapi.get("info")
    title = information.get("title") if isinstance(information, Mapping) else ""
    version = interface.openapi.get("openapi")
    return InterfaceClaim(
        digest=digest,
        openapi=version if isinstance(version, str) else "",
        title=title if isinstance(title, str) else "",
        operations=tuple(one.name for one in found[:_MOST]),
        input=_fields(interface.input),
        output=_fields(interface.output),
        details=tuple(_details(interface, found)),
    )


def _details(interface: Interface, found: Sequence[Operation]) -> Iterator[OperationClaim]:
    """Yield what the first operations take and give; of JSON Schemas, the only one."""
    for one in found[:_DETAILS]:
        yield _operation(interface.openapi, one)
    if interface.input is not None or interface.output is not None:
        given = fields(interface.output, interface.output, most=_FIELDS)
        yield OperationClaim(
            name="", summary="", parameters=(), media_types=(),
            request=fields(interface.input, interface.input, most=_FIELDS),
            answers=(AnswerClaim(status="", fields=given),),
        )  # fmt: skip


def _operation(document: Mapping[str, Any], one: Operation) -> OperationClaim:
    asked = [_parameter(document, stated) for stated in one.parameters.values()]
    return OperationClaim(
        name=one.name,
        summary=one.summary[:_SUMMARY],
        parameters=tuple(asked[:_FIELDS]),
        media_types=tuple(one.body)[:_SHOWN],
        request=_of_body(document, one.body),
        answers=tuple(
            AnswerClaim(status=status, fields=_of_body(document, body))
            for status, body in list(one.responses.items())[:_FIELDS]
        ),
    )


def _parameter(document: Mapping[str, Any], stated: Mapping[str, Any]) -> Field:
    whole = fields(document, stated.get("schema", {}), most=1)[0]
    name, place = stated["name"], stated["in"]
    needed = stated.get("required") is True
    return replace(whole, name=f"{name} ({place})"[:_SUMMARY], required=needed)


def _of_body(document: Mapping[str, Any], body: Mapping[str, Any]) -> tuple[Field, ...]:
    """Return the fields of a body: of its JSON where it has one, else of what comes first."""
    if not body:
        return ()
    schema = schema_of(body)
    return fields(document, next(iter(body.values())) if schema is None else schema, most=_FIELDS)


def _fields(schema: Any) -> tuple[str, ...]:  # noqa: ANN401  any JSON value
    """Return the fields of an object, `?` after those that may be missing."""
    stated = resolved(schema, schema)
    fields = stated.get("properties") if isinstance(stated, Mapping) else None
    if not isinstance(fields, Mapping):
        return ()
    required = stated.get("required")
    needed = required if isinstance(required, list) else []
    return tuple(name if name in needed else f"{name}?" for name in list(fields)[:_MOST])


def findings(description: Description) -> Iterator[str]:
    """Tell whether the documents are those that source.json names."""
    source = description.source
    if source is None:
        return
    found = documents(description.files)
    for kind in sorted({*found, *source.interface}):
        stated = source.interface.get(kind)
        if kind not in found:
            yield f"source.json names an interface document `{kind}` that the image does not have"
        elif stated is None:
            yield f"source.json does not name the interface document `{kind}` in the image"
        elif digest_of(found[kind]) != stated:
            yield f"the interface document `{kind}` is not the one that source.json names"
    try:
        parse(found)
    except InputError as error:
        first = error.findings[0]
        yield f"the interface cannot be read: {quoted(first.at)}: {first.message}"
