"""Scans as a table for people and as JSON."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from modelpack import canonical_json
from modelpack.canonical_json import rfc3339
from modelpack.cli import display
from modelpack.errors import Finding
from modelpack.evidence.scan import License, Misconfiguration, Secret, Vulnerability
from modelpack.evidence.scan.gate import Judged, severity_of
from modelpack.evidence.scan.scanning import Scanned

HEAD = ("SEVERITY", "FOUND", "WHERE", "INSTALLED", "FIXED", "GATE")
_ANSWERS = {
    "passed": "passed: nothing is above the gate",
    "failed": "failed",
    "unknown": "could not find out",
}
_IN_TABLE = frozenset(
    {"scan.vulnerability", "scan.secret", "scan.misconfiguration", "scan.license"}
)
_CONFIGURATION = "configuration"


def notices(scanned: Scanned) -> tuple[Finding, ...]:
    """Return the findings that no row of the table shows."""
    return tuple(one for one in scanned.findings if one.rule not in _IN_TABLE)


def text(scans: Sequence[Scanned], *, verbose: bool) -> str:
    """Return all scans for people; only `verbose` lists what is below the gate."""
    return "\n\n".join("\n".join(_lines(one, verbose=verbose)) for one in scans)


def _lines(scanned: Scanned, *, verbose: bool) -> Iterator[str]:
    report, judgement = scanned.report, scanned.judgement
    facts = [
        ("image", scanned.digest),
        ("image id", scanned.config),
        ("platform", scanned.platform),
        ("scanner", f"Trivy {report.scanner}, database of {rfc3339(scanned.database.updated)}"),
        ("found", f"{report.system or 'no system'}, {len(report.packages)} packages"),
    ]
    if scanned.left_out:
        count = len(scanned.left_out)
        files = f"{count} weight file{'s' * (count != 1)}"
        facts.append(("left out", f"{files}: searched for secrets when they are packed"))
    yield display.table(facts, width=0)
    if shown := rows(scanned, verbose=verbose):
        yield ""
        yield display.table(shown, head=HEAD)
    below = judgement.count("below")
    more = "" if verbose or not below else " (-v lists them)"
    yield ""
    yield (
        f"{_ANSWERS[scanned.outcome]}: "
        * (scanned.outcome != "passed")
        + f"{judgement.count('fails')} above the gate, {judgement.count('waived')} accepted, "
        f"{below} below{more}"
    )


def rows(scanned: Scanned, *, verbose: bool = False) -> list[list[str]]:
    """Return what was found, below HEAD; only `verbose` lists what is below the gate."""
    judged = scanned.judgement.judged
    return [_row(one) for one in judged if verbose or one.verdict != "below"]


def _row(one: Judged) -> list[str]:
    item = one.item
    severity = severity_of(item) or ""
    match item:
        case Vulnerability():
            found, where = item.id, item.package
        case Secret():
            found = item.id
            where = f"{item.path}:{item.line}" if item.path else _CONFIGURATION
        case Misconfiguration():
            found, where = item.id, _CONFIGURATION
        case License():
            found, where = item.expression, item.package
    versions = [getattr(item, "installed", ""), getattr(item, "fixed", "")]
    return [severity, found, where, *versions, one.why]


def document(scans: Sequence[Scanned]) -> Mapping[str, Any]:
    """Return all scans for programs."""
    return {"scans": [_document(one) for one in scans]}


def _document(scanned: Scanned) -> Mapping[str, Any]:
    report, judgement = scanned.report, scanned.judgement
    return {
        **scanned.summary,
        "config_digest": scanned.config,
        "scanner": {"name": "trivy", "version": report.scanner},
        "database": {"updated": rfc3339(scanned.database.updated)},
        "rules": canonical_json.plain(scanned.rules),
        "system": report.system,
        "end_of_life": report.end_of_life,
        "packages": display.plain(report.packages),
        "vulnerabilities": _all(judgement.judged, Vulnerability),
        "secrets": _all(judgement.judged, Secret),
        "misconfigurations": _all(judgement.judged, Misconfiguration),
        "licenses": _all(judgement.judged, License),
        "not_looked_at": list(scanned.left_out),
        "findings": display.plain(scanned.findings),
    }


def _all(judged: Sequence[Judged], kind: type) -> list[Mapping[str, Any]]:
    return [
        {**display.plain(one.item), "verdict": one.verdict, "why": one.why}
        for one in judged
        if isinstance(one.item, kind)
    ]
