"""The files of a project folder as `modelpack init` sees them: few levels, plain names, bounded."""

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from modelpack.errors import InputError
from modelpack.inputs.opening import open_regular

PLAIN = re.compile(r"[A-Za-z0-9_@+][A-Za-z0-9._@+-]*")
"names that need no thought in a TOML file, a glob or a shell"
_DEPTH = 3
_MOST_FILES = 20_000
_MOST_TEXT = 1 << 20
_SKIPPED = frozenset({
    "__pycache__", "build", "dist", "env", "node_modules", "site-packages", "venv",
})  # fmt: skip


class ProjectFiles:
    """Sizes of the regular files below a folder; linked files count, linked folders do not."""

    def __init__(self, root: Path) -> None:
        """Walk `root`; raises InputError when it cannot be read."""
        self._root = root
        self._seen = 0
        self.sizes = dict(self._walk(root, ()))

    def named(self, *names: str) -> str:
        """Return the first of `names` that lies at the top, or nothing."""
        return next((name for name in names if name in self.sizes), "")

    def text(self, path: str) -> str:
        """Return the start of a file; nothing when it is not there or cannot be read."""
        if path not in self.sizes:
            return ""
        try:
            with open_regular(self._root / path) as file:
                return file.read(_MOST_TEXT).decode(errors="replace")
        except (InputError, OSError):
            return ""

    def _walk(self, folder: Path, above: tuple[str, ...]) -> Iterator[tuple[str, int]]:
        try:
            names = sorted(os.listdir(folder))
        except OSError as error:
            if not above:
                raise InputError(f"cannot be read: {error.strerror}", at=str(folder)) from error
            return
        for name in names:
            self._seen += 1
            if self._seen > _MOST_FILES:
                return
            if not PLAIN.fullmatch(name) or name in _SKIPPED:
                continue
            path, mode, size = folder / name, *_status(folder / name)
            if stat.S_ISREG(mode):
                yield "/".join((*above, name)), size
            elif _is_entered(path, mode) and len(above) < _DEPTH:
                yield from self._walk(path, (*above, name))


def folder_of(path: str) -> str:
    """Return the folder of a relative path; `.` at the top."""
    return path.rpartition("/")[0] or "."


def join(folder: str, name: str) -> str:
    """Return the relative path of `name` in `folder`."""
    return name if folder == "." else f"{folder}/{name}"


def _status(path: Path) -> tuple[int, int]:
    """Return mode and size, of a link's target if that is a file; zeros when there is none."""
    try:
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode):
            status = path.stat()
            return (status.st_mode, status.st_size) if stat.S_ISREG(status.st_mode) else (0, 0)
    except OSError:
        return 0, 0
    return status.st_mode, status.st_size


def _is_entered(path: Path, mode: int) -> bool:
    return stat.S_ISDIR(mode) and not (path / "pyvenv.cfg").exists()
