"""On a file system that can share disk blocks, a layer of weights takes no room of its own."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from images import nothing

from modelpack import spec
from modelpack.inputs.file_digests import FileDigests
from modelpack.inputs.weights import find, layer_of, measure
from modelpack.lock import OWN_LAYER
from modelpack.oci import archive, file_writing
from modelpack.oci.image import Image
from modelpack.oci.layout import Layout
from modelpack.oci.store import Root
from modelpack.oci.tar import FileRange
from modelpack.platform import Platform

pytestmark = pytest.mark.integration
SIZE = OWN_LAYER + 4321


@pytest.fixture
def disk(require_tool: Callable[[str], str], tmp_path: Path) -> Iterator[Path]:
    """Return a folder on a fresh XFS."""
    image, folder = tmp_path / "xfs.img", tmp_path / "xfs"
    folder.mkdir()
    with image.open("wb") as stream:
        stream.truncate(400 << 20)
    subprocess.run([require_tool("mkfs.xfs"), "-q", str(image)], check=True)
    mount = subprocess.run(
        ["mount", "-o", "loop", str(image), str(folder)], capture_output=True, check=False
    )
    if mount.returncode:
        pytest.skip("this user or machine cannot mount an image of a disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def used(folder: Path) -> int:
    os.sync()
    status = os.statvfs(folder)
    return (status.f_blocks - status.f_bfree) * status.f_frsize


@pytest.mark.parametrize("young", [False, True])
def test_layout_and_archive_share_the_blocks_of_the_weights(
    disk: Path, young: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_writing, "_YOUNG", 10**10 if young else -(10**10))
    (disk / "weights").mkdir()
    shard = disk / "weights" / "a.safetensors"
    shard.write_bytes((os.urandom(4099) * (SIZE // 4099 + 1))[:SIZE])
    before = used(disk)
    (file,) = find(disk, spec.Weights(path="weights")).files
    digests = FileDigests(disk / "cache")
    with Layout(disk / "out", known=digests) as layout:
        measured = measure(
            file, destination="/models/a", digests=digests, into=layout, advance=nothing
        )
        image = Image(
            platform=Platform("linux", "amd64"),
            config={},
            created=0,
            layers=(layer_of("/models/a", measured, file.source),),
        )
        layout.write_all(image.blobs, nothing)
        layout.commit([Root(manifest=image.manifest_blob, tags=("1",))])
    archive.write(
        disk / "image.tar",
        image.manifest_blob,
        image.blobs,
        kind="docker-archive",
        names=("a:1",),
        advance=nothing,
    )
    assert used(disk) - before < SIZE // 10
    assert Layout(disk / "out").has(image.layers[0].blob.descriptor)


def test_copy_for_a_build_context_shares_the_blocks_whatever_its_mode(disk: Path) -> None:
    shard = disk / "a.safetensors"
    shard.write_bytes((os.urandom(4099) * (SIZE // 4099 + 1))[:SIZE])
    shard.chmod(0o600)
    before = used(disk)

    shared = file_writing.share_file(
        str(disk / "copy"), FileRange(path=str(shard), size=SIZE), 0o644, nothing
    )

    assert shared
    assert used(disk) - before < SIZE // 10
    assert (disk / "copy").read_bytes() == shard.read_bytes()
    assert (disk / "copy").stat().st_mode & 0o777 == 0o644
    assert (disk / "copy").stat().st_ino != shard.stat().st_ino
