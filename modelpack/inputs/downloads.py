"""Downloads remembered by sha256, hashed again before they are used."""

import hashlib
import io
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, BinaryIO, cast

from modelpack.digest import of_hex
from modelpack.errors import Refused, Unavailable
from modelpack.oci.locking import exclusive_file
from modelpack.oci.partial_download import PartialDownload
from modelpack.progress import SILENT, Progress

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

_CHUNK = 1 << 20
_HINT = "make room there, or set MODELPACK_CACHE to another folder"

_Identity = tuple[int, int, int, int, int]
"device, inode, size, mtime_ns and ctime_ns of a file: unchanged content, unless somebody lies"


class Downloads:
    """Files by sha256 in `<root>/downloads/sha256/<hex>`, private to their owner.

    Safe under concurrent builds: a file appears whole, by rename, after its digest was checked.
    One process hashes an unchanged file once.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folder = root / "downloads" / "sha256"
        self._known: dict[str, _Identity] = {}
        self._lock = Lock()

    def path(self, sha256: str) -> Path | None:
        """Return the file whose content has this digest, or None.

        A file that does not (any more) is removed. Raises Unavailable when the folder cannot be
        read.
        """
        path = self._path(sha256)
        with _reported(path):
            try:
                with _opened(path) as file:
                    if self._matches(sha256, file):
                        return path
            except FileNotFoundError:
                return None
            except _NotAFileError:
                pass
            self._remove(path)
        return None

    def add(self, sha256: str, size: int, write: Callable[[BinaryIO], None]) -> Path:
        """Let `write` fill a file that must be `size` bytes (0: unknown) with this digest.

        Raises Refused when the content is another one, and what `write` raises; nothing stays
        behind then. Raises Unavailable when the folder cannot be written.
        """
        path = self._path(sha256)
        with _reported(path):
            self._make_folder()
            import tempfile  # noqa: PLC0415  not for a code-only build

            descriptor, name = tempfile.mkstemp(prefix=".part-", dir=self._folder)  # mode 0600
        try:
            with open(descriptor, "wb", buffering=0) as file:
                writer = _HashingWriter(file, limit=size, name=str(path))
                write(cast("BinaryIO", writer))
                writer.check(sha256)
            with _reported(path):
                Path(name).replace(path)
                self._remember(sha256, path.lstat())
        except BaseException:
            with suppress(OSError):
                Path(name).unlink()
            raise
        return path

    def resume(
        self,
        sha256: str,
        size: int,
        fill: Callable[[PartialDownload], None],
        *,
        progress: Progress = SILENT,
    ) -> Path:
        """Let `fill` complete a file of `size` bytes that an earlier process may have begun.

        Waits for another process that fills the same one. What came stays for the next try when
        `fill` raises; Refused when the whole is another content, and then nothing stays.
        """
        path = self._path(sha256)
        part = self._folder / f".part-{sha256}"
        with _reported(path):
            self._make_folder()
            handle = exclusive_file(part, progress=progress)
            try:
                if self.path(sha256) is not None:  # another process had it before us
                    part.unlink()
                    return path
                os.fchmod(handle, 0o600)
                partial = PartialDownload(handle, path=part, expected=size)
                fill(partial)
                partial.check(sha256)
                part.replace(path)
                self._remember(sha256, path.lstat())
            finally:
                os.close(handle)
        return path

    def _path(self, sha256: str) -> Path:
        of_hex(sha256)  # refuses anything that is not 64 digits, such as a path
        return self._folder / sha256

    def _make_folder(self) -> None:
        for folder in (self._root, self._folder.parent, self._folder):
            folder.mkdir(mode=0o700, parents=folder is self._root, exist_ok=True)

    def _matches(self, sha256: str, file: BinaryIO) -> bool:
        before = _identity(os.fstat(file.fileno()))
        with self._lock:
            if self._known.get(sha256) == before:
                return True
        digest = hashlib.sha256()
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
        if digest.hexdigest() != sha256:
            return False
        after = os.fstat(file.fileno())
        if _identity(after) == before:
            self._remember(sha256, after)
        return True

    def _remember(self, sha256: str, status: os.stat_result) -> None:
        with self._lock:
            self._known[sha256] = _identity(status)

    def _remove(self, path: Path) -> None:
        # Another build may have put a whole file in the place of the damaged one meanwhile; it
        # is downloaded once more then.
        if not stat.S_ISDIR(path.lstat().st_mode):
            path.unlink(missing_ok=True)


class _HashingWriter(io.RawIOBase):
    """Passes bytes on and hashes them, so that what was hashed is what was written."""

    def __init__(self, file: io.FileIO, *, limit: int, name: str) -> None:
        self._file, self._limit, self._name = file, limit, name
        self._digest = hashlib.sha256()
        self._size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: "Buffer", /) -> int:
        view = memoryview(data).cast("B")
        self._size += len(view)
        if self._limit and self._size > self._limit:
            raise Refused(f"a download is longer than its {self._limit} bytes", at=self._name)
        self._digest.update(view)
        done = 0
        with _reported(Path(self._name)):
            while done < len(view):
                done += self._file.write(view[done:])
        return done

    def check(self, sha256: str) -> None:
        if self._limit and self._size != self._limit:
            raise Refused(
                f"a download has {self._size} bytes instead of {self._limit}", at=self._name
            )
        if self._digest.hexdigest() != sha256:
            raise Refused(
                f"a download has sha256 `{self._digest.hexdigest()}` instead of `{sha256}`",
                at=self._name,
            )


class _NotAFileError(OSError):
    """A link, folder, pipe or device stands where a download should be."""


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    if not stat.S_ISREG(path.lstat().st_mode):
        raise _NotAFileError
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _NotAFileError
        yield file


@contextmanager
def _reported(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable(
            f"cannot use the cache of downloads: {error.strerror}", at=str(path), hint=_HINT
        ) from error


def _identity(status: os.stat_result) -> _Identity:
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )
