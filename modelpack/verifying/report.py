"""What came of verifying an image: each requirement, what was found, and what to do about it."""

from dataclasses import dataclass
from typing import Literal

from modelpack.digest import Digest
from modelpack.errors import Finding
from modelpack.trust.proof import Proof

Outcome = Literal["met", "failed", "unknown", "waived"]
Answer = Literal["verified", "refused", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """One thing that must be so."""

    name: str
    "the table of the policy: `signature`, `scan`"
    outcome: Outcome
    wanted: str
    found: str
    hint: str = ""
    evidence: str = ""
    "digest of the manifest whose content proves it; empty: the image itself does, or nothing"
    proof: Proof | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A signed content that proves nothing of what was asked, and why."""

    evidence: str
    subject: Digest
    requirement: str
    "what it might have been for"
    predicate_type: str
    "as it says; empty where it cannot be read"
    step: str
    reason: str
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One image, the index of several, or the image of mounted weights."""

    role: Literal["index", "image", "weights"]
    digest: Digest
    platform: str
    requirements: tuple[Requirement, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that is known after a verification."""

    digest: Digest
    "that the name stood for; everything is about this one"
    judged: tuple[Judged, ...]
    refused: tuple[Refusal, ...]
    unsigned: tuple[str, ...]
    "manifests beside the image whose statements nobody signed: they count for nothing"
    notes: tuple[Finding, ...]

    @property
    def answer(self) -> Answer:
        """Yes, no, or that it could not be found out; a no stands whatever else is unknown."""
        outcomes = {one.outcome for image in self.judged for one in image.requirements}
        if "failed" in outcomes or not outcomes:
            return "refused"
        return "unknown" if "unknown" in outcomes else "verified"
