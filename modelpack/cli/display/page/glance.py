"""The first screen of a page: the answer, what is wrong, what there is of each kind of evidence.

Only what was proved is ever shown as good; what an image or a statement says of itself is not.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from modelpack.inspection import predicates
from modelpack.inspection.beside import ReferrerClaim
from modelpack.inspection.value import Inspection
from modelpack.quantity import counted

if TYPE_CHECKING:
    from modelpack.verifying.report import Report, Requirement

Tone = Literal["good", "bad", "doubt", "quiet"]
TITLES: Final = {
    "signature": "Signature", "provenance": "Provenance", "sbom": "Bill of materials",
    "scan": "Scan", "test": "Functional test", "evaluation": "Evaluation",
    "checks": "Author's checks", "malware": "Malware scan", "rebuild": "Rebuild",
    "oms": "Digests of the weights", "stage": "Stage", "vex": "Exploitability",
    "verification": "Verification",
}  # fmt: skip
"of kinds of evidence, in the order in which they are shown"
_EXPECTED: Final = ("signature", "provenance", "sbom", "scan", "test", "evaluation")
"whose absence is shown too"
_NAMES: Final = {"weights": "oms", "scan age": "scan", "approver": "stage"}
"of requirements that are not named as the kind of evidence that they ask for"
_MARKS: Final[dict[Tone, str]] = {"good": "✓", "bad": "✕", "doubt": "?", "quiet": "–"}  # noqa: RUF001  signs
FAILED: Final = ("failed", "refused", "different", "malicious", "infected")
_FINDINGS: Final = 3
"of what does not add up that are said at the top"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """One kind of evidence at a glance."""

    title: str
    tone: Tone
    word: str
    note: str

    @property
    def mark(self) -> str:
        """A sign that does not need a colour."""
        return _MARKS[self.tone]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer, and what is wrong."""

    tone: Tone
    title: str
    said: str
    wrong: tuple[tuple[str, str], ...]
    "what, and why"

    @property
    def mark(self) -> str:
        """A sign that does not need a colour."""
        return _MARKS[self.tone]


def answer(inspection: Inspection, report: "Report | None") -> Answer:
    """Return what a reader has to know first."""
    wrong = (*_unproved(report), *_failing(inspection.referrers, report), *_odd(inspection))
    if report is None:
        return Answer(
            tone="doubt", title="Claims, not verified", wrong=wrong,
            said="Nobody has looked at a signature: this is what the image, and what stands "
            "beside it, say of themselves.",
        )  # fmt: skip
    asked = [one for judged in report.judged for one in judged.requirements]
    met = sum(one.outcome in ("met", "waived") for one in asked)
    said = f"{met} of {counted(len(asked), 'requirement')} met"
    match report.answer:
        case "verified":
            return Answer(tone="good", title="Verified", said=said, wrong=wrong)
        case "refused":
            return Answer(tone="bad", title="Refused", said=said, wrong=wrong)
        case _:
            return Answer(tone="doubt", title="Could not be found out", said=said, wrong=wrong)


def _unproved(report: "Report | None") -> Iterator[tuple[str, str]]:
    """Yield what the policy asks for and is not proved, each once."""
    found = [one for judged in (report.judged if report else ()) for one in judged.requirements
             if one.outcome in ("failed", "unknown")]  # fmt: skip
    yield from dict.fromkeys((one.name, one.found) for one in found)


def _failing(
    referrers: Sequence[ReferrerClaim], report: "Report | None"
) -> Iterator[tuple[str, str]]:
    """Yield what says a no, signed or not, of which the policy does not judge the kind."""
    judged = {_kind(one.name) for each in (report.judged if report else ())
              for one in each.requirements}  # fmt: skip
    found = [(TITLES.get(one.what, one.what).lower(), one.summary) for one in referrers
             if outcome(one) in FAILED and one.what not in judged]  # fmt: skip
    yield from dict.fromkeys(found)


def _odd(inspection: Inspection) -> Iterator[tuple[str, str]]:
    for finding in inspection.findings[:_FINDINGS]:
        yield "does not add up", finding
    more = len(inspection.findings) - _FINDINGS
    if more > 0:
        yield "does not add up", f"and {counted(more, 'thing')} more, below"


def outcome(one: ReferrerClaim) -> str:
    """Return the word for what a scan, a test or a rebuild is said to have come to."""
    if one.scan:
        return one.scan.outcome
    return one.verdict.outcome if one.verdict else one.said.get("outcome", "")


def signs(inspection: Inspection, report: "Report | None") -> tuple[Sign, ...]:
    """Return what there is of each kind of evidence."""
    asked: dict[str, list[Requirement]] = {}
    for judged in report.judged if report else ():
        for one in judged.requirements:
            asked.setdefault(_kind(one.name), []).append(one)
    beside: dict[str, list[ReferrerClaim]] = {}
    for claim in inspection.referrers:
        beside.setdefault(claim.what, []).append(claim)
    return tuple(
        _sign(title, asked.get(kind, ()), beside.get(kind, ()))
        for kind, title in TITLES.items()
        if kind in _EXPECTED or kind in asked or kind in beside
    )


def _kind(requirement: str) -> str:
    """Return the kind of evidence that a requirement asks for."""
    return _NAMES.get(requirement) or predicates.word(requirement) or requirement


def _sign(title: str, asked: "Sequence[Requirement]", beside: Sequence[ReferrerClaim]) -> Sign:
    if asked:
        return _proved(title, asked)
    if not beside:
        return Sign(title=title, tone="quiet", word="none", note="")
    signed = sum(bool(one.signed) for one in beside)
    note = "signed, not verified" if signed else "signed by nobody"
    said = [word for word in map(outcome, beside) if word]
    bad = [word for word in said if word in FAILED]
    if bad:
        return Sign(title=title, tone="bad", word=f"says: {bad[0]}", note=note)
    return Sign(title=title, tone="doubt", word=f"says: {said[0]}" if said else "claimed",
                note=note)  # fmt: skip


def _proved(title: str, asked: "Sequence[Requirement]") -> Sign:
    """Return what came of what the policy asks for; a no stands whatever else is met."""
    outcomes = {one.outcome: one for one in reversed(asked)}
    if "failed" in outcomes:
        return Sign(title=title, tone="bad", word="not proved", note=outcomes["failed"].found)
    if "unknown" in outcomes:
        return Sign(title=title, tone="doubt", word="unknown", note=outcomes["unknown"].found)
    if "waived" in outcomes:
        return Sign(title=title, tone="doubt", word="waived", note=outcomes["waived"].found)
    return Sign(title=title, tone="good", word="proved", note=outcomes["met"].wanted)
