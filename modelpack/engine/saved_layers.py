"""The layers of an image that an engine holds, out of the stream of `docker save`.

What is wanted is written to a folder; of what may pass by, the names of the files in it are noted.
Both are hashed: what has another digest is not there.
"""

import hashlib
import os
import posixpath
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

from modelpack.digest import Digest, hex_of, of_hex
from modelpack.engine.door import Engine
from modelpack.engine.saved import Stream
from modelpack.errors import InputError, Unavailable
from modelpack.oci.file_writing import unwritable
from modelpack.oci.layer import Blob, Descriptor, StoredFile
from modelpack.oci.tar_reading import Header, headers, passing

_SIZE_LIMIT = 1 << 40
"bytes of one layer"
_FOLDER = b"5"
"type of a tar's member"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptLayers:
    """What was kept of the layers."""

    folder: Path
    noted: Mapping[Digest, frozenset[str]]
    "paths in the layers that passed by"

    def blob(self, descriptor: Descriptor) -> Blob:
        """Return a layer that was wanted, or raise Unavailable."""
        path = self.folder / hex_of(descriptor.digest)
        if not path.is_file():
            raise Unavailable("the engine did not send this layer", at=descriptor.digest)
        return Blob(descriptor=descriptor, origin=StoredFile(str(path)))

    def names(self, layer: Descriptor) -> AbstractSet[str]:
        """Return the paths in a layer that passed by, or raise Unavailable."""
        if layer.digest not in self.noted:
            raise Unavailable("the engine did not send this layer", at=layer.digest)
        return self.noted[layer.digest]


def keep(
    engine: Engine,
    name: str,
    *,
    wanted: Mapping[Digest, int],
    others: Mapping[Digest, int],
    folder: Path,
) -> KeptLayers:
    """Write the `wanted` layers of the image into the empty `folder`, and note what `others` hold.

    Both are sizes by digest. Raises InputError when the engine has no such image.
    """
    held = engine.image(name)
    if held is None:
        raise InputError(f"the engine has no image `{name}`", at=str(engine.about))
    sizes, noted = frozenset(wanted.values()), dict[Digest, frozenset[str]]()
    passing_by = frozenset(others.values())
    with engine.saved(held.id) as blocks:
        source = Stream(blocks)
        for member in passing(source, at=name):
            if not member.is_file or member.size > _SIZE_LIMIT:
                continue
            inner = _Inner(source, member.size)
            names: frozenset[str] | None = None
            if member.size in sizes:
                names = _written(inner, wanted, folder, at=name)
            elif member.size in passing_by:
                names = _names(passing(inner, at=name))
            digest = inner.finish()
            if digest in others and names is not None:
                noted[digest] = names
    return KeptLayers(folder=folder, noted=noted)


class _Inner:
    """One member of the stream as a source of its own, hashed as it passes."""

    def __init__(self, source: Stream, size: int) -> None:
        self._source, self._left, self._position = source, size, 0
        self._hash = hashlib.sha256(usedforsecurity=False)

    def parts(self, count: int) -> Iterator[bytes]:
        """Yield the next `count` bytes as they come, fewer at the end."""
        for part in self._source.parts(min(count, self._left)):
            self._left -= len(part)
            self._position += len(part)
            self._hash.update(part)
            yield part

    def read(self, count: int) -> bytes:
        """Return the next `count` bytes, fewer at the end."""
        return b"".join(self.parts(count))

    def move(self, position: int) -> bool:
        """Let everything before `position` pass; False when the end comes before."""
        for _ in self.parts(position - self._position):
            pass
        return self._position == position

    def finish(self) -> Digest:
        """Let the rest pass, and return the digest of all of it."""
        for _ in self.parts(self._left):
            pass
        return of_hex(self._hash.hexdigest())


def _written(
    inner: _Inner, wanted: Mapping[Digest, int], folder: Path, *, at: str
) -> frozenset[str] | None:
    """Write a member that may be one of the wanted; only its digest tells which it is.

    Of one that is not wanted the paths in it are returned, and nothing is kept.
    """
    temporary = folder / "next"
    try:
        with temporary.open("wb") as file:
            for part in inner.parts(_SIZE_LIMIT):
                file.write(part)
        if (digest := inner.finish()) in wanted:
            os.rename(temporary, folder / hex_of(digest))
            return None
        with temporary.open("rb") as file:
            names = _names(headers(file, at=at))
        temporary.unlink()
    except OSError as error:
        raise unwritable(str(folder), error) from error
    return names


def _names(found: Iterator[Header]) -> frozenset[str] | None:
    """Return the paths of all members of a tar, folders left out; None where it is none."""
    try:
        return frozenset(posixpath.normpath(one.name) for one in found if one.flag != _FOLDER)
    except InputError:
        return None
