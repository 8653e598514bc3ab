"""An OCI image layout on disk, written under its lock.

Source: OCI image-spec, image-layout.md. Nothing is visible before `index.json` is renamed into
place, and what it no longer names goes only after that.
"""

import fcntl
import itertools
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

from modelpack.digest import Digest, hex_of
from modelpack.errors import InputError, ModelpackError
from modelpack.oci import parallel, references
from modelpack.oci.blobs import check_content, pieces_of
from modelpack.oci.file_writing import unwritable, write_file
from modelpack.oci.hashing import Sha256, Sink
from modelpack.oci.layer import Blob, Descriptor, Remote
from modelpack.oci.layout_reading import ReadableLayout
from modelpack.oci.locking import exclusive_folder
from modelpack.oci.partial_download import PartialDownload
from modelpack.oci.referrers import Vouching
from modelpack.oci.store import KnownDigests, Root
from modelpack.oci.tar import Content
from modelpack.progress import SILENT, Advance, Progress

_BLOB_NAME = re.compile(r"[0-9a-f]{64}")
_PARTIAL = ".partial"
"ends the name of a download that was not finished"
_OURS = frozenset({"blobs", "ingest"})
"what a build that was killed before its first commit leaves"
_WORTH_THREADS = 1 << 20
"bytes of a blob; smaller ones are written sooner than threads are there"


