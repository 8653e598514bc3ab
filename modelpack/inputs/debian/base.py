"""A base made from `.deb` files, distroless-style: no maintainer script runs, no shell is in it."""

import posixpath
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from modelpack.errors import Finding, InputError, Refused, Unavailable
from modelpack.inputs.debian import deb822, system_files
from modelpack.inputs.debian.distributions import SHELLS
from modelpack.inputs.debian.mirrors import Mirrors
from modelpack.inputs.debian.package import DebFile
from modelpack.inputs.downloads import Downloads
from modelpack.inputs.opening import open_regular
from modelpack.lock import AssembledBase, DebianPackage
from modelpack.oci.tar import Entry, FileRange, bytes_of, directory
from modelpack.oci.tree import Tree
from modelpack.platform import Platform
from modelpack.progress import SILENT, Progress

MERGED = frozenset({"bin", "sbin", "lib", "lib32", "lib64", "libx32"})
"top folders that are links into /usr (usr-merge)"
_MAX_TOTAL = 2 << 30
"bytes of all packages together"
_SPILLED = 16 << 10
"bytes of content from which on it is not held in memory: few files, most of the bytes"
_EXCLUDED = re.compile(
    r"usr/share/(?:doc/(?!.*/copyright$)|man/|locale/|lintian/|info/|bug/|doc-base/|gcc/|gdb/"
    r"|menu/|applications/|pixmaps/|bash-completion/|binfmts/|python3/runtime\.d/|perl5/)"
)
"what nobody reads in a container; licences stay"
_ONLY = {
    "libc-bin": re.compile(
        r"usr/sbin/ldconfig|usr/lib/locale/C\.utf8/.*|usr/share/doc/libc-bin/copyright"
        r"|etc/ld\.so\.conf(?:\.d/.*)?"
    ),
}
"packages of which only some files are taken: `ctypes.util.find_library` runs `ldconfig -p`"
_PROGRAMS = ("usr/bin", "usr/sbin")
_SHELL_FILES = frozenset(f"{folder}/{name}" for folder in _PROGRAMS for name in {*SHELLS, "sh"})
_STATUS = "var/lib/dpkg/status.d"
"where scanners look for packages that no dpkg installed"


def fetch(
    base: AssembledBase,
    *,
    mirrors: Mirrors,
    downloads: Downloads,
    environment: Mapping[str, str],
    offline: bool = False,
    progress: Progress = SILENT,
) -> Mapping[str, Path]:
    """Return the `.deb` of every package of `base` by name, digests checked.

    From the cache; else, unless `offline`, from a mirror's pool; else from the snapshot archive.
    Raises Unavailable naming every package that could not be had.
    """
    known = {package.name: downloads.path(package.sha256) for package in base.packages}
    missing = [package for package in base.packages if known[package.name] is None]
    if missing and offline:
        raise Unavailable(
            *(
                Finding(
                    message=f"`{package.name}` {package.version} is not in the cache",
                    at=package.name,
                    hint="run once without `--offline`",
                )
                for package in missing
            )
        )
    if missing:
        from modelpack.inputs.debian import pool as debian_pool  # noqa: PLC0415  the network stack

        known |= debian_pool.fetch(
            base,
            missing,
            mirrors=mirrors,
            downloads=downloads,
            environment=environment,
            progress=progress,
        )
    return {name: path for name, path in known.items() if path is not None}


def tree(
    base: AssembledBase,
    debs: Mapping[str, Path],
    *,
    platform: Platform,
    user: int,
    spill: Path | None = None,
) -> Tree:
    """Return the root file system that the packages of `base` make, for `user` and group 0.

    `debs` are their files by name, digests checked. Large contents go to the file `spill`, which
    must outlive the tree; without it all is held in memory. Nothing has a set-id bit, and nothing
    but /tmp, /var/tmp and the home can be written by another user than root. Raises InputError
    for a package that is damaged, hostile or in conflict with another, and Refused for one that
    brings a shell or a package manager.
    """
    merged = Tree()
    total = 0
    with ExitStack() as stack:
        out = stack.enter_context(spill.open("wb")) if spill else None
        for package in base.packages:
            for entry in _installed(package, debs[package.name], platform):
                total += entry.size
                if total > _MAX_TOTAL:
                    raise InputError(
                        "the packages of the base are too large together", at=package.name
                    )
                merged.add(_spilled(entry, out), owner=package.name)
    _refuse_shells(merged)
    _refuse_broken_links(merged)
    system_files.add(merged, platform=platform, user=user)
    _discard_dead_scripts(merged)
    return merged


