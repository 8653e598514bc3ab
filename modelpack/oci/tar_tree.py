"""Somebody's tar as a Tree of plain files, folders and symbolic links; all else is refused."""

from pathlib import Path

from modelpack.errors import InputError
from modelpack.oci.tar import Entry, FileRange
from modelpack.oci.tar_reading import Header, headers
from modelpack.oci.tree import Tree

_COUNT_LIMIT = 1_000_000
_TARGET_LIMIT = 4096
_WHITEOUT = ".wh."
"how the name of a whiteout begins (OCI image-spec, layer.md)"
_KINDS = {
    b"1": "a hard link",
    b"3": "a device",
    b"4": "a device",
    b"6": "a FIFO",
    b"S": "a sparse file",
}


def read(path: Path, *, at: str) -> Tree:
    """Return what the tar at `path` holds; contents stay in that file.

    `at` names the tar in messages. Raises InputError for one that is damaged, and for a hard link,
    device, FIFO, sparse file, whiteout, set-id or sticky bit, extended attribute, unsafe path and
    a path that is in it twice.
    """
    tree = Tree()
    with path.open("rb") as stream:
        for header in headers(stream, at=at, limit=_COUNT_LIMIT):
            name = header.name.removeprefix("./").rstrip("/")
            if name not in ("", "."):
                tree.add(_entry(header, name, str(path), at), owner=at)
    return tree


def _entry(header: Header, name: str, file: str, at: str) -> Entry:
    shown = name.encode("unicode_escape").decode()[:200]
    strange = sorted(key for key in header.keys if "xattr" in key or "sparse" in key.lower())
    if strange:
        raise InputError(f"`{shown}` has the attribute `{strange[0][:100]}`", at=at)
    if any(part.startswith(_WHITEOUT) for part in name.split("/")):
        raise InputError(f"`{shown}` is a whiteout", at=at)
    if header.mode & 0o7000 and header.flag != b"2":
        raise InputError(f"`{shown}` has a set-id or sticky bit", at=at)
    match header.flag:
        case b"0" | b"\0":
            content = FileRange(path=file, offset=header.offset, size=header.size)
            return Entry(
                path=name, mode=header.mode, content=content if header.size else b""
            )  # fmt: skip
        case b"5":
            return Entry(path=name, kind="directory", mode=header.mode)
        case b"2":
            return Entry(path=name, kind="symlink", mode=0o777, target=_target(header, shown, at))
        case _:
            kind = _KINDS.get(header.flag, "of an unknown kind")
            raise InputError(f"`{shown}` is {kind}", at=at)


def _target(header: Header, shown: str, at: str) -> str:
    target = header.target
    strange = any(ord(c) < 32 or ord(c) == 127 or "\ud800" <= c <= "\udfff" for c in target)  # noqa: PLR2004  control characters
    if not target or len(target) > _TARGET_LIMIT or strange:
        raise InputError(f"`{shown}` is a link to a strange place", at=at)
    return target
