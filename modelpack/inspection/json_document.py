"""A document of anybody that is to be a JSON object: read strictly, or refused."""

from typing import Any

from modelpack import canonical_json, strict_json
from modelpack.errors import InputError


def parse_object(data: bytes, *, at: str) -> dict[str, Any]:
    """Return the JSON object in `data`; raise InputError unless it is one that can be encoded.

    Refused are keys said twice, numbers that are no JSON, lone surrogates and absurd depths.
    """
    try:
        value = strict_json.loads(data.decode())
        canonical_json.dumps(value)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise InputError(f"not valid JSON: {reason}", at=at) from error
    if not isinstance(value, dict):
        raise InputError("not a JSON object", at=at)
    return value
