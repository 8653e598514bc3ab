"""An Inventory as SPDX 2.3 JSON, for tools that do not read CycloneDX.

Source: SPDX specification 2.3. It has no words for models: they are packages of purpose `OTHER`,
their files packages of purpose `FILE` (an SPDX file needs a SHA-1, which nobody here computes).
"""

import hashlib
import re
import uuid
from collections.abc import Iterator, Sequence
from typing import Any, Final

from modelpack import __version__
from modelpack.canonical_json import rfc3339
from modelpack.digest import hex_of
from modelpack.evidence.inventory import Inventory, Model, Package
from modelpack.evidence.named_image import NamedImage
from modelpack.inputs.licenses import Licenses, expression_of
from modelpack.lock import purls, sources

_NOTHING: Final = "NOASSERTION"
_DOCUMENT: Final = "SPDXRef-DOCUMENT"
_LICENSE_REF: Final = re.compile(r"LicenseRef-[A-Za-z0-9.-]+")


def document(inventory: Inventory, image: NamedImage) -> dict[str, Any]:
    """Return the SPDX document of `image`, which holds `inventory`."""
    serial = uuid.uuid5(uuid.NAMESPACE_URL, image.digest)
    packages = [_image(image), *_packages(inventory)]
    declared = [package["licenseDeclared"] for package in packages]
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": _DOCUMENT,
        "name": image.repository,
        "documentNamespace": f"https://modelpack.dev/spdx/{serial}",
        "creationInfo": {
            "created": rfc3339(image.created),
            "creators": [f"Tool: modelpack-{__version__}"],
            **({} if inventory.complete else {"comment": _gaps(inventory)}),
        },
        "packages": packages,
        "relationships": [
            {"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}
            for one, kind, other in _relationships(inventory)
        ],
        "hasExtractedLicensingInfos": list(_extracted(inventory, declared)),
    }


def _gaps(inventory: Inventory) -> str:
    """Return in words what SPDX has no member for."""
    unread = ", ".join(f"/{path}" for path in inventory.unread)
    more = f" Not read: {unread}." if unread else ""
    return f"Incomplete: packages of the base, or of a layer, are not listed.{more}"


def _image(image: NamedImage) -> dict[str, Any]:
    return _package(
        _id("image"), image.repository, image.digest, "CONTAINER", purl=image.purl,
        sha256=hex_of(image.digest),
        comment="\n".join(f"{name}: {value}" for name, value in image.properties.items()),
    )  # fmt: skip


def _packages(inventory: Inventory) -> Iterator[dict[str, Any]]:
    system = inventory.system
    if system.get("ID"):
        yield _package(
            _id("os"), system["ID"], system.get("VERSION_ID", ""), "OPERATING-SYSTEM"
        )  # fmt: skip
    if base := inventory.base:
        repository, tag = purls.repository_and_tag(base.reference)
        yield _package(
            _id("base"), repository, base.digest, "CONTAINER", sha256=hex_of(base.digest),
            purl=purls.image(base.digest, repository=repository, tag=tag),
        )  # fmt: skip
    for package in inventory.packages:
        yield _package(
            _id(package.ref), package.name, package.version, "LIBRARY", purl=package.purl,
            sha256=package.sha256, licenses=package.licenses, source=_source(package),
            file=f"/{package.path}" if package.path else "",
        )  # fmt: skip
    for model in inventory.models:
        yield from _model(inventory, model)
    for number, data in enumerate(inventory.spec.training.data):
        yield _package(
            _id(f"data/{number}"), data.name, data.version, "OTHER",
            comment=f"training data, as the author claims: {data.uri} {data.digest}".strip(),
        )  # fmt: skip


