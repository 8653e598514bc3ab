"""Tar bytes: exact where they are simple, refused where they cannot be written."""

import io
import tarfile

import pytest

from modelpack.digest import of
from modelpack.errors import InputError
from modelpack.oci.tar import END, Entry, FileRange, directory, header, pieces, symlink


def archive(*entries: Entry, align: int = 0) -> bytes:
    return b"".join(p for p in pieces(entries, align=align) if isinstance(p, bytes))


def test_a_small_file_is_one_header_one_block_and_the_end() -> None:
    data = archive(Entry(path="a/b", content=b"hi"))
    assert len(data) == 512 + 512 + 1024
    assert data[:3] == b"a/b"
    assert data[512:514] == b"hi"
    assert data.endswith(END)


def test_the_bytes_of_a_simple_archive_never_change() -> None:
    data = archive(
        directory("etc"),
        Entry(path="etc/passwd", content=b"root\n"),
        symlink("bin", "usr/bin"),
        Entry(path="x" * 120, content=b"long"),
        align=4096,
    )
    assert of(data) == ("sha256:1dd1f1a8d94cb8f47c271e04fc5c550567d5faa00bb1ee1a6eba1dfaa8af1eb2")


def test_no_time_and_no_names_are_written() -> None:
    with tarfile.open(fileobj=io.BytesIO(archive(Entry(path="a")))) as tar:
        (member,) = tar.getmembers()
    assert (member.mtime, member.uname, member.gname) == (0, "", "")


@pytest.mark.parametrize("length", [1, 99, 100, 101, 255, 4000])
def test_names_of_any_length_are_read_back(length: int) -> None:
    path = "/".join(["d" * 99] * (length // 100) + ["f" * (length % 100 or 1)])
    with tarfile.open(fileobj=io.BytesIO(archive(Entry(path=path, content=b"x")))) as tar:
        (member,) = tar.getmembers()
        assert member.name == path
        assert tar.extractfile(member).read() == b"x"  # type: ignore[union-attr]


def test_a_file_below_8_gib_has_no_extended_header() -> None:
    big = Entry(path="w", content=FileRange(path="w", size=(8 << 30) - 1))
    assert len(header(big)) == 512
    assert header(big)[124:136] == b"77777777777\0"


def test_a_file_of_8_gib_has_its_size_in_a_pax_record() -> None:
    big = Entry(path="w", content=FileRange(path="w", size=8 << 30))
    assert b"19 size=8589934592\n" in header(big)


def test_an_owner_up_to_seven_octal_digits_has_no_extended_header() -> None:
    head = header(Entry(path="home", uid=(1 << 21) - 1))
    assert len(head) == 512
    assert head[108:116] == b"7777777\0"


def test_the_large_user_numbers_of_openshift_are_read_back() -> None:
    entry = Entry(path="home", kind="directory", uid=1_000_700_000, gid=2_097_152)
    with tarfile.open(fileobj=io.BytesIO(archive(entry))) as tar:
        (member,) = tar.getmembers()
    assert (member.uid, member.gid) == (1_000_700_000, 2_097_152)


@pytest.mark.parametrize("at", [0, 512, 1024, 3072, 3584, 4096, 5632])
@pytest.mark.parametrize("name", ["w", "w" * 120, "gewicht-ü"])
@pytest.mark.parametrize("size", [1, 9 << 30])
def test_an_aligned_header_ends_at_the_least_multiple(at: int, name: str, size: int) -> None:
    entry = Entry(path=name, content=FileRange(path="w", size=size))
    plain, aligned = len(header(entry)), len(header(entry, at=at, align=4096))
    assert (at + aligned) % 4096 == 0
    assert aligned - plain < 4096 + 1024


@pytest.mark.parametrize(
    "entry",
    [
        Entry(path="a\0b"),
        Entry(path="\udcff"),
        Entry(path="a", uid=-1),
        Entry(path="a", mode=-1),
        symlink("a", "b\0c"),
    ],
)
def test_what_a_header_cannot_hold_is_refused(entry: Entry) -> None:
    with pytest.raises(InputError):
        header(entry)
