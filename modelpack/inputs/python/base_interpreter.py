"""The interpreter of an assembled base, run in place: no container, no chroot, no root."""

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from modelpack.errors import InputError, Unavailable
from modelpack.lock import Interpreter
from modelpack.oci.tar import Entry, chunks
from modelpack.oci.tree import Tree
from modelpack.platform import Platform

_LOADERS = {"x86_64": "ld-linux-x86-64.so.2", "aarch64": "ld-linux-aarch64.so.1"}
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseInterpreter:
    """The interpreter of a base whose files lie in the folder `root` of this machine."""

    root: Path
    interpreter: Interpreter
    platform: Platform

    @classmethod
    def extract(
        cls, tree: Tree, root: Path, *, interpreter: Interpreter, platform: Platform
    ) -> "BaseInterpreter":
        """Write the files of a base to `root`, a folder that is not there yet.

        Nothing is written or linked outside of it: symbolic links that would lead out are left
        out, absolute ones lead into `root`. Raises Unavailable when it cannot be written.
        """
        try:
            root.mkdir(mode=0o700)
            for entry in tree.entries():
                _write(entry, root)
        except OSError as error:
            raise Unavailable(f"cannot unpack the base: {error.strerror}", at=str(root)) from error
        return cls(root=root, interpreter=interpreter, platform=platform)

    @property
    def executable(self) -> Path:
        """The interpreter's own file."""
        return self.root / self.interpreter.path.lstrip("/")

    @property
    def standard_library(self) -> Path:
        """The folder of its standard library."""
        return self.executable.parent.parent / "lib" / f"python{self.interpreter.minor}"

    @property
    def argv(self) -> tuple[str, ...]:
        """The command that starts it: loader, library path, interpreter."""
        libraries = [self.root / top / self.platform.multiarch for top in ("usr/lib", "lib")]
        loader = next(
            (
                path
                for folder in libraries
                if (path := folder / _LOADERS[self.platform.machine]).is_file()
            ),
            None,
        )
        if loader is None or not self.executable.is_file():
            raise InputError(
                f"the base has no interpreter `{self.interpreter.path}` with its loader"
            )
        search = ":".join(str(folder) for folder in libraries)
        return (str(loader), "--library-path", search, str(self.executable))

    @property
    def runnable(self) -> bool:
        """Whether this machine's kernel can run it."""
        return runs_here(self.platform)


def runs_here(platform: Platform) -> bool:
    """Tell whether this machine is a `platform`."""
    system = os.uname()
    return (system.sysname, system.machine) == ("Linux", platform.machine)


def _write(entry: Entry, root: Path) -> None:
    # Every parent is a real directory: Tree refuses anything below a link.
    path = root / entry.path
    match entry.kind:
        case "directory":
            path.mkdir(mode=0o700)
        case "symlink":
            target = _inside(entry)
            if target is not None:
                path.symlink_to(target)
        case "hardlink":
            os.link(root / entry.target, path, follow_symlinks=False)
        case "file":
            _write_file(entry, path)


def _inside(entry: Entry) -> str | None:
    """Return the link's target relative to where it stands, or None if it could lead out.

    `..` is only taken at the start, where it climbs real directories: further on, it may stand
    behind another link.
    """
    depth = len(PurePosixPath(entry.path).parts) - 1
    if entry.target.startswith("/"):
        parts = tuple(part for part in entry.target.split("/") if part not in ("", "."))
        up = depth
    else:
        written = [part for part in entry.target.split("/") if part not in ("", ".")]
        up = next((n for n, part in enumerate(written) if part != ".."), len(written))
        parts = tuple(written[up:])
    if ".." in parts or up > depth:
        return None
    return "/".join((*[".."] * up, *parts)) or "."


def _write_file(entry: Entry, path: Path) -> None:
    mode = 0o700 if entry.mode & 0o111 else 0o600
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(path, flags, mode), "wb") as output:
        output.writelines(chunks(entry.content, _CHUNK))
