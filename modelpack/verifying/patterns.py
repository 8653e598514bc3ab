"""Patterns of a policy: `*` stands for any characters, everything else for itself."""

import re
from collections.abc import Iterable


def matches(pattern: str, text: str) -> bool:
    """Tell whether all of `text` is as `pattern` says."""
    parts = map(re.escape, pattern.split("*"))
    return re.fullmatch(".*".join(parts), text, re.DOTALL) is not None


def any_matches(patterns: Iterable[str], text: str) -> bool:
    """Tell whether one of `patterns` matches."""
    return any(matches(pattern, text) for pattern in patterns)
