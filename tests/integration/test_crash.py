"""Killed at any moment, a disk that is full, a disk that cannot be read: the old image is whole.

This half is about the store; the other half about the whole `build`.
"""

import errno
import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from images import nothing, put

from modelpack.digest import Digest, hex_of, of_hex
from modelpack.errors import InputError, Unavailable
from modelpack.oci import content
from modelpack.oci.image import Image
from modelpack.oci.layer import TAR, Blob, Descriptor, Layer, Pieces
from modelpack.oci.layout import Layout
from modelpack.oci.tar import FileRange
from modelpack.platform import Platform

ROUNDS = 100
LAYERS = 6
SIZE = 3 << 20

WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from test_crash import sample, write
print("ready", flush=True)
write(Path(sys.argv[1]), sample(Path(sys.argv[2])))
"""


def sample(folder: Path) -> Image:
    """Return an image with a layer for each file of `folder`."""
    layers = []
    for path in sorted(folder.iterdir()):
        digest = of_hex(path.suffix[1:])
        size = path.stat().st_size
        layers.append(
            Layer(
                blob=Blob(
                    descriptor=Descriptor(media_type=TAR, digest=digest, size=size),
                    origin=Pieces((FileRange(path=str(path), size=size),)),
                ),
                diff_id=digest,
                created_by="test",
            )
        )
    return Image(platform=Platform("linux", "amd64"), config={}, created=0, layers=tuple(layers))


def sources(folder: Path, seed: int) -> Path:
    """Write source files whose digests are in their names."""
    folder.mkdir()
    for number in range(LAYERS):
        data = random.Random(seed * 100 + number).randbytes(1 << 16) * (SIZE >> 16)
        name = hex_of(Digest("sha256:" + hashlib.sha256(data).hexdigest()))
        (folder / f"{number}.{name}").write_bytes(data)
    return folder


def write(root: Path, image: Image) -> None:
    with Layout(root) as layout:
        layout.write_all(image.blobs, nothing)
        put(layout, image, "1")


def check_whole(root: Path) -> Digest:
    """Check every blob that the index reaches, and return the image that it names."""
    layout = Layout(root)
    descriptor = layout.resolve("1")
    for child in layout.image(descriptor.digest).children:
        assert layout.has(child), child
    return descriptor.digest


def names(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}


@pytest.mark.slow
@pytest.mark.integration
def test_killed_at_random_moments_the_layout_is_always_whole(tmp_path: Path) -> None:
    old, new = (sample(sources(tmp_path / f"source{n}", n)) for n in (1, 2))
    root, fresh = tmp_path / "out", tmp_path / "fresh"
    write(fresh, new)
    write(root, old)
    reached = 0
    dice = random.Random(7)
    for round_number in range(ROUNDS):
        target = round_number % 2
        source = tmp_path / f"source{2 - target}"
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(root), str(source), str(Path(__file__).parent)],
            stdout=subprocess.PIPE,
            start_new_session=True,
            env={
                **os.environ,
                "PYTHONPATH": (os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])),
            },
        )
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(dice.random() * 0.08)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()
        assert check_whole(root) in (old.digest, new.digest)
        stray = {name for name in names(root) if name.startswith("ingest/")}
        reached += bool(stray)
        assert len(stray) <= LAYERS + 2
    assert reached, "no kill hit a write in progress"
    write(root, new)
    assert check_whole(root) == new.digest
    assert names(root) == names(fresh)
    assert {path.name for path in tmp_path.iterdir()} == {"out", "fresh", "source1", "source2"}


@pytest.mark.integration
def test_a_disk_that_is_full_leaves_the_old_image(tmp_path: Path) -> None:
    root, disk = tmp_path / "disk" / "out", tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={int(LAYERS * SIZE * 1.5)}", "tmpfs", str(disk)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("this user cannot mount a small disk")
    try:
        old, new = (sample(sources(tmp_path / f"source{n}", n)) for n in (1, 2))
        write(root, old)
        before = names(root)
        with pytest.raises(Unavailable, match="No space left"):
            write(root, new)
        assert names(root) == before
        assert check_whole(root) == old.digest
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_limit_on_file_size_is_told_and_leaves_the_old_image(tmp_path: Path) -> None:
    old, new = (sample(sources(tmp_path / f"source{n}", n)) for n in (1, 2))
    write(tmp_path / "out", old)
    limited = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({SIZE // 2}, {SIZE // 2}));" + WRITER
    )
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            limited,
            str(tmp_path / "out"),
            str(tmp_path / "source2"),
            str(Path(__file__).parent),
        ],
        capture_output=True,
        check=False,
        env={
            **os.environ,
            "PYTHONPATH": (os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])),
        },
    )
    assert b"File too large" in done.stderr
    assert check_whole(tmp_path / "out") == old.digest
    write(tmp_path / "out", new)
    assert check_whole(tmp_path / "out") == new.digest


@pytest.mark.parametrize("fails_at", [0, 1, 7, 30])
def test_a_read_error_names_the_file_and_leaves_the_old_image(
    tmp_path: Path, fails_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = (sample(sources(tmp_path / f"source{n}", n)) for n in (1, 2))
    root = tmp_path / "out"
    write(root, old)
    before = names(root)
    real, calls = os.preadv, iter(range(10_000))

    def preadv(file: int, buffers: list[memoryview], offset: int) -> int:
        if next(calls) >= fails_at:
            raise OSError(errno.EIO, "Input/output error")
        return real(file, buffers, offset)

    monkeypatch.setattr(content.os, "preadv", preadv)
    with pytest.raises(Unavailable, match="source2"):
        write(root, new)
    monkeypatch.undo()
    assert names(root) == before
    assert check_whole(root) == old.digest


def test_a_source_that_changes_while_it_is_read_never_gives_a_wrong_blob(tmp_path: Path) -> None:
    old, new = (sample(sources(tmp_path / f"source{n}", n)) for n in (1, 2))
    root = tmp_path / "out"
    write(root, old)
    victim = max((tmp_path / "source2").iterdir())

    def scribble(_: int) -> None:
        with victim.open("r+b") as stream:
            stream.seek(SIZE - 10)
            stream.write(b"scribble")

    with pytest.raises(InputError, match=r"source2"), Layout(root) as layout:
        layout.write_all(new.blobs, scribble)
    assert check_whole(root) == old.digest
    for path in (root / "blobs" / "sha256").iterdir():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
