"""The interface that an image carries: a summary for people, and whether it is the stated one."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from modelpack import metadata
from modelpack.digest import of as digest_of
from modelpack.errors import InputError
from modelpack.inputs.quoting import quoted
from modelpack.inspection.description import Description
from modelpack.inspection.value import InterfaceClaim
from modelpack.interface import KINDS, Interface
from modelpack.interface.operations import operations
from modelpack.interface.pointers import resolved
from modelpack.interface.reading import parse

_MOST: Final = 1000
"operations, or fields"


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
    information = interface.openapi.get("info")
    title = information.get("title") if isinstance(information, Mapping) else ""
    version = interface.openapi.get("openapi")
    return InterfaceClaim(
        digest=digest,
        openapi=version if isinstance(version, str) else "",
        title=title if isinstance(title, str) else "",
        operations=tuple(one.name for one in operations(interface.openapi)[:_MOST]),
        input=_fields(interface.input),
        output=_fields(interface.output),
    )


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
