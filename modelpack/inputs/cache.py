"""What is kept on disk between builds: how much, how old, and what may go.

Only names that this program itself gives are looked at, so that a wrong MODELPACK_CACHE never
costs anybody a file.
"""

import errno
import fcntl
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from modelpack.errors import Unavailable

YOUNG = 3600
"seconds: what was used this recently stays, whatever is asked"
FOLDERS: Mapping[str, str] = MappingProxyType({
    "downloads/sha256": "Debian packages, wheels and layers of bases, by their digest",
    "weights/sha256": "weight files that were fetched, by their digest",
    "bases": "what was found in base images",
    "blobs/sha256": "finished layers, compressed",
    "bytecode": "compiled modules of unchanged packages",
    "uploads": "where unfinished uploads to registries go on",
    "places": "which repositories of a registry have which blobs",
    "steps": "which step made which layer",
    "contents": "which packages a layer holds",
    "components": "parts of SBOMs of unchanged packages",
    "digests": "digests of files that did not change",
    "trivy/db": "the vulnerability database",
    "trivy/java-db": "the database of Java archives",
    "statements": "which statements were made here, and may be signed",
    "scratch": "left by builds that were killed",
})  # fmt: skip
"folder below the root, and what it holds"

_KEPT = {
    "downloads/sha256": r"[0-9a-f]{64}",
    "weights/sha256": r"[0-9a-f]{64}",
    "bases": r"[0-9a-f]{64}\.json",
    "blobs/sha256": r"[0-9a-f]{64}",
    "bytecode": r"[0-9a-f]{64}",
    "uploads": r"[0-9a-f]{64}\.json",
    "places": r"[0-9a-f]{64}\.json",
    "steps": r"[0-9a-f]{64}\.json",
    "contents": r"[0-9a-f]{64}\.json",
    "components": r"[0-9a-f]{64}\.json",
    "digests": r"[0-9a-f]{64}",
    "statements": r"[0-9a-f]{64}",
    "trivy/db": r"trivy\.db|metadata\.json",
    "trivy/java-db": r"trivy-java\.db|metadata\.json",
}
_LEFT_OVER = {
    "downloads/sha256": r"\.part-[A-Za-z0-9_]+",
    "weights/sha256": r"\.part-[0-9a-f]{64}",
    "bases": r"\.part-[A-Za-z0-9_]+",
    "blobs/sha256": r"\.[A-Za-z0-9_]{8}",
    "bytecode": r"\.part-[A-Za-z0-9_]+",
    "uploads": r"(?!)",
    "places": r"\.part-[A-Za-z0-9_]+",
    "steps": r"\.[A-Za-z0-9_]{8}",
    "statements": r"(?!)",
    "trivy/db": r"(?!)",
    "trivy/java-db": r"(?!)",
    "contents": r"[0-9a-f]{64}\.partial",
    "components": r"[0-9a-f]{64}\.partial",
    "digests": r"[0-9a-f]{64}(?:\.[0-9a-f]+)?\.partial",
    "scratch": r"tmp[A-Za-z0-9_]{8}",
}
_CANNOT_LOCK = frozenset({errno.EBADF, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS})


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A file of the cache, or a folder that a killed build left."""

    path: Path
    folder: str
    size: int
    used: float
    "seconds since 1970 of the last reading or writing, as well as the file system tells"
    left_over: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What one folder of the cache holds."""

    folder: str
    files: int
    size: int
    oldest: float | None
    "seconds since 1970 of the longest unused file; None when there is none"


@contextmanager
def hold(root: Path) -> Iterator[None]:
    """Keep `cache prune` away from `root` meanwhile; waits for one that runs."""
    with ExitStack() as stack:
        with suppress(OSError):
            root.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            stack.callback(os.close, handle)
            fcntl.flock(handle, fcntl.LOCK_SH)
        yield


def usage(root: Path) -> tuple[Usage, ...]:
    """Return what each folder of the cache holds."""
    kept = list(_kept(root))
    found = []
    for folder in FOLDERS:
        own = [item for item in kept if item.folder == folder]
        oldest = min((item.used for item in own), default=None)
        size = sum(item.size for item in own)
        found.append(Usage(folder=folder, files=len(own), size=size, oldest=oldest))
    return tuple(found)


def prune(
    root: Path,
    *,
    now: float,
    older_than: float | None = None,
    max_size: int | None = None,
    dry_run: bool = False,
) -> tuple[Kept, ...]:
    """Remove what killed builds left, what is unused for `older_than` seconds, and the longest
    unused until `max_size` bytes are left; return what went.

    Nothing goes that was used within the last hour. Raises Unavailable while a build runs.
    """
    with _alone(root):
        going = _chosen(list(_kept(root)), now=now, older_than=older_than, max_size=max_size)
        return going if dry_run else tuple(item for item in going if _remove(item))


def _chosen(
    kept: list[Kept], *, now: float, older_than: float | None, max_size: int | None
) -> tuple[Kept, ...]:
    old = [item for item in kept if now - item.used > YOUNG]
    going = [
        item
        for item in old
        if item.left_over or (older_than is not None and now - item.used > older_than)
    ]
    if max_size is None:
        return tuple(going)
    left = sum(item.size for item in kept) - sum(item.size for item in going)
    gone = {item.path for item in going}
    for item in sorted(old, key=lambda item: (item.used, item.path)):
        if left <= max_size:
            break
        if item.path not in gone:
            going.append(item)
            left -= item.size
    return tuple(going)


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Hold the cache while no build uses it."""
    try:
        handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield
        return
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Unavailable(
                "a build is running", at=str(root), hint="prune again when it has ended"
            ) from None
        except OSError as error:
            if error.errno not in _CANNOT_LOCK:
                raise
        yield
    finally:
        os.close(handle)


def _kept(root: Path) -> Iterator[Kept]:
    for folder in FOLDERS:
        if any((root / part).is_symlink() for part in (folder.partition("/")[0], folder)):
            continue
        try:
            entries = sorted(os.scandir(root / folder), key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            left_over = re.fullmatch(_LEFT_OVER[folder], entry.name) is not None
            known = _KEPT.get(folder)
            if left_over or (known and re.fullmatch(known, entry.name)):
                yield from _look(entry, folder, left_over=left_over)


def _look(entry: "os.DirEntry[str]", folder: str, *, left_over: bool) -> Iterator[Kept]:
    try:
        status = entry.stat(follow_symlinks=False)
    except OSError:
        return  # gone meanwhile
    if not (stat.S_ISREG(status.st_mode) or (stat.S_ISDIR(status.st_mode) and folder == "scratch")):
        return
    yield Kept(
        path=Path(entry.path),
        folder=folder,
        size=_tree_size(entry.path) if stat.S_ISDIR(status.st_mode) else status.st_size,
        used=max(status.st_atime, status.st_mtime),
        left_over=left_over,
    )


def _tree_size(path: str) -> int:
    size = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with suppress(OSError):
                size += os.lstat(os.path.join(folder, name)).st_size
    return size


def _remove(item: Kept) -> bool:
    try:
        if item.folder == "scratch":
            import shutil  # noqa: PLC0415  not for an edit of code

            shutil.rmtree(item.path)
        else:
            item.path.unlink()
    except OSError:
        return False
    return True
