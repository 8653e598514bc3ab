"""What a statement must say, as expressions: CEL for Kyverno, Rego for policy-controller.

Both are over `predicate`. A member that is not there makes a CEL expression fail and a Rego rule
undefined, and both refuse the image. CUE is not used: it takes what is missing for what is wanted.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, get_args

from modelpack import metric
from modelpack.trust.policy import Checks, Malware, Policy, Provenance, Scan, Severity, Waiver
from modelpack.trust.policy.expecting import seconds

_BUILDER: Final = "predicate.runDetails.builder.id"
_BUILD_TYPE: Final = "predicate.buildDefinition.buildType"
_RESULTS: Final = "predicate.scanner.result.Results"
_TIMES: Final = "predicate.metadata"
_SEVERITIES: Final = ("UNKNOWN", *get_args(Severity))
"from the least; what is not rated is below all"
_NUMBER: Final = r"^-?[0-9]+([.][0-9]+)?([eE][+-]?[0-9]+)?$"
"as JSON writes them: no infinity"
_NANOSECONDS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Something that is true of a predicate."""

    message: str
    "for who is refused"
    cel: str
    rego: str


def of(policy: Policy, kind: str) -> Iterator[Condition]:
    """Yield what statements of a kind must say, besides being there."""
    if kind == "provenance" and policy.provenance:
        yield from _provenance(policy.provenance)
    if kind == "scan" and policy.scan:
        yield from _scan(policy.scan, _waived(policy))
    if kind == "malware" and policy.malware:
        yield from _malware(policy.malware)
    if kind == "test":
        yield _equal("the functional test has not passed", "predicate.result", "PASSED")
    if kind == "checks" and policy.checks:
        yield from _checks(policy.checks)
    if kind == "evaluation" and policy.evaluation:
        for dotted, bound in sorted(policy.evaluation.require.items()):
            yield _metric(dotted, bound)
    if kind == "rebuild":
        yield _equal("it could not be made again bit for bit", "predicate.verdict", "reproduced")


def _provenance(rules: Provenance) -> Iterator[Condition]:
    if rules.builders:
        yield _matching("it was built by another builder", _BUILDER, rules.builders)
    if rules.build_types:
        yield _matching("it was built in another way", _BUILD_TYPE, rules.build_types)
    if rules.clean:
        commits = "predicate.buildDefinition.resolvedDependencies"
        has_commit = "has(one.digest) && has(one.digest.gitCommit)"
        yield Condition(
            message="the code was not as in its commit",
            cel=(
                f"{commits}.exists(one, {has_commit}) && {commits}.all(one, !({has_commit}) || "
                '(has(one.annotations) && one.annotations.state == "clean"))'
            ),
            rego=(
                'states := [object.get(one, ["annotations", "state"], "") | '
                f"some one in {commits}; one.digest.gitCommit]\n"
                "count(states) > 0\n"
                'every state in states { state == "clean" }'
            ),
        )  # fmt: skip


def _scan(rules: Scan, waived: tuple[Waiver, ...]) -> Iterator[Condition]:
    yield from _not_older("the scan", f"{_TIMES}.scanFinishedOn", rules.max_age)
    below = list(_SEVERITIES[: _SEVERITIES.index(rules.fail_on)])
    yield Condition(
        message="the scanner could not find out everything",
        cel='!has(predicate.scanner.result.modelpack) || '
        'predicate.scanner.result.modelpack.outcome != "unknown"',
        rego='object.get(predicate.scanner.result, ["modelpack", "outcome"], "") != "unknown"',
    )  # fmt: skip
    yield _findings(
        f"it has vulnerabilities of severity {rules.fail_on} or more",
        "Vulnerabilities", "VulnerabilityID", below, waived, fixed_only=rules.fixed_only,
    )  # fmt: skip
    yield _findings(
        f"it has misconfigurations of severity {rules.fail_on} or more",
        "Misconfigurations", "ID", below, waived,
    )  # fmt: skip
    yield Condition(
        message="it has secrets in it",
        cel=f"{_RESULTS}.all(group, !has(group.Secrets) || size(group.Secrets) == 0)",
        rego=f'every group in {_RESULTS} {{ count(object.get(group, "Secrets", [])) == 0 }}',
    )


def _malware(rules: Malware) -> Iterator[Condition]:
    yield from _not_older("the look for malware", f"{_TIMES}.finishedOn", rules.max_age)
    yield Condition(
        message="malware was found, or not all was looked at",
        cel='predicate.result == "PASSED" && size(predicate.found) == 0 && '
        "size(predicate.notScanned) == 0",
        rego='predicate.result == "PASSED"\ncount(predicate.found) == 0\n'
        "count(predicate.notScanned) == 0",
    )
    regexp = json.dumps(f"^(?:{'|'.join(map(_regexp, rules.may_skip))})$")
    yield Condition(
        message="files were left out that may not be",
        cel=f"predicate.skipped.all(one, one.matches({regexp}))",
        rego=f"every one in predicate.skipped {{ regex.match({regexp}, one) }}",
    )
    names = json.dumps(rules.scanners)
    yield Condition(
        message="not all scanners have looked",
        cel=f"{names}.all(name, predicate.scanners.exists(one, one.name == name))",
        rego=f"every name in {names} {{ name in [one.name | some one in predicate.scanners] }}",
    )


