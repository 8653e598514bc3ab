"""A scan as SARIF 2.1.0, which GitHub, GitLab and Azure DevOps show beside the code."""

from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote

from modelpack import __version__
from modelpack.digest import of as digest_of
from modelpack.evidence.scan import (
    RANK,
    Item,
    License,
    Misconfiguration,
    Secret,
    Severity,
    Vulnerability,
)
from modelpack.evidence.scan.gate import Judged, severity_of
from modelpack.evidence.scan.scanning import Scanned

SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
_SCORES: Mapping[Severity, str] = {
    "UNKNOWN": "0.0", "LOW": "2.0", "MEDIUM": "5.5", "HIGH": "8.0", "CRITICAL": "9.5",
}  # fmt: skip
"GitHub shows CVSS-like scores as words"


def document(scans: Iterable[Scanned], *, place: str) -> Mapping[str, Any]:
    """Return one run for each scan; `place` is the file that packages are changed in."""
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [_run(one, place) for one in scans]}


def _run(scanned: Scanned, place: str) -> Mapping[str, Any]:
    judged = scanned.judgement.judged
    rules = {_rule_id(one.item): one.item for one in judged}
    order = {name: position for position, name in enumerate(rules)}
    return {
        "tool": {
            "driver": {
                "name": "modelpack scan",
                "version": __version__,
                "rules": [_rule(item) for item in rules.values()],
            },
            "extensions": [{"name": "Trivy", "version": scanned.report.scanner}],
        },
        "automationDetails": {"id": f"modelpack/scan/{scanned.platform}"},
        "properties": {"digest": scanned.digest, "outcome": scanned.outcome},
        "invocations": [
            {
                "executionSuccessful": scanned.outcome != "unknown",
                "toolExecutionNotifications": [
                    {
                        "level": finding.severity,
                        "message": {"text": finding.message},
                    }
                    for finding in scanned.findings
                    if not finding.rule.startswith(_RESULTS)
                ],
            }
        ],
        "results": [_result(one, place, order) for one in judged],
    }


_RESULTS = ("scan.vulnerability", "scan.secret", "scan.misconfiguration", "scan.license")


def _rule_id(item: Item) -> str:
    return item.expression if isinstance(item, License) else item.id


def _rule(item: Item) -> Mapping[str, Any]:
    severity = severity_of(item)
    rule: dict[str, Any] = {
        "id": _rule_id(item),
        "shortDescription": {"text": _title(item)},
        "properties": {"tags": [type(item).__name__.lower(), "security"]},
    }
    if severity is not None:
        rule["properties"]["security-severity"] = _SCORES[severity]
    url = getattr(item, "url", "")
    if url:
        rule["helpUri"] = url
    return rule


def _title(item: Item) -> str:
    match item:
        case Vulnerability():
            return item.title or item.id
        case Secret() | Misconfiguration():
            return item.title or item.id
        case License():
            return f"denied licence {item.expression}"


def _result(one: Judged, place: str, order: Mapping[str, int]) -> Mapping[str, Any]:
    item = one.item
    severity = severity_of(item)
    serious = severity is None or RANK[severity] >= RANK["HIGH"]
    result: dict[str, Any] = {
        "ruleId": _rule_id(item),
        "ruleIndex": order[_rule_id(item)],
        "level": "error" if serious else "warning" if severity == "MEDIUM" else "note",
        "message": {"text": _message(one)},
        "locations": [_location(item, place)],
        "partialFingerprints": {"item/v1": digest_of(_identity(item).encode())},
        "properties": {"verdict": one.verdict},
    }
    if one.verdict == "waived" and one.waiver:
        result["suppressions"] = [
            {"kind": "external", "status": "accepted", "justification": one.waiver.reason}
        ]
    return result


def _message(one: Judged) -> str:
    match one.item:
        case Vulnerability(package=package, installed=installed, fixed=fixed) as item:
            way = f", fixed in {fixed}" if fixed else ""
            return f"{item.id} in {package} {installed}{way}: {_title(item)} ({one.why})"
        case Secret() as item:
            return f"{_title(item)} ({one.why})"
        case Misconfiguration() as item:
            return f"{item.message or item.title} ({one.why})"
        case License() as item:
            return f"{_title(item)} of {item.package} ({one.why})"


def _location(item: Item, place: str) -> Mapping[str, Any]:
    """Return the file in the image that holds a secret; for all else where it can be changed."""
    inside = item.path if isinstance(item, Secret) else ""
    line = item.line if isinstance(item, Secret) else 1
    location: dict[str, Any] = {
        "physicalLocation": {
            "artifactLocation": {"uri": quote(inside.lstrip("/") or place)},
            "region": {"startLine": max(line, 1)},
        }
    }
    name = getattr(item, "purl", "") or getattr(item, "package", "")
    if name:
        location["logicalLocations"] = [{"fullyQualifiedName": name, "kind": "package"}]
    return location


def _identity(item: Item) -> str:
    keys = ("package", "path")
    return "|".join((_rule_id(item), *(str(getattr(item, key, "")) for key in keys)))
