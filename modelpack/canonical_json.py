"""One value, one sequence of bytes: JSON with sorted keys and no white space."""

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime
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


def plain(value: Any) -> Any:  # noqa: ANN401  any value of ours, any JSON value
    """Return `value` as JSON types: a dataclass as an object whose keys have `-` for `_`."""
    if is_dataclass(value) and not isinstance(value, type):
        return {
            field.name.replace("_", "-"): plain(getattr(value, field.name))
            for field in fields(value)
        }
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return value.isoformat() if isinstance(value, date) else value


def rfc3339(seconds: int) -> str:
    """Return `seconds` since 1970 as `2026-11-20T08:30:00Z`, the one form of a time in JSON."""
    return datetime.fromtimestamp(seconds, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
