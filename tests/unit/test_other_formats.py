"""Models in other formats than safetensors, as people pack them: found, gated, listed, rendered."""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import model_bytes as made
import numpy as np
import pytest

from modelpack import project
from modelpack.checks.model_files import gate as model_files
from modelpack.fetching import choosing
from modelpack.fetching.place import Listing, RemoteFile, Wanted
from modelpack.lock import Lock, Wheel
from modelpack.lock import encoding as lock_encoding
from modelpack.oci.layer import Partial
from modelpack.progress import Advance
from modelpack.spec import Weights, packing
from tests import projects
from tests.command_line import Done, run_here


def arrays() -> bytes:
    out = io.BytesIO()
    np.savez(out, scale=np.ones((2, 3), np.float16))
    return out.getvalue()


ONNX = made.onnx(made.onnx_graph(tensors=[made.onnx_tensor("bias"), made.onnx_outside("m.data")]))
FOREIGN = made.onnx(
    made.onnx_graph(made.onnx_node("Fast", "com.acme")), opsets={"": 17, "com.acme": 1}
)
FORMATS = {
    "m.onnx": ONNX, "m.data": bytes(8), "q.gguf": made.gguf(),
    "trees.ubj": made.ubj(made.xgboost()),
    "scale.npz": arrays(), "trees.json": json.dumps(made.xgboost()).encode(), "notes.md": b"-",
}  # fmt: skip
PACKED = projects.TOML.replace(
    'path = "weights"', 'path = "weights"\ninclude = ["*.onnx", "*.data"]'
)


@pytest.fixture
def type_(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Done]:
    """How to type commands here."""
    monkeypatch.setenv("MODELPACK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MODELPACK_CONFIG", str(tmp_path / "none.toml"))
    return lambda *words: run_here(capsys, *words)


def make(tmp_path: Path, weights: dict[str, bytes], toml: str = projects.TOML) -> Path:
    return projects.make_project(
        tmp_path / "project", tmp_path / "cache", toml=toml, weights=weights, wheels=False
    )


def lock_of(folder: Path) -> Lock:
    lock = project.read(folder).lock
    assert lock is not None
    return lock


def with_wheel(folder: Path, name: str, version: str) -> None:
    """Lock a wheel that is never asked for: a gate stands before it."""
    lock = lock_of(folder)
    wheel = Wheel(name=name, version=version, filename=f"{name}.whl", size=1, sha256="0" * 64)
    platforms = tuple(replace(one, wheels=(wheel,)) for one in lock.platforms)
    data = lock_encoding.dump(replace(lock, platforms=platforms))
    project.write(project.read(folder).lock_path, data)


def test_a_folder_without_safetensors_is_packed_by_default(tmp_path: Path) -> None:
    weights = {path: data for path, data in FORMATS.items() if path != "m.data"}
    weights["m.onnx"] = made.onnx(made.onnx_graph(tensors=[made.onnx_outside("m.onnx_data")]))
    weights["m.onnx_data"] = bytes(8)
    (locked,) = lock_of(make(tmp_path, weights)).weights
    assert {file.path: file.tensors for file in locked.files} == {
        "m.onnx": ("F32 [2] w",),
        "m.onnx_data": (),
        "q.gguf": ("F32 [4] a", "F32 [4,2] b"),
        "scale.npz": ("F16 [2,3] scale",),
        "trees.json": ("I32 [3] trees.split_indices", "F32 [3] trees.split_conditions"),
        "trees.ubj": ("I32 [3] trees.split_indices", "F32 [3] trees.split_conditions"),
    }


def test_beside_safetensors_other_formats_stay_outside(tmp_path: Path) -> None:
    folder = make(tmp_path, {**FORMATS, **projects.WEIGHTS})
    (locked,) = lock_of(folder).weights
    assert {file.path for file in locked.files} == {*projects.WEIGHTS, "trees.json"}


def test_the_default_means_what_it_always_did_where_none_of_them_is_packed() -> None:
    default = Weights().include
    assert packing.patterns(Weights(), ["a/m.safetensors", "m.onnx"]) == default
    assert packing.patterns(Weights(), ["m.onnx"]) == (*default, *packing.OTHERS)
    assert packing.locked(Weights(), ["m.json", "vocab.txt"]) == default
    assert packing.locked(Weights(), ["m.gguf"]) == (*default, *packing.OTHERS)
    own = Weights(include=("*.onnx",))
    assert packing.patterns(own, []) == packing.locked(own, ["m.onnx"]) == ("*.onnx",)


class Shelf:
    """A place that has files by these names."""

    identity = "shelf"

    def __init__(self, *paths: str) -> None:
        self._paths = paths

    def listing(self, wanted: Wanted) -> Listing:
        files = (RemoteFile(path=path, size=1) for path in self._paths if wanted(path))
        return Listing(files=tuple(files))

    def fill(self, into: Partial, file: RemoteFile, advance: Advance) -> None:
        raise AssertionError("nothing is fetched")


