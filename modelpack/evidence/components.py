"""An Inventory as CycloneDX components, written by cyclonedx-python-lib.

The library takes a tenth of a second to import: what it makes is remembered, and whoever has that
never comes here. It knows no model cards: those are put in afterwards.
"""

import json
from typing import Any, Final

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType, Pedigree
from cyclonedx.model.license import (
    DisjunctiveLicense,
    License,
    LicenseAcknowledgement,
    LicenseExpression,
)
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.spdx import is_supported_id
from packageurl import PackageURL

from modelpack.digest import hex_of
from modelpack.evidence import model_card
from modelpack.evidence.cyclonedx import IMAGE_REF, PROPERTY
from modelpack.evidence.inventory import Inventory, Model, Package
from modelpack.inputs.licenses import Licenses
from modelpack.lock import ImageBase, purls, sources

_SYSTEM: Final = "os"
_BASE: Final = "base"
_TRIVY: Final = "aquasecurity:trivy:"
"by these properties Trivy finds the advisories of a Debian package, which name its source"


def body(inventory: Inventory) -> dict[str, Any]:
    """Return the members of a document that depend on the inventory alone.

    `top` has the references of what the image needs directly.
    """
    packages = {package.ref: _package(package) for package in inventory.packages}
    models = {_model_ref(model): _model(inventory, model) for model in inventory.models}
    outer = _outer(inventory)
    bom = Bom(components=(*outer.values(), *packages.values(), *models.values()))
    for component in (*outer.values(), *models.values()):
        bom.register_dependency(component)
    for package in inventory.packages:
        bom.register_dependency(packages[package.ref], [packages[ref] for ref in package.needs])
        if package.kind != "pypi" and _SYSTEM in outer:
            bom.register_dependency(outer[_SYSTEM], [packages[package.ref]])
    written = json.loads(JsonV1Dot6(bom).output_as_string())
    needed = {ref for package in inventory.packages for ref in package.needs}
    own = [p.ref for p in inventory.packages if p.kind == "pypi" and p.ref not in needed]
    return {
        "components": [
            *_with_cards(written.get("components", ()), inventory),
            *model_card.data_sets(inventory.spec),
        ],
        "dependencies": written.get("dependencies", []),
        "top": sorted([*outer, *models, *own]),
        "compositions": [] if inventory.complete else [
            {"aggregate": "incomplete", "assemblies": [IMAGE_REF]}
        ],
        "unread": [f"/{path}" for path in inventory.unread],
    }  # fmt: skip


def _with_cards(written: list[dict[str, Any]], inventory: Inventory) -> list[dict[str, Any]]:
    cards = {_model_ref(model): model_card.card(inventory, model) for model in inventory.models}
    return [
        {**component, "modelCard": cards[component["bom-ref"]]}
        if component["bom-ref"] in cards else component
        for component in written
    ]  # fmt: skip


def _outer(inventory: Inventory) -> dict[str, Component]:
    """Return the operating system, and the base where it is an image of others."""
    found = {}
    system = inventory.system
    if system.get("ID"):
        found[_SYSTEM] = Component(
            type=ComponentType.OPERATING_SYSTEM, name=system["ID"], bom_ref=_SYSTEM,
            version=system.get("VERSION_ID") or None,
            description=system.get("PRETTY_NAME") or None,
        )  # fmt: skip
    if inventory.base is not None:
        found[_BASE] = _base(inventory.base)
    return found


def _base(base: ImageBase) -> Component:
    repository, tag = purls.repository_and_tag(base.reference)
    return Component(
        type=ComponentType.CONTAINER, name=repository, version=base.digest, bom_ref=_BASE,
        purl=_purl(purls.image(base.digest, repository=repository, tag=tag)),
        hashes=[_sha256(hex_of(base.digest))],
        properties=_properties({f"{PROPERTY}tag": tag}),
    )  # fmt: skip


def _package(package: Package) -> Component:
    properties = {f"{PROPERTY}path": f"/{package.path}" if package.path else ""}
    if package.kind == "apk":
        properties |= {
            f"{_TRIVY}PkgType": package.purl.split("/")[1],
            f"{_TRIVY}SrcName": package.source,
            f"{_TRIVY}SrcVersion": package.source_version,
        }
    if package.kind == "deb":
        epoch, _, rest = package.source_version.rpartition(":")
        upstream, _, revision = rest.rpartition("-")
        properties |= {
            f"{_TRIVY}PkgType": "debian",
            f"{_TRIVY}SrcName": package.source,
            f"{_TRIVY}SrcVersion": upstream or revision,
            f"{_TRIVY}SrcRelease": revision if upstream else "",
            f"{_TRIVY}SrcEpoch": epoch,
        }
    return Component(
        type=ComponentType.LIBRARY, name=package.name, version=package.version,
        bom_ref=package.ref, purl=_purl(package.purl), licenses=_licenses(package.licenses),
        hashes=[_sha256(package.sha256)] if package.sha256 else (),
        properties=_properties(properties),
    )  # fmt: skip


def _model(inventory: Inventory, model: Model) -> Component:
    spec, weights = inventory.spec, model.weights
    ancestor = Component(type=ComponentType.MACHINE_LEARNING_MODEL, name=spec.model.base)
    return Component(
        type=ComponentType.MACHINE_LEARNING_MODEL, name=weights.name, version=spec.model.version,
        bom_ref=_model_ref(model), description=spec.model.description or None,
        licenses=_licenses(Licenses(expression=spec.model.license)),
        pedigree=Pedigree(ancestors=[ancestor]) if spec.model.base else None,
        properties=_properties({
            f"{PROPERTY}path": weights.destination,
            f"{PROPERTY}mounted": str(model.mounted).lower(),
            f"{PROPERTY}source": sources.pinned(weights),
        }),
        components=[
            Component(
                type=ComponentType.FILE, name=f"{weights.destination.rstrip('/')}/{file.path}",
                bom_ref=f"{_model_ref(model)}/{file.path}", hashes=[_sha256(file.sha256)],
                properties=_properties({f"{PROPERTY}size": str(file.size)}),
            )
            for file in weights.files
        ],
    )  # fmt: skip


def _model_ref(model: Model) -> str:
    return f"model/{model.weights.name}"


def _licenses(licenses: Licenses) -> list[License]:
    """Return declared licences as CycloneDX has them: one expression, or identifiers and names."""
    declared = LicenseAcknowledgement.DECLARED
    if licenses.expression and not is_supported_id(licenses.expression):
        return [LicenseExpression(licenses.expression, acknowledgement=declared)]
    stated = [licenses.expression] if licenses.expression else licenses.names
    return [
        DisjunctiveLicense(id=text, acknowledgement=declared) if is_supported_id(text)
        else DisjunctiveLicense(name=text, acknowledgement=declared)
        for text in stated
    ]  # fmt: skip


def _properties(values: dict[str, str]) -> list[Property]:
    return [Property(name=name, value=value) for name, value in values.items() if value]


def _purl(text: str) -> PackageURL:
    return PackageURL.from_string(text)


def _sha256(digits: str) -> HashType:
    return HashType(alg=HashAlgorithm.SHA_256, content=digits)
