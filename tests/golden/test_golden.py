"""Bytes that may change only on purpose: `make golden` writes them anew, the review shows how.

A folder for each case: `modelpack.toml`, and what is made of it. What a case needs beside it
(weights, packages) is made in code, so that nothing large and nothing hostile is kept in git.
"""

import json
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import hostile_files
import model_bytes
import pytest

from modelpack import pipeline, project
from modelpack.assembly import outputs
from modelpack.assembly.assemble import Made
from modelpack.assembly.image_names import image_names
from modelpack.canonical_json import plain, pretty
from modelpack.cli.environment import cache_folder
from modelpack.digest import of as digest_of
from modelpack.oci.image import Image
from modelpack.oci.layout import Layout
from modelpack.oci.manifest import parse_descriptor
from modelpack.pipeline import Built
from modelpack.plan import Plan
from modelpack.views import artifact_making
from tests import projects

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "examples"
EXAMPLE_DIGESTS = HERE / "examples.json"
REVISION = "4f2a" * 10
ADAPTER = projects.safetensors({"lora.a": bytes(64), "lora.b": bytes(range(64))})
HARMLESS_PICKLE = b"\x80\x02}q\x00X\x01\x00\x00\x00aq\x01K\x01s."


@dataclass(frozen=True)
class Case:
    """What stands beside `modelpack.toml`."""

    weights: Mapping[str, bytes] = field(default_factory=lambda: projects.WEIGHTS)
    files: Mapping[str, bytes] = field(default_factory=dict)
    sparse: Mapping[str, int] = field(default_factory=dict)
    "weight files of many zeros, by size"
    packages: tuple[str, ...] = ()
    wheels: bool = True
    revision: str | None = REVISION


