"""Which files of a folder are meant: gitignore-like globs and a walk that nothing can trap."""

import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from modelpack.errors import Finding, InputError

_FILE_LIMIT = 200_000
_DEPTH_LIMIT = 64
_PATTERN_LIMIT = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Relative paths in byte order, and what stood in the way."""

    paths: tuple[str, ...]
    findings: tuple[Finding, ...]


def matches(path: str, pattern: str) -> bool:
    """Tell whether the relative `path` matches a gitignore-like glob `pattern`.

    Without `/` the pattern is for the base name, at any depth; with `/` for the whole path (a
    leading `/` is only that). `**` alone between slashes is any number of folders, at the end
    everything below, and so is a last `/`. `*`, `?` and `[…]` never match `/`; case counts.
    The guard has the same rules: `modelpack.runtime.guard.matches`.
    """
    names = path.split("/")
    if "/" not in pattern:
        return fnmatchcase(names[-1], pattern)
    parts = pattern.removeprefix("/").split("/")
    if parts[-1] in ("", "**"):
        parts[-1:] = ["**", "*"]
    depths = {0}
    for part in parts:
        if part == "**":
            depths = set(range(min(depths), len(names) + 1))
        else:
            depths = {d + 1 for d in depths if d < len(names) and fnmatchcase(names[d], part)}
        if not depths:
            return False
    return len(names) in depths


def select(
    root: Path,
    include: Sequence[str],
    exclude: Sequence[str] = (),
    skip_dirs: Sequence[str] = (),
    *,
    follow: bool = True,
) -> Selection:
    """Return the files below `root` that match one of `include` and none of `exclude`.

    `skip_dirs` are patterns of folders that are not entered. `follow`: symbolic links are
    followed (weights count by content, hub caches need it); else a link is listed like a file
    and the caller judges it. Raises InputError when `root` is not a folder that can be read, or
    when there are too many files.
    """
    walk = _Walk(tuple(include), tuple(exclude), tuple(skip_dirs), follow=follow)
    try:
        status = os.stat(root)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", at=str(root)) from error
    if not stat.S_ISDIR(status.st_mode):
        raise InputError("not a folder", at=str(root))
    walk.enter(str(root), "", (), status)
    paths = sorted(walk.paths, key=os.fsencode)
    return Selection(paths=tuple(paths), findings=(*walk.findings, *case_collisions(paths)))


@dataclass(slots=True)
class _Walk:
    """The state of one walk."""

    include: tuple[str, ...]
    exclude: tuple[str, ...]
    skip: tuple[str, ...]
    follow: bool = field(kw_only=True)
    paths: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    seen: int = 0

    def enter(
        self,
        folder: str,
        relative: str,
        above: tuple[tuple[int, int], ...],
        status: os.stat_result,
    ) -> None:
        """Walk one folder; `above` are the device and inode of it and those it lies in."""
        here = (status.st_dev, status.st_ino)
        if here in above:
            self._find(relative, "a symbolic link makes a circle")
            return
        if len(above) >= _DEPTH_LIMIT:
            self._find(relative, f"folders are nested deeper than {_DEPTH_LIMIT}")
            return
        try:
            with os.scandir(folder) as entries:
                names = sorted(os.fsencode(entry.name) for entry in entries)
        except OSError as error:
            self._find(relative, f"the folder cannot be read: {error.strerror}")
            return
        for raw in names:
            self._meet(folder, relative, (*above, here), os.fsdecode(raw))

    def _meet(
        self, folder: str, relative: str, above: tuple[tuple[int, int], ...], name: str
    ) -> None:
        self.seen += 1
        if self.seen > _FILE_LIMIT:
            raise InputError(
                f"more than {_FILE_LIMIT} files and folders",
                at=folder,
                hint="name a smaller folder, or exclude what is not needed",
            )
        path = f"{relative}/{name}" if relative else name
        full = f"{folder}/{name}"
        try:
            status = os.lstat(full)
            linked = stat.S_ISLNK(status.st_mode)
            if linked and self.follow:
                status = os.stat(full)
        except OSError as error:
            if self._wanted(path):
                self._find(path, f"cannot be read: {error.strerror}")
            return
        if stat.S_ISDIR(status.st_mode):
            if not any(matches(path, pattern) for pattern in self.skip):
                self.enter(full, path, above, status)
        elif self._wanted(path):
            self._take(path, full, status)

    def _take(self, path: str, full: str, status: os.stat_result) -> None:
        if not is_clean(path):
            self._find(path, "the name holds control characters or is not UTF-8")
        elif stat.S_ISLNK(status.st_mode):
            self.paths.append(path)
        elif not stat.S_ISREG(status.st_mode):
            self._find(path, f"not a regular file but {_kind(status.st_mode)}")
        elif not os.access(full, os.R_OK):
            self._find(path, "the file cannot be read: permission denied")
        else:
            self.paths.append(path)

    def _wanted(self, path: str) -> bool:
        return any(matches(path, pattern) for pattern in self.include) and not any(
            matches(path, pattern) for pattern in self.exclude
        )

    def _find(self, path: str, message: str) -> None:
        self.findings.append(Finding(message=message, at=shown(path), rule="files.unusable"))


def check_patterns(patterns: Sequence[str], *, at: str) -> tuple[Finding, ...]:
    """Return what is wrong with `patterns`, for messages about the Spec."""
    return tuple(
        Finding(message=f"not a pattern: `{shown(pattern)}`", at=at)
        for pattern in patterns
        if not pattern
        or len(pattern) > _PATTERN_LIMIT
        or not is_clean(pattern)
        or any(part in (".", "..") for part in pattern.split("/"))
    )


def case_collisions(paths: Sequence[str]) -> list[Finding]:
    """Find names that are one name where case does not count (macOS, Windows)."""
    first: dict[str, str] = {}
    found = []
    for path in paths:
        other = first.setdefault(path.casefold(), path)
        if other != path:
            found.append(
                Finding(
                    message=f"differs from `{shown(other)}` only by upper and lower case",
                    at=shown(path),
                    rule="files.case",
                )
            )
    return found


_KINDS = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def _kind(mode: int) -> str:
    return next((name for test, name in _KINDS if test(mode)), "something else")


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"control characters, those that turn the direction of writing, and bytes that are not UTF-8"


def is_clean(path: str) -> bool:
    """Tell whether a name holds no control characters and is UTF-8."""
    return not _CONTROL.search(path)


def shown(path: str) -> str:
    """Return a name fit for a message."""
    return _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", path)[:300]
