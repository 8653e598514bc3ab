"""The model artifact of an image: which layers it has, what it says, and what is left out."""

import json
from dataclasses import replace
from typing import Any

import pytest
from described_image import BUNDLE, LARGE, Described, described

from modelpack.digest import Digest
from modelpack.digest import of as digest_of
from modelpack.errors import InputError
from modelpack.inputs.model_artifact.media_types import LayerType, kind_of, layer_type
from modelpack.oci.blobs import content_of
from modelpack.oci.layer import TAR, TAR_GZIP, Absent, Descriptor
from modelpack.source import CodeFile
from modelpack.spec import TrainingData
from modelpack.views.model_artifact import (
    ImageLayer,
    ModelArtifact,
    Told,
    missing,
    of_image,
    param_size,
    precision,
)

IMAGE = digest_of(b"an image")


def told(made: Described) -> Told:
    layers = tuple(
        ImageLayer(
            descriptor=layer.blob.descriptor, diff_id=layer.diff_id,
            kind=layer.created_by.removeprefix("modelpack ").partition(" ")[0],
        )
        for layer in made.image().layers
    )  # fmt: skip
    return Told(spec=made.spec, lock=made.lock, source=made.source, layers=layers)


def read(artifact: ModelArtifact) -> tuple[Any, Any]:
    return json.loads(content_of(artifact.manifest)), json.loads(content_of(artifact.config))


def test_the_artifact_has_the_layers_of_the_image_and_says_what_they_are() -> None:
    image = described()
    manifest, config = read(of_image(told(image), [IMAGE]))
    assert manifest["artifactType"] == "application/vnd.cncf.model.manifest.v1+json"
    assert manifest["config"]["mediaType"] == "application/vnd.cncf.model.config.v1+json"
    assert manifest["annotations"] == {"dev.modelpack.image.digest": IMAGE}
    several, _ = read(of_image(told(image), [IMAGE, LARGE]))
    assert several["annotations"] == {"dev.modelpack.image.digest": f"{IMAGE},{LARGE}"}
    assert several["layers"] == manifest["layers"]
    large, bundle, code, meta = manifest["layers"]
    assert [large["digest"], bundle["digest"]] == [LARGE, BUNDLE]
    assert [layer["mediaType"].removeprefix("application/vnd.cncf.model.")
            for layer in manifest["layers"]] == [
        "weight.v1.tar", "weight.v1.tar", "code.v1.tar", "doc.v1.tar",
    ]  # fmt: skip
    name = "model-00001-of-00002.safetensors"
    assert large["annotations"]["org.cncf.model.filepath"] == f"models/digits/{name}"
    said = json.loads(large["annotations"]["org.cncf.model.file.metadata+json"])
    assert said == {"name": name, "mode": 0o644, "uid": 0, "gid": 0, "size": 64_000_000,
                    "mtime": "1970-01-01T00:00:00Z", "typeflag": 48}  # fmt: skip
    assert bundle["annotations"] == {"org.cncf.model.filepath": "models/digits"}
    assert code["annotations"] == {"org.cncf.model.filepath": "app"}
    assert meta["annotations"] == {"org.cncf.model.filepath": "usr/share/modelpack"}
    assert config["modelfs"] == {
        "type": "layers", "diffIds": [layer["digest"] for layer in manifest["layers"]],
    }  # fmt: skip
    assert config["config"]["format"] == "safetensors"
    assert config["config"]["paramSize"] == "20k"
    assert config["config"]["precision"] == "bfloat16,int64,float32"


def test_the_author_is_quoted_and_nothing_is_made_up() -> None:
    image = described()
    _, config = read(of_image(told(image), [IMAGE]))
    said = config["descriptor"]
    assert (said["name"], said["version"]) == (image.spec.model.name, image.spec.model.version)
    assert "" not in said.values()
    assert [] not in said.values()
    model = replace(image.spec.model, license="Apache-2.0 OR MIT", architecture="bert")
    data = (TrainingData(name="s2orc", uri="s3://a/b"), TrainingData(name="without"))
    training = replace(image.spec.training, source="git+https://a.example/train@1", data=data)
    spec = replace(image.spec, model=model, training=training)
    _, config = read(of_image(told(replace(image, spec=spec)), [IMAGE]))
    said = config["descriptor"]
    assert said["licenses"] == ["Apache-2.0 OR MIT"]
    assert said["family"] == config["config"]["architecture"] == "bert"
    assert said["sourceURL"] == "git+https://a.example/train@1"
    assert said["datasetsURL"] == ["s3://a/b"]


