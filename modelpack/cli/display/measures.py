"""What a functional test measured, beside the limits that were asked for, in words for people."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from modelpack.cli import display
from modelpack.inspection.beside import VerdictClaim
from modelpack.quantity import in_gib

_SECONDS: Final = {"cold-start": "Cold start", "p50": "Answers, p50", "p95": "Answers, p95",
                   "p99": "Answers, p99", "stop": "Stop"}  # fmt: skip
_BYTES: Final = {"memory": "Memory, at most", "memory-growth": "Memory, growth",
                 "image-size": "Image"}  # fmt: skip
_PLAIN: Final = {"requests": "Requests", "rate": "Answers each second"}
_ABSURD: Final = 1e18
"bytes that nobody has"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """What was measured, and what was asked of it."""

    name: str
    value: str
    limit: str


def of(verdict: VerdictClaim) -> Iterator[Measure]:
    """Yield what was measured, with its limit; and limits of which nothing was."""
    titles, limits = {**_SECONDS, **_BYTES, **_PLAIN}, verdict.limits
    for key, title in titles.items():
        if key in verdict.measured or key in limits:
            value = "not measured"
            if key in verdict.measured:
                value = written(key, verdict.measured[key])
            yield Measure(name=title, value=value, limit=limits.get(key, ""))
    for key, title in titles.items():
        if key in verdict.calls:
            value = written(key, verdict.calls[key])
            yield Measure(name=f"Calls: {title}", value=value, limit=limits.get(key, ""))
    for name, limit in limits.items():
        if name not in titles:
            yield Measure(name=name, value="", limit=limit)


def written(key: str, value: float) -> str:
    """Return what was measured as people read it: sizes as limits have them."""
    if key in _BYTES and abs(value) < _ABSURD:
        return in_gib(int(value))
    return display.seconds(value) if key in _SECONDS else f"{value:g}"
