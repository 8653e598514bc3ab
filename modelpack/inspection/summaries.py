"""What a statement or a bare SBOM says, in numbers and in one line: pure, total, not verified.

Source: SLSA provenance 0.2 and 1; CycloneDX 1.6; SPDX 2.3; cosign,
specs/COSIGN_VULN_ATTESTATION_SPEC.md; in-toto attestation framework, spec/predicates.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from modelpack.inputs.quoting import quoted
from modelpack.inspection import predicates
from modelpack.inspection.beside import ProvenanceClaim, SbomClaim, ScanClaim, VerdictClaim
from modelpack.inspection.json_values import array, table, tables, text
from modelpack.quantity import counted
from modelpack.trust.statement import Statement

_LICENSES = 100
"that are counted; more are `other`"
_SHOWN = 6
_SEVERITIES = ("CRITICAL", "HIGH", "MEDIUM", "LOW", "UNKNOWN")
_KINDS = {"git": "code", "hf": "weights", "s3": "weights", "docker": "image", "oci": "image"}
"of a material, by the scheme or purl type of its URI"


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What was said, by the sort of it; and a line for people."""

    line: str = ""
    provenance: ProvenanceClaim | None = None
    sbom: SbomClaim | None = None
    scan: ScanClaim | None = None
    verdict: VerdictClaim | None = None


def of_statement(statement: Statement) -> Said:  # noqa: PLR0911  one for each type
    """Return what `statement` says; nothing where it is of a type that is not known."""
    predicate = statement.predicate
    match predicates.word(statement.predicate_type):
        case "sbom":
            return of_bom(predicate)
        case "provenance":
            return _provenance(predicate)
        case "oms":
            files = len(array(predicate, "resources"))
            return Said(line=f"{files} files of {quoted(statement.subjects[0].name)} by digest")
        case "scan":
            return _scan(predicate)
        case "rebuild":
            return _rebuild(predicate)
        case "test" | "checks":
            return _test(predicate)
        case "stage":
            return _stage(statement)
        case "evaluation":
            return _evaluation(predicate)
        case "verification":
            return _verification(predicate)
        case "vex":
            states = Counter(text(item, "status") for item in tables(predicate, "statements"))
            return Said(line=f"OpenVEX: {_listed(states) or 'no statements'}")
        case _:  # a signature says no more than which image it is about
            return Said()


def of_bom(bom: Mapping[str, Any]) -> Said:
    """Return what a CycloneDX or SPDX document says; of SPDX as others wrap it, too."""
    inner = table(bom, "Data")
    bom = inner or bom
    claim = _spdx(bom) if text(bom, "spdxVersion") else _cyclonedx(bom)
    noun = "packages" if text(bom, "spdxVersion") else "components"
    count = sum(claim.components.values())
    kinds = f" ({_listed(claim.components)})" if len(claim.components) > 1 else ""
    gap = "" if claim.complete else ", says that it is incomplete"
    return Said(line=f"{claim.format}, {count} {noun}{kinds}{gap}", sbom=claim)


def _cyclonedx(bom: Mapping[str, Any]) -> SbomClaim:
    components = list(tables(bom, "components"))
    tools = table(bom, "metadata").get("tools")
    named = tables({"tools": tools}, "tools") if isinstance(tools, list) else tables(
        tools, "components"
    )  # fmt: skip
    return SbomClaim(
        format=f"CycloneDX {text(bom, 'specVersion')}".strip(),
        made_by=", ".join(f"{text(t, 'name')} {text(t, 'version')}".strip() for t in named),
        created=text(bom, "metadata", "timestamp"),
        components=_counted(text(item, "type") or "other" for item in components),
        licenses=_most(name for item in components for name in _cyclonedx_licenses(item)),
        complete=not any(
            text(item, "aggregate").startswith("incomplete") for item in tables(bom, "compositions")
        ),
    )


def _cyclonedx_licenses(component: Mapping[str, Any]) -> Iterator[str]:
    for item in tables(component, "licenses"):
        found = table(item, "license")
        name = text(item, "expression") or text(found, "id") or text(found, "name")
        if name:
            yield name


