"""Reading Trivy's report: what it wrote of a real image, and what no Trivy would write."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modelpack.errors import Unavailable
from modelpack.evidence.scan import report as reports

REAL = Path(__file__).parents[1] / "assets" / "trivy-report.json"


def parsed(value: object) -> Any:
    return reports.parse(json.dumps(value).encode())


def test_a_report_of_the_real_program_is_read_whole() -> None:
    report = reports.parse(REAL.read_bytes())
    assert report.system == "debian 13.7"
    assert report.image_id.startswith("sha256:")
    ids = {item.id: item for item in report.vulnerabilities}
    certifi = ids["CVE-2023-37920"]
    assert (certifi.severity, certifi.package, certifi.fixed) == ("HIGH", "certifi", "2023.7.22")
    assert certifi.path.startswith("/opt/venv/")
    assert certifi.purl == "pkg:pypi/certifi@2023.5.7"
    assert ids["CVE-2024-45490"].purl.startswith("pkg:deb/debian/libexpat1@")
    (secret,) = report.secrets
    assert (secret.id, secret.line) == ("github-pat", 2)
    assert secret.path.endswith("/tokens.py")
    assert {item.expression for item in report.licenses} > {"MPL-2.0"}
    assert {package.type for package in report.packages} == {"deb", "pypi"}


def test_what_surrounds_a_secret_is_not_kept() -> None:
    raw = json.loads(REAL.read_bytes())
    (shown,) = [s for result in raw["Results"] for s in result.get("Secrets", [])]
    assert shown["Match"]
    report = reports.parse(REAL.read_bytes())
    assert shown["Match"] not in repr(report)
    assert "release day" not in repr(report)


def test_what_is_left_out_is_empty() -> None:
    report = parsed({"SchemaVersion": 2})
    assert (report.system, report.packages, report.vulnerabilities) == ("", (), ())
    report = parsed({"SchemaVersion": 2, "Results": None, "Metadata": {"OS": None}})
    assert report.packages == ()


def test_what_is_found_twice_counts_once() -> None:
    vulnerability = {"VulnerabilityID": "CVE-1", "PkgName": "a", "Severity": "LOW"}
    twice = {"Results": [{"Vulnerabilities": [vulnerability, vulnerability]}]}
    assert len(parsed({"SchemaVersion": 2, **twice}).vulnerabilities) == 1


def test_passed_checks_are_no_misconfigurations() -> None:
    checks = [{"ID": "A-1", "Status": "PASS"}, {"ID": "A-2", "Status": "FAIL", "Severity": "LOW"}]
    report = parsed({"SchemaVersion": 2, "Results": [{"Misconfigurations": checks}]})
    assert [item.id for item in report.misconfigurations] == ["A-2"]


def test_versions_in_parts_are_put_together() -> None:
    package = {"Name": "bash", "Version": "5.1", "Release": "4.el9", "Epoch": 1}
    report = parsed({"SchemaVersion": 2, "Results": [{"Packages": [package], "Type": "redhat"}]})
    assert (report.packages[0].version, report.packages[0].type) == ("1:5.1-4.el9", "redhat")


@pytest.mark.parametrize(
    "data",
    [
        b"", b"null", b"[]", b"{", b"\xff", b"[" * 100_000, b'{"SchemaVersion": 1}',
        b'{"SchemaVersion": "2"}',
    ],
)  # fmt: skip
def test_what_is_no_report_is_no_answer(data: bytes) -> None:
    with pytest.raises(Unavailable, match="cannot be understood"):
        reports.parse(data)


@pytest.mark.parametrize(
    "change",
    [
        lambda v: v.update(Results={}),
        lambda v: v.update(Results=[3]),
        lambda v: v.update(Metadata=[]),
        lambda v: v["Metadata"].update(OS="debian"),
        lambda v: v["Metadata"].update(ImageID=3),
        lambda v: v["Results"][0].update(Packages="all"),
        lambda v: v["Results"][0]["Packages"][0].update(Name=None, Identifier=[]),
        lambda v: v["Results"][0]["Packages"][0].update(Epoch="1"),
        lambda v: v["Results"][0].update(Vulnerabilities=[{"Severity": "SEVERE"}]),
        lambda v: v["Results"][0].update(Vulnerabilities=[{"Severity": 4}]),
        lambda v: v["Results"][0].update(Vulnerabilities=[{"VendorIDs": [1]}]),
        lambda v: v["Results"][0].update(Secrets=[{"StartLine": "1"}]),
    ],
)
def test_what_is_of_another_type_is_no_answer(change: Callable[[Any], object]) -> None:
    value = json.loads(REAL.read_bytes())
    change(value)
    with pytest.raises(Unavailable, match="cannot be understood"):
        parsed(value)
