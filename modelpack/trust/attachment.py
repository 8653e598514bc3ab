"""Evidence of others, to be kept beside an image as it is: checked where its format is known.

Source: what readers look for: Trivy's `--sbom-sources oci` and `--vex oci`; docker scout's in-toto
referrers; cosign, specs/BUNDLE_SPEC.md.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from modelpack.digest import Digest
from modelpack.errors import InputError
from modelpack.oci.layer import blob_of
from modelpack.oci.manifest import parse_object, printable
from modelpack.oci.referrers import Referrer
from modelpack.trust import bundle as bundles
from modelpack.trust import media_types, predicate_types
from modelpack.trust import statement as statements
from modelpack.trust.bundle import Chain
from modelpack.trust.dsse import Envelope
from modelpack.trust.statement import Statement, about

SIZE_LIMIT: Final = bundles.SIZE_LIMIT
"bytes of a document"
_LONGEST: Final = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """What a document may be about."""

    digest: Digest
    "of the manifest or index that it is to stand beside"
    name: str
    others: frozenset[str] = frozenset()
    "further digests that mean the same image: of its configuration"


def referrer(kind: str, data: bytes, image: Image) -> Referrer:
    """Return `data`, a document of `kind`, as what vouches for `image`.

    `kind` is one of `KINDS`, or a media type, of which nothing is checked but that it is one.
    Raises InputError when it is not such a document, or is about something else.
    """
    if kind in _MAKERS:
        return _MAKERS[kind](data, image)
    if known := _BY_MEDIA_TYPE.get(kind):
        return known(data, image)
    main, slash, sub = kind.partition("/")
    if not (slash and main and sub and kind.isascii() and kind.isprintable()) or " " in kind:
        raise InputError(
            f"not a kind of evidence: `{printable(kind)}`", at="--type",
            hint=f"{', '.join(KINDS)}, or a media type",
        )  # fmt: skip
    if len(kind) > _LONGEST:
        raise InputError(f"a media type has at most {_LONGEST} characters", at="--type")
    if kind.startswith(media_types.BUNDLES):
        raise InputError(
            f"a bundle is attached as `{bundles.MEDIA_TYPE}` only: verifiers of images stop at "
            "what they cannot read", at="--type",
        )  # fmt: skip
    return _bare(data, kind)


def _bare(data: bytes, media_type: str) -> Referrer:
    """Return a document that hangs on the image as it is."""
    return Referrer(artifact_type=media_type, content=blob_of(data, media_type))


def _sbom(data: bytes, image: Image) -> Referrer:
    """Return a bill of materials, whichever of the two forms it has."""
    value = parse_object(data, at="SBOM", limit=SIZE_LIMIT)
    return (_spdx if "spdxVersion" in value else _cyclonedx)(data, image)


def _cyclonedx(data: bytes, image: Image) -> Referrer:
    value = parse_object(data, at="SBOM", limit=SIZE_LIMIT)
    if value.get("bomFormat") != "CycloneDX" or not isinstance(value.get("specVersion"), str):
        raise InputError("not a CycloneDX document: `bomFormat` or `specVersion` is missing",
                         at="SBOM")  # fmt: skip
    if "vulnerabilities" in value and not value.get("components"):
        raise InputError(
            "a CycloneDX VEX document, which scanners would take for the SBOM of the image",
            at="SBOM", hint="--type application/vnd.cyclonedx.vex+json",
        )  # fmt: skip
    root = _table(_table(value, "metadata"), "component")
    _expect_same(str(root.get("version", "")), image, at="SBOM.metadata.component.version")
    return Referrer(
        artifact_type=media_types.CYCLONEDX, content=blob_of(data, media_types.CYCLONEDX)
    )


def _spdx(data: bytes, image: Image) -> Referrer:
    value = parse_object(data, at="SBOM", limit=SIZE_LIMIT)
    if not isinstance(value.get("spdxVersion"), str):
        raise InputError("not an SPDX document: `spdxVersion` is missing", at="SBOM")
    packages = value.get("packages")
    for package in packages if isinstance(packages, list) else ():
        if _table({"package": package}, "package").get("primaryPackagePurpose") == "CONTAINER":
            _expect_same(str(package.get("versionInfo", "")), image, at="SBOM.packages.versionInfo")
            break  # the first is the image, others are its base
    return _bare(data, media_types.SPDX)


def _expect_same(said: str, image: Image, *, at: str) -> None:
    if said.startswith("sha256:") and said not in {image.digest, *image.others}:
        raise InputError(f"the SBOM of another image: {printable(said)}", at=at)


def _statement(data: bytes, image: Image) -> Referrer:
    statement = statements.parse(data)
    _expect_about(statement, image)
    return Referrer(
        artifact_type=statements.MEDIA_TYPE, content=blob_of(data, statements.MEDIA_TYPE),
        annotations={statements.PREDICATE_TYPE: statement.predicate_type},
    )  # fmt: skip


def _expect_about(statement: Statement, image: Image) -> None:
    """Refuse what is about something else; signatures of models are about their files."""
    if statement.predicate_type != predicate_types.OMS and not statement.is_about(image.digest):
        said = ", ".join(sorted(str(one.sha256 or one.name) for one in statement.subjects[:3]))
        raise InputError(
            f"the statement is about something else: {printable(said)}, not {image.digest}",
            at="statement.subject",
        )


def _vex(data: bytes, image: Image) -> Referrer:
    """Return an OpenVEX document as a statement about the image: so scanners look for it."""
    value = parse_object(data, at="VEX", limit=SIZE_LIMIT)
    context = value.get("@context")
    if not isinstance(context, str) or not context.startswith(predicate_types.VEX):
        raise InputError("not an OpenVEX document: `@context` is another one", at="VEX")
    if not isinstance(value.get("statements"), list):
        raise InputError("`statements` is not a list", at="VEX")
    statement = Statement(
        subjects=about(image.name, image.digest), predicate_type=context, predicate=value
    )
    try:
        content = statement.as_bytes()
    except (ValueError, RecursionError) as error:
        raise InputError("it holds text or numbers that cannot be written", at="VEX") from error
    return Referrer(
        artifact_type=statements.MEDIA_TYPE, content=blob_of(content, statements.MEDIA_TYPE),
        annotations={statements.PREDICATE_TYPE: context},
    )  # fmt: skip


def _bundle(data: bytes, image: Image) -> Referrer:
    bundle = bundles.parse(data)
    if bundle.media_type != bundles.MEDIA_TYPE or isinstance(bundle.material, Chain):
        raise InputError(
            "not a bundle of version 0.3 with one certificate or key: verifiers of images stop at "
            "others", at="bundle",
        )  # fmt: skip
    if not isinstance(bundle.content, Envelope):
        raise InputError("the bundle holds no statement about an image", at="bundle")
    statement = statements.parse(bundle.content.payload)
    if not statement.is_about(image.digest):
        _expect_about(Statement(subjects=statement.subjects, predicate_type="", predicate={}),
                      image)  # fmt: skip
    return Referrer(
        artifact_type=bundles.MEDIA_TYPE, content=blob_of(data, bundles.MEDIA_TYPE),
        annotations=bundles.annotations(statement.predicate_type),
    )  # fmt: skip


def _sarif(data: bytes, image: Image) -> Referrer:  # noqa: ARG001  it names no image
    value = parse_object(data, at="SARIF", limit=SIZE_LIMIT)
    if value.get("version") != "2.1.0" or not isinstance(value.get("runs"), list):
        raise InputError("not a SARIF document of version 2.1.0", at="SARIF")
    return _bare(data, media_types.SARIF)


def _table(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = value.get(key)
    return found if isinstance(found, dict) else {}


_MAKERS: Final[Mapping[str, Callable[[bytes, Image], Referrer]]] = MappingProxyType({
    "sbom": _sbom,
    "sbom-cyclonedx": _cyclonedx,
    "sbom-spdx": _spdx,
    "statement": _statement,
    "vex": _vex,
    "bundle": _bundle,
    "sarif": _sarif,
})  # fmt: skip
_BY_MEDIA_TYPE: Final[Mapping[str, Callable[[bytes, Image], Referrer]]] = MappingProxyType({
    media_types.CYCLONEDX: _cyclonedx,
    media_types.SPDX: _spdx,
    media_types.SARIF: _sarif,
    statements.MEDIA_TYPE: _statement,
    bundles.MEDIA_TYPE: _bundle,
})  # fmt: skip
KINDS: Final = tuple(_MAKERS)
