"""The gate of `[scan]`: severity, fixes, exceptions and their last day, licences, secrets."""

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from modelpack.errors import Finding
from modelpack.evidence.scan import (
    License,
    Misconfiguration,
    Report,
    Secret,
    Severity,
    Vulnerability,
)
from modelpack.evidence.scan.gate import Judged, Judgement, judge
from modelpack.evidence.scan.licenses import denied
from modelpack.spec import Scan, ScanIgnore

NOW = int(datetime(2026, 11, 24, 23, 59, tzinfo=UTC).timestamp())
TODAY = date(2026, 11, 24)
YESTERDAY = date(2026, 11, 23)
CERTIFI = Vulnerability(
    id="CVE-2023-37920", severity="HIGH", title="removes a root certificate", url="",
    package="certifi", installed="2023.5.7", fixed="2023.7.22", status="fixed",
    purl="pkg:pypi/certifi@2023.5.7", aliases=("GHSA-xqr8-7jwr-rhch",),
    path="/opt/venv/lib/python3.13/site-packages/certifi-2023.5.7.dist-info/METADATA",
)  # fmt: skip
EXPAT = replace(
    CERTIFI, id="CVE-2024-45490", severity="CRITICAL", package="libexpat1", fixed="", path="",
    installed="2.5.0-1", status="affected", purl="pkg:deb/debian/libexpat1@2.5.0-1", aliases=(),
)  # fmt: skip
KEY = Secret(
    id="private-key", severity="LOW", title="Asymmetric Private Key", path="/app/key.pem", line=1
)
ROOT = Misconfiguration(
    id="DS-0002", severity="HIGH", title="Image user should not be 'root'",
    message="Last USER command should not be 'root'", url="https://example.org/ds-0002",
)  # fmt: skip
AGPL = License(expression="AGPL-3.0-only", package="pastel", path="/opt/venv/METADATA")
NOTHING = Report(
    scanner="0.74.0", created="2026-11-24T23:59:00Z", image_id="", system="debian 13.7",
    end_of_life=False, packages=(), vulnerabilities=(), secrets=(), misconfigurations=(),
    licenses=(),
)  # fmt: skip


def waiver(id: str = CERTIFI.id, *, until: date = TODAY, **changes: str) -> ScanIgnore:  # noqa: A002
    return ScanIgnore(id=id, reason="never reached", expires=until, **changes)  # type: ignore[arg-type]


def judged(*items: object, rules: Scan | None = None) -> Judgement:
    """Judge a report with these items."""
    report = replace(
        NOTHING,
        vulnerabilities=tuple(item for item in items if isinstance(item, Vulnerability)),
        secrets=tuple(item for item in items if isinstance(item, Secret)),
        misconfigurations=tuple(item for item in items if isinstance(item, Misconfiguration)),
        licenses=tuple(item for item in items if isinstance(item, License)),
    )
    return judge(report, rules or Scan(), now=NOW)


def only(judgement: Judgement) -> Judged:
    (one,) = judgement.judged
    return one


def errors(judgement: Judgement) -> list[Finding]:
    return [finding for finding in judgement.findings if finding.severity == "error"]


def test_nothing_found_is_nothing_wrong() -> None:
    assert judged() == Judgement(judged=(), findings=())


@pytest.mark.parametrize(
    ("severity", "gate", "verdict"),
    [
        ("CRITICAL", "HIGH", "fails"),
        ("HIGH", "HIGH", "fails"),
        ("MEDIUM", "HIGH", "below"),
        ("HIGH", "CRITICAL", "below"),
        ("LOW", "LOW", "fails"),
        ("UNKNOWN", "LOW", "below"),
    ],
)
@pytest.mark.parametrize("item", [CERTIFI, ROOT], ids=["vulnerability", "misconfiguration"])
def test_severity_decides(
    item: Vulnerability | Misconfiguration, severity: Severity, gate: Severity, verdict: str
) -> None:
    judgement = judged(replace(item, severity=severity), rules=Scan(fail_on=gate))  # type: ignore[arg-type]
    assert only(judgement).verdict == verdict
    assert len(errors(judgement)) == (verdict == "fails")


