"""What an inspection reads, what it makes of it, and what it finds that does not add up."""

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from modelpack import canonical_json, metadata
from modelpack.errors import InputError
from modelpack.inspection import reading
from modelpack.inspection.describing import describe
from modelpack.inspection.reading import read
from modelpack.inspection.value import Inspection
from modelpack.lock import ImageBase
from modelpack.lock import encoding as lock_encoding
from modelpack.oci.image import Image, Index
from modelpack.oci.layer import (
    CONFIG,
    INDEX,
    MANIFEST,
    TAR_GZIP,
    Absent,
    Blob,
    Descriptor,
    Layer,
    Pieces,
    blob_of,
)
from modelpack.platform import Platform
from modelpack.spec import Training, TrainingData, Weights
from tests import values
from tests.described_image import BUNDLE, LARGE, WEIGHTS, Shelf, described, meta, said, shelf_of
from tests.images import layer


def inspect(image: Image) -> Inspection:
    """Return the inspection of an image of which only three documents are there."""
    return describe(read(shelf_of(image), image.manifest_blob.descriptor))


def with_config(image: Image, change: Callable[[dict[str, Any]], object]) -> Inspection:
    """Return the inspection of `image` after `change` of its whole configuration."""
    value = json.loads(bytes_of(image.config_blob))
    change(value)
    return from_documents(image, canonical_json.dumps(value))


def from_documents(
    image: Image, config: bytes, *, layers: list[dict[str, Any]] | None = None, media: str = CONFIG
) -> Inspection:
    """Return the inspection of the layers of `image` below another configuration."""
    manifest = json.loads(bytes_of(image.manifest_blob))
    manifest["config"] = blob_of(config, media).descriptor.as_json()
    if layers is not None:
        manifest["layers"] = layers
    root = blob_of(canonical_json.dumps(manifest), MANIFEST)
    shelf = Shelf(bytes_of(root), config, bytes_of(image.layers[-1].blob))
    return describe(read(shelf, root.descriptor))


def bytes_of(blob: Blob) -> bytes:
    """Return the content of a blob in memory."""
    assert isinstance(blob.origin, Pieces)
    return b"".join(piece for piece in blob.origin.pieces if isinstance(piece, bytes))


def foreign(**config: Any) -> Image:
    """Return an image that another tool made."""
    made = described().image()
    layers = tuple(
        replace(layer((f"file{n}", b"x")), created_by=text)
        for n, text in enumerate(("/bin/sh -c #(nop) ADD file:1 in / ", "RUN make"))
    )
    return replace(made, layers=layers, config={"User": "app", "Cmd": ["serve"], **config})


def test_everything_agrees_in_an_image_of_ours() -> None:
    inspection = inspect(described().image())

    assert inspection.findings == ()
    assert inspection.unknown == ()
    assert inspection.verified is False


def test_manifest_configuration_and_meta_layer_are_all_that_is_read() -> None:
    image = described().image()
    shelf = shelf_of(image)

    documents = read(shelf, image.manifest_blob.descriptor)

    assert shelf.was_read == [image.digest, image.config_blob.digest, image.layers[-1].blob.digest]
    assert documents.meta is not None
    assert isinstance(image.layers[2].blob.origin, Absent)


def test_a_foreign_image_is_known_without_any_layer() -> None:
    image = foreign()
    shelf = Shelf(bytes_of(image.manifest_blob), bytes_of(image.config_blob))

    inspection = describe(read(shelf, image.manifest_blob.descriptor))

    assert shelf.was_read == [image.digest, image.config_blob.digest]
    assert [item.content for item in inspection.layers] == ["ADD file:1 in / ", "RUN make"]
    assert inspection.config.command == ("serve",)
    assert inspection.weights == ()
    said_unknown = " ".join(inspection.unknown)
    for word in ("model and weights", "Debian and Python packages", "source files", "revision"):
        assert word in said_unknown
    assert "whether user `app` is root" in said_unknown


