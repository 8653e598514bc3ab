"""An ELF file read forwards only tells what reading it whole tells."""

import struct
from dataclasses import dataclass

import pytest
from debian_archive import library

from modelpack.inputs import elf_stream
from modelpack.inputs.debian import elf
from modelpack.inputs.debian.elf import dynamic
from modelpack.inputs.elf_stream import Behind, Known


@dataclass
class Forwards:
    """Bytes that can be read once, in order."""

    data: bytes
    position: int = 0

    def read(self, count: int) -> bytes:
        piece = self.data[self.position : self.position + count]
        self.position += len(piece)
        return piece

    def move(self, position: int) -> bool:
        assert position >= self.position, "read backwards"
        self.position = min(position, len(self.data))
        return self.position == position


def spread(*, section_at: int, strings_at: int, size: int) -> bytes:
    """Return a library whose dynamic section and strings are far from its start."""
    text = b"\0libc.so.6\0libx.so.1\0"
    tags = [(1, 1), (14, 11), (5, strings_at), (0, 0)]
    section = b"".join(struct.pack("<qQ", tag, value) for tag, value in tags)
    segments = [(1, 0, 0, 0, 0, size, size, 1), (2, 0, section_at, section_at, 0, 64, 64, 8)]
    head = b"\x7fELF\x02\x01\x01" + bytes(9)
    head += struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 64, 0, 0, 64, 56, len(segments), 0, 0, 0)
    data = bytearray(size)
    data[: len(head)] = head
    for number, segment in enumerate(segments):
        struct.pack_into("<IIQQQQQQ", data, 64 + 56 * number, *segment)
    data[section_at : section_at + len(section)] = section
    data[strings_at : strings_at + len(text)] = text
    return bytes(data)


def whole(data: bytes) -> object:
    """Return what reading all of it tells."""
    found = elf.read(lambda offset, size: data[offset : offset + size])
    return found.dynamic if found else None


def read(data: bytes, *, before: int = 512) -> tuple[object, int]:
    """Return what forward reading tells, and how many passes it took."""
    known = Known()
    for passes in range(1, 6):
        source = Forwards(bytes(before) + data + bytes(1024))
        source.move(before)
        try:
            found = elf_stream.read(source, len(data), known)
        except Behind:
            continue
        assert source.position <= before + len(data)
        return found.dynamic if found else None, passes
    raise AssertionError("never ends")


@pytest.fixture
def small_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep little, so that small files stand for large ones."""
    monkeypatch.setattr(elf_stream, "_START", 8192)
    monkeypatch.setattr(elf_stream, "_AHEAD", 64)


def test_a_small_file_is_read_in_one_pass() -> None:
    data = library("libx.so.1", needed=("libc.so.6",), runpath="$ORIGIN")
    assert read(data) == (dynamic(data), 1)


@pytest.mark.parametrize(
    ("section_at", "strings_at", "passes"),
    [
        (1024, 2048, 1),
        (60_000, 1024, 1),
        (60_000, 61_000, 1),
        (20_000, 90_000, 1),
        (1024, 50_000, 1),
        (60_000, 30_000, 2),
    ],
)
@pytest.mark.usefixtures("small_start")
def test_a_large_file_is_read_wherever_its_parts_are(
    section_at: int, strings_at: int, passes: int
) -> None:
    data = spread(section_at=section_at, strings_at=strings_at, size=100_000)
    expected = dynamic(data)
    assert expected is not None
    assert expected.needed == ("libc.so.6",)
    assert read(data) == (expected, passes)


@pytest.mark.usefixtures("small_start")
def test_a_damaged_file_is_none_and_ends() -> None:
    data = spread(section_at=60_000, strings_at=30_000, size=100_000)
    for at in range(200):
        for value in (0x00, 0x7F, 0xFF):
            damaged = data[:at] + bytes([value]) + data[at + 1 :]
            assert read(damaged)[0] == whole(damaged)


@pytest.mark.usefixtures("small_start")
def test_a_file_that_is_cut_off_is_none() -> None:
    data = spread(section_at=60_000, strings_at=61_000, size=100_000)
    source = Forwards(data[:30_000])
    found = elf_stream.read(source, len(data), Known())
    assert found is not None
    assert found.dynamic is None
