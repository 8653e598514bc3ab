"""Reads a `.deb`: an ar archive of two tar archives, hostile until parsed (deb(5))."""

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from modelpack.errors import InputError
from modelpack.inputs.decompression import decompress
from modelpack.oci.tar import Entry, Kind
from modelpack.oci.tree import check_path

if TYPE_CHECKING:
    import tarfile

MAX_CONTENT = 512 << 20
"bytes of a decompressed data archive"
_MAX_CONTROL = 16 << 20
_MAX_ENTRIES = 200_000
_MAX_TARGET = 4096
_MAGIC = b"!<arch>\n"
_HEADER = 60
_MAX_MEMBERS = 16
_MEMBER = re.compile(r"(control|data)\.tar(?:\.(xz|gz|zst))?")
_INSTALLATION = ("preinst", "postinst")
"the scripts that an installation runs; the others are for removal and questions"


class DebFile:
    """A parsed `.deb`; all methods raise InputError for one that is damaged or hostile."""

    def __init__(self, content: bytes, *, name: str) -> None:
        self._name = name
        self._members = dict(_members(content, name))
        for kind in ("control", "data"):
            if kind not in self._members:
                raise InputError(f"not a Debian package: no `{kind}.tar`", at=name)
        self._control: Mapping[str, bytes] | None = None

    def control(self) -> Mapping[str, bytes]:
        """Return the files of the control archive by name: `control`, `md5sums`, scripts."""
        if self._control is None:
            entries = self._entries("control", limit=_MAX_CONTROL)
            self._control = {
                entry.path: entry.content
                for entry in entries
                if entry.kind == "file" and isinstance(entry.content, bytes)
            }
            if "control" not in self._control:
                raise InputError("not a Debian package: no `control` in it", at=self._name)
        return self._control

    def installation_scripts(self) -> tuple[str, ...]:
        """Return the names of the maintainer scripts that an installation would run."""
        return tuple(name for name in _INSTALLATION if name in self.control())

    def entries(self) -> Iterator[Entry]:
        """Yield what the package installs, as its archive has it: set-id bits, owners and all.

        Paths are relative and safe; a symbolic link stays within the root; the target of a hard
        link is a safe path. Devices, FIFOs and sparse files are refused.
        """
        return self._entries("data", limit=MAX_CONTENT)

    def _entries(self, kind: str, *, limit: int) -> Iterator[Entry]:
        import tarfile  # noqa: PLC0415  not needed when every layer is remembered

        data, suffix = self._members[kind]
        at = f"{self._name}: {kind}.tar"
        content = decompress(data, suffix, limit=limit, at=at)
        with _reported(at):
            archive = tarfile.open(  # noqa: SIM115  a reader of bytes
                fileobj=io.BytesIO(content), mode="r:", encoding="utf-8", errors="strict"
            )
        for _ in range(_MAX_ENTRIES):
            with _reported(at):
                member = archive.next()
                if member is None:
                    return
                entry = _entry(archive, member, at)
            if entry is not None:
                yield entry
        raise InputError(f"more than {_MAX_ENTRIES} files", at=at)


def _members(content: bytes, name: str) -> Iterator[tuple[str, tuple[bytes, str]]]:
    """Yield the kind, bytes and compression of the members of the ar archive (deb(5))."""
    if not content.startswith(_MAGIC):
        raise InputError("not a Debian package: not an ar archive", at=name)
    position, seen = len(_MAGIC), set()
    for number in range(_MAX_MEMBERS):
        if position >= len(content):
            return
        header = content[position : position + _HEADER]
        size = header[48:58].rstrip(b" ")
        if len(header) < _HEADER or header[58:] != b"`\n" or not size.isdigit():
            raise InputError("damaged Debian package: not an ar header", at=name)
        start, end = position + _HEADER, position + _HEADER + int(size)
        if end > len(content):
            raise InputError("damaged Debian package: it was cut", at=name)
        member = header[:16].decode("ascii", "replace").rstrip(" ").removesuffix("/")
        if number == 0 and (member != "debian-binary" or content[start : start + 2] != b"2."):
            raise InputError("not a Debian package of format 2", at=name)
        if found := _MEMBER.fullmatch(member):
            if found[1] in seen:
                raise InputError(f"damaged Debian package: `{found[1]}.tar` twice", at=name)
            seen.add(found[1])
            yield found[1], (content[start:end], found[2] or "")
        position = end + int(size) % 2
    raise InputError("damaged Debian package: too many members", at=name)


def _entry(archive: "tarfile.TarFile", member: "tarfile.TarInfo", at: str) -> Entry | None:
    """Return the checked Entry for `member`; None for the root folder."""
    path = member.name.removeprefix("./").rstrip("/")
    if path in ("", "."):
        return None
    check_path(path, at=at)
    kind = _kind(member, at)
    target = ""
    if kind == "symlink":
        target = _symlink_target(path, member.linkname, at)
    elif kind == "hardlink":
        target = member.linkname.removeprefix("./").rstrip("/")
        check_path(target, at=at)
    content = b""
    if kind == "file":
        file = archive.extractfile(member)
        content = file.read() if file is not None else b""
        if len(content) != member.size:
            raise InputError(f"damaged Debian package: `{path}` was cut", at=at)
    if not (0 <= member.uid < 1 << 21 and 0 <= member.gid < 1 << 21):
        raise InputError(f"`{path}` has a strange owner", at=at)
    return Entry(
        path=path,
        kind=kind,
        mode=0o777 if kind == "symlink" else member.mode & 0o7777,
        uid=member.uid,
        gid=member.gid,
        target=target,
        content=content,
    )


def _kind(member: "tarfile.TarInfo", at: str) -> Kind:
    if member.issym():
        return "symlink"
    if member.islnk():
        return "hardlink"
    if member.isdir():
        return "directory"
    if member.isreg() and not member.issparse():
        return "file"
    raise InputError(f"`{member.name[:200]!a}` is a device, a FIFO or a sparse file", at=at)


def _symlink_target(path: str, target: str, at: str) -> str:
    """Return `target` when it names something within the root, seen from `path`."""
    depth = 0 if target.startswith("/") else path.count("/")
    for part in target.split("/"):
        depth += {"..": -1, ".": 0, "": 0}.get(part, 1)
        if depth < 0:
            raise InputError(f"`{path}` is a link that leaves the root", at=at)
    strange = any(ord(c) < 32 or ord(c) == 127 for c in target)  # noqa: PLR2004  control characters
    if not target or len(target) > _MAX_TARGET or strange:
        raise InputError(f"`{path}` is a link to a strange place", at=at)
    return target


@contextmanager
def _reported(at: str) -> Iterator[None]:
    """Tell in our words whatever `tarfile` raises when an archive is not one."""
    import tarfile  # noqa: PLC0415  not needed when every layer is remembered

    try:
        yield
    except (
        tarfile.TarError,
        EOFError,
        ValueError,
        OverflowError,
        OSError,
        KeyError,
        IndexError,
        RecursionError,
    ) as error:
        raise InputError(f"damaged archive: {error}", at=at) from error
