"""Archives and layouts as the programs see them that people have: Docker, podman, skopeo, crane."""

import hashlib
import json
import subprocess
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.docker_engine import Engine
from tests.integration.conftest import Packed

pytestmark = [pytest.mark.integration, pytest.mark.slow]

ARCHIVES = ["docker_archive", "oci_archive"]
INPUTS = [*ARCHIVES, "layout"]


@pytest.fixture(scope="module", params=["digits", "minilm"])
def image(request: pytest.FixtureRequest, packed: Callable[[str], Packed]) -> Packed:
    """Build an example into every kind of output."""
    return packed(request.param)


def run(*words: str | Path) -> bytes:
    """Run a program, which must succeed, and return what it printed."""
    done = subprocess.run([str(word) for word in words], capture_output=True, check=False)
    assert done.returncode == 0, f"{words[0]} {words[1]}: {done.stderr.decode()}"
    return done.stdout


def sha256(data: bytes) -> str:
    """Return the digest of some bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def blob(image: Packed, digest: str) -> bytes:
    """Return a blob of the layout."""
    return (image.layout / "blobs" / "sha256" / digest.removeprefix("sha256:")).read_bytes()


def diff_ids(image: Packed) -> Any:
    """Return the digests of the uncompressed layers that the configuration names."""
    return json.loads(blob(image, image.config))["rootfs"]["diff_ids"]


def test_compressed_layers_have_several_gzip_members(image: Packed) -> None:
    """What the programs below must then be able to read."""
    base = blob(image, image.record["layers"][0]["digest"])
    members = 0
    while base:
        member = zlib.decompressobj(zlib.MAX_WBITS | 16)
        member.decompress(base)
        assert member.eof
        base, members = member.unused_data, members + 1

    assert members > 1


@pytest.mark.parametrize("kind", ARCHIVES)
def test_docker_loads_it_under_its_own_digest(engine: Engine, image: Packed, kind: str) -> None:
    assert engine.ask("images", "--quiet") == ""  # layers that are there would not be read again

    engine.ask("load", "--input", str(getattr(image, kind)))
    found = engine.ask("inspect", "--format={{.Id}} {{json .RootFS.Layers}}", image.tag)
    engine.ask("rmi", "--force", image.tag)

    assert found == f"{image.config} {json.dumps(diff_ids(image), separators=(',', ':'))}"


@pytest.mark.parametrize("kind", ARCHIVES)
def test_podman_loads_it_under_its_own_digest(podman: list[str], image: Packed, kind: str) -> None:
    run(*podman, "load", "--input", getattr(image, kind))
    found = json.loads(run(*podman, "inspect", "--type=image", image.tag))[0]

    assert f"sha256:{found['Id']}" == image.config
    assert found["RootFS"]["Layers"] == diff_ids(image)
    assert found["User"] == "10001:0"


def source(image: Packed, kind: str) -> str:
    """Return what skopeo calls an output."""
    if kind == "layout":
        return f"oci:{image.layout}:1.0.0"
    return f"{kind.replace('_', '-')}:{getattr(image, kind)}"


@pytest.mark.parametrize("kind", INPUTS)
def test_skopeo_copies_it(
    require_tool: Callable[[str], str], tmp_path: Path, image: Packed, kind: str
) -> None:
    skopeo = [require_tool("skopeo"), "--insecure-policy"]

    run(*skopeo, "copy", source(image, kind), f"dir:{tmp_path / 'copy'}")
    manifest = json.loads((tmp_path / "copy" / "manifest.json").read_bytes())

    assert manifest["config"]["digest"] == image.config
    config = json.loads(run(*skopeo, "inspect", "--config", "--raw", source(image, kind)))
    assert config["rootfs"]["diff_ids"] == diff_ids(image)


@pytest.mark.parametrize("kind", ["oci_archive", "layout"])
def test_skopeo_keeps_the_digest_of_the_manifest(
    require_tool: Callable[[str], str], tmp_path: Path, image: Packed, kind: str
) -> None:
    skopeo = [require_tool("skopeo"), "--insecure-policy"]
    target = tmp_path / "copy"

    run(*skopeo, "copy", "--preserve-digests", source(image, kind), f"oci:{target}:again")
    manifest = run(*skopeo, "inspect", "--raw", f"oci:{target}:again")

    assert sha256(manifest) == image.record["digest"]
    for layer in image.record["layers"]:
        copied = target / "blobs" / "sha256" / layer["digest"].removeprefix("sha256:")
        assert sha256(copied.read_bytes()) == layer["digest"]


@pytest.mark.parametrize("kind", ARCHIVES)
def test_crane_finds_manifest_and_configuration_right(
    go_tool: Callable[[str], str], image: Packed, kind: str
) -> None:
    # Without --fast it unzips every layer, whatever its media type: images with uncompressed
    # layers, as weights are, fail it in every store. The test below reads them.
    said = run(go_tool("crane"), "validate", "--fast", "--tarball", getattr(image, kind))

    assert b"PASS" in said


@pytest.mark.parametrize("kind", ARCHIVES)
def test_crane_reads_the_weights_byte_for_byte(
    go_tool: Callable[[str], str], tmp_path: Path, image: Packed, kind: str
) -> None:
    crane = go_tool("crane")
    with getattr(image, kind).open("rb") as archive, (tmp_path / "all").open("wb") as exported:
        subprocess.run([crane, "export", "-", "-"], stdin=archive, stdout=exported, check=True)
    weights = image.project / "weights"
    wanted = {f"models/{image.project.name}/{path.name}": path for path in weights.iterdir()}

    with tarfile.open(tmp_path / "all") as files:
        found = {member.name: member for member in files if member.name in wanted}
        assert found.keys() == wanted.keys()
        for name, member in found.items():
            stream = files.extractfile(member)
            assert stream is not None
            assert stream.read() == wanted[name].read_bytes()


@pytest.mark.parametrize("kind", ARCHIVES)
@pytest.mark.parametrize("tar", ["tar", "bsdtar"])
def test_tar_lists_the_archive(
    require_tool: Callable[[str], str], image: Packed, kind: str, tar: str
) -> None:
    listed = run(require_tool(tar), "-tf", getattr(image, kind)).decode().split()
    wanted = {layer["digest"] for layer in image.record["layers"]} | {image.config}

    assert {"manifest.json", "index.json", "oci-layout"} <= set(listed)
    assert {f"blobs/sha256/{digest.removeprefix('sha256:')}" for digest in wanted} <= set(listed)
