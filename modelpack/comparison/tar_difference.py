"""The first place at which two layers differ: which file, what of it, at which byte."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import BinaryIO, Literal, Protocol

from modelpack.inputs.base_image.layer_stream import LayerStream, reading
from modelpack.inputs.quoting import quoted
from modelpack.oci.tar_reading import Header, passing

LIMIT = 64 << 30
"bytes of a layer uncompressed; more than any honest one, and a bomb costs time only"
_MEMBER_LIMIT = 1_000_000
_CHUNK = 1 << 20
_NAME_LIMIT = 4096

What = Literal["content", "kind", "mode", "owner", "target", "path", "header", "compression"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where two layers differ first."""

    what: What
    """`path`: one of them has another file next, or none; `header`: only what a tar says besides,
    such as times; `compression`: nothing but how the tar is compressed"""
    path: str = ""
    "of the file in the image that was compared; without one, of the rebuilt image's"
    offset: int | None = None
    "byte of the file's content, or of the layer where it is about no content"
    recorded: str = ""
    "what the image has there"
    rebuilt: str = ""


def first_difference(
    recorded: Callable[[], BinaryIO], rebuilt: Callable[[], BinaryIO], *, at: str
) -> Place:
    """Return where two layers, which are not the same bytes, differ first.

    Both are opened once or twice. Raises InputError when one of them is damaged.
    """
    with (
        reading(recorded(), limit=LIMIT, at=at) as one,
        reading(rebuilt(), limit=LIMIT, at=at) as other,
    ):
        found = _in_members(one, other, at)
    if found is not None:
        return found
    with (
        reading(recorded(), limit=LIMIT, at=at) as one,
        reading(rebuilt(), limit=LIMIT, at=at) as other,
    ):
        offset, bytes_of_one, bytes_of_other = _in_content(_chunks(one), _chunks(other))
    if offset is None:
        return Place(what="compression")
    return Place(
        what="header", offset=offset, recorded=bytes_of_one, rebuilt=bytes_of_other
    )  # fmt: skip


def _in_members(one: LayerStream, other: LayerStream, at: str) -> Place | None:
    for mine, theirs in zip_longest(
        passing(one, at=at, limit=_MEMBER_LIMIT), passing(other, at=at, limit=_MEMBER_LIMIT)
    ):
        if mine is None or theirs is None or mine.name != theirs.name:
            return Place(
                what="path", path=_named(mine or theirs),
                recorded=_named(mine), rebuilt=_named(theirs),
            )  # fmt: skip
        found = _in_header(mine, theirs)
        if found is not None:
            return found
        if mine.is_file:
            offset, bytes_of_one, bytes_of_other = _in_content(
                _chunks(one.content(mine.size)), _chunks(other.content(theirs.size))
            )
            if offset is not None:
                return Place(
                    what="content", path=_shown(mine), offset=offset,
                    recorded=bytes_of_one, rebuilt=bytes_of_other,
                )  # fmt: skip
    return None


def _in_header(mine: Header, theirs: Header) -> Place | None:
    facts: tuple[tuple[What, str, str], ...] = (
        ("kind", _kind(mine), _kind(theirs)),
        ("mode", f"{mine.mode:04o}", f"{theirs.mode:04o}"),
        ("owner", f"{mine.uid}:{mine.gid}", f"{theirs.uid}:{theirs.gid}"),
        ("target", mine.target, theirs.target),
    )
    for what, one, other in facts:
        if one != other:
            return Place(
                what=what, path=_shown(mine), recorded=_printable(one), rebuilt=_printable(other),
            )  # fmt: skip
    return None


def _in_content(one: Iterator[bytes], other: Iterator[bytes]) -> tuple[int | None, str, str]:
    """Return the first byte that differs, and what both have there."""
    position = 0
    left = right = b""
    while True:
        left = left or next(one, b"")
        right = right or next(other, b"")
        length = min(len(left), len(right))
        if not length:
            if left or right:
                return position, _byte(left, 0), _byte(right, 0)
            return None, "", ""
        if left[:length] != right[:length]:
            index = next(i for i in range(length) if left[i] != right[i])
            return position + index, _byte(left, index), _byte(right, index)
        position += length
        left, right = left[length:], right[length:]


class _Readable(Protocol):
    def read(self, count: int) -> bytes:
        """Return the next `count` bytes, fewer at the end."""


def _chunks(source: _Readable) -> Iterator[bytes]:
    while chunk := source.read(_CHUNK):
        yield chunk


def _byte(data: bytes, index: int) -> str:
    return f"0x{data[index]:02x}" if data else "its end"


def _kind(header: Header) -> str:
    names = {b"1": "hard link", b"2": "symbolic link", b"5": "folder"}
    return "file" if header.is_file else names.get(header.flag, "other")


def _named(header: Header | None) -> str:
    return _shown(header) if header else "nothing more"


def _shown(header: Header) -> str:
    return _printable(header.name)


def _printable(text: str) -> str:
    return quoted(text, _NAME_LIMIT)[1:-1]
