"""What a functional test measured, beside the limits that were asked for, in words for people."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from modelpack.cli import display

_SECONDS: Final = {"cold_start": "Cold start", "p50": "Answers, p50", "p95": "Answers, p95",
                   "p99": "Answers, p99", "stop": "Stop"}  # fmt: skip
_BYTES: Final = {"memory": "Memory, at most", "memory_growth": "Memory, growth",
                 "image_size": "Image"}  # fmt: skip
_PLAIN: Final = {"requests": "Requests", "rate": "Answers each second"}


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
    for names, written in ((_SECONDS, display.seconds), (_BYTES, _size), (_PLAIN, _number)):
        for key, title in names.items():
            limit = left.pop(key.replace("_", "-"), "")
            if key in measured or limit:
                value = written(measured[key]) if key in measured else "not measured"
                yield Measure(name=title, value=value, limit=limit)
    for name, limit in left.items():
        yield Measure(name=name, value="", limit=limit)


def _size(count: float) -> str:
    return display.size(max(int(count), 0)) if abs(count) < 1e18 else str(count)  # noqa: PLR2004


def _number(value: float) -> str:
    return f"{value:g}"
