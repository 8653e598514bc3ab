"""Where an image came from, as far as somebody vouches for it.

What a certificate authority wrote of a job's own token goes before what the job says of itself,
and a statement that says otherwise is refused. Sources: SLSA v1.2 "Verifying build artifacts";
fulcio `docs/oid-info.md`; GitHub's `actions/attest-build-provenance`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

from modelpack.evidence.provenance import LOCAL_BUILDER
from modelpack.inputs.quoting import quoted
from modelpack.inspection.json_values import table, tables, text
from modelpack.trust.policy import Provenance
from modelpack.trust.proof import Proof
from modelpack.verifying.patterns import any_matches

_RUNNERS: Final = "https://github.com/actions/runner"
"what GitHub's hosted runners call themselves"
_COMMIT: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_SHORT: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What is known of a build; what nobody says is empty."""

    builder: str = ""
    build_type: str = ""
    repository: str = ""
    commit: str = ""
    ref: str = ""
    state: str = ""
    "of the packed files against the commit: `clean`, `changed`, `not compared`"

    def __str__(self) -> str:
        source = self.repository + (f"@{self.commit[:_SHORT]}" if self.commit else "")
        parts = (source, self.ref, f"by {self.builder}" if self.builder else "")
        return ", ".join(filter(None, parts)) or "nothing is said of where it came from"


def of_certificate(proof: Proof) -> Origin:
    """Return what the certificate authority says."""
    said = proof.extensions
    return Origin(
        builder=said.get("build-signer-uri", ""),
        repository=said.get("source-repository-uri", ""),
        commit=said.get("source-repository-digest", ""),
        ref=said.get("source-repository-ref", ""),
    )


def of_statement(predicate: Mapping[str, Any]) -> Origin:
    """Return what the builder says of itself, in SLSA provenance 1 or 0.2."""
    if "buildDefinition" not in predicate:
        materials = [
            table(predicate, "invocation", "configSource"),
            *tables(predicate, "materials"),
        ]
        return Origin(
            builder=text(predicate, "builder", "id"),
            build_type=text(predicate, "buildType"),
            **_source(materials),
        )
    definition = table(predicate, "buildDefinition")
    workflow = table(definition, "externalParameters", "workflow")
    materials = [
        table(definition, "externalParameters", "configSource"),
        *tables(definition, "resolvedDependencies"),
    ]
    source = _source(materials)
    return Origin(
        builder=text(predicate, "runDetails", "builder", "id"),
        build_type=text(definition, "buildType"),
        repository=text(workflow, "repository") or source["repository"],
        commit=source["commit"],
        ref=text(workflow, "ref") or source["ref"],
        state=source["state"],
    )


def _source(resources: list[Mapping[str, Any]]) -> dict[str, str]:
    """Return repository, commit and ref of the first resource that is a git commit."""
    for item in resources:
        commit = text(item, "digest", "gitCommit") or text(item, "digest", "sha1")
        uri = text(item, "uri")
        if not commit and not uri.startswith("git+"):
            continue
        repository, _, ref = uri.removeprefix("git+").partition("@")
        return {
            "repository": unquote(repository).removesuffix(".git"),
            "commit": commit,
            "ref": ref if ref.startswith("refs/") else "",
            "state": text(item, "annotations", "state"),
        }
    return {"repository": "", "commit": "", "ref": "", "state": ""}


def origin(proof: Proof) -> tuple[Origin, tuple[str, ...]]:
    """Return where the image came from, and where statement and certificate disagree."""
    proved = of_certificate(proof)
    stated = of_statement(proof.statement.predicate if proof.statement else {})
    known = Origin(
        builder=proved.builder or stated.builder,
        build_type=stated.build_type,
        repository=proved.repository or stated.repository,
        commit=proved.commit or stated.commit,
        ref=proved.ref or stated.ref,
        state=stated.state,
    )
    return known, tuple(_disagreements(proof, proved, stated))


def _disagreements(proof: Proof, proved: Origin, stated: Origin) -> Iterator[str]:
    pairs = (
        ("repository", proved.repository, stated.repository),
        ("ref", proved.ref, stated.ref),
        ("commit", proved.commit, stated.commit if _COMMIT.fullmatch(stated.commit) else ""),
    )
    for word, certified, said in pairs:
        if certified and said and certified != said:
            yield (
                f"the statement says {word} {quoted(said)}, the certificate of who signed it "
                f"{quoted(certified)}"
            )
    uris = {
        proof.extensions.get(name, "") for name in ("build-signer-uri", "build-config-uri")
    } - {""}  # fmt: skip
    said = stated.builder
    if uris and said not in ("", LOCAL_BUILDER, *uris) and not said.startswith(_RUNNERS):
        yield (
            f"the statement says builder {quoted(said)}, the certificate of who signed it "
            f"{quoted(min(uris))}"
        )


def complaints(known: Origin, rules: Provenance) -> Iterator[str]:
    """Yield what the policy does not allow of a build."""
    checks = (
        ("builder", known.builder, rules.builders),
        ("build type", known.build_type, rules.build_types),
        ("repository", known.repository, rules.repositories),
        ("ref", known.ref, rules.refs),
    )
    for word, found, allowed in checks:
        if allowed and not found:
            yield f"it does not say its {word}"
        elif allowed and not any_matches(allowed, found):
            yield f"{word} {quoted(found)} is not allowed"
    if rules.clean and known.state != "clean":
        yield f"the code is not known to be as in its commit ({known.state or 'nothing is said'})"
