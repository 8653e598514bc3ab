"""What a statement or a bare SBOM says, in numbers and in one line: pure, total, not verified.

Source: SLSA provenance 0.2 and 1; CycloneDX 1.6; SPDX 2.3; in-toto attestation
framework, spec/predicates.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final

from modelpack.inputs.quoting import quoted
from modelpack.inspection import outcomes, predicates
from modelpack.inspection.beside import ProvenanceClaim, Said, SbomClaim
from modelpack.inspection.json_values import array, leaves, listed, table, tables, text
from modelpack.quantity import counted
from modelpack.trust import predicate_types
from modelpack.trust.statement import Statement

_LICENSES = 100
"that are counted; more are `other`"
_MEMBERS = 60
"of a statement of an unknown type that are shown"
_FIRST = 3
"of them in its line"
_KINDS = {"git": "code", "hf": "weights", "s3": "weights", "docker": "image", "oci": "image"}
"of a material, by the scheme or purl type of its URI"


def of_statement(statement: Statement) -> Said:
    """Return what `statement` says; of a type that is not known, its first members."""
    word = predicates.word(statement.predicate_type)
    if word == "stage":
        return _stage(statement)
    if word == "oms":
        files = len(array(statement.predicate, "resources"))
        return Said(
            line=f"{counted(files, 'file')} of {quoted(statement.subjects[0].name)} by digest"
        )
    return _READERS.get(word, _unknown)(statement.predicate)


def _unknown(said: Mapping[str, Any]) -> Said:
    """Return the members of a statement that nobody here knows how to read."""
    members = dict(leaves(said, most=_MEMBERS))
    first = [f"{name} {quoted(value)}" for name, value in list(members.items())[:_FIRST]]
    return Said(line=", ".join([*first, *(["…"] if len(members) > _FIRST else [])]),
                members=members)  # fmt: skip


def of_bom(bom: Mapping[str, Any]) -> Said:
    """Return what a CycloneDX or SPDX document says; of SPDX as others wrap it, too."""
    inner = table(bom, "Data")
    bom = inner or bom
    claim = _spdx(bom) if text(bom, "spdxVersion") else _cyclonedx(bom)
    noun = "packages" if text(bom, "spdxVersion") else "components"
    count = sum(claim.components.values())
    kinds = f" ({listed(claim.components)})" if len(claim.components) > 1 else ""
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
    kinds = f" ({listed(claim.materials)})" if claim.materials else ""
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


def _stage(statement: Statement) -> Said:
    said = statement.predicate
    name, number = quoted(text(said, "stage")), said.get("sequence")
    count = f"number {number}" if isinstance(number, int) else "without a number"
    reason = f": {quoted(text(said, 'reason'), 200)}" if text(said, "reason") else ""
    if statement.predicate_type == predicate_types.PROMOTED:
        before = text(said, "previous")[:19]
        return Said(line=f"promoted to {name}, {count}" + (f", after {before}" if before else "")
                    + reason)  # fmt: skip
    return Said(line=f"no more {name} since {count}: {text(said, 'image')[:19]}{reason}")


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


def _vex(said: Mapping[str, Any]) -> Said:
    states = Counter(text(item, "status") for item in tables(said, "statements"))
    return Said(line=f"OpenVEX: {listed(states) or 'no statements'}")


_READERS: Final[Mapping[str, Callable[[Mapping[str, Any]], Said]]] = {
    "sbom": of_bom,
    "provenance": _provenance,
    "scan": outcomes.scan,
    "malware": outcomes.malware,
    "rebuild": outcomes.rebuild,
    "test": partial(outcomes.test, noun="tests"),
    "checks": partial(outcomes.test, noun="checks"),
    "evaluation": outcomes.evaluation,
    "verification": outcomes.verification,
    "vex": _vex,
    "signature": lambda _: Said(),  # it says no more than which image it is about
}
