"""What stands beside an image and says something about it: found, summed up, not proved."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

from modelpack.digest import Digest
from modelpack.errors import ModelpackError
from modelpack.inputs.quoting import quoted
from modelpack.inspection.documents import Documents
from modelpack.inspection.value import ReferrerClaim
from modelpack.oci.layer import Descriptor
from modelpack.oci.manifest import MANIFEST_LIMIT
from modelpack.oci.manifest import parse as parse_manifest
from modelpack.oci.referrers import KIND
from modelpack.trust import statement as statements
from modelpack.trust.statement import MEDIA_TYPE, PREDICATE_TYPE, Statement

CONTENT_LIMIT = 16 << 20
"bytes of a statement that is summed up"
_READ_LIMIT = 100
"statements that are read"
_BUNDLE_PREDICATE = "dev.sigstore.bundle.predicateType"
"annotation of a signed bundle (cosign, BUNDLE_SPEC.md)"
_OMS = "https://model_signing/signature/v1.0"
_REBUILD = "https://modelpack.dev/predicates/rebuild/v1"
PREDICATES: Mapping[str, frozenset[str]] = MappingProxyType({
    "sbom": frozenset({"https://cyclonedx.org/bom", "https://spdx.dev/Document"}),
    "provenance": frozenset({"https://slsa.dev/provenance/v1", "https://slsa.dev/provenance/v0.2"}),
    "oms": frozenset({_OMS}),
    "scan": frozenset({"https://cosign.sigstore.dev/attestation/vuln/v1"}),
    "rebuild": frozenset({_REBUILD}),
})  # fmt: skip
"types of what others attach, by the word for it"


@runtime_checkable
class Vouched(Protocol):
    """A place of images that knows what vouches for each."""

    def referrers(self, subject: Digest) -> tuple[Descriptor, ...]:
        """Return what vouches for `subject`, as it says itself."""

    def read(self, what: Descriptor, *, limit: int = MANIFEST_LIMIT) -> bytes:
        """Return a blob of up to `limit` bytes, its digest and size checked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferrerDocument:
    """A referrer, and the statement in it where that could be read."""

    subject: Digest
    descriptor: Descriptor
    content: bytes = b""
    statement: Statement | None = None
    trouble: str = ""

    @property
    def kind(self) -> str:
        """What this program calls it, when it made it: `sbom`; a claim like all else."""
        return self.descriptor.annotations.get(KIND, "")


def with_referrers(store: object, documents: Documents) -> Documents:
    """Return `documents` with what stands beside the image, if `store` is a place that knows."""
    if not isinstance(store, Vouched):
        return documents
    subjects = (documents.descriptor, *((documents.index,) if documents.index else ()))
    found = [(one.digest, entry) for one in subjects for entry in store.referrers(one.digest)]
    return replace(documents, referrers=tuple(
        _document(store, subject, entry) if number < _READ_LIMIT
        else ReferrerDocument(subject=subject, descriptor=entry)
        for number, (subject, entry) in enumerate(found)
    ))  # fmt: skip


def _document(store: Vouched, subject: Digest, entry: Descriptor) -> ReferrerDocument:
    if entry.artifact_type != MEDIA_TYPE:
        return ReferrerDocument(subject=subject, descriptor=entry)
    try:
        manifest = parse_manifest(store.read(entry), at=entry.digest)
        content = store.read(manifest.layers[0], limit=CONTENT_LIMIT) if manifest.layers else b""
        statement = statements.parse(content, at=entry.digest)
    except ModelpackError as error:
        trouble = error.findings[0].message
        return ReferrerDocument(subject=subject, descriptor=entry, trouble=trouble)
    return ReferrerDocument(
        subject=subject, descriptor=entry, content=content, statement=statement
    )  # fmt: skip


def claim(document: ReferrerDocument) -> ReferrerClaim:
    """Return what a referrer claims to be."""
    entry, statement = document.descriptor, document.statement
    stated = entry.annotations.get(PREDICATE_TYPE) or entry.annotations.get(_BUNDLE_PREDICATE, "")
    return ReferrerClaim(
        digest=entry.digest,
        subject=document.subject,
        artifact_type=entry.artifact_type,
        predicate_type=statement.predicate_type if statement else stated,
        kind=document.kind,
        size=entry.size,
        summary=document.trouble or (_summary(statement) if statement else ""),
    )


def findings(documents: Sequence[ReferrerDocument]) -> Iterator[str]:
    """Yield what does not add up in statements."""
    for document in documents:
        statement = document.statement
        if statement is None:
            continue
        stated = document.descriptor.annotations.get(PREDICATE_TYPE, statement.predicate_type)
        if stated != statement.predicate_type:
            yield (
                f"referrer {quoted(document.descriptor.digest)} calls itself {quoted(stated)} and "
                f"is {quoted(statement.predicate_type)}"
            )
        if statement.predicate_type != _OMS and not statement.is_about(document.subject):
            yield (
                f"referrer {quoted(document.descriptor.digest)} hangs on this image, and its "
                "statement is about something else"
            )


def _summary(statement: Statement) -> str:  # noqa: PLR0911  one for each type
    """Return one line about what a statement says; nothing where it is none that is known."""
    said = statement.predicate
    match statement.predicate_type:
        case "https://cyclonedx.org/bom":
            version = _text(said, "specVersion")
            return f"CycloneDX {version}, {_count(said.get('components'))} components".strip()
        case "https://spdx.dev/Document":
            return f"{_text(said, 'spdxVersion')}, {_count(said.get('packages'))} packages"
        case "https://slsa.dev/provenance/v1":
            run = _table(said, "runDetails")
            builder = _text(_table(run, "builder"), "id")
            finished = _text(_table(run, "metadata"), "finishedOn")
            inputs = _count(_table(said, "buildDefinition").get("resolvedDependencies"))
            return f"built by {builder} at {finished} from {inputs} inputs"
        case "https://model_signing/signature/v1.0":
            name = statement.subjects[0].name
            return f"{_count(said.get('resources'))} files of {quoted(name)} by digest"
        case "https://cosign.sigstore.dev/attestation/vuln/v1":
            scanner = _table(said, "scanner")
            verdict = _table(_table(scanner, "result"), "modelpack").get("outcome", "?")
            when = _text(_table(said, "metadata"), "scanFinishedOn")
            return f"scan with {_text(scanner, 'uri')} at {when}: {verdict}"
        case "https://modelpack.dev/predicates/rebuild/v1":
            version = _text(_table(_table(said, "rebuilder"), "version"), "modelpack")
            when = _text(_table(said, "metadata"), "finishedOn")
            return f"rebuilt with modelpack {version} at {when}: {_text(said, 'verdict')}"
        case _:
            return ""


def _table(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = value.get(key)
    return found if isinstance(found, dict) else {}


def _text(value: Mapping[str, Any], key: str) -> str:
    found = value.get(key)
    return found if isinstance(found, str) else "?"


def _count(value: object) -> int:
    return len(value) if isinstance(value, list) else 0