def test_weights_are_counted_by_file_and_in_total() -> None:
    inspection = inspect(described().image())

    config, first, second = inspection.weights
    assert (config.path, config.tensors, config.parameters) == (
        "/models/digits/config.json", None, None,
    )  # fmt: skip
    assert (first.tensors, first.parameters) == (3, 20_008)
    assert first.dtypes == {"BF16": 20_007, "F32": 1}
    assert second.dtypes == {"I64": 6}
    total = inspection.weight_sets[0]
    assert (total.files, total.tensors, total.parameters) == (3, 4, 20_014)
    assert total.dtypes == {"BF16": 20_007, "F32": 1, "I64": 6}
    assert total.mode == "bake"


@pytest.mark.parametrize(
    "tensor", ["nonsense", f"F32 [{10**18},{10**18}] w", "F32 [1,] w", "F32 [-1] w", "F32 [1,,2] w"]
)
def test_tensors_that_make_no_sense_are_not_counted(tensor: str) -> None:
    files = (*WEIGHTS[:2], values.weight_file("odd.safetensors", tensors=(tensor,)))

    odd = inspect(described(*files).image()).weights[-1]

    assert (odd.tensors, odd.parameters, odd.dtypes) == (1, None, {})


def test_packages_are_listed_with_their_package_urls() -> None:
    inspection = inspect(described().image())

    assert [(p.type, p.purl) for p in inspection.packages] == [
        ("deb", "pkg:deb/debian/libc6@2.41-12?arch=amd64&distro=debian-13"),
        ("wheel", "pkg:pypi/numpy@2.4.0"),
    ]


def test_layers_tell_what_they_hold() -> None:
    layers = inspect(described().image()).layers

    assert [(item.kind, item.content) for item in layers] == [
        ("base", "debian:13, 1 package"),
        ("dependencies", "1 wheel"),
        ("weights", "model-00001-of-00002.safetensors"),
        ("weights", "config.json, model-00002-of-00002.safetensors"),
        ("code", "1 file at /app"),
        ("meta", "/usr/share/modelpack"),
    ]
    assert [item.diff_id for item in layers[2:4]] == [LARGE, BUNDLE]


def test_training_data_model_and_source_are_claims_of_labels() -> None:
    data = TrainingData(name="s2orc", version="2021-08", uri="s3://a/b", digest="sha256:1")
    spec = values.spec(training=Training(run="https://mlflow/1", source="git+x", data=(data,)))

    inspection = inspect(described(spec=spec).image())

    assert inspection.findings == ()
    assert inspection.training.run == "https://mlflow/1"
    assert [(d.name, d.version, d.uri) for d in inspection.training.data] == [
        ("s2orc", "2021-08", "s3://a/b")
    ]
    assert (inspection.model.name, inspection.model.version) == ("digits", "1.0.0")
    assert inspection.source.revision == "4f2a" * 10
    assert inspection.source.dirty is False
    assert inspection.source.files == 1


@pytest.mark.parametrize(
    ("label", "value", "finding"),
    [
        ("dev.modelpack.lock.digest", "sha256:0", "label `dev.modelpack.lock.digest` says"),
        ("dev.modelpack.weights.digest", "sha256:0", "label `dev.modelpack.weights.digest` says"),
        ("dev.modelpack.plan.digest", "sha256:0", "label `dev.modelpack.plan.digest` says"),
        ("dev.modelpack.model.name", "other", "label `dev.modelpack.model.name` says `other`"),
        ("org.opencontainers.image.revision", "beef", "image.revision` says `beef`"),
        ("dev.modelpack.source.dirty", "true", "source.dirty` says `true`"),
        ("org.acme.vetted", "yes", "`org.acme.vetted` is not one that the image was built with"),
    ],
)
def test_a_label_that_was_changed_is_found(label: str, value: str, finding: str) -> None:
    inspection = with_config(
        described().image(), lambda config: config["config"]["Labels"].update({label: value})
    )

    assert len(inspection.findings) == 1
    assert finding in inspection.findings[0]


def test_a_label_that_was_removed_is_found() -> None:
    inspection = with_config(
        described().image(), lambda c: c["config"]["Labels"].pop("dev.modelpack.source.digest")
    )

    assert "there is no label `dev.modelpack.source.digest`" in inspection.findings[0]


def test_labels_of_the_spec_do_not_hide_that_the_lock_is_another() -> None:
    spec = values.spec()
    lying = {"dev.modelpack.lock.digest": "sha256:" + "0" * 64}
    spec = replace(spec, image=replace(spec.image, labels=lying))

    findings = inspect(described(spec=spec).image()).findings

    assert any("`dev.modelpack.lock.digest` says" in finding for finding in findings)


