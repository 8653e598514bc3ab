"""Streaming: every sink sees every byte once, in order, whatever the pieces are."""

import errno
import hashlib
import os
import struct
import threading
from pathlib import Path

import pytest
from images import nothing

from modelpack.errors import InputError, Unavailable
from modelpack.oci import file_writing, parallel
from modelpack.oci.content import BLOCK, blocks, pump, total
from modelpack.oci.file_writing import write_file
from modelpack.oci.hashing import RangeSha256, RangesSha256, Sha256
from modelpack.oci.tar import Content, FileRange


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def big(tmp_path: Path) -> Path:
    path = tmp_path / "big"
    path.write_bytes(os.urandom(1 << 16) * 160 + b"tail")
    return path


class Failing:
    """A Sink that fails at its second block."""

    def take(self, block: memoryview, position: int) -> None:
        if position:
            raise OSError(5, "Input/output error")


def test_all_sinks_see_all_bytes(big: Path) -> None:
    data = big.read_bytes()
    parts: list[Content] = [b"head", FileRange(path=str(big), size=len(data)), b"", b"end"]
    expected = b"head" + data + b"end"
    first, second = Sha256(), Sha256()
    middle = RangeSha256(4, len(data))
    chunks = RangeSha256(4, len(data), chunk=1 << 20)
    counts: list[int] = []
    assert pump(parts, [first, second, middle, chunks], counts.append) == len(expected)
    assert first.digest == second.digest == f"sha256:{sha256(expected)}"
    assert middle.digits == (sha256(data),)
    assert chunks.digits == tuple(
        sha256(data[i : i + (1 << 20)]) for i in range(0, len(data), 1 << 20)
    )
    assert sum(counts) == len(expected) == total(parts)


def test_an_empty_range_has_the_digest_of_nothing() -> None:
    empty = RangeSha256(0, 0)
    pump([b"x"], [empty], nothing)
    assert empty.digits == (sha256(b""),)


def test_a_chunk_that_ends_with_the_file_is_the_last_one() -> None:
    chunks = RangeSha256(1, 4, chunk=2)
    pump([b"xabcdy"], [chunks], nothing)
    assert chunks.digits == (sha256(b"ab"), sha256(b"cd"))


def test_several_ranges_are_hashed_in_one_pass(big: Path) -> None:
    data = big.read_bytes()
    ranges = [(0, 10), (10, 0), (100, BLOCK), (100 + BLOCK, 5), (len(data) - 3, 3)]
    sink = RangesSha256(ranges)
    pump([FileRange(path=str(big), size=len(data))], [Sha256(), sink], nothing)
    assert sink.digits == tuple(sha256(data[start : start + size]) for start, size in ranges)


def test_a_part_of_a_file_is_read_from_its_offset(big: Path) -> None:
    data = big.read_bytes()
    piece = FileRange(path=str(big), offset=7, size=9)
    assert b"".join(blocks([piece, b"!"], 4)) == data[7:16] + b"!"
    assert [len(block) for block in blocks([piece, b"!"], 4)] == [4, 4, 2]


def test_an_error_of_a_sink_stops_the_pump(big: Path) -> None:
    size = big.stat().st_size
    before = set(threading.enumerate())
    with pytest.raises(OSError, match="Input/output"):
        pump([FileRange(path=str(big), size=size)], [Sha256(), Failing()], nothing)
    assert set(threading.enumerate()) <= before


def test_a_file_that_is_cut_off_while_it_is_read_is_named(big: Path) -> None:
    size = big.stat().st_size

    def cut(_: int) -> None:
        os.truncate(big, 1 << 20)

    with pytest.raises(InputError, match=r"big: the file changed"):
        pump([FileRange(path=str(big), size=size)], [Sha256()], cut)


def test_a_file_that_is_written_while_it_is_read_is_named(big: Path) -> None:
    size = big.stat().st_size

    def scribble(_: int) -> None:
        with big.open("r+b") as stream:
            stream.write(b"scribble")

    with pytest.raises(InputError, match="changed while it was read"):
        pump([FileRange(path=str(big), size=size)], [Sha256()], scribble)


def test_what_is_no_regular_file_is_refused_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="pipe"):
        pump([FileRange(path=str(tmp_path / "pipe"), size=1)], [Sha256()], nothing)
    (tmp_path / "link").symlink_to("big")
    with pytest.raises(Unavailable, match="link"):
        pump([FileRange(path=str(tmp_path / "link"), size=1)], [Sha256()], nothing)