def _spdx(bom: Mapping[str, Any]) -> SbomClaim:
    packages = list(tables(bom, "packages"))
    stated = (text(item, "licenseDeclared") for item in packages)
    made = table(bom, "creationInfo")
    return SbomClaim(
        format=text(bom, "spdxVersion"),
        made_by=", ".join(one for one in array(made, "creators") if isinstance(one, str))[:500],
        created=text(made, "created"),
        components=_counted(
            (text(item, "primaryPackagePurpose") or "package").lower() for item in packages
        ),
        licenses=_most(name for name in stated if name not in ("", "NOASSERTION", "NONE")),
        complete=True,
    )


def _provenance(said: Mapping[str, Any]) -> Said:
    claim = _provenance_1(said) if "buildDefinition" in said else _provenance_0(said)
    inputs = sum(claim.materials.values())
    kinds = f" ({_listed(claim.materials)})" if claim.materials else ""
    revision = f", revision {claim.revision[:12]}" if claim.revision else ""
    line = f"built by {claim.builder or '?'} at {claim.finished or '?'} from {inputs} inputs"
    return Said(line=f"{line}{kinds}{revision}", provenance=claim)


def _provenance_1(said: Mapping[str, Any]) -> ProvenanceClaim:
    definition, run = table(said, "buildDefinition"), table(said, "runDetails")
    materials = list(tables(definition, "resolvedDependencies"))
    config = table(definition, "externalParameters", "configSource")
    source, revision = _source([config, *materials])
    return ProvenanceClaim(
        builder=text(run, "builder", "id"),
        build_type=text(definition, "buildType"),
        source=source,
        revision=revision,
        started=text(run, "metadata", "startedOn"),
        finished=text(run, "metadata", "finishedOn"),
        materials=_counted(_kind(item) for item in materials),
    )


def _provenance_0(said: Mapping[str, Any]) -> ProvenanceClaim:
    materials = list(tables(said, "materials"))
    source, revision = _source([table(said, "invocation", "configSource"), *materials])
    return ProvenanceClaim(
        builder=text(said, "builder", "id"),
        build_type=text(said, "buildType"),
        source=source,
        revision=revision,
        started=text(said, "metadata", "buildStartedOn"),
        finished=text(said, "metadata", "buildFinishedOn"),
        materials=_counted(_kind(item) for item in materials),
    )


def _source(resources: list[Mapping[str, Any]]) -> tuple[str, str]:
    """Return where the code came from and which commit it is: of the first that says so."""
    for item in resources:
        commit = text(item, "digest", "gitCommit") or text(item, "digest", "sha1")
        if not commit and text(item, "name") == "revision":
            commit = text(item, "annotations", "revision")
        if commit:
            return text(item, "uri"), commit
    return "", ""


def _kind(material: Mapping[str, Any]) -> str:
    """Return what a material is: as modelpack says, else by its URI."""
    role = text(material, "annotations", "role")
    if role:
        return role[:40]
    uri = text(material, "uri")
    scheme, _, rest = uri.partition(":")
    kind = rest.partition("/")[0] if scheme == "pkg" else scheme.partition("+")[0]
    return _KINDS.get(kind, kind[:40] or "other")


def _scan(said: Mapping[str, Any]) -> Said:
    scanner = table(said, "scanner")
    result = table(scanner, "result")
    verdict = table(result, "modelpack")
    claim = ScanClaim(
        scanner=f"{text(scanner, 'uri')} {text(scanner, 'version')}".strip(),
        outcome=text(verdict, "outcome"),
        severities=dict(sorted(Counter(_severities(scanner)).items(), key=_rank)),
        database=text(scanner, "db", "lastUpdate"),
        finished=text(said, "metadata", "scanFinishedOn"),
    )
    found = _listed(claim.severities) or "no vulnerabilities"
    outcome = f"{claim.outcome}, {found}" if claim.outcome else found
    when = f" at {claim.finished}" if claim.finished else ""
    database = f"; database of {claim.database}" if claim.database else ""
    return Said(line=f"scan with {claim.scanner or '?'}{when}: {outcome}{database}", scan=claim)