def _spilled(entry: Entry, out: BinaryIO | None) -> Entry:
    """Return `entry` with a large content moved to the end of `out`."""
    if out is None or entry.size < _SPILLED or not isinstance(entry.content, bytes):
        return entry
    offset = out.tell()
    out.write(entry.content)
    return replace(entry, content=FileRange(path=out.name, offset=offset, size=entry.size))


def _installed(package: DebianPackage, path: Path, platform: Platform) -> Iterator[Entry]:
    """Yield what is taken of a package, and the record of it that scanners read."""
    with open_regular(path, at=package.name) as file:
        deb = DebFile(file.read(), name=package.name)
    control = deb.control()
    _expect(package, control["control"], platform)
    only = _ONLY.get(package.name)
    for entry in deb.entries():
        placed = canonical(entry.path)
        if entry.path in MERGED or _EXCLUDED.match(placed + "/" * (entry.kind == "directory")):
            continue
        if only is None or (entry.kind != "directory" and only.fullmatch(placed)):
            yield _plain(entry, placed)
    yield Entry(path=f"{_STATUS}/{package.name}", content=control["control"])
    if "md5sums" in control:
        yield Entry(path=f"{_STATUS}/{package.name}.md5sums", content=control["md5sums"])


def canonical(path: str) -> str:
    """Return `path` where /bin, /lib and their like are links into /usr."""
    top, slash, _ = path.partition("/")
    return f"usr/{path}" if slash and top in MERGED else path


def _plain(entry: Entry, path: str) -> Entry:
    """Return `entry` at `path`, owned by root, without set-id bits and writable by nobody else."""
    if entry.kind == "symlink":
        return replace(entry, path=path, uid=0, gid=0)
    if entry.kind == "hardlink":
        return replace(
            entry, path=path, target=canonical(entry.target), mode=entry.mode & 0o755, uid=0, gid=0
        )
    sticky = entry.kind == "directory" and entry.mode & 0o1000
    if entry.kind == "directory":
        return directory(path, mode=0o1777 if sticky else entry.mode & 0o755)
    return replace(entry, path=path, mode=entry.mode & 0o755, uid=0, gid=0)


def _expect(package: DebianPackage, control: bytes, platform: Platform) -> None:
    """Refuse a package that calls itself something else than the lock says."""
    fields = next(deb822.paragraphs(control.decode(errors="replace")), {})
    for name, expected in (
        ("Package", {package.name}),
        ("Version", {package.version}),
        ("Architecture", {"all", platform.architecture}),
    ):
        if fields.get(name) not in expected:
            raise InputError(
                f"`{name}` is {fields.get(name, '')[:60]!a} instead of `{min(expected)}`",
                at=package.name,
            )


def _refuse_shells(merged: Tree) -> None:
    found = [path for path in merged if path in _SHELL_FILES]
    if found:
        raise Refused(
            *(
                Finding(
                    message=f"`{path}` is a shell or a package manager",
                    at=merged.owner(path),
                    rule="base.shell",
                    hint="leave the package out of `runtime.packages`",
                )
                for path in found
            )
        )


def _refuse_broken_links(merged: Tree) -> None:
    for path, entry in merged.items():
        known = merged.get(entry.target) if entry.kind == "hardlink" else None
        if entry.kind == "hardlink" and (known is None or known.kind != "file"):
            raise InputError(
                f"`{path}` is a link to `{entry.target}`, which is no file here",
                at=merged.owner(path),
            )


def _discard_dead_scripts(merged: Tree) -> None:
    """Take out programs that need a shell (or what else is not there) to run them."""
    for path, entry in list(merged.items()):
        program = entry.kind == "file" and posixpath.dirname(path) in _PROGRAMS
        content = bytes_of(entry.content) if program else b""
        if content.startswith(b"#!"):
            words = content[2:256].split(b"\n")[0].split()
            interpreter = words[0].decode(errors="replace") if words else ""
            if canonical(posixpath.normpath(interpreter).lstrip("/")) not in merged:
                merged.discard(path)
