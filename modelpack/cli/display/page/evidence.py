"""What stands beside an image, for a reader: the same document once, whoever has signed it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from modelpack.cli.display import inspect_evidence, measures
from modelpack.cli.display.measures import Measure
from modelpack.cli.display.page import glance, treemap
from modelpack.cli.display.page.glance import TITLES
from modelpack.inspection.beside import (
    EvaluationClaim,
    ReferrerClaim,
    ScanClaim,
    VerdictClaim,
    VulnerabilityClaim,
)
from modelpack.inspection.outcomes import SEVERITIES

_BY_NOBODY: Final = "signed by nobody"
_NOUNS: Final = {"checks": "check", "malware": "signature"}
_ORDER: Final = ("found", "failed", "warned", "skipped", "passed")
"of tests, the worst first"


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One statement, document or signature."""

    title: str
    summary: str
    outcome: str
    "a word; empty: it is no verdict"
    bad: bool
    signed: tuple[str, ...]
    "by whom it seems to be, of each copy of it"
    type: str
    "of a statement that is not known here"
    facts: tuple[tuple[str, str], ...]
    members: tuple[tuple[str, str], ...]
    severities: tuple[tuple[str, int, float], ...]
    "of a scan, the worst first: how many, and how long the bar is"
    vulnerabilities: tuple[VulnerabilityClaim, ...]
    lists: tuple[tuple[str, tuple[str, ...]], ...]
    "of sentences, each with what they are"
    measures: tuple[Measure, ...]
    noun: str
    "of what is in `tests`"
    tests: tuple[tuple[str, tuple[str, ...]], ...]
    "names by outcome"
    commands: tuple[tuple[str, str], ...]
    evaluation: EvaluationClaim | None


def cards(referrers: Sequence[ReferrerClaim]) -> tuple[Card, ...]:
    """Return what there is, by kind; a document that is there signed and unsigned is one."""
    grouped: dict[str, list[ReferrerClaim]] = {}
    for one in referrers:
        grouped.setdefault(one.document or one.digest, []).append(one)
    kinds = list(TITLES)
    ordered = sorted(grouped.values(), key=lambda group: (
        kinds.index(group[0].what) if group[0].what in TITLES else len(kinds)))  # fmt: skip
    return tuple(_card(group) for group in ordered)


def _card(group: Sequence[ReferrerClaim]) -> Card:
    one = group[0]
    signed = tuple(dict.fromkeys(each.signed for each in group if each.signed))
    outcome = glance.outcome(one)
    word = one.what or one.predicate_type or one.artifact_type or one.media_type
    bare = Card(
        title=TITLES.get(word, word),
        summary=f"cannot be read: {one.unreadable}" if one.unreadable else one.summary,
        outcome=outcome, bad=outcome in glance.FAILED, signed=signed or (_BY_NOBODY,),
        type="" if one.what else one.predicate_type, facts=tuple(_facts(group)),
        members=tuple(one.said.items()), severities=(), vulnerabilities=(), lists=(), measures=(),
        noun=_NOUNS.get(one.what, "test"), tests=(), commands=(),
        evaluation=one.evaluation,
    )  # fmt: skip
    if one.scan:
        return _scan(bare, one.scan)
    return _verdict(bare, one.verdict) if one.verdict else bare


def _facts(group: Sequence[ReferrerClaim]) -> Iterator[tuple[str, str]]:
    """Yield all that is said, of each copy what it alone says."""
    seen = set[tuple[str, str]]()
    for one in group:
        for row in (("manifest", one.digest), *inspect_evidence.facts(one)):
            if row[1] and row not in seen:
                seen.add(row)
                yield row


def _scan(bare: Card, scan: ScanClaim) -> Card:
    counts = scan.severities
    known = {name: counts[name] for name in (*SEVERITIES, *counts) if name in counts}
    lengths = treemap.bars(list(known.values()))
    return replace(
        bare, vulnerabilities=scan.vulnerabilities,
        lists=tuple((title, found) for title, found in (
            ("What is wrong by the rules of whoever scanned", scan.findings),
            ("Exceptions that its author made", scan.waived),
            ("What was not looked at", scan.not_looked_at),
        ) if found),
        severities=tuple((name, count, length)
                         for (name, count), length in zip(known.items(), lengths, strict=True)),
    )  # fmt: skip


def _verdict(bare: Card, verdict: VerdictClaim) -> Card:
    return replace(
        bare,
        measures=tuple(measures.of(verdict)),
        tests=tuple((name, verdict.names[name]) for name in _ORDER if name in verdict.names),
        commands=tuple(verdict.commands.items()),
    )