def test_a_failure_says_what_where_and_the_next_command() -> None:
    (finding,) = judged(CERTIFI).findings
    assert finding.message == (
        "HIGH `CVE-2023-37920` in `certifi` 2023.5.7: removes a root certificate"
    )
    assert finding.at == CERTIFI.path
    assert finding.hint == "2023.7.22 has a fix: modelpack lock --upgrade-package certifi"
    (finding,) = judged(replace(EXPAT, fixed="2.5.0-1+deb12u1")).findings
    assert finding.hint == "2.5.0-1+deb12u1 has a fix: modelpack lock --upgrade base"


def test_without_a_fix_it_counts_only_where_asked_for() -> None:
    assert only(judged(EXPAT)).why == "there is no fix yet"
    assert judged(EXPAT).findings == ()
    (finding,) = judged(EXPAT, rules=Scan(fixed_only=False)).findings
    assert "`[[scan.ignore]]`" in finding.hint


def test_a_secret_counts_whatever_its_severity() -> None:
    judgement = judged(KEY, rules=Scan(fail_on="CRITICAL"))
    (finding,) = judgement.findings
    assert finding.at == "/app/key.pem:1"
    (finding,) = judged(replace(KEY, path="", line=0)).findings
    assert finding.at == "the image's configuration"


@pytest.mark.parametrize(
    ("ignored", "verdict"),
    [
        (waiver(), "waived"),
        (waiver("GHSA-xqr8-7jwr-rhch"), "waived"),
        (waiver(package="certifi"), "waived"),
        (waiver(path=CERTIFI.path), "waived"),
        (waiver(package="requests"), "fails"),
        (waiver(path="/opt/venv"), "fails"),
        (waiver("CVE-2023-3792"), "fails"),
        (waiver(until=YESTERDAY), "fails"),
    ],
    ids=["id", "alias", "package", "path", "other package", "other path", "other id", "expired"],
)
def test_an_exception_covers_what_it_names(ignored: ScanIgnore, verdict: str) -> None:
    judgement = judged(CERTIFI, rules=Scan(ignore=(ignored,)))
    assert only(judgement).verdict == verdict
    assert len(errors(judgement)) == (verdict == "fails")


def test_the_last_day_of_an_exception_still_counts_and_the_next_does_not() -> None:
    rules = Scan(ignore=(waiver(until=TODAY),))
    report = replace(NOTHING, vulnerabilities=(CERTIFI,))
    assert judge(report, rules, now=NOW).judged[0].verdict == "waived"
    assert judge(report, rules, now=NOW + 60).judged[0].verdict == "fails"


def test_what_an_expired_exception_covered_says_so() -> None:
    judgement = judged(CERTIFI, rules=Scan(ignore=(waiver(until=YESTERDAY),)))
    (finding,) = judgement.findings
    assert finding.message.endswith("; the exception ended on 2026-11-23")


def test_a_valid_exception_wins_over_an_expired_one() -> None:
    rules = Scan(ignore=(waiver(until=YESTERDAY), waiver(package="certifi")))
    judgement = judged(CERTIFI, rules=rules)
    assert only(judgement).verdict == "waived"
    (unused,) = judgement.findings
    assert (unused.severity, unused.at) == ("warning", "scan.ignore[0]")
    assert "it ended on 2026-11-23" in unused.message


def test_an_exception_that_nothing_needs_is_a_warning() -> None:
    (finding,) = judged(rules=Scan(ignore=(waiver(),))).findings
    assert (finding.severity, finding.rule, finding.hint) == ("warning", "scan.unused", "remove it")


def test_an_exception_for_what_is_below_the_gate_stays_quiet_until_its_day() -> None:
    low = replace(CERTIFI, severity="LOW")
    assert judged(low, rules=Scan(ignore=(waiver(),))).findings == ()
    (finding,) = judged(low, rules=Scan(ignore=(waiver(until=YESTERDAY),))).findings
    assert finding.severity == "warning"