@pytest.mark.parametrize(
    ("key", "value", "finding"),
    [
        ("User", "0", "the container runs as root"),
        ("User", "", "the container runs as root: the configuration names nobody"),
        ("User", "000:7", "the container runs as root"),
        ("Env", ["PATH=/evil"], "`Env` in the configuration is"),
        ("Entrypoint", ["/bin/sh"], "`Entrypoint` in the configuration is"),
        ("Cmd", None, "`Cmd` in the configuration is not set"),
        ("OnBuild", ["RUN x"], "`OnBuild` in the configuration is"),
        ("user", "0", "a key `user`, which an engine may take for `User`"),
        ("Env", "PATH=/", "`Env` in the configuration is not of the type"),
    ],
)
def test_a_changed_start_is_found(key: str, value: object, finding: str) -> None:
    inspection = with_config(
        described().image(), lambda config: config["config"].update({key: value})
    )

    assert any(finding in found for found in inspection.findings)


@pytest.mark.parametrize("value", [None, "", [], {}])
def test_members_that_engines_add_and_say_nothing_are_no_contradiction(value: object) -> None:
    inspection = with_config(
        described().image(), lambda config: config["config"].update({"OnBuild": value})
    )

    assert inspection.findings == ()


def test_a_foreign_image_without_user_runs_as_root() -> None:
    findings = inspect(foreign(User="")).findings

    assert findings == ("the container runs as root: the configuration names nobody as user",)


def test_counts_of_layers_that_differ_are_found() -> None:
    inspection = with_config(described().image(), lambda config: config["rootfs"]["diff_ids"].pop())

    assert "the manifest has 6 layers, the configuration 5 diff_ids" in inspection.findings
    assert "the history has 6 layers, the configuration 5 diff_ids" in inspection.findings
    assert all(item.diff_id == "" for item in inspection.layers)


def test_an_uncompressed_layer_has_the_diff_id_of_its_digest() -> None:
    def change(config: dict[str, Any]) -> None:
        config["rootfs"]["diff_ids"][0] = values.digest("9")

    findings = with_config(described().image(), change).findings

    assert any("is not compressed, but its diff_id is" in finding for finding in findings)


def test_layers_on_top_of_the_meta_layer_are_not_described() -> None:
    image = described().image()
    patched = replace(image, layers=(*image.layers, said(layer(("x", b"")), "patch")))
    last = image.layers[-1].blob
    shelf = Shelf(bytes_of(patched.manifest_blob), bytes_of(patched.config_blob), bytes_of(last))

    findings = describe(read(shelf, patched.manifest_blob.descriptor)).findings

    assert "1 layers follow the one that describes the image: what they hold is not described" in (
        findings
    )
    assert "lock.json gives an image of 6 layers, this one has 7" in findings


def test_a_weight_layer_that_is_not_there_is_found() -> None:
    image = described().image()
    without = replace(image, layers=(*image.layers[:2], *image.layers[3:]))

    findings = inspect(without).findings

    where = "`/models/digits/model-00001-of-00002.safetensors`"
    assert f"lock.json names a layer for {where} that the image does not have" in findings


MOUNTED = values.spec(
    weights=(Weights(name="digits", path="w", destination="/models/digits", mode="mount"),)
)


def test_mounted_weights_have_no_layer_in_the_image() -> None:
    made = described(spec=MOUNTED)
    image = made.image()

    inspection = inspect(image)

    assert len(image.layers) == len(described().image().layers) - 2
    assert inspection.findings == ()
    assert inspection.weight_sets[0].mode == "mount"


def test_the_image_that_serves_names_the_weights_image() -> None:
    made = described(spec=MOUNTED)

    inspection = inspect(made.image())

    assert inspection.claims.weights_image == made.weights_image.digest
    assert inspection.claims.role == ""


def test_a_label_of_another_weights_image_is_found() -> None:
    image = described(spec=MOUNTED).image()

    def change(value: dict[str, Any]) -> None:
        value["config"]["Labels"]["dev.modelpack.weights.image"] = values.digest("0")

    (finding,) = with_config(image, change).findings
    assert "label `dev.modelpack.weights.image` says" in finding


