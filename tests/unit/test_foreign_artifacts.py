"""Model artifacts of other tools: what is read of them, what is refused, and how little is read."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from images import layer

from modelpack.digest import hex_of
from modelpack.errors import ModelpackError
from modelpack.inputs.model_artifact import files
from modelpack.inputs.model_artifact.artifact import ModelArtifact, is_artifact, parse
from modelpack.inputs.model_artifact.files import Contents
from modelpack.inspection.artifacts import with_contents
from modelpack.inspection.describing import describe
from modelpack.inspection.reading import read
from modelpack.inspection.value import Inspection
from modelpack.oci.layer import Descriptor
from modelpack.oci.manifest import Manifest
from modelpack.oci.manifest import parse as parse_manifest
from modelpack.oci.tar import Entry, bytes_of, directory
from tests.far_artifacts import CNCF, KIT, FarShelf, cncf, entry, made, tar
from tests.projects import safetensors

WEIGHT = safetensors({"a": bytes(100), "b": bytes(28)})


def inspected(shelf: FarShelf, root: Descriptor) -> Inspection:
    return describe(with_contents(shelf, read(shelf, root)))


def found(shelf: FarShelf, *layers: Mapping[str, Any]) -> Contents:
    return files.contents(shelf, artifact_of(shelf, *layers))


def artifact_of(shelf: FarShelf, *layers: Mapping[str, Any]) -> ModelArtifact:
    root = made(shelf, layers, cncf(*layers))
    documents = read(shelf, root)
    assert documents.artifact is not None
    return documents.artifact


def test_a_raw_layer_is_its_file_and_has_its_digest() -> None:
    shelf = FarShelf()
    weight = entry(shelf.add(WEIGHT, f"{CNCF}weight.v1.raw"), "sub/model.safetensors")
    root = made(shelf, [weight], cncf(weight, licenses=["MIT", "BSD-3-Clause"]))
    shown = inspected(shelf, root)
    assert shown.artifact is not None
    assert shown.artifact.kind == "modelpack"
    assert (shown.model.name, shown.model.license) == ("theirs", "MIT, BSD-3-Clause")
    (file,) = shown.weights
    assert file.path == "sub/model.safetensors"
    assert file.sha256 == hex_of(weight["digest"])
    assert (file.size, file.tensors, file.parameters) == (len(WEIGHT), 2, 128)
    assert shown.findings == shown.unknown == ()


def test_of_a_tar_far_away_only_headers_are_fetched() -> None:
    shelf = FarShelf()
    large = safetensors({"w": bytes(4 << 20)})
    data = tar(
        directory("weights"), Entry(path="weights/config.json", content=b"{}"),
        Entry(path="weights/model-1.safetensors", content=large),
        Entry(path="weights/model-2.safetensors", content=WEIGHT),
    )  # fmt: skip
    weight = entry(shelf.add(data, f"{CNCF}weight.v1.tar"), "weights")
    root = made(shelf, [weight], cncf(weight))
    shown = inspected(shelf, root)
    assert [(file.path, file.size, file.parameters) for file in shown.weights] == [
        ("weights/config.json", 2, None),
        ("weights/model-1.safetensors", len(large), 4 << 20),
        ("weights/model-2.safetensors", len(WEIGHT), 128),
    ]
    assert shown.weight_sets[0].parameters == (4 << 20) + 128
    assert shelf.fetched < len(data) // 8
    assert any("single files" in sentence for sentence in shown.unknown)


def test_a_kitfile_names_paths_where_layers_do_not() -> None:
    shelf = FarShelf()
    weight = shelf.add(tar(Entry(path="m.safetensors", content=WEIGHT)), f"{KIT}model.v1.tar")
    docs = shelf.add(tar(Entry(path="README.md", content=b"#")), f"{KIT}docs.v1.tar")
    kitfile = {
        "manifestVersion": "1.0.0",
        "package": {"name": "kit", "version": "1", "license": "MIT", "authors": ["me"]},
        "model": {"path": "m.safetensors", "framework": "torch", "license": "Apache-2.0",
                  "digest": weight["digest"], "diffId": weight["digest"]},
        "docs": [{"path": "README.md", "digest": docs["digest"]}],
    }  # fmt: skip
    shown = inspected(shelf, made(shelf, [weight, docs], kitfile, f"{KIT}config.v1+json"))
    assert shown.artifact is not None
    assert (shown.artifact.kind, shown.artifact.authors) == ("kitops", ("me",))
    assert (shown.model.license, shown.model.framework) == ("MIT, Apache-2.0", "torch")
    assert [item.content for item in shown.layers] == ["m.safetensors", "README.md"]
    assert [file.path for file in shown.weights] == ["m.safetensors"]
    assert shown.findings == ()


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ((Entry(path="../up.bin", content=b"x"),), "path"),
        ((Entry(path="a", kind="symlink", target="/etc"),), "neither a file nor a folder"),
        ((Entry(path="a/\x1b[2J", content=b"x"),), "control character"),
    ],
)
def test_hostile_layers_are_said_and_not_shown(entries: tuple[Entry, ...], words: str) -> None:
    shelf = FarShelf()
    layer = entry(shelf.add(tar(*entries), f"{CNCF}weight.v1.tar"), "w")
    contents = found(shelf, layer)
    assert contents.files == ()
    assert words in contents.unknown[0]


def test_hostile_paths_of_raw_layers() -> None:
    for path in ("/etc/passwd", "../x", "", "a/../../b", "."):
        shelf = FarShelf()
        contents = found(shelf, entry(shelf.add(b"x", f"{CNCF}weight.v1.raw"), path))
        assert contents.files == (), path
        assert contents.unknown


def test_what_cannot_be_read_is_said() -> None:
    shelf = FarShelf()
    packed = entry(shelf.add(b"\x1f\x8bxx", f"{CNCF}weight.v1.tar+gzip"), "w")
    cut = entry(shelf.add(tar(Entry(path="a", content=bytes(9000)))[:2000],
                          f"{CNCF}weight.v1.tar"), "cut")  # fmt: skip
    bad = entry(shelf.add(b"\xff" * 100, f"{CNCF}weight.v1.raw"), "bad.safetensors")
    other = entry(shelf.add(b"code", f"{CNCF}code.v1.raw"), "x.py")
    contents = found(shelf, packed, cut, bad, other)
    assert [file.path for file in contents.files] == ["bad.safetensors"]
    assert [sentence.rpartition(": ")[2] for sentence in contents.unknown[:2]] == [
        "it is compressed", "the archive is cut off",
    ]  # fmt: skip
    assert "which tensors `bad.safetensors` holds" in contents.unknown[2]


def test_what_does_not_add_up() -> None:
    shelf = FarShelf()
    weight = entry(shelf.add(WEIGHT, f"{CNCF}weight.v1.raw"), "m.safetensors")
    config = cncf(weight)
    config["modelfs"]["diffIds"] = ["sha256:" + "0" * 64]
    foreign = layer(("a", b"b")).blob
    odd = shelf.add(bytes_of(foreign.origin.pieces[0]), foreign.descriptor.media_type)  # type: ignore[union-attr]
    shown = inspected(shelf, made(shelf, [weight], config))
    assert "its diffId is" in shown.findings[0]
    shown = inspected(shelf, made(shelf, [weight, odd], cncf(weight)))
    assert any("of a kind that models have not" in text for text in shown.findings)
    assert any("2 layers, the configuration 1 diffIds" in text for text in shown.findings)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["descriptor", "config", "modelfs", "diffIds", "name", "licenses", "model",
                         "parts", "digest", "path", "package", "docs", "authors"]),
        inner, max_size=5,
    ),
    max_leaves=20,
)  # fmt: skip


@given(value=JSON, kit=st.booleans())
def test_a_configuration_of_any_shape_is_read_or_refused(value: object, kit: bool) -> None:
    shelf = FarShelf()
    weight = entry(shelf.add(WEIGHT, f"{CNCF}weight.v1.raw"), "m.safetensors")
    media_type = f"{KIT if kit else CNCF}config.v1+json"
    root = made(shelf, [weight], cncf(weight), media_type)
    manifest: Manifest = parse_manifest(shelf.read(root))
    assert is_artifact(manifest)
    try:
        artifact = parse(manifest, json.dumps(value).encode(), at="config")
    except ModelpackError:
        assert not isinstance(value, dict)
    else:
        assert len(artifact.layers) == 1