def test_a_secret_is_accepted_only_in_the_named_file() -> None:
    here = waiver(KEY.id, path="/app/key.pem")
    assert only(judged(KEY, rules=Scan(ignore=(here,)))).verdict == "waived"
    for elsewhere in (waiver(KEY.id), waiver(KEY.id, path="/app/other.pem")):
        assert only(judged(KEY, rules=Scan(ignore=(elsewhere,)))).verdict == "fails"
    configuration = replace(KEY, path="")
    assert only(judged(configuration, rules=Scan(ignore=(waiver(KEY.id),)))).verdict == "fails"


def test_a_misconfiguration_is_accepted_by_name() -> None:
    assert only(judged(ROOT, rules=Scan(ignore=(waiver("DS-0002"),)))).verdict == "waived"


def test_only_denied_licences_are_of_interest() -> None:
    mit = replace(AGPL, expression="MIT")
    rules = Scan(deny_licenses=("AGPL-3.0-only", "SSPL-1.0"))
    assert judged(AGPL, mit).judged == ()
    judgement = judged(AGPL, mit, rules=rules)
    assert only(judgement).item == AGPL
    assert "`AGPL-3.0-only` of `pastel`" in errors(judgement)[0].message
    accepted = replace(rules, ignore=(waiver("AGPL-3.0-only", package="pastel"),))
    assert only(judged(AGPL, rules=accepted)).verdict == "waived"
    both = replace(AGPL, expression="AGPL-3.0-only AND SSPL-1.0")
    assert only(judged(both, rules=accepted)).verdict == "fails"


def test_an_old_system_is_a_warning() -> None:
    judgement = judge(replace(NOTHING, end_of_life=True), Scan(), now=NOW)
    (finding,) = judgement.findings
    assert (finding.rule, finding.severity) == ("scan.end-of-life", "warning")


def test_the_worst_stands_first() -> None:
    low = replace(CERTIFI, id="CVE-2020-1", severity="LOW")
    items = (low, EXPAT, CERTIFI, ROOT, KEY)
    rules = Scan(ignore=(waiver(KEY.id, path=KEY.path),))
    judgement = judged(*items, rules=rules)
    assert [one.item for one in judgement.judged] == [CERTIFI, ROOT, KEY, EXPAT, low]
    assert [judgement.count(v) for v in ("fails", "waived", "below")] == [2, 1, 2]


@pytest.mark.parametrize(
    ("expression", "deny", "found"),
    [
        ("MIT", "MIT", True),
        ("MIT", "Apache-2.0", False),
        ("mit", "MIT", True),
        ("MIT OR GPL-3.0-only", "GPL-3.0-only", False),
        ("MIT AND GPL-3.0-only", "GPL-3.0-only", True),
        ("MIT AND (BSD-3-Clause OR GPL-3.0-only)", "GPL-3.0-only", False),
        ("(MIT AND GPL-3.0-only) OR GPL-3.0-only", "GPL-3.0-only", True),
        ("GPL-2.0-only WITH Classpath-exception-2.0", "GPL-2.0-only", True),
        ("GPL-3.0", "GPL-3.0-only", True),
        ("GPL-3.0+", "GPL-3.0-or-later", True),
        ("GPL-3.0-or-later", "GPL-3.0-only", False),
        ("Apache-2.0+", "Apache-2.0", True),
        ("MIT OR", "MIT", True),
        ("(MIT", "MIT", True),
        ("MIT WITH", "MIT", True),
        ("MIT, see the file", "Apache-2.0", False),
        ("", "MIT", False),
        ("(" * 5000 + "MIT" + ")" * 5000, "MIT", True),
        ("AND", "AND", True),
    ],
)
def test_licence_expressions(expression: str, deny: str, found: bool) -> None:
    assert bool(denied(expression, (deny,))) is found
