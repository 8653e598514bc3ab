"""A scan as the predicate of an in-toto statement, for cosign, Kyverno and policy-controller.

Source: cosign, `specs/COSIGN_VULN_ATTESTATION_SPEC.md`. `scanner.result` has the shape of Trivy's
own report, on which admission policies are written, with what the project's rules say beside it.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from modelpack import __version__, canonical_json
from modelpack.canonical_json import rfc3339
from modelpack.evidence.scan import Misconfiguration, Secret, Vulnerability
from modelpack.evidence.scan.scanning import Scanned
from modelpack.trust.predicate_types import VULN
from modelpack.trust.statement import Statement, about

_SCHEMA = 2


def statement(scanned: Scanned, name: str) -> Statement:
    """Return what `scanned` says of the image `name`."""
    return Statement(
        subjects=about(name, scanned.digest),
        predicate_type=VULN,
        predicate=predicate(scanned),
    )


def predicate(scanned: Scanned) -> Mapping[str, Any]:
    """Return what `scanned` says; no text of the image's files is in it."""
    report, started = scanned.report, rfc3339(scanned.started)
    family, _, release = report.system.partition(" ")
    return {
        "invocation": {
            "parameters": canonical_json.plain(scanned.rules),
            "uri": "",
            "event_id": "",
            "builder.id": f"pkg:pypi/modelpack-build@{__version__}",
        },
        "scanner": {
            "uri": "pkg:github/aquasecurity/trivy",
            "version": report.scanner,
            "db": {"uri": "", "version": "", "lastUpdate": rfc3339(scanned.database.updated)},
            "result": {
                "SchemaVersion": _SCHEMA,
                "ArtifactType": "container_image",
                "Metadata": {"OS": {"Family": family, "Name": release}},
                "Results": list(_results(scanned)),
                "modelpack": _verdict(scanned),
            },
        },
        "metadata": {"scanStartedOn": started, "scanFinishedOn": report.created or started},
    }


def _verdict(scanned: Scanned) -> Mapping[str, Any]:
    judgement = scanned.judgement
    return {
        "outcome": scanned.outcome,
        "waived": [
            canonical_json.plain(one.waiver) for one in judgement.judged if one.verdict == "waived"
        ],
        "findings": [
            {"severity": finding.severity, "rule": finding.rule, "message": finding.message}
            for finding in scanned.findings
        ],
        "notLookedAt": list(scanned.left_out),
    }


def _results(scanned: Scanned) -> Iterator[Mapping[str, Any]]:
    """Yield what was found, below the gate and waived too, grouped as in Trivy's report."""
    report = scanned.report
    for kind, is_system in (("os-pkgs", True), ("lang-pkgs", False)):
        found = [v for v in report.vulnerabilities if v.purl.startswith(_SYSTEMS) == is_system]
        yield {"Class": kind, "Vulnerabilities": [_vulnerability(item) for item in found]}
    yield {"Class": "config", "Misconfigurations": [_bad(m) for m in report.misconfigurations]}
    for secret in report.secrets:
        yield {"Class": "secret", "Target": secret.path, "Secrets": [_secret(secret)]}


_SYSTEMS = ("pkg:deb/", "pkg:rpm/", "pkg:apk/")


def _vulnerability(item: Vulnerability) -> Mapping[str, Any]:
    return {
        "VulnerabilityID": item.id,
        "Severity": item.severity,
        "Status": item.status,
        "PkgName": item.package,
        "InstalledVersion": item.installed,
        "FixedVersion": item.fixed,
        "PkgIdentifier": {"PURL": item.purl},
        "PrimaryURL": item.url,
        "Title": item.title,
    }


def _bad(item: Misconfiguration) -> Mapping[str, Any]:
    return {
        "ID": item.id, "Severity": item.severity, "Status": "FAIL", "Title": item.title,
        "Message": item.message, "PrimaryURL": item.url,
    }  # fmt: skip


def _secret(item: Secret) -> Mapping[str, Any]:
    return {
        "RuleID": item.id, "Severity": item.severity, "Title": item.title, "StartLine": item.line,
    }  # fmt: skip