class Layout(ReadableLayout):
    """A Store in a folder; `with` takes its lock, which writing needs and reading does not."""

    def __init__(
        self, root: Path, *, known: KnownDigests | None = None, progress: Progress = SILENT,
        resumes: bool = False,
    ) -> None:  # fmt: skip
        """With `resumes`, what a failing `with` has fetched stays for the next such one."""
        super().__init__(root, known=known)
        self._resumes = resumes
        self._progress = progress
        self._lock = -1
        self._names = itertools.count()
        self._made_root = False

    @property
    def _ingest(self) -> Path:
        return self.root / "ingest"

    def __enter__(self) -> Self:
        """Take the lock, waiting for another build, and clear what a killed one left."""
        try:
            self._made_root = not self.root.exists()
            self._lock = exclusive_folder(self.root, progress=self._progress)
            try:
                self._check_ours()
                try:
                    self._blobs.mkdir(parents=True, exist_ok=True)
                    self._clear_ingest(but_partial=self._resumes)
                    self._ingest.mkdir(exist_ok=True)
                except BaseException:
                    self._discard_new()
                    raise
            except BaseException:
                self._unlock()
                raise
        except OSError as error:
            raise unwritable(str(self.root), error) from error
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        """Give the lock back; what was not committed is removed, unless the next one wants it."""
        if kind is not None and self._resumes:
            self._unlock()
            return
        try:
            try:
                self._tidy()
            except BaseException:  # interrupted here of all places: once more
                self._tidy()
                raise
        finally:
            self._unlock()

    def _tidy(self) -> None:
        self._collect()
        self._discard_new()

    def _discard_new(self) -> None:
        """Remove what was not committed, and the folder if nothing was there before."""
        self._clear_ingest()
        if self._made_root and not (self.root / "index.json").exists():
            self._remove_empty()

    def _unlock(self) -> None:
        # Forgotten before it is closed: a signal in between must not make anybody close it twice.
        lock, self._lock = self._lock, -1
        if lock >= 0:
            os.close(lock)

    def _check_ours(self) -> None:
        """Refuse to write into a folder that holds something else than a layout."""
        names = {entry.name for entry in os.scandir(self.root)}
        if not ("oci-layout" in names or names <= _OURS):
            raise InputError(
                "the folder is not empty and not an OCI layout",
                at=str(self.root),
                hint="name another folder with `--output`",
            )
        for folder in (self.root / "blobs", self._blobs, self._ingest):
            if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
                raise InputError("not a folder", at=str(folder))

    def _clear_ingest(self, *, but_partial: bool = False) -> None:
        if self._ingest.is_dir():
            for entry in os.scandir(self._ingest):
                if not (but_partial and entry.name.endswith(_PARTIAL)):
                    os.unlink(entry.path)
            if not but_partial:
                self._ingest.rmdir()

    def _remove_empty(self) -> None:
        for folder in (self._blobs, self.root / "blobs", self.root):
            try:
                folder.rmdir()
            except OSError:
                return

    def write(self, blob: Blob, advance: Advance) -> bool:
        """Keep `blob`; False when it was here already. `advance` gets the bytes either way.

        Raises InputError naming the source when its bytes are not what the descriptor says,
        Unavailable when nobody has them or the disk fails.
        """
        if self.has(blob.descriptor):
            advance(blob.size)
            return False
        if isinstance(blob.origin, Remote):
            self._fetch(blob, blob.origin, advance)
            return True
        temporary, whole, size = self._receive(pieces_of(blob), advance, ())
        try:
            check_content(blob, hex_of(whole), size)
        except BaseException:
            os.unlink(temporary)
            raise
        self._keep(temporary, whole)
        return True

    def _fetch(self, blob: Blob, origin: Remote, advance: Advance) -> None:
        """Go on with a download where the last one ended, prove it, and name it."""
        self._check_locked()
        path = self._ingest / f"{hex_of(blob.digest)}{_PARTIAL}"
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            handle = os.open(path, flags, 0o644)
            try:
                partial = PartialDownload(handle, path=path, expected=blob.size)
                origin.place.fill(partial, blob.descriptor, advance)
                partial.check(hex_of(blob.digest))
                os.fsync(handle)
            finally:
                os.close(handle)
        except OSError as error:
            raise unwritable(str(path), error) from error
        self._keep(str(path), blob.digest)

    def write_all(
        self, blobs: Iterable[Blob], advance: Advance, *, threads: int = parallel.THREADS
    ) -> None:
        """Keep all `blobs`, several at once, the largest first; one error stops the others.

        More than parallel.THREADS at once would only take more memory.
        """
        distinct = {blob.digest: blob for blob in blobs}
        ordered = sorted(distinct.values(), key=lambda blob: -blob.size)
        if not any(_is_long(blob) and not self.has(blob.descriptor) for blob in ordered):
            threads = 1
        parallel.each(self.write, ordered, advance, threads=min(threads, parallel.THREADS))

    def ingest(
        self, pieces: Sequence[Content], advance: Advance, *, sinks: Sequence[Sink] = ()
    ) -> tuple[Digest, int]:
        """Keep content whose digest is not known yet; `sinks` take it in the same pass."""
        temporary, whole, size = self._receive(pieces, advance, sinks)
        self._keep(temporary, whole)
        return whole, size

    def _receive(
        self, pieces: Sequence[Content], advance: Advance, sinks: Sequence[Sink]
    ) -> tuple[str, Digest, int]:
        self._check_locked()
        temporary = str(self._ingest / f"{next(self._names):x}")
        whole = Sha256()
        size = write_file(temporary, pieces, [whole, *sinks], advance)
        return temporary, whole.digest, size

    def _keep(self, temporary: str, digest: Digest) -> None:
        path = str(self.path_of(digest))
        try:
            os.rename(temporary, path)
        except OSError as error:
            raise unwritable(path, error) from error
        if self._known:
            self._known.keep(path, digest)

    def _check_locked(self) -> None:
        if self._lock < 0:
            raise RuntimeError("writing a layout needs its lock: use `with`")

    def commit(self, roots: Sequence[Root]) -> None:
        """Make `roots` visible: their manifests, then `index.json` by rename, then clean up.

        A tag moves to its new image; other tags stay. Raises InputError when a blob is missing.
        """
        self._check_locked()
        for root in roots:
            self.write(root.manifest, lambda _: None)
            self._check_closure(root.manifest.descriptor)
        self._name(roots, [pair for root in roots for pair in root.vouching_for()])

    def attach(self, subject: Descriptor, referrers: Sequence[Vouching]) -> None:
        """Keep `referrers` with the image `subject`; those of an earlier build give way."""
        self._check_locked()
        if subject.digest not in references.closure(self.manifests(), self.image):
            raise InputError("there is no such image", at=subject.digest)
        self._name((), [(subject, referrers)])

    def _name(
        self, roots: Sequence[Root], vouching: Sequence[tuple[Descriptor, Sequence[Vouching]]]
    ) -> None:
        """Write an `index.json` that names `roots`, and what vouches for them."""
        old = self._entries()
        for subject, referrers in vouching:
            for blob in (blob for referrer in referrers for blob in referrer.blobs(subject)):
                self.write(blob, lambda _: None)
        lists = references.lists(old, vouching, self.image)
        for item in lists:
            self.write(item.manifest, lambda _: None)
        entries = references.merge(old, (*roots, *lists), self.image)
        if not self._has_marker():
            self._replace("oci-layout", references.MARKER)
        self._replace("index.json", references.index_of(entries))
        self._made_root = False
        self._collect()

    def _has_marker(self) -> bool:
        path = self.root / "oci-layout"
        return path.is_file() and path.read_bytes() == references.MARKER

    def _replace(self, name: str, data: bytes) -> None:
        temporary = str(self._ingest / f"{next(self._names):x}")
        write_file(temporary, (data,), (), lambda _: None)
        try:
            os.rename(temporary, self.root / name)
        except OSError as error:
            raise unwritable(str(self.root / name), error) from error

    def _check_closure(self, root: Descriptor) -> None:
        for digest in sorted(references.closure([root], self.image)):
            if not self.path_of(digest).is_file():
                raise InputError("a blob of the image is missing in the layout", at=digest)

    def _collect(self) -> None:
        """Remove blobs that `index.json` does not reach, unless somebody is reading."""
        try:
            entries = self._entries()
        except ModelpackError:
            return
        needed = {hex_of(digest) for digest in references.closure(entries, self.image)}
        lock = os.open(self._blobs, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for entry in os.scandir(self._blobs):
                if _BLOB_NAME.fullmatch(entry.name) and entry.name not in needed:
                    os.unlink(entry.path)
        except BlockingIOError:
            return
        finally:
            os.close(lock)


def _is_long(blob: Blob) -> bool:
    """Tell whether writing `blob` takes long enough to write others meanwhile."""
    return blob.size >= _WORTH_THREADS or isinstance(blob.origin, Remote)