def test_a_weights_image_tells_its_weights_and_that_it_starts_nothing() -> None:
    made = described(spec=MOUNTED)
    image = made.weights_image

    inspection = inspect(image)

    assert inspection.findings == inspection.unknown == ()
    assert (inspection.claims.role, inspection.claims.weights) == (
        "weights", made.lock.weights[0].digest,
    )  # fmt: skip
    assert (inspection.model.name, inspection.model.version) == ("digits", "1.0.0")
    (claimed,) = inspection.weight_sets
    assert (claimed.mode, claimed.destination, claimed.digest) == (
        "mount", "/models/digits", made.lock.weights[0].digest,
    )  # fmt: skip
    assert [(file.path, file.size, file.sha256) for file in inspection.weights] == [
        (f"/models/digits/{file.path}", file.size, file.sha256) for file in WEIGHTS
    ]
    assert [(layer.kind, layer.content) for layer in inspection.layers] == [
        ("weights", "model-00001-of-00002.safetensors"),
        ("weights", "config.json, model-00002-of-00002.safetensors"),
        ("nameplate", ".modelpack.json"),
    ]
    assert inspection.packages == ()


def test_a_weights_image_that_starts_something_is_found() -> None:
    def change(value: dict[str, Any]) -> None:
        value["config"]["Entrypoint"] = ["/bin/sh"]

    findings = with_config(described(spec=MOUNTED).weights_image, change).findings
    assert findings == ("a weights image starts nothing, but the configuration names a command",)


@pytest.mark.parametrize("label", ["model.name", "model.version", "weights.digest"])
def test_a_label_that_is_not_what_the_nameplate_says_is_found(label: str) -> None:
    def change(value: dict[str, Any]) -> None:
        value["config"]["Labels"][f"dev.modelpack.{label}"] = "x"

    (finding,) = with_config(described(spec=MOUNTED).weights_image, change).findings
    assert f"label `dev.modelpack.{label}` says `x`; the nameplate says" in finding


def plated(change: Callable[[dict[str, Any]], object]) -> Inspection:
    """Return the inspection of a weights image after `change` of its nameplate."""
    made = described(spec=MOUNTED)
    value = json.loads(metadata.nameplate(made.spec, made.lock.weights[0]))
    change(value)
    file = ("models/digits/.modelpack.json", canonical_json.dumps(value))
    image = made.weights_image
    return inspect(replace(image, layers=(*image.layers[:-1], said(layer(file), "nameplate"))))


def test_a_nameplate_that_is_not_of_these_layers_is_found() -> None:
    def change(value: dict[str, Any]) -> None:
        value["bundle"] = values.digest("0")
        value["files"][1]["sha256"] = values.sha("0")

    findings = plated(change).findings
    assert findings[0] == "the digest of weights `digits` is not the one of their files"
    assert all("does not have the layer that its nameplate names for" in f for f in findings[1:])
    assert len(findings) == 3


def test_a_file_more_on_the_nameplate_is_found() -> None:
    def change(value: dict[str, Any]) -> None:
        large = {"path": "x", "size": 64_000_000, "sha256": "0", "layer": LARGE}
        value["files"].append(large)

    assert "the nameplates give an image of 4 layers, this one has 3" in plated(change).findings


@pytest.mark.parametrize("change", [
    lambda value: value.update(schema=2),
    lambda value: value.pop("model"),
    lambda value: value.update(digest="x"),
    lambda value: value["files"][0].update(size=-1),
    lambda value: value["files"][0].update(size=1 << 63),
    lambda value: value["files"].append("x"),
])  # fmt: skip
def test_a_damaged_nameplate_is_unknown_and_no_crash(
    change: Callable[[dict[str, Any]], object],
) -> None:
    inspection = plated(change)
    (sentence,) = inspection.unknown
    assert "beside `models/digits/.modelpack.json` cannot be known" in sentence
    assert inspection.weights == ()


def test_a_nameplate_layer_that_cannot_be_read_is_unknown() -> None:
    image = described(spec=MOUNTED).weights_image
    junk = replace(image.layers[-1], blob=blob_of(b"no tar", TAR_GZIP))
    inspection = inspect(replace(image, layers=(*image.layers[:-1], junk)))
    assert any("which weights it holds cannot be known" in item for item in inspection.unknown)