CASES = {
    "minimal": Case(wheels=False),
    "everything": Case(
        weights={**projects.WEIGHTS, "draft.json": b"{}\n"},
        packages=("libgomp1",),
        files={"requirements.lock": b"pastel==1.0 --hash=sha256:" + b"0" * 64 + b"\n",
               "tools/start.sh": b"exec true\n"},
    ),
    "several-weights": Case(weights={}, files={
        "embedder/config.json": b"{}\n", "embedder/model.safetensors": ADAPTER,
        "reranker/adapter.safetensors": ADAPTER, "reranker/sub/vocab.txt": b"a\nb\n",
    }),
    "large-file": Case(sparse={"large.safetensors": 70_000_000}),
    "unsafe": Case(weights={**projects.WEIGHTS, "vocabulary.pkl": HARMLESS_PICKLE}),
    "other-formats": Case(wheels=False, weights={
        "model.onnx": model_bytes.onnx(model_bytes.onnx_graph(
            tensors=[model_bytes.onnx_tensor("bias"), model_bytes.onnx_outside("model.onnx_data")]
        )),
        "model.onnx_data": bytes(range(8)), "quantised.gguf": model_bytes.gguf(),
        "trees.ubj": model_bytes.ubj(model_bytes.xgboost()),
        "mean.npy": hostile_files.numpy_array(),
    }),
    "no-repository": Case(revision=None),
    "mounted": Case(
        files={"adapter/adapter.safetensors": ADAPTER}, sparse={"large.safetensors": 70_000_000},
        wheels=False,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_bytes_are_those_that_were_reviewed(
    name: str, tmp_path: Path, *, rewrite: bool
) -> None:
    folder, cache = make(name, tmp_path)
    found = documents(folder, build(folder, cache, CASES[name]))
    if rewrite:
        for file, content in found.items():
            (HERE / name / file).write_text(content, encoding="utf-8")
    for file, content in found.items():
        expected = (HERE / name / file).read_text(encoding="utf-8")
        assert content == expected, f"{name}/{file} changed: if that was meant, `make golden`"


@pytest.mark.parametrize("name", ["everything", "large-file", "several-weights", "mounted"])
def test_the_artifact_is_the_one_that_was_reviewed(
    name: str, tmp_path: Path, *, rewrite: bool
) -> None:
    """The CNCF ModelPack artifact of an image follows from the image alone."""
    folder, cache = make(name, tmp_path)
    build(folder, cache, CASES[name])
    store = Layout(folder / "dist" / "image")
    artifact = artifact_making.view(store, store.manifests()[0])
    manifest = json.loads(artifact.source.read(artifact.root))
    config = json.loads(artifact.source.read(parse_descriptor(manifest["config"])))
    found = {"digest": artifact.root.digest, "manifest": manifest, "config": config}
    expected = HERE / name / "artifact.json"
    if rewrite:
        expected.write_bytes(pretty(found))
    assert found == json.loads(expected.read_bytes()), "if that was meant, `make golden`"


def test_every_folder_is_a_case() -> None:
    folders = {path.parent.name for path in HERE.glob("*/modelpack.toml")}
    assert folders == set(CASES)


def test_a_large_file_is_a_layer_of_its_own(tmp_path: Path) -> None:
    folder, cache = make("large-file", tmp_path)
    built = build(folder, cache, CASES["large-file"])
    names = [made.step.name for made in built.images[0][2] if made.step.kind == "weights"]
    assert names == ["large.safetensors", "4 small files"]


def test_labels_show_the_exception_for_an_unsafe_file() -> None:
    assert labels("unsafe")["dev.modelpack.weights.unsafe"] == "weights.pickle vocabulary.pkl"
    assert "dev.modelpack.weights.unsafe" not in labels("minimal")


def test_no_repository_means_no_revision() -> None:
    own = labels("no-repository")
    assert not [name for name in own if name.endswith((".revision", "source.dirty"))]
    assert labels("minimal")["org.opencontainers.image.revision"] == REVISION


@pytest.mark.integration
@pytest.mark.slow
@pytest.mark.parametrize(
    ("example", "revision"), [("digits", "none"), ("minilm", "demo"), ("cuda-small", "none")]
)
def test_an_example_gives_its_digest(
    example: str,
    revision: str,
    tmp_path: Path,
    fresh_layers: Path,
    unavailable: Callable[[str], None],
    *,
    rewrite: bool,
) -> None:
    """The digest that the demo prints is the digest that was reviewed."""
    get_weights = EXAMPLES / example / "get_weights.py"
    if get_weights.exists():
        done = subprocess.run([sys.executable, get_weights], capture_output=True, check=False)
        if done.returncode:
            unavailable(f"the weights of {example} are not to be had")
    folder = tmp_path / example
    shutil.copytree(EXAMPLES / example, folder, ignore=shutil.ignore_patterns("dist", ".download"))
    done = subprocess.run(
        [sys.executable, "-m", "modelpack", "build", folder, "--locked", "-q",
         "--revision", revision],
        capture_output=True, text=True, check=False, env=projects.environment(fresh_layers),
    )  # fmt: skip
    if done.returncode == 3:
        unavailable(f"what {example} is made of is not to be had: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    record = json.loads((folder / "dist" / "build.json").read_bytes())
    found = {
        "digest": record["digest"],
        "sbom": digest_of((folder / "dist" / "sbom.cdx.json").read_bytes()),
        "layers": {f"{layer['step']} {layer['name']}": layer["digest"]
                   for layer in record["layers"]},
    }  # fmt: skip
    if rewrite:
        known = json.loads(EXAMPLE_DIGESTS.read_bytes()) if EXAMPLE_DIGESTS.exists() else {}
        EXAMPLE_DIGESTS.write_bytes(pretty({**known, example: found}))
    assert found == json.loads(EXAMPLE_DIGESTS.read_bytes())[example]


@pytest.fixture(scope="module")
def fresh_layers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that has what this user has downloaded, and no layer that other code has made."""
    downloads = cache_folder() / "downloads"
    downloads.mkdir(parents=True, exist_ok=True, mode=0o700)
    cache = tmp_path_factory.mktemp("cache")
    (cache / "downloads").symlink_to(downloads)
    return cache


def make(name: str, root: Path) -> tuple[Path, Path]:
    """Write the project of a case and its lock; return its folder and the cache."""
    case, folder, cache = CASES[name], root / "project", root / "cache"
    for path, size in case.sparse.items():
        projects.sparse_safetensors(folder / "weights" / path, size)
    projects.make_project(
        folder, cache, toml=(HERE / name / "modelpack.toml").read_text(encoding="utf-8"),
        weights=case.weights, files={**projects.CODE, **case.files}, packages=case.packages,
        wheels=case.wheels,
    )  # fmt: skip
    return folder, cache


def build(folder: Path, cache: Path, case: Case) -> Built:
    """Build the project into its layout, in this process."""
    this = project.read(folder)
    tags, names = image_names(this.spec, ())
    return pipeline.build(
        this, machine=projects.machine_of(cache),
        outputs=[outputs.parse(f"oci:{this.layout}", tags=tags, names=names)],
        options=pipeline.Options(locked=True, revision=case.revision),
    )  # fmt: skip


def documents(folder: Path, built: Built) -> dict[str, str]:
    """Return what is expected of a case, by file name."""
    layout = folder / "dist" / "image"
    store = Layout(layout)
    found = {
        "modelpack.lock": (folder / "modelpack.lock").read_text(encoding="utf-8"),
        "index.json": pretty(json.loads((layout / "index.json").read_bytes())).decode(),
        **{item.file: item.copy.decode() for item in built.evidence},
    }
    for prefix, one in (("", built.images[0]), ("weights-", built.weights)):
        if one is not None:
            found |= {f"{prefix}{name}": text for name, text in _of_image(store, *one).items()}
    return found


def _of_image(store: Layout, plan: Plan, image: Image, made: tuple[Made, ...]) -> dict[str, str]:
    steps = [{"kind": s.kind, "name": s.name, "digest": s.digest, "known": s.known,
              "inputs": plain(s.inputs)} for s in plan.steps]  # fmt: skip
    listing = []
    for item in made:
        listing.append(f"{item.step.kind} {item.step.name} {item.layer.diff_id}")
        listing += members(store.path_of(item.layer.blob.digest))
    return {
        "plan.json": pretty({**plan.as_json(), "steps": steps, "digest": plan.digest}).decode(),
        "config.json": pretty(json.loads(store.read(image.config_blob.digest))).decode(),
        "manifest.json": pretty(json.loads(store.read(image.digest))).decode(),
        "layers.txt": "\n".join([*listing, ""]),
    }


def members(layer: Path) -> Iterator[str]:
    """Yield a line for each member of a layer."""
    with tarfile.open(layer) as archive:
        for member in archive:
            target = f" -> {member.linkname}" if member.linkname else ""
            kind = {tarfile.DIRTYPE: "d", tarfile.SYMTYPE: "l", tarfile.LNKTYPE: "h"}
            yield (
                f"  {kind.get(member.type, '-')}{member.mode:04o} {member.uid}:{member.gid} "
                f"{member.size} {member.mtime} {member.name}{target}"
            )


def labels(name: str) -> dict[str, str]:
    """Return the labels that were reviewed."""
    config = json.loads((HERE / name / "config.json").read_bytes())
    return dict(config["config"]["Labels"])
