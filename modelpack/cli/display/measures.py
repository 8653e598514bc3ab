"""What a functional test measured, beside the limits that were asked for, in words for people."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from modelpack.cli import display
from modelpack.quantity import in_gib

_SECONDS: Final = {"cold_start": "Cold start", "p50": "Answers, p50", "p95": "Answers, p95",
                   "p99": "Answers, p99", "stop": "Stop"}  # fmt: skip
_BYTES: Final = {"memory": "Memory, at most", "memory_growth": "Memory, growth",
                 "image_size": "Image"}  # fmt: skip
_PLAIN: Final = {"requests": "Requests", "rate": "Answers each second"}
_ABSURD: Final = 1e18
"bytes that nobody has"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """What was measured, and what was asked of it."""

    name: str
    value: str
    limit: str


def of(
    measured: Mapping[str, float], limits: Mapping[str, str]
) -> Iterator[Measure]:  # fmt: skip
    """Yield what was measured, with its limit; and limits of which nothing was."""
    left = dict(limits)
    for key, title in {**_SECONDS, **_BYTES, **_PLAIN}.items():
        limit = left.pop(key.replace("_", "-"), "")
        if key in measured or limit:
            value = written(key, measured[key]) if key in measured else "not measured"
            yield Measure(name=title, value=value, limit=limit)
    for name, limit in left.items():
        yield Measure(name=name, value="", limit=limit)


def written(key: str, value: float) -> str:
    """Return what was measured as people read it: sizes as limits have them."""
    if key in _BYTES and abs(value) < _ABSURD:
        return in_gib(int(value))
    return display.seconds(value) if key in _SECONDS else f"{value:g}"
