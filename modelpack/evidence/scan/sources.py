"""Where the layers of an image that is scanned are: on disk, in a registry, in an engine.

Each says which paths a layer has, without anybody keeping its content: weights are told apart by
that. On disk a layer is hashed when it is read; an engine sends all, and all is hashed; of a
registry only the headers of a tar are asked for, so that gigabytes stay where they are.
"""

import io
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import Any, BinaryIO, Final, Protocol, cast

from modelpack.errors import InputError
from modelpack.oci.layer import Blob, Descriptor
from modelpack.oci.tar_index import members

_AHEAD: Final = 16 << 10
"bytes that are asked for at once"
_REQUESTS: Final = 2000
"for the headers of one layer; a layer with more files is scanned like any other"


class Source(Protocol):
    """Layers, and what is in them."""

    def blob(self, descriptor: Descriptor) -> Blob:
        """Return a layer whose content is read later; whoever reads it checks its digest."""

    def names(self, layer: Descriptor) -> AbstractSet[str]:
        """Return the paths of the files of an uncompressed layer, or raise ModelpackError."""


class Openable(Protocol):
    """The part of a layout or archive that a scan uses."""

    def blob(self, descriptor: Descriptor) -> Blob:
        """Return a blob to be copied elsewhere; whoever reads it checks its digest."""

    def open_blob(self, what: Descriptor) -> BinaryIO:
        """Open a blob; whoever reads it checks its digest."""


class Fetchable(Protocol):
    """The part of a repository that a scan uses."""

    def blob(self, descriptor: Descriptor) -> Blob:
        """Return a blob that is fetched later."""

    def chunks(self, descriptor: Descriptor, start: int, length: int) -> Iterator[bytes]:
        """Yield `length` bytes of a blob from `start` on, unchecked."""


class OnDisk:
    """A layout or archive."""

    def __init__(self, store: Openable) -> None:
        self._store = store

    def blob(self, descriptor: Descriptor) -> Blob:
        """Return a layer."""
        return self._store.blob(descriptor)

    def names(self, layer: Descriptor) -> AbstractSet[str]:
        """Return the paths of its files; nothing but headers is read."""
        with self._store.open_blob(layer) as stream:
            return members(stream, at=layer.digest).keys()


class Far:
    """A repository of a registry."""

    def __init__(self, repository: Fetchable) -> None:
        self._repository = repository

    def blob(self, descriptor: Descriptor) -> Blob:
        """Return a layer that is fetched when it is read."""
        return self._repository.blob(descriptor)

    def names(self, layer: Descriptor) -> AbstractSet[str]:
        """Return the paths of its files, by the headers as the registry sends them."""
        stream = io.BufferedReader(_Ranges(self._repository, layer), _AHEAD)
        return members(cast("BinaryIO", stream), at=layer.digest).keys()


class _Ranges(io.RawIOBase):
    """A blob in a registry as a file of which only the parts are fetched that are read."""

    def __init__(self, repository: Fetchable, layer: Descriptor) -> None:
        super().__init__()
        self._repository, self._layer, self._at, self._left = repository, layer, 0, _REQUESTS

    def readable(self) -> bool:
        """Tell that it is."""
        return True

    def seekable(self) -> bool:
        """Tell that it is."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to where the next read begins."""
        starts = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._layer.size}
        self._at = max(starts[whence] + offset, 0)
        return self._at

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401  any writable buffer
        """Fill `buffer` from where the last read ended."""
        wanted = min(len(buffer), max(self._layer.size - self._at, 0))
        if not wanted:
            return 0
        self._left -= 1
        if self._left < 0:
            raise InputError("too many files to be looked at one by one", at=self._layer.digest)
        data = b"".join(self._repository.chunks(self._layer, self._at, wanted))[:wanted]
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
