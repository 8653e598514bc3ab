"""One writer at a time, by flock on the very thing that is written: no lock file to forget."""

import errno
import fcntl
import os
from contextlib import suppress
from pathlib import Path

from modelpack.errors import Unavailable
from modelpack.progress import Progress

_CANNOT_LOCK = frozenset({errno.EBADF, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS})


def exclusive_folder(path: Path, *, progress: Progress) -> int:
    """Make the folder `path` if needed, lock it and return the open file that holds the lock."""
    while True:
        path.mkdir(parents=True, exist_ok=True)
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        if _locked(lock, path, progress):
            return lock


def exclusive_file(path: Path, *, progress: Progress) -> int:
    """Make the file `path` if needed, lock it and return it open for reading and writing."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        while True:
            lock = os.open(path, flags, 0o644)
            if _locked(lock, path, progress):
                return lock
    except BaseException:
        # Interrupted while it was made: nobody else removes it.
        _remove_unlocked(path)
        raise


def _remove_unlocked(path: Path) -> None:
    """Remove the file at `path`, unless another process holds it."""
    with suppress(OSError):
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(path)
        finally:
            os.close(file)


def _locked(lock: int, path: Path, progress: Progress) -> bool:
    """Lock; False, and closed, when something else stands at `path` after the wait."""
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.say(f"waiting for another build that writes `{path}`")
            fcntl.flock(lock, fcntl.LOCK_EX)
        mine, there = os.fstat(lock), os.stat(path)
    except FileNotFoundError:
        os.close(lock)
        return False
    except OSError as error:
        os.close(lock)
        if error.errno in _CANNOT_LOCK:
            raise Unavailable(
                "the file system cannot lock a folder",
                at=str(path),
                hint="name an output on a local disk with `--output`",
            ) from error
        raise
    except BaseException:
        os.close(lock)
        raise
    if (mine.st_dev, mine.st_ino) != (there.st_dev, there.st_ino):
        os.close(lock)
        return False
    return True
