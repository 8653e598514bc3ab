"""The members of somebody's tar, one after the other: what each is and where its bytes lie.

Reads what tools write: ustar, PAX (POSIX.1-2017) and GNU long names and base-256 sizes. Nothing
is unpacked. Bounded: a hostile header costs no more memory than an honest one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from modelpack.errors import InputError
from modelpack.oci.tar import BLOCK

MEMBER_LIMIT = 200_000
_EXTENSION_LIMIT = 1 << 20
"bytes of a PAX header or a long name"
_COMPRESSED = {b"\x1f\x8b": "gzip", b"\x28\xb5": "zstd", b"BZ": "bzip2", b"\xfd7": "xz"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a tar says about one member; names as written, bytes that are no UTF-8 as surrogates."""

    name: str
    flag: bytes
    "type: `0` and NUL are files, `1` hard links, `2` symbolic links, `5` folders"
    mode: int
    uid: int
    gid: int
    target: str
    offset: int
    size: int
    "bytes of content from `offset` on"
    keys: frozenset[str]
    "of its PAX records"

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file."""
        return self.flag in (b"0", b"\0", b"7")


@dataclass(slots=True, kw_only=True)
class _Extension:
    """What an extended header says about the next member."""

    name: str = ""
    target: str = ""
    size: int | None = None
    uid: int | None = None
    gid: int | None = None
    keys: frozenset[str] = frozenset()


class Source(Protocol):
    """Bytes that are read forwards."""

    def read(self, count: int) -> bytes:
        """Return the next `count` bytes, fewer at the end."""

    def move(self, position: int) -> bool:
        """Go on to `position`; False when the end comes before."""


class _File:
    """A file, of which nothing is read that is not asked for."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._end = stream.seek(0, 2)
        stream.seek(0)

    def read(self, count: int) -> bytes:
        return self._stream.read(count)

    def move(self, position: int) -> bool:
        self._stream.seek(position)
        return position <= self._end


def headers(stream: BinaryIO, *, at: str, limit: int = MEMBER_LIMIT) -> Iterator[Header]:
    """Yield the members of the tar in the file `stream`; raises InputError when it is damaged."""
    return passing(_File(stream), at=at, limit=limit)


def passing(source: Source, *, at: str, limit: int = MEMBER_LIMIT) -> Iterator[Header]:
    """Yield the members of the tar in `source`, which then stands at the content of the last one.

    Who takes a member may read its content, and no more. Raises InputError when it is damaged.
    """
    extension = _Extension()
    position = 0
    for _ in range(limit):
        block = source.read(BLOCK)
        if position == 0:
            _refuse_compressed(block, at)
        if len(block) < BLOCK and position == 0:
            raise InputError("not a tar archive", at=at)
        if len(block) < BLOCK or not block.strip(b"\0"):
            return
        _check_sum(block, at)
        flag = block[156:157]
        own = _number(block[124:136], at)
        size = own if extension.size is None or flag in b"xgLK" else extension.size
        start = position + BLOCK
        if flag in (b"x", b"L", b"K"):
            _extend(extension, flag, _body(source, size, at), at)
        elif flag != b"g":
            yield Header(
                name=extension.name or _name(block), flag=flag,
                mode=_number(block[100:108], at) & 0o7777,
                uid=_owner(block[108:116], extension.uid, at),
                gid=_owner(block[116:124], extension.gid, at),
                target=extension.target or _text(block[157:257]),
                offset=start, size=size, keys=extension.keys,
            )  # fmt: skip
            extension = _Extension()
        if not source.move(start + size):
            raise InputError("the archive is cut off", at=at)
        source.read(-size % BLOCK)
        position = start + size + -size % BLOCK
    raise InputError(f"more than {limit} members", at=at)


def _refuse_compressed(block: bytes, at: str) -> None:
    if program := _COMPRESSED.get(block[:2]):
        raise InputError(
            f"the archive is compressed with {program}",
            at=at,
            hint=f"unpack it with {program} -d first",
        )


def _body(source: Source, size: int, at: str) -> bytes:
    if size > _EXTENSION_LIMIT:
        raise InputError("an extended header is too large", at=at)
    return source.read(size)


def _extend(extension: _Extension, flag: bytes, body: bytes, at: str) -> None:
    if flag == b"L":
        extension.name = _text(body)
    elif flag == b"K":
        extension.target = _text(body)
    else:
        records = _records(body, at)
        extension.keys |= frozenset(records)
        extension.name = records.get("path", extension.name)
        extension.target = records.get("linkpath", extension.target)
        for key in ("size", "uid", "gid"):
            if key in records:
                setattr(extension, key, _decimal(key, records[key], at))


def _decimal(key: str, text: str, at: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 18:  # noqa: PLR2004  below 2**63
        raise InputError(f"a PAX {key} is not a number", at=at)
    return int(text)


def _owner(field: bytes, extended: int | None, at: str) -> int:
    """Return the owner that an extended header names, else the one in the header itself."""
    own = _number(field, at)
    return own if extended is None else extended


def _records(body: bytes, at: str) -> dict[str, str]:
    """Parse `LENGTH key=value\\n` records."""
    records: dict[str, str] = {}
    position = 0
    while position < len(body):
        digits, space, _ = body[position : position + 20].partition(b" ")
        length = int(digits) if space and digits.isdigit() else 0
        record = body[position : position + length]
        key, equals, value = record[len(digits) + 1 :].partition(b"=")
        if not equals or not value.endswith(b"\n") or len(record) != length:
            raise InputError("a PAX header is damaged", at=at)
        records[key.decode(errors="replace")] = value[:-1].decode(errors="surrogateescape")
        position += length
    return records


def _check_sum(block: bytes, at: str) -> None:
    expected = _number(block[148:156], at)
    if sum(block[:148]) + sum(block[156:]) + 8 * 32 != expected:
        raise InputError("not a tar archive, or damaged: a header's checksum is wrong", at=at)


def _number(field: bytes, at: str) -> int:
    """Parse octal digits, or GNU's base-256 where the first bit is set."""
    if field[0] & 0x80:
        number = int.from_bytes(field, "big") & ((1 << (8 * len(field) - 1)) - 1)
    else:
        digits = field.strip(b" \0") or b"0"
        if not digits.isdigit() or b"8" in digits or b"9" in digits:
            raise InputError("not a tar archive, or damaged: a number is not octal", at=at)
        number = int(digits, 8)
    if number >= 1 << 63:
        raise InputError("a tar header's number is absurd", at=at)
    return number


def _name(block: bytes) -> str:
    name = _text(block[:100])
    prefix = _text(block[345:500]) if block[257:263] == b"ustar\0" else ""
    return f"{prefix}/{name}" if prefix else name


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode(errors="surrogateescape")
