"""Model artifacts with real programs: kit unpacks ours, the specification's schema accepts them."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from modelpack.digest import Digest, hex_of
from modelpack.oci.layout import Layout
from tests import projects
from tests.command_line import Done, run, run_here
from tests.counting_proxy import counting
from tests.images import image, put
from tests.registries import RunningRegistry, running

TOML = projects.TOML.replace(
    'version = "1.0.0"\n', 'version = "1.0.0"\nlicense = "MIT"\narchitecture = "mlp"\n', 1
)
LARGE = 64_000_000
"bytes: a layer of its own"
LINK = "dev.modelpack.image.digest"


@pytest.fixture(scope="module")
def registry(
    tmp_path_factory: pytest.TempPathFactory,
    go_tool: Callable[[str], str],
    require_tool: Callable[[str], str],
) -> Iterator[RunningRegistry]:
    folder = tmp_path_factory.mktemp("registry")
    with running("distribution-3", folder, go_tool=go_tool, require_tool=require_tool) as started:
        yield started


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one weight file that is a layer of its own, built; and its cache."""
    root = tmp_path_factory.mktemp("site")
    folder = root / "project"
    projects.sparse_safetensors(folder / "weights" / "large.safetensors", LARGE)
    projects.make_project(folder, root / "cache", toml=TOML)
    built = run("build", folder, "--locked", "--offline", cache=root / "cache")
    assert built.status == 0, built.err
    return root


@pytest.fixture
def typed(
    site: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Done]:
    """Return how to type commands on the machine of the site."""
    monkeypatch.setenv("MODELPACK_CACHE", str(site / "cache"))
    monkeypatch.setenv("MODELPACK_CONFIG", str(site / "none.toml"))

    def type_in(*words: object) -> Done:
        done = run_here(capsys, *words)
        assert done.status == 0, done.err
        return done

    return type_in


