"""`modelpack diff` as people run them, on small whole projects."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from modelpack.oci.layout import Layout
from modelpack.oci.store import Root
from tests import images, projects

LABEL = '\n[image]\nlabels = { team = "vision" }\n'


@dataclass(frozen=True)
class Workshop:
    """A folder with projects and the cache that all are built from."""

    root: Path

    @property
    def cache(self) -> Path:
        return self.root / "cache"

    def project(self, name: str, **changes: Any) -> Path:
        folder = projects.make_project(self.root / name, self.cache, **changes)
        projects.build(folder, self.cache)
        return folder

    def run(self, *words: str, status: int = 0) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            [sys.executable, "-m", "modelpack", *words], capture_output=True, text=True,
            env=projects.environment(self.cache), check=False,
        )  # fmt: skip
        assert done.returncode == status, done.stdout + done.stderr
        return done

    def diff(self, *words: str, status: int = 1) -> Any:
        return json.loads(self.run("diff", "--json", *words, status=status).stdout)


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


def keys(changes: list[dict[str, Any]]) -> list[str]:
    return [change["key"] for change in changes]


def test_a_project_built_twice_is_equal(workshop: Workshop) -> None:
    first = workshop.project("first")
    second = projects.copy_shuffled(first, workshop.root / "second", seed=1)
    projects.build(second, workshop.cache)
    found = workshop.diff(str(first), str(second), "--files", status=0)
    assert found["equal"]
    assert found["files"] == []
    assert found["pull"] == 0
    assert workshop.run("diff", str(first), str(second)).stdout.rstrip().endswith("equal")


def test_an_image_equals_itself_in_an_archive(workshop: Workshop) -> None:
    first = workshop.project("first")
    archive = workshop.root / "image.tar"
    projects.build(first, workshop.cache, "--output", f"docker-archive:{archive}")
    found = workshop.diff(str(first), f"docker-archive:{archive}", "--files", status=0)
    assert found["files"] == []


def test_changed_code_label_weights_and_package_are_shown(workshop: Workshop) -> None:
    first = workshop.project("first")
    weights = {**projects.WEIGHTS, "model-00002-of-00002.safetensors": projects.safetensors(
        {"b": bytes(range(101))})}  # fmt: skip
    weights["model.safetensors.index.json"] = weights["model.safetensors.index.json"].replace(
        b"2148", b"2149"
    )
    second = workshop.project(
        "second", toml=projects.TOML + LABEL, packages=["hello"], weights=weights,
        files={**projects.CODE, "service/__main__.py": b'print("steady")\n'},
    )  # fmt: skip
    found = workshop.diff(str(first), str(second), "--files")
    assert "Labels.team" in keys(found["configuration"])
    assert keys(found["packages"]) == ["deb hello"]
    assert keys(found["code"]) == ["service/__main__.py"]
    assert keys(found["tensors"]) == ["tiny: b"]
    assert found["tensors"][0]["after"] == "U8 [101]"
    assert found["parameters"]["after"] - found["parameters"]["before"] == 1
    assert "/models/tiny/model-00002-of-00002.safetensors" in keys(found["weights"])
    assert "usr/share/hello/readme" in keys(found["files"])
    assert "app/service/__main__.py" in keys(found["files"])
    assert not any(key.startswith("models/") for key in keys(found["files"]))
    states = [row["state"] for row in found["layers"]]
    assert states.count("shared") == 1  # the dependencies
    back = workshop.diff(str(second), str(first), "--files")
    assert [(c["before"], c["after"]) for c in back["files"]] == [
        (c["after"], c["before"]) for c in found["files"]
    ]


def test_a_wheel_that_is_gone_is_shown(workshop: Workshop) -> None:
    first, second = workshop.project("first"), workshop.project("second", wheels=False)
    found = workshop.diff(str(first), str(second))
    assert [(c["key"], c["after"]) for c in found["packages"]] == [("wheel pastel", None)]
    assert found["files"] is None


def test_what_cannot_be_read_is_no_answer(workshop: Workshop) -> None:
    first = workshop.project("first")
    layout = workshop.root / "nothing"
    done = workshop.run("diff", str(first), f"oci:{layout}", status=2)
    assert str(layout) in done.stderr
    assert os.listdir(first / "dist")


def test_images_of_others_are_compared_by_layers_and_files(workshop: Workshop) -> None:
    names = []
    for number, texts in enumerate((("one", "two"), ("one", "three"))):
        made = images.image(*texts)
        place = workshop.root / str(number)
        with Layout(place) as layout:
            layout.write_all(made.blobs, images.nothing)
            layout.commit([Root(manifest=made.manifest_blob, tags=("a",))])
        names.append(f"oci:{place}")
    found = workshop.diff(*names, "--files")
    assert [row["state"] for row in found["layers"]] == ["shared", "added", "removed"]
    assert found["files"]
    assert found["packages"] == []
    assert len(found["unknown"]) == 2
    assert workshop.diff(names[0], names[0], "--files", status=0)["files"] == []
