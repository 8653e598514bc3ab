"""Whether the documents of an interface are what they claim to be: OpenAPI, JSON Schema.

OpenAPI by openapi-spec-validator (with the OpenAPI Initiative's schemas), JSON Schema by
jsonschema against the metaschema that `$schema` names. Neither is let near a network.
"""

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

from modelpack.errors import Finding, Unavailable
from modelpack.interface import Interface
from modelpack.interface.pointers import at as at_pointer

_MOST: Final = 20
_SHOWN: Final = 300
"characters of a message of others"
_VERSION = re.compile(r"3\.[01]\.\d+")
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_PLACE: Final = "urn:modelpack:interface"
"stands for the document while a part of it is looked at"


def findings(interface: Interface) -> tuple[Finding, ...]:
    """Return what is wrong with the documents, the first twenty of each."""
    found: list[Finding] = []
    if interface.openapi:
        found += _limited(_of_openapi(interface.openapi))
    for kind in ("input", "output"):
        schema = getattr(interface, kind)
        if schema is not None:
            found += _limited(_of_schema(schema, f"interface.{kind}"))
    return tuple(found)


def _limited(found: Iterator[Finding]) -> list[Finding]:
    """Return the first findings; a document that no validator can follow is one itself."""
    kept: list[Finding] = []
    try:
        for finding in found:
            kept.append(finding)
            if len(kept) == _MOST:
                break
    except RecursionError:
        message = "references or schemas without an end"
        kept.append(Finding(message=message, at="interface", rule="interface.invalid"))
    return kept


def _of_openapi(document: Mapping[str, Any]) -> Iterator[Finding]:
    at = "interface.openapi"
    version = document.get("openapi")
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        yield Finding(
            message="not an OpenAPI document of version 3.0 or 3.1", at=at,
            hint='it begins with "openapi": "3.1.0"', rule="interface.version",
        )  # fmt: skip
        return
    yield from _dangling(document, at)
    validators = _imported("openapi_spec_validator")
    line = "30" if version.startswith("3.0.") else "31"
    theirs = getattr(validators, f"OpenAPIV{line}SpecValidator")
    # It prefers a validator of Rust where one is installed, whose messages are others.
    schema = getattr(_imported("openapi_spec_validator.schemas"), f"schema_v{line}")
    judge = _imported("jsonschema").validators.validator_for(schema)(schema)
    kind = type(theirs.__name__, (theirs,), {"schema_validator": judge})
    try:
        for error in kind(document).iter_errors():
            yield _finding(error, at)
    except RecursionError:
        raise
    except Exception as error:  # noqa: BLE001  whatever a validator stumbles over is the document's
        message = f"cannot be followed: {_short(type(error).__name__, str(error))}"
        yield Finding(message=message, at=at, rule="interface.invalid")


def _of_schema(schema: Mapping[str, Any] | bool, at: str) -> Iterator[Finding]:  # noqa: FBT001
    jsonschema = _imported("jsonschema")
    dialect = schema.get("$schema", DIALECT) if isinstance(schema, Mapping) else DIALECT
    kind = jsonschema.validators.validator_for({"$schema": dialect}, default=None)
    if kind is None:
        yield Finding(message="`$schema` names no known JSON Schema", at=at,
                      hint=f'"$schema": "{DIALECT}"', rule="interface.version")  # fmt: skip
        return
    yield from _dangling(schema, at)
    for error in kind(kind.META_SCHEMA, registry=_registry()).iter_errors(schema):
        yield _finding(error, at)
    yield from _patterns(schema, at)


def _dangling(document: Any, at: str) -> Iterator[Finding]:  # noqa: ANN401  any JSON value
    nowhere: dict[str, Any] = {}
    stack = [document]
    while stack:
        value = stack.pop()
        if isinstance(value, Mapping):
            target = value.get("$ref")
            if (
                isinstance(target, str) and target.startswith("#/")
                and at_pointer(document, target) == nowhere
            ):  # fmt: skip
                yield Finding(message=f"`{_short(target)}` leads nowhere", at=at,
                              rule="interface.reference")  # fmt: skip
            stack += value.values()
        elif isinstance(value, list):
            stack += value


