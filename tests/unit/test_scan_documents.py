"""A scan as SARIF, VEX, in-toto predicate, table and JSON: what stands in them, and what never."""

import json
import re
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from modelpack.cli import display
from modelpack.cli.display import scan_report
from modelpack.errors import Refused, Unavailable
from modelpack.evidence.scan import gate, predicate, sarif, vex
from modelpack.evidence.scan import report as reports
from modelpack.evidence.scan.database import Database
from modelpack.evidence.scan.scanning import Scanned
from modelpack.inspection.value import PackageClaim
from modelpack.oci.layer import MANIFEST, Descriptor
from modelpack.spec import Scan, ScanIgnore
from modelpack.trust import statement
from tests import values

NOW = 1_795_000_000
REPORT = reports.parse((Path(__file__).parents[1] / "assets" / "trivy-report.json").read_bytes())
DAY = date(2999, 1, 1)
CERTIFI = ScanIgnore(
    id="CVE-2023-37920", reason="no TLS", expires=DAY, package="certifi", state="not_affected"
)
EXPAT = ScanIgnore(id="CVE-2024-45490", reason="no XML", expires=DAY, state="exploitable")
RULES = Scan(deny_licenses=("MPL-2.0",), ignore=(CERTIFI,))


def scanned(rules: Scan = RULES, **changes: Any) -> Scanned:
    """Return what a scan of the image with the real report found."""
    return replace(
        Scanned(
            manifest=Descriptor(media_type=MANIFEST, digest=values.digest("a"), size=1),
            config=values.digest("c"),
            platform="linux/amd64", started=NOW, rules=rules, report=REPORT,
            database=Database(folder=Path("db"), updated=NOW - 60, next_update=NOW),
            judgement=gate.judge(REPORT, rules, now=NOW), left_out=("/models/m",), doubts=(),
            packages=(),
        ),
        **changes,
    )  # fmt: skip


def test_the_outcome_decides_what_is_raised() -> None:
    assert scanned().outcome == "failed"
    assert isinstance(scanned().error, Refused)
    fine = gate.judge(replace(REPORT, secrets=(), vulnerabilities=()), Scan(), now=NOW)
    assert (scanned(judgement=fine).outcome, scanned(judgement=fine).error) == ("passed", None)
    doubt = scanned().findings[0]
    unknown = scanned(judgement=fine, doubts=(doubt,))
    assert unknown.outcome == "unknown"
    assert isinstance(unknown.error, Unavailable)
    assert scanned(doubts=(doubt,)).outcome == "failed"
    warning = replace(doubt, severity="warning")
    assert scanned(judgement=fine, doubts=(warning,)).outcome == "passed"


def test_sarif_shows_everything_found_with_its_verdict() -> None:
    document = sarif.document([scanned()], place="modelpack.lock")
    (run,) = document["runs"]
    rules = run["tool"]["driver"]["rules"]
    results = {one["ruleId"]: one for one in run["results"]}
    assert set(results) == {"CVE-2023-37920", "CVE-2024-45490", "github-pat", "MPL-2.0"}
    for one in run["results"]:
        assert rules[one["ruleIndex"]]["id"] == one["ruleId"]
    expat = results["CVE-2024-45490"]
    assert expat["level"] == "error"
    (location,) = expat["locations"]
    assert location["physicalLocation"]["artifactLocation"]["uri"] == "modelpack.lock"
    assert location["logicalLocations"][0]["fullyQualifiedName"].startswith("pkg:deb/debian/")
    (secret,) = results["github-pat"]["locations"]
    assert secret["physicalLocation"]["artifactLocation"]["uri"].startswith("opt/venv/")
    assert secret["physicalLocation"]["region"]["startLine"] == 2
    (suppression,) = results["CVE-2023-37920"]["suppressions"]
    assert suppression["justification"] == "no TLS"
    assert "suppressions" not in expat
    assert run["properties"] == {"digest": values.digest("a"), "outcome": "failed"}


