"""One value, one sequence of bytes: JSON with sorted keys and no white space."""

import json
from typing import Any


def dumps(value: Any) -> bytes:  # noqa: ANN401  any JSON value
    """Encode `value`: keys sorted, no spaces, UTF-8; NaN and other types raise."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def pretty(value: Any) -> bytes:  # noqa: ANN401  any JSON value
    """Encode `value` for people and diffs: sorted, indented by one, with a last newline."""
    text = json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False)
    return text.encode() + b"\n"