def _patterns(document: Any, at: str) -> Iterator[Finding]:  # noqa: ANN401  any JSON value
    stack = [document]
    while stack:
        value = stack.pop()
        if isinstance(value, Mapping):
            pattern = value.get("pattern")
            if isinstance(pattern, str):
                try:
                    re.compile(pattern)
                except (re.error, OverflowError, RecursionError) as error:
                    message = f"pattern `{_short(pattern)}` is no regular expression: {error}"
                    yield Finding(message=message, at=at, rule="interface.invalid")
            stack += value.values()
        elif isinstance(value, list):
            stack += value


def mismatches(schema: Any, value: Any, *, within: Any) -> tuple[str, ...]:  # noqa: ANN401
    """Return why `value` does not fit `schema`, a part of `within` or the whole of it."""
    if isinstance(schema, bool):
        return () if schema else ("nothing is allowed here",)
    try:
        validator = _validator(schema, within)
        return tuple(_said(error) for error in islice(validator.iter_errors(value), _MOST))
    except RecursionError:
        return ("the schema has no end",)
    except Unavailable:
        raise
    except Exception as error:  # noqa: BLE001  a schema that the metaschema let through
        return (f"the schema cannot be followed: {_short(type(error).__name__, str(error))}",)


def _validator(schema: Any, within: Any) -> Any:  # noqa: ANN401  a class of an optional package
    jsonschema = _imported("jsonschema")
    if isinstance(within, Mapping) and str(within.get("openapi", "")).startswith("3.0."):
        kind = _imported("openapi_schema_validator").OAS30Validator  # knows `nullable`
    else:
        stated = within.get("$schema", DIALECT) if isinstance(within, Mapping) else DIALECT
        kind = jsonschema.validators.validator_for(
            {"$schema": stated}, default=jsonschema.Draft202012Validator
        )
    if schema is within:
        return kind(schema, registry=_registry())
    document = _imported("referencing.jsonschema").DRAFT202012.create_resource(within)
    return kind(_moved(schema), registry=_registry().with_resource(_PLACE, document))


def _moved(value: Any) -> Any:  # noqa: ANN401  any JSON value
    """Return a part of a document with its references as seen from outside the document."""
    if isinstance(value, Mapping):
        return {
            key: f"{_PLACE}{item}"
            if key == "$ref" and isinstance(item, str) and item.startswith("#")
            else _moved(item)
            for key, item in value.items()
        }
    return [_moved(item) for item in value] if isinstance(value, list) else value


def _registry() -> Any:  # noqa: ANN401  a class of an optional package
    """Return a registry that knows the metaschemas and fetches nothing."""
    return _imported("jsonschema_specifications").REGISTRY


def _said(error: Any) -> str:  # noqa: ANN401
    place = "/".join(str(part) for part in error.absolute_path)
    return f"/{place}: {_short(error.message)}" if place else _short(error.message)


def _finding(error: Any, at: str) -> Finding:  # noqa: ANN401  ValidationError
    place = "/".join(str(part) for part in getattr(error, "absolute_path", ()))
    message = _short(getattr(error, "message", str(error)))
    return Finding(message=message, at=f"{at}: /{place}" if place else at, rule="interface.invalid")


def _short(*words: str) -> str:
    text = " ".join(" ".join(words).split())
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _imported(name: str) -> Any:  # noqa: ANN401  a module of an optional package
    import importlib  # noqa: PLC0415  only where there is an interface

    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise Unavailable(
            f"`{name.partition('.')[0]}` is not installed, which reads interfaces", at="interface",
            hint="pip install 'modelpack-build[interface]'",
        ) from error  # fmt: skip
