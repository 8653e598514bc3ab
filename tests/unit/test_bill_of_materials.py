"""The SBOM in both formats: valid by the official rules, whole, and the same every time."""

import json
import uuid
from dataclasses import replace
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from spdx_tools.spdx.parser.error import SPDXParsingError
from spdx_tools.spdx.parser.jsonlikedict.json_like_dict_parser import JsonLikeDictParser
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

from modelpack.evidence import components, cyclonedx, spdx
from modelpack.evidence.inventory import Inventory, Model, Package
from modelpack.evidence.named_image import NamedImage, of_spec
from modelpack.inputs.licenses import Licenses
from modelpack.lock import BaseLayer, ImageBase
from modelpack.spec import Card, Evaluation, Spec, Training, TrainingData
from modelpack.spec import Model as ModelTable
from tests import values
from tests.described_image import described

SPEC = values.spec(
    model=ModelTable(
        name="digits", version="1.0.0", license="Apache-2.0 OR LicenseRef-acme", task="image",
        description="Handwritten “digits”", architecture="mlp", framework="numpy",
        base="pkg:huggingface/acme/base@4f2a",
    ),
    training=Training(
        run="https://runs.example/1", source="git+https://example.org/train@1",
        data=(
            TrainingData(name="first", version="2", uri="s3://acme/first",
                         digest=values.digest("a")),
            TrainingData(name="first", uri="a place without a scheme"),
        ),
    ),
    card=Card(intended_use="Sorting mail", limitations="Only digits"),
    evaluation=Evaluation(report="evaluation.json", require={"accuracy": ">= 0.9"}),
)  # fmt: skip
LIBC = Package(
    kind="deb", name="libc6", version="2.41-12", sha256=values.sha("1"), source="glibc",
    source_version="2.41-12", licenses=Licenses(names=("MIT", "GPL-2.0-only OR MIT", "odd one")),
    purl="pkg:deb/debian/libc6@2.41-12?arch=amd64&distro=debian-13",
)  # fmt: skip
NUMPY = Package(
    kind="pypi", name="numpy", version="2.4.0", sha256=values.sha("3"),
    purl="pkg:pypi/numpy@2.4.0", licenses=Licenses(expression="BSD-3-Clause AND 0BSD"),
)  # fmt: skip
APP = Package(
    kind="pypi", name="app", version="1", purl="pkg:pypi/app@1", needs=(NUMPY.ref,),
    licenses=Licenses(expression="MIT"),
)  # fmt: skip
SIX = Package(kind="pypi", name="six", version="1", purl="pkg:pypi/six@1", path="opt/six/METADATA")
WEIGHTS = values.weights_lock(
    values.weight_file("config.json", tensors=(), sha256=values.sha("b")),
    values.weight_file(tensors=("BF16 [1000,20] a", "F32 [] b")),
)
INVENTORY = Inventory(
    spec=SPEC, models=(Model(weights=WEIGHTS, mounted=False),),
    system={"ID": "debian", "VERSION_ID": "13", "PRETTY_NAME": "Debian GNU/Linux 13 (trixie)"},
    packages=(LIBC, NUMPY, APP, SIX), metrics={"accuracy": "0.97", "loss.log": "8e-2"},
)  # fmt: skip
IMAGE = NamedImage(
    digest=values.digest("f"), repository="ghcr.io/acme/digits", tag="1.0.0",
    platform=values.AMD64, created=1_700_000_000, properties={"source:revision": "4f2a"},
)  # fmt: skip


VALIDATORS = {
    "1.6": JsonStrictValidator(SchemaVersion.V1_6),
    "1.7": JsonStrictValidator(SchemaVersion.V1_7),
}


def bom(inventory: Inventory = INVENTORY, version: cyclonedx.Version = "1.6") -> dict[str, Any]:
    """Return the CycloneDX document, which must be valid."""
    found = cyclonedx.document(components.body(inventory), IMAGE, version=version)
    assert VALIDATORS[version].validate_str(json.dumps(found)) is None
    return found


def spdx_document(inventory: Inventory = INVENTORY) -> dict[str, Any]:
    """Return the SPDX document, which must be valid."""
    found = spdx.document(inventory, IMAGE)
    parsed = JsonLikeDictParser().parse(json.loads(json.dumps(found)))
    assert [str(m) for m in validate_full_spdx_document(parsed, "SPDX-2.3")] == []
    return found


