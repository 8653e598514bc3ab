"""JSON in which tensors stand, between us and the program that calls functions: pure.

A tensor is `{" tensor": [DTYPE, SHAPE, BASE64]}`; no key of a golden file begins with a blank.
"""

import base64
import json
from typing import Any, Final

from modelpack.errors import InputError
from modelpack.inputs.array import Array, array, widened

KEY: Final = " tensor"
_PARTS: Final = 3


def dumps(value: Any) -> bytes:  # noqa: ANN401  any JSON value, with tensors
    """Encode `value`; what NumPy has no word for as F32."""
    return json.dumps(value, default=_encoded).encode()


def _encoded(value: Any) -> Any:  # noqa: ANN401
    if not isinstance(value, Array):
        raise TypeError(type(value).__name__)
    plain = widened(value)
    return {KEY: [plain.dtype, [*plain.shape], base64.b64encode(plain.data).decode()]}


def tensors_of(value: Any) -> Any:  # noqa: ANN401  JSON
    """Return `value`, parsed, with its tensors; raise ValueError where one is none."""
    if isinstance(value, list):
        return [tensors_of(one) for one in value]
    if not isinstance(value, dict):
        return value
    if value.keys() != {KEY}:
        return {key: tensors_of(one) for key, one in value.items()}
    parts = value[KEY]
    if not isinstance(parts, list) or len(parts) != _PARTS or not isinstance(parts[2], str):
        raise ValueError("a tensor that is none")
    try:
        return array(parts[0], parts[1], base64.b64decode(parts[2], validate=True))
    except InputError as error:
        raise ValueError(str(error)) from error
