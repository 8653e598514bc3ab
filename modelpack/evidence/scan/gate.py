"""What a project's `[scan]` says of a Report: pure, and the same for whoever found it.

Severity, fixes, exceptions and denied licences decide; a secret is above the gate whatever its
severity.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Literal

from modelpack.errors import Finding
from modelpack.evidence.scan import (
    RANK,
    Item,
    License,
    Misconfiguration,
    Report,
    Secret,
    Severity,
    Vulnerability,
)
from modelpack.evidence.scan.licenses import denied
from modelpack.inputs.quoting import quoted
from modelpack.spec import Scan, ScanIgnore

Verdict = Literal["fails", "waived", "below"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Something found, and whether it may be there."""

    item: Item
    verdict: Verdict
    why: str
    "for people"
    waiver: ScanIgnore | None = None
    "the exception that covers it, though its day may have passed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """All that was found, the worst first, and what is wrong with it."""

    judged: tuple[Judged, ...]
    findings: tuple[Finding, ...]
    "errors: what must not be there; warnings: exceptions that nothing needs, an old system"

    def count(self, verdict: Verdict) -> int:
        """Return how many things have `verdict`."""
        return sum(one.verdict == verdict for one in self.judged)


def judge(report: Report, rules: Scan, *, now: int) -> Judgement:
    """Return what `rules` say of `report` on the day of `now`, in UTC."""
    today = datetime.fromtimestamp(now, tz=UTC).date()
    judged = sorted(
        (_judged(item, rules, today) for item in _items(report, rules)), key=_order
    )  # fmt: skip
    findings = (
        *(_failure(one) for one in judged if one.verdict == "fails"),
        *_unneeded(rules.ignore, judged, today),
        *_old_system(report),
    )
    return Judgement(judged=tuple(judged), findings=findings)


def _items(report: Report, rules: Scan) -> Iterator[Item]:
    """Yield what can be judged; of licences only the denied ones are of interest."""
    yield from report.secrets
    yield from report.vulnerabilities
    yield from report.misconfigurations
    for license in report.licenses:  # noqa: A001  the field's word
        if denied(license.expression, rules.deny_licenses):
            yield license


def _judged(item: Item, rules: Scan, today: date) -> Judged:
    waivers = [waiver for waiver in rules.ignore if covers(waiver, item, rules)]
    valid = [waiver for waiver in waivers if today <= waiver.expires]
    waiver = next(iter((*valid, *waivers)), None)
    if why := _harmless(item, rules):
        return Judged(item=item, verdict="below", why=why, waiver=waiver)
    if valid:
        why = f"accepted until {valid[0].expires}: {valid[0].reason}"
        return Judged(item=item, verdict="waived", why=why, waiver=valid[0])
    why = f"the exception ended on {waiver.expires}" if waiver else "above the gate"
    return Judged(item=item, verdict="fails", why=why, waiver=waiver)


def _harmless(item: Item, rules: Scan) -> str:
    """Return why `item` is below the gate; empty: it is not."""
    match item:
        case Secret() | License():
            return ""
        case Vulnerability(fixed="") if rules.fixed_only:
            return "there is no fix yet"
        case Vulnerability() | Misconfiguration():
            below = RANK[item.severity] < RANK[rules.fail_on]
            return f"below {rules.fail_on}" if below else ""


def covers(waiver: ScanIgnore, item: Item, rules: Scan) -> bool:
    """Tell whether `waiver` is about `item`; about a secret only where it names the file."""
    match item:
        case Vulnerability():
            names: Sequence[str] = (item.id, *item.aliases)
        case License():
            names = denied(item.expression, rules.deny_licenses)
            if names != (waiver.id,):
                return False
        case Secret() | Misconfiguration():
            names = (item.id,)
    if isinstance(item, Secret) and not waiver.path:
        return False
    package, path = getattr(item, "package", ""), getattr(item, "path", "")
    return (
        waiver.id in names
        and waiver.package in ("", package)
        and waiver.path in ("", path)
    )  # fmt: skip


def severity_of(item: Item) -> Severity | None:
    """Return how bad `item` is; None: a licence is as bad as the author thinks."""
    return None if isinstance(item, License) else item.severity


def _order(one: Judged) -> tuple[int, int, int, tuple[str, ...]]:
    """The worst first, then by kind, then by name."""
    kinds = (Secret, License, Vulnerability, Misconfiguration)
    item = one.item
    severity = severity_of(item)
    return (
        ("fails", "waived", "below").index(one.verdict),
        -RANK[severity] if severity else -len(RANK),
        kinds.index(type(item)),
        tuple(str(getattr(item, key, "")) for key in ("package", "id", "path", "expression")),
    )


def _failure(one: Judged) -> Finding:
    item = one.item
    ended = f"; {one.why}" if one.waiver else ""
    match item:
        case Vulnerability():
            title = f": {item.title}" if item.title else ""
            return Finding(
                message=f"{item.severity} {quoted(item.id)} in {quoted(item.package)} "
                f"{item.installed}{title}{ended}",
                at=item.path or item.package,
                hint=_way_out(item),
                rule="scan.vulnerability",
            )
        case Secret():
            return Finding(
                message=f"{item.title or 'a secret'} ({quoted(item.id)}){ended}",
                at=f"{item.path}:{item.line}" if item.path else "the image's configuration",
                hint="remove it and revoke it; pass secrets when the container starts",
                rule="scan.secret",
            )
        case Misconfiguration():
            return Finding(
                message=f"{item.severity} {quoted(item.id)}: {item.message or item.title}{ended}",
                at="the image's configuration",
                hint=item.url,
                rule="scan.misconfiguration",
            )
        case License():
            return Finding(
                message=f"licence {quoted(item.expression)} of {quoted(item.package)} is in "
                f"`scan.deny-licenses`{ended}",
                at=item.path or item.package,
                hint="use another package, or accept it in `[[scan.ignore]]`",
                rule="scan.license",
            )


def _way_out(item: Vulnerability) -> str:
    if not item.fixed:
        return "there is no fix; accept it for some time in `[[scan.ignore]]`, with the reason"
    command = {
        "deb": "modelpack lock --upgrade base",
        "pypi": f"modelpack lock --upgrade-package {item.package}",
    }.get(item.purl.removeprefix("pkg:").partition("/")[0])
    return f"{item.fixed} has a fix" + (f": {command}" if command else "")


def _unneeded(
    waivers: Sequence[ScanIgnore], judged: Sequence[Judged], today: date
) -> Iterator[Finding]:
    """Yield a warning for each exception without which the answer would be the same."""
    used = {id(one.waiver) for one in judged if one.waiver}
    needed = {id(one.waiver) for one in judged if one.waiver and one.verdict != "below"}
    for position, waiver in enumerate(waivers):
        expired = today > waiver.expires
        if id(waiver) in needed or (id(waiver) in used and not expired):
            continue
        ended = f", and it ended on {waiver.expires}" if expired else ""
        yield Finding(
            message=f"nothing that was found needs the exception {quoted(waiver.id)}{ended}",
            at=f"scan.ignore[{position}]",
            hint="remove it",
            rule="scan.unused",
            severity="warning",
        )


def _old_system(report: Report) -> Iterator[Finding]:
    if report.end_of_life:
        yield Finding(
            message=f"{report.system} gets no security updates any more, so that nothing is known "
            "of what was found in it since",
            at="runtime.base",
            hint="use a newer base",
            rule="scan.end-of-life",
            severity="warning",
        )