def _severities(scanner: Mapping[str, Any]) -> Iterator[str]:
    """Yield the severity of each vulnerability: as Trivy reports them, or in-toto's `vulns`."""
    for result in tables(scanner, "result", "Results"):
        for item in tables(result, "Vulnerabilities"):
            yield text(item, "Severity")[:20].upper() or "UNKNOWN"
    for item in tables(scanner, "result"):
        words = (text(one, "score")[:20].upper() for one in tables(item, "severity"))
        yield next((word for word in words if word.isalpha()), "UNKNOWN")


def _rank(item: tuple[str, int]) -> tuple[int, str]:
    """The worst first."""
    word = item[0]
    return (_SEVERITIES.index(word) if word in _SEVERITIES else len(_SEVERITIES), word)


def _rebuild(said: Mapping[str, Any]) -> Said:
    rebuilder = text(said, "rebuilder", "version", "modelpack")
    claim = VerdictClaim(
        outcome=text(said, "verdict"),
        by=f"modelpack {rebuilder}".strip(),
        finished=text(said, "metadata", "finishedOn"),
    )
    return Said(line=f"rebuilt with {claim.by} at {claim.finished}: {claim.outcome}", verdict=claim)


def _test(said: Mapping[str, Any]) -> Said:
    counts = {
        name: len(array(said, key))
        for name, key in (("passed", "passedTests"), ("warned", "warnedTests"),
                          ("failed", "failedTests"))
        if array(said, key)
    }  # fmt: skip
    claim = VerdictClaim(
        outcome=text(said, "result").lower(), by=text(said, "url"), finished="", counts=counts
    )
    numbers = f" ({_listed(counts)})" if counts else ""
    return Said(line=f"tests: {claim.outcome or '?'}{numbers}", verdict=claim)


def _stage(statement: Statement) -> Said:
    said = statement.predicate
    name, number = quoted(text(said, "stage")), said.get("sequence")
    count = f"number {number}" if isinstance(number, int) else "without a number"
    reason = f": {quoted(text(said, 'reason'), 200)}" if text(said, "reason") else ""
    if statement.predicate_type == predicates.PROMOTED:
        before = text(said, "previous")[:19]
        return Said(line=f"promoted to {name}, {count}" + (f", after {before}" if before else "")
                    + reason)  # fmt: skip
    return Said(line=f"no more {name} since {count}: {text(said, 'image')[:19]}{reason}")


def _evaluation(said: Mapping[str, Any]) -> Said:
    metrics = list(tables(said, "metrics"))
    slices = {text(one, "slice") for one in metrics} - {""}
    of = f" in {counted(len(slices), 'slice')}" if slices else ""
    asked = [f"{text(one, 'metric')} {text(one, 'value')} ({text(one, 'bound')})"
             for one in tables(said, "requirements")]  # fmt: skip
    shown = ", ".join(quoted(one) for one in asked[:_SHOWN])
    weights = text(said, "weights")[:19]
    line = f"{len(metrics)} numbers{of} of weights {weights or '?'}"
    return Said(line=f"{line}: {shown}" if shown else line)


def _verification(said: Mapping[str, Any]) -> Said:
    claim = VerdictClaim(
        outcome=text(said, "verificationResult").lower(),
        by=text(said, "verifier", "id"),
        finished=text(said, "timeVerified"),
    )
    levels = ", ".join(one for one in array(said, "verifiedLevels") if isinstance(one, str))[:200]
    shown = f" ({levels})" if levels else ""
    return Said(line=f"verified by {claim.by or '?'}: {claim.outcome or '?'}{shown}", verdict=claim)


def _counted(words: Iterator[str]) -> Mapping[str, int]:
    return _ordered(Counter(word[:100] for word in words))


def _most(names: Iterator[str]) -> Mapping[str, int]:
    found = _ordered(Counter(name[:200] for name in names))
    if len(found) <= _LICENSES:
        return found
    kept = dict(list(found.items())[:_LICENSES])
    return {**kept, "other": sum(found.values()) - sum(kept.values())}


def _ordered(counts: Mapping[str, int]) -> Mapping[str, int]:
    """Return counts with the largest first, and in one order."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _listed(counts: Mapping[str, int]) -> str:
    """Return `3 library, 1 data`: the largest of them."""
    shown = [f"{count} {word}" for word, count in list(counts.items())[:_SHOWN]]
    return ", ".join(shown) + (", …" if len(counts) > _SHOWN else "")
