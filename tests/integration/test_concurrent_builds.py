"""Builds that run at the same time do not harm each other, whatever they share."""

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from modelpack.digest import of as digest_of
from modelpack.oci import compression
from modelpack.oci.content import identity
from modelpack.oci.layer import StoredFile
from modelpack.oci.layer_cache import LayerCache
from modelpack.oci.layout import Layout
from modelpack.oci.referrers import KIND, tag_for
from modelpack.oci.tar import Entry
from tests import projects

ROUNDS = 6
NOISE = {
    "config.json": b"{}\n",
    "model.safetensors": projects.safetensors({"w": random.Random(1).randbytes(8_000_000)}),
}


def make(root: Path, name: str, *, version: str = "1.0.0", code: str = "same") -> Path:
    """Return a project; all of `root` share a cache."""
    return projects.make_project(
        root / name, root / "cache", weights=NOISE,
        toml=projects.TOML.replace('version = "1.0.0"', f'version = "{version}"'),
        files={**projects.CODE, "service/__main__.py": f"print({code!r})\n".encode()},
    )  # fmt: skip


def start(cache: Path, folder: Path, *options: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        projects.command(folder, *options), text=True, env=projects.environment(cache),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def run_together(cache: Path, commands: Sequence[Sequence[str]]) -> list[str]:
    """Run builds at the same time, all of which must end well; return what they print."""
    running = [start(cache, Path(folder), *options) for folder, *options in commands]
    ended = [build.communicate(timeout=120) for build in running]
    for build, (_, said) in zip(running, ended, strict=True):
        assert build.returncode == 0, said
    return [out.strip() for out, _ in ended]


def forget(cache: Path) -> None:
    """Remove all but the downloads."""
    for name in ("blobs", "steps", "digests", "contents", "components"):
        shutil.rmtree(cache / name, ignore_errors=True)


def check_cache(cache: Path) -> None:
    """Every finished layer has the name of its content, and nothing half-made is left."""
    for path in (cache / "blobs" / "sha256").iterdir():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
    assert [path for path in (cache / "steps").iterdir() if path.name.startswith(".")] == []
    assert list(cache.glob("scratch/*")) == []


def tags(layout: Path) -> set[tuple[str, str]]:
    """Return the tags of a layout and what they name."""
    assert projects.damage(layout) == []
    assert projects.strangers(layout, {"oci-layout", "index.json", "blobs"}) == []
    name = "org.opencontainers.image.ref.name"
    store = Layout(layout)
    entries = {(d.annotations[name], d.digest) for d in store.manifests()}
    images = {(tag, digest) for tag, digest in entries if not tag.startswith("sha256-")}
    assert {tag for tag, _ in entries - images} == {tag_for(digest) for _, digest in images}
    for _, digest in images:
        kinds = [entry.annotations[KIND] for entry in store.referrers(digest)]
        assert kinds == ["sbom", "provenance", "oms"]
    return images


@pytest.mark.parametrize("option", ["", "--no-cache"])
def test_one_project_twice(tmp_path: Path, option: str) -> None:
    project, cache = make(tmp_path, "project"), tmp_path / "cache"
    expected = projects.digest_of(project, cache)
    words = [str(project), *option.split()]
    for number in range(ROUNDS):
        if number % 2:
            shutil.rmtree(project / "dist")
            forget(cache)
        assert run_together(cache, [words, words]) == [expected, expected]
        assert tags(project / "dist" / "image") == {("1.0.0", expected)}
        assert projects.strangers(project / "dist", projects.DIST) == []
    check_cache(cache)


def test_one_project_while_its_code_changes(tmp_path: Path) -> None:
    project, cache = make(tmp_path, "project"), tmp_path / "cache"
    code = project / "service" / "__main__.py"
    digests = {}
    for text in ("first", "second"):
        code.write_text(text)
        digests[text] = projects.digest_of(project, cache)
    for _ in range(ROUNDS):
        running = []
        for text in ("first", "second"):
            code.write_text(text)
            running.append(start(cache, project))
        for build in running:
            out, said = build.communicate(timeout=120)
            assert build.returncode == 0, said
            assert out.strip() in digests.values()
        ((_, last),) = tags(project / "dist" / "image")
        assert last in digests.values()


def test_two_versions_into_one_layout(tmp_path: Path) -> None:
    """A project and its next version, with other code: both are there in the end."""
    cache, layout = tmp_path / "cache", tmp_path / "layout"
    folders = [make(tmp_path, "a"), make(tmp_path, "b", version="2.0.0", code="other")]
    expected = [projects.digest_of(folder, cache) for folder in folders]
    for number in range(ROUNDS):
        shutil.rmtree(layout, ignore_errors=True)
        if number % 2:
            forget(cache)
        words = [[str(folder), "--output", f"oci:{layout}"] for folder in folders]
        assert run_together(cache, words) == expected
        assert tags(layout) == set(zip(("1.0.0", "2.0.0"), expected, strict=True))
    check_cache(cache)


def image_in(archive: Path) -> str:
    """Return the digest of the image in an archive whose every blob is what its name says."""
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            folder, _, name = member.name.rpartition("/")
            if folder == "blobs/sha256":
                data = tar.extractfile(member)
                assert data is not None
                assert hashlib.sha256(data.read()).hexdigest() == name
        index = tar.extractfile("index.json")
        assert index is not None
        return str(json.load(index)["manifests"][0]["digest"])


def test_one_name_is_one_of_both(tmp_path: Path) -> None:
    cache, layout, archive = tmp_path / "cache", tmp_path / "layout", tmp_path / "image.tar"
    folders = [make(tmp_path, "a"), make(tmp_path, "b", code="other")]
    outputs = ["--output", f"oci:{layout}", "--output", f"oci-archive:{archive}"]
    whole = set()
    for folder in folders:
        projects.build(folder, cache, *outputs[2:])
        whole.add(image_in(archive))
    for _ in range(ROUNDS):
        digests = run_together(cache, [[str(folder), *outputs] for folder in folders])
        ((tag, digest),) = tags(layout)
        assert tag == "1.0.0"
        assert digest in digests
        assert image_in(archive) in whole
        assert projects.strangers(tmp_path, {"a", "b", "cache", "layout", "image.tar"}) == []


@pytest.mark.slow
def test_projects_that_share_a_cold_cache(tmp_path: Path) -> None:
    """Every build makes the same base and dependencies, while another one reads them."""
    cache = tmp_path / "cache"
    folders = [make(tmp_path, f"project-{i}", code=f"{i % 2}") for i in range(4)]
    expected = [projects.digest_of(folder, cache) for folder in folders]
    for number in range(ROUNDS):
        forget(cache)
        options = ["--no-cache"] if number % 2 else []
        found = run_together(cache, [[str(folder), *options] for folder in folders])
        assert found == expected
        for folder, digest in zip(folders, expected, strict=True):
            assert tags(folder / "dist" / "image") == {("1.0.0", digest)}
    check_cache(cache)


def test_a_layer_that_is_made_twice_stays_the_same_file(tmp_path: Path) -> None:
    """Another build may be reading it: a file that is replaced counts as changed."""
    machine = projects.machine_of(tmp_path)
    layers = LayerCache(tmp_path, known=machine.digests, use=False)
    compressor = compression.current("gzip")
    found = []
    for step in ("one", "another"):
        layer = layers.make(
            digest_of(step.encode()), [Entry(path="a", content=b"a" * 10_000)], compressor,
            created_by="test", threads=1,
        )  # fmt: skip
        assert isinstance(layer.blob.origin, StoredFile)
        found.append(identity(os.stat(layer.blob.origin.path)))
    assert found[0] == found[1]
    check_cache(tmp_path)


def test_pruning_beside_a_build_waits_or_leaves_it_alone(tmp_path: Path) -> None:
    project, cache = make(tmp_path, "project"), tmp_path / "cache"
    expected = projects.digest_of(project, cache)
    for _ in range(ROUNDS):
        for name in ("blobs", "steps", "digests", "contents", "components"):
            for path in (cache / name).rglob("*"):
                os.utime(path, (0, 0))
        build = start(cache, project, "--no-cache")
        prune = subprocess.run(
            [sys.executable, "-m", "modelpack", "cache", "prune", "--max-size", "1 B"], check=False,
            env=projects.environment(cache), capture_output=True, text=True,
        )  # fmt: skip
        out, said = build.communicate(timeout=120)
        assert (build.returncode, out.strip()) == (0, expected), said
        assert prune.returncode in (0, 3), prune.stderr
    assert tags(project / "dist" / "image") == {("1.0.0", expected)}