def _model(inventory: Inventory, model: Model) -> Iterator[dict[str, Any]]:
    spec, weights = inventory.spec, model.weights
    claims = (
        ("weights", weights.digest), ("source", sources.pinned(weights)), ("task", spec.model.task),
        ("architecture", spec.model.architecture), ("framework", spec.model.framework),
        ("made from", spec.model.base), ("training run", spec.training.run),
        ("training source", spec.training.source), ("intended use", spec.card.intended_use),
        ("limitations", spec.card.limitations),
    )  # fmt: skip
    yield _package(
        _id(_ref(model)), weights.name, spec.model.version, "OTHER",
        licenses=Licenses(expression=spec.model.license), file=weights.destination,
        comment="\n".join(f"{name}: {value}" for name, value in claims if value),
        description=spec.model.description,
    )  # fmt: skip
    for file in weights.files:
        yield _package(
            _id(f"{_ref(model)}/{file.path}"), file.path, "", "FILE", sha256=file.sha256,
            file=f"{weights.destination.rstrip('/')}/{file.path}",
        )  # fmt: skip


def _package(
    ref: str,
    name: str,
    version: str,
    purpose: str,
    *,
    purl: str = "",
    sha256: str = "",
    licenses: Licenses | None = None,
    source: str = "",
    file: str = "",
    comment: str = "",
    description: str = "",
) -> dict[str, Any]:
    found = {
        "SPDXID": ref,
        "name": name,
        "versionInfo": version,
        "downloadLocation": _NOTHING,
        "filesAnalyzed": False,
        "licenseConcluded": _NOTHING,
        "licenseDeclared": _declared(licenses or Licenses()),
        "copyrightText": _NOTHING,
        "primaryPackagePurpose": purpose,
        "checksums": [{"algorithm": "SHA256", "checksumValue": sha256}] if sha256 else [],
        "externalRefs": [
            {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
             "referenceLocator": purl}
        ] if purl else [],
        "packageFileName": file,
        "sourceInfo": source,
        "comment": comment,
        "description": description,
    }  # fmt: skip
    return {key: value for key, value in found.items() if value not in ("", [])}


def _relationships(inventory: Inventory) -> Iterator[tuple[str, str, str]]:
    whole = _id("image")
    yield _DOCUMENT, "DESCRIBES", whole
    if inventory.system.get("ID"):
        yield whole, "CONTAINS", _id("os")
    if inventory.base:
        yield whole, "DESCENDANT_OF", _id("base")
    for package in inventory.packages:
        yield whole, "CONTAINS", _id(package.ref)
        for other in package.needs:
            yield _id(package.ref), "DEPENDS_ON", _id(other)
    for model in inventory.models:
        yield whole, "DEPENDS_ON" if model.mounted else "CONTAINS", _id(_ref(model))
        for file in model.weights.files:
            yield _id(_ref(model)), "CONTAINS", _id(f"{_ref(model)}/{file.path}")
        for number, _ in enumerate(inventory.spec.training.data):
            yield _id(_ref(model)), "GENERATED_FROM", _id(f"data/{number}")


def _declared(licenses: Licenses) -> str:
    """Return declared licences as one expression; words become `LicenseRef-`."""
    if licenses.expression:
        return licenses.expression
    parts = [expression_of(name) or _license_ref(name) for name in licenses.names]
    return " AND ".join(f"({part})" if " OR " in part else part for part in parts) or _NOTHING


def _extracted(inventory: Inventory, declared: Sequence[str]) -> Iterator[dict[str, str]]:
    """Yield what each `LicenseRef-` stands for."""
    words = {
        _license_ref(name): name
        for package in inventory.packages
        for name in package.licenses.names
        if not expression_of(name)
    }
    for ref in sorted({ref for text in declared for ref in _LICENSE_REF.findall(text)}):
        name = words.get(ref, ref)
        yield {"licenseId": ref, "name": name, "extractedText": f"Stated as `{name}`."}


def _license_ref(name: str) -> str:
    return f"LicenseRef-{_slug(name)}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _source(package: Package) -> str:
    if not package.source:
        return ""
    return f"built package from: {package.source} {package.source_version}"


def _ref(model: Model) -> str:
    return f"model/{model.weights.name}"


def _id(ref: str) -> str:
    return f"SPDXRef-{_slug(ref)}-{hashlib.sha256(ref.encode()).hexdigest()[:12]}"


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")[:60]
