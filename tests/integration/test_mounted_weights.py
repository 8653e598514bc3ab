"""Mounted weights as people type it: two images in one step, and what moves which of them."""

import json
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from modelpack.oci.layout import Layout
from tests import projects
from tests.command_line import Done, run_here

MOUNTED = projects.TOML.replace('path = "weights"', 'path = "weights"\nmode = "mount"')
LARGE = 70_000_000
WEIGHTS_IMAGE = "dev.modelpack.weights.image"


@dataclass
class Desk:
    """A locked project whose weights are mounted, and how to type commands here."""

    folder: Path
    cache: Path
    type: Callable[..., Done]

    def build(self, *options: object, status: int = 0) -> Any:
        """Build and return the record."""
        done = self.type("build", self.folder, "--locked", "--offline", "--json", *options)
        assert done.status == status, done.out + done.err
        return done.document

    def edit(self, old: str, new: str, file: str = "modelpack.toml") -> None:
        path = self.folder / file
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")

    def relock(self, **changes: Any) -> None:
        projects.write_lock(self.folder, self.cache, **changes)

    @property
    def store(self) -> Layout:
        return Layout(self.folder / "dist" / "image")


@pytest.fixture
def desk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Desk:
    monkeypatch.setenv("MODELPACK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MODELPACK_CONFIG", str(tmp_path / "none.toml"))
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    folder = tmp_path / "project"
    projects.sparse_safetensors(folder / "weights" / "large.safetensors", LARGE)
    projects.make_project(folder, tmp_path / "cache", toml=MOUNTED)
    return Desk(folder, tmp_path / "cache", lambda *words: run_here(capsys, *words))


def digests(record: Any) -> dict[str, str]:
    """Return the digest of each image by its role."""
    return {image["role"]: image["digest"] for image in record["images"]}


def layers(record: Any, role: str, step: str = "") -> list[str]:
    """Return the digests of the layers of one image."""
    return [
        layer["digest"] for layer in record["layers"]
        if layer["role"] == role and step in ("", layer["step"])
    ]  # fmt: skip


def labels(store: Layout, digest: str) -> dict[str, str]:
    manifest = store.image(store.resolve(digest).digest)
    assert manifest.config is not None
    return dict(json.loads(store.read(manifest.config))["config"]["Labels"])


def test_both_images_stand_in_the_layout_the_one_that_serves_first(desk: Desk) -> None:
    record = desk.build()

    assert [(i["role"], i["platform"]) for i in record["images"]] == [
        ("serve", "linux/amd64"), ("weights", None),
    ]  # fmt: skip
    assert record["digest"] == digests(record)["serve"]
    assert desk.store.resolve("1.0.0").digest == digests(record)["serve"]
    assert desk.store.resolve("1.0.0-weights").digest == digests(record)["weights"]
    assert desk.store.manifests()[0].digest == digests(record)["serve"]
    assert projects.damage(desk.store.root) == []
    named = labels(desk.store, record["digest"])[WEIGHTS_IMAGE]
    assert named == digests(record)["weights"]
    assert json.loads((desk.folder / "dist" / "build.json").read_bytes()) == record


def test_weight_layers_have_the_digests_that_they_have_when_baked(desk: Desk) -> None:
    mounted = desk.build()
    desk.edit('mode = "mount"', 'mode = "bake"')
    desk.relock()
    baked = desk.build()

    assert layers(mounted, "weights", "weights") == layers(baked, "serve", "weights")
    assert layers(mounted, "serve", "weights") == []
    assert [image["role"] for image in baked["images"]] == ["serve"]


@pytest.mark.parametrize("edit", ["code", "command", "tag", "base", "wheels", "user"])
def test_nothing_but_weights_and_model_moves_the_weights_image(desk: Desk, edit: str) -> None:
    before = desk.build()
    match edit:
        case "code":
            desk.edit("ready", "steady", "service/__main__.py")
        case "command":
            desk.edit('"service"]\n\n', '"service", "x"]\n\n')
        case "tag":
            desk.edit("[runtime]", '[image]\ntags = ["x"]\nlabels = { "a.b" = "c" }\n[runtime]')
        case "base":
            desk.relock(packages=("libgomp1",))
        case "wheels":
            desk.relock(wheels=False)
        case "user":
            desk.edit("[runtime]", "[runtime]\nuser = 2000")
    after = desk.build()

    assert digests(after)["serve"] != digests(before)["serve"]
    assert digests(after)["weights"] == digests(before)["weights"]


@pytest.mark.parametrize("edit", ["version", "weight"])
def test_another_model_is_another_weights_image(desk: Desk, edit: str) -> None:
    before = desk.build()
    if edit == "version":
        desk.edit('version = "1.0.0"', 'version = "1.1.0"')
    else:
        (desk.folder / "weights" / "config.json").write_text("{}\n")
        desk.relock()
    after = desk.build()

    assert digests(after)["weights"] != digests(before)["weights"]
    large = layers(before, "weights", "weights")[0]
    assert layers(after, "weights", "weights")[0] == large


