"""A document of anybody that is to be a JSON object: read strictly, or refused."""

import json
from typing import Any

from modelpack import canonical_json
from modelpack.errors import InputError


def parse_object(data: bytes, *, at: str) -> dict[str, Any]:
    """Return the JSON object in `data`; raise InputError unless it is one that can be encoded.

    Refused are keys said twice, numbers that are no JSON, lone surrogates and absurd depths.
    """
    try:
        value = json.loads(data.decode(), object_pairs_hook=_unique, parse_constant=_constant)
        canonical_json.dumps(value)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise InputError(f"not valid JSON: {reason}", at=at) from error
    if not isinstance(value, dict):
        raise InputError("not a JSON object", at=at)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key stands twice")
    return value


def _constant(name: str) -> object:
    raise ValueError(f"{name} is no number")
