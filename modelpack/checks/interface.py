"""The gate of the interface: documents that are what they claim, golden requests that fit them."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from modelpack.errors import Finding, InputError
from modelpack.interface import Interface
from modelpack.interface.judging import Exchange, judge
from modelpack.interface.reading import parse
from modelpack.interface.validation import findings

_STATUS: Final = 200


def gate(documents: Mapping[str, bytes]) -> Interface:
    """Return the interface in `documents`; raise InputError with all that is wrong with it."""
    interface = parse(documents)
    if found := findings(interface):
        raise InputError(*found)
    return interface


def golden_findings(interface: Interface, files: Mapping[str, bytes]) -> tuple[Finding, ...]:
    """Return where golden requests, by their path, or their answers do not fit `interface`."""
    return tuple(
        finding for path, data in files.items() for finding in _of_file(interface, path, data)
    )


def _of_file(interface: Interface, path: str, data: bytes) -> Iterator[Finding]:
    try:
        exchange = _exchange(json.loads(data))
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        yield Finding(message="not a golden request: JSON with `request` and `response`", at=path,
                      rule="interface.golden")  # fmt: skip
        return
    for reason in judge(interface, exchange):
        yield Finding(
            message=reason, at=path, rule="interface.golden",
            hint="mend the golden file, or the document that [interface] names",
        )  # fmt: skip


def _exchange(value: Any) -> Exchange:  # noqa: ANN401  any JSON value
    request, response = value["request"], value["response"]
    method, path = request.get("method", "POST"), request["path"]
    status = response.get("status", _STATUS)
    if not (isinstance(method, str) and isinstance(path, str) and type(status) is int):
        raise TypeError("not a request")
    return Exchange(
        method=method, path=path, status=status,
        request=request.get("json"), has_request=request.get("json") is not None,
        response=response.get("json"), has_response="json" in response,
    )  # fmt: skip
