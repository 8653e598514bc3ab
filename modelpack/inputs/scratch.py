"""Folders for one process's temporary files; the next one removes what a killed one left."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def scratch_folder(cache: Path) -> Iterator[Path]:
    """Yield a new folder below `cache`, private to its owner, and remove it in the end.

    It is locked as long as this process lives. Folders that nobody holds go first. Raises
    OSError when the cache cannot be written.
    """
    parent = cache / "scratch"
    parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    held = -1
    folder: Path | None = None
    try:
        with _alone(parent):
            _remove_left(parent)
            folder = Path(tempfile.mkdtemp(dir=parent))
            held = _open(folder)
            with suppress(OSError):
                fcntl.flock(held, fcntl.LOCK_EX)
        yield folder
    finally:
        if held >= 0:
            os.close(held)
        if folder is not None:
            _remove(folder)
        else:
            # Interrupted while it was made: its name is not known.
            with _alone(parent):
                _remove_left(parent)


@contextmanager
def _alone(parent: Path) -> Iterator[None]:
    """Keep others away, so that no folder that is just made, and not locked, is taken for left."""
    entrance = _open(parent)
    try:
        with suppress(OSError):
            fcntl.flock(entrance, fcntl.LOCK_EX)
        yield
    finally:
        os.close(entrance)


def _remove(folder: Path) -> None:
    try:
        shutil.rmtree(folder, ignore_errors=True)
    except BaseException:  # interrupted here of all places: once more
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _remove_left(parent: Path) -> None:
    """Remove the folders whose lock is free; where there are no locks, none."""
    for entry in list(os.scandir(parent)):
        if not entry.is_dir(follow_symlinks=False):
            continue
        with suppress(OSError):
            held = _open(Path(entry.path))
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(entry.path, ignore_errors=True)
            finally:
                os.close(held)


def _open(folder: Path) -> int:
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
