"""Deterministic tar bytes: ustar, with a PAX header only where ustar cannot say it.

Written here and not by `tarfile`, whose bytes differ between Python versions. Times are 0, names
of users and groups are empty, and the order is the caller's (see `modelpack.oci.tree`).
Source: POSIX.1-2017 pax, "ustar Interchange Format" and "pax Extended Header".
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from modelpack.errors import InputError

BLOCK = 512
END = bytes(2 * BLOCK)
"two zero blocks end an archive"
_OCTAL_SIZE_LIMIT = 1 << 33
"eleven octal digits: a file of 8 GiB and more needs a PAX `size` record"
_OCTAL_OWNER_LIMIT = 1 << 21
"seven octal digits: OpenShift's user numbers are larger and need a PAX `uid` record"
_NAME_LIMIT = 100

Kind = Literal["file", "directory", "symlink", "hardlink"]
_TYPE_FLAGS: dict[str, bytes] = {
    "file": b"0",
    "hardlink": b"1",
    "symlink": b"2",
    "directory": b"5",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRange:
    """`size` bytes of the file at `path` from `offset` on, to be read when they are needed."""

    path: str
    offset: int = 0
    size: int


Content = bytes | FileRange


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One member of a layer; `path` is relative, without a leading or trailing slash."""

    path: str
    kind: Kind = "file"
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    target: str = ""
    "of a symbolic link: as written; of a hard link: the path of an earlier entry"
    content: Content = b""

    @property
    def size(self) -> int:
        """The number of bytes of content."""
        return size_of(self.content)


def size_of(content: Content) -> int:
    """Return how many bytes `content` stands for."""
    return content.size if isinstance(content, FileRange) else len(content)


def bytes_of(content: Content) -> bytes:
    """Return `content` in memory; raise InputError when a file is shorter than it was."""
    if isinstance(content, bytes):
        return content
    with open(content.path, "rb") as file:
        file.seek(content.offset)
        data = file.read(content.size)
    if len(data) != content.size:
        raise InputError("the file is shorter than it was", at=content.path)
    return data


def chunks(content: Content, length: int) -> Iterator[bytes]:
    """Yield `content` in chunks of up to `length` bytes; InputError when a file is too short."""
    if isinstance(content, bytes):
        yield from (content[at : at + length] for at in range(0, len(content), length))
        return
    with open(content.path, "rb", buffering=0) as file:
        file.seek(content.offset)
        left = content.size
        while left:
            chunk = file.read(min(left, length))
            if not chunk:
                raise InputError("the file is shorter than it was", at=content.path)
            left -= len(chunk)
            yield chunk


def directory(path: str, *, mode: int = 0o755, uid: int = 0, gid: int = 0) -> Entry:
    """Return a directory entry."""
    return Entry(path=path, kind="directory", mode=mode, uid=uid, gid=gid)


def symlink(path: str, target: str) -> Entry:
    """Return a symbolic link at `path` to `target`."""
    return Entry(path=path, kind="symlink", mode=0o777, target=target)


def padding(size: int) -> bytes:
    """Return the zero bytes that fill the last block of `size` bytes of content."""
    return bytes(-size % BLOCK)


def pieces(entries: Iterable[Entry], *, align: int = 0) -> Iterator[Content]:
    """Yield the archive of `entries` in order: header bytes, content, padding, the end blocks.

    With `align` (a multiple of 512) the content of every file starts at a multiple of it from
    the start of the archive: a PAX `comment` record of zeros fills the gap, which every reader
    skips. A file system that can share blocks needs 4096.
    """
    position = 0
    for entry in entries:
        head = header(entry, at=position, align=align if entry.kind == "file" else 0)
        yield head
        if entry.size:
            yield entry.content
            fill = padding(entry.size)
            if fill:
                yield fill
        position += len(head) + entry.size + len(padding(entry.size))
    yield END


def header(entry: Entry, *, at: int = 0, align: int = 0) -> bytes:
    """Return the header blocks of `entry`; with `align`, padded so that content at `at` is aligned.

    Raises InputError when the path, the link or a number cannot be written.
    """
    name = _encoded(entry.path + ("/" if entry.kind == "directory" else ""))
    link = _encoded(entry.target)
    records: dict[str, bytes] = {}
    if len(name) > _NAME_LIMIT or not name.isascii():
        records["path"] = name
    if len(link) > _NAME_LIMIT or not link.isascii():
        records["linkpath"] = link
    if entry.size >= _OCTAL_SIZE_LIMIT:
        records["size"] = str(entry.size).encode()
    for key, number in (("uid", entry.uid), ("gid", entry.gid)):
        if number >= _OCTAL_OWNER_LIMIT:
            records[key] = str(number).encode()
    body = b"".join(_record(key, records[key]) for key in sorted(records))
    if align:
        body = _fill(body, at=at, align=align)
    block = _block(
        name[:_NAME_LIMIT],
        _TYPE_FLAGS[entry.kind],
        entry,
        size=0 if "size" in records else entry.size,
        link=link[:_NAME_LIMIT],
    )
    if not body:
        return block
    extended = Entry(path="PaxHeader", mode=0o644)
    return (
        _block(b"PaxHeader", b"x", extended, size=len(body), link=b"")
        + body
        + padding(len(body))
        + block
    )


def _fill(body: bytes, *, at: int, align: int) -> bytes:
    """Lengthen the PAX `body` so that PAX header, body and ustar header end at a multiple."""
    if not body and (at + BLOCK) % align == 0:
        return body
    smallest = len(_record("comment", b""))
    needed = len(body) + smallest
    end = at + 2 * BLOCK + needed + (-needed % BLOCK)
    room = needed + (-needed % BLOCK) + (-end % align)
    return _record("comment", b"", length=room - len(body)) + body


def _record(key: str, value: bytes, *, length: int = 0) -> bytes:
    """Return `LENGTH key=value\\n`, where LENGTH counts its own digits; zeros fill to `length`."""
    body = b" " + key.encode() + b"=" + value + b"\n"
    if length:
        body = body[:-1] + b"0" * (length - len(str(length)) - len(body)) + b"\n"
        return str(length).encode() + body
    total = len(body)
    while len(str(total)) + len(body) != total:
        total = len(str(total)) + len(body)
    return str(total).encode() + body


def _encoded(path: str) -> bytes:
    if "\0" in path:
        raise InputError("a path holds a NUL character", at=path.replace("\0", "\\0"))
    try:
        return path.encode()
    except UnicodeEncodeError as error:
        raise InputError("a path is not valid UTF-8", at=repr(path)) from error


def _octal(number: int, width: int) -> bytes:
    digits = b"%0*o" % (width - 1, number)
    if number < 0 or len(digits) >= width:
        raise InputError(f"{number} does not fit a tar header field")
    return digits + b"\0"


def _block(name: bytes, flag: bytes, entry: Entry, *, size: int, link: bytes) -> bytes:
    block = bytearray(BLOCK)
    block[0 : len(name)] = name
    block[100:108] = _octal(entry.mode, 8)
    for start, number in ((108, entry.uid), (116, entry.gid)):
        block[start : start + 8] = _octal(0 if number >= _OCTAL_OWNER_LIMIT else number, 8)
    block[124:136] = _octal(size, 12)
    block[136:148] = _octal(0, 12)
    block[156:157] = flag
    block[157 : 157 + len(link)] = link
    block[257:265] = b"ustar\x0000"
    block[329:337] = block[337:345] = _octal(0, 8)
    # POSIX: the checksum is taken with its own field full of spaces.
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)
