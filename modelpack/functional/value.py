"""What a functional test finds out: checks, each with its outcome, and numbers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from modelpack.digest import Digest

Outcome = Literal["passed", "failed", "unknown", "skipped"]
_WORST: tuple[Outcome, ...] = ("failed", "unknown", "passed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that must be so."""

    name: str
    "`ready`, `golden/one.json`, `limit p95`"
    outcome: Outcome
    found: str
    "what was seen; of a failure each complaint on a line"
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Numbers of one run; None where nobody could tell. Seconds and bytes."""

    cold_start: float | None = None
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    requests: int = 0
    rate: float | None = None
    "requests answered each second"
    memory: int | None = None
    "the most that was seen"
    memory_growth: int | None = None
    "between the end of the warm-up and the end"
    image_size: int | None = None
    stop: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested:
    """One functional test of one image."""

    digest: Digest | None
    "of the manifest; None: an engine's image, whose manifest nobody sees"
    image: str
    "the engine's name or id of it"
    engine: str
    checks: tuple[Check, ...]
    measured: Measured
    calls: Measured | None = None
    "of its functions; None: no golden file calls one"
    concurrency: int
    duration: float
    "seconds of load"
    limits: Mapping[str, str]
    golden: Mapping[str, Digest]
    "files by their paths in the project"
    interface: Digest | None = None
    "of the interface that it was held against; None: the image states none"
    started: int
    finished: int
    "seconds since 1970"
    log: bytes = field(default=b"", repr=False)
    "the end of what it wrote to stderr, where it did not come far enough to be asked"

    @property
    def outcome(self) -> Outcome:
        """The answer: a no stands whatever else could not be found out."""
        found = {check.outcome for check in self.checks}
        return next((one for one in _WORST if one in found), "unknown")

    @property
    def summary(self) -> Mapping[str, Any]:
        """The answer in a few words: what the record of a build has."""
        counts = {one: len(self.named(one)) for one in (*_WORST, "skipped")}
        return {"digest": self.digest, "outcome": self.outcome, "counts": counts}

    def named(self, *outcomes: Outcome) -> list[str]:
        """Return the names of the checks with one of `outcomes`."""
        return [check.name for check in self.checks if check.outcome in outcomes]
