"""A functional test as tables for people and as JSON."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from modelpack.canonical_json import rfc3339
from modelpack.cli import display
from modelpack.digest import Digest
from modelpack.functional.predicate import rounded
from modelpack.functional.value import Measured, Tested
from modelpack.quantity import in_gib

_MARKS: Final = {"passed": "+", "failed": "-", "unknown": "?", "skipped": " "}
_ANSWERS: Final = {
    "passed": "passed",
    "failed": "failed",
    "unknown": "could not find out",
    "skipped": "could not find out",
}
_IMAGE: Final = "image"
_LINES: Final = 20
"of the service's log"


def text(tested: Tested) -> str:
    """Return the report for people."""
    return "\n".join(_lines(tested))


def _lines(tested: Tested) -> Iterator[str]:
    yield display.table([("image", tested.digest or tested.image), ("engine", tested.engine)])
    yield ""
    yield display.table(rows(tested), width=0)
    yield ""
    yield display.table(numbers(tested))
    yield ""
    yield answer(tested)


def answer(tested: Tested) -> str:
    """Return the answer in one line."""
    counts = ((len(tested.named(one)), one) for one in ("failed", "unknown", "passed", "skipped"))
    said = ", ".join(f"{count} {word}" for count, word in counts if count or word == "passed")
    return f"test {_ANSWERS[tested.outcome]}: {said}"


def rows(tested: Tested) -> list[tuple[str, str, str]]:
    """Return each check with its mark; every complaint, and the hint, on a line of its own."""
    found = []
    for check in tested.checks:
        first, *more = check.found.split("\n")
        found.append((_MARKS[check.outcome], check.name, first))
        found += [("", "", line) for line in more]
        if check.hint and check.outcome == "failed":
            found.append(("", "", f"hint: {check.hint}"))
    return found


def numbers(tested: Tested) -> list[tuple[str, str]]:
    """Return what was measured, of the service and of functions."""
    called = [] if tested.calls is None else _numbers(tested.calls, tested.concurrency)
    return [
        *_numbers(tested.measured, tested.concurrency),
        *((f"calls: {name}", shown) for name, shown in called if name != _IMAGE),
    ]


def _numbers(one: Measured, concurrency: int) -> list[tuple[str, str]]:
    spans = {
        "cold start": one.cold_start, "p50": one.p50, "p95": one.p95, "p99": one.p99,
        "stop": one.stop,
    }  # fmt: skip
    sizes = {
        "memory, at most": one.memory, "memory, growth": one.memory_growth,
        _IMAGE: one.image_size,
    }  # fmt: skip
    rate = f"{one.rate:.0f} answers/s by {concurrency} at once" if one.rate else ""
    return [
        *((name, display.seconds(value)) for name, value in spans.items() if value is not None),
        *([("load", rate)] if rate else []),
        *((name, in_gib(value)) for name, value in sizes.items() if value is not None),
    ]


def log(tested: Tested) -> list[str]:
    """Return the end of its log, where it did not come far enough to be asked."""
    lines = tested.log.decode("utf-8", "replace").splitlines()
    return [f"  {line}" for line in lines[-_LINES:]]


def document(tested: Tested, statement: Digest | None) -> Mapping[str, Any]:
    """Return the test for programs."""
    return {
        "digest": tested.digest,
        "image": tested.image,
        "engine": tested.engine,
        "outcome": tested.outcome,
        "concurrency": tested.concurrency,
        "duration": tested.duration,
        "limits": dict(tested.limits),
        "golden": [{"path": path, "digest": digest} for path, digest in tested.golden.items()],
        "interface": tested.interface,
        "checks": [
            {"name": one.name, "outcome": one.outcome, "found": one.found, "hint": one.hint}
            for one in tested.checks
        ],
        "measured": _measured(tested.measured),
        "calls": None if tested.calls is None else _measured(tested.calls),
        "started": rfc3339(tested.started),
        "finished": rfc3339(tested.finished),
        "statement": statement,
    }


def _measured(one: Measured) -> Mapping[str, Any]:
    return {key.replace("-", "_"): value for key, value in rounded(one).items()}
