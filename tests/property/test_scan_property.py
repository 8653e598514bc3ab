"""The gate and the reader of reports, whatever is in a report."""

import json
from contextlib import suppress
from dataclasses import replace
from datetime import date
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from modelpack.errors import Unavailable
from modelpack.evidence.scan import (
    RANK,
    Misconfiguration,
    Report,
    Secret,
    Vulnerability,
)
from modelpack.evidence.scan import report as reports
from modelpack.evidence.scan.gate import Judgement, judge
from modelpack.evidence.scan.licenses import denied
from modelpack.spec import Scan, ScanIgnore

NOW = 1_795_000_000
REAL = json.loads(
    (Path(__file__).parents[1] / "assets" / "trivy-report.json").read_text(encoding="utf-8")
)
EMPTY = reports.parse(b'{"SchemaVersion": 2}')
names = st.sampled_from(["CVE-1", "CVE-2", "private-key", "DS-1"])
severities = st.sampled_from(list(RANK))
gates = st.sampled_from(["LOW", "MEDIUM", "HIGH", "CRITICAL"])
places = st.sampled_from(["", "/app/a", "/app/b"])
vulnerabilities = st.builds(
    Vulnerability, id=names, severity=severities, title=st.text(max_size=3), url=st.just(""),
    package=st.sampled_from(["a", "b"]), installed=st.just("1"), fixed=st.sampled_from(["", "2"]),
    status=st.just(""), purl=st.just(""), path=places, aliases=st.just(()),
)  # fmt: skip
secrets = st.builds(
    Secret, id=names, severity=severities, title=st.just(""), path=places, line=st.just(1)
)
misconfigurations = st.builds(
    Misconfiguration, id=names, severity=severities, title=st.just(""), message=st.just(""),
    url=st.just(""),
)  # fmt: skip
found = st.builds(
    replace, st.just(EMPTY),
    vulnerabilities=st.lists(vulnerabilities, max_size=5).map(tuple),
    secrets=st.lists(secrets, max_size=3).map(tuple),
    misconfigurations=st.lists(misconfigurations, max_size=3).map(tuple),
)  # fmt: skip
waivers = st.builds(
    ScanIgnore, id=names, reason=st.just("r"), package=st.sampled_from(["", "a", "b"]),
    path=places, expires=st.sampled_from([date(2020, 1, 1), date(2999, 1, 1)]),
)  # fmt: skip
rules = st.builds(
    Scan, fail_on=gates, fixed_only=st.booleans(), ignore=st.lists(waivers, max_size=4).map(tuple)
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


def fails(judgement: Judgement) -> set[object]:
    return {one.item for one in judgement.judged if one.verdict == "fails"}


@given(found, rules)
def test_every_failure_is_an_error_and_every_error_a_failure(report: Report, what: Scan) -> None:
    judgement = judge(report, what, now=NOW)
    errors = [finding for finding in judgement.findings if finding.severity == "error"]
    assert len(errors) == judgement.count("fails")
    assert len(judgement.judged) == sum(judgement.count(v) for v in ("fails", "waived", "below"))  # type: ignore[arg-type]


@given(found, rules, waivers)
def test_an_exception_more_never_makes_a_failure(
    report: Report, what: Scan, more: ScanIgnore
) -> None:
    looser = replace(what, ignore=(*what.ignore, more))
    assert fails(judge(report, looser, now=NOW)) <= fails(judge(report, what, now=NOW))


@given(found, rules, gates)
def test_a_stricter_gate_never_lets_more_pass(report: Report, what: Scan, other: str) -> None:
    strict, loose = sorted((what.fail_on, other), key=lambda name: RANK[name])  # type: ignore[index]
    kept = fails(judge(report, replace(what, fail_on=loose), now=NOW))  # type: ignore[arg-type]
    assert kept <= fails(judge(report, replace(what, fail_on=strict), now=NOW))  # type: ignore[arg-type]


@given(found, rules)
def test_no_rule_but_an_exception_for_its_file_lets_a_secret_pass(
    report: Report, what: Scan
) -> None:
    for one in judge(report, what, now=NOW).judged:
        if isinstance(one.item, Secret) and one.verdict != "fails":
            assert one.waiver is not None
            assert (one.waiver.id, one.waiver.path) == (one.item.id, one.item.path)


@given(st.data())
def test_a_report_with_anything_in_any_place_is_read_or_refused(data: st.DataObject) -> None:
    report = json.loads(json.dumps(REAL))
    place = report
    for _ in range(data.draw(st.integers(1, 6))):
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            break
        key = data.draw(st.sampled_from(keys))
        if isinstance(place[key], dict | list) and data.draw(st.booleans()):
            place = place[key]
        else:
            place[key] = data.draw(values)
            break
    with suppress(Unavailable):
        reports.parse(json.dumps(report).encode())


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with suppress(Unavailable):
        reports.parse(data)


@given(st.text(alphabet="()ANDORWITH MIT-+.0123", max_size=40))
def test_any_licence_text_is_judged(text: str) -> None:
    assert denied(text, ("MIT",)) in ((), ("MIT",))
