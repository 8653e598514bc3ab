"""Whether a service counts what it answers, from two looks at its metrics: pure.

Source: Prometheus text-based exposition format 0.0.4; OpenMetrics 1.0, which adds no more here.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

_SAMPLE: Final = re.compile(r"([A-Za-z_:][\w:]*)(\{.*\})?\s+([^\s]+)(?:\s+[^\s]+)?\s*", re.ASCII)
_RUNTIME: Final = ("process_", "python_", "go_", "jvm_", "nodejs_", "scrape_")
"of the process itself: they move whatever is asked"
_ERROR_NAME: Final = re.compile(r"error|fail|exception|reject|invalid", re.IGNORECASE)
_ERROR_LABEL: Final = re.compile(r'"(?:[45]\d\d|[45]xx|[^"]*(?:error|fail|invalid)[^"]*)"',
                                 re.IGNORECASE)  # fmt: skip
_LINES: Final = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """One look."""

    samples: Mapping[tuple[str, str], float] = field(default_factory=dict)
    "by name and labels as they are written"
    types: Mapping[str, str] = field(default_factory=dict)


def parse(text: str) -> Metrics:
    """Return what a service exposes; lines that are none of the format are left out."""
    samples: dict[tuple[str, str], float] = {}
    types: dict[str, str] = {}
    for line in text.splitlines()[:_LINES]:
        words = line.split()
        if words[:2] == ["#", "TYPE"] and len(words) == 4:  # noqa: PLR2004
            types[words[2]] = words[3]
        elif not line.startswith("#") and (match := _SAMPLE.fullmatch(line)):
            try:
                samples[match[1], match[2] or ""] = float(match[3])
            except ValueError:
                continue
    return Metrics(samples=samples, types=types)


def complaints(before: Metrics, after: Metrics, *, asked: int) -> Iterator[str]:
    """Yield which series did not move when `asked` requests were answered, one with an error."""
    if not after.samples:
        yield "there are no metrics"
        return
    moved = {
        key: value - before.samples.get(key, 0.0)
        for key, value in after.samples.items()
        if value > before.samples.get(key, 0.0) and not key[0].startswith(_RUNTIME)
    }
    if _counted(moved, after) < asked:
        yield f"no counter of requests has gone up by the {asked} that were asked"
    if not any(_is_error(name, labels, after) for name, labels in moved):
        yield "no counter of errors has gone up with a request that was refused"
    if not any(_is_latency(name, after) for name, _ in moved):
        yield "no histogram or summary of the time that answers take has gone up"


def _counted(moved: Mapping[tuple[str, str], float], metrics: Metrics) -> float:
    """Return by how much the series that has counted most has gone up, over all its labels."""
    by_name: dict[str, float] = {}
    for (name, _), value in moved.items():
        if _is_counter(name, metrics) or name.endswith("_count"):
            by_name[name] = by_name.get(name, 0.0) + value
    return max(by_name.values(), default=0.0)


def _is_counter(name: str, metrics: Metrics) -> bool:
    kind = metrics.types.get(name) or metrics.types.get(name.removesuffix("_total"))
    return kind == "counter" or (kind is None and name.endswith("_total"))


def _is_error(name: str, labels: str, metrics: Metrics) -> bool:
    counts = _is_counter(name, metrics) or name.endswith("_count")
    return counts and bool(_ERROR_NAME.search(name) or _ERROR_LABEL.search(labels))


def _is_latency(name: str, metrics: Metrics) -> bool:
    for end in ("_count", "_sum", "_bucket"):
        if name.endswith(end):
            kind = metrics.types.get(name.removesuffix(end))
            return kind in ("histogram", "summary") and end != "_bucket"
    return False
