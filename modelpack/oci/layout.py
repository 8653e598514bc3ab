"""An OCI image layout on disk: written under a lock, read by anybody at any time.

Source: OCI image-spec, image-layout.md. Nothing is visible before `index.json` is renamed into
place, and what it no longer names goes only after that.
"""

import fcntl
import itertools
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Self

from modelpack import digest as digests
from modelpack.digest import Digest, hex_of
from modelpack.errors import InputError, ModelpackError, Unavailable
from modelpack.oci import parallel, references
from modelpack.oci.blobs import check_content, pieces_of
from modelpack.oci.content import pump
from modelpack.oci.file_writing import unwritable, write_file
from modelpack.oci.hashing import Sha256, Sink
from modelpack.oci.layer import Blob, Descriptor, Remote, StoredFile
from modelpack.oci.locking import exclusive_folder
from modelpack.oci.manifest import MANIFEST_LIMIT, Manifest, parse
from modelpack.oci.partial_download import PartialDownload
from modelpack.oci.referrers import Vouching, found, listed
from modelpack.oci.store import KnownDigests, Root
from modelpack.oci.tar import Content, FileRange
from modelpack.progress import SILENT, Advance, Progress

_BLOB_NAME = re.compile(r"[0-9a-f]{64}")
_PARTIAL = ".partial"
"ends the name of a download that was not finished"
_OURS = frozenset({"blobs", "ingest"})
"what a build that was killed before its first commit leaves"
_WORTH_THREADS = 1 << 20
"bytes of a blob; smaller ones are written sooner than threads are there"


class Layout:
    """A Store in a folder; `with` takes its lock, which writing needs and reading does not."""

    def __init__(
        self, root: Path, *, known: KnownDigests | None = None, progress: Progress = SILENT,
        resumes: bool = False,
    ) -> None:  # fmt: skip
        """With `resumes`, what a failing `with` has fetched stays for the next such one."""
        self.root = root
        self._resumes = resumes
        self._known = known
        self._progress = progress
        self._lock = -1
        self._names = itertools.count()
        self._made_root = False

    @property
    def _blobs(self) -> Path:
        return self.root / "blobs" / "sha256"

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

    def path_of(self, digest: Digest) -> Path:
        """Return where the blob with `digest` is, or would be."""
        return self._blobs / hex_of(digest)

    def has(self, descriptor: Descriptor) -> bool:
        """Tell whether exactly this content is here; an unknown file is hashed."""
        path = str(self.path_of(descriptor.digest))
        if not self._stands(descriptor):
            return False
        found = self._known.digest_at(path) if self._known else None
        if found is None:
            found = _digest_of(path, descriptor.size)
            if found == descriptor.digest and self._known:
                self._known.keep(path, found)
        return found == descriptor.digest

    def _stands(self, descriptor: Descriptor) -> bool:
        try:
            status = os.lstat(self.path_of(descriptor.digest))
        except OSError:
            return False
        return stat.S_ISREG(status.st_mode) and status.st_size == descriptor.size

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

    def read(self, what: Descriptor | Digest, *, limit: int = MANIFEST_LIMIT) -> bytes:
        """Return a blob of up to `limit` bytes, its digest and size checked."""
        with self.open_blob(what) as stream:
            return references.read_checked(stream, what, limit=limit)

    def open_blob(self, what: Descriptor | Digest) -> BinaryIO:
        """Open a blob; whoever reads it checks its digest."""
        digest = what.digest if isinstance(what, Descriptor) else what
        path = self.path_of(digests.parse(digest))
        stream = _open_regular(path)
        if isinstance(what, Descriptor) and os.fstat(stream.fileno()).st_size != what.size:
            stream.close()
            raise InputError("the blob is damaged: it has another size", at=str(path))
        return stream

    def blob(self, descriptor: Descriptor) -> Blob:
        """Return a blob to be copied elsewhere; whoever reads it checks its digest."""
        path = self.path_of(digests.parse(descriptor.digest))
        return Blob(descriptor=descriptor, origin=StoredFile(str(path)))

    def manifests(self) -> tuple[Descriptor, ...]:
        """Return the entries of `index.json`."""
        with _open_regular(self.root / "oci-layout") as stream:
            marker = stream.read(MANIFEST_LIMIT + 1)
        with _open_regular(self.root / "index.json") as stream:
            return references.parse_index(
                marker, stream.read(MANIFEST_LIMIT + 1), at=str(self.root)
            )

    def resolve(self, name: str) -> Descriptor:
        """Return what a tag or digest names; an empty name means the only image there is."""
        return references.resolve(self.manifests(), name, self.image, at=str(self.root))

    def image(self, digest: Digest) -> Manifest:
        """Return the manifest or index with `digest`, parsed."""
        return parse(self.read(digest), at=digest)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Keep commits of others from removing, meanwhile, what `index.json` names now."""
        try:
            lock = os.open(self._blobs, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise InputError("not an OCI layout", at=str(self.root)) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_SH)
            yield
        finally:
            os.close(lock)

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

    def referrers(self, subject: Digest) -> tuple[Descriptor, ...]:
        """Return what vouches for the image `subject`: type and annotations as it says itself."""
        return found(self.manifests(), subject, self.image)

    def listed(self, subject: Digest) -> tuple[Descriptor, ...]:
        """Return what is listed as vouching for `subject`, unread."""
        return listed(self.manifests(), subject, self.image)

    def held_by(self, tag: str) -> str | None:
        """Return the digest of whatever has `tag`, unread; None: nothing has it."""
        entries = self.manifests() if (self.root / "index.json").exists() else ()
        return references.held_by(entries, tag)

    def _name(
        self, roots: Sequence[Root], vouching: Sequence[tuple[Descriptor, Sequence[Vouching]]]
    ) -> None:
        """Write an `index.json` that names `roots`, and what vouches for them."""
        old = self.manifests() if (self.root / "index.json").exists() else ()
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
            entries = self.manifests() if (self.root / "index.json").exists() else ()
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


def _digest_of(path: str, size: int) -> Digest:
    whole = Sha256()
    pump((FileRange(path=path, size=size),), [whole], lambda _: None)
    return whole.digest


def _open_regular(path: Path) -> BinaryIO:
    """Open a regular file and nothing else, without following a link or blocking."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise InputError("the layout has no such file", at=str(path)) from error
    except OSError as error:
        raise Unavailable(f"cannot be read: {error.strerror}", at=str(path)) from error
    stream = os.fdopen(file, "rb")
    if not stat.S_ISREG(os.fstat(file).st_mode):
        stream.close()
        raise InputError("not a regular file", at=str(path))
    return stream


def _is_long(blob: Blob) -> bool:
    """Tell whether writing `blob` takes long enough to write others meanwhile."""
    return blob.size >= _WORTH_THREADS or isinstance(blob.origin, Remote)