def test_a_tree_with_changes_is_not_its_revision() -> None:
    image = described()
    for dirty, stated in ((True, False), (False, True), (None, True)):
        source = replace(image.source, revision="4f2a", dirty=dirty)
        _, config = read(of_image(told(replace(image, source=source)), [IMAGE]))
        assert ("revision" in config["descriptor"]) is stated


def test_code_with_links_stays_outside() -> None:
    image = described()
    link = CodeFile(path="latest.py", size=0, sha256="", executable=False, link="service.py")
    source = replace(image.source, files=(*image.source.files, link))
    artifact = of_image(told(replace(image, source=source)), [IMAGE])
    manifest, config = read(artifact)
    assert "latest.py" in artifact.left_out[0]
    assert not any("code" in layer["mediaType"] for layer in manifest["layers"])
    assert len(config["modelfs"]["diffIds"]) == len(manifest["layers"])


def test_a_layer_compressed_by_others_keeps_its_diff_id() -> None:
    found = told(described())
    packed = Descriptor(media_type=TAR_GZIP, digest=digest_of(b"compressed"), size=10)
    layers = tuple(
        replace(layer, descriptor=packed) if layer.diff_id == LARGE else layer
        for layer in found.layers
    )
    manifest, config = read(of_image(replace(found, layers=layers), [IMAGE]))
    assert manifest["layers"][0]["mediaType"].endswith("weight.v1.tar+gzip")
    assert manifest["layers"][0]["digest"] == packed.digest
    assert config["modelfs"]["diffIds"][0] == LARGE
    odd = replace(packed, media_type="application/x-odd")
    layers = (replace(layers[2], descriptor=odd), *layers[3:])
    with pytest.raises(InputError, match="not a tar"):
        of_image(replace(found, layers=layers), [IMAGE])


def test_a_lost_weight_layer_is_named() -> None:
    found = told(described())
    assert missing(found) == ()
    rest = tuple(layer for layer in found.layers if layer.diff_id != LARGE)
    assert missing(replace(found, layers=rest)) == (LARGE,)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, ""), (-1, ""), (1, "0.1k"), (748, "0.7k"), (999, "1k"), (22_713_216, "22.7m"),
        (100_000_000, "100m"), (999_960_000, "1b"), (7_241_732_096, "7.2b"), (10**12, "1t"),
        (3 * 10**15, "3q"),
    ],
)  # fmt: skip
def test_numbers_of_parameters_as_the_specification_writes_them(count: int, text: str) -> None:
    assert param_size(count) == text


def test_precisions_by_weight() -> None:
    assert precision({"F32": 5, "BF16": 100, "F4": 1}) == ("bfloat16", "float32", "f4")
    assert precision({}) == ()


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("a/model.SafeTensors", "weight"), ("q4.gguf", "weight"), ("config.json", "weight.config"),
        ("tokenizer.json", "weight.config"), ("vocab.txt", "weight.config"), ("README.md", "doc"),
        ("LICENSE", "doc"), ("notes.txt", "doc"), ("tokenizer.model", "weight.config"),
        ("model.safetensors.index.json", "weight.config"),
    ],
)  # fmt: skip
def test_which_files_are_weights(path: str, kind: str) -> None:
    assert kind_of(path) == kind


def test_media_types_are_read_as_they_are_written() -> None:
    for text in (
        "application/vnd.cncf.model.weight.v1.raw", "application/vnd.cncf.model.weight.v1.tar",
        "application/vnd.cncf.model.weight.config.v1.tar+gzip",
        "application/vnd.cncf.model.dataset.v1.tar+zstd",
    ):  # fmt: skip
        assert str(layer_type(text)) == text
    kit = layer_type("application/vnd.kitops.modelkit.modelpart.v1.tar+gzip")
    assert kit == LayerType(kind="weight.config", form="tar", compression="gzip")
    other = layer_type("application/vnd.kitops.modelkit.mcpb.v1.raw")
    assert other == LayerType(kind="other", form="raw")
    for text in (TAR, "application/vnd.cncf.model.weight.v2.tar", ""):
        assert layer_type(text) is None


def test_absent_weights_are_no_hindrance() -> None:
    image = described()
    assert isinstance(image.weights[0].blob.origin, Absent)
    assert Digest(of_image(told(image), [IMAGE]).manifest.digest)
