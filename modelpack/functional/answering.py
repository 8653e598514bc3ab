"""The body of an answer to what it says: pure. Whoever answers may be hostile."""

from collections.abc import Iterator
from typing import Any, assert_never

from modelpack.errors import InputError
from modelpack.functional import wire
from modelpack.functional.comparing import NotANumber, parse
from modelpack.functional.golden import Form
from modelpack.inputs import tensors
from modelpack.inputs.tensor_references import arrays


class Unreadable(ValueError):  # noqa: N818  what the answer is
    """An answer that is not what its form says."""


def read(body: bytes, form: Form) -> Any:  # noqa: ANN401  any JSON value, tensors by name
    """Return what an answer says; raise Unreadable, and NotANumber for NaN and infinities."""
    value = _parsed(body, form)
    for place, array in arrays(value, ""):
        if found := array.not_finite():
            raise NotANumber(f"{found} of {place.removeprefix('.')}" if place else found)
    return value


def _parsed(body: bytes, form: Form) -> Any:  # noqa: ANN401
    match form:
        case "json":
            return _json(body)
        case "call":
            value = _json(body)
            try:
                return wire.tensors_of(value)
            except RecursionError as error:
                raise Unreadable("nested too deeply") from error
            except ValueError as error:
                raise Unreadable(str(error)) from error
        case "tensors":
            try:
                return dict(tensors.decode(body))
            except InputError as error:
                said = "; ".join(_said(error))
                raise Unreadable(f"not a safetensors file: {said}") from error
        case _:
            assert_never(form)


def _json(body: bytes) -> Any:  # noqa: ANN401
    try:
        return parse(body)
    except NotANumber:
        raise
    except ValueError as error:
        raise Unreadable(f"not JSON: {error}") from error


def _said(error: InputError) -> Iterator[str]:
    for finding in error.findings[:3]:
        yield finding.message