def test_vex_states_what_the_author_said_and_no_more() -> None:
    one = scanned(replace(RULES, ignore=(CERTIFI, EXPAT)))
    document = vex.document(one, "ghcr.io/acme/m")
    assert document == vex.document(one, "ghcr.io/acme/m")
    by_id = {item["id"]: item for item in document["vulnerabilities"]}
    assert by_id["CVE-2023-37920"]["analysis"] == {"state": "not_affected", "detail": "no TLS"}
    assert by_id["CVE-2024-45490"]["analysis"]["response"] == ["will_not_fix"]
    refs = {item["bom-ref"] for item in document["components"]}
    assert {a["ref"] for item in by_id.values() for a in item["affects"]} == refs
    assert document["metadata"]["component"]["version"] == values.digest("a")


def test_vex_links_into_the_bill_of_materials_where_that_lists_the_package() -> None:
    claim = PackageClaim(
        type="wheel", name="Certifi", version="2023.5.7", purl="pkg:pypi/certifi@2023.5.7",
        sha256="",
    )  # fmt: skip
    one = scanned(replace(RULES, ignore=(CERTIFI, EXPAT)), packages=(claim,))
    document = vex.document(one, "m")
    refs = {item["id"]: item["affects"][0]["ref"] for item in document["vulnerabilities"]}
    link, _, ref = refs["CVE-2023-37920"].partition("#")
    assert re.fullmatch(r"urn:cdx:[0-9a-f-]{36}/1", link)
    assert ref == "pkg%3Apypi%2Fcertifi%402023.5.7"
    assert [item["bom-ref"] for item in document["components"]] == [refs["CVE-2024-45490"]]


def test_vex_is_as_the_schema_wants_it() -> None:
    text = json.dumps(vex.document(scanned(replace(RULES, ignore=(CERTIFI, EXPAT))), "m"))
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None


@pytest.mark.parametrize("expires", [date(2020, 1, 1), date(2026, 1, 1)])
def test_an_expired_exception_is_not_stated(expires: date) -> None:
    rules = replace(RULES, ignore=(replace(CERTIFI, expires=expires),))
    assert vex.document(scanned(rules), "m")["vulnerabilities"] == []


def test_the_predicate_is_what_admission_policies_read() -> None:
    said = predicate.statement(scanned(), "ghcr.io/acme/m")
    assert said.predicate_type == "https://cosign.sigstore.dev/attestation/vuln/v1"
    assert said.is_about(values.digest("a"))
    again = statement.parse(said.as_bytes())
    scanner = again.predicate["scanner"]
    severities = {
        v["VulnerabilityID"]: v["Severity"]
        for result in scanner["result"]["Results"]
        for v in result.get("Vulnerabilities", [])
    }
    assert severities == {"CVE-2023-37920": "HIGH", "CVE-2024-45490": "CRITICAL"}
    assert scanner["result"]["modelpack"]["outcome"] == "failed"
    assert scanner["result"]["modelpack"]["waived"][0]["id"] == "CVE-2023-37920"
    assert scanner["result"]["modelpack"]["notLookedAt"] == ["/models/m"]
    assert again.predicate["metadata"]["scanStartedOn"] == "2026-11-18T11:06:40Z"


def test_people_see_what_is_below_the_gate_when_they_ask() -> None:
    one = scanned(Scan(fail_on="CRITICAL"))
    assert "CVE-2023-37920" not in scan_report.text([one], verbose=False)
    assert "1 below (-v lists them)" in scan_report.text([one], verbose=False)
    assert "below CRITICAL" in scan_report.text([one], verbose=True)


def test_json_has_a_verdict_for_everything() -> None:
    (one,) = json.loads(display.to_json(scan_report.document([scanned()])))["scans"]
    assert one["outcome"] == "failed"
    assert one["counts"] == {"fails": 3, "waived": 1, "below": 0}
    found = [*one["vulnerabilities"], *one["secrets"], *one["licenses"]]
    assert {item["verdict"] for item in found} == {"fails", "waived"}
    assert one["database"] == {"updated": "2026-11-18T11:05:40Z"}


def test_no_document_has_what_surrounds_a_secret() -> None:
    one = scanned()
    documents = [
        sarif.document([one], place="x"), vex.document(one, "m"), predicate.predicate(one),
        scan_report.document([one]), scan_report.text([one], verbose=True),
    ]  # fmt: skip
    for document in documents:
        assert "release day" not in display.to_json(document)
        assert "****" not in display.to_json(document)
