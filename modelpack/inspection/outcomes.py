"""What scans, tests, rebuilds and evaluations say that they found: pure, total, not verified.

Source: cosign, specs/COSIGN_VULN_ATTESTATION_SPEC.md; in-toto attestation framework,
spec/predicates (vulns, test-result); SLSA, verification summary 1; docs/predicates.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import islice
from string import Formatter
from typing import Any, Final

from modelpack import quantity
from modelpack.inputs.quoting import quoted
from modelpack.inspection.beside import (
    EvaluationClaim,
    MetricClaim,
    Said,
    ScanClaim,
    VerdictClaim,
    VulnerabilityClaim,
)
from modelpack.inspection.json_values import array, listed, table, tables, text

SEVERITIES: Final = ("CRITICAL", "HIGH", "MEDIUM", "LOW", "UNKNOWN")
"the worst first"
_VULNERABILITIES: Final = 500
"that are listed; all are counted"
_NAMES: Final = 500
"of tests, metrics or commands"
_SHOWN: Final = 6
"requirements in a line"
_TESTS: Final[Mapping[str, str]] = {
    "passed": "passedTests", "warned": "warnedTests", "failed": "failedTests",
}  # fmt: skip
_COMMAND: Final = "dev.modelpack.checks.command"


def scan(said: Mapping[str, Any]) -> Said:
    """Return what a vulnerability scan says, of Trivy's shape or in-toto's."""
    scanner = table(said, "scanner")
    result = table(scanner, "result")
    verdict = table(result, "modelpack")
    found = list(_vulnerabilities(scanner))
    claim = ScanClaim(
        scanner=f"{text(scanner, 'uri')} {text(scanner, 'version')}".strip(),
        outcome=text(verdict, "outcome"),
        severities=dict(sorted(Counter(one.severity for one in found).items(), key=_rank)),
        database=text(scanner, "db", "lastUpdate"),
        finished=text(said, "metadata", "scanFinishedOn"),
        vulnerabilities=tuple(
            sorted(found, key=lambda one: (_rank((one.severity, 0)), one.package, one.id))
        )[:_VULNERABILITIES],
        not_looked_at=_texts(verdict, "notLookedAt"),
        findings=tuple(_sentences(verdict, "findings", "{severity}: {message}")),
        waived=tuple(_sentences(verdict, "waived", "{id}: {reason}, until {expires}")),
    )
    counted = listed(claim.severities) or "no vulnerabilities"
    outcome = f"{claim.outcome}, {counted}" if claim.outcome else counted
    when = f" at {claim.finished}" if claim.finished else ""
    database = f"; database of {claim.database}" if claim.database else ""
    return Said(line=f"scan with {claim.scanner or '?'}{when}: {outcome}{database}", scan=claim)


def _vulnerabilities(scanner: Mapping[str, Any]) -> Iterator[VulnerabilityClaim]:
    """Yield each vulnerability: as Trivy reports them, or in-toto's `vulns`."""
    for result in tables(scanner, "result", "Results"):
        for item in tables(result, "Vulnerabilities"):
            yield VulnerabilityClaim(
                id=text(item, "VulnerabilityID"), package=text(item, "PkgName"),
                installed=text(item, "InstalledVersion"), fixed=text(item, "FixedVersion"),
                severity=text(item, "Severity")[:20].upper() or "UNKNOWN",
                title=text(item, "Title"),
            )  # fmt: skip
    for item in tables(scanner, "result"):
        words = (text(one, "score")[:20].upper() for one in tables(item, "severity"))
        yield VulnerabilityClaim(
            id=text(item, "id"), package="", installed="", fixed="", title="",
            severity=next((word for word in words if word.isalpha()), "UNKNOWN"),
        )  # fmt: skip


def _sentences(said: Mapping[str, Any], key: str, form: str) -> Iterator[str]:
    """Yield what each object of a list says, in the words of `form`."""
    names = [name for _, name, _, _ in Formatter().parse(form) if name]
    for one in islice(tables(said, key), _NAMES):
        yield form.format_map({name: text(one, name)[:_NAMES] or "?" for name in names})


def _rank(item: tuple[str, int]) -> tuple[int, str]:
    """The worst first."""
    word = item[0]
    return (SEVERITIES.index(word) if word in SEVERITIES else len(SEVERITIES), word)


def malware(said: Mapping[str, Any]) -> Said:
    """Return what a look for malware says."""
    scanners = ", ".join(
        f"{text(one, 'name')} {text(one, 'version')}, database of "
        f"{text(one, 'database', 'lastUpdate') or '?'}"
        for one in list(tables(said, "scanners"))[:_SHOWN]
    )
    keys = {"found": "found", "not scanned": "notScanned", "left out": "skipped"}
    counts = {name: len(array(said, key)) for name, key in keys.items() if array(said, key)}
    claim = VerdictClaim(
        outcome=text(said, "result").lower(),
        by=scanners,
        finished=text(said, "metadata", "finishedOn"),
        counts=counts,
        names={
            "found": tuple(
                f"{text(one, 'signature')} in {text(one, 'path')}"[:_NAMES]
                for one in list(tables(said, "found"))[:_NAMES]
            )
        } if counts.get("found") else {},
    )  # fmt: skip
    numbers = f" ({listed(counts)})" if counts else ""
    return Said(line=f"malware: {claim.outcome or '?'}{numbers}; {scanners or '?'}", verdict=claim)