@pytest.mark.parametrize(
    ("source", "paths", "chosen"),
    [
        ("hf://acme/m", ["m.gguf", "config.json"], {"config.json"}),
        ("s3://acme/m", ["m.onnx", "vocab.txt"], {"vocab.txt"}),
        ("oci:there", ["m.gguf", "config.json"], {"m.gguf", "config.json"}),
        ("ghcr.io/acme/m:1", ["m.onnx", "a.safetensors"], {"a.safetensors"}),
    ],
)
def test_of_a_source_only_an_image_is_taken_as_it_is(
    source: str, paths: list[str], chosen: set[str]
) -> None:
    found = choosing.listed(Shelf(*paths), Weights(source=source))
    assert {file.path for file in found.files} == chosen


def test_the_guard_of_such_weights_knows_their_names(
    tmp_path: Path, type_: Callable[..., Done]
) -> None:
    folder = make(tmp_path, {"q.gguf": FORMATS["q.gguf"]})
    assert type_("build", folder, "--locked", "--offline", "-q").status == 0
    raw = type_("inspect", folder, "--raw", "weights")
    assert "*.gguf" in raw.document["weights"][0]["include"]


def test_what_they_learned_is_shown_everywhere(tmp_path: Path, type_: Callable[..., Done]) -> None:
    toml = projects.TOML.replace('path = "weights"', 'path = "weights"\ninclude = ["*"]')
    folder = make(tmp_path, {p: d for p, d in FORMATS.items() if p != "notes.md"}, toml)
    assert type_("build", folder, "--locked", "--offline", "-q").status == 0
    shown = type_("inspect", folder, "--json").document
    counted = {
        Path(one["path"]).name: (one["tensors"], one["parameters"], one["dtypes"])
        for one in shown["weights"]
    }
    assert counted == {
        "m.data": (None, None, {}),
        "m.onnx": (2, 4, {"F32": 4}),
        "q.gguf": (2, 12, {"F32": 12}),
        "scale.npz": (1, 6, {"F16": 6}),
        "trees.json": (2, 6, {"F32": 3, "I32": 3}),
        "trees.ubj": (2, 6, {"F32": 3, "I32": 3}),
    }
    assert "q.gguf" in type_("inspect", folder).out
    sbom = type_("sbom", folder).document
    (model,) = [c for c in sbom["components"] if c["type"] == "machine-learning-model"]
    said = {one["name"]: one["value"] for one in model["modelCard"]["properties"]}
    found = {name.rpartition(":")[2]: value for name, value in said.items() if "prec" in name}
    assert found == {"F16": "6", "F32": "22", "I32": "6"}


def test_data_of_an_onnx_model_that_are_not_packed_are_refused(
    tmp_path: Path, type_: Callable[..., Done]
) -> None:
    folder = make(tmp_path, {"m.onnx": ONNX, "m.data": bytes(8)}, PACKED)
    toml = folder / "modelpack.toml"
    toml.write_text(toml.read_text().replace(', "*.data"', ""))
    done = type_("check", folder)
    assert done.status == 1
    assert "weights/m.onnx: tensor `w`: its data are in `m.data`, which is not among" in done.err
    assert "name it in `weights.include`" in done.err


@pytest.mark.parametrize("mode", ["bake", "mount"])
@pytest.mark.parametrize("command", [("build", "--locked"), ("render",), ("check",)])
def test_every_way_to_an_image_refuses_what_the_libraries_do_not_read(
    tmp_path: Path, type_: Callable[..., Done], mode: str, command: tuple[str, ...]
) -> None:
    toml = PACKED.replace("include", f'mode = "{mode}"\ninclude', 1)
    folder = make(tmp_path, {"m.onnx": made.onnx(ir=12)}, toml)
    with_wheel(folder, "onnxruntime", "1.23.2")
    offline = ("--offline",) if command[0] != "check" else ()
    done = type_(command[0], folder, *command[1:], *offline)
    assert done.status == 1, done.err
    said = done.out + done.err
    assert "weights/m.onnx: the version of its format (IR) is 12, onnxruntime 1.23.2 is" in said
    assert not (folder / "dist" / "docker").exists()


def test_a_locked_build_shows_warnings_and_looks_once(
    tmp_path: Path, type_: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make(tmp_path, {"m.onnx": FOREIGN}, PACKED)

    def warnings(*words: Any) -> list[str]:
        done = type_(*words, "--offline")
        assert done.status == 0, done.err
        return [line for line in done.messages if "com.acme" in line]

    (first,) = warnings("build", folder, "--locked")
    assert first.startswith("warning: weights/m.onnx: has operators of `com.acme`")
    assert warnings("render", folder) == [first]

    def look(files: object) -> None:
        raise AssertionError("the weights were looked at again")

    monkeypatch.setattr(model_files, "look", look)
    assert warnings("build", folder, "--locked") == [first]
    (folder / "service" / "more.py").write_text("x = 1\n")
    assert warnings("build", folder, "--locked") == [first]