def test_a_missing_file_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="cannot be read"):
        pump([FileRange(path=str(tmp_path / "none"), size=1)], [Sha256()], nothing)


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK])
def test_a_written_file_holds_the_content_and_was_hashed(tmp_path: Path, size: int) -> None:
    source = tmp_path / "source"
    data = (os.urandom(4099) * (size // 4099 + 1))[:size]
    source.write_bytes(data)
    for number, parts in enumerate(
        (
            [FileRange(path=str(source), size=size)] if size else [b""],
            [bytes(4096), *([FileRange(path=str(source), size=size)] if size else []), b"tail"],
            [b"odd", data],
        )
    ):
        target, seen = tmp_path / f"target{number}", Sha256()
        expected = b"".join(blocks(parts, BLOCK))
        assert write_file(str(target), parts, [seen], nothing) == len(expected)
        assert target.read_bytes() == expected
        assert seen.digest == f"sha256:{sha256(expected)}"


class Clones:
    """Stands for a file system that shares blocks: copies what it is asked to share."""

    def __init__(self, *, refuse_after: int = 100) -> None:
        self.asked: list[int] = []
        self._refuse_after = refuse_after

    def ioctl(self, target: int, request: int, argument: bytes) -> int:
        source, offset, length, position = struct.unpack("qQQQ", argument)
        assert request == 0x4020940D
        assert offset % 4096 == length % 4096 == position % 4096 == 0
        if len(self.asked) >= self._refuse_after:
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")
        self.asked.append(length)
        os.pwrite(target, os.pread(source, length, offset), position)
        return 0


@pytest.fixture
def clones(monkeypatch: pytest.MonkeyPatch) -> Clones:
    fake = Clones()
    monkeypatch.setattr(file_writing.fcntl, "ioctl", fake.ioctl)
    return fake


@pytest.mark.parametrize("young", [False, True])
def test_a_large_aligned_file_is_cloned(
    tmp_path: Path, big: Path, clones: Clones, monkeypatch: pytest.MonkeyPatch, young: bool
) -> None:
    monkeypatch.setattr(file_writing, "_YOUNG", 10**10 if young else -(10**10))
    data, seen = big.read_bytes(), Sha256()
    parts = [bytes(4096), FileRange(path=str(big), size=len(data)), b"tail"]
    write_file(str(tmp_path / "out"), parts, [seen], nothing)
    assert (tmp_path / "out").read_bytes() == bytes(4096) + data + b"tail"
    assert clones.asked == [len(data) // 4096 * 4096]
    assert seen.digest == f"sha256:{sha256(bytes(4096) + data + b'tail')}"


def test_an_unaligned_or_small_file_is_not_cloned(
    tmp_path: Path, big: Path, clones: Clones
) -> None:
    size = big.stat().st_size
    write_file(str(tmp_path / "1"), [b"x", FileRange(path=str(big), size=size)], [], nothing)
    odd = FileRange(path=str(big), offset=1, size=size - 1)
    write_file(str(tmp_path / "2"), [odd], [], nothing)
    write_file(str(tmp_path / "3"), [FileRange(path=str(big), size=9000)], [], nothing)
    assert clones.asked == []


@pytest.mark.parametrize("after", [0, 1])
def test_what_cannot_be_cloned_is_copied(
    tmp_path: Path, big: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    monkeypatch.setattr(file_writing.fcntl, "ioctl", Clones(refuse_after=after).ioctl)
    data, seen = big.read_bytes(), Sha256()
    fill = bytes(-len(data) % 4096)
    piece = FileRange(path=str(big), size=len(data))
    write_file(str(tmp_path / "out"), [piece, fill, piece], [seen], nothing)
    assert (tmp_path / "out").read_bytes() == data + fill + data
    assert seen.digest == f"sha256:{sha256(data + fill + data)}"


@pytest.mark.parametrize("young", [False, True])
def test_a_source_written_after_it_was_cloned_is_named_or_was_hashed_as_it_was(
    tmp_path: Path, big: Path, clones: Clones, monkeypatch: pytest.MonkeyPatch, young: bool
) -> None:
    monkeypatch.setattr(file_writing, "_YOUNG", 10**10 if young else -(10**10))
    data, seen = big.read_bytes(), Sha256()

    def scribble(_: int) -> None:
        with big.open("r+b") as stream:
            stream.write(b"scribble")

    parts = [FileRange(path=str(big), size=len(data))]
    if young:
        write_file(str(tmp_path / "out"), parts, [seen], scribble)
        assert seen.digest == f"sha256:{sha256(data)}"
        assert (tmp_path / "out").read_bytes() == data
    else:
        with pytest.raises(InputError, match="big: the file changed"):
            write_file(str(tmp_path / "out"), parts, [seen], scribble)
        assert not (tmp_path / "out").exists()


def test_an_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(b"mine")
    with pytest.raises(Unavailable):
        write_file(str(tmp_path / "there"), [b"yours"], [], nothing)
    assert (tmp_path / "there").read_bytes() == b"mine"


def test_results_stand_in_the_order_of_the_items() -> None:
    assert parallel.each(lambda n, _: n * n, range(50), nothing) == tuple(n * n for n in range(50))


def test_the_first_error_is_told_and_not_its_echo() -> None:
    started = threading.Barrier(3)

    def work(number: int, advance: parallel.Advance) -> None:
        started.wait(30)
        if number == 2:
            raise InputError("the cause")
        while True:
            advance(1)

    with pytest.raises(InputError, match="the cause"):
        parallel.each(work, [0, 1, 2], nothing, threads=3)