def rebuild(said: Mapping[str, Any]) -> Said:
    """Return what came of making an image again."""
    rebuilder = text(said, "rebuilder", "version", "modelpack")
    claim = VerdictClaim(
        outcome=text(said, "verdict"),
        by=f"modelpack {rebuilder}".strip(),
        finished=text(said, "metadata", "finishedOn"),
    )
    return Said(line=f"rebuilt with {claim.by} at {claim.finished}: {claim.outcome}", verdict=claim)


def test(said: Mapping[str, Any], noun: str) -> Said:
    """Return what a functional test, or the author's checks (`noun`), say."""
    ours = table(said, "modelpack")
    names = {name: _texts(said, key) for name, key in _TESTS.items()}
    names["skipped"] = _texts(ours, "skippedTests")
    counts = {name: len(array(said, key)) for name, key in _TESTS.items() if array(said, key)}
    claim = VerdictClaim(
        outcome=text(said, "result").lower(),
        by=text(said, "url") or _engine(ours) or _runner(table(said, "metadata", "runner")),
        finished=text(said, "metadata", "finishedOn"),
        counts=counts,
        names={name: found for name, found in names.items() if found},
        measured=dict(_numbers(table(ours, "measured"))),
        calls=dict(_numbers(table(ours, "calls"))),
        limits=dict(_limits(said)),
        commands=dict(_commands(said)),
    )
    numbers = f" ({listed(counts)})" if counts else ""
    return Said(line=f"{noun}: {claim.outcome or '?'}{numbers}", verdict=claim)


def _engine(ours: Mapping[str, Any]) -> str:
    version, engine = text(ours, "version"), text(ours, "engine")
    return f"modelpack {version}" + (f" in {engine}" if engine else "") if version else ""


def _runner(runner: Mapping[str, Any]) -> str:
    return f"{text(runner, 'name')} {text(runner, 'version')}".strip()


def _numbers(measured: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in list(measured.items())[:_NAMES]:
        if isinstance(value, int | float) and not isinstance(value, bool):
            yield name, value


def _limits(said: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what a functional test was held against, and under which load."""
    rules = next((table(one, "annotations") for one in tables(said, "configuration")
                  if text(one, "name") == "test"), {})  # fmt: skip
    for name in list(table(rules, "limits"))[:_NAMES]:
        yield name, text(rules, "limits", name)


def _commands(said: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for one in tables(said, "configuration"):
        words = [word for word in array(one, "annotations", _COMMAND) if isinstance(word, str)]
        if words:
            yield text(one, "name").removeprefix("check/"), " ".join(words)[:_NAMES]


def _texts(value: Mapping[str, Any], key: str) -> tuple[str, ...]:
    return tuple(one[:_NAMES] for one in array(value, key)[:_NAMES] if isinstance(one, str))


def evaluation(said: Mapping[str, Any]) -> Said:
    """Return the numbers of an evaluation, and what was asked of them."""
    asked = list(tables(said, "requirements"))
    bounds = {text(one, "metric"): text(one, "bound") for one in asked}
    metrics = tuple(_metric(one, bounds) for one in tables(said, "metrics"))
    slices = {one.slice for one in metrics} - {""}
    of = f" in {quantity.counted(len(slices), 'slice')}" if slices else ""
    shown = ", ".join(
        quoted(f"{text(one, 'metric')} {text(one, 'value')} ({text(one, 'bound')})")
        for one in asked[:_SHOWN]
    )
    claim = EvaluationClaim(weights=text(said, "weights"), metrics=metrics[:_NAMES])
    line = f"{len(metrics)} numbers{of} of weights {claim.weights[:19] or '?'}"
    return Said(line=f"{line}: {shown}" if shown else line, evaluation=claim)


def _metric(one: Mapping[str, Any], bounds: Mapping[str, str]) -> MetricClaim:
    name, part = text(one, "name"), text(one, "slice")
    dotted = f"slices.{part}.{name}" if part else name
    return MetricClaim(name=name, slice=part, value=text(one, "value"),
                       bound=bounds.get(dotted, ""))  # fmt: skip


def verification(said: Mapping[str, Any]) -> Said:
    """Return what a verifier says that it verified."""
    claim = VerdictClaim(
        outcome=text(said, "verificationResult").lower(),
        by=text(said, "verifier", "id"),
        finished=text(said, "timeVerified"),
    )
    levels = ", ".join(one for one in array(said, "verifiedLevels") if isinstance(one, str))[:200]
    shown = f" ({levels})" if levels else ""
    return Said(line=f"verified by {claim.by or '?'}: {claim.outcome or '?'}{shown}", verdict=claim)