def test_without_the_weights_a_layout_that_has_them_is_enough(desk: Desk) -> None:
    before = desk.build()
    shutil.rmtree(desk.folder / "weights")
    desk.edit("ready", "steady", "service/__main__.py")
    after = desk.build()

    assert digests(after)["weights"] == digests(before)["weights"]
    assert {layer["proof"] for layer in after["layers"] if layer["step"] == "weights"} == {"lock"}
    assert projects.damage(desk.store.root) == []


def test_without_the_weights_anywhere_nothing_is_written(desk: Desk) -> None:
    shutil.rmtree(desk.folder / "weights")
    document = desk.build(status=3)
    assert document["error"]["findings"]
    assert not (desk.folder / "dist" / "image").exists()


def test_the_plan_shows_both_and_what_would_be_reused(desk: Desk) -> None:
    desk.build()
    desk.edit("ready", "steady", "service/__main__.py")

    serve, weights = desk.type("plan", desk.folder, "--json").document["plans"]

    assert (serve["role"], serve["platform"]) == ("serve", "linux/amd64")
    assert (weights["role"], weights["platform"]) == ("weights", None)
    states = [(step["kind"], step["state"]) for step in weights["steps"]]
    assert states == [("weights", "reuse"), ("weights", "reuse"), ("nameplate", "make")]
    text = desk.type("plan", desk.folder).out
    assert "mounted weights  plan sha256:" in text


def test_archives_hold_both_images(desk: Desk, tmp_path: Path) -> None:
    record = desk.build("--output", f"oci-archive:{tmp_path / 'o.tar'}",
                        "--output", f"docker-archive:{tmp_path / 'd.tar'}")  # fmt: skip
    assert record["layout"] is None
    for name in ("o.tar", "d.tar"):
        with tarfile.open(tmp_path / name) as archive:
            index = json.load(archive.extractfile("index.json"))  # type: ignore[arg-type]
            docker = json.load(archive.extractfile("manifest.json"))  # type: ignore[arg-type]
            names = archive.getnames()
        assert len(names) == len(set(names))
        assert [entry["digest"] for entry in index["manifests"]] == list(digests(record).values())
        assert [image["RepoTags"] for image in docker] == [["tiny:1.0.0"], ["tiny:1.0.0-weights"]]
        assert [image["Config"] for image in docker] == [
            f"blobs/sha256/{image['config'].removeprefix('sha256:')}" for image in record["images"]
        ]


def test_inspect_finds_the_image_that_serves_first_and_the_weights_by_tag(
    desk: Desk, tmp_path: Path
) -> None:
    archive = f"oci-archive:{tmp_path / 'image.tar'}"
    record = desk.build("--output", archive, "--output", f"oci:{desk.folder}/dist/image")

    for name in (desk.folder, f"oci:{desk.store.root}", archive):
        serve = desk.type("inspect", name, "--json").document
        assert serve["digest"] == digests(record)["serve"]
        assert serve["claims"]["weights_image"] == digests(record)["weights"]
        assert serve["weight_sets"][0]["mode"] == "mount"
        assert serve["findings"] == []
    weights = desk.type("inspect", f"oci:{desk.store.root}:1.0.0-weights", "--json").document
    assert weights["claims"]["role"] == "weights"
    assert weights["findings"] == weights["unknown"] == []
    assert [file["path"] for file in weights["weights"]] == [
        file["path"] for file in serve["weights"]
    ]
    shown = desk.type("inspect", desk.folder).out
    assert digests(record)["weights"] in shown
    assert "from an image of their own that is mounted there" in shown


def test_tags_of_people_are_not_taken(desk: Desk) -> None:
    for name in ("tiny:1-weights", "tiny:1"):
        assert desk.build("--tag", name)["digest"]
    done = desk.build("--tag", "tiny:1", "--tag", "tiny:1-weights", status=2)
    assert "`1-weights` is the name of the weights image" in str(done)
    done = desk.build("--tag", f"tiny:{'1' * 125}", status=2)
    assert "too long" in str(done)


def test_a_weights_folder_that_was_a_mount_packs_no_nameplate(desk: Desk) -> None:
    before = desk.build()
    (desk.folder / "weights" / ".modelpack.json").write_text("{}")
    assert digests(desk.build()) == digests(before)


def test_two_builds_are_bit_identical(desk: Desk, tmp_path: Path) -> None:
    other = projects.copy_shuffled(desk.folder, tmp_path / "other", seed=3)
    record = desk.build()
    done = desk.type("build", other, "--locked", "--offline", "--no-cache", "--json")
    assert digests(done.document) == digests(record)
    layouts = (desk.store.root, other / "dist/image")
    assert len({json.dumps(projects.image_blobs(layout)) for layout in layouts}) == 1
    assert len({json.dumps(projects.tags(layout)) for layout in layouts}) == 1


@pytest.mark.parametrize(("old", "new", "what"), [
    ('mode = "mount"', 'mode = "bake"', "needs mounted weights"),
    ("verify-mounts", 'verify = "off"\nverify-mounts', "needs the guard, which is off"),
])  # fmt: skip
def test_strict_mounts_need_mounts_and_the_guard(desk: Desk, old: str, new: str, what: str) -> None:
    desk.edit("[runtime]", '[runtime]\nverify-mounts = "strict"')
    desk.build()
    desk.edit(old, new)
    assert what in str(desk.build(status=2))
