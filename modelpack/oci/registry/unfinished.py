"""Uploads that were not finished: where each one goes on, kept on disk for the next process."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from modelpack.digest import Digest, hex_of
from modelpack.digest import of as digest_of
from modelpack.web.urls import is_web

FOLDER = "uploads"
"below the cache"
_LIMIT = 64 << 10


class Note:
    """Where one upload goes on: the URL that the registry gave last, and its chunks."""

    def __init__(self, handle: int, path: Path) -> None:
        self._handle, self._path = handle, path

    def read(self) -> tuple[str, int]:
        """Return the URL, or nothing, and the least bytes of a chunk that are taken there."""
        if self._handle < 0:
            return "", 0
        try:
            value = json.loads(os.pread(self._handle, _LIMIT, 0))
            location, least = value["location"], value.get("least", 0)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return "", 0
        is_sound = isinstance(location, str) and is_web(location) and isinstance(least, int)
        return (location, least) if is_sound else ("", 0)

    def write(self, location: str, least: int) -> None:
        """Keep both; a file that cannot be written costs no more than a new beginning."""
        if self._handle >= 0:
            data = json.dumps({"location": location, "least": least}).encode()
            with suppress(OSError):
                os.pwrite(self._handle, data, 0)
                os.ftruncate(self._handle, len(data))

    def remove(self) -> None:
        """Forget the upload: it is finished, or lost."""
        if self._handle >= 0:
            with suppress(OSError):
                os.ftruncate(self._handle, 0)
                self._path.unlink()


class Unfinished:
    """The notes below one folder; None: nothing is kept."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    @contextmanager
    def note(self, repository: str, digest: Digest) -> Iterator[Note]:
        """Yield the note on one upload, held: one that another process writes is not shared."""
        path = Path()
        handle = -1
        if self._folder is not None:
            path = self._folder / f"{hex_of(digest_of(f'{repository} {digest}'.encode()))}.json"
            handle = _held(path)
        try:
            yield Note(handle, path)
        finally:
            if handle >= 0:
                os.close(handle)


def _held(path: Path) -> int:
    """Open and lock the file at `path`; -1 where that cannot be done."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(path, flags, 0o600)
    except OSError:
        return -1
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return -1
    return handle