def by_ref(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {component["bom-ref"]: component for component in document["components"]}


def properties(component: dict[str, Any]) -> dict[str, str]:
    return {item["name"]: item["value"] for item in component.get("properties", ())}


@pytest.mark.parametrize("version", ["1.6", "1.7"])
def test_the_frame_names_the_image(version: cyclonedx.Version) -> None:
    found = bom(version=version)
    assert found["specVersion"] == version
    assert found["serialNumber"] == uuid.uuid5(uuid.NAMESPACE_URL, IMAGE.digest).urn
    assert found["metadata"]["timestamp"] == "2023-11-14T22:13:20Z"
    root = found["metadata"]["component"]
    assert root["type"] == "container"
    assert root["version"] == IMAGE.digest
    assert root["hashes"] == [{"alg": "SHA-256", "content": values.sha("f")}]
    assert root["purl"] == (
        f"pkg:oci/digits@{IMAGE.digest}?arch=amd64&repository_url=ghcr.io/acme/digits&tag=1.0.0"
    )
    assert properties(root) == {"modelpack:source:revision": "4f2a"}


def test_the_same_inventory_gives_the_same_bytes() -> None:
    assert json.dumps(bom()) == json.dumps(bom())
    other = replace(IMAGE, digest=values.digest("e"))
    body = components.body(INVENTORY)
    one, two = (cyclonedx.document(body, image) for image in (IMAGE, other))
    assert one["serialNumber"] != two["serialNumber"]
    assert one["components"] == two["components"]


def test_packages_have_names_hashes_licences_and_sources() -> None:
    found = by_ref(bom())
    libc = found[LIBC.ref]
    assert libc["hashes"] == [{"alg": "SHA-256", "content": values.sha("1")}]
    stated = [item["license"] for item in libc["licenses"]]
    assert [licence.get("id") for licence in stated] == ["MIT", None, None]
    assert [licence.get("name") for licence in stated] == [None, "GPL-2.0-only OR MIT", "odd one"]
    assert properties(libc)["aquasecurity:trivy:SrcName"] == "glibc"
    assert found[NUMPY.ref]["licenses"] == [
        {"expression": "BSD-3-Clause AND 0BSD", "acknowledgement": "declared"}
    ]
    assert found[APP.ref]["licenses"][0]["license"]["id"] == "MIT"
    assert "licenses" not in found[SIX.ref]
    assert properties(found[SIX.ref]) == {"modelpack:path": "/opt/six/METADATA"}
    assert found["os"]["type"] == "operating-system"
    assert (found["os"]["name"], found["os"]["version"]) == ("debian", "13")


def test_the_graph_leads_from_the_image_to_everything() -> None:
    found = bom()
    edges = {item["ref"]: item.get("dependsOn", []) for item in found["dependencies"]}
    assert edges["image"] == ["model/digits", "os", "pkg:pypi/app@1", SIX.ref]
    assert edges["os"] == [LIBC.ref]
    assert edges[APP.ref] == [NUMPY.ref]


def test_the_model_has_a_card_and_its_files() -> None:
    model = by_ref(bom())["model/digits"]
    assert model["type"] == "machine-learning-model"
    assert model["licenses"][0]["expression"] == "Apache-2.0 OR LicenseRef-acme"
    assert model["pedigree"]["ancestors"][0]["name"] == "pkg:huggingface/acme/base@4f2a"
    assert {file["name"]: file["hashes"][0]["content"] for file in model["components"]} == {
        "/models/digits/config.json": values.sha("b"),
        "/models/digits/model.safetensors": values.sha("a"),
    }
    card = model["modelCard"]
    assert card["modelParameters"] == {
        "task": "image", "modelArchitecture": "mlp",
        "datasets": [{"ref": "data/0"}, {"ref": "data/1"}],
    }  # fmt: skip
    assert card["quantitativeAnalysis"]["performanceMetrics"] == [
        {"type": "accuracy", "value": "0.97"}, {"type": "loss.log", "value": "8e-2"},
    ]  # fmt: skip
    assert card["considerations"] == {
        "useCases": ["Sorting mail"], "technicalLimitations": ["Only digits"],
    }  # fmt: skip
    said = properties(card)
    assert said["modelpack:parameters"] == "20001"
    assert said["modelpack:precision:BF16"] == "20000"
    assert said["modelpack:framework"] == "numpy"
    assert said["modelpack:training:run"] == "https://runs.example/1"
    assert said["modelpack:evaluation:require:accuracy"] == ">= 0.9"


def test_training_data_are_components_of_type_data() -> None:
    found = by_ref(bom())
    first, second = found["data/0"], found["data/1"]
    assert first["type"] == "data"
    assert first["hashes"] == [{"alg": "SHA-256", "content": values.sha("a")}]
    assert first["data"][0]["contents"] == {"url": "s3://acme/first"}
    assert "contents" not in second["data"][0]
    assert properties(second)["modelpack:training:uri"] == "a place without a scheme"


def with_base(*, complete: bool) -> Inventory:
    layer = BaseLayer(digest=values.digest("8"), diff_id=values.digest("9"), size=1,
                      media_type="application/vnd.oci.image.layer.v1.tar+gzip")  # fmt: skip
    base = ImageBase(
        reference="docker.io/library/python:3.12-slim", digest=values.digest("b"),
        config=values.digest("c"), layers=(layer,),
    )  # fmt: skip
    return replace(INVENTORY, base=base, complete=complete)


def test_a_base_image_is_a_component_and_what_is_unknown_is_said() -> None:
    found = bom(with_base(complete=False))
    base = by_ref(found)["base"]
    assert (base["type"], base["name"], base["version"]) == (
        "container", "docker.io/library/python", values.digest("b"),
    )  # fmt: skip
    assert found["compositions"] == [{"aggregate": "incomplete", "assemblies": ["image"]}]
    assert "base" in found["dependencies"][0]["dependsOn"]
    assert bom(with_base(complete=True))["compositions"] == []


def test_an_image_of_weights_alone_has_only_those() -> None:
    only = Inventory(spec=SPEC, models=(Model(weights=WEIGHTS, mounted=True),))
    assert {component["type"] for component in bom(only)["components"]} == {
        "machine-learning-model", "data",
    }  # fmt: skip
    assert properties(by_ref(bom(only))["model/digits"])["modelpack:mounted"] == "true"
    spdx_document(only)


def test_spdx_has_the_same_packages() -> None:
    found = spdx_document()
    named = {package["name"]: package for package in found["packages"]}
    assert {"ghcr.io/acme/digits", "debian", "libc6", "numpy", "app", "six", "digits",
            "model.safetensors", "config.json", "first"} == set(named)  # fmt: skip
    libc = named["libc6"]
    assert libc["externalRefs"][0]["referenceLocator"] == LIBC.purl
    assert libc["sourceInfo"] == "built package from: glibc 2.41-12"
    ref = libc["licenseDeclared"].rpartition(" ")[2]
    assert libc["licenseDeclared"] == f"MIT AND (GPL-2.0-only OR MIT) AND {ref}"
    words = {item["licenseId"]: item["name"] for item in found["hasExtractedLicensingInfos"]}
    assert words == {ref: "odd one", "LicenseRef-acme": "LicenseRef-acme"}
    assert named["model.safetensors"]["checksums"][0]["checksumValue"] == values.sha("a")
    edges = {(item["relationshipType"]) for item in found["relationships"]}
    assert edges == {"DESCRIBES", "CONTAINS", "DEPENDS_ON", "GENERATED_FROM"}
    assert json.dumps(found) == json.dumps(spdx_document())
    spdx_document(with_base(complete=False))


def test_the_name_of_an_image_follows_from_spec_and_plan() -> None:
    built = described()
    named = of_spec(built.spec, values.digest("f"), plan=built.plan, source=built.source)
    assert (named.repository, named.tag, named.platform) == ("digits", "1.0.0", values.AMD64)
    assert named.properties["plan"] == built.plan.digest
    assert named.properties["source:revision"] == built.source.revision
    weights = of_spec(built.spec, values.digest("f"), plan=built.plan, source=None)
    assert (weights.tag, weights.platform) == ("1.0.0-weights", None)
    assert "source:revision" not in weights.properties


def test_a_spec_that_says_nothing_gives_a_valid_document() -> None:
    silent: Spec = values.spec(model=ModelTable(name="a", version="1"))
    inventory = Inventory(
        spec=silent, models=(Model(weights=values.weights_lock(), mounted=False),)
    )
    assert "considerations" not in by_ref(bom(inventory))["model/digits"]["modelCard"]
    spdx_document(inventory)


def test_what_validates_can_say_no() -> None:
    wrong = {**bom(), "extra": 1}
    assert VALIDATORS["1.6"].validate_str(json.dumps(wrong)) is not None
    with pytest.raises(SPDXParsingError):
        spdx_document(
            replace(INVENTORY, packages=(replace(NUMPY, licenses=Licenses(expression="?")),))
        )
