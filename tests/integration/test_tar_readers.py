"""What we write is what GNU tar, bsdtar, Python and Go read, above 8 GiB as well."""

import hashlib
import json
import os
import subprocess
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from images import nothing

from modelpack.oci.compression import compress, current
from modelpack.oci.file_writing import write_file
from modelpack.oci.tar import Content, Entry, FileRange, directory, pieces, symlink
from modelpack.oci.tar_index import members

pytestmark = pytest.mark.integration
Require = Callable[[str], str]
TOOLS = Path(__file__).parents[1] / "tools"
HUGE = (9 << 30) + 5
NAMES = ["plain", "ü" * 30, "n" * 130, "dir/" * 40 + "deep", "with space", "-dash", "=equals"]


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout.decode(errors="replace")


@pytest.fixture(scope="module")
def gotar(require_tool: Require, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the Go reader, built."""
    program = tmp_path_factory.mktemp("go") / "gotar"
    subprocess.run(
        [require_tool("go"), "build", "-o", str(program), "."], cwd=TOOLS / "gotar", check=True
    )
    return str(program)


@pytest.fixture(scope="module")
def varied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a tar with every kind of entry and of name."""
    path = tmp_path_factory.mktemp("varied") / "varied.tar"
    entries = [
        directory("dir"),
        symlink("link", "l" * 150),
        symlink("short", "plain"),
        *(Entry(path=name, content=name.encode() * 100, mode=0o755) for name in NAMES),
        Entry(path="hard", kind="hardlink", target="plain"),
        Entry(path="empty"),
    ]
    write_file(str(path), list(pieces(entries, align=4096)), [], nothing)
    return path


@pytest.fixture(scope="module")
def huge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a tar around a sparse file of 9 GiB whose last bytes are `the end`, itself sparse."""
    folder = tmp_path_factory.mktemp("huge")
    parts = list(
        pieces(
            [
                directory("models"),
                Entry(path="models/w", content=FileRange(path="w", size=HUGE)),
                Entry(path="models/z", content=b"after"),
            ],
            align=4096,
        )
    )
    with (folder / "huge.tar").open("wb") as stream:
        for part in parts:
            if isinstance(part, bytes):
                stream.write(part)
            else:
                stream.seek(HUGE - 7, os.SEEK_CUR)
                stream.write(b"the end")
    return folder / "huge.tar"


def listed(gotar: str, path: Path) -> dict[str, dict[str, Any]]:
    return {item["name"]: item for item in map(json.loads, run(gotar, str(path)).splitlines())}


def test_gnu_tar_unpacks_every_kind_of_name(
    varied: Path, require_tool: Require, tmp_path: Path
) -> None:
    run(require_tool("tar"), "-xf", str(varied), "-C", str(tmp_path))
    check_unpacked(tmp_path)


def test_bsdtar_unpacks_every_kind_of_name(
    varied: Path, require_tool: Require, tmp_path: Path
) -> None:
    run(require_tool("bsdtar"), "-xf", str(varied), "-C", str(tmp_path))
    check_unpacked(tmp_path)


def check_unpacked(folder: Path) -> None:
    for name in NAMES:
        assert (folder / name).read_bytes() == name.encode() * 100
        assert (folder / name).stat().st_mtime == 0
    assert (folder / "link").readlink() == Path("l" * 150)
    assert (folder / "hard").samefile(folder / "plain")
    assert (folder / "empty").read_bytes() == b""


def test_go_reads_every_kind_of_name(varied: Path, gotar: str) -> None:
    found = listed(gotar, varied)
    for name in NAMES:
        assert (found[name]["size"], found[name]["mode"]) == (len(name.encode()) * 100, 0o755)
    assert found["link"]["link"] == "l" * 150
    assert found["hard"]["link"] == "plain"
    assert found["dir/"]["type"] == "5"


def test_gnu_tar_reads_a_file_over_8_gib(huge: Path, require_tool: Require) -> None:
    lines = run(require_tool("tar"), "--numeric-owner", "-tvf", str(huge)).splitlines()
    assert [(line.split()[2], line.split()[-1]) for line in lines] == [
        ("0", "models/"),
        (str(HUGE), "models/w"),
        ("5", "models/z"),
    ]


def test_bsdtar_reads_a_file_over_8_gib(huge: Path, require_tool: Require) -> None:
    lines = run(require_tool("bsdtar"), "--numeric-owner", "-tvf", str(huge)).splitlines()
    assert [(line.split()[4], line.split()[-1]) for line in lines] == [
        ("0", "models/"),
        (str(HUGE), "models/w"),
        ("5", "models/z"),
    ]


def test_python_reads_a_file_over_8_gib(huge: Path) -> None:
    with tarfile.open(huge) as tar:
        sizes = {member.name: member.size for member in tar.getmembers()}
        stream = tar.extractfile("models/w")
        assert stream is not None
        stream.seek(HUGE - 7)
        assert stream.read() == b"the end"
    assert sizes == {"models": 0, "models/w": HUGE, "models/z": 5}


def test_our_index_reads_a_file_over_8_gib(huge: Path) -> None:
    with huge.open("rb") as stream:
        found = members(stream, at="huge")
    assert {name: member.size for name, member in found.items()} == {
        "models/w": HUGE,
        "models/z": 5,
    }
    assert found["models/w"].offset % 4096 == 0


@pytest.mark.slow
def test_go_reads_a_file_over_8_gib_to_its_last_byte(huge: Path, gotar: str) -> None:
    found = listed(gotar, huge)
    assert found["models/w"]["size"] == HUGE
    tail = (bytes(16) + b"the end")[-16:]
    assert found["models/w"]["tail"] == hashlib.sha256(tail).hexdigest()
    assert found["models/z"]["size"] == 5


def compressed(varied: Path, target: Path, name: Any) -> Path:
    whole: Sequence[Content] = [FileRange(path=str(varied), size=varied.stat().st_size)]
    with target.open("wb") as out:
        compress(whole, replace(current(name), member=1 << 14), out, threads=2)
    return target


def test_gunzip_and_go_read_gzip_of_many_members(
    varied: Path, require_tool: Require, gotar: str, tmp_path: Path
) -> None:
    packed = compressed(varied, tmp_path / "layer.tar.gz", "gzip")
    run(require_tool("gunzip"), "-k", str(packed))
    assert (tmp_path / "layer.tar").read_bytes() == varied.read_bytes()
    assert listed(gotar, packed) == listed(gotar, varied)


def test_zstd_reads_our_frames(varied: Path, require_tool: Require, tmp_path: Path) -> None:
    pytest.importorskip("zstandard")
    packed = compressed(varied, tmp_path / "layer.tar.zst", "zstd")
    run(require_tool("zstd"), "-q", "-d", str(packed), "-o", str(tmp_path / "layer.tar"))
    assert (tmp_path / "layer.tar").read_bytes() == varied.read_bytes()
