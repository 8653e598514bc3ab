"""A download that a later process goes on with: the beginning of a file, hashed before it grows."""

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from modelpack.errors import Refused

_CHUNK = 1 << 20


class PartialDownload:
    """An open file with the first bytes of a content of `expected` bytes; everything is hashed."""

    def __init__(self, handle: int, *, path: Path, expected: int) -> None:
        self._handle, self._path, self._expected = handle, path, expected
        self._digest = hashlib.sha256()
        self._size = 0
        if os.fstat(handle).st_size > expected:
            self.restart()
        os.lseek(handle, 0, os.SEEK_SET)
        while data := os.read(handle, _CHUNK):
            self._digest.update(data)
            self._size += len(data)

    @property
    def size(self) -> int:
        """How many bytes are there."""
        return self._size

    @property
    def hexdigest(self) -> str:
        """The sha256 of what is there."""
        return self._digest.hexdigest()

    def write(self, data: bytes) -> None:
        """Append `data`; raises Refused when that is more than was expected."""
        if self._size + len(data) > self._expected:
            raise Refused(f"a download is longer than its {self._expected} bytes")
        view = memoryview(data)
        while view:
            count = os.write(self._handle, view)
            self._digest.update(view[:count])
            self._size += count
            view = view[count:]

    def restart(self) -> None:
        """Throw away what is there."""
        os.ftruncate(self._handle, 0)
        os.lseek(self._handle, 0, os.SEEK_SET)
        self._digest = hashlib.sha256()
        self._size = 0

    def check(self, sha256: str) -> None:
        """Raise Refused, and remove the file, unless the whole content is what was expected."""
        found = self._digest.hexdigest()
        if (self._size, found) == (self._expected, sha256):
            return
        with suppress(OSError):
            self._path.unlink()
        if self._size != self._expected:
            raise Refused(f"a download has {self._size} bytes instead of {self._expected}")
        raise Refused(f"a download has sha256 `{found}` instead of `{sha256}`")
