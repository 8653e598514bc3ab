"""The cache of downloads never hands out what it did not check."""

import hashlib
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import pytest

from modelpack.errors import InputError, Refused, Unavailable
from modelpack.inputs.downloads import Downloads

CONTENT = b"a wheel, or a package" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def write(file: BinaryIO) -> None:
    file.writelines(CONTENT[start : start + 999] for start in range(0, len(CONTENT), 999))


def files(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "downloads" / "sha256").iterdir())


def test_what_was_never_added_is_absent(tmp_path: Path) -> None:
    assert Downloads(tmp_path / "cache").path(SHA256) is None


def test_what_was_added_is_found_by_another_process_too(tmp_path: Path) -> None:
    path = Downloads(tmp_path).add(SHA256, len(CONTENT), write)
    assert path == tmp_path / "downloads" / "sha256" / SHA256
    assert Downloads(tmp_path).path(SHA256) == path
    assert path.read_bytes() == CONTENT


def test_the_cache_is_private(tmp_path: Path) -> None:
    path = Downloads(tmp_path / "new" / "cache").add(SHA256, 0, write)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "new" / "cache").stat().st_mode) == 0o700


@pytest.mark.parametrize("same_process", [True, False])
def test_a_changed_file_of_equal_size_and_time_is_removed(
    tmp_path: Path, same_process: bool
) -> None:
    downloads = Downloads(tmp_path)
    path = downloads.add(SHA256, len(CONTENT), write)
    before = path.stat()
    path.write_bytes(CONTENT[:-1] + b"X")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    asked = downloads if same_process else Downloads(tmp_path)
    assert asked.path(SHA256) is None
    assert files(tmp_path) == []


@pytest.mark.parametrize("kind", ["fifo", "symlink"])
def test_what_is_no_file_is_removed_and_never_opened(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "downloads" / "sha256" / SHA256
    place.parent.mkdir(parents=True)
    (tmp_path / "elsewhere").write_bytes(CONTENT)
    if kind == "fifo":
        os.mkfifo(place)
    else:
        place.symlink_to(tmp_path / "elsewhere")
    assert Downloads(tmp_path).path(SHA256) is None
    assert files(tmp_path) == []
    assert (tmp_path / "elsewhere").exists()


def test_other_content_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    downloads = Downloads(tmp_path)
    with pytest.raises(Refused, match="instead of"):
        downloads.add(SHA256, len(CONTENT), lambda file: write_bytes(file, CONTENT[::-1]))
    assert files(tmp_path) == []
    assert downloads.path(SHA256) is None


@pytest.mark.parametrize(
    ("size", "message"), [(len(CONTENT) - 1, "longer"), (len(CONTENT) + 1, "bytes instead of")]
)
def test_another_size_is_refused(tmp_path: Path, size: int, message: str) -> None:
    with pytest.raises(Refused, match=message):
        Downloads(tmp_path).add(SHA256, size, write)
    assert files(tmp_path) == []


def test_too_many_bytes_are_refused_before_they_are_written(tmp_path: Path) -> None:
    written = []

    def endless(file: BinaryIO) -> None:
        while True:
            written.append(file.write(bytes(100)))

    with pytest.raises(Refused, match="longer than its 1000 bytes"):
        Downloads(tmp_path).add(SHA256, 1000, endless)
    assert sum(written) == 1000


def test_an_interrupted_download_leaves_nothing(tmp_path: Path) -> None:
    def interrupted(file: BinaryIO) -> None:
        file.write(CONTENT[:100])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Downloads(tmp_path).add(SHA256, len(CONTENT), interrupted)
    assert files(tmp_path) == []


def test_many_threads_may_add_the_same_file(tmp_path: Path) -> None:
    downloads = Downloads(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        paths = set(pool.map(lambda _: downloads.add(SHA256, len(CONTENT), write), range(32)))
    assert {path.read_bytes() for path in paths} == {CONTENT}
    assert files(tmp_path) == [SHA256]


def test_an_unchanged_file_is_hashed_once_in_a_process(tmp_path: Path) -> None:
    class Counting(Downloads):
        reads = 0

        def _remember(self, sha256: str, status: os.stat_result) -> None:
            type(self).reads += 1
            super()._remember(sha256, status)

    Downloads(tmp_path).add(SHA256, len(CONTENT), write)
    downloads = Counting(tmp_path)
    for _ in range(3):
        assert downloads.path(SHA256) is not None
    assert Counting.reads == 1


def test_a_name_that_is_no_digest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a sha256 digest"):
        Downloads(tmp_path).path("../../etc/passwd")


def test_a_cache_that_cannot_be_made_is_unavailable_with_a_hint(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Unavailable) as caught:
        Downloads(tmp_path / "file").add(SHA256, len(CONTENT), write)
    assert "MODELPACK_CACHE" in caught.value.findings[0].hint


def write_bytes(file: BinaryIO, content: bytes) -> None:
    file.write(content)