def test_another_guard_than_the_locked_one_is_found() -> None:
    made = described()

    findings = inspect(made.image(files={**made.files, "guard.py": b"pass"})).findings

    assert findings == ("`guard.py` in the image is not the one that lock.json names",)


def test_weights_that_the_guard_would_not_check_are_found() -> None:
    made = described()
    weak = json.loads(made.files["weights.json"])
    weak["weights"][0]["files"].pop()

    findings = inspect(
        made.image(files={**made.files, "weights.json": canonical_json.dumps(weak)})
    ).findings

    assert findings == (
        "what the guard checks (weights.json) is not what spec.json and lock.json give",
    )


def test_a_digest_that_is_not_the_one_of_its_files_is_found() -> None:
    made = described()
    weights = replace(made.lock.weights[0], digest=values.digest("d"))
    source = replace(made.source, digest=values.digest("c"))

    findings = inspect(
        described(lock=replace(made.lock, weights=(weights,)), source=source).image()
    ).findings

    assert findings == (
        "the digest of weights `digits` is not the one of their files",
        "the digest of the source is not the one of the files in source.json",
    )


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("lock.json", b"{}"),
        ("lock.json", b"\xff"),
        ("lock.json", b"[" * 100_000),
        ("lock.json", b'{"version": 1, "format": 1, "integrity": "", "x": "\\ud800"}'),
        ("spec.json", b'{"schema": 2}'),
        ("spec.json", b'{"schema": 1, "schema": 1}'),
        ("spec.json", b'{"schema": NaN}'),
        ("source.json", b'{"created": 9e99}'),
        ("source.json", b'{"files": 1}'),
        ("weights.json", b"null"),
    ],
)
def test_damaged_documents_are_said_to_be_unknown(name: str, content: bytes) -> None:
    made = described()

    inspection = inspect(made.image(files={**made.files, name: content}))

    assert any(f"`{name}`" in sentence for sentence in inspection.unknown)
    assert inspection.model.name == "digits"


def test_missing_documents_are_said_to_be_unknown() -> None:
    inspection = inspect(described().image(files={"README": b""}))

    assert len(inspection.unknown) == 4
    assert all("the meta layer has no such file" in text for text in inspection.unknown)


def test_an_absurd_size_in_the_lock_makes_it_unknown() -> None:
    made = described()
    file = replace(WEIGHTS[0], size=10**400)
    lock = replace(made.lock, weights=(replace(made.lock.weights[0], files=(file,)),))
    data = lock_encoding.dump(lock)

    inspection = inspect(made.image(files={**made.files, "lock.json": data}))

    assert inspection.weights == ()
    assert any("a size is absurd" in text for text in inspection.unknown)


def test_a_meta_layer_that_is_no_tar_is_unknown() -> None:
    image = described().image()
    broken = blob_of(b"no tar at all" * 100, image.layers[-1].blob.descriptor.media_type)
    last = replace(image.layers[-1], blob=broken, diff_id=broken.digest)

    inspection = inspect(replace(image, layers=(*image.layers[:-1], last)))

    assert any("cannot be read" in text for text in inspection.unknown)
    assert inspection.model.name == "digits"


def test_a_meta_layer_that_is_not_here_is_unknown() -> None:
    image = described().image()
    shelf = Shelf(bytes_of(image.manifest_blob), bytes_of(image.config_blob))

    inspection = describe(read(shelf, image.manifest_blob.descriptor))

    assert any("nobody has this blob" in text for text in inspection.unknown)


def test_a_meta_layer_that_an_engine_compressed_is_read() -> None:
    image = described().image()
    plain = image.layers[-1]
    packed = blob_of(gzip.compress(bytes_of(plain.blob), mtime=0), TAR_GZIP)

    inspection = inspect(replace(image, layers=(*image.layers[:-1], replace(plain, blob=packed))))

    assert inspection.findings == ()
    assert len(inspection.weights) == 3


def test_a_meta_layer_other_than_the_configuration_names_is_found() -> None:
    image = described().image()
    packed = blob_of(gzip.compress(bytes_of(meta(described().files).blob), mtime=0), TAR_GZIP)
    last = replace(image.layers[-1], blob=packed, diff_id=values.digest("8"))

    findings = inspect(replace(image, layers=(*image.layers[:-1], last))).findings

    assert "the layer that describes the image is not the one that the configuration names" in (
        findings
    )


