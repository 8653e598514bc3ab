"""Whether a request and its answer are what the interface says; nothing is sent here."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from modelpack.interface import Interface, parameters
from modelpack.interface.operations import Operation, find, response_of, schema_of
from modelpack.interface.validation import mismatches

JSON: Final = "application/json"
_CLIENT_ERRORS: Final = range(400, 500)
_SUCCESS: Final = range(200, 300)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A request and what was, or must be, answered."""

    method: str
    path: str
    "with the query, if any"
    status: int
    request: Any = None
    response: Any = None
    has_request: bool = True
    "whether it has a JSON body, which may be null"
    has_response: bool = True
    request_type: str = JSON
    media_type: str = JSON
    "of the answer"


def judge(interface: Interface, exchange: Exchange) -> tuple[str, ...]:
    """Return what contradicts the interface: in the request, or in the answer.

    A request that must be refused (its status is 4xx) may have any form. With both OpenAPI and
    JSON Schemas, both must hold.
    """
    return (*_by_operation(interface, exchange), *_by_schemas(interface, exchange))


def _by_operation(interface: Interface, exchange: Exchange) -> Iterator[str]:
    document = interface.openapi
    if not document:
        return
    operation = find(document, exchange.method, exchange.path)
    if operation is None:
        yield f"the interface has no {exchange.method} {exchange.path.partition('?')[0]}"
        return
    if exchange.status not in _CLIENT_ERRORS:
        yield from _request(interface, operation, exchange)
    contents = response_of(operation, exchange.status)
    if contents is None:
        yield f"{operation.name} describes no answer with status {exchange.status}"
    elif exchange.has_response or exchange.media_type != JSON:
        schema = schema_of(contents, exchange.media_type)
        if schema is None and contents:
            kind = _kind(exchange.media_type)
            yield f"{operation.name} describes no {kind} answer with status {exchange.status}"
        elif schema is not None and exchange.has_response:
            for reason in mismatches(schema, exchange.response, within=document):
                yield f"response: {reason}"


def _request(interface: Interface, operation: Operation, exchange: Exchange) -> Iterator[str]:
    document = interface.openapi
    for reason in parameters.complaints(document, operation, exchange.path):
        yield f"request: {reason}"
    if not exchange.has_request:
        if operation.body_required:
            yield f"{operation.name} requires a request body"
        return
    schema = schema_of(operation.body, exchange.request_type)
    if schema is None:
        yield f"{operation.name} describes no {_kind(exchange.request_type)} request body"
        return
    if exchange.request_type != JSON:
        return
    for reason in mismatches(schema, exchange.request, within=document):
        yield f"request: {reason}"


def _kind(media_type: str) -> str:
    return "JSON" if media_type == JSON else media_type


def _by_schemas(interface: Interface, exchange: Exchange) -> Iterator[str]:
    if exchange.status not in _SUCCESS:
        return
    if interface.input is not None and exchange.has_request and exchange.request_type == JSON:
        for reason in mismatches(interface.input, exchange.request, within=interface.input):
            yield f"request: {reason}"
    if interface.output is not None and exchange.has_response:
        for reason in mismatches(interface.output, exchange.response, within=interface.output):
            yield f"response: {reason}"


def same_document(interface: Interface, served: Any) -> bool:  # noqa: ANN401  any JSON value
    """Tell whether what a service serves as `/openapi.json` is what stands in the image.

    `servers` is left out: a service may fill in where it runs.
    """
    if not isinstance(served, dict):
        return False
    stated = {key: item for key, item in interface.openapi.items() if key != "servers"}
    return stated == {key: item for key, item in served.items() if key != "servers"}
