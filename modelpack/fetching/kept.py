"""Fetched weight files in the cache, by sha256: hashed before they get that name, and only once.

Bounded by `cache prune`. What was begun lies beside them under the name of what it will become,
for the next process to go on with.
"""

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from modelpack.digest import Digest, hex_of, of_hex
from modelpack.errors import Refused, Unavailable
from modelpack.inputs.file_digests import FileDigest, FileDigests
from modelpack.inputs.weights import sha256_of
from modelpack.oci.file_writing import unwritable
from modelpack.oci.layer import Partial
from modelpack.oci.locking import exclusive_file
from modelpack.oci.partial_download import PartialDownload
from modelpack.progress import Progress
from modelpack.quantity import in_gib

FOLDER = "weights/sha256"
"of the cache"


class KeptFiles:
    """Files by sha256 below `root`, private to their owner; safe under concurrent builds."""

    def __init__(self, root: Path, *, digests: FileDigests) -> None:
        self._root = root
        self._folder = root / FOLDER
        self._digests = digests

    def remembered(self, sha256: str, size: int) -> Path | None:
        """Return the file with this content if it did not change since it was hashed; or None."""
        path = self._path(sha256)
        try:
            status = os.lstat(path)
        except OSError:
            return None
        known = self._digests.get(status) if stat.S_ISREG(status.st_mode) else None
        whole = known is not None and known.sha256 == sha256 and status.st_size == size
        return path if whole else None

    def find(self, sha256: str, size: int) -> Path | None:
        """Return the file with this content, or None; one that is something else is removed.

        Reads one that changed, or that was put there by another program.
        """
        path = self._path(sha256)
        if self.remembered(sha256, size) is not None:
            return path
        try:
            status = os.lstat(path)
        except OSError:
            return None
        is_whole = stat.S_ISREG(status.st_mode) and status.st_size == size
        if is_whole and sha256_of(path, size, lambda _: None) == sha256:
            self._digests.keep(str(path), of_hex(sha256))
            return path
        with suppress(OSError):
            path.unlink()
        return None

    def known(self, key: Digest, size: int) -> str | None:
        """Return the sha256 of what was fetched as `key`, if that file is still here."""
        digest = self._digests.derived(key)
        if digest is None or self.find(hex_of(digest), size) is None:
            return None
        return hex_of(digest)

    def take(
        self,
        key: Digest,
        size: int,
        fill: Callable[[Partial], None],
        *,
        expected: str,
        lasting: bool,
        at: str,
        progress: Progress,
    ) -> str:
        """Let `fill` complete the file that `key` names, and return its sha256.

        Waits for another process that fetches the same one. With `expected` no other content is
        kept: raises Refused, and nothing stays. `lasting`: the key never names another content.
        What came stays for the next try when `fill` raises. Raises Unavailable when the disk fails.
        """
        part = self._folder / f".part-{hex_of(key)}"
        try:
            self._make_folder()
            handle = exclusive_file(part, progress=progress)
        except OSError as error:
            raise unwritable(str(part), error) from error
        try:
            sha256 = self._here(expected, key, size, lasting=lasting)
            if sha256 is not None:  # another process was first
                part.unlink()
            else:
                sha256 = self._complete(handle, part, size, fill, expected, at)
                if lasting:  # before the lock is given back: who waits for it looks here
                    self._digests.record_derived(key, of_hex(sha256))
        except OSError as error:
            raise unwritable(str(part), error) from error
        finally:
            os.close(handle)
        return sha256

    def _here(self, expected: str, key: Digest, size: int, *, lasting: bool) -> str | None:
        if expected:
            return expected if self.find(expected, size) else None
        return self.known(key, size) if lasting else None

    def _complete(
        self, handle: int, part: Path, size: int, fill: Callable[[Partial], None], expected: str,
        at: str,
    ) -> str:  # fmt: skip
        os.fchmod(handle, 0o600)
        partial = PartialDownload(handle, path=part, expected=size)
        begun = partial.size
        fill(partial)
        sha256 = partial.hexdigest
        if begun and expected and sha256 != expected:  # what was here may have been no beginning
            partial.restart()
            fill(partial)
            sha256 = partial.hexdigest
        if partial.size != size or sha256 != (expected or sha256):
            part.unlink()
            is_what = f"it has sha256 `{sha256}` instead of `{expected}`"
            if partial.size != size:
                is_what = f"{partial.size} of {size} bytes came"
            raise Refused(f"the source sends other bytes than it should: {is_what}", at=at)
        os.fsync(handle)
        path = self._path(sha256)
        os.rename(part, path)
        self._digests.record(os.lstat(path), FileDigest(sha256=sha256), ours=True)
        return sha256

    def expect_room(self, size: int) -> None:
        """Raise Unavailable now rather than after an hour when `size` bytes do not fit."""
        try:
            self._make_folder()
            disk = os.statvfs(self._folder)
        except OSError as error:
            raise unwritable(str(self._folder), error) from error
        free = disk.f_bavail * disk.f_frsize
        if size > free:
            raise Unavailable(
                f"{in_gib(size)} are to be fetched, and {in_gib(free)} are free",
                at=str(self._root),
                hint="modelpack cache prune, or set MODELPACK_CACHE to another folder",
            )

    def begun(self, key: Digest) -> int:
        """Return how many bytes are here of what `key` names."""
        try:
            return os.lstat(self._folder / f".part-{hex_of(key)}").st_size
        except OSError:
            return 0

    def _path(self, sha256: str) -> Path:
        of_hex(sha256)  # refuses anything that is not 64 digits, such as a path
        return self._folder / sha256

    def _make_folder(self) -> None:
        for folder in (self._root, self._folder.parent, self._folder):
            folder.mkdir(mode=0o700, parents=folder is self._root, exist_ok=True)