def test_a_meta_layer_that_grows_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "META_LIMIT", 1 << 20)
    image = described().image()
    bomb = blob_of(gzip.compress(bytes(4 << 20), mtime=0), TAR_GZIP)

    inspection = inspect(
        replace(image, layers=(*image.layers[:-1], replace(image.layers[-1], blob=bomb)))
    )

    assert any("more than 1048576 bytes" in text for text in inspection.unknown)


def test_a_last_layer_without_history_is_read_when_the_labels_are_ours() -> None:
    inspection = with_config(described().image(), lambda config: config.pop("history"))

    assert len(inspection.weights) == 3
    assert [item.kind for item in inspection.layers] == ["", "", "weights", "weights", "", ""]


def test_labels_alone_do_not_make_a_compressed_last_layer_be_read() -> None:
    image = foreign(Labels={"dev.modelpack.model.name": "x"})
    packed: Layer = image.layers[-1]
    blob = blob_of(gzip.compress(bytes_of(packed.blob), mtime=0), TAR_GZIP)
    image = replace(image, layers=(image.layers[0], replace(packed, blob=blob)))
    shelf = Shelf(bytes_of(image.manifest_blob), bytes_of(image.config_blob))

    read(shelf, image.manifest_blob.descriptor)

    assert shelf.was_read == [image.digest, image.config_blob.digest]


def test_a_platform_that_the_lock_has_not_is_found() -> None:
    inspection = with_config(
        described().image(), lambda config: config.update(architecture="s390x")
    )

    assert "lock.json holds nothing for the image's platform `linux/s390x`" in inspection.findings
    assert inspection.packages == ()


def test_a_variant_of_the_platform_is_the_platform() -> None:
    inspection = with_config(described().image(), lambda config: config.update(variant="v1"))

    assert inspection.platform == "linux/amd64/v1"
    assert inspection.findings == ()


def test_a_base_image_lists_no_packages() -> None:
    base = ImageBase(
        reference="python:3.12-slim", digest=values.digest("1"), config=values.digest("2"),
        layers=(),
    )  # fmt: skip
    made = described()
    platform = replace(made.lock.platforms[0], base=base)
    made = described(lock=replace(made.lock, platforms=(platform,)))

    inspection = inspect(made.image())

    assert [package.type for package in inspection.packages] == ["wheel"]
    assert inspection.claims.base_name == "python:3.12-slim"
    assert any("`python:3.12-slim`" in text for text in inspection.unknown)


def test_exceptions_for_unsafe_weights_are_shown() -> None:
    made = described()
    weights = replace(made.lock.weights[0], unsafe=("weights.pickle a.bin", "weights.pickle b.bin"))

    inspection = inspect(described(lock=replace(made.lock, weights=(weights,))).image())

    assert inspection.claims.unsafe == ("weights.pickle a.bin", "weights.pickle b.bin")


@pytest.mark.parametrize("config", [b"[]", b"{", b'{"a": 1, "a": 2}', b"[" * 200_000, b"\xff"])
def test_a_configuration_that_is_no_json_object_is_a_finding(config: bytes) -> None:
    inspection = from_documents(described().image(), config)

    assert inspection.findings[0].startswith("the configuration is not ")
    assert len(inspection.layers) == 6


def test_an_artifact_that_is_no_image_says_so() -> None:
    inspection = from_documents(described().image(), b"{}", media="application/vnd.acme+json")

    assert inspection.unknown == (
        "what `application/vnd.acme+json` holds cannot be shown: it is not a container image",
    )


def test_a_manifest_that_is_none_is_refused() -> None:
    for data in (b"", b"{}", b'{"schemaVersion": 2, "layers": []}', b"[" * 100_000):
        root = blob_of(data, MANIFEST)
        with pytest.raises(InputError):
            read(Shelf(data), root.descriptor)


def test_a_configuration_over_the_limit_is_refused() -> None:
    image = described().image()
    with pytest.raises(InputError, match="larger than"):
        from_documents(image, b" " * ((8 << 20) + 1))


