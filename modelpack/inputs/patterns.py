"""Which files of a folder are meant: gitignore-like globs and a walk that nothing can trap."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from modelpack.errors import Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Relative paths in byte order, and what stood in the way."""

    paths: tuple[str, ...]
    findings: tuple[Finding, ...]


def matches(path: str, pattern: str) -> bool:
    """Tell whether the relative `path` matches a gitignore-like glob `pattern`."""
    raise NotImplementedError


def select(
    root: Path, include: Sequence[str], exclude: Sequence[str] = (), skip_dirs: Sequence[str] = (),
    *, follow: bool = True,
) -> Selection:
    """Return the files below `root` that match one of `include` and none of `exclude`.

    `skip_dirs` are patterns of folders that are not entered. `follow`: symbolic links are followed
    (weights: by content); else they are listed when their path matches (code: the caller judges).
    """
    raise NotImplementedError
