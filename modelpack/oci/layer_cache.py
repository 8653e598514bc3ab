"""Finished layers by the digest of the Step that made them, so that nothing is made twice."""

import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from modelpack import canonical_json
from modelpack.digest import Digest, hex_of
from modelpack.digest import parse as parse_digest
from modelpack.errors import InputError
from modelpack.lock import Compressor
from modelpack.oci.file_writing import unwritable
from modelpack.oci.layer import TAR_GZIP, TAR_ZSTD, Blob, Descriptor, Layer, StoredFile
from modelpack.oci.store import KnownDigests
from modelpack.oci.tar import Entry, pieces

_MEDIA_TYPES = {"gzip": TAR_GZIP, "zstd": TAR_ZSTD}


class LayerCache:
    """Layers under `root`: a record in `steps/`, the content in `blobs/sha256/`."""

    def __init__(self, root: Path, *, known: KnownDigests, use: bool = True) -> None:
        """`use` False finds nothing, so that everything is made anew."""
        self._steps = root / "steps"
        self._blobs = root / "blobs" / "sha256"
        self._known = known
        self._use = use

    def find(self, step: Digest) -> Layer | None:
        """Return the layer that `step` made before; None when it or its content is gone.

        A blob that no longer has its digest is removed: what is handed out is what was made.
        """
        if not self._use:
            return None
        try:
            layer = self._parse((self._steps / f"{hex_of(step)}.json").read_bytes())
        except (OSError, ValueError, KeyError, TypeError, InputError):
            return None
        path = self._path(layer.blob.digest)
        if self._is_whole(path, layer.blob.descriptor):
            return layer
        path.unlink(missing_ok=True)
        return None

    def make(
        self,
        step: Digest,
        entries: Iterable[Entry],
        compressor: Compressor,
        *,
        created_by: str,
        threads: int,
    ) -> Layer:
        """Write `entries` as a compressed layer, remember it under `step` and return it."""
        from modelpack.oci.compression import compress  # noqa: PLC0415  heavy

        try:
            for folder in (self._steps, self._blobs):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with _new_file(self._blobs) as (out, name):
                made = compress(pieces(entries), compressor, out, threads=threads)
                descriptor = Descriptor(
                    media_type=_MEDIA_TYPES[compressor.name], digest=made.digest, size=made.size
                )
                out.close()
                self._publish(name, descriptor)
            layer = self._layer(descriptor, made.diff_id, created_by)
            self._remember(step, layer)
        except OSError as error:
            raise unwritable(str(self._blobs), error) from error
        return layer

    def _publish(self, name: str, descriptor: Descriptor) -> None:
        """Give a finished blob its name, or leave the equal one that another build has made.

        That one may be read now, and a file that is replaced counts as changed for its reader.
        """
        path = self._path(descriptor.digest)
        with _alone(self._blobs):
            if self._is_whole(path, descriptor):
                return
            os.replace(name, path)
            self._known.keep(str(path), descriptor.digest)

    def _remember(self, step: Digest, layer: Layer) -> None:
        record = {**layer.blob.descriptor.as_json(), "diffID": layer.diff_id,
                  "createdBy": layer.created_by}  # fmt: skip
        with _new_file(self._steps) as (out, name):
            out.write(canonical_json.pretty(record))
            out.close()
            os.replace(name, self._steps / f"{hex_of(step)}.json")

    def _parse(self, data: bytes) -> Layer:
        record = json.loads(data)
        descriptor = Descriptor(
            media_type=str(record["mediaType"]),
            digest=parse_digest(str(record["digest"])),
            size=int(record["size"]),
        )
        return self._layer(descriptor, parse_digest(record["diffID"]), str(record["createdBy"]))

    def _layer(self, descriptor: Descriptor, diff_id: Digest, created_by: str) -> Layer:
        origin = StoredFile(str(self._path(descriptor.digest)))
        blob = Blob(descriptor=descriptor, origin=origin)
        return Layer(blob=blob, diff_id=diff_id, created_by=created_by)

    def _path(self, digest: Digest) -> Path:
        return self._blobs / hex_of(digest)

    def _is_whole(self, path: Path, descriptor: Descriptor) -> bool:
        try:
            if path.stat().st_size != descriptor.size:
                return False
        except OSError:
            return False
        if self._known.digest_at(str(path)) == descriptor.digest:
            return True
        import hashlib  # noqa: PLC0415  only when the file is not known

        with path.open("rb") as file:
            whole = hashlib.file_digest(file, "sha256").hexdigest() == hex_of(descriptor.digest)
        if whole:
            self._known.keep(str(path), descriptor.digest)
        return whole


@contextmanager
def _new_file(folder: Path) -> Iterator[tuple[BinaryIO, str]]:
    """Yield a new file and its hidden name, which is gone in the end."""
    name = str(folder / f".{os.urandom(4).hex()}")
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    handle = os.open(name, flags, 0o600)
    try:
        with os.fdopen(handle, "wb") as out:
            yield out, name
    finally:
        Path(name).unlink(missing_ok=True)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes out of the same block, where the file system has locks."""
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