def test_a_hundred_contradictions_are_counted() -> None:
    inspection = with_config(
        described().image(),
        lambda config: config["config"]["Labels"].update({f"x{n:03}": "" for n in range(100)}),
    )

    assert len(inspection.findings) == 51
    assert inspection.findings[-1] == "and 50 more contradictions"


def platforms() -> tuple[Index, Shelf, Image, Image]:
    """Return an index of two foreign images and a shelf that holds it."""
    amd, arm = foreign(), replace(foreign(), platform=Platform("linux", "arm64"))
    index = Index(images=(amd, arm))
    blobs = [image.manifest_blob for image in (amd, arm)]
    blobs += [image.config_blob for image in (amd, arm)]
    return index, Shelf(bytes_of(index.manifest_blob), *map(bytes_of, blobs)), amd, arm


@pytest.mark.parametrize(
    ("platform", "host", "chosen"),
    [("", "linux/arm64", "arm64"), ("", "linux/riscv64", "amd64"), ("linux/arm64", "", "arm64")],
)
def test_an_index_shows_the_wanted_image_else_the_hosts_else_the_first(
    platform: str, host: str, chosen: str
) -> None:
    index, shelf, amd, arm = platforms()

    inspection = describe(read(shelf, index.manifest_blob.descriptor, platform=platform, host=host))

    assert inspection.platform == f"linux/{chosen}"
    assert inspection.digest == {"amd64": amd, "arm64": arm}[chosen].digest
    assert inspection.index == index.digest
    assert [item.platform for item in inspection.platforms] == ["linux/amd64", "linux/arm64"]


def test_a_platform_that_an_index_has_not_is_refused() -> None:
    index, shelf, _, _ = platforms()
    with pytest.raises(InputError) as caught:
        read(shelf, index.manifest_blob.descriptor, platform="linux/s390x")
    assert caught.value.findings[0].hint == "there are `linux/amd64`, `linux/arm64`"


def test_a_single_image_for_another_platform_is_refused() -> None:
    image = foreign()
    with pytest.raises(InputError, match="is for `linux/amd64`, not `linux/arm64`"):
        read(shelf_of(image), image.manifest_blob.descriptor, platform="linux/arm64")


def test_an_index_that_lies_about_a_platform_is_found() -> None:
    image = foreign()
    entry = replace(image.manifest_blob.descriptor, platform=Platform("linux", "arm64"))
    index = nested(entry)
    shelf = Shelf(bytes_of(index), bytes_of(image.manifest_blob), bytes_of(image.config_blob))

    findings = describe(read(shelf, index.descriptor)).findings

    assert findings == ("the index says `linux/arm64`, the configuration `linux/amd64`",)


def test_attestations_beside_an_image_are_not_images() -> None:
    image = foreign()
    attestation = Descriptor(
        media_type=MANIFEST, digest=values.digest("1"), size=1,
        platform=Platform("unknown", "unknown"),
        annotations={"vnd.docker.reference.type": "attestation-manifest"},
    )  # fmt: skip
    index = nested(attestation, image.manifest_blob.descriptor)
    shelf = Shelf(bytes_of(index), bytes_of(image.manifest_blob), bytes_of(image.config_blob))

    inspection = describe(read(shelf, index.descriptor))

    assert [item.digest for item in inspection.platforms] == [image.digest]


def test_indexes_in_indexes_end() -> None:
    deep = [nested(nested(nested(foreign().manifest_blob.descriptor).descriptor).descriptor)]
    inner = nested(nested(foreign().manifest_blob.descriptor).descriptor)
    shelf = Shelf(
        bytes_of(deep[0]), bytes_of(inner), bytes_of(nested(foreign().manifest_blob.descriptor))
    )
    with pytest.raises(InputError, match="an index in an index"):
        read(shelf, deep[0].descriptor)


def test_an_empty_index_is_refused() -> None:
    index = nested()
    with pytest.raises(InputError, match="names no image"):
        read(Shelf(bytes_of(index)), index.descriptor)


def nested(*entries: Descriptor) -> Blob:
    """Return an index of `entries`."""
    value = {
        "schemaVersion": 2, "mediaType": INDEX,
        "manifests": [entry.as_json() for entry in entries],
    }  # fmt: skip
    return blob_of(canonical_json.dumps(value), INDEX)