@pytest.fixture
def kit(go_tool: Callable[[str], str], tmp_path: Path) -> Callable[..., None]:
    """Return a way to run kit in a home of its own."""
    program = go_tool("kit")
    home = {**os.environ, "HOME": str(tmp_path / "home"), "KITOPS_HOME": str(tmp_path / "kitops")}
    (tmp_path / "home").mkdir()

    def ran(*words: object) -> None:
        done = subprocess.run(
            [program, *map(str, words)], env=home, capture_output=True, check=False, timeout=120,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()

    return ran


def document(layout: Path, digest: str) -> Any:
    return json.loads((layout / "blobs" / "sha256" / hex_of(Digest(digest))).read_bytes())


def same_files(one: Path, other: Path) -> bool:
    done = subprocess.run(["diff", "--recursive", str(one), str(other)], check=False)
    return done.returncode == 0


def test_kit_unpacks_the_same_files(
    site: Path, typed: Callable[..., Done], registry: RunningRegistry, kit: Callable[..., None],
    tmp_path: Path,
) -> None:  # fmt: skip
    name = f"{registry.repository()}:1.0.0"
    typed("push", "--artifact", "modelpack", site / "project", name)
    kit("unpack", "--plain-http", name, "-d", tmp_path / "out")
    assert same_files(tmp_path / "out" / "models" / "tiny", site / "project" / "weights")
    assert same_files(tmp_path / "out" / "app" / "service", site / "project" / "service")
    assert (tmp_path / "out" / "usr" / "share" / "modelpack" / "lock.json").is_file()
    mode = (tmp_path / "out" / "models" / "tiny" / "large.safetensors").stat().st_mode
    assert mode & 0o777 == 0o644


def test_the_specification_takes_the_configuration(
    site: Path, typed: Callable[..., Done], go_tool: Callable[[str], str], tmp_path: Path
) -> None:
    digest = typed("copy", "--artifact", "modelpack", site / "project", f"oci:{tmp_path / 'a'}")
    manifest = document(tmp_path / "a", digest.out.strip())
    config = document(tmp_path / "a", manifest["config"]["digest"])

    def accepted(value: object) -> bool:
        done = subprocess.run(
            [go_tool("modelspec")], input=json.dumps(value).encode(), capture_output=True,
            check=False,
        )  # fmt: skip
        return done.returncode == 0

    assert accepted(config)
    assert config["descriptor"]["licenses"] == ["MIT"]
    assert config["config"]["format"] == "safetensors"
    assert not accepted({**config, "modelfs": {"type": "layers", "diffIds": []}})
    assert not accepted({**config, "made": "up"})


def test_one_image_one_artifact_in_the_same_blobs(
    site: Path, typed: Callable[..., Done], registry: RunningRegistry, tmp_path: Path
) -> None:
    project = site / "project"
    first = typed("copy", "--artifact", "modelpack", project, f"oci:{tmp_path / 'a'}", "--json")
    again = typed("copy", "--artifact", "modelpack", project, f"oci:{tmp_path / 'b'}", "--json")
    assert first.document["digest"] == again.document["digest"]
    assert first.document["tags"] == ["1.0.0-modelpack"]
    assert first.document["referrers"] == 1
    name = f"{registry.repository()}:1.0.0"
    typed("push", project, name)
    pushed = typed("push", "--artifact", "modelpack", name, f"{name}-modelpack")
    assert pushed.out.strip() == first.document["digest"]

    image = Layout(project / "dist" / "image").resolve("")
    manifest = document(tmp_path / "a", first.document["digest"])
    assert manifest["annotations"] == {LINK: image.digest}
    layers = document(project / "dist" / "image", image.digest)["layers"]
    weights = [layer["digest"] for layer in layers[2:4]]
    assert [layer["digest"] for layer in manifest["layers"][:2]] == weights
    assert manifest["layers"][0]["annotations"]["org.cncf.model.filepath"] == (
        "models/tiny/large.safetensors"
    )


def test_beside_the_image_in_its_layout_it_is_not_in_the_way(
    typed: Callable[..., Done], tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    project = projects.make_project(tmp_path / "project", cache)
    assert run("build", project, "--locked", "--offline", cache=cache).status == 0
    layout = project / "dist" / "image"
    blobs = len(list((layout / "blobs" / "sha256").iterdir()))
    image = typed("inspect", project, "--json").document["digest"]
    for tag in ("", ":model"):
        typed("copy", "--artifact", "modelpack", project, f"oci:{layout}{tag}")
    assert typed("inspect", project, "--json").document["digest"] == image
    typed("inspect", f"oci:{layout}:1.0.0-modelpack")
    # Manifest, configuration, and the statement's manifest and list: no layer.
    assert len(list((layout / "blobs" / "sha256").iterdir())) == blobs + 4


def test_the_weights_by_digest_stand_beside_it(
    site: Path, typed: Callable[..., Done], tmp_path: Path
) -> None:
    typed("copy", "--artifact", "modelpack", site / "project", f"oci:{tmp_path / 'a'}")
    layout = Layout(tmp_path / "a")
    artifact = layout.resolve("1.0.0-modelpack")
    (oms,) = layout.referrers(artifact.digest)
    content = layout.image(oms.digest).layers[0]
    assert json.loads(layout.read(content))["predicateType"].startswith("https://model_signing/")
    beside = Layout(site / "project" / "dist" / "image")
    image = beside.resolve("")
    own = [beside.image(one.digest).layers[0].digest for one in beside.referrers(image.digest)]
    assert content.digest in own


def test_no_weight_travels_where_the_registry_has_it(
    site: Path, registry: RunningRegistry, tmp_path: Path
) -> None:
    name = f"{registry.repository()}:1.0.0"
    assert run("push", site / "project", name, cache=site / "cache").status == 0
    # Another machine: the lock, the code, and no weights.
    desk, cache = tmp_path / "desk", tmp_path / "cache"
    shutil.copytree(site / "project", desk, ignore=shutil.ignore_patterns("weights", "dist"))
    shutil.copytree(site / "cache", cache, ignore=shutil.ignore_patterns("uploads", "digests"))
    with counting(registry.address) as door:
        through = name.replace(registry.address, door.address)
        built = run("build", desk, "--locked", "--push", "--tag", through, cache=cache)
        assert built.status == 0, built.err
        pushed = run("push", "--artifact", "modelpack", through, f"{through}-model", cache=cache)
        assert pushed.status == 0, pushed.err
        assert door.sent < LARGE // 8
        assert door.received < LARGE // 8
    other = f"{registry.repository()}:1.0.0"
    with counting(registry.address) as door:
        names = [one.replace(registry.address, door.address) for one in (name, other)]
        mounted = run("push", "--artifact", "modelpack", *names, cache=cache)
        assert mounted.status == 0, mounted.err
        assert mounted.out == pushed.out
        assert door.sent + door.received < LARGE // 8


def test_mounted_weights_come_from_their_image(
    registry: RunningRegistry, kit: Callable[..., None], tmp_path: Path
) -> None:
    toml = TOML.replace('path = "weights"', 'path = "weights"\nmode = "mount"')
    cache = tmp_path / "cache"
    project = projects.make_project(tmp_path / "project", cache, toml=toml)
    assert run("build", project, "--locked", "--offline", cache=cache).status == 0
    name = f"{registry.repository()}:1.0.0"
    pushed = run("push", "--artifact", "modelpack", project, name, cache=cache)
    assert pushed.status == 0, pushed.err
    kit("unpack", "--plain-http", name, "-d", tmp_path / "out")
    assert same_files(tmp_path / "out" / "models" / "tiny", project / "weights")


def test_an_image_of_others_is_refused(typed: Callable[..., Done], tmp_path: Path) -> None:
    with Layout(tmp_path / "theirs") as layout:
        put(layout, image("a"), "1.0")
    done = run("copy", "--artifact", "modelpack", f"oci:{tmp_path / 'theirs'}",
               f"oci:{tmp_path / 'x'}", cache=tmp_path / "cache")  # fmt: skip
    assert done.status == 2
    assert "does not say which weights" in done.err
    assert not (tmp_path / "x").exists()


KITFILE = """\
manifestVersion: 1.0.0
package: {name: theirs, version: 0.3.0, license: MIT, authors: [somebody]}
model: {name: theirs, path: PATH, framework: torch, format: safetensors}
docs:
- path: README.md
"""


@pytest.mark.parametrize(
    ("options", "path", "kind"),
    [
        (("--use-model-pack",), "weights", "modelpack"),
        (("--use-model-pack", "--layer-format", "raw"), "weights/large.safetensors", "modelpack"),
        ((), "weights", "kitops"),
    ],
    ids=["modelpack", "raw", "kit"],
)
def test_what_kit_packs_is_inspected_by_range(
    site: Path, typed: Callable[..., Done], registry: RunningRegistry, kit: Callable[..., None],
    tmp_path: Path, options: tuple[str, ...], path: str, kind: str,
) -> None:  # fmt: skip
    folder = tmp_path / "theirs"
    shutil.copytree(site / "project" / "weights", folder / "weights", copy_function=os.link)
    (folder / "Kitfile").write_text(KITFILE.replace("PATH", path), "utf-8")
    (folder / "README.md").write_text("theirs", "utf-8")
    name = f"{registry.repository()}:1"
    kit("pack", folder, "-t", name, *options)
    kit("push", "--plain-http", name)
    with counting(registry.address) as door:
        shown = typed("inspect", name.replace(registry.address, door.address), "--json").document
        assert door.received < LARGE // 8
    assert shown["artifact"]["kind"] == kind
    assert (shown["model"]["name"], shown["model"]["license"]) == ("theirs", "MIT")
    assert shown["artifact"]["format"] == "safetensors"
    large = next(f for f in shown["weights"] if f["path"] == "weights/large.safetensors")
    assert large["parameters"] == LARGE
    assert [layer["content"] for layer in shown["layers"]] == [path, "README.md"]
    assert shown["findings"] == []
    text = typed("inspect", name).out
    assert "large.safetensors" in text
    assert "somebody" in text


def test_our_own_artifact_says_what_its_image_says(
    site: Path, typed: Callable[..., Done], tmp_path: Path
) -> None:
    image = typed("inspect", site / "project", "--json").document
    typed("copy", "--artifact", "modelpack", site / "project", f"oci:{tmp_path / 'a'}")
    shown = typed("inspect", f"oci:{tmp_path / 'a'}", "--json").document
    assert shown["artifact"]["images"] == [image["digest"]]
    assert shown["weights"] == image["weights"]
    assert shown["model"]["license"] == "MIT"
    assert [one["kind"] for one in shown["referrers"]] == ["oms"]
    assert shown["findings"] == shown["unknown"] == []
    assert image["artifact"] is None
    lock = typed("inspect", f"oci:{tmp_path / 'a'}", "--raw", "lock").out
    assert json.loads(lock)["weights"]


@pytest.mark.parametrize(
    ("options", "path"),
    [
        (("--use-model-pack",), "weights"),
        (("--use-model-pack", "--layer-format", "raw"), "weights/large.safetensors"),
        (("--use-model-pack", "--compression", "gzip"), "weights"),
        ((), "weights"),
    ],
    ids=["modelpack", "raw", "gzip", "kit"],
)
def test_what_kit_packs_is_a_source_of_weights(
    site: Path, registry: RunningRegistry, kit: Callable[..., None], tmp_path: Path,
    options: tuple[str, ...], path: str,
) -> None:  # fmt: skip
    theirs, project, cache = (tmp_path / name for name in ("theirs", "project", "cache"))
    shutil.copytree(site / "project" / "weights", theirs / "weights", copy_function=os.link)
    (theirs / "Kitfile").write_text(KITFILE.replace("PATH", path), "utf-8")
    (theirs / "README.md").write_text("theirs", "utf-8")
    name = f"{registry.repository()}:1"
    kit("pack", theirs, "-t", name, *options)
    kit("push", "--plain-http", name)
    shutil.copytree(site / "project", project, ignore=shutil.ignore_patterns("weights", "dist"))
    shutil.copytree(site / "cache", cache, ignore=shutil.ignore_patterns("uploads", "digests"))
    with counting(registry.address) as door:
        through = name.replace(registry.address, door.address)
        toml = TOML.replace('path = "weights"', f'source = "{through}"')
        (project / "modelpack.toml").write_text(toml, "utf-8")
        locked = run("lock", project, cache=cache)
        assert locked.status == 0, locked.err
        # Nobody names the files of a tar by digest: it is read once to prove them, and once more.
        assert door.received < 2.5 * LARGE
        shutil.rmtree(cache / "weights")
        shutil.rmtree(cache / "digests")
        built = run("build", project, "--locked", "--json", cache=cache)
        assert built.status == 0, built.err
    lock = json.loads((project / "modelpack.lock").read_text("utf-8"))["weights"][0]
    own = json.loads((site / "project" / "modelpack.lock").read_text("utf-8"))["weights"][0]
    wanted = [file for file in own["files"] if path in ("weights", f"weights/{file['path']}")]
    assert lock["files"] == wanted
    layers = [layer for layer in built.document["layers"] if layer["step"] == "weights"]
    expected = {file["layer"] for file in wanted} - {None}
    expected |= {own["bundle"]} if path == "weights" else set()
    assert {layer["diff_id"] for layer in layers} == expected
    assert {layer["proof"] for layer in layers} == {"hashed"}


def test_our_own_artifact_is_a_source_like_its_image(
    site: Path, typed: Callable[..., Done], tmp_path: Path
) -> None:
    typed("copy", "--artifact", "modelpack", site / "project", f"oci:{tmp_path / 'artifact'}")
    project, cache = tmp_path / "project", tmp_path / "cache"
    shutil.copytree(site / "project", project, ignore=shutil.ignore_patterns("weights", "dist"))
    toml = TOML.replace('path = "weights"', 'source = "oci:../artifact:1.0.0-modelpack"')
    (project / "modelpack.toml").write_text(toml, "utf-8")
    shutil.copytree(site / "cache", cache, ignore=shutil.ignore_patterns("uploads", "digests"))
    locked = run("lock", project, cache=cache)
    assert locked.status == 0, locked.err
    built = run("build", project, "--locked", "--json", cache=cache)
    assert built.status == 0, built.err
    image = typed("inspect", site / "project", "--json").document
    weights = [layer["diff_id"] for layer in built.document["layers"] if layer["step"] == "weights"]
    assert weights == [one["diff_id"] for one in image["layers"] if one["kind"] == "weights"]


@pytest.mark.parametrize(
    "words",
    [("sbom",), ("scan",), ("rebuild", "--source", "."), ("run", "--print"),
     ("copy", "--artifact", "modelpack"), ("copy", "--buildkit-attestations")],
    ids=lambda words: words[0] + words[-1],
)  # fmt: skip
def test_what_wants_an_image_says_that_an_artifact_is_none(
    site: Path, typed: Callable[..., Done], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
) -> None:  # fmt: skip
    typed("copy", "--artifact", "modelpack", site / "project", f"oci:{tmp_path / 'a'}")
    image = Layout(site / "project" / "dist" / "image").resolve("").digest
    target = (f"oci:{tmp_path / 'x'}",) if words[0] == "copy" else ()
    done = run_here(capsys, *words, f"oci:{tmp_path / 'a'}", *target)
    assert done.status == 2, done.err
    assert "a model artifact, not a container image" in done.err
    assert image in done.err