def _not_older(what: str, member: str, max_age: str) -> Iterator[Condition]:
    age = seconds(max_age)
    if age is not None:
        yield Condition(
            message=f"{what} is older than {max_age}",
            cel=f'timestamp({member}) > time.now() - duration("{age}s")',
            rego=f"time.parse_rfc3339_ns({member}) > time.now_ns() - {age * _NANOSECONDS}",
        )


def _findings(
    message: str, member: str, name: str, below: list[str], waived: tuple[Waiver, ...], *,
    fixed_only: bool = False,
) -> Condition:  # fmt: skip
    """Return that all findings in a member of the groups are below the gate, or accepted."""
    words = json.dumps(below)
    cel = [f'(has(one.Severity) ? one.Severity : "UNKNOWN") in {words}']
    rego = [f'object.get(one, "Severity", "UNKNOWN") in {words}']
    if fixed_only:
        cel.append('!has(one.FixedVersion) || one.FixedVersion == ""')
        rego.append('object.get(one, "FixedVersion", "") == ""')
    if member == "Misconfigurations":
        cel.append('has(one.Status) && one.Status != "FAIL"')
        rego.append('object.get(one, "Status", "FAIL") != "FAIL"')
    for waiver in waived:
        end = (waiver.expires + timedelta(days=1)).isoformat() + "T00:00:00Z"
        quoted = json.dumps(waiver.id)
        cel.append(f'one.{name} == {quoted} && time.now() < timestamp("{end}")')
        rego.append(
            f'one.{name} == {quoted}; time.now_ns() < time.parse_rfc3339_ns("{end}")'
        )  # fmt: skip
    allowed = " || ".join(f"({each})" for each in cel)
    # A finding that no clause accepts is left over; Rego has no `or` but a set.
    accepted = "; ".join(f"count([1 | {each}]) == 0" for each in rego)
    return Condition(
        message=message,
        cel=f"{_RESULTS}.all(group, !has(group.{member}) || group.{member}.all(one, {allowed}))",
        rego=(
            f"count([one | some group in {_RESULTS}; "
            f'some one in object.get(group, "{member}", []); {accepted}]) == 0'
        ),
    )


def _checks(rules: Checks) -> Iterator[Condition]:
    yield _equal("a check of its author has not passed", "predicate.result", "PASSED")
    if rules.required:
        names = json.dumps(rules.required)
        yield Condition(
            message=f"not all of these checks have passed: {', '.join(rules.required)}",
            cel=f"{names}.all(name, name in predicate.passedTests)",
            rego=f"every name in {names} {{ name in predicate.passedTests }}",
        )


def _metric(dotted: str, bound: str) -> Condition:
    """Return that a metric has a value, and that each one reaches the bound.

    As numbers of 64 bits, where `verify` compares decimal numbers.
    """
    name, part = (json.dumps(text) for text in metric.sliced(dotted))
    operator, number = metric.parts(bound)
    written = json.dumps(_NUMBER)
    named = f'some one in predicate.metrics; one.name == {name}; object.get(one, "slice", "") == '
    named += part
    reached = f"regex.match({written}, one.value); to_number(one.value) {operator} {number}"
    return Condition(
        message=f"{dotted} is not {bound}",
        cel=(
            f"[predicate.metrics.filter(one, one.name == {name} && "
            f'(has(one.slice) ? one.slice : "") == {part})].all(found, size(found) > 0 && '
            f"found.all(one, one.value.matches({written}) && "
            f"double(one.value) {operator} double({number})))"
        ),
        rego=(
            f"count([1 | {named}]) > 0\n"
            f"count([1 | {named}]) == count([1 | {named}; {reached}])"
        ),
    )  # fmt: skip


def _equal(message: str, member: str, wanted: str) -> Condition:
    expression = f"{member} == {json.dumps(wanted)}"
    return Condition(message=message, cel=expression, rego=expression)


def _matching(message: str, member: str, patterns: tuple[str, ...]) -> Condition:
    """Return that a text is as one of some patterns, in which `*` stands for anything."""
    regexp = json.dumps(f"^(?:{'|'.join(map(_regexp, patterns))})$")
    return Condition(
        message=message, cel=f"{member}.matches({regexp})",
        rego=f"regex.match({regexp}, {member})",
    )  # fmt: skip


def _regexp(pattern: str) -> str:
    return ".*".join(map(re.escape, pattern.split("*")))


def _waived(policy: Policy) -> tuple[Waiver, ...]:
    """Return what of scans is accepted, whatever the image."""
    return tuple(
        one for one in policy.waivers if one.requirement == "scan" and one.id and not one.image
    )
