"""What a signed scan found, judged by a policy: not by what the scan says of itself.

Source: cosign, `specs/COSIGN_VULN_ATTESTATION_SPEC.md`; Trivy's report in `scanner.result`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from modelpack.evidence.scan import RANK, Severity
from modelpack.inputs.quoting import quoted
from modelpack.inspection.json_values import table, tables, text
from modelpack.trust.policy import Scan, Waiver
from modelpack.trust.policy.expecting import seconds
from modelpack.verifying.times import moment

_SHOWN = 10


def finished(predicate: Mapping[str, Any]) -> int | None:
    """Return when it was scanned, by the scanner's clock."""
    return moment(text(predicate, "metadata", "scanFinishedOn"))


def complaints(
    predicate: Mapping[str, Any], rules: Scan, *, age_from: int | None, waivers: Sequence[Waiver],
    now: int,
) -> Iterator[str]:  # fmt: skip
    """Yield why a scan does not satisfy `rules`; `age_from` is when it surely existed."""
    done = finished(predicate)
    if done is None:
        yield "it does not say when it was scanned"
        return
    limit = seconds(rules.max_age)
    age = now - min(done, age_from if age_from is not None else done)
    if limit is not None and age > limit:
        yield f"the newest scan is {age // 86_400} days old, more than {rules.max_age}"
    yield from _old_database(predicate, rules, done)
    result = table(predicate, "scanner", "result")
    if not isinstance(result.get("Results"), list):
        yield "what it found is not written as Trivy does"
        return
    if text(result, "modelpack", "outcome") == "unknown":
        yield "not all could be asked when it was scanned"
    accepted = {waiver.id for waiver in waivers if waiver.id}
    found = [line for item, line in _above(result, rules).items() if item[0] not in accepted]
    yield from found[:_SHOWN]
    if len(found) > _SHOWN:
        yield f"and {len(found) - _SHOWN} more"


def _old_database(predicate: Mapping[str, Any], rules: Scan, done: int) -> Iterator[str]:
    limit = seconds(rules.database_max_age)
    if limit is None:
        return
    made = moment(text(predicate, "scanner", "db", "lastUpdate"))
    if made is None:
        yield "it does not say of when its database was"
    elif done - made > limit:
        yield f"its database was {(done - made) // 86_400} days old"


Found = tuple[str, str]
"what it is called, and where it was found"


def _above(result: Mapping[str, Any], rules: Scan) -> dict[Found, str]:
    """Return what is above the gate, each thing once, with a line for people."""
    return {
        item: line
        for group in tables(result, "Results")
        for item, line in (*_vulnerabilities(group, rules), *_bad(group, rules), *_secrets(group))
    }


def _vulnerabilities(group: Mapping[str, Any], rules: Scan) -> Iterator[tuple[Found, str]]:
    for item in tables(group, "Vulnerabilities"):
        fixed = text(item, "FixedVersion")
        if _is_above(item, rules) and (fixed or not rules.fixed_only):
            name = text(item, "VulnerabilityID")
            where = f"{quoted(text(item, 'PkgName'))} {text(item, 'InstalledVersion')}"
            way = f", fixed in {fixed}" if fixed else ""
            yield (name, where), f"{_severity(item)} {quoted(name)} in {where}{way}"


def _bad(group: Mapping[str, Any], rules: Scan) -> Iterator[tuple[Found, str]]:
    for item in tables(group, "Misconfigurations"):
        if text(item, "Status") == "FAIL" and _is_above(item, rules):
            name = text(item, "ID")
            line = f"{_severity(item)} {quoted(name)}: {text(item, 'Title')}"
            yield (name, text(item, "Message")), line


def _secrets(group: Mapping[str, Any]) -> Iterator[tuple[Found, str]]:
    """Yield secrets, which nothing excuses."""
    for item in tables(group, "Secrets"):
        where = text(group, "Target")
        line = f"a secret ({quoted(text(item, 'RuleID'))}) in {quoted(where)}"
        yield ("", where), line


def _is_above(item: Mapping[str, Any], rules: Scan) -> bool:
    return RANK[_severity(item)] >= RANK[rules.fail_on]


def _severity(item: Mapping[str, Any]) -> Severity:
    """Return the severity; a word that is not known is as bad as can be."""
    word = text(item, "Severity").upper()
    known: dict[str, Severity] = {severity: severity for severity in RANK}
    return known.get(word, "CRITICAL") if word else "UNKNOWN"
