"""The first place at which two layers differ."""

import gzip
import io
from collections.abc import Callable
from dataclasses import replace
from typing import BinaryIO

import pytest

from modelpack.comparison.tar_difference import Place, first_difference
from modelpack.errors import InputError
from modelpack.oci.tar import Entry, directory, pieces, symlink

ENTRIES = (
    directory("app"),
    Entry(path="app/a", content=b"a" * 3_000_000),
    Entry(path="app/b", content=b"bcd"),
    symlink("app/link", "a"),
)


def tar(*entries: Entry) -> bytes:
    return b"".join(piece for piece in pieces(entries) if isinstance(piece, bytes))


def difference(one: bytes, other: bytes) -> Place:
    def opener(data: bytes) -> Callable[[], BinaryIO]:
        return lambda: io.BytesIO(data)

    return first_difference(opener(one), opener(other), at="layer")


def with_one(position: int, **changes: object) -> bytes:
    entries = list(ENTRIES)
    entries[position] = replace(entries[position], **changes)  # type: ignore[arg-type]
    return tar(*entries)


@pytest.mark.parametrize("offset", [0, 1, (1 << 20) - 1, 1 << 20, 2_999_999])
def test_a_byte_is_named(offset: int) -> None:
    content = bytearray(b"a" * 3_000_000)
    content[offset] = 0x7A
    found = difference(tar(*ENTRIES), with_one(1, content=bytes(content)))
    assert found == Place(
        what="content", path="app/a", offset=offset, recorded="0x61", rebuilt="0x7a"
    )


def test_the_shorter_file_ends_there() -> None:
    found = difference(tar(*ENTRIES), with_one(2, content=b"bc"))
    assert (found.path, found.offset, found.recorded, found.rebuilt) == (
        "app/b", 2, "0x64", "its end",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "what", "recorded", "rebuilt"),
    [
        ({"mode": 0o755}, "mode", "0644", "0755"),
        ({"uid": 5}, "owner", "0:0", "5:0"),
        ({"gid": 6}, "owner", "0:0", "0:6"),
        ({"kind": "symlink", "content": b"", "target": "x"}, "kind", "file", "symbolic link"),
        ({"path": "app/c"}, "path", "app/b", "app/c"),
    ],
)
def test_what_a_header_says_is_named(
    changes: dict[str, object], what: str, recorded: str, rebuilt: str
) -> None:
    found = difference(tar(*ENTRIES), with_one(2, **changes))
    assert (found.what, found.path) == (what, "app/b")
    assert (found.recorded, found.rebuilt) == (recorded, rebuilt)


def test_a_link_that_leads_elsewhere_is_named() -> None:
    found = difference(tar(*ENTRIES), with_one(3, target="b"))
    assert (found.what, found.path, found.rebuilt) == ("target", "app/link", "b")


def test_a_file_that_only_one_has_is_named() -> None:
    found = difference(tar(*ENTRIES[:2]), tar(*ENTRIES[:3]))
    assert (found.what, found.path, found.recorded) == ("path", "app/b", "nothing more")


def test_another_compression_is_no_other_file() -> None:
    data = tar(*ENTRIES)
    found = difference(gzip.compress(data, 1), gzip.compress(data, 9))
    assert found == Place(what="compression")


def test_a_time_in_a_header_is_named_by_its_place_in_the_layer() -> None:
    data = bytearray(tar(*ENTRIES))
    data[146] = ord("1")  # the last digit of the folder's time
    data[148:156] = b"%06o\0 " % (sum(data[:148]) + 8 * 32 + sum(data[156:512]))
    found = difference(tar(*ENTRIES), bytes(data))
    assert (found.what, found.offset) == ("header", 146)


def test_a_damaged_layer_is_refused() -> None:
    with pytest.raises(InputError):
        difference(tar(*ENTRIES), gzip.compress(tar(*ENTRIES))[:-10])
